package settings_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
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
	require.Contains(t, first, "This device")
	require.Equal(t, 1, strings.Count(text, "This device"))

	other := s.signIn("ada")
	ada.get("/sessions/"+other.session.ID+"/end").page(http.StatusOK, "End this session?", "Firefox on Linux")
	other.get("/").page(http.StatusOK)
	ada.post("/sessions/"+other.session.ID+"/end", nil).redirects("../../sessions?done=session_ended")
	other.get("/").status(http.StatusSeeOther)

	names := between(t, ada.get("/sessions/end").page(http.StatusOK), `<ul class="names">`, "</ul>")
	require.Contains(t, names, "Safari on iPhone, last seen")
	require.NotContains(t, names, "Firefox on Linux", "the current session is kept")
	ada.post("/sessions/end", nil).redirects("../sessions?done=sessions_ended")
	require.Len(t, ada.sessions(), 1)
	require.NotContains(t, ada.get("/sessions").page(http.StatusOK), "End all other sessions")

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
		row := between(t, ada.get("/sessions").page(http.StatusOK), "This device", "</tr>")
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

// Sessions name where they come from, and those that support staff have started.
func TestSessionsPage_origin(t *testing.T) {
	t.Parallel()
	s := newService(t)
	ada := s.signIn("ada")
	require.NotContains(t, ada.get("/sessions").page(http.StatusOK), `class="address"`, "unknown without WithClientAddr")
	require.NotContains(t, ada.get("/sessions/"+ada.session.ID+"/end").page(http.StatusOK), "Address")
	staff := netip.MustParseAddr("::ffff:203.0.113.9")
	r := httptest.NewRequest("POST", origin+"/support", nil)
	support := s.startSession(httptest.NewRecorder(), r.WithContext(auth.WithClientAddr(r.Context(), staff)), "ada", auth.SessionOptions{Actor: "grace@example.com"})

	text := ada.get("/sessions", fromAddr).page(http.StatusOK)
	own, others, _ := strings.Cut(between(t, text, "<tbody", "</tbody>"), "</tr>")
	require.Contains(t, own, `class="address"><code>198.51.100.7</code>`, "the address of this request")
	require.NotContains(t, own, "support")
	require.Contains(t, others, `class="address"><code>203.0.113.9</code>`)
	require.Contains(t, others, "Signed in for you by support")
	require.NotContains(t, text, "grace", "who it is is up to the service")

	asked := ada.get("/sessions/"+support.session.ID+"/end").page(http.StatusOK, "203.0.113.9", "Support, for you")
	require.NotContains(t, asked, "grace")
	own = ada.get("/sessions/"+ada.session.ID+"/end").page(http.StatusOK, "<h1>Sign out?</h1>", "You will be signed out")
	require.NotContains(t, own, "Support, for you")
}
