package settings_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAssets_withoutSignIn(t *testing.T) {
	t.Parallel()
	s := newService(t)
	page := s.signIn("ada").get("/").page(http.StatusOK)
	for _, asset := range []struct{ path, contentType string }{
		{"style.css", "text/css; charset=utf-8"}, {"script.js", "text/javascript; charset=utf-8"},
	} {
		version := between(t, page, `"./`+asset.path, `"`)
		require.Regexp(t, `^\?v=[0-9a-f]{12}$`, version)
		got := s.do("GET", "/"+asset.path+version, "").status(http.StatusOK)
		require.Equal(t, asset.contentType, got.Header().Get("Content-Type"))
		require.Contains(t, got.Header().Get("Cache-Control"), "public")
	}
	require.Contains(t, s.do("GET", "/style.css", "").Body.String(), "--accent: #0b57d0;\n  --on-accent: #ffffff;")
	_, other, _ := strings.Cut(newService(t, func(c *configs) { c.settings.Accent = "#ffcc00" }).signIn("ada").get("/").Body.String(), "style.css")
	_, mine, _ := strings.Cut(page, "style.css")
	require.NotEqual(t, mine[:16], other[:16], "the version depends on the accent")
	light := newService(t, func(c *configs) { c.settings.Accent = "#ffcc00" })
	require.Contains(t, light.do("GET", "/style.css", "").Body.String(), "--on-accent: #000000;")
}
