package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The button in the bar of the settings signs out.
func TestBrowserSettings_signOut(t *testing.T) {
	t.Parallel()
	b := startBrowser(t)
	b.signedIn(t, "ada")
	b.open(t, developer)
	require.Equal(t, "ada", b.text(t, ".bar .account bdi"))
	b.press(t, ".bar .account button")
	require.Equal(t, "Signed out", b.text(t, "h1"))
	require.Empty(t, b.cookies(t))
	require.Empty(t, b.sessionsOf(t, "ada"))
}

// To end another session, a user signs in again and returns to the question.
func TestBrowserSettings_recentForRevoke(t *testing.T) {
	t.Parallel()
	b := startBrowser(t)
	b.signedIn(t, "ada")
	b.newSession(t, b.idOf(t, "ada"), "curl/8.5.0")
	b.open(t, developer+"sessions")
	cfg := b.settingsConfig()
	cfg.RecentForRevoke, cfg.MaxAge = true, time.Nanosecond
	b.replaceSettings(t, cfg)
	b.press(t, `a[href$="sessions/end"]`)
	require.Equal(t, "Sign in", b.text(t, "h1"))
	require.Equal(t, developer+"sessions/end", b.value(t, `[name="next"]`))
	require.Len(t, b.sessionsOf(t, "ada"), 2)

	cfg.MaxAge = time.Minute
	b.replaceSettings(t, cfg)
	b.signIn(t, "ada", b.Passwords["ada"])
	require.Equal(t, "End all other sessions?", b.text(t, "h1"))
	b.press(t, ".confirm button")
	require.Len(t, b.sessionsOf(t, "ada"), 1)
}
