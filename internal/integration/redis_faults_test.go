package integration

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/redisstore"
)

var redisFaults = []struct {
	name    string
	answers bool
	breaks  int
}{
	{"a lost request", false, 1},
	{"two lost requests", false, 2},
	{"a lost answer", true, 1},
	{"two lost answers", true, 2},
	{"no answers", true, 1000},
}

// Each request to Redis or its answer can be lost, and the next one as well. The store then
// returns an outage, the change is complete or has no effect, and this process never serves
// a credential that Redis no longer has.
func TestRedisStore_lostRequestsAndAnswers(t *testing.T) {
	t.Parallel()
	for _, m := range methods {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			_, _, prefix := openRedisStore(t, redisstore.Config{})
			option, p := redisThroughProxy(t)
			uncached := redisOption(t)
			uncached.DisableCache = true
			tt := &redisFaultTest{
				method: m, proxy: p,
				direct: redisStoreOver(t, uncached, redisstore.Config{Prefix: prefix}),
				store:  redisStoreOver(t, option, redisstore.Config{Prefix: prefix, Timeout: 300 * time.Millisecond}),
			}
			tt.untouched, tt.done = m.states(t, tt.store, tt.direct)
			for _, fault := range redisFaults {
				for n, made := 0, true; made; n++ {
					require.Less(t, n, 100, "the number of requests is unbounded")
					made = tt.run(t, n, fault.breaks, fault.answers, fmt.Sprintf("%s at request %d", fault.name, n))
				}
			}
		})
	}
}

type redisFaultTest struct {
	method          method
	direct, store   *redisstore.Store // store is behind the proxy
	proxy           *proxy
	untouched, done string // states of the user
}

// run calls the method with the nth request failing, and reports whether it made that
// request.
func (tt *redisFaultTest) run(t *testing.T, n, breaks int, answers bool, at string) (made bool) {
	t.Helper()
	ctx, u := t.Context(), newUser(t, tt.direct)
	if !tt.method.reads {
		require.Equal(t, tt.untouched, u.state(t, tt.store), "so that it is cached")
	}
	tt.proxy.fail(n, breaks, answers)
	err := tt.method.call(ctx, tt.store, u)
	made = tt.proxy.failed()
	tt.proxy.resume()
	state := u.allOrNothing(t, tt.direct, err, tt.untouched, tt.done, at)
	awaitRecovery(t, tt.store)
	require.Equal(t, u.state(t, tt.direct), u.state(t, tt.store), at)
	if state == tt.untouched {
		require.NoError(t, tt.method.call(ctx, tt.store, u), at)
		require.Equal(t, tt.done, u.state(t, tt.direct), at)
	}
	return made
}

// Touch and Purge that fail leave the client's cache usable.
func TestRedisStore_touchWithoutAnswer(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	here, _, prefix := openRedisStore(t, redisstore.Config{})
	option, p := redisThroughProxy(t)
	option.ConnWriteTimeout = 20 * time.Second // so that the client keeps the connection, and with it its cache
	option.PipelineMultiplex = -1              // one connection: opening another one takes up to Dialer.Timeout
	store := redisStoreOver(t, option, redisstore.Config{Prefix: prefix, Timeout: 200 * time.Millisecond})
	c := record(auth.KindToken, "alice")
	require.NoError(t, here.Create(ctx, c, 0))
	_, err := store.Lookup(ctx, c.Kind, c.Digest)
	require.NoError(t, err)
	p.hang(0, true)
	requireOutage(t, store.Touch(ctx, []auth.Use{{Ref: c.Ref(), Digest: c.Digest, At: time.Now()}}))
	_, err = store.Purge(ctx, time.Now())
	requireOutage(t, err)
	_, err = store.Lookup(ctx, c.Kind, c.Digest)
	require.NoError(t, err)
}
