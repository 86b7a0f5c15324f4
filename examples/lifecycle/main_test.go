package main

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/bcrypt"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/examples/internal/exampletest"
)

func key() []byte { return exampletest.Keys()[0] }

func start(t *testing.T) (*service, *httptest.Server) {
	t.Helper()
	return startWith(t, auth.NewMemoryStore())
}

func startWith(t *testing.T, store auth.Store) (*service, *httptest.Server) {
	t.Helper()
	s, err := newService(newUsers(bcrypt.MinCost), store, auth.Keys{key()}, auth.Keys{key()})
	require.NoError(t, err)
	_, err = s.users.SetPassword("alice", "first", 0)
	require.NoError(t, err)
	srv := httptest.NewTLSServer(s.routes())
	t.Cleanup(srv.Close)
	return s, srv
}

// A client keeps cookies and does not follow redirects.
type client struct {
	http.Client
	t   *testing.T
	url string
}

func newClient(t *testing.T, srv *httptest.Server) *client {
	t.Helper()
	c := &client{*srv.Client(), t, srv.URL}
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	var err error
	c.Jar, err = cookiejar.New(nil)
	require.NoError(t, err)
	return c
}

// send sends a form, given as alternating names and values.
func (c *client) send(method, path, authorization string, form ...string) *http.Response {
	c.t.Helper()
	values := url.Values{}
	for i := 0; i < len(form); i += 2 {
		values.Set(form[i], form[i+1])
	}
	resp, _ := c.do(method, path, authorization, values.Encode())
	return resp
}

// do sends a form and returns the response with its body.
func (c *client) do(method, path, authorization, form string) (*http.Response, string) {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), method, c.url+path, strings.NewReader(form))
	require.NoError(c.t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	resp, err := c.Do(req)
	require.NoError(c.t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(c.t, err)
	return resp, string(body)
}

func (c *client) signIn(password string) *http.Response {
	c.t.Helper()
	return c.send("POST", "/sign-in", "", "user", "alice", "password", password, "next", "/me")
}

func TestSignIn_thenSignOut(t *testing.T) {
	t.Parallel()
	_, srv := start(t)
	c := newClient(t, srv)
	require.Equal(t, 401, c.send("GET", "/me", "").StatusCode)
	require.Equal(t, 403, c.signIn("guess").StatusCode)
	resp := c.signIn("first")
	require.Equal(t, 303, resp.StatusCode)
	require.Equal(t, "/me", resp.Header.Get("Location"))
	require.Equal(t, 200, c.send("GET", "/me", "").StatusCode)
	require.Equal(t, 303, c.send("POST", "/sign-out", "").StatusCode)
	require.Equal(t, 401, c.send("GET", "/me", "").StatusCode)

	resp = c.send("POST", "/sign-in", "", "user", "alice", "password", "first", "next", "//evil.example")
	require.Equal(t, "/", resp.Header.Get("Location"))
}

// PostFormValue reads multipart forms too, and writes their files to the disk.
func TestRoutes_bodyLimit(t *testing.T) {
	t.Parallel()
	s, srv := start(t)
	c := newClient(t, srv)
	require.Equal(t, 303, c.signIn("first").StatusCode)
	address, err := url.Parse(srv.URL)
	require.NoError(t, err)
	const head = "--x\r\nContent-Disposition: form-data; name=\"user\"\r\n\r\nalice\r\n" +
		"--x\r\nContent-Disposition: form-data; name=\"f\"; filename=\"f\"\r\n\r\n"
	for _, path := range []string{"/sign-in", "/tokens", "/password", "/sign-out"} {
		body := strings.NewReader(head + strings.Repeat("x", 1<<20) + "\r\n--x--\r\n")
		size := body.Len()
		r := httptest.NewRequestWithContext(t.Context(), "POST", path, body)
		r.Header.Set("Content-Type", "multipart/form-data; boundary=x")
		for _, cookie := range c.Jar.Cookies(address) {
			r.AddCookie(cookie)
		}
		w := httptest.NewRecorder()
		s.routes().ServeHTTP(w, r)
		require.Less(t, size-body.Len(), 64<<10, "POST %s has read this many bytes", path)
	}
}

func TestIssue_scopesAndLifetimeRequired(t *testing.T) {
	t.Parallel()
	s, srv := start(t)
	c := newClient(t, srv)
	require.Equal(t, 303, c.signIn("first").StatusCode)
	for _, tt := range []struct {
		form   string
		faults []string
	}{
		{"scope=notes:read&days=90", []string{"Name must not be empty"}},
		{"name=script&days=90", []string{"Scopes: is required"}},
		{"name=script&scope=&days=90", []string{"Scopes: "}},
		{"name=script&scope=notes:read", []string{"days is required"}},
		{"name=script&scope=notes:read&days=", []string{"days is required"}},
		{"name=script&scope=notes:read&days=0", []string{"days is required"}},
		{"name=script&scope=notes:read&days=-1", []string{"days is required"}},
		{"name=script&scope=notes:read&days=366", []string{"days is required"}},
		{"name=script&scope=notes:read&days=never", []string{"days is required"}},
		{"name=script", []string{"Scopes: is required", "days is required"}},
		{"", []string{"Scopes: is required", "days is required"}},
	} {
		resp, body := c.do("POST", "/tokens", "", tt.form)
		require.Equal(t, 400, resp.StatusCode, tt.form)
		for _, fault := range tt.faults {
			require.Contains(t, body, fault, tt.form)
		}
	}
	list, err := s.bearer.List(t.Context(), "alice", auth.Page{})
	require.NoError(t, err)
	require.Empty(t, list)
}

func TestIssue_fromForm(t *testing.T) {
	t.Parallel()
	s, srv := start(t)
	c := newClient(t, srv)
	form := []string{"name", "script", "scope", "notes:read", "days", "90"}
	require.Equal(t, 401, c.send("POST", "/tokens", "", form...).StatusCode)
	require.Equal(t, 303, c.signIn("first").StatusCode)
	resp := c.send("POST", "/tokens", "", form...)
	require.Equal(t, 200, resp.StatusCode)
	require.Equal(t, "no-store", resp.Header.Get("Cache-Control"))
	list, err := s.bearer.List(t.Context(), "alice", auth.Page{})
	require.NoError(t, err)
	require.Len(t, list, 1)
	require.Equal(t, "script", list[0].Name)
	require.Equal(t, auth.Scopes("notes:read"), list[0].Scopes)
	require.Equal(t, 90*24*time.Hour, list[0].ExpiresAt.Sub(list[0].CreatedAt))
}

func TestRevokeAll_passwordChange(t *testing.T) {
	t.Parallel()
	s, srv := start(t)
	token, _, err := s.bearer.Issue(t.Context(), "alice", auth.TokenOptions{Name: "script", Scopes: []string{auth.FullAccess}, Lifetime: auth.NoExpiry})
	require.NoError(t, err)
	here, elsewhere := newClient(t, srv), newClient(t, srv)
	require.Equal(t, 303, here.signIn("first").StatusCode)
	require.Equal(t, 303, elsewhere.signIn("first").StatusCode)
	require.Equal(t, 401, newClient(t, srv).send("POST", "/password", "Bearer "+token, "old", "first", "new", "second").StatusCode,
		"a token must not change the password")

	require.Equal(t, 403, here.send("POST", "/password", "", "old", "guess", "new", "second").StatusCode)
	require.Equal(t, 204, here.send("POST", "/password", "", "old", "first", "new", "second").StatusCode)
	require.Equal(t, 200, here.send("GET", "/me", "").StatusCode, "the user who changed the password is signed in")
	require.Equal(t, 401, elsewhere.send("GET", "/me", "").StatusCode)
	require.Equal(t, 401, newClient(t, srv).send("GET", "/me", "Bearer "+token).StatusCode)
	require.Equal(t, 403, elsewhere.signIn("first").StatusCode)
	require.Equal(t, 303, elsewhere.signIn("second").StatusCode)
}

func TestRevokeAll_accountDeletion(t *testing.T) {
	t.Parallel()
	s, srv := start(t)
	token, _, err := s.bearer.Issue(t.Context(), "alice", auth.TokenOptions{Name: "script", Scopes: []string{auth.FullAccess}, Lifetime: auth.NoExpiry})
	require.NoError(t, err)
	secret, _, err := s.secret.Issue(t.Context(), "alice", auth.SecretOptions{Scopes: []string{auth.FullAccess}, Lifetime: auth.NoExpiry})
	require.NoError(t, err)
	c, script := newClient(t, srv), newClient(t, srv)
	require.Equal(t, 303, c.signIn("first").StatusCode)
	require.Equal(t, 200, script.send("GET", "/me", "Bearer "+token).StatusCode)
	require.Equal(t, 200, script.send("GET", "/me", "Secret "+secret).StatusCode)

	require.Equal(t, 204, c.send("DELETE", "/account", "").StatusCode)
	require.Equal(t, 401, c.send("GET", "/me", "").StatusCode)
	require.Equal(t, 401, script.send("GET", "/me", "Bearer "+token).StatusCode)
	require.Equal(t, 401, script.send("GET", "/me", "Secret "+secret).StatusCode)
	require.NoError(t, s.revokeAll(t.Context(), "alice"), "can be repeated")

	// Resolve rejects a token that was created at the same time.
	late, _, err := s.bearer.Issue(t.Context(), "alice", auth.TokenOptions{Name: "late", Scopes: []string{auth.FullAccess}, Lifetime: auth.NoExpiry})
	require.NoError(t, err)
	require.Equal(t, 401, script.send("GET", "/me", "Bearer "+late).StatusCode)
}

func TestCookie_keyRotation(t *testing.T) {
	t.Parallel()
	store, older, newer := auth.NewMemoryStore(), key(), key()
	var steps []*auth.Cookie
	for _, keys := range rotation(older, newer) {
		s, err := newService(newUsers(bcrypt.MinCost), store, keys, nil)
		require.NoError(t, err)
		steps = append(steps, s.cookie)
	}
	for from, valid := range [][]bool{
		{true, true, true, false}, // whether each step decrypts a cookie of the first
		{true, true, true, false},
		{false, true, true, true}, // so all processes must reach the second step before any reaches the third
		{false, true, true, true},
	} {
		w := httptest.NewRecorder()
		_, err := steps[from].SignIn(w, httptest.NewRequestWithContext(t.Context(), "POST", "/", nil), "alice", auth.SessionOptions{})
		require.NoError(t, err)
		r := httptest.NewRequestWithContext(t.Context(), "GET", "/", nil)
		r.AddCookie(w.Result().Cookies()[0])
		for step, want := range valid {
			_, err := steps[step].Authenticate(r)
			if want {
				require.NoError(t, err, "step %d decrypts a cookie of step %d", step, from)
			} else {
				require.ErrorIs(t, err, auth.ErrInvalidCredential, "step %d decrypts a cookie of step %d", step, from)
			}
		}
	}
}

func TestReveal_keyRotation(t *testing.T) {
	t.Parallel()
	store, older, newer := auth.NewMemoryStore(), key(), key()
	var steps []*service
	for _, keys := range rotation(older, newer) {
		s, err := newService(newUsers(bcrypt.MinCost), store, auth.Keys{key()}, keys)
		require.NoError(t, err)
		steps = append(steps, s)
	}
	first, both, last := steps[0].secret, steps[2], steps[3].secret
	plaintext, c, err := first.Issue(t.Context(), "alice", auth.SecretOptions{Scopes: []string{auth.FullAccess}, Lifetime: auth.NoExpiry})
	require.NoError(t, err)
	shown, err := both.secret.Reveal(t.Context(), "alice", c.ID)
	require.NoError(t, err)
	require.Equal(t, plaintext, shown)

	// If the older key is removed too early, the secret is valid but cannot be revealed.
	_, err = last.Reveal(t.Context(), "alice", c.ID)
	require.ErrorIs(t, err, auth.ErrUnavailable)
	r := httptest.NewRequestWithContext(t.Context(), "GET", "/", nil)
	r.Header.Set("Authorization", "Secret "+plaintext)
	_, err = last.Authenticate(r)
	require.NoError(t, err)

	next, err := both.reseal(t.Context(), "alice", c.ID)
	require.NoError(t, err)
	resealed, err := last.Reveal(t.Context(), "alice", next.ID)
	require.NoError(t, err)
	require.NotEqual(t, plaintext, resealed)
	_, err = last.Authenticate(r)
	require.NoError(t, err, "the old secret is valid in its grace period")
}
