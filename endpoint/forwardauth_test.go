package endpoint_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/endpoint"
)

// forwardAuth returns a handler for nginx, unless cfg names another proxy.
func (f *fixture) forwardAuth(t testing.TB, cfg endpoint.ForwardAuthConfig) http.Handler {
	t.Helper()
	if cfg.Proxy == "" {
		cfg.Proxy = endpoint.ProxyNGINX
	}
	if cfg.Authenticators == nil {
		cfg.Authenticators = []auth.Authenticator{f.bearer, f.cookie, f.secret}
	}
	if cfg.Middleware.Observe == nil {
		cfg.Middleware.Observe = f.observe
	}
	h, err := endpoint.NewForwardAuth(cfg)
	require.NoError(t, err)
	return h
}

// forward asks as nginx does: by GET, with the method and the URL of the client's request.
func forward(t testing.TB, h http.Handler, method, url string, fields ...string) *httptest.ResponseRecorder {
	t.Helper()
	return do(t, h, "GET", "http://auth.internal/forward-auth", "", append(fields, "X-Original-Method", method, "X-Original-URL", url)...)
}

// accepted returns the fields for the back end.
func accepted(t testing.TB, w *httptest.ResponseRecorder) map[string]string {
	t.Helper()
	require.Equal(t, http.StatusOK, w.Code, w.Body)
	require.Empty(t, w.Body.String())
	require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
	got := make(map[string]string)
	for name, lines := range w.Header() {
		if strings.HasPrefix(name, "X-Auth-") {
			require.Len(t, lines, 1)
			got[name] = lines[0]
		}
	}
	return got
}

func TestNewForwardAuth_accepts(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	h := f.forwardAuth(t, endpoint.ForwardAuthConfig{})
	token, c := f.token(t, "alice", "notes:read", "notes:write")
	require.Equal(t, map[string]string{
		"X-Auth-User": "alice", "X-Auth-Scheme": "Bearer", "X-Auth-Scopes": "notes:read notes:write", "X-Auth-Credential": c.ID, "X-Auth-Actor": "",
	}, accepted(t, forward(t, h, "DELETE", "https://app.example/notes/1", "Authorization", "Bearer "+token)))
	e := f.takeOne(t)
	require.Equal(t, auth.EventAccepted, e.Type)
	require.Equal(t, "DELETE", e.Method, "the client's method, not the proxy's")

	session := f.session(t, "bob", auth.SessionOptions{Actor: "staff"})
	got := accepted(t, forward(t, h, "GET", "https://app.example/", "Cookie", session))
	require.Equal(t, "bob", got["X-Auth-User"])
	require.Equal(t, "Cookie", got["X-Auth-Scheme"])
	require.Equal(t, "*", got["X-Auth-Scopes"])
	require.Equal(t, "staff", got["X-Auth-Actor"])

	secret, _, err := f.secret.Issue(t.Context(), "carol", auth.SecretOptions{Scopes: []string{auth.FullAccess}, Lifetime: auth.NoExpiry})
	require.NoError(t, err)
	got = accepted(t, forward(t, h, "POST", "https://app.example/", "Authorization", "Secret "+secret))
	require.Equal(t, "Secret", got["X-Auth-Scheme"])
}

// Without the method of the client, the guard of the cookie would see the proxy's GET.
func TestNewForwardAuth_rejectsOtherSites(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	h := f.forwardAuth(t, endpoint.ForwardAuthConfig{})
	session := f.session(t, "alice", auth.SessionOptions{})
	const url = "https://app.example/notes"
	for _, test := range []struct {
		name, method string
		fields       []string
		want         int
	}{
		{"a form of another site", "POST", []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"}, 403},
		{"a form of a sibling", "POST", []string{"Sec-Fetch-Site", "same-site", "Origin", "https://evil.app.example"}, 403},
		{"an old browser", "POST", []string{"Origin", "https://evil.example"}, 403},
		{"a sandboxed frame", "POST", []string{"Origin", "null"}, 403},
		{"plain http", "POST", []string{"Origin", "http://app.example"}, 403},
		{"a lower-case method", "get", []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"a WebSocket", "GET", []string{"Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==", "Origin", "https://evil.example"}, 403},
		{"two origins", "POST", []string{"Origin", "https://app.example", "Origin", "https://evil.example"}, 403},
		{"its own form", "POST", []string{"Sec-Fetch-Site", "same-origin", "Origin", "https://app.example"}, 200},
		{"its own form in an old browser", "POST", []string{"Origin", "https://app.example"}, 200},
		{"its own WebSocket", "GET", []string{"Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==", "Origin", "https://app.example"}, 200},
		{"a link of another site", "GET", []string{"Sec-Fetch-Site", "cross-site"}, 200},
	} {
		w := forward(t, h, test.method, url, append(test.fields, "Cookie", session)...)
		require.Equal(t, test.want, w.Code, test.name)
		if test.want == http.StatusForbidden {
			require.Equal(t, auth.ReasonCrossOrigin, f.takeOne(t).Reason, test.name)
			require.Empty(t, w.Header().Values("WWW-Authenticate"), test.name)
		}
		f.take()
	}
}

// A cookie for plain http, as in development, still rejects an http page if the site has https.
func TestNewForwardAuth_insecureCookie(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	var err error
	f.cookie, err = auth.NewCookie(f.store, auth.CookieConfig{Keys: auth.Keys{[]byte("0123456789abcdef0123456789abcdef")}, Insecure: true})
	require.NoError(t, err)
	h := f.forwardAuth(t, endpoint.ForwardAuthConfig{})
	session := f.session(t, "alice", auth.SessionOptions{})
	origin := []string{"Cookie", session, "Origin", "http://app.example"}
	require.Equal(t, 200, forward(t, h, "POST", "http://app.example/", origin...).Code)
	require.Equal(t, 403, forward(t, h, "POST", "https://app.example/", origin...).Code)
}

func TestNewForwardAuth_statuses(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	results := map[string]error{
		"forbidden": auth.ErrForbidden, "disabled": auth.ErrInvalidCredential, "old": auth.ErrReauthenticationRequired,
		"down": errDown, "argument": &auth.Error{Err: auth.ErrInvalidArgument}, "unsupported": &auth.Error{Err: errors.ErrUnsupported},
		"conflict": &auth.Error{Err: auth.ErrConflict},
	}
	h := f.forwardAuth(t, endpoint.ForwardAuthConfig{Middleware: auth.Middleware{
		Observe: f.observe, Realm: "acme",
		Resolve: func(_ context.Context, id *auth.Identity) (any, error) {
			if id.UserID == "panic" {
				panic("x")
			}
			return nil, results[id.UserID]
		},
	}})
	for user, want := range map[string]int{
		"alice": 200, "forbidden": 403, "disabled": 401, "old": 401, "down": 503, "argument": 403, "unsupported": 503, "conflict": 403, "panic": 503,
	} {
		token, _ := f.token(t, user)
		w := forward(t, h, "GET", "https://app.example/", "Authorization", "Bearer "+token)
		require.Equal(t, want, w.Code, user)
		if want != http.StatusOK {
			requireNoStore(t, w)
			require.NotContains(t, w.Body.String(), token)
			require.NotContains(t, w.Body.String(), "database")
		}
		require.Equal(t, want == http.StatusUnauthorized, w.Header().Get("WWW-Authenticate") != "", user)
	}
	for name, authorization := range map[string][]string{
		"no credential":   nil,
		"unknown":         {"Authorization", "Bearer acme_pat_0123456789abcdefghijklmnopqrstuv123456"},
		"malformed":       {"Authorization", "Bearer a b"},
		"two credentials": {"Authorization", "Bearer a", "Authorization", "Secret b"},
		"Basic":           {"Authorization", "Basic YTpi"},
		"a bad secret":    {"Authorization", "Secret ,"},
	} {
		w := forward(t, h, "GET", "https://app.example/", authorization...)
		require.Equal(t, http.StatusUnauthorized, w.Code, name)
		require.Contains(t, w.Header().Values("WWW-Authenticate")[0], `Bearer realm="acme"`, name)
		requireNoStore(t, w)
	}
}

func requireNoStore(t testing.TB, w *httptest.ResponseRecorder) {
	t.Helper()
	require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
	for name := range w.Header() {
		require.False(t, strings.HasPrefix(name, "X-Auth-"), name)
	}
}

func TestNewForwardAuth_outage(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	h := f.forwardAuth(t, endpoint.ForwardAuthConfig{})
	token, _ := f.token(t, "alice")
	f.store.down.Store(true)
	w := forward(t, h, "GET", "https://app.example/", "Authorization", "Bearer "+token)
	require.Equal(t, http.StatusServiceUnavailable, w.Code)
	require.Empty(t, w.Header().Values("WWW-Authenticate"))
	requireNoStore(t, w)
	require.ErrorIs(t, f.takeOne(t).Err, errDown)
}

func TestNewForwardAuth_revoked(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	h := f.forwardAuth(t, endpoint.ForwardAuthConfig{})
	token, c := f.token(t, "alice")
	authorization := []string{"Authorization", "Bearer " + token}
	require.Equal(t, 200, forward(t, h, "GET", "https://app.example/", authorization...).Code)
	require.NoError(t, f.bearer.Revoke(t.Context(), "alice", c.ID))
	require.Equal(t, 401, forward(t, h, "GET", "https://app.example/", authorization...).Code)
}

// The fields of the proxy are those of cfg.Proxy, each once. A request is not judged by the proxy's
// own method if they are missing.
func TestNewForwardAuth_fieldsOfTheProxy(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	token, _ := f.token(t, "alice")
	nginx := []string{"X-Original-Method", "GET", "X-Original-URL", "https://app.example/notes"}
	forwarded := []string{"X-Forwarded-Method", "GET", "X-Forwarded-Proto", "https", "X-Forwarded-Host", "app.example", "X-Forwarded-Uri", "/notes"}
	for _, test := range []struct {
		proxy  endpoint.Proxy
		fields []string
		other  []string
	}{
		{endpoint.ProxyNGINX, nginx, forwarded}, {endpoint.ProxyCaddy, forwarded, nginx}, {endpoint.ProxyTraefik, forwarded, nginx},
		{endpoint.ProxyEnvoy, forwarded[2:4], nginx},
	} {
		h := f.forwardAuth(t, endpoint.ForwardAuthConfig{Proxy: test.proxy})
		ask := func(fields ...string) int {
			return do(t, h, "GET", "http://app.example/notes", "", append(fields, "Authorization", "Bearer "+token)...).Code
		}
		require.Equal(t, 200, ask(test.fields...), test.proxy)
		f.take()
		require.Equal(t, 403, ask(test.other...), test.proxy)
		e := f.takeOne(t)
		require.Equal(t, auth.ReasonInternal, e.Reason, "operators must hear of it")
		require.Error(t, e.Err)
		for i := 0; i < len(test.fields); i += 2 {
			name := test.fields[i]
			require.Equal(t, 403, ask(slices.Delete(slices.Clone(test.fields), i, i+2)...), "%s without %s", test.proxy, name)
			require.Equal(t, 403, ask(slices.Concat(test.fields, test.fields[i:i+2])...), "%s with two %s", test.proxy, name)
			for _, bad := range []string{"", test.fields[i+1] + ", " + test.fields[i+1], "\x00", "a b"} {
				replaced := slices.Clone(test.fields)
				replaced[i+1] = bad
				require.Equal(t, 403, ask(replaced...), "%s with %s: %q", test.proxy, name, bad)
			}
		}
	}
	require.NotZero(t, f.store.lookups.Load())
}

// nginx passes on what a client writes into Host and after a "#", and Caddy an HTTP/1.0 request without
// Host. Anyone can send these without a credential, so they must not wake an operator.
func TestNewForwardAuth_malformedByTheClient(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	nginx := f.forwardAuth(t, endpoint.ForwardAuthConfig{})
	for _, test := range []struct {
		method, url string
		want        auth.Reason
	}{
		{"GET", "https://app.example?x=/admin", auth.ReasonMalformed}, {"GET", "https://app.example#/admin", auth.ReasonMalformed},
		{"GET", "https://app.example?x", auth.ReasonMalformed}, {"GET", "https:///admin", auth.ReasonMalformed},
		{"GET", "https://app.example/a#b", auth.ReasonMalformed}, {"GET", "https://app.example/%zz", auth.ReasonMalformed},
		{"GET", "https://a@app.example/", auth.ReasonMalformed}, {strings.Repeat("A", 300), "https://app.example/", auth.ReasonMalformed},
		{"GET", "/admin", auth.ReasonInternal}, {"GET", "app.example/admin", auth.ReasonInternal}, {"GET", "ftp://app.example/", auth.ReasonInternal},
	} {
		require.Equal(t, 403, forward(t, nginx, test.method, test.url).Code, test.url)
		e := f.takeOne(t)
		require.Equal(t, test.want, e.Reason, test.url)
		require.Error(t, e.Err)
		require.NotContains(t, e.Err.Error(), "admin")
	}
	caddy := f.forwardAuth(t, endpoint.ForwardAuthConfig{Proxy: endpoint.ProxyCaddy})
	w := do(t, caddy, "GET", "/forward-auth", "", "X-Forwarded-Method", "GET", "X-Forwarded-Proto", "http", "X-Forwarded-Host", "", "X-Forwarded-Uri", "/")
	require.Equal(t, 403, w.Code)
	require.Equal(t, auth.ReasonMalformed, f.takeOne(t).Reason)
	w = do(t, caddy, "GET", "/forward-auth", "", "X-Forwarded-Proto", "http", "X-Forwarded-Host", "", "X-Forwarded-Uri", "/")
	require.Equal(t, 403, w.Code)
	require.Equal(t, auth.ReasonInternal, f.takeOne(t).Reason, "the proxy sets no method")
}

func TestNewForwardAuth_urlOfTheProxy(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	var seen *http.Request
	h := f.forwardAuth(t, endpoint.ForwardAuthConfig{Check: func(r *http.Request, _ *auth.Identity) error {
		seen = r
		return nil
	}})
	token, _ := f.token(t, "alice")
	for url, want := range map[string]int{
		"https://app.example/a?b=//c": 200, "http://app.example:8080/": 200, "https://[::1]:8443/": 200, "wss://app.example/": 200,
		"https://app.example": 403, "https:///a": 403, "ftp://app.example/": 403, "/a": 403, "//app.example/a": 403,
		"https://a@app.example/": 403, "https://app.example/a#b": 403, "https://app.example/%zz": 403, "https://a,b/": 403,
		"https://app.example\\evil/": 403, "HTTPS://app.example/": 403, "https://" + strings.Repeat("a", 301) + "/": 403,
	} {
		require.Equal(t, want, forward(t, h, "GET", url, "Authorization", "Bearer "+token).Code, url)
	}
	forward(t, h, "PUT", "https://app.example/a%20b?c=d", "Authorization", "Bearer "+token)
	require.Equal(t, "PUT", seen.Method)
	require.Equal(t, "app.example", seen.Host)
	require.Equal(t, "/a b", seen.URL.Path)
	require.Equal(t, "/a%20b?c=d", seen.RequestURI)
	require.Equal(t, "d", seen.URL.Query().Get("c"))
	require.NotNil(t, seen.TLS)
}

func TestNewForwardAuth_check(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	h := f.forwardAuth(t, endpoint.ForwardAuthConfig{Check: func(r *http.Request, id *auth.Identity) error {
		switch {
		case strings.HasPrefix(r.URL.Path, "/admin") && id.UserID != "root":
			return auth.ErrForbidden
		case r.URL.Path == "/hidden":
			return auth.ErrNotFound
		case r.URL.Path == "/down":
			return errDown
		}
		return nil
	}})
	token, _ := f.token(t, "alice")
	for path, want := range map[string]int{
		"/notes": 200, "/notes/": 200, "/a%20b": 200, "/admin": 403, "/hidden": 403, "/down": 503,
		"/x/../admin": 403, "/x/%2e%2e/admin": 403, "//admin": 403, "/x%2F..%2Fadmin": 403, "/x\\..\\admin": 403, "/x%5cadmin": 403,
		"/x;/../admin": 403, "/x/..;/admin": 403, "/x;a=b": 403, "/./admin": 403, "*": 403,
	} {
		require.Equal(t, want, forward(t, h, "GET", "https://app.example"+path, "Authorization", "Bearer "+token).Code, path)
	}
}

// A field of accepted requests that a client sends would reach the back end if the proxy forgets
// to remove it, in any spelling that the back end takes for the same.
func TestNewForwardAuth_forgedFields(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	h := f.forwardAuth(t, endpoint.ForwardAuthConfig{Metadata: map[string]string{"X-Auth-Tenant": "tenant"}})
	token, _ := f.token(t, "alice")
	for _, name := range []string{"X-Auth-User", "x-auth-scopes", "X_Auth_User", "X-Auth_Credential", "X-Auth-Actor", "X-AUTH-SCHEME", "x_auth_tenant", "X.Auth.User", "X-Auth!User", "x~auth_user"} {
		for _, value := range []string{"root", ""} {
			w := forward(t, h, "GET", "https://app.example/", "Authorization", "Bearer "+token, name, value)
			require.Equal(t, http.StatusForbidden, w.Code, name)
			e := f.takeOne(t)
			require.Equal(t, auth.ReasonMalformed, e.Reason, "a client can cause it at any time, so it is not an internal error")
			require.NotContains(t, e.Err.Error(), "root")
		}
	}
	require.Equal(t, 200, forward(t, h, "GET", "https://app.example/", "Authorization", "Bearer "+token, "X-Auth-Token", "x").Code)
}

func TestNewForwardAuth_requiredScopes(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	h := f.forwardAuth(t, endpoint.ForwardAuthConfig{})
	full, _ := f.token(t, "alice")
	limited, _ := f.token(t, "alice", "notes:read", "a,b")
	ask := func(token, query string) *httptest.ResponseRecorder {
		return do(t, h, "GET", "http://auth.internal/forward-auth"+query, "", "Authorization", "Bearer "+token,
			"X-Original-Method", "GET", "X-Original-URL", "https://app.example/?scope=ignored")
	}
	for query, want := range map[string]int{
		"": 200, "?scope=notes:read": 200, "?scope=notes:read+a,b": 200, "?scope=notes:write": 403, "?scope=notes:read%20notes:write": 403,
		"?scope=*":  403,
		"?scope=":   403,
		"?scope=+":  403,
		"?scopes=x": 403, "?scope=notes:read&scope=notes:read": 403, "?scope=notes:read&x=y": 403, "?%zz": 403, "?scope=%22": 403,
	} {
		require.Equal(t, want, ask(limited, query).Code, query)
	}
	require.Equal(t, 200, ask(full, "?scope=notes:write").Code)
	require.Equal(t, 200, ask(full, "?scope=*").Code)
	require.Equal(t, 403, ask(full, "?scopes=notes:write").Code, "a typing error must not let everything pass")
	f.take()
	w := ask(limited, "?scope=notes:write")
	require.Equal(t, []string{`Bearer realm="api", error="insufficient_scope", scope="notes:write"`}, w.Header().Values("WWW-Authenticate")[:1])
	require.Equal(t, []auth.Reason{"", auth.ReasonScope}, reasons(f.take()))
}

func reasons(events []auth.Event) (got []auth.Reason) {
	for _, e := range events {
		got = append(got, e.Reason)
	}
	return got
}

// Envoy passes the client's query on.
func TestNewForwardAuth_envoy(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	var seen *http.Request
	h := http.StripPrefix("/forward-auth", f.forwardAuth(t, endpoint.ForwardAuthConfig{
		Proxy: endpoint.ProxyEnvoy, Check: func(r *http.Request, _ *auth.Identity) error {
			seen = r
			return nil
		},
	}))
	token, _ := f.token(t, "alice", "notes:read")
	session := f.session(t, "alice", auth.SessionOptions{})
	const url = "http://app.example/forward-auth/notes?scope=x"
	require.Equal(t, 200, do(t, h, "PATCH", url, "", "Authorization", "Bearer "+token, "X-Forwarded-Proto", "https").Code)
	require.Equal(t, "PATCH", seen.Method)
	require.Equal(t, "/notes?scope=x", seen.RequestURI)
	cross := []string{"Cookie", session, "X-Forwarded-Proto", "https", "Origin", "https://evil.example"}
	require.Equal(t, 403, do(t, h, "POST", url, "", cross...).Code)
	cross[5] = "https://app.example"
	require.Equal(t, 200, do(t, h, "POST", url, "", cross...).Code)
}

func TestNewForwardAuth_clientAddr(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	token, _, err := f.bearer.Issue(t.Context(), "alice", auth.TokenOptions{
		Name: "ci", Scopes: []string{auth.FullAccess}, Lifetime: auth.NoExpiry, Networks: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")},
	})
	require.NoError(t, err)
	// The service knows the address of the proxy, which is in the token's networks.
	service := func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			h.ServeHTTP(w, r.WithContext(auth.WithClientAddr(r.Context(), netip.MustParseAddr("192.0.2.1"))))
		})
	}
	ask := func(cfg endpoint.ForwardAuthConfig, realIP string) int {
		return forward(t, service(f.forwardAuth(t, cfg)), "GET", "https://app.example/", "Authorization", "Bearer "+token, "X-Real-IP", realIP).Code
	}
	realIP := func(r *http.Request) netip.Addr {
		addr, _ := netip.ParseAddr(r.Header.Get("X-Real-IP"))
		return addr
	}
	require.Equal(t, 401, ask(endpoint.ForwardAuthConfig{}, "192.0.2.7"), "the address is unknown")
	require.Equal(t, 200, ask(endpoint.ForwardAuthConfig{ClientAddr: realIP}, "192.0.2.7"))
	require.Equal(t, 401, ask(endpoint.ForwardAuthConfig{ClientAddr: realIP}, "198.51.100.7"))
	require.Equal(t, 401, ask(endpoint.ForwardAuthConfig{ClientAddr: realIP}, "x"))
	f.take()
	ask(endpoint.ForwardAuthConfig{ClientAddr: realIP}, "198.51.100.7")
	require.Equal(t, netip.MustParseAddr("198.51.100.7"), f.takeOne(t).ClientAddr)
}

// A custom authenticator accepts a request as any identity.
type custom struct{ id auth.Identity }

func (custom) Scheme() auth.Scheme { return "Custom" }

func (c custom) Authenticate(*http.Request) (*auth.Identity, error) {
	id := c.id
	return &id, nil
}

func TestNewForwardAuth_escapes(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for user, want := range map[string]string{
		"alice": "alice", "alice@example.com": "alice@example.com", "auth0|1": "auth0|1", "Ä b": "%C3%84%20b", "a,b": "a%2Cb", "a%2Cb": "a%252Cb",
		"a\r\nX-Auth-Scopes: *": "a%0D%0AX-Auth-Scopes:%20*", " a": "%20a", "a\x00": "a%00", "\xff": "%FF",
	} {
		h := f.forwardAuth(t, endpoint.ForwardAuthConfig{
			Authenticators: []auth.Authenticator{custom{auth.Identity{UserID: user, CredentialID: user, Scopes: auth.Scopes("a b,c\u00e4"), Actor: user}}},
		})
		got := accepted(t, forward(t, h, "GET", "https://app.example/"))
		require.Equal(t, map[string]string{
			"X-Auth-User": want, "X-Auth-Scheme": "Custom", "X-Auth-Scopes": "a b%2Cc%C3%A4", "X-Auth-Credential": want, "X-Auth-Actor": want,
		}, got)
	}
}

func TestNewForwardAuth_metadata(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	h := f.forwardAuth(t, endpoint.ForwardAuthConfig{Metadata: map[string]string{"X-Auth-Tenant": "tenant", "x-auth-plan": "plan"}})
	token, _, err := f.bearer.Issue(t.Context(), "alice", auth.TokenOptions{
		Name: "ci", Scopes: []string{auth.FullAccess}, Lifetime: auth.NoExpiry, Metadata: map[string]string{"tenant": "Süd, 7", "other": "x"},
	})
	require.NoError(t, err)
	got := accepted(t, forward(t, h, "GET", "https://app.example/", "Authorization", "Bearer "+token))
	require.Equal(t, "S%C3%BCd%2C%207", got["X-Auth-Tenant"])
	require.Contains(t, got, "X-Auth-Plan", "a proxy that copies a missing field may leave the client's")
	require.Empty(t, got["X-Auth-Plan"])
}

func TestNewForwardAuth_config(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	_, err := endpoint.NewForwardAuth(endpoint.ForwardAuthConfig{})
	require.ErrorContains(t, err, "ForwardAuthConfig.Proxy")
	require.ErrorContains(t, err, "ForwardAuthConfig.Authenticators")
	for name, cfg := range map[string]endpoint.ForwardAuthConfig{
		"Proxy": {Proxy: "NGINX", Authenticators: []auth.Authenticator{f.bearer}},
		"Authenticators or Middleware: authenticator 0 is nil": {Proxy: endpoint.ProxyEnvoy, Authenticators: []auth.Authenticator{nil}},
		"Authenticators or Middleware": {
			Proxy: endpoint.ProxyCaddy, Authenticators: []auth.Authenticator{f.bearer}, Middleware: auth.Middleware{Realm: "a\nb"},
		},
	} {
		_, err := endpoint.NewForwardAuth(cfg)
		require.ErrorContains(t, err, name)
	}
	for field, key := range map[string]string{
		"X-Auth-User": "user", "x-auth-user": "user", "X-Tenant": "tenant", "X-Auth-A_b": "a", "X-Auth-A b": "a", "X-Auth-A\r\n": "a", "": "a", "X-Auth-A": "", "X-Auth-A!b": "a",
	} {
		_, err := endpoint.NewForwardAuth(endpoint.ForwardAuthConfig{
			Proxy: endpoint.ProxyCaddy, Authenticators: []auth.Authenticator{f.bearer}, Metadata: map[string]string{field: key},
		})
		require.ErrorContains(t, err, "ForwardAuthConfig.Metadata", "%q", field)
	}
}

// Later changes of the Config have no effect.
func TestNewForwardAuth_copiesConfig(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	cfg := endpoint.ForwardAuthConfig{Authenticators: []auth.Authenticator{f.bearer}, Metadata: map[string]string{"X-Auth-Tenant": "tenant"}}
	h := f.forwardAuth(t, cfg)
	cfg.Authenticators[0] = custom{auth.Identity{UserID: "root"}}
	delete(cfg.Metadata, "X-Auth-Tenant")
	require.Equal(t, 401, forward(t, h, "GET", "https://app.example/").Code)
	require.Equal(t, 403, forward(t, h, "GET", "https://app.example/", "X-Auth-Tenant", "x").Code)
}

// Each of many requests at once gets its own user.
func TestNewForwardAuth_concurrent(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	h := f.forwardAuth(t, endpoint.ForwardAuthConfig{})
	users := []string{"alice", "bob", "carol", "dave"}
	tokens := make([]string, len(users))
	for i, user := range users {
		tokens[i], _ = f.token(t, user)
	}
	session := f.session(t, "eve", auth.SessionOptions{})
	type answer struct {
		code int
		user string
	}
	got, want := make([]answer, 1000), make([]answer, 1000)
	atOnce(len(got), func(i int) {
		method, credential := "POST", []string{"Authorization", "Bearer " + tokens[i%4]}
		want[i] = answer{200, users[i%4]}
		switch i % 10 {
		case 8:
			credential[1], want[i] = "Bearer junk", answer{401, ""}
		case 9:
			credential, want[i] = []string{"Cookie", session, "Origin", "https://evil.example"}, answer{403, ""}
		}
		w := forward(t, h, method, "https://app.example/", credential...)
		got[i] = answer{w.Code, w.Header().Get("X-Auth-User")}
	})
	require.Equal(t, want, got)
}

// No fields of the proxy make a cross-site POST pass as something else, or panic.
func FuzzNewForwardAuth(f *testing.F) {
	fx := newFixture(f)
	token, _ := fx.token(f, "alice")
	session := fx.session(f, "alice", auth.SessionOptions{})
	var seen *http.Request
	check := func(r *http.Request, _ *auth.Identity) error {
		seen = r
		return nil
	}
	handlers := make(map[bool]http.Handler)
	for caddy, proxy := range map[bool]endpoint.Proxy{false: endpoint.ProxyNGINX, true: endpoint.ProxyCaddy} {
		handlers[caddy] = fx.forwardAuth(f, endpoint.ForwardAuthConfig{Proxy: proxy, Check: check})
	}
	for _, uri := range []string{"/", "/a?b", "//a", "/a/../b", "/a%2fb", "*", "", "/a b", "/\\", "/a, /b"} {
		f.Add(true, "POST", "https", "app.example", uri)
		f.Add(false, "GET", "http", "app.example:80", uri)
	}
	f.Add(true, "GET, POST", "https, http", "a, b", "/")
	f.Fuzz(func(t *testing.T, caddy bool, method, scheme, host, uri string) {
		fields := []string{"X-Original-Method", method, "X-Original-URL", scheme + "://" + host + uri}
		if caddy {
			fields = []string{"X-Forwarded-Method", method, "X-Forwarded-Proto", scheme, "X-Forwarded-Host", host, "X-Forwarded-Uri", uri}
		}
		seen = nil
		w := do(t, handlers[caddy], "GET", "/", "", append(fields, "Authorization", "Bearer "+token)...)
		require.Contains(t, []int{200, 403}, w.Code)
		if seen != nil {
			require.Equal(t, method, seen.Method)
			require.Equal(t, host+uri, seen.Host+seen.RequestURI)
			require.NotContains(t, seen.URL.Path, "/../")
		}
		w = do(t, handlers[caddy], "GET", "/", "", append(fields, "Cookie", session, "Sec-Fetch-Site", "cross-site")...)
		if method != "GET" && method != "HEAD" && method != "OPTIONS" {
			require.Equal(t, 403, w.Code)
		}
	})
}
