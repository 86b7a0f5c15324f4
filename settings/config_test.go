package settings_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/settings"
)

// invalidConfigs change a valid Config.
var invalidConfigs = []struct {
	name   string
	change func(*settings.Config)
	want   []string
}{
	{"zero Config", func(c *settings.Config) { *c = settings.Config{} }, []string{"Config.Bearer", "Config.Cookie", "Config.SignInPath"}},
	{"no sign-in", func(c *settings.Config) { c.SignInPath = "" }, []string{`Config.SignInPath: is empty: name the path of the sign-in page, or "/" if only the API is mounted`}},
	{"sign-in on another site", func(c *settings.Config) { c.SignInPath = "//evil.example" }, []string{"Config.SignInPath"}},
	{"sign-in with a fragment", func(c *settings.Config) { c.SignInPath = "/#signin" }, []string{"Config.SignInPath"}},
	{"developers without a secret", func(c *settings.Config) {
		c.Secret, c.Developer = nil, func(context.Context, *auth.Identity) (bool, error) { return true, nil }
	}, []string{"Config.Developer"}},
	{"negative age", func(c *settings.Config) { c.MaxAge = -time.Second }, []string{"Config.MaxAge"}},
	{"CSS as accent", func(c *settings.Config) { c.Accent = "red; } body { display: none" }, []string{"Config.Accent"}},
	{"CSS as dark accent", func(c *settings.Config) { c.AccentDark = "red" }, []string{"Config.AccentDark"}},
	{"short accent", func(c *settings.Config) { c.Accent = "#fff" }, []string{"Config.Accent"}},
	{"language", func(c *settings.Config) { c.Language = `en"` }, []string{"Config.Language"}},
	{"links", func(c *settings.Config) {
		c.Links = []settings.Link{{Text: "x", URL: "javascript:alert(1)"}, {URL: "/"}, {Text: "home", URL: "https://example.com/"}}
	}, []string{"javascript", `"" to "/"`}},
	{"examples", func(c *settings.Config) {
		c.TokenExampleURL, c.SecretExampleURL = "ftp://example.com", "//example.com"
	}, []string{"Config.TokenExampleURL", "Config.SecretExampleURL"}},
	{"example without a secret", func(c *settings.Config) { c.Secret, c.SecretExampleURL = nil, "/" }, []string{"Config.SecretExampleURL: has no effect"}},
	{"scopes", func(c *settings.Config) {
		c.Scopes = []settings.ScopeGroup{{Scopes: []settings.Scope{{Name: "notes:read"}, {Name: "notes:read"}, {Name: "notes:admin"}, {Name: "a b"}, {Name: "*"}, {}}}}
	}, []string{`"notes:read" is repeated`, `"notes:admin" is not among`, `"a b" is not a scope name`, `"*" is not a scope name`, `"" is not a scope name`}},
	{"metadata", func(c *settings.Config) {
		c.MetadataKeys = []settings.MetadataKey{{Key: "team", Label: "Team"}, {Key: "team", Label: "Team"}, {Key: "Team", Label: "Team"}, {Key: "env"}}
	}, []string{`"team" is repeated`, `the key "Team" must be 1 to 64`, `"env" has no Label`}},
	{"texts", func(c *settings.Config) {
		c.Texts = map[string]string{"nothing": "x", "cancel": " ", "time.in.day.other": "in {tyme}"}
	}, []string{`"nothing" is not a key`, `"cancel" is blank`, `"time.in.day.other" has {tyme}`}},
	{"plural categories", func(c *settings.Config) {
		c.Texts = map[string]string{"more.few": "{n}", "cancel.few": "x", "more.several": "x", "tokens.other": "x"}
	}, []string{`"more.few" has no effect without Plural`, `"cancel.few" is not a key`, `"more.several" is not a key`, `"tokens.other" is not a key`}},
	{"plural categories alone", func(c *settings.Config) {
		c.Plural, c.Texts = polish, map[string]string{"more.few": "{n}", "more.many": "{m}"}
	}, []string{`"more.few" requires "more.other"`, `"more.many" requires "more.other"`, `"more.many" has {m}`}},
	{"plural function", func(c *settings.Config) {
		c.Plural = func(n int) string { return strings.Repeat("few", n/100) }
	}, []string{`Config.Plural: returns "" for 0: use one of zero, one`}},
}

func TestNew_reportsEveryMistake(t *testing.T) {
	t.Parallel()
	s := newService(t)
	valid := settings.Config{Bearer: s.bearer, Cookie: s.cookie, Secret: s.secret, SignInPath: "/signin"}
	_, err := settings.New(valid)
	require.NoError(t, err)
	for _, test := range invalidConfigs {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			cfg := valid
			test.change(&cfg)
			h, err := settings.New(cfg)
			require.Error(t, err)
			require.Nil(t, h)
			for _, want := range test.want {
				require.ErrorContains(t, err, want)
			}
			require.Equal(t, len(test.want), strings.Count(err.Error(), "settings: Config."), err)
		})
	}
}

func TestNew_branding(t *testing.T) {
	t.Parallel()
	s := newService(t, func(c *configs) {
		c.settings.Title = "Acme <Cloud>"
		c.settings.Links = []settings.Link{{Text: "Dashboard", URL: "/dash?a=1&b=2"}, {Text: "Docs", URL: "https://docs.example.com/"}}
		c.settings.Texts = map[string]string{"tokens.new": "Neues Token", "tokens.revoke_name": "{name} widerrufen"}
		c.settings.Language = "de"
		c.settings.TokenExampleURL = "https://api.example.com/it's"
	})
	ada := s.signIn("ada")
	text := ada.get("/").page(http.StatusOK, "– Acme &lt;Cloud&gt;</title>", `<a href="/dash?a=1&amp;b=2">Dashboard</a>`, `<a href="https://docs.example.com/">Docs</a>`, "Neues Token", `<html lang="de">`)
	require.NotContains(t, text, "Create a token")
	ada.token("deploy")
	ada.get("/").page(http.StatusOK, "deploy widerrufen")
	ada.post("/tokens", newToken(ada.get("/tokens/new").Body.String())).page(http.StatusOK, `&#39;https://api.example.com/it&#39;\&#39;&#39;s&#39;`)
}

// A preset that names a scope of another group would choose nothing.
func TestNew_presets(t *testing.T) {
	t.Parallel()
	for want, preset := range map[string]settings.ScopePreset{
		"a preset of \"Notes\" needs a title and scopes":                {Title: " ", Scopes: []string{"notes:read"}},
		"a preset of \"Notes\" needs a title and scopes ":               {Title: "Read"},
		"\"notes:write\", of the preset \"Write\", is not in its group": {Title: "Write", Scopes: []string{"notes:read", "notes:write"}},
	} {
		_, err := settings.New(settings.Config{Scopes: []settings.ScopeGroup{{
			Title: "Notes", Scopes: []settings.Scope{{Name: "notes:read"}}, Presets: []settings.ScopePreset{preset},
		}}})
		require.ErrorContains(t, err, "settings: Config.Scopes: "+strings.TrimSpace(want))
	}
}
