package settings_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/settings"
)

const (
	mount  = "/account/developer"
	origin = "https://api.example.com"
)

// A service has its settings mounted, and two users.
type service struct {
	t      testing.TB
	store  *faultyStore
	bearer *auth.Bearer
	cookie *auth.Cookie
	secret *auth.Secret
	events *recorder

	settings http.Handler
	http.Handler
}

type configs struct {
	bearer   auth.BearerConfig
	cookie   auth.CookieConfig
	secret   auth.SecretConfig
	settings settings.Config
}

func newService(t testing.TB, change ...func(*configs)) *service {
	t.Helper()
	s := &service{t: t, store: &faultyStore{Store: auth.NewMemoryStore()}, events: new(recorder)}
	var cfg configs
	cfg.bearer = auth.BearerConfig{Prefix: "acme_pat", Scopes: []string{"notes:read", "notes:write"}, Observe: s.events.observe}
	cfg.cookie = auth.CookieConfig{Keys: auth.Keys{testKey(1)}, Observe: s.events.observe}
	cfg.secret = auth.SecretConfig{Prefix: "acme_cs", RevealKeys: auth.Keys{testKey(2)}, Observe: s.events.observe}
	cfg.settings = settings.Config{SignInPath: "/signin", Middleware: auth.Middleware{Observe: s.events.observe}}
	for _, c := range change {
		c(&cfg)
	}
	var err error
	s.bearer, err = auth.NewBearer(s.store, cfg.bearer)
	require.NoError(t, err)
	s.cookie, err = auth.NewCookie(s.store, cfg.cookie)
	require.NoError(t, err)
	s.secret, err = auth.NewSecret(s.store, cfg.secret)
	require.NoError(t, err)
	cfg.settings.Bearer, cfg.settings.Cookie = s.bearer, s.cookie
	if cfg.settings.Secret == nil {
		cfg.settings.Secret = s.secret
	} else {
		cfg.settings.Secret = nil
	}
	h, err := settings.New(cfg.settings)
	require.NoError(t, err)
	mux := http.NewServeMux()
	mux.Handle(mount+"/", http.StripPrefix(mount, h))
	s.settings = h
	s.Handler = mux
	return s
}

// withoutSecrets makes a service without client secrets.
func withoutSecrets(c *configs) { c.settings.Secret = new(auth.Secret) }

func testKey(b byte) []byte { return append(bytes.Repeat([]byte{b}, 31), b+1) }

// A person is somebody with a session.
type person struct {
	*service
	userID  string
	session auth.Credential
	cookie  *http.Cookie
}

func (s *service) signIn(userID string, scopes ...string) *person {
	s.t.Helper()
	w := httptest.NewRecorder()
	r := httptest.NewRequest("POST", origin+"/signin", nil)
	r.Header.Set("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")
	session, err := s.cookie.SignIn(w, r, userID, auth.NewSession{Scopes: scopes})
	require.NoError(s.t, err)
	return &person{s, userID, session, w.Result().Cookies()[0]}
}

type edit func(*http.Request)

func field(name, value string) edit { return func(r *http.Request) { r.Header.Set(name, value) } }

func without(name string) edit { return func(r *http.Request) { r.Header.Del(name) } }

func (s *service) do(method, path, body string, edits ...edit) *answer {
	s.t.Helper()
	r := httptest.NewRequest(method, origin+mount+path, strings.NewReader(body))
	for _, e := range edits {
		e(r)
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return &answer{s.t, w}
}

// do sends a request of the person's browser, from a page of the service.
func (p *person) do(method, path, body string, edits ...edit) *answer {
	p.t.Helper()
	browser := []edit{func(r *http.Request) { r.AddCookie(p.cookie) }, field("Sec-Fetch-Site", "same-origin")}
	if method != "GET" && method != "HEAD" {
		browser = append(browser, field("Origin", origin))
	}
	return p.service.do(method, path, body, append(browser, edits...)...)
}

func (p *person) get(path string, edits ...edit) *answer {
	p.t.Helper()
	return p.do("GET", path, "", edits...)
}

func (p *person) post(path string, form url.Values, edits ...edit) *answer {
	p.t.Helper()
	edits = append([]edit{field("Content-Type", "application/x-www-form-urlencoded")}, edits...)
	return p.do("POST", path, form.Encode(), edits...)
}

func (p *person) json(method, path, body string, edits ...edit) *answer {
	p.t.Helper()
	return p.do(method, path, body, append([]edit{field("Content-Type", "application/json")}, edits...)...)
}

// token makes a token past the settings.
func (p *person) token(name string, scopes ...string) (string, auth.Credential) {
	p.t.Helper()
	plaintext, c, err := p.bearer.Issue(context.Background(), p.userID, auth.NewToken{Name: name, Scopes: scopes})
	require.NoError(p.t, err)
	return plaintext, c
}

func (p *person) assigned() (string, auth.Credential) {
	p.t.Helper()
	plaintext, c, err := p.secret.Assign(context.Background(), p.userID)
	require.NoError(p.t, err)
	return plaintext, c
}

func (p *person) tokens() []auth.Credential {
	p.t.Helper()
	list, err := p.bearer.List(context.Background(), p.userID, auth.Page{})
	require.NoError(p.t, err)
	return list
}

func (p *person) secrets() []auth.Credential {
	p.t.Helper()
	list, err := p.secret.List(context.Background(), p.userID)
	require.NoError(p.t, err)
	return list
}

func (p *person) sessions() []auth.Credential {
	p.t.Helper()
	list, err := p.service.cookie.List(context.Background(), p.userID, auth.Page{})
	require.NoError(p.t, err)
	return list
}

// works says whether a credential is accepted by the service's other routes.
func (s *service) works(scheme auth.Scheme, plaintext string) bool {
	s.t.Helper()
	r := httptest.NewRequest("GET", origin+"/api", nil)
	r.Header.Set("Authorization", string(scheme)+" "+plaintext)
	_, err := new(auth.Middleware).Authenticate(r, s.bearer, s.secret)
	return err == nil
}

type answer struct {
	t testing.TB
	*httptest.ResponseRecorder
}

// status asserts it, and what goes for every answer.
func (a *answer) status(want int) *answer {
	a.t.Helper()
	require.Equal(a.t, want, a.Code, a.Body.String())
	require.Equal(a.t, "nosniff", a.Header().Get("X-Content-Type-Options"))
	return a
}

// problem asserts an answer of the API that is a problem.
func (a *answer) problem(status int, code string) *answer {
	a.t.Helper()
	a.status(status)
	require.Equal(a.t, "application/problem+json", a.Header().Get("Content-Type"))
	require.Equal(a.t, "no-store", a.Header().Get("Cache-Control"))
	got := a.object()
	require.Equal(a.t, code, got["code"], a.Body.String())
	require.EqualValues(a.t, status, got["status"])
	require.Equal(a.t, "about:blank", got["type"])
	require.Equal(a.t, http.StatusText(status), got["title"])
	require.NotEmpty(a.t, got["detail"])
	return a
}

// blames asserts which fields a problem names.
func (a *answer) blames(fields ...string) {
	a.t.Helper()
	var got []string
	errors, _ := a.object()["errors"].([]any)
	for _, e := range errors {
		got = append(got, e.(map[string]any)["field"].(string))
		require.NotEmpty(a.t, e.(map[string]any)["detail"])
	}
	require.Equal(a.t, fields, got, a.Body.String())
}

func (a *answer) object() (v map[string]any) {
	a.t.Helper()
	require.NoError(a.t, json.Unmarshal(a.Body.Bytes(), &v), a.Body.String())
	return v
}

// page asserts a page for people, and returns its source.
func (a *answer) page(status int, contains ...string) string {
	a.t.Helper()
	a.status(status)
	require.Equal(a.t, "text/html; charset=utf-8", a.Header().Get("Content-Type"))
	require.Equal(a.t, "no-store", a.Header().Get("Cache-Control"))
	text := a.Body.String()
	for _, want := range contains {
		require.Contains(a.t, text, want)
	}
	return text
}

// redirects asserts a redirect to a location.
func (a *answer) redirects(location string) {
	a.t.Helper()
	a.status(http.StatusSeeOther)
	require.Equal(a.t, location, a.Header().Get("Location"))
	require.Equal(a.t, "no-store", a.Header().Get("Cache-Control"))
}

// between returns what stands between two texts.
func between(t testing.TB, text, start, end string) string {
	t.Helper()
	_, rest, found := strings.Cut(text, start)
	require.True(t, found, "no %q in %s", start, text)
	inside, _, found := strings.Cut(rest, end)
	require.True(t, found, "no %q in %s", end, rest)
	return inside
}

type recorder struct {
	mu     sync.Mutex
	events []auth.Event
}

func (o *recorder) observe(_ context.Context, e auth.Event) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.events = append(o.events, e)
}

// take returns the events since the last call, but for accepted requests.
func (o *recorder) take() []auth.Event {
	o.mu.Lock()
	defer o.mu.Unlock()
	var events []auth.Event
	for _, e := range o.events {
		if e.Kind != auth.EventAccepted {
			events = append(events, e)
		}
	}
	o.events = nil
	return events
}

// A faultyStore fails where it is told to.
type faultyStore struct {
	auth.Store
	mu   sync.Mutex
	fail map[string]bool // by method
	with error           // nil: errDisk
}

var errDisk = errors.New("disk: no space left for user ada")

func (s *faultyStore) failing(method string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case !s.fail[method]:
		return nil
	case s.with != nil:
		return s.with
	}
	return errDisk
}

func (s *faultyStore) setFailing(methods ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = make(map[string]bool)
	for _, m := range methods {
		s.fail[m] = true
	}
}

func (s *faultyStore) Create(ctx context.Context, c auth.Credential, limit int) error {
	if err := s.failing("Create"); err != nil {
		return err
	}
	return s.Store.Create(ctx, c, limit)
}

func (s *faultyStore) Get(ctx context.Context, ref auth.Ref) (auth.Credential, error) {
	if err := s.failing("Get"); err != nil {
		return auth.Credential{}, err
	}
	return s.Store.Get(ctx, ref)
}

func (s *faultyStore) List(ctx context.Context, kind auth.Kind, userID string, page auth.Page) ([]auth.Credential, error) {
	if err := s.failing("List"); err != nil {
		return nil, err
	}
	return s.Store.List(ctx, kind, userID, page)
}

func (s *faultyStore) Rotate(ctx context.Context, old auth.Ref, next auth.Credential, oldUntil time.Time) error {
	if err := s.failing("Rotate"); err != nil {
		return err
	}
	return s.Store.Rotate(ctx, old, next, oldUntil)
}

func (s *faultyStore) Touch(ctx context.Context, uses []auth.Use) error {
	if err := s.failing("Touch"); err != nil {
		return err
	}
	return s.Store.Touch(ctx, uses)
}

func (s *faultyStore) Revoke(ctx context.Context, ref auth.Ref) error {
	if err := s.failing("Revoke"); err != nil {
		return err
	}
	return s.Store.Revoke(ctx, ref)
}

func (s *faultyStore) RevokeAll(ctx context.Context, kind auth.Kind, userID string, except ...string) (int, error) {
	if err := s.failing("RevokeAll"); err != nil {
		return 0, err
	}
	return s.Store.RevokeAll(ctx, kind, userID, except...)
}
