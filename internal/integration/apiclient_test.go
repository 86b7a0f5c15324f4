package integration_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/settings"
)

// A client whose types were generated from the OpenAPI document works with the API. The step
// openapi of .ci/run compiles it, and sets AUTH_TEST_API_CLIENT to its path.
func TestAPIClient_typeScript(t *testing.T) {
	t.Parallel()
	client := os.Getenv("AUTH_TEST_API_CLIENT")
	if client == "" {
		t.Skip("AUTH_TEST_API_CLIENT is not set: run .ci/run openapi")
	}
	store := auth.NewMemoryStore()
	bearer, err := auth.NewBearer(store, auth.BearerConfig{Prefix: "acme_pat", Scopes: []string{"notes:read"}})
	require.NoError(t, err)
	cookie, err := auth.NewCookie(store, auth.CookieConfig{Keys: auth.Keys{[]byte("one key of 32 bytes, of which 1.0")}})
	require.NoError(t, err)
	h, err := settings.New(settings.Config{
		Bearer: bearer, Cookie: cookie, SignInPath: "/signin", MetadataKeys: []settings.MetadataKey{{Key: "team", Label: "Team"}},
	})
	require.NoError(t, err)
	srv := httptest.NewServer(http.StripPrefix("/settings", h))
	defer srv.Close()
	w := httptest.NewRecorder()
	_, err = cookie.SignIn(w, httptest.NewRequest("POST", "/signin", nil), "ada", auth.SessionOptions{})
	require.NoError(t, err)

	cmd := exec.CommandContext(t.Context(), "node", client)
	session := w.Result().Cookies()[0]
	cmd.Env = append(os.Environ(), "API_URL="+srv.URL+"/settings/api", "COOKIE="+session.Name+"="+session.Value)
	output, err := cmd.CombinedOutput()
	require.NoError(t, err, string(output))
}
