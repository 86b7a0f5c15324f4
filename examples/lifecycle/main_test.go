package main

import (
	"crypto/rand"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/bcrypt"

	"github.com/seed-31c5bcb2/auth"
)

func key() []byte {
	k := make([]byte, 32)
	rand.Read(k)
	return k
}

func start(t *testing.T) (*service, *httptest.Server) {
	t.Helper()
	s, err := newService(newUsers(bcrypt.MinCost), auth.NewMemoryStore(), auth.Keys{key()}, auth.Keys{key()})
	require.NoError(t, err)
	require.NoError(t, s.users.SetPassword("alice", "first"))
	srv := httptest.NewTLSServer(s.routes())
	t.Cleanup(srv.Close)
	return s, srv
}

// A client keeps cookies and follows no redirect.
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

func (c *client) send(method, path, authorization string, form ...string) *http.Response {
	c.t.Helper()
	values := url.Values{}
	for i := 0; i < len(form); i += 2 {
		values.Set(form[i], form[i+1])
	}
	req, err := http.NewRequestWithContext(c.t.Context(), method, c.url+path, strings.NewReader(values.Encode()))
	require.NoError(c.t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	resp, err := c.Do(req)
	require.NoError(c.t, err)
	require.NoError(c.t, resp.Body.Close())
	return resp
}

func (c *client) signIn(password string) *http.Response {
	c.t.Helper()
	return c.send("POST", "/sign-in", "", "user", "alice", "password", password, "next", "/me")
}

func TestSignInAndOut(t *testing.T) {
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

func TestNewToken(t *testing.T) {
	t.Parallel()
	s, srv := start(t)
	c := newClient(t, srv)
	require.Equal(t, 401, c.send("POST", "/tokens", "", "name", "script").StatusCode)
	require.Equal(t, 303, c.signIn("first").StatusCode)
	require.Equal(t, 400, c.send("POST", "/tokens", "", "name", "").StatusCode)
	resp := c.send("POST", "/tokens", "", "name", "script")
	require.Equal(t, 200, resp.StatusCode)
	require.Equal(t, "no-store", resp.Header.Get("Cache-Control"))
	list, err := s.bearer.List(t.Context(), "alice", auth.Page{})
	require.NoError(t, err)
	require.Len(t, list, 1)
	require.Equal(t, "script", list[0].Name)
}

func TestPasswordChange(t *testing.T) {
	t.Parallel()
	s, srv := start(t)
	token, _, err := s.bearer.Issue(t.Context(), "alice", auth.NewToken{Name: "script"})
	require.NoError(t, err)
	here, elsewhere := newClient(t, srv), newClient(t, srv)
	require.Equal(t, 303, here.signIn("first").StatusCode)
	require.Equal(t, 303, elsewhere.signIn("first").StatusCode)
	require.Equal(t, 401, newClient(t, srv).send("POST", "/password", "Bearer "+token, "old", "first", "new", "second").StatusCode,
		"a token changes no password")

	require.Equal(t, 403, here.send("POST", "/password", "", "old", "guess", "new", "second").StatusCode)
	require.Equal(t, 204, here.send("POST", "/password", "", "old", "first", "new", "second").StatusCode)
	require.Equal(t, 200, here.send("GET", "/me", "").StatusCode, "the session in which it was changed goes on")
	require.Equal(t, 401, elsewhere.send("GET", "/me", "").StatusCode)
	require.Equal(t, 401, newClient(t, srv).send("GET", "/me", "Bearer "+token).StatusCode)
	require.Equal(t, 403, elsewhere.signIn("first").StatusCode)
	require.Equal(t, 303, elsewhere.signIn("second").StatusCode)
}

func TestAccountDeletion(t *testing.T) {
	t.Parallel()
	s, srv := start(t)
	token, _, err := s.bearer.Issue(t.Context(), "alice", auth.NewToken{Name: "script"})
	require.NoError(t, err)
	secret, _, err := s.secret.Assign(t.Context(), "alice")
	require.NoError(t, err)
	c, script := newClient(t, srv), newClient(t, srv)
	require.Equal(t, 303, c.signIn("first").StatusCode)
	require.Equal(t, 200, script.send("GET", "/me", "Bearer "+token).StatusCode)
	require.Equal(t, 200, script.send("GET", "/me", "Secret "+secret).StatusCode)

	require.Equal(t, 204, c.send("DELETE", "/account", "").StatusCode)
	require.Equal(t, 401, c.send("GET", "/me", "").StatusCode)
	require.Equal(t, 401, script.send("GET", "/me", "Bearer "+token).StatusCode)
	require.Equal(t, 401, script.send("GET", "/me", "Secret "+secret).StatusCode)
	require.NoError(t, s.revokeAll(t.Context(), "alice"), "it can be repeated")

	// What was made at the last moment is refused as well, by Resolve.
	late, _, err := s.bearer.Issue(t.Context(), "alice", auth.NewToken{Name: "late"})
	require.NoError(t, err)
	require.Equal(t, 401, script.send("GET", "/me", "Bearer "+late).StatusCode)
}

func TestCookieKeyRotation(t *testing.T) {
	t.Parallel()
	store, older, newer := auth.NewMemoryStore(), key(), key()
	var steps []*auth.Cookie
	for _, keys := range rotation(older, newer) {
		s, err := newService(newUsers(bcrypt.MinCost), store, keys, nil)
		require.NoError(t, err)
		steps = append(steps, s.cookie)
	}
	for sealer, opens := range [][]bool{
		{true, true, true, false}, // what the first step seals, step by step
		{true, true, true, false},
		{false, true, true, true}, // so every process is to be at the second before any is at the third
		{false, true, true, true},
	} {
		w := httptest.NewRecorder()
		_, err := steps[sealer].SignIn(w, httptest.NewRequestWithContext(t.Context(), "POST", "/", nil), "alice", auth.NewSession{})
		require.NoError(t, err)
		r := httptest.NewRequestWithContext(t.Context(), "GET", "/", nil)
		r.AddCookie(w.Result().Cookies()[0])
		for opener, want := range opens {
			_, err := steps[opener].Authenticate(r)
			if want {
				require.NoError(t, err, "%d opens what %d sealed", opener, sealer)
			} else {
				require.ErrorIs(t, err, auth.ErrInvalidCredential, "%d opens what %d sealed", opener, sealer)
			}
		}
	}
}

func TestRevealKeyRotation(t *testing.T) {
	t.Parallel()
	store, older, newer := auth.NewMemoryStore(), key(), key()
	var steps []*service
	for _, keys := range rotation(older, newer) {
		s, err := newService(newUsers(bcrypt.MinCost), store, auth.Keys{key()}, keys)
		require.NoError(t, err)
		steps = append(steps, s)
	}
	first, both, last := steps[0].secret, steps[2], steps[3].secret
	plaintext, _, err := first.Assign(t.Context(), "alice")
	require.NoError(t, err)
	shown, err := both.secret.Reveal(t.Context(), "alice")
	require.NoError(t, err)
	require.Equal(t, plaintext, shown)

	// Too early: the secret works, and cannot be shown.
	_, err = last.Reveal(t.Context(), "alice")
	require.ErrorIs(t, err, auth.ErrUnavailable)
	r := httptest.NewRequestWithContext(t.Context(), "GET", "/", nil)
	r.Header.Set("Authorization", "Secret "+plaintext)
	_, err = last.Authenticate(r)
	require.NoError(t, err)

	require.NoError(t, both.reseal(t.Context(), "alice"))
	resealed, err := last.Reveal(t.Context(), "alice")
	require.NoError(t, err)
	require.NotEqual(t, plaintext, resealed)
	_, err = last.Authenticate(r)
	require.NoError(t, err, "the old one works on for its overlap")
}
