package main

import (
	"encoding/json"
	"maps"
	"os"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth/examples/internal/testbrowser"
	"github.com/seed-31c5bcb2/auth/settings"
)

// languages are those in which the settings are tested, with the file that has their texts.
// German has long words, Arabic is written from right to left and has six plural categories, and
// Japanese has no spaces.
var languages = map[string]string{"en": "", "de": "testdata/settings-de.json", "ar": "testdata/settings-ar.json", "ja": "testdata/settings-ja.json"}

// configIn returns the configuration of the settings in a language.
func (b *browser) configIn(t *testing.T, language string) settings.Config {
	t.Helper()
	cfg := b.settingsConfig()
	cfg.Language, cfg.Texts = language, readTexts(t, languages[language])
	if language == "ar" {
		cfg.Plural = arabicPlural
	}
	return cfg
}

func readTexts(t *testing.T, file string) (texts map[string]string) {
	t.Helper()
	if file == "" {
		return nil
	}
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(data, &texts))
	return texts
}

// arabicPlural has the rules of the Unicode CLDR.
func arabicPlural(n int) string {
	switch {
	case n <= 2:
		return []string{"zero", "one", "two"}[n]
	case n%100 >= 3 && n%100 <= 10:
		return "few"
	case n%100 >= 11:
		return "many"
	}
	return "other"
}

// The other tests see few untranslated texts. A new text need not be translated at once.
func TestSettingsTexts_translated(t *testing.T) {
	t.Parallel()
	defaults := settings.DefaultTexts()
	for language, file := range languages {
		texts := readTexts(t, file)
		if file == "" {
			continue
		}
		for key := range texts {
			plural := key[:strings.LastIndex(key, ".")+1] + "other"
			require.True(t, defaults[key] != "" || defaults[plural] != "", "%s translates %s, which is no text", language, key)
		}
		missing := maps.Clone(defaults)
		maps.DeleteFunc(missing, func(key, _ string) bool { return texts[key] != "" })
		require.Less(t, len(missing), len(defaults)/5, "%s does not translate %v", language, missing)
	}
}

// Rows are as high, and names as wide, in languages with longer words and in the other direction.
func TestBrowserSettings_languages(t *testing.T) {
	t.Parallel()
	testbrowser.InCI(t)
	b := startBrowser(t)
	b.signedIn(t, "grace")
	b.fillTokens(t, 14, 13)
	for language := range languages {
		cfg := b.configIn(t, language)
		b.replaceSettings(t, cfg)
		b.look(t, "light", 1280)
		b.open(t, developer)
		b.requireRows(t, "tokens-"+language, 14)
		if cfg.Texts != nil {
			require.Equal(t, cfg.Texts["tokens.heading"], b.text(t, "h1"))
		}
		overflowing := act(t, b, chromedp.Evaluate[[]string](`[...document.querySelectorAll(".tokens td")].filter(e => e.scrollWidth > e.clientWidth + 1).map(e => e.textContent)`))
		require.Empty(t, overflowing, language)
		b.requireFits(t, "tokens-"+language)
	}
}
