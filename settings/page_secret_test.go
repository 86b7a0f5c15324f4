package settings_test

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/settings"
)

func TestSecretPage_create(t *testing.T) {
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
}

func TestSecretPage_rotate(t *testing.T) {
	t.Parallel()
	s := newService(t)
	ada := s.signIn("ada")
	first, _ := ada.createSecret()
	page := ada.get("/secret/rotate").page(http.StatusOK, "7 days")
	form := url.Values{"id": {between(t, page, `name="id" value="`, `"`)}, "overlap": {"168h0m0s"}}
	ada.post("/secret/rotate", url.Values{"id": form["id"]}).page(http.StatusBadRequest, "Choose how long")
	ada.post("/secret/rotate", url.Values{"id": form["id"], "overlap": {"169h"}}).page(http.StatusBadRequest, "Choose how long")
	second := plaintext(ada.post("/secret/rotate", form).page(http.StatusOK, "Client secret rotated"))
	for range 2 {
		require.Empty(t, plaintext(ada.post("/secret/rotate", form).page(http.StatusConflict, "It was changed in the meantime")))
	}
	require.True(t, s.works(auth.SchemeSecret, first), "submitting the form again changed nothing")
	require.True(t, s.works(auth.SchemeSecret, second))
	ada.get("/secret").page(http.StatusOK, "Previous secret", "in 7 days")
	ada.get("/secret/rotate").page(http.StatusOK, "The previous one, which still works, stops working now")
}

func TestSecretPage_revoke(t *testing.T) {
	t.Parallel()
	s := newService(t)
	ada := s.signIn("ada")
	first, old := ada.createSecret()
	second, current := ada.rotateSecret(old.ID)
	previous := "/secret/previous/" + old.ID + "/revoke"
	ada.get(previous).page(http.StatusOK, "Revoke the previous secret now?", old.Hint)
	ada.post("/secret/previous/"+current.ID+"/revoke", nil).page(http.StatusConflict)
	ada.post(previous, nil).redirects("../../../secret?done=previous_revoked")
	require.False(t, s.works(auth.SchemeSecret, first))
	require.True(t, s.works(auth.SchemeSecret, second))
	ada.post(previous, nil).page(http.StatusNotFound)

	ada.get("/secret/revoke").page(http.StatusOK, current.Hint)
	ada.post("/secret/revoke", nil).redirects("../secret?done=secret_revoked")
	require.False(t, s.works(auth.SchemeSecret, second))
}

func TestSecretPage_notRevealable(t *testing.T) {
	t.Parallel()
	s := newService(t, func(c *configs) { c.secret.RevealKeys = nil })
	ada := s.signIn("ada")
	ada.post("/secret/create", nil).page(http.StatusOK, "It will not be shown again")
	require.NotContains(t, ada.get("/secret").page(http.StatusOK), "Reveal")
	ada.post("/secret/reveal", nil).page(http.StatusConflict, "was shown once")

	// A reveal key that is added later does not reveal earlier secrets.
	later, err := auth.NewSecret(s.store, auth.SecretConfig{Prefix: "acme_cs", RevealKeys: auth.Keys{testKey(3)}})
	require.NoError(t, err)
	h, err := settings.New(settings.Config{Bearer: s.bearer, Cookie: s.cookie, Secret: later, SignInPath: "/signin"})
	require.NoError(t, err)
	s.Handler = http.StripPrefix(mount, h)
	require.NotContains(t, ada.get("/secret").page(http.StatusOK), "Reveal")
	ada.post("/secret/reveal", nil).page(http.StatusConflict, "was shown once")
	ada.json("POST", "/api/secret/reveal", "").problem(http.StatusConflict, "not_revealable")
}
