package auth_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

// Where a sign-in page may send people on to.
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
	redirects(h.get(), page)
	redirects(h.do("HEAD"), page)
	redirects(h.get(field("Cookie", "__Host-session=stale")), page)
	require.Equal(t, 401, h.do("POST").Code)
	require.Equal(t, 401, h.get(authorization("Bearer x")).Code)
	require.Equal(t, 401, h.get(authorization("")).Code)
	require.Equal(t, 400, h.get(authorization("Bearer")).Code)
	require.Equal(t, 403, h.get(withCookie(f.signIn("ada", auth.SessionOptions{Scopes: []string{"read"}}))).Code)

	_, exchange := serve(t, h)
	for target, want := range map[string]string{
		"/a?b=c": "/a?b=c", "//evil.example/a": "/", "/%2f/evil": "/", "/a%20b": "/a%20b", "/%5cevil": "/",
		"http://evil.example/a": "/a", "http://evil.example//evil.example": "/",
	} {
		response := exchange("GET " + target + " HTTP/1.1\r\nHost: a\r\n\r\n")
		next, err := url.Parse(response.Header.Get("Location"))
		require.NoError(t, err)
		require.Equal(t, want, next.Query().Get("next"), target)
	}
	made, err := http.NewRequest("GET", "https://api.example.com/notes?a=b", nil) // no server's: without RequestURI
	require.NoError(t, err)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, made)
	redirects(w, page)
	with := auth.Middleware{OnError: auth.RedirectToSignIn("/signin?lang=en")}
	redirects(behind(with.Require(f.cookie)).get(), "/signin?lang=en&next="+url.QueryEscape("/notes?a=b"))
	for _, bad := range []string{"", "signin", "//evil.example", "https://evil.example/signin"} {
		require.Panics(t, func() { auth.RedirectToSignIn(bad) })
	}
	w = httptest.NewRecorder()
	auth.RedirectToSignIn("/signin")(w, request("GET"), auth.ErrNoCredential)
	require.Equal(t, 401, w.Code, "only what a Middleware says is a page's")
}

func TestRedirectBehindStripPrefix(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	m := auth.Middleware{OnError: auth.RedirectToSignIn("/signin")}
	h := http.StripPrefix("/admin", m.Require(f.cookie)(http.NotFoundHandler()))
	w := newRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/admin/users?p=2", nil))
	require.Equal(t, "/signin?next=%2Fadmin%2Fusers%3Fp%3D2", w.Header().Get("Location"))
}

func TestLocalPathOfBackslashInTheQuery(t *testing.T) {
	t.Parallel()
	for _, next := range []string{`/a?b=\c`, "/%7F"} {
		require.Equal(t, "/f", auth.LocalPath(next, "/f"), next)
	}
}

func TestRedirectOddities(t *testing.T) {
	t.Parallel()
	require.NotPanics(t, func() { auth.RedirectToSignIn("/signin")(newRecorder(), request("GET"), (*auth.Error)(nil)) })
	require.Panics(t, func() { auth.RedirectToSignIn("/signin#top") })
}
