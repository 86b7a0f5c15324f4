package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth/examples/internal/testbrowser"
)

// eachState shows every state of the user interface, and calls visit for each.
func (b *browser) eachState(t *testing.T, visit func(state string)) {
	b.open(t)
	b.awaitText(t, "h1", "Sign in")
	visit("sign-in")
	b.submitSignIn(t, "wrong")
	b.awaitText(t, "#problem", "Wrong name or password.")
	visit("sign-in-wrong")
	b.submitSignIn(t, password)
	b.awaitText(t, ".card", "There are no notes yet.")
	b.awaitText(t, "#new-token", "New token")
	visit("empty")
	b.addNote(t, "Buy milk")
	b.awaitText(t, "#notes ~ .list", "Buy milk")
	b.addNote(t, strings.Repeat("w", 100))
	b.awaitText(t, "#notes ~ .list", "www")
	b.fillToken(t, "", "")
	b.awaitText(t, "#token-problem", "Please correct")
	visit("token-wrong")
	b.fillToken(t, "Nightly backup of all notes", readNotes)
	b.awaitText(t, "#created", "created")
	visit("token-created")
	b.press(t, "#created .plain")
	b.press(t, `button[aria-label^="Revoke the token"]`)
	b.awaitText(t, "dialog", "Revoke this token?")
	visit("revoke")
	b.press(t, "dialog .plain")
	b.awaitGone(t, "dialog")
	b.age(t)
	b.fillToken(t, "Deploy", writeNotes)
	b.awaitText(t, "dialog", "Your sign-in is too old")
	visit("too-old")
	b.press(t, "dialog .plain")
	b.awaitGone(t, "dialog")
	b.store.Down.Store(true)
	b.addNote(t, "Keep me")
	b.awaitText(t, "#outage", "You are still signed in.")
	visit("outage")
	b.open(t)
	b.awaitText(t, "#outage", "Please try again.")
	visit("outage-at-start")
	b.store.Down.Store(false)
	b.press(t, "#outage button")
	b.awaitText(t, "h1", "Hello, ada")
	b.revokeSessions(t)
	b.evaluate(t, `dispatchEvent(new Event("focus")), ""`)
	b.awaitText(t, "#notice", endedNotice)
	visit("ended")
}

// look emulates a color scheme and a width.
func (b *browser) look(t *testing.T, scheme string, width int64) {
	t.Helper()
	act(t, b, chromedp.EmulateViewport(width, 800))
	call(t, b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
	})
}

// TestBrowser_look checks every state with axe-core, whose file AUTH_TEST_AXE names, on a wide
// screen and on a narrow one. If AUTH_TEST_PICTURES names a folder, it also takes pictures.
func TestBrowser_look(t *testing.T) {
	t.Parallel()
	testbrowser.InCI(t)
	axe, pictures := testbrowser.ReadAxe(t), os.Getenv("AUTH_TEST_PICTURES")
	b := startBrowser(t, sameOrigin)
	act(t, b, chromedp.Navigate(b.page+"/none"))
	b.evaluate(t, `document.body.innerHTML = "<img src=x>"`)
	require.NotEmpty(t, testbrowser.Violations(t, b.ctx, axe), "the check works")
	b.eachState(t, func(state string) {
		b.look(t, "dark", 320)
		require.LessOrEqual(t, act(t, b, chromedp.Evaluate[int]("document.documentElement.scrollWidth")), 320, state)
		require.Empty(t, testbrowser.Violations(t, b.ctx, axe), state)
		b.look(t, "light", 1280)
		require.Empty(t, testbrowser.Violations(t, b.ctx, axe), state)
		if pictures != "" {
			b.takePictures(t, filepath.Join(pictures, "headless-"+state))
		}
	})
}

func (b *browser) takePictures(t *testing.T, path string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	for _, scheme := range []string{"light", "dark"} {
		for _, width := range []int64{320, 800, 1280} {
			b.look(t, scheme, width)
			picture := act(t, b, chromedp.FullScreenshot(100))
			require.NoError(t, os.WriteFile(fmt.Sprintf("%s-%s-%d.png", path, scheme, width), picture, 0o644))
		}
	}
	b.look(t, "light", 1280)
}
