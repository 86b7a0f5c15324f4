package main

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/bcrypt"

	"github.com/seed-31c5bcb2/auth"
)

// A client that holds its form open while its session is revoked gets no token.
func TestRecheck_formHeldOpen(t *testing.T) {
	t.Parallel()
	s, srv := start(t)
	alice := newClient(t, srv)
	alice.Transport.(*http.Transport).ExpectContinueTimeout = time.Minute
	alice.send("POST", "/sign-in", "", "user", "alice", "password", "first")

	body, form := io.Pipe()
	r, err := http.NewRequestWithContext(t.Context(), "POST", srv.URL+"/tokens", body)
	require.NoError(t, err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	r.Header.Set("Expect", "100-continue") // the client sends the body once the server reads it
	statuses := make(chan int, 1)
	go func() {
		resp, err := alice.Do(r)
		if err != nil {
			statuses <- 0
			return
		}
		resp.Body.Close()
		statuses <- resp.StatusCode
	}()
	fields := "name=stolen&scope=*&days=365"
	_, err = io.WriteString(form, fields[:len(fields)-1])
	require.NoError(t, err)
	require.NoError(t, s.revokeAll(t.Context(), "alice"))
	_, err = io.Copy(form, strings.NewReader(fields[len(fields)-1:]))
	require.NoError(t, err)
	require.NoError(t, form.Close())
	require.Equal(t, http.StatusUnauthorized, <-statuses)
	s.requireNoTokens(t)
}

// If the session ends while the token is created, the token is revoked.
func TestRecheck_sessionEndsMeanwhile(t *testing.T) {
	t.Parallel()
	s, srv := start(t)
	alice := newClient(t, srv)
	alice.send("POST", "/sign-in", "", "user", "alice", "password", "first")
	store := &createHook{Store: auth.NewMemoryStore(), created: func() {
		_, err := s.cookie.RevokeAll(context.Background(), "alice")
		assert.NoError(t, err)
	}}
	var err error
	s.bearer, err = auth.NewBearer(store, auth.BearerConfig{})
	require.NoError(t, err)
	resp := alice.send("POST", "/tokens", "", "name", "late", "scope", "*", "days", "1")
	require.Equal(t, http.StatusUnauthorized, resp.StatusCode)
	s.requireNoTokens(t)
}

// A token has no scope that the session lacks.
func TestIssue_scopesOfSession(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		session, token []string
		status         int
	}{
		{nil, []string{"*"}, 200},
		{nil, []string{"notes:read", "notes:write"}, 200},
		{[]string{"notes:read"}, []string{"notes:read"}, 200},
		{[]string{"notes:read"}, []string{"*"}, 403},
		{[]string{"notes:read"}, []string{"notes:write"}, 403},
		{[]string{"notes:read"}, []string{"notes:read", "notes:write"}, 403},
	} {
		s, _ := start(t)
		w := s.createTokenIn(t, s.session(t, tt.session), tt.token)
		require.Equal(t, tt.status, w.Code, "%q grants %q", tt.session, tt.token)
		if tt.status == 403 {
			require.Contains(t, w.Body.String(), "insufficient_scope")
			s.requireNoTokens(t)
		}
	}
}

// A token of support staff would outlive the session in which they act as the user.
func TestIssue_actor(t *testing.T) {
	t.Parallel()
	s, _ := start(t)
	w := httptest.NewRecorder()
	_, err := s.cookie.SignIn(w, httptest.NewRequest("POST", "/support", nil), "alice", auth.SessionOptions{Actor: "grace"})
	require.NoError(t, err)
	w = s.createTokenIn(t, w.Result().Cookies()[0], []string{"*"})
	require.Equal(t, 403, w.Code)
	s.requireNoTokens(t)
}

// A session that was stolen some time after the sign-in cannot create a token or delete the account.
func TestIssue_recentSignIn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, err := newService(newUsers(bcrypt.MinCost), auth.NewMemoryStore(), auth.Keys{key()}, nil)
		require.NoError(t, err)
		_, err = s.users.SetPassword("alice", "first", 0)
		require.NoError(t, err)
		session := s.session(t, nil)
		time.Sleep(maxAge)
		require.Equal(t, 200, s.createTokenIn(t, session, []string{"*"}).Code)
		time.Sleep(time.Microsecond)
		w := s.createTokenIn(t, session, []string{"*"})
		require.Equal(t, 401, w.Code)
		require.Contains(t, w.Body.String(), "insufficient_user_authentication")
		r := httptest.NewRequest("DELETE", "/account", nil)
		r.AddCookie(session)
		w = httptest.NewRecorder()
		s.routes().ServeHTTP(w, r)
		require.Equal(t, 401, w.Code)
		require.Contains(t, w.Body.String(), "insufficient_user_authentication")
		require.Equal(t, 200, s.createTokenIn(t, s.session(t, nil), []string{"*"}).Code)
		require.NoError(t, s.cookie.Close(t.Context()))
	})
}

// session returns the cookie of a new session of alice.
func (s *service) session(t *testing.T, scopes []string) *http.Cookie {
	t.Helper()
	w := httptest.NewRecorder()
	r := httptest.NewRequestWithContext(t.Context(), "POST", "/sign-in", nil)
	_, err := s.cookie.SignIn(w, r, "alice", auth.SessionOptions{Scopes: scopes})
	require.NoError(t, err)
	return w.Result().Cookies()[0]
}

// createTokenIn sends the form for a new token in a session.
func (s *service) createTokenIn(t *testing.T, session *http.Cookie, scopes []string) *httptest.ResponseRecorder {
	t.Helper()
	form := url.Values{"name": {"script"}, "scope": scopes, "days": {"90"}}.Encode()
	r := httptest.NewRequestWithContext(t.Context(), "POST", "/tokens", strings.NewReader(form))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.AddCookie(session)
	w := httptest.NewRecorder()
	s.routes().ServeHTTP(w, r)
	return w
}

type createHook struct {
	auth.Store
	created func()
}

func (s *createHook) Create(ctx context.Context, c auth.Credential, limit int) error {
	defer s.created()
	return s.Store.Create(ctx, c, limit)
}

func (s *service) requireNoTokens(t *testing.T) {
	t.Helper()
	tokens, err := s.bearer.List(t.Context(), "alice", auth.Page{})
	require.NoError(t, err)
	require.Empty(t, tokens)
}
