package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth/examples/internal/testbrowser"
)

// A look is a color scheme and a width in which states are checked.
type look struct {
	name, scheme string
	width        int64
}

var looks = []look{
	{"light", "light", 1280},
	{"dark", "dark", 1280},
	{"medium", "light", 800},
	{"narrow", "light", 320},
}

// looksIn are those in which axe-core checks the states in each language. German and Japanese texts
// have other lengths, which matter most in between.
var looksIn = map[string][]look{"en": looks, "ar": looks[:1], "de": looks[2:3], "ja": looks[2:3]}

// zooms are the widths of a page that is enlarged to 400, 200 and 160 % in a window of 1280 pixels, or
// that a phone or tablet shows. WCAG 2.2 requires that 320 pixels suffice (1.4.10).
var zooms = map[string]int64{"narrow": 320, "half": 640, "medium": 800, "light": 1280}

// TestBrowserSettingsLook checks in some languages that every state fits all widths, also with larger
// text, and saves screenshots in the directory that AUTH_TEST_PICTURES names.
func TestBrowserSettingsLook(t *testing.T) {
	t.Parallel()
	testbrowser.InCI(t)
	for language := range languages {
		t.Run(language, func(t *testing.T) {
			t.Parallel()
			b := startBrowser(t)
			b.replaceSettings(t, b.configIn(t, language))
			suffix := ""
			if language != "en" {
				suffix = "-" + language
			}
			b.eachSettingsState(t, func(state string) { b.requireFits(t, state+suffix) })
		})
	}
}

// tooWide returns how wide the page is, what is wider than its place and not cut off by a style, and
// what overlaps the element after it.
const tooWide = `[document.documentElement.scrollWidth, [...document.querySelectorAll("main, main *")].filter(e => {
	if (e.closest("thead")) return false; // hidden from view on narrow screens
	const style = getComputedStyle(e);
	return style.display !== "inline" && style.overflowX === "visible" && e.clientWidth > 1 && e.scrollWidth > e.clientWidth + 1;
}).map(e => e.outerHTML.slice(0, 120)), [...document.querySelectorAll("body *")].filter(e => {
	const box = e.getBoundingClientRect(), next = e.nextElementSibling?.getBoundingClientRect();
	return next && e.checkVisibility() && ![e, e.nextElementSibling].some(e => getComputedStyle(e).display === "inline") && !e.closest("thead, .unseen, .skip") && !e.nextElementSibling.matches(".unseen") && box.width && next.width &&
		Math.min(box.right, next.right) - Math.max(box.left, next.left) > 1 && Math.min(box.bottom, next.bottom) - Math.max(box.top, next.top) > 1;
}).map(e => e.outerHTML.slice(0, 120) + " overlaps " + e.nextElementSibling.outerHTML.slice(0, 120))]`

func (b *browser) requireFits(t *testing.T, state string) {
	t.Helper()
	require.NotRegexp(t, `\{[a-z]+\}`, act(t, b, chromedp.Evaluate[string]("document.body.innerText")), "%s: a placeholder", state)
	for name, width := range zooms {
		b.look(t, "light", width)
		b.requireWidth(t, width, state+", "+name)
		b.savePicture(t, state+"-"+name, width)
	}
	call(t, b, cdppage.SetFontSizes, cdppage.SetFontSizesParams{FontSizes: &cdppage.FontSizes{Standard: 32, Fixed: 26}})
	b.look(t, "light", 1280)
	require.Equal(t, "32px", act(t, b, chromedp.Evaluate[string]("getComputedStyle(document.documentElement).fontSize")))
	b.requireWidth(t, 1280, state+" with larger text")
	b.savePicture(t, state+"-text", 1280)
	call(t, b, cdppage.SetFontSizes, cdppage.SetFontSizesParams{FontSizes: &cdppage.FontSizes{Standard: 16, Fixed: 13}})
	if os.Getenv("AUTH_TEST_PICTURES") != "" {
		b.look(t, "dark", 1280)
		b.savePicture(t, state+"-dark", 1280)
	}
	b.look(t, "light", 1280)
}

func (b *browser) requireWidth(t *testing.T, width int64, what string) {
	t.Helper()
	require.Equal(t, []any{float64(width), []any{}, []any{}}, act(t, b, chromedp.Evaluate[[]any](tooWide)), what)
}

// savePicture saves a picture of the whole page.
func (b *browser) savePicture(t *testing.T, name string, width int64) {
	t.Helper()
	if dir := os.Getenv("AUTH_TEST_PICTURES"); dir != "" {
		require.NoError(t, os.MkdirAll(dir, 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name+".png"), b.picture(t, width), 0o644))
	}
}

// picture shows the whole page. chromedp.FullScreenshot shifts right-to-left pages.
func (b *browser) picture(t *testing.T, width int64) []byte {
	t.Helper()
	height := act(t, b, chromedp.Evaluate[int64]("document.documentElement.scrollHeight"))
	act(t, b, chromedp.EmulateViewport(width, height))
	return call(t, b, cdppage.CaptureScreenshot, cdppage.CaptureScreenshotParams{}).Data
}

func (b *browser) look(t *testing.T, scheme string, width int64) {
	t.Helper()
	act(t, b, chromedp.EmulateViewport(width, 800))
	call(t, b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
	})
}

// TestBrowserSettings_accessibility checks every state with axe-core, whose file
// AUTH_TEST_AXE names.
func TestBrowserSettings_accessibility(t *testing.T) {
	t.Parallel()
	testbrowser.InCI(t)
	axe := testbrowser.ReadAxe(t)
	for language := range languages {
		t.Run(language, func(t *testing.T) {
			t.Parallel()
			b := startBrowser(t)
			act(t, b, chromedp.Navigate(serve(t, "127.0.0.1", `<title>Bad</title><img src="x">`)))
			require.NotEmpty(t, testbrowser.Violations(t, b.ctx, axe), "the check works")
			b.replaceSettings(t, b.configIn(t, language))
			check := func(state string) {
				for _, look := range looksIn[language] {
					b.look(t, look.scheme, look.width)
					require.Empty(t, testbrowser.Violations(t, b.ctx, axe), "%s, %s", state, look.name)
				}
				b.look(t, "light", 1280)
			}
			b.eachSettingsState(t, check)
			b.replaceSettings(t, b.configIn(t, language))
			b.fillTokens(t, 8, 13)
			b.open(t, developer)
			act(t, b, chromedp.Evaluate[chromedp.Void](`for (const row of document.querySelectorAll("details")) row.open = true`))
			check("tokens-open")
			b.choose(t, `a[href$="tokens/revoke"]`)
			act(t, b, chromedp.WaitVisible(chromedp.CSS("dialog[open]")))
			check("a dialog")
		})
	}
}
