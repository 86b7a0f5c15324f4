package settings_test

import (
	"context"
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

// hostSessions are sessions of another package, by the value of the cookie sid.
type hostSessions struct {
	mu  sync.Mutex
	ids map[string]auth.Identity
	err error
}

func (s *hostSessions) Scheme() auth.Scheme { return "Session" }

func (s *hostSessions) Authenticate(r *http.Request) (*auth.Identity, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	cookie, err := r.Cookie("sid")
	if err != nil {
		return nil, auth.ErrNoCredential
	}
	id, found := s.ids[cookie.Value]
	switch {
	case s.err != nil:
		return nil, s.err
	case !found:
		return nil, auth.ErrInvalidCredential
	}
	return &id, nil
}

func (s *hostSessions) set(key string, id auth.Identity) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ids[key] = id
}

// newHostService returns a service with sessions of its own, and ada, who has signed in just now.
func newHostService(t *testing.T) (*user, *hostSessions) {
	t.Helper()
	sessions := &hostSessions{ids: make(map[string]auth.Identity)}
	s := newService(t, func(c *configs) {
		c.settings.Session = sessions
		c.settings.TrustedOrigins = []string{origin, "https://console.example.com"}
	})
	sessions.set("key of ada", auth.Identity{UserID: "ada", CredentialID: "session-1", Scopes: auth.FullAccess, AuthenticatedAt: time.Now()})
	return &user{service: s, userID: "ada", cookie: &http.Cookie{Name: "sid", Value: "key of ada"}}, sessions
}

func TestSession_mountsThePage(t *testing.T) {
	t.Parallel()
	ada, sessions := newHostService(t)
	ada.service.do("GET", "/", "").redirects("/signin?next=%2Faccount%2Fdeveloper%2F")
	ada.service.do("GET", "/api/tokens", "").problem(http.StatusUnauthorized, "missing_credential")
	text := ada.get("/").page(http.StatusOK)
	require.NotContains(t, text, "sessions", "they are the service's own")
	token := plaintext(ada.post("/tokens", newToken(ada.get("/tokens/new").page(http.StatusOK))).page(http.StatusOK))
	require.True(t, ada.works(auth.SchemeBearer, token))
	id, _ := ada.createToken(tokenBody(validName, validScopes, validExpiry))
	ada.patch(id, `{"scopes": ["*"]}`).status(http.StatusOK)
	ada.json("POST", "/api/secret", "{}").status(http.StatusCreated)
	ada.post("/tokens/"+id+"/revoke", nil).status(http.StatusSeeOther)
	got := ada.get("/api/tokens")
	require.Contains(t, strings.Join(got.Header()["Vary"], ", "), "Cookie")

	for _, path := range []string{"/sessions", "/sessions/end", "/sessions/session-1/end"} {
		ada.get(path).page(http.StatusNotFound)
		ada.get("/api"+path).problem(http.StatusNotFound, "not_found")
	}
	doc := ada.get("/api/openapi.json").status(http.StatusOK).Body.String()
	require.NotContains(t, doc, `"/sessions`)
	require.NotContains(t, doc, `"SessionList"`)
	require.Contains(t, doc, `"/secret/rotate"`)

	// A token is no session, and neither is the key in another place.
	ada.service.do("GET", "/api/tokens", "", field("Authorization", "Bearer "+token)).problem(http.StatusForbidden, "session_required")
	ada.service.do("GET", "/api/tokens", "", field("Authorization", "Session key of ada")).problem(http.StatusUnauthorized, "missing_credential")
	sessions.mu.Lock()
	sessions.err = errors.New("redis: connection refused")
	sessions.mu.Unlock()
	ada.get("/api/tokens").problem(http.StatusServiceUnavailable, "unavailable")
}

// A user ID that no store takes is a mistake of the service. The form says that something is wrong.
func TestSession_invalidUserID(t *testing.T) {
	t.Parallel()
	ada, sessions := newHostService(t)
	ada.userID = "ada\n"
	sessions.set("key of ada", auth.Identity{UserID: ada.userID, CredentialID: "session-1", Scopes: auth.FullAccess, AuthenticatedAt: time.Now()})
	form := url.Values{"idempotency": {auth.NewIdempotency()}, "name": {"deploy"}, "expires": {"720h0m0s"}, "access": {"full"}}
	ada.post("/tokens", form).page(http.StatusBadRequest, `role="alert"`)
}

// The bar has the name of the account, and no button to sign out: that is the service's own.
func TestSession_accountAndSummary(t *testing.T) {
	t.Parallel()
	s := newService(t)
	sessions := &hostSessions{ids: make(map[string]auth.Identity)}
	sessions.set("key of ada", auth.Identity{UserID: "ada", CredentialID: "session-1", Scopes: auth.FullAccess, AuthenticatedAt: time.Now()})
	h, err := settings.New(settings.Config{
		Bearer: s.bearer, SignInPath: "/signin", Session: sessions, TrustedOrigins: []string{origin},
		Account: func(context.Context, *auth.Identity) string { return "ada@example.com" },
	})
	require.NoError(t, err)
	r := httptest.NewRequest("GET", origin+"/", nil)
	r.AddCookie(&http.Cookie{Name: "sid", Value: "key of ada"})
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	require.Equal(t, http.StatusOK, w.Code)
	require.Contains(t, w.Body.String(), `<p class="account"><bdi title="ada@example.com">`)
	require.NotContains(t, w.Body.String(), "sessions/")

	_, _, err = s.bearer.Issue(t.Context(), "ada", auth.TokenOptions{Name: "deploy", Scopes: []string{"notes:read"}, Lifetime: time.Hour})
	require.NoError(t, err)
	auth.Require(sessions)(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		summary, err := h.Summary(r)
		require.NoError(t, err)
		require.Equal(t, 1, summary.Tokens)
		require.Zero(t, summary.Sessions)
	})).ServeHTTP(httptest.NewRecorder(), r)
}

// Another site cannot use the session, although the service's own authenticator does not look at
// the origin.
func TestSession_crossOrigin(t *testing.T) {
	t.Parallel()
	ada, _ := newHostService(t)
	body := tokenBody(validName, validScopes, validExpiry)
	for _, from := range []edit{
		func(r *http.Request) {
			r.Header.Set("Sec-Fetch-Site", "cross-site")
			r.Header.Set("Origin", "https://evil.example")
		},
		func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "same-site"); r.Header.Del("Origin") },
		func(r *http.Request) { r.Header.Del("Sec-Fetch-Site"); r.Header.Set("Origin", "https://evil.example") },
		func(r *http.Request) { r.Header.Del("Sec-Fetch-Site"); r.Header.Set("Origin", "null") },
		func(r *http.Request) { r.Header.Add("Origin", "https://evil.example"); r.Header.Del("Sec-Fetch-Site") },
	} {
		ada.events.take()
		ada.json("POST", "/api/tokens", body, from).problem(http.StatusForbidden, "cross_origin")
		require.Equal(t, auth.ReasonCrossOrigin, ada.events.refusal(t).Reason)
		ada.post("/tokens", nil, from).page(http.StatusForbidden, "Another site sent this request")
	}
	require.Empty(t, ada.tokens())
	ada.json("POST", "/api/tokens", body, field("Origin", "https://console.example.com"), field("Sec-Fetch-Site", "same-site")).status(http.StatusCreated)
	ada.json("POST", "/api/tokens", body, without("Sec-Fetch-Site")).status(http.StatusCreated)
}

func TestSession_recent(t *testing.T) {
	t.Parallel()
	ada, sessions := newHostService(t)
	body := tokenBody(validName, validScopes, validExpiry)
	for name, at := range map[string]time.Time{"unknown": {}, "old": time.Now().Add(-11 * time.Minute), "future": time.Now().Add(time.Hour)} {
		sessions.set("key of ada", auth.Identity{UserID: "ada", CredentialID: "session-1", Scopes: auth.FullAccess, AuthenticatedAt: at})
		ada.events.take()
		ada.json("POST", "/api/tokens", body).problem(http.StatusUnauthorized, "insufficient_user_authentication")
		require.Equal(t, auth.ReasonAge, ada.events.refusal(t).Reason, name)
		require.Contains(t, ada.get("/tokens/new").status(http.StatusSeeOther).Header().Get("Location"), "prompt=login", name)
		ada.get("/").page(http.StatusOK)
		known := ada.get("/api/policy").status(http.StatusOK).object()["authentication"].(map[string]any)["authenticated_at"]
		require.Equal(t, name == "unknown", known == nil)
	}
	sessions.set("key of ada", auth.Identity{UserID: "ada", CredentialID: "session-1", Scopes: auth.FullAccess, AuthenticatedAt: time.Now(), Actor: "grace"})
	ada.json("POST", "/api/tokens", body).problem(http.StatusForbidden, "actor_not_allowed")
	sessions.set("key of ada", auth.Identity{UserID: "ada", CredentialID: "session-1", AuthenticatedAt: time.Now()})
	ada.json("POST", "/api/tokens", body).problem(http.StatusForbidden, "insufficient_scope")
	require.Empty(t, ada.tokens())
}

// If the session ends while a token is made, the token does not leave the handler.
func TestSession_endsMeanwhile(t *testing.T) {
	t.Parallel()
	for name, then := range map[string]*auth.Identity{
		"ended": nil, "another user": {UserID: "eve", CredentialID: "session-1", Scopes: auth.FullAccess}, "another session": {UserID: "ada", CredentialID: "session-2", Scopes: auth.FullAccess},
	} {
		ada, sessions := newHostService(t)
		ada.after(func(method string) error {
			if method == "Create" && then == nil {
				sessions.mu.Lock()
				delete(sessions.ids, "key of ada")
				sessions.mu.Unlock()
			} else if method == "Create" {
				sessions.set("key of ada", *then)
			}
			return nil
		})
		got := ada.json("POST", "/api/tokens", tokenBody(validName, validScopes, validExpiry)).status(http.StatusUnauthorized)
		require.NotContains(t, got.Body.String(), "acme_pat_", name)
		require.Empty(t, ada.tokens(), name)
	}
}

// A service whose sessions are in another header says so.
type headerSessions struct{ hostSessions }

func (*headerSessions) Vary() []string { return []string{"X-Forwarded-User"} }

func (*headerSessions) Authenticate(r *http.Request) (*auth.Identity, error) {
	if r.Header.Get("X-Forwarded-User") == "" {
		return nil, auth.ErrNoCredential
	}
	return &auth.Identity{UserID: r.Header.Get("X-Forwarded-User"), Scopes: auth.FullAccess, AuthenticatedAt: time.Now()}, nil
}

func TestSession_vary(t *testing.T) {
	t.Parallel()
	s := newService(t, func(c *configs) {
		c.settings.Session, c.settings.TrustedOrigins = new(headerSessions), []string{origin}
	})
	got := s.do("GET", "/api/tokens", "", field("X-Forwarded-User", "ada")).status(http.StatusOK)
	require.Contains(t, strings.Join(got.Header()["Vary"], ", "), "X-Forwarded-User")
	require.Equal(t, "private, no-cache", got.Header().Get("Cache-Control"))
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest("GET", origin+mount+"/api/tokens", nil))
	require.Contains(t, strings.Join(w.Header()["Vary"], ", "), "X-Forwarded-User")
}

func TestNew_session(t *testing.T) {
	t.Parallel()
	s := newService(t)
	for want, change := range map[string]func(*settings.Config){
		"Config.TrustedOrigins: is empty":                               func(c *settings.Config) { c.TrustedOrigins = nil },
		`Config.TrustedOrigins: "https://*.example.com" has a wildcard`: func(c *settings.Config) { c.TrustedOrigins = []string{"https://*.example.com"} },
		`Config.TrustedOrigins: "http://example.com" must be an https`:  func(c *settings.Config) { c.TrustedOrigins = []string{"http://example.com"} },
		"Config.Session: has no effect next to Cookie":                  func(c *settings.Config) { c.Cookie = s.cookie },
		"Config.Session: is a *auth.Cookie":                             func(c *settings.Config) { c.Session = s.cookie },
		"Config.Session: is a *auth.Bearer":                             func(c *settings.Config) { c.Session = s.bearer },
		"Config.Session: is a nil pointer":                              func(c *settings.Config) { c.Session = (*hostSessions)(nil) },
		"Config.TrustedOrigins: has no effect without Session":          func(c *settings.Config) { c.Cookie, c.Session = s.cookie, nil },
		"Config.Cookie: is nil":                                         func(c *settings.Config) { c.Session, c.TrustedOrigins = nil, nil },
	} {
		cfg := settings.Config{Bearer: s.bearer, SignInPath: "/signin", Session: new(hostSessions), TrustedOrigins: []string{"http://localhost:8080", origin}}
		_, err := settings.New(cfg)
		require.NoError(t, err)
		change(&cfg)
		h, err := settings.New(cfg)
		require.ErrorContains(t, err, want)
		require.Nil(t, h)
		require.Equal(t, 1, strings.Count(err.Error(), "settings: Config."), err)
	}
}
