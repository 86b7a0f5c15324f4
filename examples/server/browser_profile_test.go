package main

import (
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth/examples/internal/testbrowser"
)

// The product's documentation says that the client secret is seen on the My Profile page, in the
// section titled Developer Settings.
func TestBrowserProfile_reveal(t *testing.T) {
	t.Parallel()
	b := startBrowser(t)
	b.signedIn(t, "ada")
	require.Equal(t, "Developer Settings", b.text(t, "#developer"))
	require.NotContains(t, b.source(t), b.Secret)
	b.press(t, `section[aria-labelledby="developer"] form button`)
	require.Equal(t, "Your client secret", b.text(t, "h1"))
	require.Contains(t, b.source(t), b.Secret)
	require.NotContains(t, act(t, b, chromedp.Location()), b.Secret)
}

// frame is what must not change between the profile and the settings: where the bar, its parts and
// the content are, and their colors.
const frame = `(() => {
	const box = s => { const r = document.querySelector(s).getBoundingClientRect(); return [s, r.left, r.top, r.width, r.height] };
	const left = s => { const r = document.querySelector(s).getBoundingClientRect(); return [s, r.left, r.width] };
	const style = s => getComputedStyle(document.querySelector(s));
	return JSON.stringify([
		box(".bar"), box(".brand"), box(".bar nav a"), box(".bar .account bdi"), box(".bar .account button"), left("main"), left(".card"),
		style(".bar").borderTopColor, style(".bar").backgroundColor, style("body").backgroundColor, style("body").font, style("h1").font,
		style(".card").borderColor, style(".bar a").color, style(".bar button").borderColor, style(":root").getPropertyValue("--accent"),
	], null, 1);
})()`

func TestBrowserProfile_sameFrame(t *testing.T) {
	t.Parallel()
	testbrowser.InCI(t)
	b := startBrowser(t)
	b.signedIn(t, "ada")
	for _, scheme := range []string{"light", "dark"} {
		for _, width := range []int64{1280, 800, 320} {
			b.look(t, scheme, width)
			b.open(t, "/profile")
			profile := act(t, b, chromedp.Evaluate[string](frame))
			b.open(t, developer+"secret")
			require.Equal(t, profile, act(t, b, chromedp.Evaluate[string](frame)), "%s, %d", scheme, width)
		}
	}
}
