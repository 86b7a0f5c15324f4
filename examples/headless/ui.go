package main

import (
	"bytes"
	"html"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
)

// notBuilt is the page until the user interface is built.
const notBuilt = `<!DOCTYPE html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Notes</title>
<h1>The user interface is not built</h1>
<p>Stop the service and run <code>make headless</code>, which needs <code>npm</code>. The API is at <a href="/api/openapi.json">/api</a>.</p>
</html>
`

// apiOriginPlaceholder is in the page as it was built. A server of static files replaces it once,
// when the files are deployed.
const apiOriginPlaceholder = `<meta name="api-origin" content="">`

func isBuilt(dist string) bool {
	_, err := os.Stat(filepath.Join(dist, "index.html"))
	return err == nil
}

// newUI serves the built user interface, which then uses the API on apiOrigin: on its own origin,
// if that is empty.
func newUI(dist, apiOrigin string) http.Handler {
	files := http.FileServer(http.Dir(dist))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", strings.TrimSpace("default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "+
			"frame-ancestors 'none'; base-uri 'none'; form-action 'none'; connect-src 'self' "+apiOrigin))
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		switch {
		case r.URL.Path == "/":
			serveIndex(w, dist, apiOrigin)
		case strings.HasPrefix(r.URL.Path, "/assets/"):
			h.Set("Cache-Control", "public, max-age=31536000, immutable") // their names have a hash
			files.ServeHTTP(w, r)
		default:
			files.ServeHTTP(w, r)
		}
	})
}

func serveIndex(w http.ResponseWriter, dist, apiOrigin string) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-cache")
	page, err := os.ReadFile(filepath.Join(dist, "index.html"))
	if err != nil {
		w.WriteHeader(http.StatusNotFound)
		io.WriteString(w, notBuilt)
		return
	}
	filled := strings.Replace(apiOriginPlaceholder, `""`, `"`+html.EscapeString(apiOrigin)+`"`, 1)
	w.Write(bytes.Replace(page, []byte(apiOriginPlaceholder), []byte(filled), 1))
}
