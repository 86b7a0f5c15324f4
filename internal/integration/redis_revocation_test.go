package integration

import (
	"context"
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

// A visibilityTest changes a credential, or creates another one, and returns the one whose
// change must be visible.
type visibilityTest struct {
	name    string
	change  func(t *testing.T, c auth.Credential) auth.Credential
	visible func(got *auth.Credential, err error) bool
}

// Redis answers a script on one connection and sends the invalidation on another, often
// later. This process must see its own changes in the meantime.
func TestRedisStore_changesAreVisibleAtOnce(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	store, _, _ := openRedisStore(t, redisstore.Config{})
	trials := 300
	if !testing.Short() && ci() {
		trials = 1500
	}
	for _, tt := range append(revocationTests(store), changeTests(store)...) {
		t.Run(tt.name, func(t *testing.T) {
			for n := range trials {
				c := record(auth.KindToken, fmt.Sprint("user-", tt.name, n))
				require.NoError(t, store.Create(ctx, c, 0))
				require.NoError(t, lookup(t, store, c)) // from now on the client caches it
				c = tt.change(t, c)
				got, err := store.Lookup(ctx, c.Kind, c.Digest)
				require.True(t, tt.visible(got, err), "trial %d: %+v, %v", n, got, err)
			}
		})
	}
}

func revocationTests(store auth.Store) []visibilityTest {
	return []visibilityTest{
		{"revoked", func(t *testing.T, c auth.Credential) auth.Credential {
			require.NoError(t, store.Revoke(t.Context(), c.Ref()))
			return c
		}, isNotFound},
		{"all revoked", func(t *testing.T, c auth.Credential) auth.Credential {
			n, err := store.RevokeAll(t.Context(), c.Kind, c.UserID)
			require.NoError(t, err)
			require.Equal(t, 1, n)
			return c
		}, isNotFound},
		{"rotated", func(t *testing.T, c auth.Credential) auth.Credential {
			require.NoError(t, store.Rotate(t.Context(), c, record(c.Kind, c.UserID), time.Time{}))
			return c
		}, isNotFound},
		{"revoked with the next one", func(t *testing.T, c auth.Credential) auth.Credential {
			next := rotate(t, store, c)
			require.NoError(t, store.Revoke(t.Context(), next.Ref()))
			return c
		}, isNotFound},
		{"revoked by the next rotation", func(t *testing.T, c auth.Credential) auth.Credential {
			rotate(t, store, rotate(t, store, c))
			return c
		}, isNotFound},
		{"purged", func(t *testing.T, c auth.Credential) auth.Credential {
			_, err := store.Purge(t.Context(), c.ExpiresAt.Add(time.Second))
			require.NoError(t, err)
			return c
		}, isNotFound},
	}
}

func changeTests(store auth.Store) []visibilityTest {
	return []visibilityTest{
		{"superseded", func(t *testing.T, c auth.Credential) auth.Credential {
			next := record(c.Kind, c.UserID)
			require.NoError(t, store.Rotate(t.Context(), c, next, next.CreatedAt.Add(time.Minute)))
			return c
		}, func(c *auth.Credential, err error) bool { return err == nil && c.Superseded }},
		{"used", func(t *testing.T, c auth.Credential) auth.Credential {
			require.NoError(t, store.Touch(t.Context(), []auth.Use{{Ref: c.Ref(), Digest: c.Digest, At: time.Now()}}))
			return c
		}, func(c *auth.Credential, err error) bool { return err == nil && !c.LastUsedAt.IsZero() }},
		{"created", func(t *testing.T, c auth.Credential) auth.Credential {
			c = record(c.Kind, c.UserID)
			for range 3 { // from now on the client caches that it is unknown
				require.ErrorIs(t, lookup(t, store, c), auth.ErrNotFound)
			}
			require.NoError(t, store.Create(t.Context(), c, 0))
			return c
		}, isFound},
		{"created by a rotation", func(t *testing.T, c auth.Credential) auth.Credential {
			next := record(c.Kind, c.UserID)
			require.ErrorIs(t, lookup(t, store, next), auth.ErrNotFound)
			require.NoError(t, store.Rotate(t.Context(), c, next, time.Time{}))
			return next
		}, isFound},
	}
}

// rotate replaces a credential with a grace period, and waits until the client has cached
// it as superseded.
func rotate(t *testing.T, store auth.Store, c auth.Credential) auth.Credential {
	t.Helper()
	next := record(c.Kind, c.UserID)
	next.Previous = c.ID
	require.NoError(t, store.Rotate(t.Context(), c, next, next.CreatedAt.Add(time.Minute)))
	require.Eventually(t, func() bool {
		got, err := store.Lookup(t.Context(), c.Kind, c.Digest)
		return err == nil && got.Superseded
	}, 5*time.Second, time.Microsecond)
	return next
}

func isFound(_ *auth.Credential, err error) bool    { return err == nil }
func isNotFound(_ *auth.Credential, err error) bool { return errors.Is(err, auth.ErrNotFound) }

// Redis sends invalidations to other processes.
func TestRedisStore_revocationReachesOtherProcesses(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	here, _, prefix := openRedisStore(t, redisstore.Config{})
	there := redisStoreOver(t, redisOption(t), redisstore.Config{Prefix: prefix})
	var delays []time.Duration
	for range 500 {
		c := record(auth.KindSession, "alice")
		require.NoError(t, here.Create(ctx, c, 0))
		_, err := there.Lookup(ctx, c.Kind, c.Digest)
		require.NoError(t, err)
		require.NoError(t, here.Revoke(ctx, c.Ref()))
		delays = append(delays, rejectedAfter(t, there, c))
	}
	slices.Sort(delays)
	t.Logf("rejected after: median %v, maximum %v", delays[len(delays)/2], delays[len(delays)-1])
}

// rejectedAfter returns how long a store serves a credential that was revoked elsewhere.
func rejectedAfter(t *testing.T, store auth.Store, c auth.Credential) time.Duration {
	t.Helper()
	start := time.Now()
	for {
		_, err := store.Lookup(t.Context(), c.Kind, c.Digest)
		switch {
		case errors.Is(err, auth.ErrNotFound):
			return time.Since(start)
		case time.Since(start) > 5*time.Second:
			t.Fatalf("still served %v after its revocation", time.Since(start))
		case err != nil:
			t.Logf("outage: %v", err)
		}
	}
}

// The network loses all packets without closing the connection. Cached credentials are
// served for at most five seconds.
func TestRedisStore_silentServer(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	here, _, prefix := openRedisStore(t, redisstore.Config{})
	option, p := redisThroughProxy(t)
	option.ConnWriteTimeout = 20 * time.Second // so that the client keeps the connection
	there := redisStoreOver(t, option, redisstore.Config{Prefix: prefix})
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
			requireOutage(t, err)
		}
		time.Sleep(time.Millisecond) // leaves the processor to other tests
	}
	require.True(t, served, "it is cached")
	for range 3 {
		start := time.Now()
		_, err = there.Lookup(ctx, c.Kind, c.Digest)
		requireOutage(t, err)
		require.Less(t, time.Since(start), 5*time.Second, "Lookup returns")
	}
	p.resume()
	resumed := time.Now()
	for err = errors.New("not called yet"); !errors.Is(err, auth.ErrNotFound); {
		_, err = there.Lookup(ctx, c.Kind, c.Digest)
		require.Error(t, err)
		require.Less(t, time.Since(resumed), 5*time.Second, "the store recovers")
	}
}

// A lost connection misses invalidations, so its cache is dropped.
func TestRedisStore_lostConnection(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	here, _, prefix := openRedisStore(t, redisstore.Config{})
	option, p := redisThroughProxy(t)
	there := redisStoreOver(t, option, redisstore.Config{Prefix: prefix})
	for range 50 {
		c := record(auth.KindToken, "alice")
		require.NoError(t, here.Create(ctx, c, 0))
		_, err := there.Lookup(ctx, c.Kind, c.Digest)
		require.NoError(t, err)
		p.hang(0, true) // so that the invalidation is lost
		require.NoError(t, here.Revoke(ctx, c.Ref()))
		p.cut()
		p.resume()
		start := time.Now()
		for err = nil; !errors.Is(err, auth.ErrNotFound); {
			elapsed := time.Since(start)
			_, err = there.Lookup(ctx, c.Kind, c.Digest)
			require.False(t, err == nil && elapsed > time.Second, "still served after %v", elapsed)
			require.Less(t, elapsed, 5*time.Second, "the store does not recover: %v", err)
		}
	}
}

// An unansweredClient makes the changes of a store over another connection, and loses their
// answers.
type unansweredClient struct {
	rueidis.Client
	direct rueidis.Client
}

func (c *unansweredClient) Do(ctx context.Context, cmd rueidis.Completed) rueidis.RedisResult {
	if cmd.Commands()[0] != "EVALSHA" {
		return c.Client.Do(ctx, cmd)
	}
	if err := c.direct.Do(context.WithoutCancel(ctx), cmd).NonRedisError(); err != nil {
		return rueidis.NewErrorResult(err)
	}
	return rueidis.NewErrorResult(context.DeadlineExceeded)
}

// The answer to a revocation is lost, so it may have been made or not. This process then
// asks Redis, until no cached credential can be served any more.
func TestRedisStore_revocationWithoutAnswer(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	here, direct, prefix := openRedisStore(t, redisstore.Config{Timeout: patience})
	scriptsAreLoaded := record(auth.KindToken, "alice")
	require.NoError(t, here.Create(ctx, scriptsAreLoaded, 0))
	require.NoError(t, here.Revoke(ctx, scriptsAreLoaded.Ref()))
	for range 5 {
		option, p := redisThroughProxy(t)
		option.ConnWriteTimeout = patience // so that the client keeps the connection
		client := &unansweredClient{openRedis(t, option), direct}
		store, err := redisstore.New(client, redisstore.Config{Prefix: prefix, Timeout: 200 * time.Millisecond})
		require.NoError(t, err)
		c := record(auth.KindToken, "alice")
		require.NoError(t, here.Create(ctx, c, 0))
		awaitRecovery(t, store)
		require.Eventually(t, func() bool { return lookup(t, store, c) == nil }, patience, time.Millisecond)
		p.hang(0, true)
		require.NoError(t, lookup(t, store, c), "it is cached")
		requireOutage(t, store.Revoke(ctx, c.Ref()))
		require.ErrorIs(t, lookup(t, here, c), auth.ErrRevoked)
		requireOutage(t, lookup(t, store, c))
		p.resume()
		require.Eventually(t, func() bool {
			err := lookup(t, store, c)
			require.Error(t, err)
			return errors.Is(err, auth.ErrRevoked)
		}, patience, time.Millisecond)
	}
}

func redisStoreOver(t *testing.T, option rueidis.ClientOption, cfg redisstore.Config) *redisstore.Store {
	t.Helper()
	store, err := redisstore.New(openRedis(t, option), cfg)
	require.NoError(t, err)
	return store
}

// redisThroughProxy returns the address of a proxy in front of the server.
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
