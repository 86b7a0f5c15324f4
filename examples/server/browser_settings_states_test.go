package main

import (
	"crypto/rand"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/examples/internal/testbrowser"
	"github.com/seed-31c5bcb2/auth/settings"
)

const developer = "/profile/developer/"

// eachSettingsState shows every state of the settings, and calls visit for each.
func (b *browser) eachSettingsState(t *testing.T, visit func(state string)) {
	b.signedIn(t, "grace")
	b.tokenStates(t, visit)
	b.rotationStates(t, visit)
	b.secretStates(t, visit)
	b.sessionStates(t, visit)
	b.open(t, "/profile")
	visit("profile")
	b.openState(t, "not-found", "tokens/absent/revoke", visit)
	b.open(t, developer+"tokens/new")
	cfg := b.configIn(t, act(t, b, chromedp.Evaluate[string]("document.documentElement.lang")))
	cfg.MaxAge = time.Nanosecond
	b.replaceSettings(t, cfg)
	b.fillToken(t, "Late")
	b.press(t, "main form button[type=submit]")
	visit("sign-in-again")
	b.open(t, developer+"sessions/"+b.sessionsOf(t, "grace")[0].ID+"/end")
	b.press(t, ".confirm button")
	visit("signed-out")
	b.signedIn(t, "grace")
}

func (b *browser) openState(t *testing.T, state, path string, visit func(string)) {
	t.Helper()
	b.open(t, developer+path)
	visit(state)
}

func (b *browser) tokenStates(t *testing.T, visit func(state string)) {
	b.openState(t, "tokens-empty", "", visit)
	b.openState(t, "token-new", "tokens/new", visit)
	b.submitInvalid(t)
	visit("token-new-wrong")
	b.fillToken(t, "Nightly backup")
	b.press(t, "main form button[type=submit]")
	visit("token-created")
	b.openState(t, "token-new-filled", "tokens/new?name=Nightly+backup&expires_in=45&scopes="+url.QueryEscape(readNotes), visit)
	b.openState(t, "tokens-older", "?after=0", visit)

	for _, token := range []auth.TokenOptions{
		{Name: "Deploy from the build server of the second floor", Scopes: []string{readNotes, writeNotes}, Lifetime: 90 * 24 * time.Hour},
		{Name: "Old laptop", Scopes: []string{auth.FullAccess}, Lifetime: auth.NoExpiry},
	} {
		_, _, err := b.bearer.Issue(t.Context(), b.idOf(t, "grace"), token)
		require.NoError(t, err)
	}
	b.importExpired(t, "Trial")
	b.openState(t, "tokens", "", visit)
}

func (b *browser) rotationStates(t *testing.T, visit func(state string)) {
	grace := b.idOf(t, "grace")
	id := b.tokenID(t, grace, "Nightly backup")
	b.openState(t, "token", "tokens/"+id, visit)
	b.openState(t, "token-shown-once", "tokens/"+id+"?shown=token", visit)
	b.openState(t, "token-edit", "tokens/"+id+"/edit", visit)
	b.openState(t, "token-rotate", "tokens/"+id+"/rotate", visit)
	b.submitInvalid(t)
	visit("token-rotate-wrong")
	b.choose(t, `input[value="24h0m0s"]`)
	b.press(t, "main form button[type=submit]")
	visit("token-rotated")
	b.openState(t, "tokens-overlap", "", visit)
	b.openState(t, "token-overlap", "tokens/"+id, visit)
	b.openState(t, "token-revoke", "tokens/"+id+"/revoke", visit)
	b.press(t, "main form button[type=submit]")
	visit("token-revoked")
	_, long, err := b.bearer.Issue(t.Context(), grace, auth.TokenOptions{
		Name: strings.Repeat("w", 255), Scopes: []string{auth.FullAccess}, Lifetime: 24 * time.Hour,
	})
	require.NoError(t, err)
	b.openState(t, "tokens-long-name", "", visit)
	b.openState(t, "token-long-name", "tokens/"+long.ID, visit)
	b.openState(t, "token-revoke-long-name", "tokens/"+long.ID+"/revoke", visit)
	b.openState(t, "tokens-revoke-all", "tokens/revoke", visit)
}

func (b *browser) secretStates(t *testing.T, visit func(state string)) {
	b.openState(t, "secret", "secret", visit)
	b.press(t, `form[action$="reveal"] button`)
	visit("secret-revealed")
	b.openState(t, "secret-rotate", "secret/rotate", visit)
	b.choose(t, `input[value="24h0m0s"]`)
	b.press(t, "main form button[type=submit]")
	visit("secret-rotated")
	b.openState(t, "secret-overlap", "secret", visit)
	secrets, err := b.secret.List(t.Context(), b.idOf(t, "grace"), auth.Page{})
	require.NoError(t, err)
	b.openState(t, "secret-end-previous", "secret/previous/"+secrets[1].ID+"/revoke", visit)
	b.openState(t, "secret-revoke", "secret/revoke", visit)
	b.press(t, "main form button[type=submit]")
	visit("secret-empty")
}

func (b *browser) sessionStates(t *testing.T, visit func(state string)) {
	for _, agent := range []string{
		"Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/19.0 Mobile/15E148 Safari/604.1",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0",
	} {
		b.newSession(t, b.idOf(t, "grace"), agent)
	}
	b.newSessionFrom(t, b.idOf(t, "grace"), "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
		"2001:db8:85a3:8d3:1319:8a2e:370:7348", auth.SessionOptions{Actor: b.idOf(t, "ada")})
	b.openState(t, "sessions", "sessions", visit)
	b.openState(t, "session-end", "sessions/"+b.sessionsOf(t, "grace")[0].ID+"/end", visit)
	b.openState(t, "sessions-end-all", "sessions/end", visit)
	b.press(t, "main form button[type=submit]")
	visit("sessions-ended")
}

// importExpired creates a token for grace that has expired.
func (b *browser) importExpired(t *testing.T, name string) {
	t.Helper()
	bearer, err := auth.NewBearer(b.storage.Credentials, auth.BearerConfig{})
	require.NoError(t, err)
	expires := time.Now().Add(100 * time.Millisecond)
	_, err = bearer.Import(t.Context(), b.idOf(t, "grace"), rand.Text(), auth.ImportOptions{
		TokenOptions: auth.TokenOptions{Name: name, Scopes: []string{readNotes}}, ExpiresAt: expires,
	})
	require.NoError(t, err)
	<-time.After(time.Until(expires))
}

// submitInvalid submits an incomplete form, without the validation of the browser.
func (b *browser) submitInvalid(t *testing.T) {
	t.Helper()
	act(t, b, chromedp.Evaluate[chromedp.Void](`document.querySelector("main form").noValidate = true`))
	b.press(t, "main form button[type=submit]")
}

// press clicks an element that loads another page.
func (b *browser) press(t *testing.T, selector string) {
	t.Helper()
	b.load(t, chromedp.Click(chromedp.CSS(selector)))
}

// choose clicks an element that does not.
func (b *browser) choose(t *testing.T, selector string) {
	t.Helper()
	act(t, b, chromedp.Click(chromedp.CSS(selector)))
}

// fillToken fills in the form for a new token that can read notes for 30 days.
func (b *browser) fillToken(t *testing.T, name string) {
	t.Helper()
	act(t, b, chromedp.Clear(chromedp.CSS("#name")))
	act(t, b, chromedp.SendKeys(chromedp.CSS("#name"), name))
	b.choose(t, `input[name="expires"][value="720h0m0s"]`)
	b.choose(t, `#access-scopes`)
	b.choose(t, `input[name="scope"][value="`+readNotes+`"]`)
}

func (b *browser) tokenID(t *testing.T, userID, name string) string {
	t.Helper()
	tokens, err := b.bearer.List(t.Context(), userID, auth.Page{})
	require.NoError(t, err)
	for _, token := range tokens {
		if token.Name == name {
			return token.ID
		}
	}
	t.Fatalf("no token is named %q", name)
	return ""
}

// replaceSettings serves settings with another configuration.
func (b *browser) replaceSettings(t *testing.T, cfg settings.Config) {
	t.Helper()
	h, err := settings.New(cfg)
	require.NoError(t, err)
	b.swap(h)
}

// A look is a color scheme and a width in which states are checked.
type look struct {
	name, scheme string
	width        int64
}

var looks = []look{
	{"light", "light", 1280},
	{"dark", "dark", 1280},
	{"narrow", "light", 320},
}

// zooms are the widths of a page that is enlarged to 400, 200 and 160 % in a window of 1280 pixels, or
// that a phone or tablet shows. WCAG 2.2 requires that 320 pixels suffice (1.4.10).
var zooms = map[string]int64{"narrow": 320, "half": 640, "medium": 800, "light": 1280}

// TestBrowserSettingsLook checks in some languages that every state fits all widths, also with larger
// text, and saves screenshots in the directory that AUTH_TEST_PICTURES names.
func TestBrowserSettingsLook(t *testing.T) {
	t.Parallel()
	for _, language := range someLanguages() {
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
	axe := testbrowser.ReadAxe(t)
	for language, looks := range map[string][]look{"en": looks, "ar": looks[:1]} {
		t.Run(language, func(t *testing.T) {
			t.Parallel()
			b := startBrowser(t)
			act(t, b, chromedp.Navigate(serve(t, "127.0.0.1", `<title>Bad</title><img src="x">`)))
			require.NotEmpty(t, testbrowser.Violations(t, b.ctx, axe), "the check works")
			b.replaceSettings(t, b.configIn(t, language))
			check := func(state string) {
				for _, look := range looks {
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
