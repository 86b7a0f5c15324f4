package integration

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/redisstore"
)

// Redis answers a script on one connection and tells of the change on another,
// often later. What this process has changed it must not serve meanwhile.
func TestRedisChangeIsSeenAtOnce(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	store, _, _ := openRedisStore(t)
	const trials = 1500
	lookup := func(c auth.Credential) (*auth.Credential, error) { return store.Lookup(ctx, c.Kind, c.Digest) }
	tests := []struct {
		name   string
		change func(t *testing.T, c auth.Credential) auth.Credential
		seen   func(got *auth.Credential, err error) bool
	}{
		{"revoked", func(t *testing.T, c auth.Credential) auth.Credential {
			require.NoError(t, store.Revoke(ctx, c.Ref()))
			return c
		}, isGone},
		{"all revoked", func(t *testing.T, c auth.Credential) auth.Credential {
			n, err := store.RevokeAll(ctx, c.Kind, c.UserID)
			require.NoError(t, err)
			require.Equal(t, 1, n)
			return c
		}, isGone},
		{"rotated", func(t *testing.T, c auth.Credential) auth.Credential {
			require.NoError(t, store.Rotate(ctx, c.Ref(), record(c.Kind, c.UserID), time.Time{}))
			return c
		}, isGone},
		{"revoked with what replaced it", func(t *testing.T, c auth.Credential) auth.Credential {
			next := rotated(t, store, c)
			require.NoError(t, store.Revoke(ctx, next.Ref()))
			return c
		}, isGone},
		{"ended by the next rotation", func(t *testing.T, c auth.Credential) auth.Credential {
			next := rotated(t, store, c)
			rotated(t, store, next)
			return c
		}, isGone},
		{"superseded", func(t *testing.T, c auth.Credential) auth.Credential {
			next := record(c.Kind, c.UserID)
			require.NoError(t, store.Rotate(ctx, c.Ref(), next, next.CreatedAt.Add(time.Minute)))
			return c
		}, func(c *auth.Credential, err error) bool { return err == nil && c.Superseded }},
		{"used", func(t *testing.T, c auth.Credential) auth.Credential {
			require.NoError(t, store.Touch(ctx, []auth.Use{{Ref: c.Ref(), Digest: c.Digest, At: time.Now()}}))
			return c
		}, func(c *auth.Credential, err error) bool { return err == nil && !c.LastUsedAt.IsZero() }},
		{"created", func(t *testing.T, c auth.Credential) auth.Credential {
			c = record(c.Kind, c.UserID)
			for range 3 { // it is known to be unknown
				_, err := lookup(c)
				require.ErrorIs(t, err, auth.ErrNotFound)
			}
			require.NoError(t, store.Create(ctx, c, 0))
			return c
		}, func(_ *auth.Credential, err error) bool { return err == nil }},
		{"created by a rotation", func(t *testing.T, c auth.Credential) auth.Credential {
			next := record(c.Kind, c.UserID)
			_, err := lookup(next)
			require.ErrorIs(t, err, auth.ErrNotFound)
			require.NoError(t, store.Rotate(ctx, c.Ref(), next, time.Time{}))
			return next
		}, func(_ *auth.Credential, err error) bool { return err == nil }},
		{"purged", func(t *testing.T, c auth.Credential) auth.Credential {
			_, err := store.Purge(ctx, c.ExpiresAt.Add(time.Second))
			require.NoError(t, err)
			return c
		}, isGone},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for n := range trials {
				c := record(auth.KindToken, fmt.Sprint("user-", tt.name, n))
				require.NoError(t, store.Create(ctx, c, 0))
				_, err := lookup(c) // now it is in the client's cache
				require.NoError(t, err)
				c = tt.change(t, c)
				got, err := lookup(c)
				require.True(t, tt.seen(got, err), "trial %d: %+v, %v", n, got, err)
			}
		})
	}
}

// rotated replaces a credential, with an overlap, and has it cached as it is then.
func rotated(t *testing.T, store auth.Store, c auth.Credential) auth.Credential {
	t.Helper()
	next := record(c.Kind, c.UserID)
	next.Previous = c.ID
	require.NoError(t, store.Rotate(t.Context(), c.Ref(), next, next.CreatedAt.Add(time.Minute)))
	require.Eventually(t, func() bool {
		got, err := store.Lookup(t.Context(), c.Kind, c.Digest)
		return err == nil && got.Superseded
	}, 5*time.Second, time.Microsecond)
	return next
}

func isGone(_ *auth.Credential, err error) bool { return errors.Is(err, auth.ErrNotFound) }

// Another process hears of it from Redis.
func TestRedisRevocationReachesOtherProcesses(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	here, _, prefix := openRedisStore(t)
	there := redisStoreOver(t, redisOption(t), prefix)
	var delays []time.Duration
	for range 500 {
		c := record(auth.KindSession, "alice")
		require.NoError(t, here.Create(ctx, c, 0))
		_, err := there.Lookup(ctx, c.Kind, c.Digest)
		require.NoError(t, err)
		require.NoError(t, here.Revoke(ctx, c.Ref()))
		delays = append(delays, refusedAfter(t, there, c))
	}
	slices.Sort(delays)
	t.Logf("refused after %v in the middle, %v at the most", delays[len(delays)/2], delays[len(delays)-1])
}

// refusedAfter asks until a store refuses what was revoked elsewhere.
func refusedAfter(t *testing.T, store auth.Store, c auth.Credential) time.Duration {
	t.Helper()
	start := time.Now()
	for {
		_, err := store.Lookup(t.Context(), c.Kind, c.Digest)
		switch {
		case errors.Is(err, auth.ErrNotFound):
			return time.Since(start)
		case time.Since(start) > 5*time.Second:
			t.Fatalf("%v after it was revoked it is still served", time.Since(start))
		case err != nil:
			t.Logf("an outage: %v", err)
		}
	}
}

// A network that loses packets tells nobody: what is cached is served for five
// seconds more, and then not.
func TestRedisThatFallsSilent(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	here, _, prefix := openRedisStore(t)
	option, p := redisThroughProxy(t)
	option.ConnWriteTimeout = 20 * time.Second // the connection itself is not given up
	there := redisStoreOver(t, option, prefix)
	c := record(auth.KindToken, "alice")
	require.NoError(t, here.Create(ctx, c, 0))
	_, err := there.Lookup(ctx, c.Kind, c.Digest)
	require.NoError(t, err)
	loaded := time.Now()
	p.hang(0, true)
	require.NoError(t, here.Revoke(ctx, c.Ref()))
	served := false
	for time.Since(loaded) < 5*time.Second {
		began := time.Now()
		if _, err := there.Lookup(ctx, c.Kind, c.Digest); err == nil {
			served = true
			require.Less(t, began.Sub(loaded), 5*time.Second)
		} else {
			outage(t, err)
		}
	}
	require.True(t, served, "it is a cache")
	for range 3 {
		start := time.Now()
		_, err = there.Lookup(ctx, c.Kind, c.Digest)
		outage(t, err)
		require.Less(t, time.Since(start), 5*time.Second, "it does not wait for ever")
	}
	p.resume()
	resumed := time.Now()
	for err = errors.New("not asked yet"); !errors.Is(err, auth.ErrNotFound); {
		_, err = there.Lookup(ctx, c.Kind, c.Digest)
		require.Error(t, err)
		require.Less(t, time.Since(resumed), 5*time.Second, "it recovers")
	}
}

// What happens while a connection is down, nobody is told: its cache goes with it.
func TestRedisConnectionThatIsLost(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	here, _, prefix := openRedisStore(t)
	option, p := redisThroughProxy(t)
	there := redisStoreOver(t, option, prefix)
	for range 50 {
		c := record(auth.KindToken, "alice")
		require.NoError(t, here.Create(ctx, c, 0))
		_, err := there.Lookup(ctx, c.Kind, c.Digest)
		require.NoError(t, err)
		p.hang(0, true) // so that Redis cannot tell before it is cut
		require.NoError(t, here.Revoke(ctx, c.Ref()))
		p.cut()
		p.resume()
		start := time.Now()
		for err = nil; !errors.Is(err, auth.ErrNotFound); {
			asked := time.Since(start)
			_, err = there.Lookup(ctx, c.Kind, c.Digest)
			require.False(t, err == nil && asked > time.Second, "still served after %v", asked)
			require.Less(t, asked, 5*time.Second, "not back: %v", err)
		}
	}
}

// The answer of a revocation is lost. Nobody knows whether it was made, so this
// process asks Redis until nothing that it has cached can count.
func TestRedisRevocationWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	here, client, prefix := openRedisStore(t)
	option, p := redisThroughProxy(t)
	store := redisStoreOver(t, option, prefix, redisstore.Config{Timeout: 200 * time.Millisecond})
	made := 0
	for range 10 {
		c := record(auth.KindToken, "alice")
		require.NoError(t, here.Create(ctx, c, 0))
		_, err := store.Lookup(ctx, c.Kind, c.Digest)
		require.NoError(t, err)
		p.hang(0, true)
		outage(t, store.Revoke(ctx, c.Ref()))
		_, err = store.Lookup(ctx, c.Kind, c.Digest)
		require.Error(t, err)
		// Where it was connecting anew, Redis was never asked.
		text, err := client.Do(ctx, client.B().Get().Key(prefix+"c:"+string(c.Digest[:])).Build()).ToString()
		require.NoError(t, err)
		p.resume()
		if text[0] == '1' {
			continue
		}
		made++
		require.Eventually(t, func() bool {
			_, err = store.Lookup(ctx, c.Kind, c.Digest)
			require.Error(t, err)
			return errors.Is(err, auth.ErrNotFound)
		}, 5*time.Second, time.Millisecond)
	}
	require.NotZero(t, made)
}

func redisStoreOver(t *testing.T, option rueidis.ClientOption, prefix string, cfg ...redisstore.Config) *redisstore.Store {
	t.Helper()
	store, err := redisstore.New(openRedis(t, option), withPrefix(prefix, cfg))
	require.NoError(t, err)
	return store
}

// redisThroughProxy names the server as it is behind a proxy.
func redisThroughProxy(t *testing.T) (rueidis.ClientOption, *proxy) {
	t.Helper()
	option := redisOption(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := newProxy(l, "tcp", option.InitAddress[0])
	t.Cleanup(func() {
		p.resume()
		l.Close()
	})
	option.InitAddress, option.ConnWriteTimeout = []string{p.address()}, 2*time.Second
	return option, p
}
