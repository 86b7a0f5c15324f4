package main

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth/examples/internal/teststores"
)

func TestSignIn_thenSignOut(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	c := d.client(t)

	res := c.get("/")
	require.Equal(t, http.StatusOK, res.status)
	require.Contains(t, res.body, `action="/signin"`)

	res = c.post("/signin", d.form("ada", ""))
	require.Equal(t, http.StatusSeeOther, res.status, res.body)
	require.Equal(t, "/profile", res.header.Get("Location"))
	require.Equal(t, "no-store", res.header.Get("Cache-Control"))
	require.Contains(t, res.header.Get("Set-Cookie"), "HttpOnly")

	res = c.get("/")
	require.Equal(t, http.StatusSeeOther, res.status)
	require.Equal(t, "/profile", res.header.Get("Location"))

	res = c.post("/signout", nil)
	require.Equal(t, http.StatusSeeOther, res.status)
	require.Equal(t, "/", res.header.Get("Location"))
	require.Equal(t, http.StatusOK, c.get("/").status)
	require.Equal(t, http.StatusSeeOther, c.post("/signout", nil).status, "signing out twice")
}

// A copy of the cookie is invalid after the user signs out.
func TestSignOut_invalidatesCopiedCookie(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	c := d.client(t)
	res := c.post("/signin", d.form("ada", ""))
	stolen, _, _ := strings.Cut(res.header.Get("Set-Cookie"), ";")
	thief := d.client(t)
	require.Equal(t, http.StatusOK, thief.get("/profile", "Cookie", stolen).status)

	c.post("/signout", nil)
	require.Equal(t, http.StatusSeeOther, thief.get("/profile", "Cookie", stolen).status)
	require.Equal(t, http.StatusOK, thief.get("/", "Cookie", stolen).status)
	requireProblem(t, thief.get("/api/v1/me", "Cookie", stolen), http.StatusUnauthorized)
	res = thief.get("/api/v1/me", "Cookie", stolen, "Authorization", "Bearer "+d.Token)
	require.Equal(t, http.StatusOK, res.status, "a stale cookie does not affect a valid token")
}

func TestSignIn_wrongPassword(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	for name, password := range map[string]string{
		"ada":     d.Passwords["grace"],
		"grace":   "",
		"unknown": d.Passwords["ada"],
		"":        "",
	} {
		t.Run("as "+name, func(t *testing.T) {
			t.Parallel()
			form := url.Values{"username": {name}, "password": {password}, "next": {"/profile?a=b"}}
			res := d.client(t).post("/signin", form)
			require.Equal(t, http.StatusForbidden, res.status)
			require.Empty(t, res.header.Get("Set-Cookie"))
			require.Equal(t, "no-store", res.header.Get("Cache-Control"))
			require.Contains(t, res.body, `role="alert"`)
			require.Contains(t, res.body, `name="next" value="/profile?a=b"`)
			if password != "" {
				require.NotContains(t, res.body, password)
			}

			// The response does not reveal whether the name exists.
			form.Set("username", "grace")
			form.Set("password", "wrong")
			other := d.client(t).post("/signin", form)
			require.Equal(t, strings.Replace(other.body, `value="grace"`, `value="`+name+`"`, 1), res.body)
		})
	}
}

func TestSignIn_ignoresPasswordInURL(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	res := d.client(t).post("/signin?"+d.form("ada", "").Encode(), nil)
	require.Equal(t, http.StatusForbidden, res.status)
}

func TestSignIn_crossSiteRequest(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	for name, header := range map[string][]string{
		"cross-site":     {"Sec-Fetch-Site", "cross-site"},
		"same-site":      {"Sec-Fetch-Site", "same-site"},
		"foreign origin": {"Origin", "https://evil.example"},
		"null origin":    {"Origin", "null"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := d.client(t)
			res := c.post("/signin", d.form("ada", "/profile"), header...)
			require.Equal(t, http.StatusForbidden, res.status)
			require.Empty(t, res.header.Get("Set-Cookie"))
			require.Contains(t, res.header.Get("Content-Type"), "text/html")
			require.Contains(t, res.body, `role="alert"`)
			require.NotContains(t, res.body, `value="ada"`, "the form of the other site is discarded")
			require.Equal(t, http.StatusOK, c.get("/").status, "not signed in")
		})
	}
}

func TestSignIn_sameOriginRequest(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	for _, header := range [][]string{{"Sec-Fetch-Site", "same-origin"}, {"Origin", d.url}} {
		res := d.client(t).post("/signin", d.form("ada", ""), header...)
		require.Equal(t, http.StatusSeeOther, res.status, "%q", header)
	}
}

func TestSignOut_crossSiteRequest(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	c := d.signedIn(t, "ada")
	requireProblem(t, c.post("/signout", nil, "Sec-Fetch-Site", "cross-site"), http.StatusForbidden)
	require.Equal(t, http.StatusOK, c.get("/profile").status)
}

func TestSignIn_nextIsLocal(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	c := d.signedIn(t, "grace")
	for next, want := range map[string]string{
		"":                     "/profile",
		"/profile?tab=tokens":  "/profile?tab=tokens",
		"/api/v1/notes":        "/api/v1/notes",
		"//e":                  "/profile",
		`/\e`:                  "/profile",
		"/%2f/e":               "/profile",
		"/%5ce":                "/profile",
		"/\t/e":                "/profile",
		"https://evil.example": "/profile",
		"javascript:alert(1)":  "/profile",
		"profile":              "/profile",
	} {
		t.Run(next, func(t *testing.T) { // not in parallel: attempts in progress are limited
			res := d.client(t).post("/signin", d.form("ada", next))
			require.Equal(t, http.StatusSeeOther, res.status)
			require.Equal(t, want, res.header.Get("Location"))

			res = c.get("/?next=" + url.QueryEscape(next))
			require.Equal(t, http.StatusSeeOther, res.status, "already signed in")
			require.Equal(t, want, res.header.Get("Location"))
		})
	}
}

func TestSignInPage_next(t *testing.T) {
	t.Parallel()
	c := startDemo(t).client(t)
	require.Contains(t, c.get("/?next=%2Fprofile%3Fa%3Db").body, `name="next" value="/profile?a=b"`)
	require.Contains(t, c.get("/?next=%2F%2Fevil.example").body, `name="next" value=""`)
	require.NotContains(t, c.get("/?next=%2F%22%3E%3Cscript%3E").body, "<script>")
}

// After a failed sign-in the address bar has /signin, which can then be opened again.
func TestSignIn_openedAsPage(t *testing.T) {
	t.Parallel()
	c := startDemo(t).client(t)
	for path, want := range map[string]string{
		"/signin":                             "/",
		"/signout":                            "/",
		"/signin?next=%2Fprofile%3Fa%3Db%26c": "/?next=%2Fprofile%3Fa%3Db%26c",
		"/signin?next=https%3A%2F%2Fevil.example": "/",
		"/signin?next=%2F%2Fevil.example":         "/",
	} {
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			res := c.do(method, path, "")
			require.Equal(t, http.StatusSeeOther, res.status, path)
			require.Equal(t, want, res.header.Get("Location"), path)
			require.Equal(t, "no-store", res.header.Get("Cache-Control"))
		}
	}
}

// A client that hangs up is not an outage.
func TestSignIn_canceledIsNotAnError(t *testing.T) {
	t.Parallel()
	d := startDemoWith(t, teststores.SQLite(t))
	var log bytes.Buffer
	d.log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/signin", strings.NewReader("username=ada&password=x"))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	d.routes().ServeHTTP(httptest.NewRecorder(), r)
	require.Contains(t, log.String(), "sign-in failed")
	require.NotContains(t, log.String(), "level=ERROR")

	log.Reset()
	require.NoError(t, d.storage.Close())
	require.Equal(t, http.StatusServiceUnavailable, d.attempt(t, "192.0.2.1", "ada", "x").Code)
	require.Contains(t, log.String(), "level=ERROR")
}

func TestSignIn_invalidForms(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	form := d.form("ada", "")
	form.Set("password", strings.Repeat("x", 17<<10))
	for name, c := range map[string]struct {
		body   string
		status int
	}{
		"too long":        {form.Encode(), http.StatusRequestEntityTooLarge},
		"invalid escapes": {"username=%zz", http.StatusBadRequest},
		"empty":           {"", http.StatusForbidden},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			res := d.client(t).do(http.MethodPost, "/signin", c.body, "Content-Type", "application/x-www-form-urlencoded")
			require.Equal(t, c.status, res.status)
			require.Contains(t, res.body, `role="alert"`)
			require.Contains(t, res.body, `action="/signin"`)
		})
	}
}

// attempt sends the sign-in form from an address.
func (d *demo) attempt(t *testing.T, address, name, password string) *httptest.ResponseRecorder {
	form := url.Values{"username": {name}, "password": {password}}.Encode()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/signin", strings.NewReader(form))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.RemoteAddr = address + ":1234"
	w := httptest.NewRecorder()
	d.routes().ServeHTTP(w, r)
	return w
}

// A flood of wrong passwords for ada from one address reaches its limit. It keeps out
// neither ada at another address nor other users.
func TestSignIn_flood(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	var flood sync.WaitGroup
	var wrong atomic.Int64
	limited := make(chan struct{}, 1)
	for range 8 {
		flood.Go(func() {
			for range 50 {
				switch d.attempt(t, "192.0.2.1", "ada", "guess").Code {
				case http.StatusForbidden:
					wrong.Add(1)
				case http.StatusTooManyRequests:
					select {
					case limited <- struct{}{}:
					default:
					}
				}
			}
		})
	}
	<-limited
	require.Equal(t, http.StatusSeeOther, d.attempt(t, "192.0.2.2", "ada", d.Passwords["ada"]).Code)
	require.Equal(t, http.StatusSeeOther, d.attempt(t, "192.0.2.2", "grace", d.Passwords["grace"]).Code)
	flood.Wait()
	require.Less(t, wrong.Load(), int64(100), "of 400")
	require.Equal(t, http.StatusSeeOther, d.attempt(t, "192.0.2.1", "grace", d.Passwords["grace"]).Code)
}

// At the limit, a right password gets the same response as a wrong one, and a name
// that exists the same as one that does not.
func TestSignIn_limit(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	for _, name := range []string{"ada", "unknown"} {
		useUp(d.users.limiter, netip.MustParsePrefix("192.0.2.1/32"), name)
	}
	for _, password := range []string{d.Passwords["ada"], "guess", ""} {
		for _, name := range []string{"ada", "unknown"} {
			w := d.attempt(t, "192.0.2.1", name, password)
			require.Equal(t, http.StatusTooManyRequests, w.Code)
			require.Empty(t, w.Header().Get("Set-Cookie"))
			require.Regexp(t, `^[1-6]$`, w.Header().Get("Retry-After"))
			require.Regexp(t, `Too many attempts. Please try again in [1-6] s\.`, w.Body.String())
		}
	}
}
