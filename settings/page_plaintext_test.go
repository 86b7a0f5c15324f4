package settings_test

import (
	"html"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

// The command has the address at which the browser reaches the service.
func TestPlaintextPage_curlOrigin(t *testing.T) {
	t.Parallel()
	const internal, trusted = "10.0.0.7:8080", "https://ui.example.com"
	host := func(host string) edit { return func(r *http.Request) { r.Host = host } }
	plain := func(r *http.Request) { r.TLS = nil }
	for name, test := range map[string]struct {
		edits []edit
		want  string
	}{
		"direct":                                {nil, origin},
		"behind TLS termination":                {[]edit{plain}, origin},
		"behind a proxy that changes the host":  {[]edit{plain, host(internal)}, origin},
		"an old browser":                        {[]edit{plain, without("Sec-Fetch-Site")}, origin},
		"an old browser, the proxy's origin":    {[]edit{plain, host(internal), without("Sec-Fetch-Site"), field("Origin", trusted)}, trusted},
		"a form of another trusted origin":      {[]edit{plain, field("Origin", trusted), field("Sec-Fetch-Site", "same-site")}, origin},
		"without an Origin":                     {[]edit{plain, without("Origin"), without("Sec-Fetch-Site")}, origin},
		"an opaque Origin":                      {[]edit{plain, field("Origin", "null")}, origin},
		"development":                           {[]edit{plain, host("localhost:8080"), without("Origin")}, "http://localhost:8080"},
		"development, by address":               {[]edit{plain, host("[::1]:8080"), without("Origin")}, "http://[::1]:8080"},
		"development, the browser's origin":     {[]edit{plain, field("Origin", "http://127.0.0.1:8080")}, "http://127.0.0.1:8080"},
		"development with TLS":                  {[]edit{host("localhost:8443"), without("Origin")}, "https://localhost:8443"},
		"a host that only looks like loopback":  {[]edit{plain, host("localhost.example.com"), without("Origin")}, "https://localhost.example.com"},
		"a quote in the host, from no browser":  {[]edit{without("Origin"), host("x';touch y;'")}, `https://x'\'';touch y;'\''`},
		"a path in the Origin, from no browser": {[]edit{field("Origin", "https://evil.example/?")}, origin},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ada := newService(t, withExamples, func(c *configs) { c.cookie.TrustedOrigins = []string{trusted} }).signIn("ada")
			page := ada.post("/tokens", newToken(ada.get("/tokens/new").page(http.StatusOK)), test.edits...).page(http.StatusOK)
			curl := html.UnescapeString(between(t, page, "curl -H ", "</output>"))
			require.Equal(t, "'Authorization: Bearer "+plaintext(page)+"' '"+test.want+"/token'", curl)
		})
	}
}

func withExamples(c *configs) {
	c.settings.TokenExampleURL, c.settings.SecretExampleURL = "/token", "/secret"
}

// Each scheme has its own example: one that accepts tokens rejects client secrets.
func TestPlaintextPage_curlOfEachScheme(t *testing.T) {
	t.Parallel()
	commands := func(change ...func(*configs)) (token, secret string) {
		s := newService(t, change...)
		h := newPopulatedUser(t, s, "ada")
		token = h.post("/tokens", newToken(h.get("/tokens/new").page(http.StatusOK))).page(http.StatusOK, `id="plaintext"`)
		secret = h.post("/secret/reveal", map[string][]string{"id": {h.secretID}}).page(http.StatusOK, `id="plaintext"`)
		return html.UnescapeString(token), html.UnescapeString(secret)
	}
	token, secret := commands(withExamples)
	require.Contains(t, token, "' '"+origin+"/token'")
	require.Contains(t, secret, "curl -H 'Authorization: Secret "+plaintext(secret)+"' '"+origin+"/secret'")
	token, secret = commands(func(c *configs) { c.settings.SecretExampleURL = "https://api.example.org/usage" })
	require.NotContains(t, token, "curl", "without an example there is no command")
	require.Contains(t, secret, "' 'https://api.example.org/usage'")
	token, secret = commands()
	require.NotContains(t, token+secret, "curl")
}
