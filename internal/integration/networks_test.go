package integration

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/cachestore"
	"github.com/seed-31c5bcb2/auth/redisstore"
)

// eachStore runs a test with every store, bare and behind a cache.
func eachStore(t *testing.T, test func(t *testing.T, store auth.Store)) {
	t.Run("memory", func(t *testing.T) {
		t.Parallel()
		test(t, auth.NewMemoryStore())
	})
	t.Run("Redis", func(t *testing.T) {
		t.Parallel()
		store, _, _ := openRedisStore(t, redisstore.Config{Timeout: patience})
		t.Cleanup(func() { require.NoError(t, store.Close()) })
		test(t, store)
	})
	each(t, func(t *testing.T, d database) {
		store, _ := d.store(t)
		test(t, newCache(t, store, cachestore.Config{Timeout: patience}))
	})
}

var office, home = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}

// authenticateFrom returns the error of a token that is used from an address.
func authenticateFrom(ctx context.Context, b *auth.Bearer, plaintext, addr string) error {
	ctx = auth.WithClientAddr(ctx, netip.MustParseAddr(addr))
	_, err := new(auth.Middleware).Authenticate(bearerRequest(plaintext).WithContext(ctx), b)
	return err
}

// A Rotate does not bring back the networks that an Update replaces at the same time, in any
// order of the two.
func TestUpdate_networksWhileRotated(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, store auth.Store) {
		bearer := newBearer(t, store)
		ctx := t.Context()
		var both, conflicts int
		for n := range 40 {
			overlap := time.Duration(n%2) * time.Hour
			old, c, err := bearer.Issue(ctx, "alice", auth.TokenOptions{Name: "x", Scopes: []string{"a"}, Lifetime: time.Hour * 24, Networks: office})
			require.NoError(t, err)
			require.NoError(t, authenticateFrom(ctx, bearer, old, "192.0.2.7")) // it is cached
			var next string
			var rotateErr, updateErr error
			var wg sync.WaitGroup
			wg.Go(func() { next, _, rotateErr = bearer.Rotate(ctx, "alice", c.ID, overlap) })
			wg.Go(func() { _, updateErr = bearer.Update(ctx, "alice", c.ID, auth.TokenUpdate{Networks: &home}) })
			wg.Wait()
			switch {
			case updateErr == nil && rotateErr == nil:
				both++
				require.Error(t, authenticateFrom(ctx, bearer, next, "192.0.2.7"))
				require.NoError(t, authenticateFrom(ctx, bearer, next, "198.51.100.7"))
				require.Error(t, authenticateFrom(ctx, bearer, old, "192.0.2.7"))
			case updateErr == nil:
				conflicts++
				require.ErrorIs(t, rotateErr, auth.ErrConflict)
				require.Error(t, authenticateFrom(ctx, bearer, old, "192.0.2.7"))
			default:
				conflicts++
				require.NoError(t, rotateErr)
				require.True(t, errors.Is(updateErr, auth.ErrConflict) || errors.Is(updateErr, auth.ErrNotFound), updateErr)
				require.NoError(t, authenticateFrom(ctx, bearer, next, "192.0.2.7"))
			}
		}
		t.Log("both", both, "one", conflicts)
	})
}

// Neither does an Update bring back a token that is revoked at the same time.
func TestUpdate_whileRevoked(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, store auth.Store) {
		bearer := newBearer(t, store)
		ctx := t.Context()
		for n := range 40 {
			user := fmt.Sprint("user", n)
			old, c, err := bearer.Issue(ctx, user, auth.TokenOptions{Name: "x", Scopes: []string{"a"}, Lifetime: time.Hour * 24})
			require.NoError(t, err)
			require.NoError(t, authenticateFrom(ctx, bearer, old, "192.0.2.7"))
			var wg sync.WaitGroup
			for i := range 3 {
				wg.Go(func() {
					name := fmt.Sprint(i)
					_, err := bearer.Update(ctx, user, c.ID, auth.TokenUpdate{Name: &name, Scopes: &[]string{"a", name}})
					if err != nil && !errors.Is(err, auth.ErrNotFound) {
						t.Error(err)
					}
				})
			}
			wg.Go(func() {
				var err error
				switch n % 3 {
				case 0:
					err = bearer.Revoke(ctx, user, c.ID)
				case 1:
					_, err = bearer.RevokeAll(ctx, user)
				default:
					_, err = bearer.RevokePlaintext(ctx, old)
				}
				if err != nil {
					t.Error(err)
				}
			})
			wg.Wait()
			require.ErrorIs(t, authenticateFrom(ctx, bearer, old, "192.0.2.7"), auth.ErrInvalidCredential)
			_, err = bearer.Update(ctx, user, c.ID, auth.TokenUpdate{})
			require.ErrorIs(t, err, auth.ErrNotFound)
			list, err := bearer.List(ctx, user, auth.Page{})
			require.NoError(t, err)
			require.Empty(t, list)
		}
	})
}

// The largest metadata and networks come back unchanged, and every byte of them is compared.
func TestUpdate_largestFields(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, store auth.Store) {
		bearer := newBearer(t, store)
		ctx := t.Context()
		metadata := map[string]string{}
		for i := range 16 {
			metadata[fmt.Sprintf("%02d", i)+strings.Repeat("k", 62)] = strings.Repeat("🙂", 64)
		}
		metadata["00"+strings.Repeat("k", 62)] = ` '"\%_ a=b` + "\u2028\ufeff\uffff" + strings.Repeat(" ", 200)
		var networks []netip.Prefix
		for i := range 16 {
			a := netip.MustParseAddr("2001:db8:1111:2222:3333:4444:5555:6660").As16()
			a[15] = byte(0x10 + i)
			networks = append(networks, netip.PrefixFrom(netip.AddrFrom16(a), 128))
		}
		name := strings.Repeat("🙂", 63) + "abc"
		token, c, err := bearer.Issue(ctx, "alice", auth.TokenOptions{Name: name, Scopes: []string{"a"}, Lifetime: auth.NoExpiry, Metadata: metadata, Networks: networks})
		require.NoError(t, err)
		require.NoError(t, authenticateFrom(ctx, bearer, token, networks[15].Addr().String()))
		got, err := bearer.Get(ctx, "alice", c.ID)
		require.NoError(t, err)
		require.Equal(t, metadata, maps.Collect(got.Metadata.All()))
		require.Equal(t, networks, got.Networks.Prefixes())
		got.LastUsedAt, got.LastUsedFrom = time.Time{}, netip.Addr{}
		require.Equal(t, c, got)

		for _, change := range []func(c *auth.Credential){
			func(c *auth.Credential) { c.Metadata += " " },
			func(c *auth.Credential) {
				c.Metadata = auth.Metadata(strings.Replace(string(c.Metadata), "k=", "K=", 1))
			},
			func(c *auth.Credential) { c.Metadata = auth.Metadata(strings.TrimRight(string(c.Metadata), "🙂")) },
			func(c *auth.Credential) { c.Networks += " " },
			func(c *auth.Credential) { c.Networks = auth.Networks(strings.ToUpper(string(c.Networks))) },
			func(c *auth.Credential) { c.Name = strings.ToUpper(c.Name) },
			func(c *auth.Credential) { c.Scopes = "A" },
		} {
			other := c
			change(&other)
			require.ErrorIs(t, store.Update(ctx, other, c), auth.ErrConflict)
			next := c
			next.ID, next.Digest[0] = "01M8HZ7W3YH1B0QNZ06K015XPB", c.Digest[0]+1
			require.ErrorIs(t, store.Rotate(ctx, other, next, time.Time{}), auth.ErrConflict)
		}
		require.NoError(t, store.Update(ctx, c, c))
	})
}
