package auth_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

// TestMain makes a defaultHandler the default of log/slog, for all tests: many cause outages
// without an Observer. Package log still writes to stderr, for example panics of servers.
func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(defaultHandler{}))
	log.SetOutput(os.Stderr)
	log.SetFlags(log.LstdFlags)
	m.Run()
}

// A defaultHandler writes a record to the log in its context, so that tests in parallel can
// see what they log. Lines without such a context are dropped, except those about last uses,
// which go to backgroundLog.
type defaultHandler struct{}

func (defaultHandler) Enabled(context.Context, slog.Level) bool { return true }
func (h defaultHandler) WithAttrs([]slog.Attr) slog.Handler     { return h }
func (h defaultHandler) WithGroup(string) slog.Handler          { return h }

func (defaultHandler) Handle(ctx context.Context, r slog.Record) error {
	var line bytes.Buffer
	text := slog.NewTextHandler(&line, &slog.HandlerOptions{
		Level:       slog.LevelDebug,
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr { return dropTime(a) },
	})
	if err := text.Handle(ctx, r); err != nil {
		return err
	}
	if logged, ok := ctx.Value(defaultLogKey{}).(*logBuffer); ok {
		logged.add(line.String())
	} else if strings.Contains(line.String(), string(auth.EventUseLost)) {
		backgroundLog.add(line.String())
	}
	return nil
}

type defaultLogKey struct{}

// withDefaultLog returns a context in which the default logger writes to the buffer.
func withDefaultLog(ctx context.Context) (context.Context, *logBuffer) {
	logged := new(logBuffer)
	return context.WithValue(ctx, defaultLogKey{}, logged), logged
}

var backgroundLog logBuffer

type logBuffer struct {
	mu    sync.Mutex
	lines []string
}

func (b *logBuffer) add(line string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lines = append(b.lines, line)
}

func (b *logBuffer) Write(line []byte) (int, error) {
	b.add(string(line))
	return len(line), nil
}

func (b *logBuffer) String() string { return strings.Join(b.linesWith(""), "") }

func (b *logBuffer) linesWith(text string) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var lines []string
	for _, line := range b.lines {
		if strings.Contains(line, text) {
			lines = append(lines, line)
		}
	}
	return lines
}

// A fixture is a store and three authenticators over it.
type fixture struct {
	t      testing.TB
	store  *spyStore
	bearer *auth.Bearer
	cookie *auth.Cookie
	secret *auth.Secret
	events *recorder
}

type configs struct {
	bearer auth.BearerConfig
	cookie auth.CookieConfig
	secret auth.SecretConfig
}

func testKey(b byte) []byte {
	return append(bytes.Repeat([]byte{b}, 31), b+1)
}

func newFixture(t testing.TB, change ...func(*configs)) *fixture {
	t.Helper()
	f := &fixture{t: t, store: &spyStore{Store: auth.NewMemoryStore()}, events: new(recorder)}
	var cfg configs
	cfg.bearer.Observe, cfg.cookie.Observe, cfg.secret.Observe = f.events.observe, f.events.observe, f.events.observe
	cfg.cookie.Keys = auth.Keys{testKey(1)}
	cfg.secret.RevealKeys = auth.Keys{testKey(2)}
	for _, c := range change {
		c(&cfg)
	}
	var err error
	f.bearer, err = auth.NewBearer(f.store, cfg.bearer)
	require.NoError(t, err)
	f.cookie, err = auth.NewCookie(f.store, cfg.cookie)
	require.NoError(t, err)
	f.secret, err = auth.NewSecret(f.store, cfg.secret)
	require.NoError(t, err)
	return f
}

// tokenOptions describes a token with full access that never expires.
func tokenOptions(name string) auth.TokenOptions {
	return auth.TokenOptions{Name: name, Scopes: []string{auth.FullAccess}, Lifetime: auth.NoExpiry}
}

func importOptions(name string) auth.ImportOptions {
	return auth.ImportOptions{TokenOptions: tokenOptions(name)}
}

var fullSecret = auth.SecretOptions{Scopes: []string{auth.FullAccess}, Lifetime: auth.NoExpiry}

// token issues a token with the scopes, or with full access if there are none.
func (f *fixture) token(user string, scopes ...string) string {
	f.t.Helper()
	o := tokenOptions("test")
	if scopes != nil {
		o.Scopes = scopes
	}
	plaintext, _, err := f.bearer.Issue(context.Background(), user, o)
	require.NoError(f.t, err)
	return plaintext
}

// boundToken issues a token that may be used from one network only.
func (f *fixture) boundToken(user string, networks auth.Networks) (string, auth.Credential) {
	f.t.Helper()
	plaintext, c, err := f.bearer.Issue(f.t.Context(), user, tokenOptions("bound"))
	require.NoError(f.t, err)
	f.bind(c, networks)
	return plaintext, c
}

func (f *fixture) bind(c auth.Credential, networks auth.Networks) {
	f.t.Helper()
	next := c
	next.Networks = networks
	require.NoError(f.t, f.store.Update(f.t.Context(), c, next))
}

func (f *fixture) issueSecret(user string) string {
	f.t.Helper()
	plaintext, _ := f.newSecret(user)
	return plaintext
}

func (f *fixture) newSecret(user string) (string, auth.Credential) {
	f.t.Helper()
	plaintext, c, err := f.secret.Issue(context.Background(), user, fullSecret)
	require.NoError(f.t, err)
	return plaintext, c
}

// signIn returns the cookie of a new session.
func (f *fixture) signIn(user string, s ...auth.SessionOptions) *http.Cookie {
	f.t.Helper()
	cookie, _ := f.session(user, s...)
	return cookie
}

func (f *fixture) session(user string, s ...auth.SessionOptions) (*http.Cookie, auth.Credential) {
	f.t.Helper()
	w := httptest.NewRecorder()
	c, err := f.cookie.SignIn(w, httptest.NewRequest("POST", "/signin", nil), user, append(s, auth.SessionOptions{})[0])
	require.NoError(f.t, err)
	return w.Result().Cookies()[0], c
}

// A target is a handler behind authentication. It writes the identity, and counts requests.
type target struct {
	http.Handler
	served atomic.Int64
}

func behind(wrap func(http.Handler) http.Handler) *target {
	t := new(target)
	t.Handler = wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t.served.Add(1)
		id, ok := auth.FromContext(r.Context())
		if !ok {
			fmt.Fprint(w, "anonymous")
			return
		}
		fmt.Fprintf(w, "%s by %s", id.UserID, id.Scheme)
	}))
	return t
}

// all returns a route that accepts all three schemes.
func (f *fixture) all() *target { return behind(auth.Require(f.bearer, f.cookie, f.secret)) }

type edit func(*http.Request)

func field(name string, values ...string) edit {
	return func(r *http.Request) { r.Header[http.CanonicalHeaderKey(name)] = values }
}

func authorization(values ...string) edit { return field("Authorization", values...) }

func withCookie(cookies ...*http.Cookie) edit {
	return func(r *http.Request) {
		for _, c := range cookies {
			r.AddCookie(c)
		}
	}
}

func request(method string, edits ...edit) *http.Request {
	r := httptest.NewRequest(method, "https://api.example.com/notes?a=b", nil)
	for _, e := range edits {
		e(r)
	}
	return r
}

func (t *target) get(edits ...edit) *httptest.ResponseRecorder { return t.do("GET", edits...) }

func (t *target) do(method string, edits ...edit) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	t.ServeHTTP(w, request(method, edits...))
	return w
}

// accepted asserts that the handler ran, with that user and scheme.
func accepted(t testing.TB, w *httptest.ResponseRecorder, user string, scheme auth.Scheme) {
	t.Helper()
	require.Equal(t, 200, w.Code, "body: %s", w.Body)
	require.Equal(t, fmt.Sprintf("%s by %s", user, scheme), w.Body.String())
}

// refused asserts the status, the challenges, and what all error responses have in common.
func refused(t testing.TB, w *httptest.ResponseRecorder, status int, challenges ...string) {
	t.Helper()
	require.Equal(t, status, w.Code, "body: %s", w.Body)
	require.Equal(t, []string{"no-store"}, w.Header().Values("Cache-Control"))
	require.Equal(t, "application/problem+json", w.Header().Get("Content-Type"))
	require.Equal(t, challenges, append([]string(nil), w.Header().Values("WWW-Authenticate")...))
	if status == 401 {
		require.NotEmpty(t, challenges, "RFC 9110 section 15.5.2 requires a challenge")
	}
	var problem struct {
		Status int
		Title  string
	}
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &problem), "body: %s", w.Body)
	require.Equal(t, status, problem.Status)
	require.Equal(t, http.StatusText(status), problem.Title)
}

const (
	plainBearer = `Bearer realm="api"`
	plainSecret = `Secret realm="api"`
	plainCookie = `Cookie realm="api"`
	badToken    = `Bearer realm="api", error="invalid_token"`
	badRequest  = `Bearer realm="api", error="invalid_request"`
)

// A recorder is an Observer that keeps all events.
type recorder struct {
	mu     sync.Mutex
	events []auth.Event
}

func (o *recorder) observe(_ context.Context, e auth.Event) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.events = append(o.events, e)
}

// take returns the events since the last call.
func (o *recorder) take() []auth.Event {
	o.mu.Lock()
	defer o.mu.Unlock()
	events := o.events
	o.events = nil
	return events
}

func eventTypes(events []auth.Event) []auth.EventType {
	var types []auth.EventType
	for _, e := range events {
		types = append(types, e.Type)
	}
	return types
}

// A spyStore counts calls, and can make them fail.
type spyStore struct {
	auth.Store
	lookups, touches atomic.Int64

	// fail, if not nil, returns the error of each call, by the method's name.
	fail func(method string) error
	// saw, if not nil, is called with the arguments of each call, one at a time.
	saw func(args ...any)
	mu  sync.Mutex
	// after, if not nil, is called when a method has succeeded.
	after func(method string)
}

func (s *spyStore) call(method string, f func() error, args ...any) error {
	if s.saw != nil {
		s.mu.Lock()
		s.saw(args...)
		s.mu.Unlock()
	}
	if s.fail != nil {
		if err := s.fail(method); err != nil {
			return err
		}
	}
	err := f()
	if err == nil && s.after != nil {
		s.after(method)
	}
	return err
}

func (s *spyStore) Lookup(ctx context.Context, kind auth.Kind, d auth.Digest) (c *auth.Credential, err error) {
	s.lookups.Add(1)
	if s.saw == nil && s.fail == nil && s.after == nil {
		return s.Store.Lookup(ctx, kind, d) // without the allocations of the spy, for TestAllocations
	}
	err = s.call("Lookup", func() error { c, err = s.Store.Lookup(ctx, kind, d); return err }, kind, d)
	return c, err
}

func (s *spyStore) Create(ctx context.Context, c auth.Credential, limit int) error {
	return s.call("Create", func() error { return s.Store.Create(ctx, c, limit) }, c)
}

func (s *spyStore) Get(ctx context.Context, ref auth.Ref) (c auth.Credential, err error) {
	err = s.call("Get", func() error { c, err = s.Store.Get(ctx, ref); return err }, ref)
	return c, err
}

func (s *spyStore) List(ctx context.Context, kind auth.Kind, userID string, page auth.Page) (list []auth.Credential, err error) {
	err = s.call("List", func() error { list, err = s.Store.List(ctx, kind, userID, page); return err }, userID, page)
	return list, err
}

func (s *spyStore) Update(ctx context.Context, old, next auth.Credential) error {
	return s.call("Update", func() error { return s.Store.Update(ctx, old, next) }, old, next)
}

func (s *spyStore) Rotate(ctx context.Context, old, next auth.Credential, oldUntil time.Time) error {
	return s.call("Rotate", func() error { return s.Store.Rotate(ctx, old, next, oldUntil) }, old, next)
}

func (s *spyStore) Revoke(ctx context.Context, ref auth.Ref) error {
	return s.call("Revoke", func() error { return s.Store.Revoke(ctx, ref) }, ref)
}

func (s *spyStore) RevokeAll(ctx context.Context, kind auth.Kind, userID string, except ...string) (n int, err error) {
	err = s.call("RevokeAll", func() error { n, err = s.Store.RevokeAll(ctx, kind, userID, except...); return err }, userID, except)
	return n, err
}

func (s *spyStore) Touch(ctx context.Context, uses []auth.Use) error {
	s.touches.Add(1)
	return s.call("Touch", func() error { return s.Store.Touch(ctx, uses) }, uses)
}

// serve runs a handler in a real server. exchange sends raw bytes to it, and reads one
// response.
func serve(t testing.TB, h http.Handler) (url string, exchange func(raw string) *http.Response) {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return server.URL, func(raw string) *http.Response {
		t.Helper()
		return rawExchange(t, server.Listener.Addr().String(), raw)
	}
}

func body(t testing.TB, r *http.Response) string {
	t.Helper()
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	return string(b)
}

func repeated(s string, n int) string { return strings.Repeat(s, n) }

func newRecorder() *httptest.ResponseRecorder { return httptest.NewRecorder() }

// failing makes one method of the store return err from now on.
func failing(f *fixture, method string, err error) {
	f.store.fail = func(called string) error {
		if called == method {
			return err
		}
		return nil
	}
}

// rawExchange sends bytes as they are, and reads one response.
func rawExchange(t testing.TB, address, raw string) *http.Response {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(10*time.Second)))
	_, err = conn.Write([]byte(raw))
	require.NoError(t, err)
	response, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: strings.Fields(raw)[0]})
	require.NoError(t, err)
	return response
}

// hasFault asserts that the error of a constructor contains want, or that there is
// none if want is empty.
func hasFault(t testing.TB, err error, want string) {
	t.Helper()
	if want == "" {
		require.NoError(t, err)
		return
	}
	require.ErrorContains(t, err, want)
}

// A discard is a ResponseWriter that costs little.
type discard struct {
	io.Writer
	header http.Header
}

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }
func (d *discard) WriteHeader(int)             {}
