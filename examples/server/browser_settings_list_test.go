package main

import (
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/examples/internal/testbrowser"
)

// tokenNames are names as users write them. One is as long as a name can be.
var tokenNames = []string{
	"Nightly backup", "Deploy from the build server of the second floor", "CI: acme/storefront", "Grafana",
	"Zapier → HubSpot sync", "Old laptop", "Terraform Cloud (production)", "Резервное копирование", "夜間バックアップ", "نسخة احتياطية ليلية",
	"staging", strings.Repeat("w", 255),
}

var manyScopes = []string{
	"notes:read", "notes:write", "users:read", "users:write", "billing:read", "billing:write", "webhooks:read", "webhooks:write",
	"audit_log:read", "deployments:read", "deployments:write", "secrets:rotate", "organization.members:administration",
}

// fillTokens gives grace n tokens in all states, with that many scopes.
func (b *browser) fillTokens(t *testing.T, n, scopes int) {
	t.Helper()
	_, err := b.bearer.RevokeAll(t.Context(), b.idOf(t, "grace"))
	require.NoError(t, err)
	now, run := time.Now().UTC().Truncate(time.Microsecond), "00"+rand.Text()[:12]
	id := func(i int) string { return fmt.Sprintf("%s%06d", run, n-i) }
	for i := range n {
		c := auth.Credential{
			ID: id(i), Kind: auth.KindToken, UserID: b.idOf(t, "grace"), Name: tokenNames[i%len(tokenNames)],
			Hint:   fmt.Sprintf("acme_pat_…%04x", uint16(0x9ac1+7919*i)),
			Scopes: auth.Scopes(strings.Join(manyScopes[:scopes], " ")), Digest: sha256.Sum256([]byte(id(i))),
			CreatedAt: now.Add(-time.Duration(i+1) * 26 * time.Hour), ExpiresAt: now.Add(time.Duration(90+7*i) * 24 * time.Hour),
		}
		switch i % 7 {
		case 1:
			c.ExpiresAt, c.LastUsedAt, c.LastUsedFrom = now.Add(5*time.Hour), now.Add(-3*time.Minute), netip.MustParseAddr("2001:db8:85a3:1234:5678:8a2e:370:7334")
		case 2:
			c.LastUsedAt, c.LastUsedFrom = now.Add(-50*time.Hour), netip.MustParseAddr("203.0.113.9")
			c.Networks = "198.51.100.0/24 2001:db8::/32"
		case 3:
			c.ExpiresAt, c.Scopes = time.Time{}, auth.FullAccess
		case 4:
			c.Previous = id(i + 1)
		case 5:
			c.Name, c.Superseded, c.ExpiresAt = tokenNames[(i-1)%len(tokenNames)], true, now.Add(20*time.Hour)
		case 6:
			c.ExpiresAt = now.Add(-40 * time.Hour)
		}
		require.NoError(t, b.storage.Credentials.Create(t.Context(), c, 0))
	}
}

// A row of the list is at most 72 pixels high, and the column of the name is the widest.
func TestBrowserSettings_rows(t *testing.T) {
	t.Parallel()
	testbrowser.InCI(t)
	b := startBrowser(t)
	b.signedIn(t, "grace")
	for _, n := range []int{1, 30, 1000} {
		for _, scopes := range []int{1, 13} {
			b.fillTokens(t, n, scopes)
			b.look(t, "light", 1280)
			b.open(t, developer)
			state := fmt.Sprintf("tokens-%d-%d", n, scopes)
			b.requireRows(t, state, min(n, 50))
			b.requireFits(t, state)
		}
	}
}

// requireRows checks the heights of n rows and the widths of the names in them.
func (b *browser) requireRows(t *testing.T, state string, n int) {
	t.Helper()
	rows := act(t, b, chromedp.Evaluate[[][]float64](`[...document.querySelectorAll(".tokens tbody tr")].map(row =>
		[row, ...row.children].map(e => e.getBoundingClientRect()).map((r, i) => i ? r.width : r.height))`))
	require.Len(t, rows, n, state)
	for i, row := range rows {
		require.LessOrEqual(t, row[0], 72.0, "%s: height of row %d", state, i)
		require.GreaterOrEqual(t, row[1], 320.0, "%s: width of the name in row %d", state, i)
	}
}

// A row that is opened shows all scopes and networks, also without JavaScript.
func TestBrowserSettings_openScopes(t *testing.T) {
	t.Parallel()
	testbrowser.InCI(t)
	b := startBrowser(t)
	call(t, b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	b.signedIn(t, "grace")
	b.fillTokens(t, 3, 13)
	b.open(t, developer)
	b.choose(t, "tbody tr:nth-child(3) summary")
	text := b.text(t, "tbody tr:nth-child(3) details")
	for _, want := range append(slices.Clone(manyScopes), "13 scopes, 2 networks", "198.51.100.0/24", "2001:db8::/32") {
		require.Contains(t, text, want)
	}
	b.requireFits(t, "tokens-open")
}

// After creating or rotating a token, the list marks its row.
func TestBrowserSettings_marksNewToken(t *testing.T) {
	t.Parallel()
	b := startBrowser(t)
	b.signedIn(t, "grace")
	b.fillTokens(t, 10, 13) // the limit is 20
	b.open(t, developer+"tokens/new")
	b.fillToken(t, "Release notes")
	b.press(t, "main form button[type=submit]")
	b.press(t, "main .actions a")
	require.Equal(t, []string{"token-" + b.tokenID(t, b.idOf(t, "grace"), "Release notes")}, b.marked(t))

	old := act(t, b, chromedp.Evaluate[string](`document.querySelector(".tokens tbody tr:nth-child(3)").id`))
	b.press(t, `#`+old+` a[href$="/rotate"]`)
	b.choose(t, `input[value="1h0m0s"]`)
	b.press(t, "main form button[type=submit]")
	b.press(t, "main .actions a")
	require.Len(t, b.marked(t), 1)
	require.NotEqual(t, old, b.marked(t)[0])
	require.Equal(t, old, act(t, b, chromedp.Evaluate[string](`document.querySelector(":target").nextElementSibling.id`)), "the replaced one stands below")
	b.requireFits(t, "tokens-marked")
}

// marked returns the IDs of the rows in view that have another background than the next one.
func (b *browser) marked(t *testing.T) []string {
	t.Helper()
	return act(t, b, chromedp.Evaluate[[]string](`[...document.querySelectorAll(".tokens tbody tr")].filter(row =>
		getComputedStyle(row.children[1]).backgroundColor !== "rgba(0, 0, 0, 0)" && row.getBoundingClientRect().bottom <= innerHeight
	).map(row => row.id)`))
}

// The list is searched, filtered and sorted without JavaScript. A search for a pasted token is not
// sent, so that it gets into no URL.
func TestBrowserSettings_search(t *testing.T) {
	t.Parallel()
	b := startBrowser(t)
	call(t, b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	b.signedIn(t, "grace")
	b.fillTokens(t, 30, 13)
	b.open(t, developer)
	act(t, b, chromedp.SendKeys(chromedp.CSS("#search"), "GRAF"))
	b.press(t, ".toolbar button")
	require.Equal(t, "1 to 3 of 3", b.text(t, ".range"))
	b.requireFits(t, "tokens-filtered")
	b.press(t, ".toolbar a")
	require.Equal(t, "1 to 30 of 30", b.text(t, ".range"))

	act(t, b, chromedp.SendKeys(chromedp.CSS("#state"), "Expires soon"))
	act(t, b, chromedp.SendKeys(chromedp.CSS("#sort"), "Expiring soonest"))
	b.press(t, ".toolbar button")
	require.Equal(t, "Expires soon", b.text(t, ".pill"))
	expiring := act(t, b, chromedp.Evaluate[[]string](`[...document.querySelectorAll(".fact:nth-child(2) time:first-child")].map(time => time.dateTime)`))
	require.NotEmpty(t, expiring)
	require.IsNonDecreasing(t, expiring)

	b.open(t, developer)
	act(t, b, chromedp.SendKeys(chromedp.CSS("#search"), b.Token))
	b.choose(t, ".toolbar button")
	require.NotContains(t, act(t, b, chromedp.Location()), "search=")
}

// Above five tokens, their number is typed to revoke them all. A second click opens no second
// dialog, and a long dialog is read from its heading.
func TestBrowserSettings_revokeAll(t *testing.T) {
	t.Parallel()
	b := startBrowser(t)
	b.signedIn(t, "grace")
	b.fillTokens(t, 30, 13)
	b.open(t, developer)
	act(t, b, chromedp.Evaluate[chromedp.Void](`for (const link of document.querySelectorAll("a[data-dialog]")) link.click()`))
	act(t, b, chromedp.WaitVisible(chromedp.CSS("dialog[open]")))
	require.Equal(t, 1, act(t, b, chromedp.Evaluate[int](`document.querySelectorAll("dialog").length`)))
	act(t, b, chromedp.KeyEvent("\x1b"))
	act(t, b, chromedp.WaitNotPresent(chromedp.CSS("dialog")))

	b.choose(t, `a[href$="tokens/revoke"]`)
	act(t, b, chromedp.WaitVisible(chromedp.CSS("dialog[open] #number")))
	require.Equal(t, "Revoke all 26 tokens?", act(t, b, chromedp.Evaluate[string]("document.activeElement.textContent")), "its heading has the focus")
	b.saveView(t, "dialog-revoke-all")
	act(t, b, chromedp.SendKeys(chromedp.CSS("#number"), "25"))
	b.choose(t, "dialog .danger")
	require.Len(t, b.tokensOf(t, "grace"), 30, "the browser does not send it")

	act(t, b, chromedp.Evaluate[chromedp.Void](`document.querySelector("dialog form").noValidate = true`))
	b.press(t, "dialog .danger")
	require.Contains(t, b.text(t, `[role="alert"]`), "Type 26")
	b.requireFits(t, "tokens-revoke-all-wrong")
	act(t, b, chromedp.SendKeys(chromedp.CSS("#number"), "26"))
	b.press(t, ".confirm .danger")
	require.Equal(t, "All tokens were revoked.", b.text(t, `[role="status"]`))
	require.Empty(t, b.tokensOf(t, "grace"))
}

// Without JavaScript, a page asks for the number.
func TestBrowserSettings_revokeAllWithoutScript(t *testing.T) {
	t.Parallel()
	b := startBrowser(t)
	call(t, b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	b.signedIn(t, "grace")
	b.fillTokens(t, 30, 13)
	b.open(t, developer)
	b.press(t, `a[href$="tokens/revoke"]`)
	require.Equal(t, "Revoke all 26 tokens?", b.text(t, "h1"))
	b.choose(t, ".confirm .danger")
	require.Len(t, b.tokensOf(t, "grace"), 30, "the browser asks for the number")
	act(t, b, chromedp.SendKeys(chromedp.CSS("#number"), "26"))
	b.press(t, ".confirm .danger")
	require.Equal(t, "All tokens were revoked.", b.text(t, `[role="status"]`))
	require.Empty(t, b.tokensOf(t, "grace"))
}

func (b *browser) tokensOf(t *testing.T, name string) []auth.Credential {
	t.Helper()
	tokens, err := b.bearer.List(t.Context(), b.idOf(t, name), auth.Page{})
	require.NoError(t, err)
	return tokens
}

// saveView saves a picture of what the window shows, for example a dialog.
func (b *browser) saveView(t *testing.T, state string) {
	t.Helper()
	if dir := os.Getenv("AUTH_TEST_PICTURES"); dir != "" {
		picture := call(t, b, cdppage.CaptureScreenshot, cdppage.CaptureScreenshotParams{}).Data
		require.NoError(t, os.MkdirAll(dir, 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, state+".png"), picture, 0o644))
	}
}

// On paper there is nothing to click.
func TestBrowserSettings_print(t *testing.T) {
	t.Parallel()
	testbrowser.InCI(t)
	b := startBrowser(t)
	b.signedIn(t, "grace")
	b.fillTokens(t, 10, 13)
	b.open(t, developer)
	call(t, b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Media: "print"})
	for _, selector := range []string{".tabs", ".toolbar", ".row-actions", ".danger-zone"} {
		require.Equal(t, "none", act(t, b, chromedp.Evaluate[string](fmt.Sprintf("getComputedStyle(document.querySelector(%q)).display", selector))), selector)
	}
	b.saveView(t, "tokens-print")
}
