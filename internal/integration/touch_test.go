package integration

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

// A batch of the recorder of last uses is written with the default timeout even if the server
// is 40 ms away.
func TestTouch_distantServer(t *testing.T) {
	t.Parallel()
	eachRemote(t, func(t *testing.T, open func(*testing.T) remote) {
		r := open(t)
		p := toxicProxy(t, r.upstream)
		far := r.open(t, p.Listen, 0)
		uses, expected := usesOf(t, r.direct, 256)
		poison(t, p, "latency", "downstream", `"latency": 40`)
		require.NoError(t, far.Touch(t.Context(), uses))
		requireUses(t, r.direct, expected)
	})
}

// The last use of each record is recorded, in any order, with its address; and none of a record
// that was used later, was revoked or does not exist.
func TestTouch_manyUsesOfSomeRecords(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d database) {
		store, _ := d.store(t)
		uses, expected := usesOf(t, store, 70)
		revoked, absent := record(auth.KindToken, "user-3"), record(auth.KindToken, "user-4")
		require.NoError(t, store.Create(t.Context(), revoked, 0))
		require.NoError(t, store.Revoke(t.Context(), revoked.Ref()))
		uses = append(uses, auth.Use{Ref: revoked.Ref(), At: time.Now()}, auth.Use{Ref: absent.Ref(), At: time.Now()})
		for range 2 {
			require.NoError(t, store.Touch(t.Context(), uses))
			requireUses(t, store, expected)
		}
		for i := range uses {
			uses[i].At, uses[i].From = uses[i].At.Add(-time.Hour), netip.Addr{}
		}
		require.NoError(t, store.Touch(t.Context(), uses))
		requireUses(t, store, expected)
		later := expected[0]
		later.At, later.From = later.At.Add(time.Second), netip.Addr{}
		require.NoError(t, store.Touch(t.Context(), []auth.Use{later}))
		requireUses(t, store, []auth.Use{later})
	})
}

// usesOf returns three uses of each of n new records, and the last ones.
func usesOf(t *testing.T, store auth.Store, n int) (uses, last []auth.Use) {
	t.Helper()
	for i := range n {
		c := record([]auth.Kind{auth.KindSession, auth.KindToken}[i%2], fmt.Sprintf("user-%d é", n-i))
		require.NoError(t, store.Create(t.Context(), c, 0))
		u := auth.Use{Ref: c.Ref(), Digest: c.Digest, At: c.CreatedAt.Add(time.Minute), From: netip.AddrFrom4([4]byte{10, 0, 0, byte(i)})}
		last = append(last, u)
		before := u
		before.At, before.From = c.CreatedAt.Add(time.Second), netip.MustParseAddr("2001:db8::1")
		uses = append(uses, before, u, before)
	}
	return uses, last
}

func requireUses(t *testing.T, store auth.Store, uses []auth.Use) {
	t.Helper()
	for _, u := range uses {
		c, err := store.Get(t.Context(), u.Ref)
		require.NoError(t, err)
		require.Equal(t, u.At, c.LastUsedAt)
		require.Equal(t, u.From, c.LastUsedFrom)
	}
}
