package integration

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

// eachRevokeAll runs a test for a user with 2,000 sessions and one with 2,000 tokens, which
// RevokeAll revokes in three batches. f sees the statements of store, and not those of direct.
func eachRevokeAll(t *testing.T, test func(t *testing.T, f *faults, store, direct auth.Store, kind auth.Kind)) {
	each(t, func(t *testing.T, d database) {
		for name, kind := range map[string]auth.Kind{"sessions": auth.KindSession, "tokens": auth.KindToken} {
			t.Run(name, func(t *testing.T) {
				f, source := new(faults), d.make(t)
				db := source.open(t)
				direct := d.over(t, db)
				fillUser(t, d, db, kind, "alice", 2_000, false)
				// In MariaDB, the first lock of a user takes two transactions.
				absent := auth.Ref{Kind: kind, UserID: "alice", ID: "absent"}
				require.ErrorIs(t, direct.Revoke(t.Context(), absent), auth.ErrNotFound)
				test(t, f, d.over(t, source.openFaulty(t, f)), direct, kind)
			})
		}
	})
}

// idsOf returns the IDs of all records of a user, newest first.
func idsOf(t *testing.T, store auth.Store, kind auth.Kind, userID string) (ids []string) {
	t.Helper()
	for page := (auth.Page{Limit: 1000}); ; page.After = ids[len(ids)-1] {
		list, err := store.List(t.Context(), kind, userID, page)
		require.NoError(t, err)
		for _, c := range list {
			ids = append(ids, c.ID)
		}
		if len(list) < page.Max() {
			return ids
		}
	}
}

// Each batch is a transaction. After an error, the number of records that are revoked is
// returned, and the next call revokes the others.
func TestRevokeAll_batchesRemainAfterError(t *testing.T) {
	t.Parallel()
	eachRevokeAll(t, func(t *testing.T, f *faults, store, direct auth.Store, kind auth.Kind) {
		all := idsOf(t, direct, kind, "alice")
		require.Len(t, all, 2_000)
		ctx, cancel := context.WithCancel(t.Context())
		f.beforeTransaction(2, cancel)
		kept := all[len(all)-10]
		n, err := store.RevokeAll(ctx, kind, "alice", kept)
		requireOutage(t, err)
		require.Equal(t, 900, n)
		left := idsOf(t, direct, kind, "alice")
		require.Equal(t, append(all[:1_099:1_099], kept), left, "the lowest IDs are revoked first")

		f.executed()
		n, err = store.RevokeAll(t.Context(), kind, "alice", kept)
		require.NoError(t, err)
		require.Equal(t, 1_099, n)
		require.Equal(t, []string{kept}, idsOf(t, direct, kind, "alice"))
		commits := 0
		for _, s := range f.executed() {
			if strings.HasPrefix(s.query, "COMMIT") {
				commits++
			}
		}
		require.Equal(t, 3, commits, "two batches, and one that finds nothing else")
	})
}

// A record that is rotated between two batches does not leave a successor, wherever its ID is.
func TestRevokeAll_findsSuccessors(t *testing.T) {
	t.Parallel()
	eachRevokeAll(t, func(t *testing.T, f *faults, store, direct auth.Store, kind auth.Kind) {
		ctx := t.Context()
		high, low := record(kind, "alice"), record(kind, "alice")
		high.ID, low.ID = "z"+high.ID, "!"+low.ID
		f.beforeTransaction(2, func() {
			for i, next := range []auth.Credential{high, low} {
				old, err := direct.Get(ctx, auth.Ref{Kind: kind, UserID: "alice", ID: idsOf(t, direct, kind, "alice")[10+10*i]})
				if err != nil {
					t.Error(err)
					return
				}
				next.Previous = old.ID
				if err := direct.Rotate(ctx, old, next, next.CreatedAt.Add(time.Minute)); err != nil {
					t.Error(err)
				}
			}
		})
		n, err := store.RevokeAll(ctx, kind, "alice")
		require.NoError(t, err)
		require.Equal(t, 2_002, n)
		require.Empty(t, idsOf(t, direct, kind, "alice"))
		for _, c := range []auth.Credential{high, low} {
			_, err := direct.Lookup(ctx, kind, c.Digest)
			require.ErrorIs(t, err, map[auth.Kind]error{auth.KindSession: auth.ErrNotFound, auth.KindToken: auth.ErrRevoked}[kind])
		}
	})
}
