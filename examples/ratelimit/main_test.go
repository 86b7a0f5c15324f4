package main

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/examples/internal/exampletest"
)

const here, elsewhere = "192.0.2.7", "192.0.2.8"

// A countingStore counts lookups, and answers none of them while down is set.
type countingStore struct {
	auth.Store
	lookups atomic.Int64
	down    atomic.Bool
}

func (s *countingStore) Lookup(ctx context.Context, k auth.Kind, d auth.Digest) (*auth.Credential, error) {
	s.lookups.Add(1)
	if s.down.Load() {
		return nil, errors.New("the database is down")
	}
	return s.Store.Lookup(ctx, k, d)
}

type fixture struct {
	*service
	store  *countingStore
	routes http.Handler
}

func newFixture(t *testing.T) *fixture {
	store := &countingStore{Store: auth.NewMemoryStore()}
	s, err := newService(store, exampletest.Keys())
	require.NoError(t, err)
	s.checkPassword = func(_, password string) bool { return password == "correct" }
	return &fixture{s, store, s.routes()}
}

// do sends a request from an address. The header is alternating names and values.
func (f *fixture) do(method, path, from string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, nil)
	r.RemoteAddr = netip.AddrPortFrom(netip.MustParseAddr(from), 1234).String()
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	f.routes.ServeHTTP(w, r)
	return w
}

func (f *fixture) exhaust(t *testing.T, from string) {
	for range 20 {
		require.Equal(t, http.StatusUnauthorized, f.do("GET", "/notes", from, "Authorization", "Bearer guess").Code)
	}
}

func TestGuard(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		token := "Bearer " + exampletest.Issue(t, f.bearer, auth.FullAccess)
		f.exhaust(t, here)
		before := f.store.lookups.Load()
		w := f.do("GET", "/notes", here, "Authorization", token)
		require.Equal(t, http.StatusTooManyRequests, w.Code, "a valid user of the same address has to wait too")
		require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
		require.Equal(t, "10", w.Header().Get("Retry-After"))
		require.Equal(t, before, f.store.lookups.Load(), "the store is not asked")
		require.Equal(t, http.StatusTooManyRequests, f.do("GET", "/notes", here, "X-Forwarded-For", elsewhere).Code)
		require.Equal(t, http.StatusOK, f.do("GET", "/notes", elsewhere, "Authorization", token, "X-Forwarded-For", here).Code)

		time.Sleep(9 * time.Second)
		require.Equal(t, "1", f.do("GET", "/notes", here).Header().Get("Retry-After"), "asking has not extended the wait")
		time.Sleep(time.Second)
		require.Equal(t, http.StatusOK, f.do("GET", "/notes", here, "Authorization", token).Code)
		require.Equal(t, http.StatusUnauthorized, f.do("GET", "/notes", here, "Authorization", "Bearer guess").Code)
		require.Equal(t, http.StatusTooManyRequests, f.do("GET", "/notes", here, "Authorization", token).Code)
	})
}

func TestGuard_network(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.exhaust(t, "2001:db8:0:1::1")
	f.exhaust(t, "::ffff:192.0.2.9")
	for from, want := range map[string]int{
		"2001:db8:0:1:ffff::2": 429, // the same subscriber
		"2001:db8:0:2::1":      401,
		"192.0.2.9":            429, // IPv4-mapped above
		"192.0.2.10":           401,
	} {
		require.Equal(t, want, f.do("GET", "/notes", from).Code, from)
	}
}

// Without a known address all clients share one limit: the limiter must not be off.
func TestGuard_unknownAddress(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	var codes []int
	for range 21 {
		r := httptest.NewRequest("GET", "/notes", nil)
		r.RemoteAddr = "@" // a Unix socket
		r.Header.Set("Authorization", "Bearer guess")
		w := httptest.NewRecorder()
		f.routes.ServeHTTP(w, r)
		codes = append(codes, w.Code)
	}
	require.Equal(t, http.StatusUnauthorized, codes[19])
	require.Equal(t, http.StatusTooManyRequests, codes[20])
	require.Equal(t, http.StatusUnauthorized, f.do("GET", "/notes", here).Code)
}

func TestObserve(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		expired := "Bearer " + exampletest.Issue(t, f.bearer, auth.FullAccess)
		session := func() string {
			w := httptest.NewRecorder()
			_, err := f.cookie.SignIn(w, httptest.NewRequest("POST", "/", nil), "alice", auth.SessionOptions{Lifetime: time.Minute})
			require.NoError(t, err)
			return strings.Split(w.Header().Get("Set-Cookie"), ";")[0]
		}
		purged := session()
		_, err := f.cookie.RevokeAll(t.Context(), "alice")
		require.NoError(t, err)
		time.Sleep(time.Second)
		_, err = f.store.Purge(t.Context(), time.Now())
		require.NoError(t, err)
		stale := session()
		time.Sleep(time.Hour + time.Second)
		reader := "Bearer " + exampletest.Issue(t, f.bearer, "notes:read")
		unknown := reader[:len("Bearer acme_pat_")] + strings.Repeat("0", 38)
		for i, test := range []struct {
			name, method string
			header       []string
			down         bool
			want         int
			counted      bool
		}{
			{"a guess", "GET", []string{"Authorization", "Bearer guess"}, false, 401, true},
			{"a wrong checksum", "GET", []string{"Authorization", unknown}, false, 401, true},
			{"malformed", "GET", []string{"Authorization", "Bearer a b"}, false, 400, true},
			{"two headers", "GET", []string{"Authorization", "Bearer a", "Authorization", "Bearer b"}, false, 400, true},
			{"too long", "GET", []string{"Authorization", "Bearer " + strings.Repeat("x", 1000)}, false, 400, true},
			{"no credential", "GET", nil, false, 401, false},
			{"another scheme", "GET", []string{"Authorization", "Basic YTpi"}, false, 401, false},
			{"an expired token", "GET", []string{"Authorization", expired}, false, 401, false},
			{"an expired session", "GET", []string{"Cookie", stale}, false, 401, false},
			{"a session that the store has forgotten", "GET", []string{"Cookie", purged}, false, 401, false},
			{"a cookie of an earlier key", "GET", []string{"Cookie", stale + "x"}, false, 401, false},
			{"a scope", "POST", []string{"Authorization", reader}, false, 403, false},
			{"accepted", "GET", []string{"Authorization", reader}, false, 200, false},
			{"an outage", "GET", []string{"Authorization", reader}, true, 503, false},
		} {
			from := "192.0.2." + strconv.Itoa(100+i)
			f.store.down.Store(test.down)
			for range 20 {
				require.Equal(t, test.want, f.do(test.method, "/notes", from, test.header...).Code, test.name)
			}
			want := http.StatusUnauthorized
			if test.counted {
				want = http.StatusTooManyRequests
			}
			require.Equal(t, want, f.do("GET", "/notes", from).Code, test.name)
		}
	})
}

// A client with many addresses must not fill the memory.
func TestLimiter_evicts(t *testing.T) {
	t.Parallel()
	l := newLimiter(time.Hour, 1, 100)
	addr := netip.MustParseAddr("10.0.0.0")
	first := netip.PrefixFrom(addr, 32)
	for range 1000 {
		l.take(netip.PrefixFrom(addr, 32))
		require.NotZero(t, l.wait(first), "still seen")
		require.Zero(t, l.wait(netip.PrefixFrom(addr.Next(), 32)), "no attempt yet")
		addr = addr.Next()
	}
	require.Len(t, l.clients, 100)
	require.Equal(t, 100, l.recent.Len())
	require.False(t, l.take(first), "the client that was seen last is not forgotten")
	require.True(t, l.take(netip.PrefixFrom(first.Addr().Next(), 32)), "forgotten")
}

func (f *fixture) signIn(from, password string) int {
	form := url.Values{"user": {"alice"}, "password": {password}}
	r := httptest.NewRequest("POST", "/sign-in", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.RemoteAddr = from + ":1234"
	w := httptest.NewRecorder()
	f.routes.ServeHTTP(w, r)
	return w.Code
}

// Passwords that are tried at the same time must not get past the limit.
func TestSignIn_concurrent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		var checked atomic.Int64
		f.checkPassword = func(_, password string) bool {
			time.Sleep(time.Second) // all attempts arrive before the first one is decided
			checked.Add(1)
			return password == "correct"
		}
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() { f.signIn(here, "guess") })
		}
		all.Wait()
		require.EqualValues(t, 5, checked.Load())
		require.Equal(t, http.StatusTooManyRequests, f.signIn(here, "correct"))
		require.Equal(t, http.StatusSeeOther, f.signIn(elsewhere, "correct"))
		time.Sleep(time.Minute)
		require.Equal(t, http.StatusSeeOther, f.signIn(here, "correct"))
	})
}

// A page of another site must not use up the attempts of its visitor.
func TestSignIn_crossOrigin(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for range 10 {
		require.Equal(t, http.StatusForbidden, f.do("POST", "/sign-in", here, "Origin", "https://evil.example").Code)
	}
	require.Equal(t, http.StatusSeeOther, f.signIn(here, "correct"))
}
