package main

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

func TestRoutes(t *testing.T) {
	t.Parallel()
	s, err := newService(auth.NewMemoryStore(), auth.Keys{bytes.Repeat([]byte("0123456789abcdef"), 2)})
	require.NoError(t, err)
	full, _, err := s.bearer.Issue(t.Context(), "alice", auth.NewToken{Name: "full"})
	require.NoError(t, err)
	reader, _, err := s.bearer.Issue(t.Context(), "alice", auth.NewToken{Name: "reader", Scopes: []string{"notes:read"}})
	require.NoError(t, err)
	secret, _, err := s.secret.Assign(t.Context(), "alice")
	require.NoError(t, err)
	srv := httptest.NewServer(s.routes())
	t.Cleanup(srv.Close)

	for _, tt := range []struct {
		name, method, path, authorization string

		status int
		body   string // "": a problem document
	}{
		{"open to all", "GET", "/healthz", "", 200, "ok\n"},
		{"token", "GET", "/notes", "Bearer " + full, 200, "alice by Bearer\n"},
		{"no credential", "GET", "/notes", "", 401, ""},
		{"full access has every scope", "POST", "/notes", "Bearer " + full, 200, "alice by Bearer\n"},
		{"without the scope", "POST", "/notes", "Bearer " + reader, 403, ""},
		{"secret where only tokens and cookies are taken", "GET", "/notes", "Secret " + secret, 401, ""},
		{"secret", "POST", "/exports", "Secret " + secret, 200, "alice by Secret\n"},
		{"token where only secrets are taken", "POST", "/exports", "Bearer " + full, 401, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			req, err := http.NewRequestWithContext(t.Context(), tt.method, srv.URL+tt.path, nil)
			require.NoError(t, err)
			if tt.authorization != "" {
				req.Header.Set("Authorization", tt.authorization)
			}
			resp, err := http.DefaultClient.Do(req)
			require.NoError(t, err)
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			require.Equal(t, tt.status, resp.StatusCode)
			if tt.body == "" {
				require.Equal(t, "application/problem+json", resp.Header.Get("Content-Type"))
				return
			}
			require.Equal(t, tt.body, string(body))
		})
	}
}
