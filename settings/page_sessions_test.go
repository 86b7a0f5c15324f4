package settings_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestSessionsPage_signOut(t *testing.T) {
	t.Parallel()
	s := newService(t)
	ada := s.signIn("ada")
	for userAgent := range devices {
		ada.signInFrom(userAgent)
	}
	text := ada.get("/sessions").page(http.StatusOK)
	first := between(t, text, "<tbody", "</tr>")
	require.Contains(t, first, "Firefox on Linux")
	require.Contains(t, first, "This session")
	require.Equal(t, 1, strings.Count(text, "This session"))

	other := s.signIn("ada")
	ada.get("/sessions/"+other.session.ID+"/end").page(http.StatusOK, "Sign out Firefox on Linux?")
	other.get("/").page(http.StatusOK)
	ada.post("/sessions/"+other.session.ID+"/end", nil).redirects("../../sessions?done=session_ended")
	other.get("/").status(http.StatusSeeOther)

	names := between(t, ada.get("/sessions/end").page(http.StatusOK), `<ul class="names">`, "</ul>")
	require.Contains(t, names, "Safari on iPhone, last seen")
	require.NotContains(t, names, "Firefox on Linux", "the current session is kept")
	ada.post("/sessions/end", nil).redirects("../sessions?done=sessions_ended")
	require.Len(t, ada.sessions(), 1)
	require.NotContains(t, ada.get("/sessions").page(http.StatusOK), "Sign out all others")

	got := ada.post("/sessions/"+ada.session.ID+"/end", nil)
	got.page(http.StatusOK, "Signed out", `<a class="button" href="/signin">`)
	require.Empty(t, got.Header().Get("Location"), "the sign-in page may redirect to another origin, which form-action forbids")
	require.Contains(t, got.Header().Get("Set-Cookie"), "Max-Age=0", "signed out")
	require.Empty(t, ada.sessions())
}

// A form redirects to a page of the settings, which does not redirect to the sign-in page
// if the session ended in between: that page may be on another origin, to which
// form-action forbids every redirect of a form.
func TestPage_noSecondRedirectAfterForm(t *testing.T) {
	t.Parallel()
	s := newService(t)
	ada := s.signIn("ada")
	got := ada.post("/tokens/revoke", nil)
	got.redirects("../?done=tokens_revoked")
	require.NoError(t, s.cookie.Revoke(t.Context(), "ada", ada.session.ID))
	ada.get("/?done=tokens_revoked").page(http.StatusUnauthorized, "You’re no longer signed in", `href="/signin?next=%2Faccount%2Fdeveloper%2F"`)
	require.Equal(t, http.StatusSeeOther, ada.get("/").Code)
}

// The record of a last use lags, but the current session is in use now.
func TestSessionsPage_currentIsSeenNow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newService(t)
		s.store.setFailing("Touch")
		ada := s.signIn("ada")
		time.Sleep(30 * time.Minute)
		row := between(t, ada.get("/sessions").page(http.StatusOK), "This session", "</tr>")
		require.Contains(t, row, ">just now<")
		require.Contains(t, row, ">30 minutes ago<", "the sign-in")
		s.cookie.Close(t.Context())
	})
}

func TestSessionsPage_hidesExpired(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newService(t, func(c *configs) { c.cookie.Lifetime, c.cookie.IdleTimeout = 10*time.Hour, time.Hour })
		s.signIn("ada")
		time.Sleep(2 * time.Hour)
		ada := s.signIn("ada")
		require.Equal(t, 1, strings.Count(ada.get("/sessions").page(http.StatusOK), `class="name"`))
		require.Len(t, ada.get("/api/sessions").object()["sessions"], 1)
		require.NoError(t, s.cookie.Close(t.Context()))
	})
}

// A session that a shorter Lifetime has ended is not listed.
func TestSessionsPage_shorterLifetime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		before := newService(t, func(c *configs) { c.cookie.Lifetime = 10 * time.Hour })
		old := before.signIn("ada")
		after := newService(t, func(c *configs) { c.cookie.Lifetime = time.Hour })
		after.store.Store = before.store
		time.Sleep(time.Hour)
		old.service = after
		old.get("/sessions").status(http.StatusSeeOther)
		ada := after.signIn("ada")
		require.Equal(t, 1, strings.Count(ada.get("/sessions").page(http.StatusOK), `class="name"`))
		require.Len(t, ada.get("/api/sessions").object()["sessions"], 1)
		require.NoError(t, after.cookie.Close(t.Context()))
	})
}
