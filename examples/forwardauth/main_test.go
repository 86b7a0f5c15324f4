package main

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/endpoint"
)

func TestRoutes(t *testing.T) {
	t.Parallel()
	bearer, err := auth.NewBearer(auth.NewMemoryStore(), auth.BearerConfig{Prefix: "acme_pat"})
	require.NoError(t, err)
	h, err := routes(endpoint.ProxyCaddy, auth.Middleware{}, bearer)
	require.NoError(t, err)
	token, _, err := bearer.Issue(t.Context(), "alice", auth.TokenOptions{
		Name: "ci", Scopes: []string{auth.FullAccess}, Lifetime: auth.NoExpiry, Metadata: map[string]string{"tenant": "acme"},
		Networks: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")},
	})
	require.NoError(t, err)
	ask := func(client, token string) *httptest.ResponseRecorder {
		w, r := httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), "GET", "/forward-auth", nil)
		r.Header = http.Header{
			"Authorization": {"Bearer " + token}, "X-Forwarded-For": {client}, "X-Forwarded-Method": {"POST"}, "X-Forwarded-Proto": {"https"},
			"X-Forwarded-Host": {"app.example"}, "X-Forwarded-Uri": {"/notes"},
		}
		h.ServeHTTP(w, r)
		return w
	}
	w := ask("192.0.2.1", token)
	require.Equal(t, http.StatusOK, w.Code)
	require.Equal(t, "alice", w.Header().Get("X-Auth-User"))
	require.Equal(t, "acme", w.Header().Get("X-Auth-Tenant"))
	require.Equal(t, http.StatusUnauthorized, ask("198.51.100.1", token).Code)
	require.Equal(t, http.StatusUnauthorized, ask("192.0.2.1", "x").Code)
}

func TestRoutes_unknownProxy(t *testing.T) {
	t.Parallel()
	_, err := routes("apache", auth.Middleware{}, nil)
	require.ErrorContains(t, err, "Proxy")
}
