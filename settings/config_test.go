package settings_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth/settings"
)

func TestEveryFaultOfAConfigurationIsReported(t *testing.T) {
	t.Parallel()
	s := newService(t)
	good := settings.Config{Bearer: s.bearer, Cookie: s.cookie, SignInPath: "/signin"}
	_, err := settings.New(good)
	require.NoError(t, err)

	for _, test := range []struct {
		name   string
		change func(*settings.Config)
		want   []string
	}{
		{"nothing", func(c *settings.Config) { *c = settings.Config{} }, []string{"Config.Bearer", "Config.Cookie", "Config.SignInPath"}},
		{"sign-in elsewhere", func(c *settings.Config) { c.SignInPath = "//evil.example" }, []string{"Config.SignInPath"}},
		{"sign-in at a fragment", func(c *settings.Config) { c.SignInPath = "/#signin" }, []string{"Config.SignInPath"}},
		{"negative age", func(c *settings.Config) { c.MaxAge = -time.Second }, []string{"Config.MaxAge"}},
		{"colours", func(c *settings.Config) { c.Accent = "red; } body { display: none" }, []string{"Config.Accent"}},
		{"short colour", func(c *settings.Config) { c.Accent = "#fff" }, []string{"Config.Accent"}},
		{"language", func(c *settings.Config) { c.Language = `en"` }, []string{"Config.Language"}},
		{"links", func(c *settings.Config) {
			c.Links = []settings.Link{{Text: "x", URL: "javascript:alert(1)"}, {URL: "/"}, {Text: "home", URL: "https://example.com/"}}
		}, []string{"javascript", `"" to "/"`}},
		{"example", func(c *settings.Config) { c.ExampleURL = "ftp://example.com" }, []string{"Config.ExampleURL"}},
		{"scopes", func(c *settings.Config) {
			c.Scopes = []settings.ScopeGroup{{Scopes: []settings.Scope{{Name: "notes:read"}, {Name: "notes:read"}, {Name: "notes:admin"}, {Name: "a b"}, {Name: "*"}, {}}}}
		}, []string{`"notes:read" is repeated`, `"notes:admin" is not among`, `"a b" is not a scope name`, `"*" is not a scope name`, `"" is not a scope name`}},
		{"texts", func(c *settings.Config) {
			c.Texts = map[string]string{"nothing": "x", "cancel": " ", "time.in": "in {tyme}"}
		}, []string{`"nothing" is not a key`, `"cancel" is blank`, `"time.in" has {tyme}`}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			cfg := good
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

// The page speaks another language as a whole: no text is left out of Texts.
func TestEveryTextCanBeReplaced(t *testing.T) {
	t.Parallel()
	originals := settings.DefaultTexts()
	replaced := make(map[string]string)
	mark := func(key, text string) string {
		braces := regexp.MustCompile(`\{[^{}]*\}`).FindAllString(text, -1)
		return "‹" + key + strings.Join(braces, " ") + "›"
	}
	for key, text := range originals {
		replaced[key] = mark(key, text)
	}
	s := newService(t, func(c *configs) { c.settings.Texts, c.settings.Language = replaced, "xx" })
	ada := newHousehold(t, s, "ada")
	letters := regexp.MustCompile(`[A-Za-z]{3,}`)
	known := regexp.MustCompile(`deploy|acme_(pat|cs)_…\w+|Firefox|Linux|Authorization: \w+|curl|notes:\w+`)
	visit := func(got *answer) {
		require.Equal(t, "text/html; charset=utf-8", got.Header().Get("Content-Type"))
		text := got.Body.String()
		require.Contains(t, text, `<html lang="xx">`)
		text = regexp.MustCompile(`(?s)<(input|textarea)[^>]*(readonly|value=)[^>]*>([^<]*)`).ReplaceAllString(text, "")
		text = regexp.MustCompile(`<[^>]*>`).ReplaceAllString(text, " ")
		text = regexp.MustCompile(`‹[^›]*›`).ReplaceAllString(text, " ")
		text = known.ReplaceAllString(text, " ")
		require.Empty(t, letters.FindString(text), "%s", got.Body)
	}
	for _, e := range ada.pages {
		if e.method == "GET" {
			visit(ada.get(e.path))
		}
	}
	visit(ada.post("/tokens", nil))
	visit(ada.post("/tokens", newToken(ada.get("/tokens/new").Body.String())))
	visit(ada.post("/secret/reveal", nil))
	visit(ada.get("/nothing"))
	visit(ada.do("PUT", "/", ""))
	visit(s.do("POST", "/tokens", ""))
	visit(s.signIn("bob").get("/"))
	visit(s.signIn("bob").get("/secret"))

	// What was returned is the caller's.
	originals["cancel"] = "changed"
	require.NotEqual(t, "changed", settings.DefaultTexts()["cancel"])
	replaced["cancel"] = "changed"
	require.NotContains(t, ada.get("/tokens/new").Body.String(), "changed")
}

// A text that nothing says would be translated in vain.
func TestEveryTextIsUsed(t *testing.T) {
	t.Parallel()
	var source strings.Builder
	for _, pattern := range []string{"*.go", "templates/*.html"} {
		paths, err := filepath.Glob(pattern)
		require.NoError(t, err)
		for _, path := range paths {
			if path == "texts.go" || strings.HasSuffix(path, "_test.go") {
				continue
			}
			content, err := os.ReadFile(path)
			require.NoError(t, err)
			source.Write(content)
		}
	}
	codes := regexp.MustCompile(`code = "([a-z_]+)"`).FindAllStringSubmatch(source.String(), -1)
	require.NotEmpty(t, codes)
	texts := settings.DefaultTexts()
	for _, code := range codes {
		require.Contains(t, texts, "problem."+code[1], "every problem has its text")
	}
	for _, key := range slices.Sorted(maps.Keys(texts)) {
		group, rest, _ := strings.Cut(key, ".")
		switch group {
		case "problem":
			if slices.ContainsFunc(codes, func(c []string) bool { return c[1] == rest }) {
				continue
			}
		case "done", "state":
			require.True(t, strings.Contains(source.String(), `"`+rest+`"`) || strings.Contains(source.String(), `"`+key+`"`), key)
			continue
		case "error":
			continue // by field: TestTokenFormsThatAreWrong
		}
		key = strings.TrimSuffix(strings.TrimSuffix(key, ".one"), ".other")
		require.True(t, strings.Contains(source.String(), `"`+key+`"`), key)
	}
}

func TestThePageIsTheServicesOwn(t *testing.T) {
	t.Parallel()
	s := newService(t, func(c *configs) {
		c.settings.Title = "Acme <Cloud>"
		c.settings.Links = []settings.Link{{Text: "Dashboard", URL: "/dash?a=1&b=2"}, {Text: "Docs", URL: "https://docs.example.com/"}}
		c.settings.Texts = map[string]string{"tokens.new": "Neues Token", "tokens.revoke_name": "{name} widerrufen"}
		c.settings.Language = "de"
		c.settings.ExampleURL = "https://api.example.com/it's"
	})
	ada := s.signIn("ada")
	text := ada.get("/").page(http.StatusOK, "– Acme &lt;Cloud&gt;</title>", `<a href="/dash?a=1&amp;b=2">Dashboard</a>`, `<a href="https://docs.example.com/">Docs</a>`, "Neues Token", `<html lang="de">`)
	require.NotContains(t, text, "Create a token")
	ada.token("deploy")
	ada.get("/").page(http.StatusOK, "deploy widerrufen")
	ada.post("/tokens", newToken(ada.get("/tokens/new").Body.String())).page(http.StatusOK, `&#39;https://api.example.com/it&#39;\&#39;&#39;s&#39;`)
}

// The document says what the handlers do: the paths, the methods, the codes.
func TestOpenAPIHasEveryRoute(t *testing.T) {
	t.Parallel()
	s := newService(t, func(c *configs) { c.cookie.Name = "__Host-acme" })
	doc := s.do("GET", "/api/openapi.json", "").status(http.StatusOK).object()
	require.Equal(t, "3.1.0", doc["openapi"])
	ada := newHousehold(t, s, "ada")
	_, api := endpoints("{id}", "{id}", "{id}", "{id}")
	var described, served []string
	for path, item := range doc["paths"].(map[string]any) {
		for method := range item.(map[string]any) {
			if method != "parameters" {
				described = append(described, strings.ToUpper(method)+" /api"+path)
			}
		}
	}
	for _, e := range api {
		served = append(served, e.method+" "+e.path)
	}
	require.ElementsMatch(t, served, described)
	// and the served list is whole: a path's other methods are not allowed
	for _, e := range ada.api {
		allowed := strings.Split(ada.do("PATCH", e.path, "").problem(http.StatusMethodNotAllowed, "method_not_allowed").Header().Get("Allow"), ", ")
		for _, method := range allowed {
			if method != "HEAD" {
				require.Contains(t, ada.api, endpoint{method, e.path})
			}
		}
	}

	schemes := doc["components"].(map[string]any)["securitySchemes"].(map[string]any)
	require.Len(t, schemes, 3)
	require.Equal(t, "__Host-acme", schemes["cookie"].(map[string]any)["name"])
	codes := doc["components"].(map[string]any)["schemas"].(map[string]any)["Problem"].(map[string]any)["properties"].(map[string]any)["code"].(map[string]any)["enum"]
	for key := range settings.DefaultTexts() {
		if code, found := strings.CutPrefix(key, "problem."); found && !slices.Contains([]string{"title", "heading", "again", "sign_in", "back"}, code) {
			require.Contains(t, codes, code)
		}
	}

	none := newService(t, withoutSecrets).do("GET", "/api/openapi.json", "").object()
	text, err := json.Marshal(none["paths"])
	require.NoError(t, err)
	require.NotContains(t, string(text), "/secret")
}
