package settings_test

import (
	"html"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

// The command has the address that the browser uses for the service, which may be behind
// a proxy. It is not that of the page that sent the form.
func TestPlaintextPage_curl(t *testing.T) {
	t.Parallel()
	const trusted = "https://ui.example.com"
	ada := newService(t, func(c *configs) { c.cookie.TrustedOrigins = []string{trusted} }).signIn("ada")
	curl := func(edits ...edit) string {
		page := ada.post("/tokens", newToken(ada.get("/tokens/new").page(http.StatusOK)), edits...).page(http.StatusOK)
		return html.UnescapeString(between(t, page, "curl -H ", "</textarea>"))
	}
	insecure := func(r *http.Request) { r.TLS = nil }
	require.Contains(t, curl(), " 'https://api.example.com/'")
	require.Contains(t, curl(insecure), " 'https://api.example.com/'", "behind a proxy that terminates TLS")
	require.Contains(t, curl(field("Origin", trusted), field("Sec-Fetch-Site", "same-site")), " 'https://api.example.com/'")
	require.Contains(t, curl(insecure, without("Origin")), " 'http://api.example.com/'")
	odd := curl(without("Origin"), func(r *http.Request) { r.Host = "x';touch y;'" })
	require.Contains(t, odd, ` 'https://x'\'';touch y;'\''/'`)
}
