package integration

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/redisstore"
)

// Each request to Redis can be lost, or its answer, and then the next one too.
// Whichever it is: a fault is told as an outage, leaves all of the change or
// nothing of it, and never leaves this process with what Redis no longer has.
func TestRedisFaultsLeaveAllOrNothing(t *testing.T) {
	t.Parallel()
	kinds := []struct {
		name    string
		answers bool
		breaks  int
	}{
		{"a request that is lost", false, 1},
		{"two requests in a row", false, 2},
		{"an answer that is lost", true, 1},
		{"two answers in a row", true, 2},
		{"nothing but lost answers", true, 1000},
	}
	for _, m := range methods {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			ctx := t.Context()
			_, _, prefix := openRedisStore(t)
			option, p := redisThroughProxy(t)
			store := redisStoreOver(t, option, prefix, redisstore.Config{Timeout: 300 * time.Millisecond})
			uncached := redisOption(t)
			uncached.DisableCache = true
			direct := redisStoreOver(t, uncached, prefix)

			model := newAccount(t, direct)
			untouched := model.state(t, direct)
			require.NoError(t, m.call(ctx, store, model))
			done := model.state(t, direct)
			require.Equal(t, m.reads, untouched == done)

			for _, kind := range kinds {
				for n := 0; ; n++ {
					require.Less(t, n, 100, "the requests have no end")
					a := newAccount(t, direct)
					if !m.reads {
						require.Equal(t, untouched, a.state(t, store), "so that it is cached")
					}
					p.fail(n, kind.breaks, kind.answers)
					err := m.call(ctx, store, a)
					came := p.failed()
					p.resume()
					at := fmt.Sprintf("%s at request %d", kind.name, n)
					state := a.allOrNothing(t, direct, err, untouched, done, at)
					recoversSoon(t, store)
					require.Equal(t, a.state(t, direct), a.state(t, store), at)
					if state == untouched {
						require.NoError(t, m.call(ctx, store, a), at)
						require.Equal(t, done, a.state(t, direct), at)
					}
					if !came {
						break
					}
				}
			}
		})
	}
}

// A last use that cannot be written costs nobody the cache.
func TestRedisUseWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	here, _, prefix := openRedisStore(t)
	option, p := redisThroughProxy(t)
	store := redisStoreOver(t, option, prefix, redisstore.Config{Timeout: 200 * time.Millisecond})
	c := record(auth.KindToken, "alice")
	require.NoError(t, here.Create(ctx, c, 0))
	_, err := store.Lookup(ctx, c.Kind, c.Digest)
	require.NoError(t, err)
	p.hang(0, true)
	outage(t, store.Touch(ctx, []auth.Use{{Ref: c.Ref(), Digest: c.Digest, At: time.Now()}}))
	_, err = store.Purge(ctx, time.Now())
	outage(t, err)
	_, err = store.Lookup(ctx, c.Kind, c.Digest)
	require.NoError(t, err)
}
