package integration

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/redisstore"
)

// dropped creates a record of a user that Redis then removes, and returns one of another user
// with the same digest. The indexes still name the first.
func dropped(t *testing.T, store auth.Store, client rueidis.Client, prefix, userID, nextUserID string) (first, next auth.Credential) {
	t.Helper()
	first = record(auth.KindToken, userID)
	first.CreatedAt, first.ExpiresAt = first.CreatedAt.Add(-48*time.Hour), first.CreatedAt.Add(-time.Hour)
	kept := record(auth.KindToken, userID) // so that the user's indexes stay
	require.NoError(t, store.Create(t.Context(), kept, 0))
	require.NoError(t, store.Create(t.Context(), first, 0))
	require.NoError(t, client.Do(t.Context(), client.B().Unlink().Key(prefix+"c:"+string(first.Digest[:])).Build()).Error())
	next = record(auth.KindToken, nextUserID)
	next.Digest, next.ExpiresAt = first.Digest, time.Time{}
	require.NoError(t, store.Create(t.Context(), next, 0))
	return first, next
}

// A token that never expires stays, even if an earlier record with its digest had expired.
func TestStore_purgeKeepsReusedDigest(t *testing.T) {
	t.Parallel()
	store, client, prefix := openRedisStore(t, redisstore.Config{})
	for _, userID := range []string{"alice", "bob"} {
		first, next := dropped(t, store, client, prefix, "alice", userID)
		_, err := store.Purge(t.Context(), first.ExpiresAt.Add(time.Minute))
		require.NoError(t, err)
		require.NoError(t, lookup(t, store, next))
		page, err := store.Scan(t.Context(), auth.ScanQuery{ExpiresFrom: time.Now().AddDate(1, 0, 0)})
		require.NoError(t, err)
		require.Contains(t, page.Credentials, next)
		require.NoError(t, store.Revoke(t.Context(), next.Ref()))
		_, err = store.Purge(t.Context(), time.Now().Add(time.Minute))
		require.NoError(t, err)
	}
}

// Purge reads from the records when they expired or were revoked: the indexes can be wrong
// about it.
func TestStore_purgeComparesRecords(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	store, client, prefix := openRedisStore(t, redisstore.Config{})
	live, revoked := record(auth.KindToken, "alice"), record(auth.KindToken, "alice")
	for _, c := range []auth.Credential{live, revoked} {
		require.NoError(t, store.Create(ctx, c, 0))
	}
	require.NoError(t, store.Revoke(ctx, revoked.Ref()))
	for index, c := range map[string]auth.Credential{"expiry": live, "revoked": revoked} {
		zadd := client.B().Zadd().Key(prefix+index).ScoreMember().ScoreMember(1, string(c.Digest[:])).Build()
		require.NoError(t, client.Do(ctx, zadd).Error())
	}
	n, err := store.Purge(ctx, time.Now().Add(-time.Minute))
	require.NoError(t, err)
	require.Zero(t, n)
	require.NoError(t, lookup(t, store, live))
	require.ErrorIs(t, lookup(t, store, revoked), auth.ErrRevoked)
	n, err = store.Purge(ctx, time.Now().Add(2*time.Hour))
	require.NoError(t, err)
	require.Equal(t, 2, n, "the entries have been corrected")
	require.Empty(t, redisKeys(t, client, prefix))
}

// A corrupt record or tombstone does not keep Purge from removing the others, and does not
// make it call the server again and again.
func TestStore_purgeSkipsCorruptRecords(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	store, client, prefix := openRedisStore(t, redisstore.Config{})
	for n, cut := range []int{2, 30, 50, 134, 140, 165, 185, 1000} { // bytes that are left
		for _, revoked := range []bool{false, true} {
			c := record(auth.KindToken, fmt.Sprint("user-", n))
			require.NoError(t, store.Create(ctx, c, 0))
			if revoked {
				require.NoError(t, store.Revoke(ctx, c.Ref()))
			}
			key := prefix + "c:" + string(c.Digest[:])
			text, err := client.Do(ctx, client.B().Get().Key(key).Build()).ToString()
			require.NoError(t, err)
			corrupt := text[:min(cut, len(text))]
			if cut == 1000 { // no digits
				corrupt = text[:2] + strings.Repeat("x", len(text)-2)
			}
			require.NoError(t, client.Do(ctx, client.B().Set().Key(key).Value(corrupt).Build()).Error())
		}
	}
	live, revoked := record(auth.KindToken, "alice"), record(auth.KindToken, "alice")
	for _, c := range []auth.Credential{live, revoked} {
		require.NoError(t, store.Create(ctx, c, 0))
	}
	require.NoError(t, store.Revoke(ctx, revoked.Ref()))
	_, err := store.Purge(ctx, time.Now().Add(2*time.Hour))
	require.NoError(t, err)
	for _, c := range []auth.Credential{live, revoked} {
		_, err := store.Uncached().Lookup(ctx, c.Kind, c.Digest)
		require.Equal(t, auth.ErrNotFound, err)
	}
	for _, key := range []string{"expiry", "revoked"} {
		require.False(t, exists(t, client, prefix+key), "the next Purge has no more to do")
	}
	require.False(t, slices.ContainsFunc(redisKeys(t, client, prefix), func(key string) bool { return strings.HasSuffix(key, ":alice") }))
}

// A user never reaches another user's record, although an index of the one still names the
// digest that the other one has now.
func TestStore_reusedDigestOfAnotherUser(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	store, client, prefix := openRedisStore(t, redisstore.Config{})
	first, next := dropped(t, store, client, prefix, "alice", "bob")
	_, err := store.Get(ctx, first.Ref())
	require.ErrorIs(t, err, auth.ErrNotFound)
	require.Len(t, ids(t, store, "alice"), 1)
	require.ErrorIs(t, store.Revoke(ctx, first.Ref()), auth.ErrNotFound)
	require.ErrorIs(t, store.Update(ctx, first, first), auth.ErrNotFound)
	n, err := store.RevokeAll(ctx, auth.KindToken, "alice")
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.NoError(t, lookup(t, store, next))
	require.True(t, ids(t, store, "bob")[next.ID])
}
