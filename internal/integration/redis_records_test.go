package integration

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/redisstore"
)

var redisCorruptions = []struct {
	name    string
	corrupt func(record string) string
	want    error
}{
	{"empty", func(string) string { return "" }, auth.ErrUnavailable},
	{"a word", func(string) string { return "yes" }, auth.ErrUnavailable},
	{"truncated", func(r string) string { return r[:len(r)/2] }, auth.ErrUnavailable},
	{"too long", func(r string) string { return r + "*" }, auth.ErrUnavailable},
	{"a wildcard among others", replace("notes:read", "* ntes:rea"), auth.ErrUnavailable},
	{"a wildcard with a space", replace("00010notes:read", "00002 *"), auth.ErrUnavailable},
	{"no user ID", replace("00005alice", "00000"), auth.ErrUnavailable},
	{"another kind", func(r string) string { return r[:1] + "3" + r[2:] }, auth.ErrInvalidCredential},
	{"no kind", func(r string) string { return r[:1] + "0" + r[2:] }, auth.ErrUnavailable},
	{"an invalid time", func(r string) string { return r[:24] + "9" + r[25:] }, auth.ErrUnavailable},
	{"a blank time", func(r string) string { return r[:24] + strings.Repeat(" ", 20) + r[44:] }, auth.ErrUnavailable},
	{"an expiry of zero", func(r string) string { return r[:24] + strings.Repeat("0", 20) + r[44:] }, auth.ErrUnavailable},
	{"an unknown kind of address", func(r string) string { return r[:64] + "5" + r[65:] }, auth.ErrUnavailable},
	{"another digest", func(r string) string { return r[:98] + strings.Repeat("x", 32) + r[130:] }, auth.ErrUnavailable},
	{"revoked", func(r string) string { return "01" + r[4:24] + r[130:171] }, auth.ErrInvalidCredential},
	{"revoked, without an owner", func(r string) string { return "01" + r[4:24] }, auth.ErrUnavailable},
}

// Records that another program has corrupted authenticate no request, and never grant full
// access.
func TestAuthenticate_corruptRedisRecord(t *testing.T) {
	t.Parallel()
	store, client, prefix := openRedisStore(t, redisstore.Config{})
	bearer := newBearer(t, store)
	create := func(t *testing.T) (plaintext, key, record string) {
		t.Helper()
		plaintext, c, err := bearer.Issue(t.Context(), "alice",
			auth.TokenOptions{Name: "script", Scopes: []string{"notes:read"}, Lifetime: time.Hour})
		require.NoError(t, err)
		key = prefix + "c:" + string(c.Digest[:])
		record, err = client.Do(t.Context(), client.B().Get().Key(key).Build()).ToString()
		require.NoError(t, err)
		return plaintext, key, record
	}
	for _, tt := range redisCorruptions {
		t.Run(tt.name, func(t *testing.T) {
			plaintext, key, record := create(t)
			corrupt := tt.corrupt(record)
			require.NotEqual(t, record, corrupt)
			require.NoError(t, client.Do(t.Context(), client.B().Set().Key(key).Value(corrupt).Build()).Error())
			require.ErrorIs(t, authenticateToken(bearer, plaintext), tt.want)
		})
	}
	t.Run("a key of another type", func(t *testing.T) {
		plaintext, key, _ := create(t)
		require.NoError(t, client.Do(t.Context(), client.B().Unlink().Key(key).Build()).Error())
		require.NoError(t, client.Do(t.Context(), client.B().Rpush().Key(key).Element("*").Build()).Error())
		require.ErrorIs(t, authenticateToken(bearer, plaintext), auth.ErrUnavailable)
	})
}

func replace(old, with string) func(string) string {
	return func(record string) string { return strings.Replace(record, old, with, 1) }
}

// Redis removes expired records without Purge, and their entries in the indexes do not
// accumulate.
func TestRedisStore_removesExpiredRecords(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	store, client, prefix := openRedisStore(t, redisstore.Config{})
	// expired returns an expired session whose retention ends soon.
	expired := func(soon time.Duration) auth.Credential {
		c := record(auth.KindSession, "alice")
		c.CreatedAt, c.ExpiresAt = c.CreatedAt.Add(-48*time.Hour), time.Now().Add(soon-26*time.Hour)
		return c
	}
	first := expired(2 * time.Second)
	require.NoError(t, store.Create(ctx, first, 0))
	_, err := store.Lookup(ctx, first.Kind, first.Digest)
	require.NoError(t, err, "stores keep expired records; authenticators reject them")
	require.Eventually(t, func() bool { return !exists(t, client, prefix+"c:"+string(first.Digest[:])) },
		10*time.Second, time.Millisecond)
	require.Eventually(t, func() bool {
		_, err := store.Lookup(ctx, first.Kind, first.Digest)
		return err != nil
	}, 5*time.Second, time.Millisecond)
	list, err := store.List(ctx, auth.KindSession, "alice", auth.Page{})
	require.NoError(t, err)
	require.Empty(t, list)

	for range 1000 {
		require.NoError(t, store.Create(ctx, expired(50*time.Millisecond), 0))
	}
	kept := record(auth.KindSession, "alice")
	require.NoError(t, store.Create(ctx, kept, 0))
	require.Eventually(t, func() bool { // they are removed, and each Create sweeps the indexes
		c := record(auth.KindSession, "alice")
		require.NoError(t, store.Create(ctx, c, 0))
		require.NoError(t, store.Revoke(ctx, c.Ref()))
		return length(t, client, prefix+"u:2:alice") == 1 && length(t, client, prefix+"expiry") == 1
	}, 10*time.Second, time.Microsecond)
	_, err = store.Lookup(ctx, kept.Kind, kept.Digest)
	require.NoError(t, err)
}

// Removed records do not count toward a limit, and do not make a secret current.
func TestRedisStore_recordsRemovedElsewhere(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	store, client, prefix := openRedisStore(t, redisstore.Config{})
	for _, kind := range []auth.Kind{auth.KindToken, auth.KindSecret} {
		c := record(kind, "alice")
		require.NoError(t, store.Create(ctx, c, 1))
		require.NoError(t, client.Do(ctx, client.B().Unlink().Key(prefix+"c:"+string(c.Digest[:])).Build()).Error())
		require.NoError(t, store.Create(ctx, record(kind, "alice"), 1))
		require.ErrorIs(t, store.Revoke(ctx, c.Ref()), auth.ErrNotFound)
		n, err := store.RevokeAll(ctx, kind, "alice")
		require.NoError(t, err)
		require.Equal(t, 1, n)
	}
}

// No key is left when everything has been revoked and purged.
func TestRedisStore_purgeLeavesNothing(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	store, client, prefix := openRedisStore(t, redisstore.Config{})
	u := newUser(t, store)
	for kind := auth.KindToken; kind <= auth.KindSecret; kind++ {
		_, err := store.RevokeAll(ctx, kind, u.userID)
		require.NoError(t, err)
	}
	require.NotEmpty(t, redisKeys(t, client, prefix))
	n, err := store.Purge(ctx, time.Now().Add(time.Minute))
	require.NoError(t, err)
	require.Equal(t, 5, n) // four tokens and a secret; revoked sessions leave nothing
	require.Empty(t, redisKeys(t, client, prefix))
}

func exists(t *testing.T, client rueidis.Client, key string) bool {
	t.Helper()
	n, err := client.Do(context.Background(), client.B().Exists().Key(key).Build()).AsInt64()
	require.NoError(t, err)
	return n == 1
}

func length(t *testing.T, client rueidis.Client, key string) int64 {
	t.Helper()
	n, err := client.Do(context.Background(), client.B().Zcard().Key(key).Build()).AsInt64()
	require.NoError(t, err)
	return n
}

// Recheck and RevokePlaintext look up in Redis itself.
func TestRedisStore_uncached(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	store, _, _ := openRedisStore(t, redisstore.Config{})
	direct := store.Uncached()
	_, again := direct.(interface{ Uncached() auth.Store })
	require.False(t, again, "there is nothing behind it")
	c := record(auth.KindToken, "alice")
	_, err := direct.Lookup(ctx, c.Kind, c.Digest)
	require.ErrorIs(t, err, auth.ErrNotFound)
	require.NoError(t, store.Create(ctx, c, 0))
	found, err := direct.Lookup(ctx, c.Kind, c.Digest)
	require.NoError(t, err)
	require.Equal(t, c.ID, found.ID)
	require.NoError(t, store.Revoke(ctx, c.Ref()))
	_, err = direct.Lookup(ctx, c.Kind, c.Digest)
	require.ErrorIs(t, err, auth.ErrRevoked)
}
