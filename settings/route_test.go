package settings_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPage_securityHeaders(t *testing.T) {
	t.Parallel()
	ada := newPopulatedUser(t, newService(t), "ada")
	for _, e := range ada.pages {
		if e.method != "GET" {
			continue
		}
		got := ada.get(e.path)
		text := got.page(http.StatusOK)
		h := got.Header()
		require.Equal(t, "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'", h.Get("Content-Security-Policy"))
		require.Equal(t, "same-origin", h.Get("Cross-Origin-Opener-Policy"))
		require.Equal(t, "same-origin", h.Get("Referrer-Policy"))
		require.Equal(t, "DENY", h.Get("X-Frame-Options"))
		require.NotRegexp(t, `<script>|<style|\sstyle="|\son[a-z]+="|javascript:`, text, "nothing inline")
		require.NotContains(t, text, ada.token)
		require.NotContains(t, text, ada.secret)
		require.Equal(t, 1, strings.Count(text, "<h1>"), e.path)
	}
}

func TestRoute_unknownMethodsAndPaths(t *testing.T) {
	t.Parallel()
	ada := newService(t).signIn("ada")
	require.Equal(t, "GET, HEAD", ada.do("POST", "/", "").Header().Get("Allow"))
	ada.do("POST", "/", "").page(http.StatusMethodNotAllowed, "This page does not support that action.")
	ada.json("PUT", "/api/tokens", "{}").problem(http.StatusMethodNotAllowed, "method_not_allowed")
	require.Equal(t, "DELETE, GET, HEAD, POST", ada.json("PUT", "/api/tokens", "{}").Header().Get("Allow"))
	ada.get("/api/nothing").problem(http.StatusNotFound, "not_found")
	ada.get("/nothing").page(http.StatusNotFound)
	// If no router has cleaned the path, the handler must not redirect out of the mount.
	ada.Handler = http.StripPrefix(mount, ada.settings)
	for _, path := range []string{"//", "/./", "/tokens/../secret", "/%2e%2e/", "/%2f", "//tokens", "/tokens//new", "/secret/"} {
		require.Equal(t, http.StatusNotFound, ada.get(path).Code, path)
	}
	require.Equal(t, http.StatusOK, ada.do("HEAD", "/", "").Code)
	require.Empty(t, ada.do("HEAD", "/", "").Body.String())
	require.Equal(t, http.StatusMethodNotAllowed, ada.do("POST", "/style.css", "").Code)
}

// Relative links need the slash at the end of the mount.
func TestRoute_addsSlash(t *testing.T) {
	t.Parallel()
	s := newService(t)
	w := httptest.NewRecorder()
	http.StripPrefix("/a/settings", s.settings).ServeHTTP(w, httptest.NewRequest("GET", "/a/settings", nil))
	require.Equal(t, http.StatusSeeOther, w.Code)
	to, err := (&url.URL{Path: "/a/settings"}).Parse(w.Header().Get("Location"))
	require.NoError(t, err)
	require.Equal(t, "/a/settings/", to.Path)
}
