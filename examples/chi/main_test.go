package main

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/go-chi/chi/v5"
	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/examples/internal/exampletest"
)

func TestRequire_chiNotes(t *testing.T) {
	t.Parallel()
	s, err := newService(auth.NewMemoryStore(), exampletest.Keys())
	require.NoError(t, err)
	exampletest.Notes(t, s.routes(), s.bearer)
}

func TestRequire_chiGroups(t *testing.T) {
	t.Parallel()
	s, err := newService(auth.NewMemoryStore(), exampletest.Keys())
	require.NoError(t, err)
	token := exampletest.Issue(t, s.bearer, auth.FullAccess)
	secret, _, err := s.secret.Issue(t.Context(), "alice", auth.SecretOptions{Scopes: []string{auth.FullAccess}, Lifetime: auth.NoExpiry})
	require.NoError(t, err)
	srv := httptest.NewServer(s.routes())
	t.Cleanup(srv.Close)

	for _, tt := range []struct {
		name, method, path, authorization string

		status int
		body   string // if empty, a problem document
	}{
		{"public", "GET", "/healthz", "", 200, "ok\n"},
		{"secret for a group without secrets", "GET", "/notes", "Secret " + secret, 401, ""},
		{"secret", "POST", "/exports", "Secret " + secret, 200, "alice by Secret\n"},
		{"token for a group of secrets", "POST", "/exports", "Bearer " + token, 401, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			resp, body := exampletest.Send(t, http.DefaultClient, tt.method, srv.URL+tt.path, "Authorization", tt.authorization)
			require.Equal(t, tt.status, resp.StatusCode)
			if tt.body == "" {
				require.Equal(t, "application/problem+json", resp.Header.Get("Content-Type"))
				return
			}
			require.Equal(t, tt.body, body)
		})
	}
}

// mountSettings serves Developer Settings under /settings.
func mountSettings(developer http.Handler) http.Handler {
	r := chi.NewRouter()
	r.Mount("/settings", http.StripPrefix("/settings", developer))
	return r
}

func TestSettings_chiMount(t *testing.T) {
	t.Parallel()
	exampletest.Settings(t, mountSettings,
		func(developer http.Handler) http.Handler {
			r := chi.NewRouter()
			r.Mount("/settings", developer)
			return r
		},
		func(developer http.Handler) http.Handler {
			r := chi.NewRouter()
			r.Mount("/settings", http.StripPrefix("/settings/", developer))
			return r
		})
}
