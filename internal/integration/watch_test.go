package integration

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/cachestore"
	"github.com/seed-31c5bcb2/auth/pgnotify"
	"github.com/seed-31c5bcb2/auth/redisstore"
)

// A stream is one of many that a test watches.
type stream struct {
	ctx        context.Context
	credential auth.Credential
}

// An ending is when the context of a stream ended.
type ending struct {
	index int
	at    time.Time
}

// openStreams opens a stream for each of n users, and returns when Watch has asked about each.
// there creates their tokens, and here serves the streams.
func openStreams(t *testing.T, here, there auth.Store, n int) (streams []stream, endings <-chan ending) {
	t.Helper()
	serving, issuing := newBearer(t, here), newBearer(t, there)
	var resolved atomic.Int64 // once for a request, and once for each question of Watch
	m := &auth.Middleware{Resolve: func(context.Context, *auth.Identity) (any, error) {
		resolved.Add(1)
		return nil, nil
	}}
	ended := make(chan ending, n)
	h := m.Require(serving)(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		ctx, cancel := auth.Watch(r.Context(), time.Hour) // so that only a notification can be in time
		t.Cleanup(cancel)
		i := len(streams)
		streams = append(streams, stream{ctx: ctx})
		stop := context.AfterFunc(ctx, func() { ended <- ending{i, time.Now()} })
		t.Cleanup(func() { stop() })
	}))
	for i := range n {
		plaintext, c, err := issuing.Issue(t.Context(), fmt.Sprint("user-", i),
			auth.TokenOptions{Name: "stream", Scopes: []string{auth.FullAccess}, Lifetime: auth.NoExpiry})
		require.NoError(t, err)
		h.ServeHTTP(httptest.NewRecorder(), bearerRequest(plaintext))
		require.Len(t, streams, i+1)
		streams[i].credential = c
	}
	require.Eventually(t, func() bool { return resolved.Load() >= int64(2*n) }, time.Minute, 10*time.Millisecond)
	return streams, ended
}

// Another process revokes credentials, one by one. The stream of that one ends, and no other.
// AUTH_TEST_TRIALS is the number of revocations; there are ten times as many streams:
//
//	AUTH_TEST_TRIALS=1000 go test -run TestWatch_revocation -v ./internal/integration
func TestWatch_revocation(t *testing.T) {
	trials := 100
	if text := os.Getenv("AUTH_TEST_TRIALS"); text != "" {
		var err error
		trials, err = strconv.Atoi(text)
		require.NoError(t, err)
	}
	n := 10 * trials
	for _, tt := range []struct {
		name string
		open func(*testing.T) (here, there auth.Store)
	}{
		{"PostgreSQL", func(t *testing.T) (here, there auth.Store) {
			store, _, source := openPostgres(t)
			invalidations, err := pgnotify.New(source.dsn, pgnotify.Config{})
			require.NoError(t, err)
			return newCache(t, store, cachestore.Config{Invalidations: invalidations}), store
		}},
		{"Redis", func(t *testing.T) (here, there auth.Store) {
			other, _, prefix := openRedisStore(t, redisstore.Config{})
			store := redisStoreOver(t, redisOption(t), redisstore.Config{Prefix: prefix})
			t.Cleanup(func() { require.NoError(t, store.Close()) })
			return store, other
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			here, there := tt.open(t)
			streams, endings := openStreams(t, here, there, n)
			var delays []time.Duration
			for _, i := range rand.Perm(n)[:trials] {
				require.NoError(t, there.Revoke(t.Context(), streams[i].credential.Ref()))
				returned := time.Now()
				select {
				case e := <-endings:
					require.Equal(t, i, e.index)
					delays = append(delays, max(0, e.at.Sub(returned)))
				case <-time.After(patience):
					t.Fatal("the stream has not ended")
				}
				var e *auth.Error
				require.ErrorAs(t, context.Cause(streams[i].ctx), &e)
				require.Equal(t, auth.ReasonRevoked, e.Reason)
			}
			open := slices.DeleteFunc(streams, func(s stream) bool { return s.ctx.Err() != nil })
			require.Len(t, open, n-trials)
			slices.Sort(delays)
			t.Logf("%d streams, %d revocations: median %v, 99th percentile %v, maximum %v",
				n, trials, delays[trials/2], delays[trials*99/100], delays[trials-1])
			// The median, because the scheduler of a busy machine can delay single trials.
			require.Less(t, delays[trials/2], 50*time.Millisecond)
		})
	}
}
