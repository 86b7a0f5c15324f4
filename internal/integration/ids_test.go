package integration

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/redisstore"
	"github.com/seed-31c5bcb2/auth/sqlstore"
)

// eachPair runs a test with two stores, like those of two processes, that share a database.
func eachPair(t *testing.T, test func(t *testing.T, a, b auth.Store)) {
	each(t, func(t *testing.T, d database) {
		source := d.make(t)
		a := d.over(t, source.open(t))
		b, err := sqlstore.New(source.open(t), d.dialect, sqlstore.Config{Timeout: patience})
		require.NoError(t, err)
		t.Cleanup(func() { b.Close() })
		test(t, a, b)
	})
	t.Run("Redis", func(t *testing.T) {
		t.Parallel()
		a, _, prefix := openRedisStore(t, redisstore.Config{Timeout: patience})
		b, err := redisstore.New(openRedis(t, redisOption(t)), redisstore.Config{Timeout: patience, Prefix: prefix})
		require.NoError(t, err)
		test(t, a, b)
	})
}

// A form that is sent twice may reach two processes, and the second one after the token of
// the first was revoked.
func TestStore_idsAcrossProcesses(t *testing.T) {
	t.Parallel()
	eachPair(t, func(t *testing.T, a, b auth.Store) {
		ctx := t.Context()
		for _, kind := range []auth.Kind{auth.KindToken, auth.KindSecret} {
			c := record(kind, "alice")
			again := record(kind, c.UserID)
			again.ID = c.ID
			require.NoError(t, a.Create(ctx, c, 0))
			require.ErrorIs(t, b.Create(ctx, again, 1), auth.ErrConflict)
			require.NoError(t, a.Revoke(ctx, c.Ref()))
			require.ErrorIs(t, b.Create(ctx, again, 1), auth.ErrConflict)
			other := record(kind, c.UserID)
			require.NoError(t, a.Create(ctx, other, 1))
			require.ErrorIs(t, b.Rotate(ctx, other, again, time.Time{}), auth.ErrConflict)
			require.NoError(t, lookup(t, b, other))
			require.NoError(t, b.Revoke(ctx, other.Ref()))
			n, err := b.Purge(ctx, time.Now().Add(time.Minute))
			require.NoError(t, err)
			require.Equal(t, 2, n)
			require.NoError(t, a.Create(ctx, again, 1))
			require.NoError(t, lookup(t, b, again))
		}
	})
}

func TestStore_concurrentIDAcrossProcesses(t *testing.T) {
	t.Parallel()
	eachPair(t, func(t *testing.T, a, b auth.Store) {
		ctx, stores := t.Context(), []auth.Store{a, b}
		for n := range 10 {
			first := record(auth.KindToken, fmt.Sprint("user-", n))
			const creations = 10
			errs := make(chan error, creations+2)
			for i := range creations {
				c := record(first.Kind, first.UserID)
				c.ID = first.ID
				go func() { errs <- stores[i%2].Create(ctx, c, n%2) }()
			}
			for i := range 2 { // revokes the record as soon as there is one, if it is soon
				go func() {
					err := stores[i].Revoke(ctx, first.Ref())
					if errors.Is(err, auth.ErrNotFound) {
						err = nil
					}
					errs <- err
				}()
			}
			succeeded, conflicts := 0, 0
			for range cap(errs) {
				switch err := <-errs; {
				case err == nil:
					succeeded++
				case errors.Is(err, auth.ErrConflict):
					conflicts++
				default:
					require.NoError(t, err)
				}
			}
			require.Equal(t, 1+2, succeeded, "one Create and each Revoke")
			require.Equal(t, creations-1, conflicts)
		}
	})
}

// Purge removes the IDs of revoked records in batches, whatever the user is called.
func TestRedisStore_purgesRevokedIDs(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	store, client, prefix := openRedisStore(t, redisstore.Config{Timeout: patience})
	const tokens = 1100 // more than two batches
	for _, userID := range []string{"alice", "1:alice\x00\n%"} {
		for range tokens {
			require.NoError(t, store.Create(ctx, record(auth.KindToken, userID), 0))
		}
		n, err := store.RevokeAll(ctx, auth.KindToken, userID)
		require.NoError(t, err)
		require.Equal(t, tokens, n)
		kept, err := client.Do(ctx, client.B().Hlen().Key(prefix+"r:1:"+userID).Build()).AsInt64()
		require.NoError(t, err)
		require.EqualValues(t, tokens, kept)
	}
	n, err := store.Purge(ctx, time.Now().Add(time.Minute))
	require.NoError(t, err)
	require.Equal(t, 2*tokens, n)
	require.Empty(t, redisKeys(t, client, prefix))
}
