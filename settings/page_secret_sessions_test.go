package settings_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/settings"
)

func TestSecretPage(t *testing.T) {
	t.Parallel()
	s := newService(t)
	ada := s.signIn("ada")
	ada.get("/secret").page(http.StatusOK, "You have no client secret", "secret/create")
	ada.post("/secret/reveal", nil).page(http.StatusNotFound)
	ada.get("/secret/rotate").page(http.StatusNotFound)
	ada.get("/secret/revoke").page(http.StatusNotFound)

	first := plaintext(ada.post("/secret/create", nil).page(http.StatusOK, "Client secret created", "Authorization: Secret "))
	require.True(t, s.works(auth.SchemeSecret, first))
	require.Empty(t, plaintext(ada.post("/secret/create", nil).page(http.StatusConflict)))
	text := ada.get("/secret").page(http.StatusOK, "acme_cs_…"+first[len(first)-4:], "Reveal")
	require.NotContains(t, text, first)
	require.NotContains(t, text, "Previous secret")

	s.events.take()
	require.Equal(t, first, plaintext(ada.post("/secret/reveal", nil).page(http.StatusOK, "Your client secret")))
	require.Equal(t, auth.EventRevealed, s.events.take()[0].Kind)

	page := ada.get("/secret/rotate").page(http.StatusOK, "7 days")
	form := url.Values{"id": {between(t, page, `name="id" value="`, `"`)}, "overlap": {"168h0m0s"}}
	ada.post("/secret/rotate", url.Values{"id": form["id"]}).page(http.StatusBadRequest, "Choose how long")
	ada.post("/secret/rotate", url.Values{"id": form["id"], "overlap": {"169h"}}).page(http.StatusBadRequest, "Choose how long")
	second := plaintext(ada.post("/secret/rotate", form).page(http.StatusOK, "Client secret rotated"))
	for range 2 {
		require.Empty(t, plaintext(ada.post("/secret/rotate", form).page(http.StatusConflict, "It was changed in the meantime")))
	}
	require.True(t, s.works(auth.SchemeSecret, first), "the form that was sent again ended nothing")
	require.True(t, s.works(auth.SchemeSecret, second))
	ada.get("/secret").page(http.StatusOK, "Previous secret", "in 7 days")
	ada.get("/secret/rotate").page(http.StatusOK, "The previous one, which still works, stops working now")

	previous := "/secret/previous/" + ada.secrets()[1].ID + "/revoke"
	ada.get(previous).page(http.StatusOK, "Revoke the previous secret now?", ada.secrets()[1].Hint)
	ada.post("/secret/previous/"+ada.secrets()[0].ID+"/revoke", nil).page(http.StatusConflict)
	ada.post(previous, nil).redirects("../../../secret?done=previous_revoked")
	require.False(t, s.works(auth.SchemeSecret, first))
	require.True(t, s.works(auth.SchemeSecret, second))
	ada.post(previous, nil).page(http.StatusNotFound)

	ada.get("/secret/revoke").page(http.StatusOK, ada.secrets()[0].Hint)
	ada.post("/secret/revoke", nil).redirects("../secret?done=secret_revoked")
	require.False(t, s.works(auth.SchemeSecret, second))
}

func TestSecretsThatAreShownOnce(t *testing.T) {
	t.Parallel()
	s := newService(t, func(c *configs) { c.secret.RevealKeys = nil })
	ada := s.signIn("ada")
	ada.post("/secret/create", nil).page(http.StatusOK, "It will not be shown again")
	require.NotContains(t, ada.get("/secret").page(http.StatusOK), "Reveal")
	ada.post("/secret/reveal", nil).page(http.StatusConflict, "was shown once")

	// Nor does a key that came later show what was made before.
	later, err := auth.NewSecret(s.store, auth.SecretConfig{Prefix: "acme_cs", RevealKeys: auth.Keys{testKey(3)}})
	require.NoError(t, err)
	h, err := settings.New(settings.Config{Bearer: s.bearer, Cookie: s.cookie, Secret: later, SignInPath: "/signin"})
	require.NoError(t, err)
	s.Handler = http.StripPrefix(mount, h)
	require.NotContains(t, ada.get("/secret").page(http.StatusOK), "Reveal")
	ada.post("/secret/reveal", nil).page(http.StatusConflict, "was shown once")
	ada.json("POST", "/api/secret/reveal", "").problem(http.StatusConflict, "not_revealable")
}

func TestSessionsPage(t *testing.T) {
	t.Parallel()
	s := newService(t)
	ada := s.signIn("ada")
	agents := map[string]string{
		"Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/19.0 Mobile/15E148 Safari/604.1": "Safari on iPhone",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0":           "Edge on Windows",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36":                   "Chrome on macOS",
		"Mozilla/5.0 (Linux; Android 15; K) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/28.0 Chrome/130.0.0.0 Mobile Safari/537.36":     "Samsung Internet on Android",
		"Mozilla/5.0 (iPad; CPU OS 19_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/140.0 Mobile/15E148 Safari/604.1":           "Chrome on iPad",
		"curl/8.5.0":               "curl",
		"":                         "Unknown device",
		"Mozilla/5.0 (compatible)": "Unknown device",
	}
	for agent := range agents {
		r := httptest.NewRequest("POST", origin, nil)
		r.Header.Set("User-Agent", agent)
		_, err := s.cookie.SignIn(httptest.NewRecorder(), r, "ada", auth.NewSession{})
		require.NoError(t, err)
	}
	text := ada.get("/sessions").page(http.StatusOK)
	for agent, device := range agents {
		require.Contains(t, text, `class="name">`+device+`<`, agent)
	}
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
	require.NotContains(t, names, "Firefox on Linux", "this one goes on")
	ada.post("/sessions/end", nil).redirects("../sessions?done=sessions_ended")
	require.Len(t, ada.sessions(), 1)
	require.NotContains(t, ada.get("/sessions").page(http.StatusOK), "Sign out all others")

	got := ada.post("/sessions/"+ada.session.ID+"/end", nil)
	got.redirects("/signin")
	require.Contains(t, got.Header().Get("Set-Cookie"), "Max-Age=0", "signed out")
	require.Empty(t, ada.sessions())
}

// The record of a last use is behind; that this session is used now is certain.
func TestThisSessionIsSeenNow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newService(t)
		s.store.setFailing("Touch")
		ada := s.signIn("ada")
		time.Sleep(30 * time.Minute)
		row := between(t, ada.get("/sessions").page(http.StatusOK), "This session", "</tr>")
		require.Contains(t, row, ">just now<")
		require.Contains(t, row, ">30 minutes ago<", "when it started")
		s.cookie.Close(t.Context())
	})
}

// Sessions by which nobody can come in are not worth a line.
func TestSessionsThatHaveEndedAreNotShown(t *testing.T) {
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
