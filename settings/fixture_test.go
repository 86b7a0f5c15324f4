package settings_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
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

// A service mounts the settings.
type service struct {
	t      testing.TB
	store  *faultyStore
	bearer *auth.Bearer
	cookie *auth.Cookie
	secret *auth.Secret
	events *recorder

	settings *settings.Handler
	http.Handler
}

type configs struct {
	store    *faultyStore
	bearer   auth.BearerConfig
	cookie   auth.CookieConfig
	secret   auth.SecretConfig
	settings settings.Config
}

func newService(t testing.TB, change ...func(*configs)) *service {
	t.Helper()
	s := &service{t: t, events: new(recorder)}
	cfg := configs{store: &faultyStore{Store: auth.NewMemoryStore()}}
	cfg.bearer = auth.BearerConfig{Prefix: "acme_pat", Scopes: []string{"notes:read", "notes:write"}, Observe: s.events.observe}
	cfg.cookie = auth.CookieConfig{Keys: auth.Keys{testKey(1)}, Observe: s.events.observe}
	cfg.secret = auth.SecretConfig{Prefix: "acme_cs", RevealKeys: auth.Keys{testKey(2)}, Observe: s.events.observe}
	cfg.settings = settings.Config{SignInPath: "/signin", Middleware: auth.Middleware{Observe: s.events.observe}}
	for _, c := range change {
		c(&cfg)
	}
	s.store = cfg.store
	var err error
	s.bearer, err = auth.NewBearer(s.store, cfg.bearer)
	require.NoError(t, err)
	s.cookie, err = auth.NewCookie(s.store, cfg.cookie)
	require.NoError(t, err)
	s.secret, err = auth.NewSecret(s.store, cfg.secret)
	require.NoError(t, err)
	cfg.settings.Bearer = s.bearer
	if cfg.settings.Session == nil {
		cfg.settings.Cookie = s.cookie
	}
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

// withoutSecrets configures a service without client secrets.
func withoutSecrets(c *configs) { c.settings.Secret = new(auth.Secret) }

func testKey(b byte) []byte { return append(bytes.Repeat([]byte{b}, 31), b+1) }

// A user is signed in to a service.
type user struct {
	*service
	userID  string
	session auth.Credential
	cookie  *http.Cookie
}

func (s *service) signIn(userID string, scopes ...string) *user {
	s.t.Helper()
	return s.startSessionOf(userID, "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", scopes...)
}

// startSessionOf signs a user in with a browser.
func (s *service) startSessionOf(userID, userAgent string, scopes ...string) *user {
	s.t.Helper()
	r := httptest.NewRequest("POST", origin+"/signin", nil)
	r.Header.Set("User-Agent", userAgent)
	return s.startSession(httptest.NewRecorder(), r, userID, auth.SessionOptions{Scopes: scopes})
}

// actAs signs a member of the support staff in as a user.
func (s *service) actAs(userID, actor string) *user {
	s.t.Helper()
	return s.startSession(httptest.NewRecorder(), httptest.NewRequest("POST", origin+"/support", nil), userID, auth.SessionOptions{Actor: actor})
}

func (s *service) startSession(w *httptest.ResponseRecorder, r *http.Request, userID string, o auth.SessionOptions) *user {
	s.t.Helper()
	session, err := s.cookie.SignIn(w, r, userID, o)
	require.NoError(s.t, err)
	return &user{s, userID, session, w.Result().Cookies()[0]}
}

type edit func(*http.Request)

func field(name, value string) edit { return func(r *http.Request) { r.Header.Set(name, value) } }

var clientAddr = netip.MustParseAddr("198.51.100.7")

// fromAddr is what a middleware of the service does.
func fromAddr(r *http.Request) {
	*r = *r.WithContext(auth.WithClientAddr(r.Context(), clientAddr))
}

func without(name string) edit { return func(r *http.Request) { r.Header.Del(name) } }

func (s *service) do(method, path, body string, edits ...edit) *answer {
	s.t.Helper()
	r := httptest.NewRequest(method, origin+mount+path, strings.NewReader(body))
	if !strings.HasPrefix(path, "/api/") {
		r.Header.Set("Accept", "text/html,*/*;q=0.8") // as a browser that opens a page
	}
	for _, e := range edits {
		e(r)
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return &answer{s.t, w}
}

// do sends a request as the user's browser does from a page of the service. Forms name the
// account, unless body does.
func (u *user) do(method, path, body string, edits ...edit) *answer {
	u.t.Helper()
	if method == "POST" && !strings.HasPrefix(path, "/api/") && !strings.Contains(body, "account=") {
		body = "account=" + u.account() + "&" + body
	}
	browser := []edit{func(r *http.Request) { r.AddCookie(u.cookie) }, field("Sec-Fetch-Site", "same-origin")}
	if method != "GET" && method != "HEAD" {
		browser = append(browser, field("Origin", origin))
	}
	return u.service.do(method, path, body, append(browser, edits...)...)
}

func (u *user) get(path string, edits ...edit) *answer {
	u.t.Helper()
	return u.do("GET", path, "", edits...)
}

func (u *user) post(path string, form url.Values, edits ...edit) *answer {
	u.t.Helper()
	edits = append([]edit{field("Content-Type", "application/x-www-form-urlencoded")}, edits...)
	return u.do("POST", path, form.Encode(), edits...)
}

// account is what the forms of the user name them by.
func (u *user) account() string {
	sum := sha256.Sum256([]byte(u.userID))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

func (u *user) json(method, path, body string, edits ...edit) *answer {
	u.t.Helper()
	return u.do(method, path, body, append([]edit{field("Content-Type", "application/json")}, edits...)...)
}

// issue issues a token directly, not through the settings.
func (u *user) issue(name string, lifetime time.Duration, scopes ...string) (string, auth.Credential) {
	u.t.Helper()
	plaintext, c, err := u.bearer.Issue(context.Background(), u.userID, auth.TokenOptions{Name: name, Scopes: scopes, Lifetime: lifetime})
	require.NoError(u.t, err)
	return plaintext, c
}

// token issues a token with full access that does not expire.
func (u *user) token(name string) (string, auth.Credential) {
	u.t.Helper()
	return u.issue(name, auth.NoExpiry, auth.FullAccess)
}

func (u *user) createSecret() (string, auth.Credential) {
	u.t.Helper()
	plaintext, c, err := u.secret.Issue(context.Background(), u.userID, auth.SecretOptions{Scopes: []string{auth.FullAccess}, Lifetime: auth.NoExpiry})
	require.NoError(u.t, err)
	return plaintext, c
}

// rotateSecret rotates the client secret with a grace period of an hour.
func (u *user) rotateSecret(id string) (string, auth.Credential) {
	u.t.Helper()
	plaintext, c, err := u.secret.Rotate(context.Background(), u.userID, id, time.Hour)
	require.NoError(u.t, err)
	return plaintext, c
}

func (u *user) tokens() []auth.Credential {
	u.t.Helper()
	list, err := u.bearer.List(context.Background(), u.userID, auth.Page{})
	require.NoError(u.t, err)
	return list
}

// secrets returns the current secret first.
func (u *user) secrets() []auth.Credential {
	u.t.Helper()
	list, err := u.secret.List(context.Background(), u.userID, auth.Page{})
	require.NoError(u.t, err)
	if len(list) == 2 && list[0].Superseded {
		slices.Reverse(list) // IDs of the same millisecond have no order
	}
	return list
}

func (u *user) sessions() []auth.Credential {
	u.t.Helper()
	list, err := u.service.cookie.List(context.Background(), u.userID, auth.Page{})
	require.NoError(u.t, err)
	return list
}

// works reports whether the other routes of the service accept a credential.
func (s *service) works(scheme auth.Scheme, plaintext string) bool {
	s.t.Helper()
	r := httptest.NewRequest("GET", origin+"/api", nil)
	r.Header.Set("Authorization", string(scheme)+" "+plaintext)
	_, err := new(auth.Middleware).Authenticate(r, s.bearer, s.secret)
	return err == nil
}

// An endpoint is a method and a path, in which IDs are filled in.
type endpoint struct{ method, path string }

// endpoints returns all endpoints of the pages and the API, for these credential IDs.
func endpoints(token, secret, previous, session string) (pages, api []endpoint) {
	pages = []endpoint{
		{"GET", "/"}, {"GET", "/tokens/new"}, {"POST", "/tokens"},
		{"GET", "/tokens/" + token}, {"GET", "/tokens/" + token + "/edit"}, {"POST", "/tokens/" + token + "/edit"},
		{"GET", "/tokens/" + token + "/rotate"}, {"POST", "/tokens/" + token + "/rotate"},
		{"GET", "/tokens/" + token + "/revoke"}, {"POST", "/tokens/" + token + "/revoke"},
		{"GET", "/tokens/revoke"}, {"POST", "/tokens/revoke"},
		{"GET", "/secret"}, {"POST", "/secret/create"}, {"POST", "/secret/reveal"},
		{"GET", "/secret/rotate"}, {"POST", "/secret/rotate"}, {"GET", "/secret/revoke"}, {"POST", "/secret/revoke"},
		{"GET", "/secret/previous/" + previous + "/revoke"}, {"POST", "/secret/previous/" + previous + "/revoke"},
		{"GET", "/sessions"}, {"GET", "/sessions/" + session + "/end"}, {"POST", "/sessions/" + session + "/end"},
		{"GET", "/sessions/end"}, {"POST", "/sessions/end"},
	}
	api = []endpoint{
		{"GET", "/api/policy"}, {"GET", "/api/tokens"}, {"POST", "/api/tokens"}, {"DELETE", "/api/tokens"},
		{"GET", "/api/tokens/" + token}, {"PATCH", "/api/tokens/" + token}, {"DELETE", "/api/tokens/" + token}, {"POST", "/api/tokens/" + token + "/rotate"},
		{"GET", "/api/secret"}, {"POST", "/api/secret"}, {"DELETE", "/api/secret?id=" + secret}, {"POST", "/api/secret/reveal"},
		{"POST", "/api/secret/rotate"}, {"DELETE", "/api/secret/previous/" + previous},
		{"GET", "/api/sessions"}, {"DELETE", "/api/sessions"}, {"GET", "/api/sessions/" + session}, {"DELETE", "/api/sessions/" + session},
	}
	return pages, api
}

// filled returns a body that the endpoint accepts, and its media type.
func filled(e endpoint, secret string) (body, contentType string) {
	if e.method != "POST" && e.method != "PATCH" {
		return "", ""
	}
	if !strings.HasPrefix(e.path, "/api/") {
		return "idempotency=" + auth.NewIdempotency() + "&name=deploy&expires=720h0m0s&access=full&overlap=1h0m0s&id=" + secret, "application/x-www-form-urlencoded"
	}
	switch {
	case e.path == "/api/tokens":
		body = `{"name": "deploy", "scopes": ["notes:read"], "expires_in": 3600}`
	case e.method == "PATCH":
		body = `{"name": "renamed"}`
	case e.path == "/api/secret/reveal":
		body = `{"id": "` + secret + `"}`
	case e.path == "/api/secret/rotate":
		body = `{"id": "` + secret + `", "overlap": 3600}`
	case strings.HasSuffix(e.path, "/rotate"):
		body = `{"overlap": 3600}`
	default:
		body = "{}"
	}
	return body, "application/json"
}

// A populatedUser has one of everything, and knows its endpoints.
type populatedUser struct {
	*user
	token, secret        string // plaintexts
	tokenID, sessionID   string
	secretID, previousID string
	pages, api           []endpoint
}

func newPopulatedUser(t testing.TB, s *service, userID string) *populatedUser {
	t.Helper()
	h := &populatedUser{user: s.signIn(userID)}
	var c auth.Credential
	h.token, c = h.user.token("deploy")
	h.tokenID = c.ID
	_, previous := h.createSecret()
	h.previousID = previous.ID
	h.secret, c = h.rotateSecret(previous.ID)
	h.secretID = c.ID
	h.sessionID = s.signIn(userID).session.ID
	h.pages, h.api = endpoints(h.tokenID, h.secretID, h.previousID, h.sessionID)
	return h
}

// untouched asserts that no credential of the user has changed.
func (h *populatedUser) untouched() {
	h.t.Helper()
	require.Len(h.t, h.tokens(), 1)
	require.Equal(h.t, h.tokenID, h.tokens()[0].ID)
	require.False(h.t, h.tokens()[0].Superseded)
	require.Equal(h.t, "deploy", h.tokens()[0].Name)
	require.Len(h.t, h.secrets(), 2)
	require.Equal(h.t, h.secretID, h.secrets()[0].ID)
	require.Len(h.t, h.sessions(), 2)
	require.True(h.t, h.works(auth.SchemeBearer, h.token))
	require.True(h.t, h.works(auth.SchemeSecret, h.secret))
}

// endpoints returns all endpoints of the pages and the API.
func (h *populatedUser) endpoints() []endpoint { return slices.Concat(h.pages, h.api) }

// each runs check for every endpoint, which must change nothing.
func (h *populatedUser) each(t *testing.T, check func(t *testing.T, e endpoint, body, contentType string)) {
	for _, e := range h.endpoints() {
		t.Run(e.method+" "+e.path, func(t *testing.T) {
			body, contentType := filled(e, h.secretID)
			check(t, e, body, contentType)
		})
	}
	h.untouched()
}

func isAPI(e endpoint) bool { return strings.HasPrefix(e.path, "/api/") }
