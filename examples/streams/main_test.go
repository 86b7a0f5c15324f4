package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/examples/internal/exampletest"
)

func start(t *testing.T, recheck time.Duration) (*service, *httptest.Server) {
	t.Helper()
	s, err := newService(auth.NewMemoryStore(), exampletest.Keys(), recheck)
	require.NoError(t, err)
	srv := httptest.NewTLSServer(s.routes())
	t.Cleanup(srv.Close)
	return s, srv
}

// signIn returns the Cookie header of a new session.
func signIn(t *testing.T, s *service) string {
	t.Helper()
	w := httptest.NewRecorder()
	_, err := s.cookie.SignIn(w, httptest.NewRequestWithContext(t.Context(), "POST", "/", nil), "alice", auth.SessionOptions{})
	require.NoError(t, err)
	c := w.Result().Cookies()[0]
	return c.Name + "=" + c.Value
}

// bearerToken returns the Authorization header for a new token.
func bearerToken(t *testing.T, s *service) string {
	t.Helper()
	return "Bearer " + exampletest.Issue(t, s.bearer, auth.FullAccess)
}

func TestEvents_endOnRevocation(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		header string
		value  func(*testing.T, *service) string
		revoke func(*service) (int, error)
	}{
		{"Authorization", bearerToken, func(s *service) (int, error) { return s.bearer.RevokeAll(t.Context(), "alice") }},
		{"Cookie", signIn, func(s *service) (int, error) { return s.cookie.RevokeAll(t.Context(), "alice") }},
	} {
		t.Run(tt.header, func(t *testing.T) {
			t.Parallel()
			s, srv := start(t, time.Millisecond)
			req, err := http.NewRequestWithContext(t.Context(), "GET", srv.URL+"/events", nil)
			require.NoError(t, err)
			req.Header.Set(tt.header, tt.value(t, s))
			resp, err := srv.Client().Do(req)
			require.NoError(t, err)
			defer resp.Body.Close()
			require.Equal(t, http.StatusOK, resp.StatusCode)
			s.news <- "hello"
			n, err := tt.revoke(s)
			require.NoError(t, err)
			require.Equal(t, 1, n)

			body, err := io.ReadAll(resp.Body) // returns when the stream ends
			require.NoError(t, err)
			require.Equal(t, "data: hello\n\n", string(body))

			again, err := srv.Client().Do(req)
			require.NoError(t, err)
			defer again.Body.Close()
			require.Equal(t, http.StatusUnauthorized, again.StatusCode)
		})
	}
}

// Without a check, a revoked token keeps receiving events.
func TestEvents_withoutRecheck(t *testing.T) {
	t.Parallel()
	s, srv := start(t, time.Hour)
	req, err := http.NewRequestWithContext(t.Context(), "GET", srv.URL+"/events", nil)
	require.NoError(t, err)
	req.Header.Set("Authorization", bearerToken(t, s))
	resp, err := srv.Client().Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	_, err = s.bearer.RevokeAll(t.Context(), "alice")
	require.NoError(t, err)

	s.news <- "still here"
	got := make([]byte, len("data: still here\n\n"))
	_, err = io.ReadFull(resp.Body, got)
	require.NoError(t, err)
	require.Equal(t, "data: still here\n\n", string(got))
}

func TestSocket_closesOnRevocation(t *testing.T) {
	t.Parallel()
	s, srv := start(t, time.Millisecond)
	header := http.Header{"Cookie": {signIn(t, s)}, "Origin": {srv.URL}}
	conn, _, err := websocket.Dial(t.Context(), srv.URL+"/socket", &websocket.DialOptions{HTTPClient: srv.Client(), HTTPHeader: header})
	require.NoError(t, err)
	defer conn.CloseNow()
	s.news <- "hello"
	_, text, err := conn.Read(t.Context())
	require.NoError(t, err)
	require.Equal(t, "hello", string(text))

	_, err = s.cookie.RevokeAll(t.Context(), "alice")
	require.NoError(t, err)
	_, _, err = conn.Read(t.Context())
	require.Equal(t, websocket.StatusPolicyViolation, websocket.CloseStatus(err))
}

func TestSocket_crossOrigin(t *testing.T) {
	t.Parallel()
	s, srv := start(t, time.Hour)
	header := http.Header{"Cookie": {signIn(t, s)}, "Origin": {"https://evil.example"}}
	_, resp, err := websocket.Dial(t.Context(), srv.URL+"/socket", &websocket.DialOptions{HTTPClient: srv.Client(), HTTPHeader: header})
	require.Error(t, err)
	require.Equal(t, http.StatusForbidden, resp.StatusCode)
	require.Equal(t, "application/problem+json", resp.Header.Get("Content-Type"), "rejected by Require, before Accept")
}
