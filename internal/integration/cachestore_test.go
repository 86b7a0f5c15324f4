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

func newCache(t *testing.T, store auth.Store, cfg cachestore.Config) *cachestore.Store {
	t.Helper()
	c, err := cachestore.New(store, cfg)
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

func newBearer(t *testing.T, store auth.Store) *auth.Bearer {
	t.Helper()
	b, err := auth.NewBearer(store, auth.BearerConfig{})
	require.NoError(t, err)
	t.Cleanup(func() { b.Close(context.Background()) })
	return b
}

// issue returns a token for alice that never expires.
func issue(t *testing.T, b *auth.Bearer, scopes ...string) (plaintext string, c auth.Credential) {
	t.Helper()
	plaintext, c, err := b.Issue(t.Context(), "alice", auth.TokenOptions{Name: "script", Scopes: scopes, Lifetime: auth.NoExpiry})
	require.NoError(t, err)
	return plaintext, c
}

// bearerRequest returns a request with a token.
func bearerRequest(token string) *http.Request {
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	return r
}

func TestCacheStore_contract(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d database) {
		if !d.isPostgres() {
			longSeries(t)
		}
		storetest.Run(t, func(t *testing.T) auth.Store {
			store, _ := d.store(t)
			return newCache(t, store, cachestore.Config{Timeout: patience})
		})
	})
}

// While the server does not answer, credentials that are cached remain valid for MaxStale.
// All others are rejected until the server answers again.
func TestCacheStore_outage(t *testing.T) {
	t.Parallel()
	const maxStale = 3 * time.Second
	eachRemote(t, func(t *testing.T, open func(*testing.T) remote) {
		ctx, r := t.Context(), open(t)
		p := toxicProxy(t, r.upstream)
		behind := r.open(t, p.Listen, time.Second)
		if _, ok := behind.(*redisstore.Store); ok {
			t.Skip("has a cache of its own")
		}
		store := newCache(t, behind, cachestore.Config{MaxStale: maxStale})
		warm, cold := record(auth.KindToken, "alice"), record(auth.KindToken, "bob")
		require.NoError(t, r.direct.Create(ctx, warm, 0))
		require.NoError(t, r.direct.Create(ctx, cold, 0))
		asked := time.Now()
		require.NoError(t, lookup(t, store, warm))
		answered := time.Now()
		heal := poison(t, p, "timeout", "downstream", `"timeout": 0`)
		requireOutage(t, lookup(t, store, cold))
		servedUntil(t, store, warm, asked, answered, maxStale)
		start := time.Now()
		requireOutage(t, lookup(t, store, warm))
		require.Less(t, time.Since(start), 5*time.Second)
		require.NoError(t, r.direct.Revoke(ctx, warm.Ref())) // by another process
		heal()
		awaitRecovery(t, store)
		require.ErrorIs(t, lookup(t, store, warm), auth.ErrRevoked)
		require.NoError(t, lookup(t, store, cold))
	})
}

func lookup(t *testing.T, store auth.Store, c auth.Credential) error {
	t.Helper()
	_, err := store.Lookup(t.Context(), c.Kind, c.Digest)
	return err
}

// servedUntil returns when maxStale has passed since answered. Until maxStale after asked,
// every lookup must succeed.
func servedUntil(t *testing.T, store auth.Store, c auth.Credential, asked, answered time.Time, maxStale time.Duration) {
	t.Helper()
	served := 0
	for time.Since(answered) < maxStale {
		before := time.Since(answered)
		if lookup(t, store, c) == nil {
			require.Less(t, before, maxStale)
			served++
		} else {
			require.Greater(t, time.Since(asked), maxStale)
		}
	}
	require.NotZero(t, served)
}

// Ten thousand guesses at once share eight slow connections. A guess that gets no
// connection in time is an outage. Known tokens are not affected, and no goroutine is left.
//
// The test counts the goroutines of the process, so it is not parallel.
func TestLookup_manyMissesOverFewConnections(t *testing.T) {
	eachRemote(t, func(t *testing.T, open func(*testing.T) remote) {
		r := open(t)
		p := toxicProxy(t, r.upstream)
		defer poison(t, p, "latency", "downstream", `"latency": 20`)()
		token, _ := issue(t, newBearer(t, r.direct), auth.FullAccess)
		handler := auth.Require(newBearer(t, overFewConnections(t, r, p.Listen)))(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		status := func(token string) int {
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, bearerRequest(token))
			return w.Code
		}
		require.Eventually(t, func() bool { return status(token) == http.StatusOK }, 15*time.Second, 20*time.Millisecond)

		before := runtime.NumGoroutine()
		var rejected, outages, other atomic.Int64
		var wg sync.WaitGroup
		for range 10_000 {
			wg.Go(func() {
				switch status(rand.Text() + rand.Text()) {
				case http.StatusUnauthorized:
					rejected.Add(1)
				case http.StatusServiceUnavailable:
					outages.Add(1)
				default:
					other.Add(1)
				}
			})
		}
		for range 1000 {
			require.Equal(t, http.StatusOK, status(token))
		}
		wg.Wait()
		t.Logf("%d were rejected, %d were an outage", rejected.Load(), outages.Load())
		require.Zero(t, other.Load())
		require.Equal(t, http.StatusOK, status(token))
		require.Eventually(t, func() bool { return runtime.NumGoroutine() < before+100 }, 30*time.Second, 10*time.Millisecond)
	})
}

// overFewConnections returns a store with a cache, as a service would use it. The client of
// Redis sends all requests over a few connections without waiting for one, so there must
// be no outage, given the time that a busy machine needs.
func overFewConnections(t *testing.T, r remote, address string) auth.Store {
	t.Helper()
	store := r.open(t, address, 30*time.Second)
	if _, ok := store.(*sqlstore.Store); !ok {
		return store
	}
	return newCache(t, r.open(t, address, 500*time.Millisecond), cachestore.Config{MaxStale: 30 * time.Second}) // longer than the test
}

// The response to an outage says nothing about its cause.
func TestRequire_outageResponseIsGeneric(t *testing.T) {
	t.Parallel()
	eachRemote(t, func(t *testing.T, open func(*testing.T) remote) {
		r := open(t)
		p := toxicProxy(t, r.upstream)
		store := r.open(t, p.Listen, time.Second)
		bearer, issuer := newBearer(t, store), newBearer(t, r.direct)
		var ran atomic.Int64
		var reported atomic.Value
		m := &auth.Middleware{Observe: func(_ context.Context, e auth.Event) { reported.Store(e) }}
		server := httptest.NewServer(m.Require(bearer)(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { ran.Add(1) })))
		defer server.Close()
		generic := httptest.NewRecorder()
		auth.WriteError(generic, httptest.NewRequest("GET", "/", nil), auth.ErrUnavailable)
		awaitRecovery(t, store)
		for _, toxic := range []struct{ kind, attributes string }{
			{"reset_peer", `"timeout": 0`}, {"timeout", `"timeout": 0`}, {"limit_data", `"bytes": 0`}, {"limit_data", `"bytes": 30`},
		} {
			token, _ := issue(t, issuer, auth.FullAccess) // not cached yet
			heal := poison(t, p, toxic.kind, "downstream", toxic.attributes)
			status, header, body := get(t, server, "Bearer "+token)
			require.Equal(t, http.StatusServiceUnavailable, status, toxic.kind)
			require.Equal(t, "no-store", header.Get("Cache-Control"))
			require.Empty(t, header.Values("WWW-Authenticate"))
			require.Equal(t, generic.Body.String(), body)
			event := reported.Load().(auth.Event)
			require.Error(t, event.Err)
			require.NotContains(t, event.Err.Error(), token)
			status, header, _ = get(t, server, "")
			require.Equal(t, http.StatusUnauthorized, status, "the store is not called")
			require.NotEmpty(t, header.Values("WWW-Authenticate"))
			require.Zero(t, ran.Load())
			heal()
			awaitRecovery(t, store)
			status, _, _ = get(t, server, "Bearer "+token)
			require.Equal(t, http.StatusOK, status)
			require.EqualValues(t, 1, ran.Swap(0))
		}
	})
}

func get(t *testing.T, server *httptest.Server, authorization string) (int, http.Header, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", server.URL, nil)
	require.NoError(t, err)
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	res, err := server.Client().Do(r)
	require.NoError(t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return res.StatusCode, res.Header, string(body)
}
