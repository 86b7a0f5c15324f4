package main

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRoutes(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	ada := d.signedIn(t, "ada")
	for _, row := range []struct {
		method, path string
		status       int
	}{
		{"GET", "/healthz", http.StatusOK},
		{"GET", "/style.css", http.StatusOK},
		{"GET", "/absent", http.StatusNotFound},
		{"GET", "/profile/", http.StatusNotFound},
		{"GET", "/api/v1/", http.StatusNotFound},
		{"GET", "/templates/profile.html", http.StatusNotFound},
		{"POST", "/", http.StatusMethodNotAllowed},
		{"GET", "/signin", http.StatusSeeOther},
		{"GET", "/signout", http.StatusSeeOther},
		{"POST", "/profile", http.StatusMethodNotAllowed},
		{"PUT", "/signin", http.StatusMethodNotAllowed},
		{"PUT", "/api/v1/notes", http.StatusMethodNotAllowed},
		{"GET", "/api/v1/notes/1", http.StatusMethodNotAllowed},
		{"POST", "/api/v1/usage", http.StatusMethodNotAllowed},
		{"get", "/api/v1/me", http.StatusMethodNotAllowed},
	} {
		res := ada.do(row.method, row.path, "")
		require.Equal(t, row.status, res.status, "%s %s", row.method, row.path)
		if row.status == http.StatusMethodNotAllowed {
			require.NotEmpty(t, res.header.Get("Allow"), "%s %s", row.method, row.path)
		}
	}
	require.Equal(t, http.StatusOK, ada.get("/profile").status, "still signed in")
}

// HEAD gets the response to GET without the body.
func TestRoutes_head(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	byToken := []string{"Authorization", "Bearer " + d.Token}
	for path, header := range map[string][]string{
		"/":             nil,
		"/style.css":    nil,
		"/healthz":      nil,
		"/profile":      nil,
		"/api/v1/me":    byToken,
		"/api/v1/notes": byToken,
		"/api/v1/usage": byToken,
		"/absent":       nil,
	} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			get := d.client(t).do(http.MethodGet, path, "", header...)
			head := d.client(t).do(http.MethodHead, path, "", header...)
			require.Empty(t, head.body)
			require.Equal(t, get.status, head.status)
			for _, name := range []string{"Content-Type", "Cache-Control", "Vary", "WWW-Authenticate", "Location"} {
				require.Equal(t, get.header.Values(name), head.header.Values(name), name)
			}
		})
	}
}

func TestRoutes_securityHeaders(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	ada := d.signedIn(t, "ada")
	for _, path := range []string{"/", "/profile", "/style.css", "/api/v1/me", "/api/v1/usage", "/absent"} {
		h := ada.get(path).header
		require.Equal(t, "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
			h.Get("Content-Security-Policy"), path)
		require.Equal(t, "nosniff", h.Get("X-Content-Type-Options"), path)
		require.Equal(t, "same-origin", h.Get("Referrer-Policy"), path)
	}
	require.Equal(t, "text/css; charset=utf-8", ada.get("/style.css").header.Get("Content-Type"))
	require.Contains(t, ada.get("/profile").header.Values("Vary"), "Cookie")
}
