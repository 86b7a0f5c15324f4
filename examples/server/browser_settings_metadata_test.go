package main

import (
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth/settings"
)

// Both forms of a token have fields for the metadata that users may set, on a narrow screen too.
func TestBrowserSettings_metadata(t *testing.T) {
	t.Parallel()
	b := startBrowser(t)
	cfg := b.settingsConfig()
	cfg.MetadataKeys = []settings.MetadataKey{{Key: "team", Label: "Team"}, {Key: "ticket", Label: "Ticket"}}
	b.replaceSettings(t, cfg)
	b.signedIn(t, "grace")
	b.open(t, developer+"tokens/new")
	b.requireFits(t, "token-new-metadata")
	b.fillToken(t, "Nightly backup")
	act(t, b, chromedp.SendKeys(chromedp.CSS("#metadata-1"), "OPS-12"))
	b.press(t, "main form button[type=submit]")
	require.Equal(t, "Token “Nightly backup” created", b.text(t, "h1"))

	id := b.tokenID(t, b.idOf(t, "grace"), "Nightly backup")
	b.open(t, developer+"tokens/"+id+"/edit")
	require.Equal(t, "OPS-12", b.value(t, "#metadata-1"))
	act(t, b, chromedp.SendKeys(chromedp.CSS("#metadata-0"), "Backups"))
	act(t, b, chromedp.Clear(chromedp.CSS("#name")))
	b.submitInvalid(t)
	require.Equal(t, "Backups", b.value(t, "#metadata-0"), "the form keeps what was typed")
	b.requireFits(t, "token-edit-metadata-invalid")
	act(t, b, chromedp.SendKeys(chromedp.CSS("#name"), "Backup"))
	b.press(t, "main form button[type=submit]")
	require.Equal(t, "Your changes were saved.", b.text(t, `[role="status"]`))
	require.Contains(t, b.text(t, "main dl"), "Backups")
	b.requireFits(t, "token-metadata")
}
