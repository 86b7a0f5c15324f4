package main

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

func TestMain(m *testing.M) {
	gin.SetMode(gin.TestMode)
	os.Exit(m.Run())
}

func TestRoutes(t *testing.T) {
	t.Parallel()
	s, err := newService(auth.NewMemoryStore(), auth.Keys{bytes.Repeat([]byte("0123456789abcdef"), 2)})
	require.NoError(t, err)
	full, _, err := s.bearer.Issue(t.Context(), "alice", auth.NewToken{Name: "full"})
	require.NoError(t, err)
	reader, _, err := s.bearer.Issue(t.Context(), "alice", auth.NewToken{Name: "reader", Scopes: []string{"notes:read"}})
	require.NoError(t, err)
	srv := httptest.NewServer(s.routes())
	t.Cleanup(srv.Close)

	for _, tt := range []struct {
		name, method, authorization string

		status    int
		body      string // "": not looked at
		challenge string
	}{
		{"token", "GET", "Bearer " + full, 200, "alice by Bearer\n", ""},
		{"no credential", "GET", "", 401, "", `Bearer realm="api"`},
		{"unknown token", "GET", "Bearer " + full + "x", 401, "", `Bearer realm="api", error="invalid_token"`},
		{"full access has every scope", "POST", "Bearer " + full, 200, "alice by Bearer\n", ""},
		{"without the scope", "POST", "Bearer " + reader, 403, "", `Bearer realm="api", error="insufficient_scope", scope="notes:write"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			req, err := http.NewRequestWithContext(t.Context(), tt.method, srv.URL+"/notes", nil)
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
			require.Equal(t, tt.challenge, resp.Header.Get("WWW-Authenticate"))
			require.Equal(t, []string{"Cookie"}, resp.Header.Values("Vary"))
			require.NotContains(t, string(body), "by Bearer\nalice", "the handler ran twice")
			if tt.body != "" {
				require.Equal(t, tt.body, string(body))
			} else {
				require.NotContains(t, string(body), "alice", "the handler ran")
			}
		})
	}
}
