package settings_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth/settings"
)

// document returns the OpenAPI document of the service.
func (s *service) document() map[string]any {
	s.t.Helper()
	return s.do("GET", "/api/openapi.json", "").status(http.StatusOK).object()
}

func TestOpenAPI_describesEveryRoute(t *testing.T) {
	t.Parallel()
	s := newService(t)
	doc := s.document()
	require.Equal(t, "3.1.0", doc["openapi"])
	var described, served []string
	for path, item := range doc["paths"].(map[string]any) {
		for method := range item.(map[string]any) {
			if method != "parameters" {
				described = append(described, strings.ToUpper(method)+" /api"+path)
			}
		}
	}
	ada := newPopulatedUser(t, s, "ada")
	_, api := endpoints("{id}", "{id}", "{id}", "{id}")
	for _, e := range api {
		path, _, _ := strings.Cut(e.path, "?")
		served = append(served, e.method+" "+path)
	}
	require.ElementsMatch(t, served, described)
	// The list of endpoints is complete: no other method of these paths is allowed.
	for _, e := range api {
		path, _, _ := strings.Cut(e.path, "?")
		allowed := ada.do("PUT", path, "").problem(http.StatusMethodNotAllowed, "method_not_allowed").Header().Get("Allow")
		for _, method := range strings.Split(allowed, ", ") {
			if method != "HEAD" {
				require.Contains(t, served, method+" "+path)
			}
		}
	}
}

// Without the option everyone can read the document. With it, it is a part of the API.
func TestOpenAPI_private(t *testing.T) {
	t.Parallel()
	public := newService(t).do("GET", "/api/openapi.json", "").status(http.StatusOK)
	s := newService(t, func(c *configs) { c.settings.PrivateDocument = true })
	ada := s.signIn("ada")
	got := ada.get("/api/openapi.json").status(http.StatusOK)
	require.JSONEq(t, public.Body.String(), got.Body.String())
	require.Equal(t, "private, no-cache", got.Header().Get("Cache-Control"))
	require.Equal(t, "application/json", got.Header().Get("Content-Type"))
	for _, tag := range []string{got.Header().Get("ETag"), public.Header().Get("ETag")} {
		ada.get("/api/openapi.json", field("If-None-Match", tag)).status(http.StatusNotModified)
	}
	s.do("GET", "/api/openapi.json", "").problem(http.StatusUnauthorized, "missing_credential")
	plaintext, _ := ada.token("deploy")
	s.do("GET", "/api/openapi.json", "", field("Authorization", "Bearer "+plaintext)).problem(http.StatusForbidden, "session_required")
	ada.do("POST", "/api/openapi.json", "").problem(http.StatusMethodNotAllowed, "method_not_allowed")
	ada.get("/api/openapi.json?x=1").problem(http.StatusBadRequest, "invalid_argument").fields("x")
}

// The document has the codes, the cookie name and the schemes of the configuration.
func TestOpenAPI_components(t *testing.T) {
	t.Parallel()
	s := newService(t, func(c *configs) { c.cookie.Name = "__Host-acme" })
	components := s.document()["components"].(map[string]any)
	schemes := components["securitySchemes"].(map[string]any)
	require.Len(t, schemes, 1)
	require.Equal(t, "__Host-acme", schemes["cookie"].(map[string]any)["name"])
	codes := components["schemas"].(map[string]any)["Problem"].(map[string]any)["properties"].(map[string]any)["code"].(map[string]any)["enum"]
	for key := range settings.DefaultTexts() {
		if code, found := strings.CutPrefix(key, "problem."); found && !slices.Contains([]string{"title", "heading", "missing", "again", "sign_in", "back", "retry"}, code) {
			require.Contains(t, codes, code)
		}
	}

	text, err := json.Marshal(newService(t, withoutSecrets).document())
	require.NoError(t, err)
	for _, absent := range []string{`"/secret`, `"Secret"`, `"NewSecret"`, `"name":"secret"`} {
		require.NotContains(t, string(text), absent)
	}
}
