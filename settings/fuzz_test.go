package settings_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A token has the values that other parsers of the same body read, or is not created.
func FuzzTokenBody(f *testing.F) {
	for _, seed := range []string{
		`{"name": "deploy", "scopes": ["notes:read"], "expires_in": 3600}`, `{"name": "deploy", "scopes": ["*"], "expires_in": null}`,
		`{"name": "a", "name": "b", "scopes": ["*"], "expires_in": 1}`, `{"NAME": "a", "scopes": ["*"], "expires_in": 1}`,
		`{"name": "a\u0000", "scopes": ["*"], "expires_in": 1}`, "{\"name\": \"\xff\", \"scopes\": [\"*\"], \"expires_in\": 1}",
		`{"name": "\ud800", "scopes": ["*"], "expires_in": 1e3}`, `[]`, `{`, `{}{}`, ``, `{"name": {"name": "x"}}`,
		`{"name": "a", "scopes": ["notes:read", "notes:read"], "expires_in": 9223372036}`,
	} {
		f.Add(seed)
	}
	ada := newService(f).signIn("ada")
	f.Fuzz(func(t *testing.T, body string) {
		ada.t = t
		got := ada.json("POST", "/api/tokens", body)
		if got.Code != http.StatusCreated {
			require.Contains(t, []int{http.StatusBadRequest, http.StatusRequestEntityTooLarge}, got.Code, got.Body)
			require.Empty(t, ada.tokens())
			return
		}
		var seen struct {
			Name    string   `json:"name"`
			Scopes  []string `json:"scopes"`
			Expires *int64   `json:"expires_in"`
		}
		require.NoError(t, json.Unmarshal([]byte(body), &seen))
		made := ada.tokens()
		require.Len(t, made, 1)
		require.Equal(t, seen.Name, made[0].Name)
		for _, scope := range seen.Scopes {
			require.True(t, made[0].Scopes.Has(scope))
		}
		require.Equal(t, seen.Expires == nil, made[0].ExpiresAt.IsZero())
		require.NoError(t, ada.bearer.Revoke(t.Context(), "ada", made[0].ID))
		_, err := ada.store.Purge(t.Context(), time.Now().Add(time.Second))
		require.NoError(t, err)
	})
}

// No path redirects out of the mount, or causes an internal error.
func FuzzPaths(f *testing.F) {
	for _, seed := range []string{"/", "", "//evil.example", "/tokens/%2f%2e%2e/revoke", "/sessions/a%00b/end", "/?done=token_revoked", "/?page=9&page=1", "/api/tokens/%ff", "/secret/previous/../revoke", "/\\evil", "%2f%2e%2c", "/tokens%2f/"} {
		f.Add(seed)
	}
	ada := newService(f).signIn("ada")
	ada.Handler = http.StripPrefix(mount, ada.settings)
	f.Fuzz(func(t *testing.T, path string) {
		ada.t = t
		r, err := http.NewRequest("GET", origin+mount+path, nil)
		if path != "" && !strings.ContainsAny(path[:1], "/?#") {
			t.Skip() // not under the mount: see mount.check
		}
		if err != nil || !strings.HasPrefix(r.URL.EscapedPath(), mount) || r.URL.Host != "api.example.com" {
			t.Skip()
		}
		got := ada.get("/", func(req *http.Request) { req.URL, req.RequestURI = r.URL, r.URL.RequestURI() })
		require.Less(t, got.Code, 500)
		if location := got.Header().Get("Location"); location != "" {
			to, err := r.URL.Parse(location)
			require.NoError(t, err)
			require.Equal(t, "api.example.com", to.Host)
			require.True(t, strings.HasPrefix(to.Path, mount+"/"), location)
		}
	})
}
