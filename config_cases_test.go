package auth_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

// Every fault of a configuration is found when the authenticator is built, and
// the error says which field to change.
func TestBadConfigurations(t *testing.T) {
	t.Parallel()
	store := auth.NewMemoryStore()
	var nilStore *auth.MemoryStore
	cookie := func(change func(*auth.CookieConfig)) func() error {
		return func() error {
			cfg := auth.CookieConfig{Keys: auth.Keys{testKey(1)}}
			change(&cfg)
			_, err := auth.NewCookie(store, cfg)
			return err
		}
	}
	bearer := func(cfg auth.BearerConfig) func() error {
		return func() error { _, err := auth.NewBearer(store, cfg); return err }
	}
	secret := func(cfg auth.SecretConfig) func() error {
		return func() error { _, err := auth.NewSecret(store, cfg); return err }
	}
	origins := func(o ...string) func() error {
		return cookie(func(c *auth.CookieConfig) { c.TrustedOrigins = o })
	}
	tests := []struct {
		name  string
		build func() error
		want  string // in the error; "" if it is fine
	}{
		{"no store", func() error { _, err := auth.NewBearer(nil, auth.BearerConfig{}); return err }, "store is nil"},
		{"a nil store", func() error {
			_, err := auth.NewCookie(nilStore, auth.CookieConfig{Keys: auth.Keys{testKey(1)}})
			return err
		}, "store is nil"},
		{"a nil store for secrets", func() error { _, err := auth.NewSecret(nilStore, auth.SecretConfig{}); return err }, "store is nil"},

		{"the longest prefix", bearer(auth.BearerConfig{Prefix: repeated("a", 16)}), ""},
		{"a long prefix", bearer(auth.BearerConfig{Prefix: repeated("a", 17)}), "BearerConfig.Prefix"},
		{"a prefix with a dash", bearer(auth.BearerConfig{Prefix: "a-b"}), "BearerConfig.Prefix"},
		{"a prefix outside ASCII", secret(auth.SecretConfig{Prefix: "é"}), "SecretConfig.Prefix"},
		{"accept imported without a prefix", bearer(auth.BearerConfig{AcceptImported: true}), ""},
		{"negative lifetime", bearer(auth.BearerConfig{MaxLifetime: -1}), "BearerConfig.MaxLifetime"},
		{"lifetime under a minute", bearer(auth.BearerConfig{MaxLifetime: time.Minute - 1}), "BearerConfig.MaxLifetime"},
		{"a grace period over every lifetime", bearer(auth.BearerConfig{MaxLifetime: time.Hour, MaxOverlap: 2 * time.Hour}), "BearerConfig.MaxOverlap: has no effect"},
		{"the default grace period over every lifetime", bearer(auth.BearerConfig{MaxLifetime: time.Hour}), ""},
		{"negative overlap", bearer(auth.BearerConfig{MaxOverlap: -1}), "BearerConfig.MaxOverlap"},
		{"negative overlap of secrets", secret(auth.SecretConfig{MaxOverlap: -1}), "SecretConfig.MaxOverlap"},
		{"negative limit", bearer(auth.BearerConfig{MaxPerUser: -1}), "BearerConfig.MaxPerUser"},
		{"no scopes exist", bearer(auth.BearerConfig{Scopes: []string{}}), "BearerConfig.Scopes"},
		{"a scope with a space", bearer(auth.BearerConfig{Scopes: []string{"a b"}}), "BearerConfig.Scopes"},
		{"the wildcard as a scope", bearer(auth.BearerConfig{Scopes: []string{"*"}}), "BearerConfig.Scopes"},
		{"a short reveal key", secret(auth.SecretConfig{RevealKeys: auth.Keys{make([]byte, 31)}}), "SecretConfig.RevealKeys: key 0"},

		{"no key", cookie(func(c *auth.CookieConfig) { c.Keys = nil }), "CookieConfig.Keys"},
		{"a key of no bytes", cookie(func(c *auth.CookieConfig) { c.Keys = auth.Keys{nil} }), "CookieConfig.Keys: key 0 has 0 bytes"},
		{"a key of 31 bytes", cookie(func(c *auth.CookieConfig) { c.Keys = auth.Keys{testKey(1), testKey(2)[:31]} }), "key 1 has 31 bytes"},
		{"a key of one byte repeated", cookie(func(c *auth.CookieConfig) { c.Keys = auth.Keys{make([]byte, 32)} }), "one byte repeated"},
		{"equal keys", cookie(func(c *auth.CookieConfig) { c.Keys = auth.Keys{testKey(1), testKey(2), testKey(1)} }), "keys 0 and 2 are equal"},
		{"a long key", cookie(func(c *auth.CookieConfig) { c.Keys = auth.Keys{append(testKey(1), testKey(2)...)} }), ""},
		{"None without trusted origins", cookie(func(c *auth.CookieConfig) { c.SameSite = http.SameSiteNoneMode }), "CookieConfig.TrustedOrigins"},
		{"None without https", cookie(func(c *auth.CookieConfig) {
			c.SameSite, c.Insecure, c.TrustedOrigins = http.SameSiteNoneMode, true, []string{"https://a.example"}
		}), "CookieConfig.SameSite"},
		{"unknown SameSite", cookie(func(c *auth.CookieConfig) { c.SameSite = 9 }), "CookieConfig.SameSite"},
		{"partitioned without https", cookie(func(c *auth.CookieConfig) { c.Partitioned, c.Insecure = true, true }), "CookieConfig.Partitioned"},
		{"a domain with a __Host- name", cookie(func(c *auth.CookieConfig) { c.Name, c.Domain = "__Host-a", "example.com" }), "CookieConfig.Name"},
		{"a path with a __Host- name", cookie(func(c *auth.CookieConfig) { c.Name, c.Path = "__host-a", "/api" }), "CookieConfig.Name"},
		{"insecure with a __Host- name", cookie(func(c *auth.CookieConfig) { c.Name, c.Insecure = "__Host-a", true }), "CookieConfig.Name"},
		{"insecure with a __Secure- name", cookie(func(c *auth.CookieConfig) { c.Name, c.Insecure = "__SECURE-a", true }), "CookieConfig.Name"},
		{"a __Secure- name", cookie(func(c *auth.CookieConfig) { c.Name, c.Domain = "__Secure-a", "example.com" }), ""},
		{"a name with a space", cookie(func(c *auth.CookieConfig) { c.Name = "a b" }), "CookieConfig.Name"},
		{"a name with a line break", cookie(func(c *auth.CookieConfig) { c.Name = "a\r\nb" }), "CookieConfig.Name"},
		{"a name that fills the cookie", cookie(func(c *auth.CookieConfig) { c.Name = repeated("a", 4000) }), "CookieConfig.Name"},
		{"a relative path", cookie(func(c *auth.CookieConfig) { c.Path = "api" }), "CookieConfig.Path"},
		{"a path with a semicolon", cookie(func(c *auth.CookieConfig) { c.Path = "/a;b" }), "Path"},
		{"a long path", cookie(func(c *auth.CookieConfig) { c.Path = "/" + repeated("a", 1024) }), "CookieConfig.Path"},
		{"a bad domain", cookie(func(c *auth.CookieConfig) { c.Domain = "exa mple.com" }), "Domain"},
		{"a domain with a port", cookie(func(c *auth.CookieConfig) { c.Domain = "example.com:443" }), "Domain"},
		{"negative cookie lifetime", cookie(func(c *auth.CookieConfig) { c.Lifetime = -time.Second }), "CookieConfig.Lifetime"},
		{"over 400 days", cookie(func(c *auth.CookieConfig) { c.Lifetime = 400*24*time.Hour + 1 }), "CookieConfig.Lifetime"},
		{"idle under 2 minutes", cookie(func(c *auth.CookieConfig) { c.IdleTimeout = 2*time.Minute - 1 }), "CookieConfig.IdleTimeout"},
		{"negative idle", cookie(func(c *auth.CookieConfig) { c.IdleTimeout = -1 }), "CookieConfig.IdleTimeout"},
		{"idle of 2 minutes", cookie(func(c *auth.CookieConfig) { c.IdleTimeout = 2 * time.Minute }), ""},
		{"idle as long as the lifetime", cookie(func(c *auth.CookieConfig) { c.Lifetime, c.IdleTimeout = time.Hour, time.Hour }), "has no effect"},
		{"idle longer than the default lifetime", cookie(func(c *auth.CookieConfig) { c.IdleTimeout = 8 * 24 * time.Hour }), "has no effect"},
		{"partitioned without None", cookie(func(c *auth.CookieConfig) { c.Partitioned = true }), "has no effect"},
		{"negative session limit", cookie(func(c *auth.CookieConfig) { c.MaxPerUser = -1 }), "CookieConfig.MaxPerUser"},

		{"origins", origins("https://a.example", "https://a.example:8443", "http://localhost:3000", "http://127.0.0.1:3000", "http://[::1]:3000", "https://xn--bcher-kva.example"), ""},
		{"a wildcard", origins("https://*.example.com"), "wildcard"},
		{"every origin", origins("*"), "wildcard"},
		{"the null origin", origins("null"), "TrustedOrigins"},
		{"an empty origin", origins(""), "TrustedOrigins"},
		{"no scheme", origins("a.example"), "TrustedOrigins"},
		{"another scheme", origins("ftp://a.example"), "TrustedOrigins"},
		{"plain http", origins("http://a.example"), "https origin"},
		{"a trailing slash", origins("https://a.example/"), "nothing else"},
		{"a query", origins("https://a.example?"), "nothing else"},
		{"a fragment", origins("https://a.example#"), "nothing else"},
		{"userinfo", origins("https://u@a.example"), "nothing else"},
		{"capitals", origins("https://A.example"), "lower case"},
		{"not Punycode", origins("https://bücher.example"), "Punycode"},
		{"the default port", origins("https://a.example:443"), "default port"},
		{"an empty port", origins("https://a.example:"), "default port"},
		{"two in one", origins("https://a.example https://b.example"), "TrustedOrigins"},
		{"one good, one bad", origins("https://a.example", "b"), `"b"`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			err := test.build()
			if test.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, test.want)
		})
	}
	t.Run("all faults at once", func(t *testing.T) {
		_, err := auth.NewCookie(nil, auth.CookieConfig{Path: "x", MaxPerUser: -1, IdleTimeout: -1})
		for _, want := range []string{"store", "Keys", "Path", "MaxPerUser", "IdleTimeout"} {
			require.ErrorContains(t, err, want)
		}
		require.NotContains(t, err.Error(), string(testKey(1)))
	})
}

func TestConfigurationIsCopied(t *testing.T) {
	t.Parallel()
	scopes, trusted := []string{"read"}, []string{"https://ok.example"}
	f := newFixture(t, func(c *configs) { c.bearer.Scopes, c.cookie.TrustedOrigins = scopes, trusted })
	scopes[0], trusted[0] = "admin", "https://evil.example"
	_, _, err := f.bearer.Issue(t.Context(), "ada", auth.TokenOptions{Name: "x", Scopes: []string{"admin"}, Lifetime: auth.NoExpiry})
	require.ErrorIs(t, err, auth.ErrInvalidArgument)
	require.ErrorIs(t, f.cookie.CheckOrigin(request("POST", field("Origin", "https://evil.example"))), auth.ErrCrossOrigin)
	f.bearer.Policy().Scopes[0] = "admin"
	require.Equal(t, []string{"read"}, f.bearer.Policy().Scopes)
}

func TestPolicy(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(c *configs) {
		c.bearer = auth.BearerConfig{Prefix: "p", AcceptImported: true, Scopes: []string{"a"}, MaxLifetime: time.Hour, MaxPerUser: 3}
	})
	require.Equal(t, auth.BearerPolicy{Prefix: "p", AcceptImported: true, Scopes: []string{"a"}, MaxLifetime: time.Hour, MaxOverlap: 7 * 24 * time.Hour, MaxPerUser: 3}, f.bearer.Policy())
	require.Nil(t, newFixture(t).bearer.Policy().Scopes)
}

func TestEqualKeysAreNamed(t *testing.T) {
	t.Parallel()
	_, err := auth.NewCookie(auth.NewMemoryStore(), auth.CookieConfig{Keys: auth.Keys{testKey(1), testKey(2), testKey(2)}})
	require.ErrorContains(t, err, "keys 1 and 2 are equal")
}
