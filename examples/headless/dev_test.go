package main

import (
	"bufio"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth/examples/internal/exampletest"
)

// The development server passes requests on as those of the page's own origin, with its Host, so
// that the API needs neither CORS nor TrustedOrigins.
func TestDevelopmentServer(t *testing.T) {
	t.Parallel()
	ui := filepath.Dir(builtUI(t)) // with node_modules, unless only the build was kept
	if _, err := os.Stat(filepath.Join(ui, "node_modules", "vite")); err != nil {
		const missing = "Vite is not installed: run make headless"
		if os.Getenv("CI") == "true" {
			t.Fatal(missing)
		}
		t.Skip(missing)
	}
	s, err := newService(newStore(), exampletest.Keys(), map[string]string{"ada": password}, deployment{}, time.Minute)
	require.NoError(t, err)
	var hosts sync.Map
	routes := s.routes(http.NotFoundHandler())
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hosts.Store(r.Host, true)
		routes.ServeHTTP(w, r)
	}))
	t.Cleanup(api.Close)

	c := &client{url: startVite(t, ui, api.URL)}
	signIn := func(origin, site string) (*http.Response, string) {
		return c.send(t, "POST", "/api/session", `{"name": "ada", "password": "`+password+`"}`, "Origin", origin, "Sec-Fetch-Site", site)
	}
	res, body := signIn(c.url, "same-origin")
	require.Equal(t, http.StatusOK, res.StatusCode, body)
	require.NotEmpty(t, res.Cookies())
	res, body = signIn("https://evil.test", "cross-site")
	require.Equal(t, http.StatusForbidden, res.StatusCode)
	require.Contains(t, body, "cross_origin")
	res, body = c.send(t, "GET", "/settings/api/openapi.json", "")
	require.Equal(t, http.StatusOK, res.StatusCode)
	require.Contains(t, body, "Developer Settings")
	hosts.Range(func(host, _ any) bool { return assert.Equal(t, c.url, "http://"+host.(string)) })
}

// startVite returns the origin on which Vite serves the sources in ui.
func startVite(t *testing.T, ui, api string) string {
	t.Helper()
	vite := exec.CommandContext(t.Context(), "node", filepath.Join("node_modules", "vite", "bin", "vite.js"), "--host", "127.0.0.1", "--port", "0")
	vite.Dir, vite.Env = ui, append(os.Environ(), "API="+api, "NO_COLOR=1")
	vite.WaitDelay = time.Second
	output, err := vite.StdoutPipe()
	require.NoError(t, err)
	vite.Stderr = os.Stderr
	require.NoError(t, vite.Start())
	t.Cleanup(func() {
		_ = vite.Process.Kill()
		_ = vite.Wait() // it was killed
	})
	local := regexp.MustCompile(`http://127\.0\.0\.1:[1-9]\d*`)
	for lines := bufio.NewScanner(output); lines.Scan(); {
		if origin := local.FindString(lines.Text()); origin != "" {
			return origin
		}
	}
	t.Fatal("Vite did not say where it listens")
	return ""
}
