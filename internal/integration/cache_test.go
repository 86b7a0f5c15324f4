package integration

import (
	"context"
	"crypto/rand"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/cachestore"
	"github.com/seed-31c5bcb2/auth/redisstore"
	"github.com/seed-31c5bcb2/auth/sqlstore"
	"github.com/seed-31c5bcb2/auth/storetest"
)

func cached(t *testing.T, store auth.Store, cfg cachestore.Config) *cachestore.Store {
	t.Helper()
	c, err := cachestore.New(store, cfg)
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

func TestCacheOverDatabasesKeepsTheContract(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d database) {
		storetest.Run(t, func(t *testing.T) auth.Store {
			store, _ := d.store(t)
			return cached(t, store, cachestore.Config{Timeout: 20 * time.Second})
		})
	})
}

// While the server is silent, those who were here within the bound come in, and
// nobody else; after the bound nobody does, until it answers.
func TestCacheOutlastsAnOutage(t *testing.T) {
	t.Parallel()
	const bound = 3 * time.Second
	eachRemote(t, func(t *testing.T, open func(*testing.T) remote) {
		ctx, r := t.Context(), open(t)
		p := toxicProxy(t, r.upstream)
		behind := r.open(t, p.Listen, time.Second)
		if _, ok := behind.(*redisstore.Store); ok {
			t.Skip("has a cache of its own")
		}
		store := cached(t, behind, cachestore.Config{MaxStale: bound})
		warm, cold := record(auth.KindToken, "alice"), record(auth.KindToken, "bob")
		for _, c := range []auth.Credential{warm, cold} {
			require.NoError(t, r.direct.Create(ctx, c, 0))
		}
		asked := time.Now()
		_, err := store.Lookup(ctx, warm.Kind, warm.Digest)
		require.NoError(t, err)
		answered := time.Now()
		heal := poison(t, p, "timeout", "downstream", `"timeout": 0`)
		_, err = store.Lookup(ctx, cold.Kind, cold.Digest)
		outage(t, err)
		served := 0
		for time.Since(answered) < bound {
			before := time.Since(answered)
			if _, err = store.Lookup(ctx, warm.Kind, warm.Digest); err == nil {
				require.Less(t, before, bound)
				served++
			} else {
				require.Greater(t, time.Since(asked), bound)
			}
		}
		require.NotZero(t, served)
		start := time.Now()
		_, err = store.Lookup(ctx, warm.Kind, warm.Digest)
		outage(t, err)
		require.Less(t, time.Since(start), 5*time.Second)
		require.NoError(t, r.direct.Revoke(ctx, warm.Ref())) // meanwhile, by another process
		heal()
		recoversSoon(t, store)
		_, err = store.Lookup(ctx, warm.Kind, warm.Digest)
		require.ErrorIs(t, err, auth.ErrRevoked)
		_, err = store.Lookup(ctx, cold.Kind, cold.Digest)
		require.NoError(t, err)
	})
}

// Ten thousand guesses at once over eight slow connections: what does not get one in
// time is an outage, those who are known do not notice, and nothing is left over.
//
// It is not parallel: it counts the goroutines of the whole process.
func TestManyMissesOverFewConnections(t *testing.T) {
	eachRemote(t, func(t *testing.T, open func(*testing.T) remote) {
		r := open(t)
		p := toxicProxy(t, r.upstream)
		defer poison(t, p, "latency", "downstream", `"latency": 20`)()
		// Redis is asked for all over a few connections at once: none waits for one, so
		// that none is an outage, if it has the time that this machine takes.
		store := r.open(t, p.Listen, 30*time.Second)
		if _, ok := store.(*sqlstore.Store); ok {
			behind := r.open(t, p.Listen, 500*time.Millisecond)
			store = cached(t, behind, cachestore.Config{MaxStale: 30 * time.Second}) // longer than this takes
		}
		bearer, err := auth.NewBearer(store, auth.BearerConfig{})
		require.NoError(t, err)
		defer bearer.Close(context.Background())
		issuer, err := auth.NewBearer(r.direct, auth.BearerConfig{})
		require.NoError(t, err)
		token, _, err := issuer.Issue(t.Context(), "alice", auth.NewToken{Name: "script"})
		require.NoError(t, err)
		handler := auth.Require(bearer)(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		status := func(token string) int {
			request := httptest.NewRequest("GET", "/", nil)
			request.Header.Set("Authorization", "Bearer "+token)
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, request)
			return w.Code
		}
		require.Eventually(t, func() bool { return status(token) == http.StatusOK }, 15*time.Second, 20*time.Millisecond)

		before := runtime.NumGoroutine()
		var refused, out, other atomic.Int64
		var wg sync.WaitGroup
		for range 10_000 {
			wg.Go(func() {
				switch status(rand.Text() + rand.Text()) {
				case http.StatusUnauthorized:
					refused.Add(1)
				case http.StatusServiceUnavailable:
					out.Add(1)
				default:
					other.Add(1)
				}
			})
		}
		for range 1000 {
			require.Equal(t, http.StatusOK, status(token))
		}
		wg.Wait()
		t.Logf("%d were refused, %d were an outage", refused.Load(), out.Load())
		require.Zero(t, other.Load())
		require.Equal(t, http.StatusOK, status(token))
		require.Eventually(t, func() bool { return runtime.NumGoroutine() < before+100 }, 30*time.Second, 10*time.Millisecond)
	})
}

// What a client hears of an outage is that there is one.
func TestOutageTellsClientsNothing(t *testing.T) {
	t.Parallel()
	eachRemote(t, func(t *testing.T, open func(*testing.T) remote) {
		r := open(t)
		p := toxicProxy(t, r.upstream)
		store := r.open(t, p.Listen, time.Second)
		bearer, err := auth.NewBearer(store, auth.BearerConfig{})
		require.NoError(t, err)
		defer bearer.Close(context.Background())
		issuer, err := auth.NewBearer(r.direct, auth.BearerConfig{})
		require.NoError(t, err)
		var ran atomic.Int64
		var reported atomic.Value
		m := &auth.Middleware{Observe: func(_ context.Context, e auth.Event) { reported.Store(e) }}
		server := httptest.NewServer(m.Require(bearer)(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { ran.Add(1) })))
		defer server.Close()
		get := func(authorization string) (int, http.Header, string) {
			request, err := http.NewRequestWithContext(t.Context(), "GET", server.URL, nil)
			require.NoError(t, err)
			if authorization != "" {
				request.Header.Set("Authorization", authorization)
			}
			answer, err := server.Client().Do(request)
			require.NoError(t, err)
			defer answer.Body.Close()
			body, err := io.ReadAll(answer.Body)
			require.NoError(t, err)
			return answer.StatusCode, answer.Header, string(body)
		}
		generic := httptest.NewRecorder()
		auth.WriteError(generic, httptest.NewRequest("GET", "/", nil), auth.ErrUnavailable)
		recoversSoon(t, store)
		for _, toxic := range []struct{ kind, attributes string }{
			{"reset_peer", `"timeout": 0`}, {"timeout", `"timeout": 0`}, {"limit_data", `"bytes": 0`}, {"limit_data", `"bytes": 30`},
		} {
			token, _, err := issuer.Issue(t.Context(), "alice", auth.NewToken{Name: "script"}) // that no cache knows
			require.NoError(t, err)
			heal := poison(t, p, toxic.kind, "downstream", toxic.attributes)
			status, header, body := get("Bearer " + token)
			require.Equal(t, http.StatusServiceUnavailable, status, toxic.kind)
			require.Equal(t, "no-store", header.Get("Cache-Control"))
			require.Empty(t, header.Values("WWW-Authenticate"))
			require.Equal(t, generic.Body.String(), body)
			event := reported.Load().(auth.Event)
			require.Error(t, event.Err)
			require.NotContains(t, event.Err.Error(), token)
			status, header, _ = get("")
			require.Equal(t, http.StatusUnauthorized, status, "the store is not asked")
			require.NotEmpty(t, header.Values("WWW-Authenticate"))
			require.Zero(t, ran.Load())
			heal()
			recoversSoon(t, store)
			status, _, _ = get("Bearer " + token)
			require.Equal(t, http.StatusOK, status)
			require.EqualValues(t, 1, ran.Swap(0))
		}
	})
}
