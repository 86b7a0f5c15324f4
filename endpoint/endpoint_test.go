package endpoint_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

// TestMain keeps the logs of outages, which many tests cause without an Observer, out of the output.
func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.NewTextHandler(io.Discard, nil)))
	os.Exit(m.Run())
}

var errDown = errors.New("the database is down")

// A failingStore is a store that can become unavailable. It counts lookups and last uses.
type failingStore struct {
	auth.Store
	down    atomic.Bool
	lookups atomic.Int64
	touches atomic.Int64
}

func (s *failingStore) Lookup(ctx context.Context, kind auth.Kind, d auth.Digest) (*auth.Credential, error) {
	s.lookups.Add(1)
	if s.down.Load() {
		return nil, errDown
	}
	return s.Store.Lookup(ctx, kind, d)
}

func (s *failingStore) Touch(ctx context.Context, uses []auth.Use) error {
	s.touches.Add(1)
	return s.Store.Touch(ctx, uses)
}

// A fixture is a store with one authenticator of each scheme.
type fixture struct {
	store  *failingStore
	bearer *auth.Bearer
	secret *auth.Secret
	cookie *auth.Cookie

	mu     sync.Mutex
	events []auth.Event
}

func newFixture(t testing.TB) *fixture {
	t.Helper()
	f := &fixture{store: &failingStore{Store: auth.NewMemoryStore()}}
	var err error
	f.bearer, err = auth.NewBearer(f.store, auth.BearerConfig{Prefix: "acme_pat", Observe: f.observe})
	require.NoError(t, err)
	f.secret, err = auth.NewSecret(f.store, auth.SecretConfig{Prefix: "acme_cs", Observe: f.observe})
	require.NoError(t, err)
	key := []byte("0123456789abcdef0123456789abcdef")
	f.cookie, err = auth.NewCookie(f.store, auth.CookieConfig{Keys: auth.Keys{key}, Observe: f.observe})
	require.NoError(t, err)
	return f
}

func (f *fixture) observe(_ context.Context, e auth.Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.events = append(f.events, e)
}

// take returns the events since the last call.
func (f *fixture) take() []auth.Event {
	f.mu.Lock()
	defer f.mu.Unlock()
	events := f.events
	f.events = nil
	return events
}

// takeOne returns the only event since the last call.
func (f *fixture) takeOne(t testing.TB) auth.Event {
	t.Helper()
	events := f.take()
	require.Len(t, events, 1)
	return events[0]
}

// token issues a token, full access without scopes.
func (f *fixture) token(t testing.TB, user string, scopes ...string) (plaintext string, c auth.Credential) {
	t.Helper()
	if len(scopes) == 0 {
		scopes = []string{auth.FullAccess}
	}
	plaintext, c, err := f.bearer.Issue(t.Context(), user, auth.TokenOptions{Name: "ci", Scopes: scopes, Lifetime: time.Hour})
	require.NoError(t, err)
	f.take()
	return plaintext, c
}

// session signs a user in and returns the Cookie header of the session.
func (f *fixture) session(t testing.TB, user string, o auth.SessionOptions) string {
	t.Helper()
	w, r := httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), "POST", "https://app.example/signin", nil)
	_, err := f.cookie.SignIn(w, r, user, o)
	require.NoError(t, err)
	f.take()
	pair, _, _ := strings.Cut(w.Header().Get("Set-Cookie"), ";")
	return pair
}

// do sends a request with header fields, given as alternating names and values.
func do(t testing.TB, h http.Handler, method, target, body string, fields ...string) *httptest.ResponseRecorder {
	t.Helper()
	w, r := httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body))
	for i := 0; i < len(fields); i += 2 {
		r.Header.Add(fields[i], fields[i+1])
	}
	h.ServeHTTP(w, r)
	return w
}

// from returns h as a service calls it for a client with an address.
func from(addr string, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(w, r.WithContext(auth.WithClientAddr(r.Context(), netip.MustParseAddr(addr))))
	})
}

// atOnce runs f n times at the same time.
func atOnce(n int, f func(i int)) {
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-start
			f(i)
		})
	}
	close(start)
	wg.Wait()
}
