package auth_test

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

func TestWriteError(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name       string
		err        error
		status     int
		challenges []string
	}{
		{"no credential", auth.ErrNoCredential, 401, []string{plainBearer}},
		{"invalid", auth.ErrInvalidCredential, 401, []string{plainBearer}},
		{"an argument of a lifecycle call", auth.ErrInvalidArgument, 400, nil},
		{"malformed", auth.ErrMalformed, 400, []string{badRequest}},
		{"a header", headerError(), 400, []string{badRequest}},
		{"scope", auth.ErrInsufficientScope, 403, []string{plainBearer}},
		{"cross-origin", auth.ErrCrossOrigin, 403, nil},
		{"unavailable", auth.ErrUnavailable, 503, nil},
		{"not found", auth.ErrNotFound, 404, nil},
		{"revoked", auth.ErrRevoked, 404, nil},
		{"conflict", auth.ErrConflict, 409, nil},
		{"limit", auth.ErrLimit, 409, nil},
		{"an unknown error", errors.New("canary"), 503, nil},
		{"nil", nil, 500, nil},
		{"an Error by its Err", &auth.Error{Err: auth.ErrNotFound}, 404, nil},
		{"an empty Error", new(auth.Error), 503, nil},
		{"a nil Error", (*auth.Error)(nil), 500, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := httptest.NewRecorder()
			w.Header().Set("Content-Length", "5")
			w.Header().Set("ETag", "x")
			w.Header().Set("Last-Modified", "x")
			w.Header().Set("WWW-Authenticate", "Negotiate")
			auth.WriteError(w, request("GET"), test.err)
			refused(t, w, test.status, test.challenges...)
			require.NotContains(t, w.Body.String(), "canary")
			require.Empty(t, w.Header().Get("ETag"))
			require.Empty(t, w.Header().Get("Last-Modified"))
			require.Equal(t, "nosniff", w.Header().Get("X-Content-Type-Options"))
		})
	}
	t.Run("behind a route", func(t *testing.T) {
		f := newFixture(t)
		h := auth.Require(f.bearer, f.secret)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			auth.WriteError(w, r, auth.ErrInvalidCredential)
		}))
		w := httptest.NewRecorder()
		h.ServeHTTP(w, request("GET", authorization("Bearer "+f.token("ada"))))
		refused(t, w, 401, plainBearer, plainSecret)
	})
}

func headerError() error {
	_, err := auth.HeaderCredential(request("GET", authorization("Bearer")), auth.SchemeBearer)
	return err
}

func TestMiddleware_realm(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for realm, want := range map[string]string{
		"":          `Bearer realm="api"`,
		"My API":    `Bearer realm="My API"`,
		`a"b`:       `Bearer realm="a\"b"`,
		`a\b`:       `Bearer realm="a\\b"`,
		`a", x="y`:  `Bearer realm="a\", x=\"y"`,
		"Grüße, 世界": `Bearer realm="Grüße, 世界"`,
	} {
		m := auth.Middleware{Realm: realm}
		url, _ := serve(t, m.Require(f.bearer)(http.NotFoundHandler()))
		response, err := http.Get(url)
		require.NoError(t, err)
		response.Body.Close()
		require.Equal(t, want, response.Header.Get("WWW-Authenticate"))
	}
	for _, realm := range []string{"a\r\nSet-Cookie: x=y", "a\nb", "a\x00", "a\x7f", "a\xff"} {
		m := auth.Middleware{Realm: realm}
		require.Panics(t, func() { m.Require(f.bearer) }, "%q", realm)
	}
}

func TestMiddleware_resourceMetadata(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	const url = "https://api.example.com/.well-known/oauth-protected-resource"
	m := auth.Middleware{ResourceMetadata: url}
	h := behind(m.Require(f.bearer, f.secret))
	refused(t, h.get(), 401, `Bearer realm="api", resource_metadata="`+url+`"`, plainSecret)
	refused(t, h.get(authorization("Bearer "+repeated("a", 32))), 401,
		`Bearer realm="api", error="invalid_token", resource_metadata="`+url+`"`, plainSecret)
	for _, bad := range []string{"/relative", "https://a/\r\nb", "::", "https://a/\x7f"} {
		m := auth.Middleware{ResourceMetadata: bad}
		require.Panics(t, func() { m.Require(f.bearer) }, bad)
	}
}

func TestOnError(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	var got error
	m := auth.Middleware{OnError: func(w http.ResponseWriter, r *http.Request, err error) {
		got = err
		w.WriteHeader(http.StatusTeapot)
	}}
	h := behind(func(next http.Handler) http.Handler {
		return m.Require(f.bearer, f.cookie)(m.RequireScope("write")(next))
	})
	for _, test := range []struct {
		name      string
		edits     []edit
		status    int
		want      auth.Error
		challenge string
	}{
		{"anonymous", nil, 401, auth.Error{Reason: auth.ReasonMissing, Err: auth.ErrNoCredential}, plainBearer},
		{"unknown", []edit{authorization("Bearer x")}, 401, auth.Error{Scheme: "Bearer", Reason: auth.ReasonUnknown, Err: auth.ErrInvalidCredential}, badToken},
		{"malformed", []edit{authorization("Bearer")}, 400, auth.Error{Scheme: "Bearer", Reason: auth.ReasonMalformed, Err: auth.ErrMalformed}, badRequest},
		{"a stale cookie", []edit{field("Cookie", "__Host-session=x")}, 401, auth.Error{Scheme: "Cookie", Reason: auth.ReasonForged, Err: auth.ErrInvalidCredential}, plainBearer},
		{"scope", []edit{authorization("Bearer " + f.token("ada", "read"))}, 403, auth.Error{Scheme: "Bearer", Scopes: []string{"write"}, Reason: auth.ReasonScope, Err: auth.ErrInsufficientScope}, `Bearer realm="api", error="insufficient_scope", scope="write"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := h.get(test.edits...)
			require.Equal(t, http.StatusTeapot, w.Code)
			require.Equal(t, test.challenge, w.Header().Get("WWW-Authenticate"))
			require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
			require.Equal(t, "Cookie", w.Header().Get("Vary"))
			var e *auth.Error
			require.ErrorAs(t, got, &e)
			require.ErrorIs(t, got, test.want.Err)
			require.Equal(t, test.status, e.StatusCode())
			require.Equal(t, test.want, auth.Error{Scheme: e.Scheme, Scopes: e.Scopes, Reason: e.Reason, Err: e.Err})
			require.True(t, strings.HasPrefix(e.Error(), "auth: "))
		})
	}
}

// A wrapper that compresses has set Content-Encoding before the error is written.
func TestWriteError_behindCompression(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	h := f.all()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		zip := gzip.NewWriter(w)
		defer zip.Close()
		h.ServeHTTP(zipped{w, zip}, r)
	}))
	defer s.Close()
	res, err := http.Get(s.URL) // decompresses if Content-Encoding is set
	require.NoError(t, err)
	require.Contains(t, body(t, res), "about:blank")
}

type zipped struct {
	http.ResponseWriter
	zip io.Writer
}

func (z zipped) Write(b []byte) (int, error) { return z.zip.Write(b) }

// An OnError that modifies header values in place does not affect other requests.
func TestOnError_headerValuesAreItsOwn(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	m := auth.Middleware{OnError: func(w http.ResponseWriter, r *http.Request, err error) {
		for _, values := range w.Header() {
			values[0] += ", modified"
		}
		auth.WriteError(w, r, err)
		for _, values := range w.Header() {
			values[0] += ", modified"
		}
	}}
	modifying, other := behind(m.Optional(f.bearer, f.cookie)), behind(auth.Optional(f.bearer, f.cookie))
	for range 2 {
		modifying.get(authorization("Bearer x"))
		w := other.get(authorization("Bearer x"))
		refused(t, w, 401, badToken)
		require.Equal(t, []string{"Cookie", "Authorization"}, w.Header().Values("Vary"))
	}
}

// Only the Reason and Err of an Error that an authenticator returns are used.
func TestWriteError_scopesOfAnAuthenticator(t *testing.T) {
	t.Parallel()
	err := &auth.Error{Scopes: []string{"a\r\nX: y"}, Err: auth.ErrInsufficientScope}
	w := behind(auth.Require(fakeAuthenticator{scheme: "Bearer", err: err})).get(authorization("Bearer x"))
	refused(t, w, 403, `Bearer realm="api", error="insufficient_scope"`)
}

func TestWriteError_routeOfTheError(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	h := auth.Require(f.bearer)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, err := new(auth.Middleware).Authenticate(r, f.secret)
		auth.WriteError(w, r, err)
	}))
	w := newRecorder()
	h.ServeHTTP(w, request("GET", authorization("Bearer "+f.token("ada"))))
	refused(t, w, 401, plainSecret)
}

func TestWriteError_copiesVary(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	shared := append(make([]string, 0, 4), "Origin")
	w := newRecorder()
	w.Header()["Vary"] = shared
	f.all().ServeHTTP(w, request("GET"))
	require.Empty(t, shared[:2][1])
}

func TestOnError_challengesAreItsOwn(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	var seen []string
	m := auth.Middleware{OnError: func(w http.ResponseWriter, r *http.Request, err error) {
		seen = append(seen, w.Header().Get("WWW-Authenticate"))
		w.Header()["Www-Authenticate"][0] = "modified"
		w.WriteHeader(401)
	}}
	h := behind(m.Require(f.bearer))
	h.get()
	h.get()
	require.Equal(t, []string{plainBearer, plainBearer}, seen)
}

func TestOnError_outage(t *testing.T) {
	t.Parallel()
	var got error
	m := auth.Middleware{OnError: func(w http.ResponseWriter, r *http.Request, err error) { got = err }}
	behind(m.Require(fakeAuthenticator{scheme: "X", err: errors.New("x")})).get()
	require.ErrorIs(t, got, auth.ErrUnavailable)
}

func TestMiddleware_resourceMetadataWithoutAHost(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	m := auth.Middleware{ResourceMetadata: "https:///x"}
	require.Panics(t, func() { m.Require(f.bearer) })
}

func TestWriteError_scopesInTheBody(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	h := auth.Require(f.bearer)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		auth.WriteError(w, r, auth.CheckScope(r.Context(), "a b", "c"))
	}))
	w := newRecorder()
	h.ServeHTTP(w, request("GET", authorization("Bearer "+f.token("ada", "read"))))
	require.Contains(t, w.Body.String(), `["a b","c"]`)
}

// A sign-in page may redirect to these paths, and to no others.
func TestLocalPath(t *testing.T) {
	t.Parallel()
	for _, next := range []string{
		"/", "/profile", "/a/b/", "/a?b=c&d=//e", "/a?u=https://evil.example", "/a#b", "/my%20notes", "/%C3%A9", "/a;b", "/a:b", "/~ada", "/a%3Fb", "/...", "/a..b",
	} {
		require.Equal(t, next, auth.LocalPath(next, "/fallback"), next)
	}
	for _, next := range []string{
		"", "profile", "//evil.example", "//evil.example/a", `/\evil.example`, `\\evil.example`, `\/evil.example`, "/%2f/evil.example", "/%2Fevil.example", "/%5cevil.example",
		"/%5Cevil.example", "///evil.example", "////evil.example", "https://evil.example", "https:evil.example", "https:/evil.example", "HTTPS://evil.example", "javascript:alert(1)", "data:text/html,x",
		"/\t/evil.example", "\t//evil.example", "/\n/evil.example", "/\r/evil.example", " /profile", " //evil.example", "/%09/evil.example", "/%0a/evil.example", "/%00", "/.//evil.example", "/..//evil.example",
		"/a/..//evil.example", "/a//b", "/a/../b", "/./a", "/%2e%2e//evil.example", "/a\x00", "/a b", "/a\x7f", "/%zz", "//user@evil.example", "?next=x", "#x", ".", "..", "/a/.", "//", "/%2f", "/%2F?a=b", "/%2f#a", "/a/%2f", "/a%2f/",
	} {
		require.Equal(t, "/fallback", auth.LocalPath(next, "/fallback"), "%q", next)
	}
	require.Equal(t, "https://elsewhere.example", auth.LocalPath("", "https://elsewhere.example"))
}

func TestRedirectToSignIn(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	m := auth.Middleware{OnError: auth.RedirectToSignIn("/signin")}
	h := behind(func(next http.Handler) http.Handler {
		return m.Require(f.cookie, f.bearer)(m.RequireScope("write")(next))
	})
	redirects := func(w *httptest.ResponseRecorder, want string) {
		t.Helper()
		require.Equal(t, 303, w.Code)
		require.Equal(t, want, w.Header().Get("Location"))
		require.Empty(t, w.Header().Values("WWW-Authenticate"))
		require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
		require.Equal(t, "Cookie", w.Header().Get("Vary"))
		require.Empty(t, w.Body.String())
	}
	page := "/signin?next=" + url.QueryEscape("/notes?a=b")
	redirects(h.get(opensPage), page)
	redirects(h.do("HEAD", opensPage), page)
	redirects(h.get(opensPage, field("Cookie", "__Host-session=stale")), page)
	require.Equal(t, 401, h.do("POST", opensPage).Code)
	require.Equal(t, 401, h.get(opensPage, authorization("Bearer x")).Code)
	require.Equal(t, 401, h.get(opensPage, authorization("")).Code)
	require.Equal(t, 400, h.get(opensPage, authorization("Bearer")).Code)
	require.Equal(t, 403, h.get(opensPage, withCookie(f.signIn("ada", auth.SessionOptions{Scopes: []string{"read"}}))).Code)

	_, exchange := serve(t, h)
	for target, want := range map[string]string{
		"/a?b=c": "/a?b=c", "//evil.example/a": "/", "/%2f/evil": "/", "/a%20b": "/a%20b", "/%5cevil": "/",
		"http://evil.example/a": "/a", "http://evil.example//evil.example": "/",
	} {
		response := exchange("GET " + target + " HTTP/1.1\r\nHost: a\r\nAccept: text/html\r\n\r\n")
		next, err := url.Parse(response.Header.Get("Location"))
		require.NoError(t, err)
		require.Equal(t, want, next.Query().Get("next"), target)
	}
	made, err := http.NewRequest("GET", "https://api.example.com/notes?a=b", nil) // no server's: without RequestURI
	require.NoError(t, err)
	opensPage(made)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, made)
	redirects(w, page)
	with := auth.Middleware{OnError: auth.RedirectToSignIn("/signin?lang=en")}
	redirects(behind(with.Require(f.cookie)).get(opensPage), "/signin?lang=en&next="+url.QueryEscape("/notes?a=b"))
	for _, bad := range []string{"", "signin", "//evil.example", "https://evil.example/signin"} {
		require.Panics(t, func() { auth.RedirectToSignIn(bad) })
	}
	w = httptest.NewRecorder()
	auth.RedirectToSignIn("/signin")(w, request("GET", opensPage), auth.ErrNoCredential)
	require.Equal(t, 401, w.Code, "outside of a Middleware it does not redirect")
}

// opensPage is what browsers send when a person opens a page.
func opensPage(r *http.Request) {
	r.Header.Set("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")
	r.Header.Set("Sec-Fetch-Mode", "navigate")
	r.Header.Set("Sec-Fetch-Dest", "document")
}

// A script would take the sign-in page for its answer. Package navigation has the full table.
func TestRedirectToSignIn_onlyPages(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	m := auth.Middleware{OnError: auth.RedirectToSignIn("/signin")}
	h := behind(m.Require(f.cookie))
	for name, e := range map[string]edit{
		"fetch":           func(r *http.Request) { opensPage(r); r.Header.Set("Sec-Fetch-Mode", "cors") },
		"an image":        func(r *http.Request) { opensPage(r); r.Header.Set("Sec-Fetch-Dest", "image") },
		"a prefetch":      func(r *http.Request) { opensPage(r); r.Header.Set("Sec-Purpose", "prefetch") },
		"an event stream": field("Accept", "text/event-stream"),
		"a WebSocket":     func(r *http.Request) { opensPage(r); r.Header.Set("Upgrade", "websocket") },
		"curl":            field("Accept", "*/*"),
		"no Accept":       func(*http.Request) {},
	} {
		t.Run(name, func(t *testing.T) { refused(t, h.get(e), 401, plainCookie) })
	}
	require.Equal(t, 303, h.get(field("Accept", "text/html")).Code, "a browser without Sec-Fetch-Mode")
}

// An authenticator may want a more recent sign-in. The user is signed in, so the sign-in page
// must not send them back.
func TestRedirectToSignIn_signInTooOld(t *testing.T) {
	t.Parallel()
	m := auth.Middleware{OnError: auth.RedirectToSignIn("/signin")}
	for _, condition := range []error{auth.ErrInvalidCredential, auth.ErrInsufficientScope} {
		old := fakeAuthenticator{scheme: "Cookie", err: &auth.Error{Reason: auth.ReasonAge, Err: condition}}
		w := behind(m.Require(old)).get(opensPage)
		require.Equal(t, 303, w.Code)
		require.Equal(t, "/signin?next=%2Fnotes%3Fa%3Db&prompt=login", w.Header().Get("Location"))
		require.NotEqual(t, 303, behind(m.Require(old)).get(field("Accept", "*/*")).Code)
	}
}

func TestRedirectToSignIn_behindStripPrefix(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	m := auth.Middleware{OnError: auth.RedirectToSignIn("/signin")}
	h := http.StripPrefix("/admin", m.Require(f.cookie)(http.NotFoundHandler()))
	w := newRecorder()
	r := httptest.NewRequest("GET", "/admin/users?p=2", nil)
	opensPage(r)
	h.ServeHTTP(w, r)
	require.Equal(t, "/signin?next=%2Fadmin%2Fusers%3Fp%3D2", w.Header().Get("Location"))
}

func TestLocalPath_backslashInTheQuery(t *testing.T) {
	t.Parallel()
	for _, next := range []string{`/a?b=\c`, "/%7F"} {
		require.Equal(t, "/f", auth.LocalPath(next, "/f"), next)
	}
}

func TestRedirectToSignIn_edgeCases(t *testing.T) {
	t.Parallel()
	require.NotPanics(t, func() { auth.RedirectToSignIn("/signin")(newRecorder(), request("GET"), (*auth.Error)(nil)) })
	require.Panics(t, func() { auth.RedirectToSignIn("/signin#top") })
}

// A gRPC call has no response, and a stream has sent its headers: Report tells the Observer.
func TestReport(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	m := &auth.Middleware{Observe: f.events.observe}
	plaintext := f.token("ada", "read")
	reported := func(report func(ctx context.Context)) []auth.Event {
		ctx, err := m.AuthenticateToken(t.Context(), plaintext, f.bearer)
		require.NoError(t, err)
		f.events.take()
		report(ctx)
		return f.events.take()
	}
	refused := auth.Event{Type: auth.EventRefused, Scheme: "Bearer", UserID: "ada"}
	for name, test := range map[string]struct {
		report func(ctx context.Context)
		reason auth.Reason // empty if there is no event
	}{
		"CheckScope": {func(ctx context.Context) { auth.Report(ctx, auth.CheckScope(ctx, "write")) }, auth.ReasonScope},
		"wrapped": {func(ctx context.Context) {
			auth.Report(ctx, fmt.Errorf("add a note: %w", auth.CheckScope(ctx, "write")))
		}, auth.ReasonScope},
		"CheckRecent": {func(ctx context.Context) { auth.Report(ctx, auth.CheckRecent(ctx, time.Hour)) }, auth.ReasonScheme},
		"nil":         {func(ctx context.Context) { auth.Report(ctx, auth.CheckScope(ctx, "read")) }, ""},
		"of a call that has reported it": {func(ctx context.Context) {
			_, err := f.bearer.Get(ctx, "ada", "unknown")
			require.Error(t, err)
			auth.Report(ctx, err)
		}, ""},
		"of the service": {func(ctx context.Context) { auth.Report(ctx, errors.New("canary")) }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := reported(test.report)
			if test.reason == "" {
				require.Empty(t, got)
				return
			}
			require.Len(t, got, 1)
			refused.CredentialID, refused.Reason = got[0].CredentialID, test.reason
			require.NotEmpty(t, got[0].CredentialID)
			require.Equal(t, refused, got[0])
		})
	}
}
