package main

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

func TestRoutes(t *testing.T) {
	t.Parallel()
	store := auth.NewMemoryStore()
	bearer, err := auth.NewBearer(store, auth.BearerConfig{})
	require.NoError(t, err)
	secret, err := auth.NewSecret(store, auth.SecretConfig{})
	require.NoError(t, err)
	h, err := routes(bearer, secret)
	require.NoError(t, err)
	issue := func(scope string) string {
		token, _, err := bearer.Issue(t.Context(), "alice", auth.TokenOptions{Name: "ci", Scopes: []string{scope}, Lifetime: auth.NoExpiry})
		require.NoError(t, err)
		return token
	}
	client := func(user string) string {
		plaintext, _, err := secret.Issue(t.Context(), user, auth.SecretOptions{Scopes: []string{"introspect"}, Lifetime: auth.NoExpiry})
		require.NoError(t, err)
		return plaintext
	}
	post := func(path, token, user, password string) string {
		r := httptest.NewRequestWithContext(t.Context(), "POST", path, strings.NewReader(url.Values{"token": {token}}.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if user != "" {
			r.SetBasicAuth(user, password)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		require.Equal(t, http.StatusOK, w.Code)
		return w.Body.String()
	}
	token, gateway := issue("reports:read"), client("reports-gateway")
	const inactive = "{\"active\":false}\n"
	require.Contains(t, post("/oauth/introspect", token, "reports-gateway", gateway), `"sub":"alice"`)
	require.Equal(t, inactive, post("/oauth/introspect", issue("notes:read"), "reports-gateway", gateway))
	require.Equal(t, inactive, post("/oauth/introspect", token, "mallory", client("mallory")), "a secret alone entitles to nothing")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/api/", nil))
	_, location, _ := strings.Cut(w.Header().Get("WWW-Authenticate"), `resource_metadata="`)
	w = httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", strings.TrimSuffix(location, `"`), nil))
	require.Contains(t, w.Body.String(), resource)
	w = httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "POST", "/github/leaks", strings.NewReader("[]")))
	require.Equal(t, http.StatusUnauthorized, w.Code, "it is not signed")
	require.Empty(t, post("/oauth/revoke", token, "", ""))
	require.Equal(t, inactive, post("/oauth/introspect", token, "reports-gateway", gateway))
}
