package settings_test

import (
	"math"
	"net/http"
	"regexp"
	"strconv"
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

// The accent for dark colors is derived from the other, and as light as a control must be on a
// dark card.
func TestConfig_accentDark(t *testing.T) {
	t.Parallel()
	card := regexp.MustCompile(`(?s)dark\).*?--card: (#[0-9a-f]{6})`)
	dark := regexp.MustCompile(`(?s)dark\).*?--accent: (#[0-9a-fA-F]{6});\s+--on-accent: (#[0-9a-f]{6})`)
	for accent, want := range map[string]string{
		"#0b57d0": "", "#000000": "", "#7a1fa2": "", "#0000ff": "", "#1b1f24": "",
		"#ffcc00": "#ffcc00", "#ffffff": "#ffffff", // light enough
	} {
		s := newService(t, func(c *configs) { c.settings.Accent = accent })
		style := s.do("GET", "/style.css", "").Body.String()
		found := dark.FindStringSubmatch(style)
		require.NotNil(t, found)
		require.GreaterOrEqual(t, contrast(t, found[1], card.FindStringSubmatch(style)[1]), 3.0, accent)
		require.GreaterOrEqual(t, contrast(t, found[1], found[2]), 4.5, accent)
		if want != "" {
			require.Equal(t, want, found[1])
		}
	}
	s := newService(t, func(c *configs) { c.settings.AccentDark = "#123456" })
	require.Equal(t, "#123456", dark.FindStringSubmatch(s.do("GET", "/style.css", "").Body.String())[1])
}

// contrast is the contrast ratio of WCAG 2.2.
func contrast(t *testing.T, a, b string) float64 {
	t.Helper()
	luminance := func(color string) (sum float64) {
		for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
			v, err := strconv.ParseUint(color[1+2*i:3+2*i], 16, 8)
			require.NoError(t, err)
			if c := float64(v) / 255; c <= 0.04045 {
				sum += weight * c / 12.92
			} else {
				sum += weight * math.Pow((c+0.055)/1.055, 2.4)
			}
		}
		return sum
	}
	lighter, darker := luminance(a)+0.05, luminance(b)+0.05
	return max(lighter, darker) / min(lighter, darker)
}
