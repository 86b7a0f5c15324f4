package settings_test

import (
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth/settings"
)

var (
	placeholder = regexp.MustCompile(`\{[^{}]*\}`)
	values      = regexp.MustCompile(`(?s)<(?:input[^>]*value=[^>]*>|output[^>]*>[^<]*)`)
	tags        = regexp.MustCompile(`<[^>]*>`)
	marked      = regexp.MustCompile(`‹[^›]*›`)
	data        = regexp.MustCompile(`deploy|acme_(pat|cs)_…\w+|Firefox|Linux|Authorization: \w+|curl|notes:\w+|UTC`)
	ofUnit      = regexp.MustCompile(`^(.+)\.([a-z]+)\.(one|other)$`)
	letters     = regexp.MustCompile(`[A-Za-z]{3,}`)
)

// markedTexts returns a replacement for each text, which marks it.
func markedTexts() map[string]string {
	texts := settings.DefaultTexts()
	for key, text := range texts {
		texts[key] = "‹" + key + strings.Join(placeholder.FindAllString(text, -1), " ") + "›"
	}
	return texts
}

// translated asserts that a page consists of marked texts and data only.
func (a *answer) translated() {
	a.t.Helper()
	require.Equal(a.t, "text/html; charset=utf-8", a.Header().Get("Content-Type"))
	text := a.Body.String()
	require.Contains(a.t, text, `<html lang="xx">`)
	text = values.ReplaceAllString(text, "")
	for _, known := range []*regexp.Regexp{tags, marked, data} {
		text = known.ReplaceAllString(text, " ")
	}
	require.Empty(a.t, letters.FindString(text), "%s", a.Body)
}

// The page can be translated as a whole.
func TestDefaultTexts_allCanBeReplaced(t *testing.T) {
	t.Parallel()
	s := newService(t, withExamples, func(c *configs) { c.settings.Texts, c.settings.Language = markedTexts(), "xx" })
	ada := newPopulatedUser(t, s, "ada")
	for _, e := range ada.pages {
		if e.method == "GET" {
			ada.get(e.path).translated()
		}
	}
	ada.post("/tokens", nil).translated()
	ada.post("/tokens", newToken(ada.get("/tokens/new").Body.String())).translated()
	ada.post("/secret/reveal", nil).translated()
	ada.get("/nothing").translated()
	ada.do("PUT", "/", "").translated()
	s.do("POST", "/tokens", "").translated()
	s.signIn("bob").get("/").translated()
	s.signIn("bob").get("/secret").translated()
}

// The caller owns the map that DefaultTexts returns, and the one in Config.Texts.
func TestDefaultTexts_mapsAreCopied(t *testing.T) {
	t.Parallel()
	settings.DefaultTexts()["cancel"] = "changed"
	require.NotEqual(t, "changed", settings.DefaultTexts()["cancel"])
	replaced := map[string]string{"cancel": "original"}
	ada := newService(t, func(c *configs) { c.settings.Texts = replaced }).signIn("ada")
	replaced["cancel"] = "changed"
	require.NotContains(t, ada.get("/tokens/new").page(http.StatusOK, "original"), "changed")
}

// Translators do not translate unused texts.
func TestDefaultTexts_allAreUsed(t *testing.T) {
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
		require.Contains(t, texts, "problem."+code[1], "every problem has a text")
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
		case "time", "duration":
			if found := ofUnit.FindStringSubmatch(key); found != nil && found[2] != "second" {
				require.Contains(t, source.String(), `"`+found[1]+`."+`, key)
				require.Contains(t, source.String(), `"`+found[2]+`"`, key)
				continue
			}
		case "error":
			continue // by field: TestNewTokenPage_invalidForms
		}
		key = strings.TrimSuffix(strings.TrimSuffix(key, ".one"), ".other")
		require.True(t, strings.Contains(source.String(), `"`+key+`"`), key)
	}
}

// sentences are the keys of texts that are sentences. The others are labels, headings, or parts of
// a sentence.
var (
	sentences = regexp.MustCompile(`^(error|problem|done|unknown|shown|account|refused)\b|` +
		`\.(text|hint|note|long|again|filled|twice|old|unknown|ended|count|reached|recent|once|failed|more|none)$|` +
		`^(filter\.search\.secret|new\.networks\.address|edit\.previous|rotate\.\w+\.previous)$`)
	labels = regexp.MustCompile(`^(problem\.(heading|missing|again|sign_in|back|retry)|overlap\.none|new\.preset\.none|session\.unknown|filter\.search\.hint)$`)
	begins = regexp.MustCompile(`^[“{]?\p{Lu}|^“?{`)
	ends   = regexp.MustCompile(`[.?]$`)
)

// Sentences end with a full stop, and labels do not. A text that begins with a small letter is a
// part of a label.
func TestDefaultTexts_fullStops(t *testing.T) {
	t.Parallel()
	for key, text := range settings.DefaultTexts() {
		base := strings.TrimSuffix(strings.TrimSuffix(key, ".one"), ".other")
		if sentences.MatchString(base) && !labels.MatchString(base) && begins.MatchString(text) || strings.Contains(text, ". ") {
			require.Regexp(t, ends, text, key)
		} else {
			require.False(t, strings.HasSuffix(text, "."), "%s: %s", key, text)
		}
	}
}

// The texts are in American English, as the API is.
func TestDefaultTexts_spelling(t *testing.T) {
	t.Parallel()
	british := regexp.MustCompile(`(?i)(recogn|author|organ|custom|summar|minim|normal|serial|initial)is(e|ing|ation)|(col|behavi|fav|hon|lab)our|cancell(ed|ing)|\b(centre|licence|grey|any more)\b`)
	for key, text := range settings.DefaultTexts() {
		require.NotRegexp(t, british, text, key)
	}
	document, err := os.ReadFile("openapi.json")
	require.NoError(t, err)
	require.NotRegexp(t, british, string(document))
}
