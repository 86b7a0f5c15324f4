package integration

import (
	"context"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/redisstore"
)

// What another program has written over a record lets nobody in, and is never
// taken for full access.
func TestRedisCorruptRecordsLetNobodyIn(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		spoil func(record string) string
		want  error
	}{
		{"nothing", func(string) string { return "" }, auth.ErrUnavailable},
		{"a word", func(string) string { return "yes" }, auth.ErrUnavailable},
		{"half of it", func(r string) string { return r[:len(r)/2] }, auth.ErrUnavailable},
		{"more than it", func(r string) string { return r + "*" }, auth.ErrUnavailable},
		{"a wildcard among others", replace("notes:read", "* ntes:rea"), auth.ErrUnavailable},
		{"a wildcard with a space", replace("00010notes:read", "00002 *"), auth.ErrUnavailable},
		{"no owner", replace("00005alice", "00000"), auth.ErrUnavailable},
		{"another kind", func(r string) string { return r[:1] + "3" + r[2:] }, auth.ErrInvalidCredential},
		{"no kind", func(r string) string { return r[:1] + "0" + r[2:] }, auth.ErrUnavailable},
		{"a time that is none", func(r string) string { return r[:23] + "9" + r[24:] }, auth.ErrUnavailable},
		{"a time of blanks", func(r string) string { return r[:23] + strings.Repeat(" ", 20) + r[43:] }, auth.ErrUnavailable},
		{"an expiry of zero", func(r string) string { return r[:23] + strings.Repeat("0", 20) + r[43:] }, auth.ErrUnavailable},
		{"another digest", func(r string) string { return r[:63] + strings.Repeat("x", 32) + r[95:] }, auth.ErrUnavailable},
		{"revoked", func(r string) string { return "01" + r[3:23] }, auth.ErrInvalidCredential},
	}
	store, client, prefix := openRedisStore(t)
	bearer, err := auth.NewBearer(store, auth.BearerConfig{})
	require.NoError(t, err)
	authenticate := func(plaintext string) error {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Authorization", "Bearer "+plaintext)
		_, err := new(auth.Middleware).Authenticate(r, bearer)
		return err
	}
	issue := func(t *testing.T) (plaintext, key, record string) {
		t.Helper()
		token := auth.NewToken{Name: "script", Scopes: []string{"notes:read"}, Lifetime: time.Hour}
		plaintext, c, err := bearer.Issue(t.Context(), "alice", token)
		require.NoError(t, err)
		key = prefix + "c:" + string(c.Digest[:])
		record, err = client.Do(t.Context(), client.B().Get().Key(key).Build()).ToString()
		require.NoError(t, err)
		return plaintext, key, record
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			plaintext, key, record := issue(t)
			spoilt := tt.spoil(record)
			require.NotEqual(t, record, spoilt)
			require.NoError(t, client.Do(t.Context(), client.B().Set().Key(key).Value(spoilt).Build()).Error())
			require.ErrorIs(t, authenticate(plaintext), tt.want)
		})
	}
	t.Run("a key of another type", func(t *testing.T) {
		plaintext, key, _ := issue(t)
		require.NoError(t, client.Do(t.Context(), client.B().Unlink().Key(key).Build()).Error())
		require.NoError(t, client.Do(t.Context(), client.B().Rpush().Key(key).Element("*").Build()).Error())
		require.ErrorIs(t, authenticate(plaintext), auth.ErrUnavailable)
	})
}

func replace(old, with string) func(string) string {
	return func(record string) string { return strings.Replace(record, old, with, 1) }
}

// Nobody has to call Purge for what has expired: Redis removes it, and the indexes
// do not grow by those that come and go.
func TestRedisRemovesWhatHasExpired(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	store, client, prefix := openRedisStore(t, redisstore.Config{Retention: time.Hour})
	// expired is one whose retention ends soon.
	expired := func(soon time.Duration) auth.Credential {
		c := record(auth.KindSession, "alice")
		c.CreatedAt, c.ExpiresAt = c.CreatedAt.Add(-2*time.Hour), time.Now().Add(soon-time.Hour)
		return c
	}
	first := expired(2 * time.Second)
	require.NoError(t, store.Create(ctx, first, 0))
	_, err := store.Lookup(ctx, first.Kind, first.Digest)
	require.NoError(t, err, "stores keep what has expired, and authenticators refuse it")
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
	require.Eventually(t, func() bool { // they have gone, and each that comes sweeps
		c := record(auth.KindSession, "alice")
		require.NoError(t, store.Create(ctx, c, 0))
		require.NoError(t, store.Revoke(ctx, c.Ref()))
		return length(t, client, prefix+"u:2:alice") == 1 && length(t, client, prefix+"expiring") == 1
	}, 10*time.Second, time.Microsecond)
	_, err = store.Lookup(ctx, kept.Kind, kept.Digest)
	require.NoError(t, err)
}

// A limit does not count them, nor is a secret current that is no more.
func TestRedisForgetsWhatWasRemovedElsewhere(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	store, client, prefix := openRedisStore(t)
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

// Once everything was revoked and purged, nothing is left.
func TestRedisPurgeLeavesNothing(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	store, client, prefix := openRedisStore(t)
	a := newAccount(t, store)
	for kind := auth.KindToken; kind <= auth.KindSecret; kind++ {
		_, err := store.RevokeAll(ctx, kind, a.userID)
		require.NoError(t, err)
	}
	require.NotEmpty(t, redisKeys(t, client, prefix))
	n, err := store.Purge(ctx, time.Now().Add(time.Minute))
	require.NoError(t, err)
	require.Equal(t, 5, n) // four tokens and a secret; of a session nothing was left
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
