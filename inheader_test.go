package auth_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

const apiKeyHeader = "X-API-Key"

func apiKey(values ...string) edit { return field(apiKeyHeader, values...) }

const plainHeader = `Header realm="api", name="X-Api-Key"`

// A request with a token in a header gets the user of the token or an error. An attacker who makes
// a browser send a bad one must not reach the user of its cookie, and one who adds a second
// credential must not get past a proxy that has checked the first.
func TestInHeader_decidesAlone(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	token, other, secret, cookie := f.token("ada"), f.token("grace"), f.issueSecret("sam"), withCookie(f.signIn("cora"))
	unknown := repeated("a", 32)
	legacy := new(int)
	custom := fakeAuthenticator{scheme: "bearer", identity: &auth.Identity{UserID: "mallory"}, tried: legacy}
	authenticators := []auth.Authenticator{f.bearer, f.cookie, f.secret, custom}
	invalid, malformed := []string{badToken, plainSecret, plainHeader}, []string{badRequest, plainSecret, plainHeader}
	for _, test := range []struct {
		name   string
		edits  []edit
		status int
		want   []string // the challenges
	}{
		{"a token", []edit{apiKey(token)}, 200, nil},
		{"a token and the cookie of another user", []edit{apiKey(token), cookie}, 200, nil},
		{"a token and a blank Authorization", []edit{apiKey(token), authorization("")}, 200, nil},
		{"an unknown token", []edit{apiKey(unknown)}, 401, invalid},
		{"an unknown token and a valid cookie", []edit{apiKey(unknown), cookie}, 401, invalid},
		{"a blank header and a valid cookie", []edit{apiKey(""), cookie}, 400, malformed},
		{"spaces and a valid cookie", []edit{apiKey(" \t "), cookie}, 400, malformed},
		{"junk and a valid cookie", []edit{apiKey("a b"), cookie}, 400, malformed},
		{"a token that is too long and a valid cookie", []edit{apiKey(repeated("a", 513)), cookie}, 400, malformed},
		{"a client secret", []edit{apiKey(secret)}, 401, invalid},
		{"both headers with one token", []edit{apiKey(token), authorization("Bearer " + token)}, 400, malformed},
		{"both headers with the tokens of two users", []edit{apiKey(token), authorization("Bearer " + other)}, 400, malformed},
		{"an unknown token and a valid Authorization", []edit{apiKey(unknown), authorization("Bearer " + token)}, 400, malformed},
		{"a token and a client secret", []edit{apiKey(token), authorization("Secret " + secret)}, 400, malformed},
		{"a token and the Authorization of a proxy", []edit{apiKey(token), authorization("Basic YTpi")}, 400, malformed},
		{"a token and an Authorization without a scheme", []edit{apiKey(token), authorization("=")}, 400, malformed},
		{"a token and two Authorizations", []edit{apiKey(token), authorization("", "")}, 400, malformed},
		{"two headers", []edit{apiKey(token, other)}, 400, malformed},
		{"two equal headers", []edit{apiKey(token, token)}, 400, malformed},
		{"two headers, one blank", []edit{apiKey("", token)}, 400, malformed},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, wrap := range []func(auth.Authenticator, ...auth.Authenticator) func(http.Handler) http.Handler{auth.Require, auth.Optional} {
				h := behind(wrap(f.bearer.InHeader(apiKeyHeader), authenticators...))
				w := h.get(test.edits...)
				require.Zero(t, *legacy, "an authenticator of the same scheme reads something else")
				if test.status == 200 {
					accepted(t, w, "ada", auth.SchemeBearer)
					continue
				}
				refused(t, w, test.status, test.want...)
				require.Zero(t, h.served.Load())
			}
		})
	}
}

// Without its header, InHeader changes nothing for the others.
func TestInHeader_othersWithoutIt(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	token, cookie := f.token("ada"), withCookie(f.signIn("cora"))
	h := behind(auth.Require(f.bearer.InHeader(apiKeyHeader), f.bearer, f.cookie))
	accepted(t, h.get(authorization("Bearer "+token), cookie), "ada", auth.SchemeBearer)
	accepted(t, h.get(cookie), "cora", auth.SchemeCookie)
	accepted(t, h.get(cookie, authorization("Basic YTpi")), "cora", auth.SchemeCookie)
	refused(t, h.get(authorization("Bearer x"), cookie), 401, badToken, plainHeader)
	refused(t, h.get(), 401, plainBearer, plainHeader)

	// A route reads only the headers that it names.
	refused(t, f.all().get(apiKey(token)), 401, plainBearer, plainSecret)
	alone := behind(auth.Require(f.bearer.InHeader(apiKeyHeader)))
	refused(t, alone.get(authorization("Bearer "+token)), 401, plainHeader)
	refused(t, behind(auth.Require(f.bearer.InHeader("X-Other-Key"))).get(apiKey(token)), 401, `Header realm="api", name="X-Other-Key"`)
}

// Of two headers, each works alone.
func TestInHeader_twoNames(t *testing.T) {
	t.Parallel()
	f, g := newFixture(t), newFixture(t)
	token, second := f.token("ada"), g.token("grace")
	old := func(value string) edit { return field("X-Old-Key", value) }
	h := behind(auth.Require(f.bearer.InHeader(apiKeyHeader), f.bearer.InHeader("X-Old-Key"), g.bearer.InHeader(apiKeyHeader)))
	challenges := []string{plainHeader, `Header realm="api", name="X-Old-Key"`}
	accepted(t, h.get(apiKey(token)), "ada", auth.SchemeBearer)
	accepted(t, h.get(old(token)), "ada", auth.SchemeBearer)
	accepted(t, h.get(apiKey(second)), "grace", auth.SchemeBearer)
	refused(t, h.get(old(second)), 401, challenges...)
	refused(t, h.get(apiKey(token), old(token)), 400, challenges...)
	refused(t, h.get(apiKey(""), old(token)), 400, challenges...)
	require.Equal(t, []string{"X-Api-Key", "X-Old-Key"}, h.get(old(token)).Header().Values("Vary"))
}

func TestInHeader_grammar(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	token := f.token("ada")
	h := behind(auth.Require(f.bearer.InHeader(apiKeyHeader)))
	for _, test := range []struct {
		name   string
		value  string
		status int
		calls  int64 // to the store
	}{
		{"the token", token, 200, 1},
		{"space around it, as HTTP/2 leaves it", "\t " + token + " \t", 200, 1},
		{"64 spaces around", repeated(" ", 64) + token + repeated(" ", 64), 200, 1},
		{"65 spaces before", repeated(" ", 65) + token, 400, 0},
		{"65 spaces after", token + repeated(" ", 65), 400, 0},
		{"a scheme", "Bearer " + token, 400, 0},
		{"joined by a proxy", token + ", " + token, 400, 0},
		{"joined without a space", token + "," + token, 400, 0},
		{"a comma at the end", token + ",", 400, 0},
		{"a quoted string", `"` + token + `"`, 400, 0},
		{"a letter outside ASCII", "é" + token, 400, 0},
		{"a no-break space", token + "\u00a0", 400, 0},
		{"byte 0xFF", token + "\xff", 400, 0},
		{"NUL", token + "\x00", 400, 0},
		{"LF", token + "\na", 400, 0},
		{"an equals sign alone", "=", 401, 1},
		{"of another system", "12|" + token, 401, 1},
		{"blank", "", 400, 0},
		{"spaces alone", " \t ", 400, 0},
		{"8 KiB of spaces", repeated(" ", 8<<10), 400, 0},
		{"equals signs at the end", token + "==", 401, 1},
		{"512 characters", repeated("a", 512), 401, 1},
		{"513 characters", repeated("a", 513), 400, 0},
		{"over 64 KiB", repeated("a", 64<<10+1), 400, 0},
		{"the token in another case", swapCase(token), 401, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := f.store.lookups.Load()
			w := h.get(apiKey(test.value))
			require.Equal(t, test.calls, f.store.lookups.Load()-before, "calls to the store")
			if test.status == 200 {
				accepted(t, w, "ada", auth.SchemeBearer)
				return
			}
			refused(t, w, test.status, plainHeader)
			require.NotContains(t, w.Body.String(), token)
			_, err := f.bearer.InHeader(apiKeyHeader).Authenticate(request("GET", apiKey(test.value)))
			want := map[int]error{400: auth.ErrMalformed, 401: auth.ErrInvalidCredential}[test.status]
			require.ErrorIs(t, err, want, "outside of a route")
		})
	}
}

func swapCase(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'a' <= c && c <= 'z' {
			b[i] = c - 'a' + 'A'
		} else if 'A' <= c && c <= 'Z' {
			b[i] = c - 'A' + 'a'
		}
	}
	return string(b)
}

// Names are compared without regard to case, both those of InHeader and those of requests.
func TestInHeader_caseOfTheName(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	token := f.token("ada")
	for _, name := range []string{"X-API-Key", "x-api-key", "X-Api-Key"} {
		_, exchange := serve(t, behind(auth.Require(f.bearer.InHeader(name))))
		for _, line := range []string{"X-API-KEY: " + token, "x-api-key:" + token + "  "} {
			response := exchange("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" + line + "\r\n\r\n")
			require.Equal(t, "ada by Bearer", body(t, response))
		}
		response := exchange("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-API-Key: " + token + "\r\nx-api-key: " + token + "\r\n\r\n")
		require.Equal(t, 400, response.StatusCode, "two headers, in two spellings")
	}
}

// Without private, a shared cache would serve the response to one user to another: RFC 9111
// section 3.5 protects only responses to requests with Authorization.
func TestInHeader_cacheHeaders(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	key, token := apiKey(f.token("ada")), authorization("Bearer "+f.token("ada"))
	in := f.bearer.InHeader(apiKeyHeader)
	for _, test := range []struct {
		name        string
		wrap        func(http.Handler) http.Handler
		edits       []edit
		handler     string
		vary, cache []string
	}{
		{"a token", auth.Require(in), []edit{key}, "", []string{"X-Api-Key"}, []string{"private"}},
		{"a handler that sets it", auth.Require(in), []edit{key}, "public, max-age=60", []string{"X-Api-Key"}, []string{"public, max-age=60"}},
		{"next to others", auth.Require(in, f.bearer, f.cookie), []edit{key}, "", []string{"Cookie", "X-Api-Key"}, []string{"private"}},
		{"a token in Authorization", auth.Require(in, f.bearer), []edit{token}, "", []string{"X-Api-Key"}, nil},
		{"optional", auth.Optional(in), []edit{key}, "", []string{"X-Api-Key", "Authorization"}, []string{"private"}},
		{"optional, anonymous", auth.Optional(in), nil, "", []string{"X-Api-Key", "Authorization"}, nil},
		{"rejected", auth.Require(in), []edit{apiKey("x")}, "", []string{"X-Api-Key"}, []string{"no-store"}},
		{"missing", auth.Require(in), nil, "", []string{"X-Api-Key"}, []string{"no-store"}},
		{"malformed", auth.Require(in), []edit{key, token}, "", []string{"X-Api-Key"}, []string{"no-store"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := httptest.NewRecorder()
			test.wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if test.handler != "" {
					w.Header().Set("Cache-Control", test.handler)
				}
			})).ServeHTTP(w, request("GET", test.edits...))
			require.Equal(t, test.vary, append([]string(nil), w.Header().Values("Vary")...))
			require.Equal(t, test.cache, append([]string(nil), w.Header().Values("Cache-Control")...))
		})
	}
}

// Bearer's challenge would ask for a header that the route does not read.
func TestInHeader_challenges(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	in := f.bearer.InHeader(apiKeyHeader)
	m := &auth.Middleware{Realm: "Acme", ResourceMetadata: "https://api.example.com/.well-known/oauth-protected-resource"}
	const named = `Header realm="Acme", name="X-Api-Key"`
	bearer := `Bearer realm="Acme", resource_metadata="` + m.ResourceMetadata + `"`
	refused(t, behind(m.Require(in)).get(), 401, named)
	refused(t, behind(m.Require(in, f.cookie)).get(), 401, named)
	refused(t, behind(m.Require(in, in)).get(apiKey("x")), 401, named)
	refused(t, behind(m.Require(in, f.bearer)).get(), 401, bearer, named)
	refused(t, behind(m.Require(f.cookie, in, f.secret)).get(), 401, `Secret realm="Acme"`, named)
	limited := behind(func(h http.Handler) http.Handler { return m.Require(in)(auth.RequireScope("write")(h)) })
	refused(t, limited.get(apiKey(f.token("ada", "read"))), 403, named)
}

// What else happens to a token is the same in both headers.
func TestInHeader_isTheSameBearer(t *testing.T) {
	t.Parallel()
	f := newFixture(t, prefixed)
	var decisions recorder
	m := &auth.Middleware{Observe: decisions.observe, Resolve: func(_ context.Context, id *auth.Identity) (any, error) {
		if id.UserID == "disabled" {
			return nil, auth.ErrInvalidCredential
		}
		return "user " + id.UserID, nil
	}}
	wrap := m.Require(f.bearer.InHeader(apiKeyHeader), f.cookie)
	bound, _ := f.boundToken("ada", "192.0.2.0/24")
	for token, reason := range map[string]auth.Reason{
		bound:                              auth.ReasonNetwork,
		f.token("disabled"):                auth.ReasonDisabled,
		repeated("a", 32):                  auth.ReasonPrefix,
		newFixture(t, prefixed).token("a"): auth.ReasonUnknown,
	} {
		refused(t, behind(wrap).get(apiKey(token), withCookie(f.signIn("cora"))), 401, plainHeader)
		event := decisions.take()[0]
		require.Equal(t, reason, event.Reason)
		require.Equal(t, auth.SchemeBearer, event.Scheme)
	}
	plaintext, c, err := f.bearer.Issue(t.Context(), "ada", tokenOptions("x"))
	require.NoError(t, err)
	w := rechecked(t, wrap, func(ctx context.Context) { require.NoError(t, f.bearer.Revoke(ctx, "ada", c.ID)) }, apiKey(plaintext))
	refused(t, w, 401, plainHeader)
	events := decisions.take()
	require.Equal(t, []auth.EventType{auth.EventAccepted, auth.EventRefused}, eventTypes(events))
	require.Equal(t, c.ID, events[0].CredentialID)
	require.Equal(t, auth.ReasonRevoked, events[1].Reason)
	require.NoError(t, f.bearer.Close(t.Context()))
	require.Positive(t, f.store.touches.Load(), "its use is recorded")

	last := apiKey(f.token("ada"))
	failing(f, "Lookup", errors.New("down"))
	refused(t, behind(wrap).get(last), 503)
}

// Outside of a route the rules are the same.
func TestInHeader_authenticate(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	token := f.token("ada")
	in := f.bearer.InHeader(apiKeyHeader)
	id, err := in.Authenticate(request("GET", apiKey(token)))
	require.NoError(t, err)
	require.Equal(t, "ada", id.UserID)
	require.Equal(t, auth.SchemeBearer, id.Scheme)
	_, err = in.Authenticate(request("GET", authorization("Bearer "+token)))
	require.ErrorIs(t, err, auth.ErrNoCredential)
	for _, edits := range [][]edit{{apiKey(token, token)}, {apiKey(token), authorization("Bearer " + token)}, {apiKey(token), authorization("Basic x")}} {
		_, err = in.Authenticate(request("GET", edits...))
		require.ErrorIs(t, err, auth.ErrMalformed)
	}
	var m auth.Middleware
	r, err := m.Authenticate(request("GET", apiKey(token)), in, f.cookie)
	require.NoError(t, err)
	id, _ = auth.FromContext(r.Context())
	require.Equal(t, "ada", id.UserID)
}

// A client with a bad token gets its error, even if it prefers HTML. It is no person who could
// sign in.
func TestInHeader_isNotRedirected(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	m := &auth.Middleware{OnError: auth.RedirectToSignIn("/sign-in")}
	h := behind(m.Require(f.bearer.InHeader(apiKeyHeader), f.cookie))
	html := field("Accept", "text/html")
	refused(t, h.get(html, apiKey(repeated("a", 32))), 401, plainHeader)
	require.Equal(t, 303, h.get(html).Code)
}

// Such a mistake must not wait for the first request.
func TestInHeader_panics(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for _, name := range []string{
		"", " ", "X Key", "X-Key:", "X-Key\r\nHost", "X-Schlüssel", ":authority", repeated("a", 64),
		"Authorization", "authorization", "Proxy-Authorization", "Cookie", "cookie", "Set-Cookie", "Host", "Origin", "Referer",
		"Forwarded", "X-Forwarded-For", "x-forwarded-proto", "X-Real-IP", "True-Client-IP", "CF-Connecting-IP", "Via",
		"Connection", "Keep-Alive", "TE", "Trailer", "Transfer-Encoding", "Upgrade", "Proxy-Connection", "Expect", "HTTP2-Settings",
		"Content-Type", "Content-Length", "Accept", "Accept-Language", "Range", "If-None-Match", "User-Agent", "Date", "Cache-Control",
		"Sec-Fetch-Site", "Sec-WebSocket-Protocol", "Access-Control-Request-Headers", "X-Requested-With", "Last-Event-ID", "Priority",
		"X-Request-ID", "traceparent",
	} {
		require.Panics(t, func() { f.bearer.InHeader(name) }, "%q", name)
	}
	for _, name := range []string{"X-API-Key", "Api-Key", "X-Auth-Token", "PRIVATE-TOKEN", "Acme_Token", "Secretary", "Acceptance", repeated("a", 63)} {
		require.NotPanics(t, func() { auth.Require(f.bearer.InHeader(name)) }, "%q", name)
	}
	require.Panics(t, func() { (*auth.Bearer)(nil).InHeader(apiKeyHeader) })
	require.Panics(t, func() { new(auth.Bearer).InHeader(apiKeyHeader) })
}
