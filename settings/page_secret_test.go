package settings_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/settings"
)

// secretID returns the ID in the form on a page.
func secretID(t *testing.T, page string) url.Values {
	t.Helper()
	return url.Values{"id": {between(t, page, `name="id" value="`, `"`)}}
}

// newSecret fills in the form for a new secret.
func newSecret() url.Values { return url.Values{"idempotency": {auth.NewIdempotency()}} }

func TestSecretPage_create(t *testing.T) {
	t.Parallel()
	s := newService(t, withExamples)
	ada := s.signIn("ada")
	ada.get("/secret").page(http.StatusOK, "You have no client secret", "secret/create")
	ada.post("/secret/reveal", url.Values{"id": {"absent"}}).page(http.StatusNotFound)
	ada.get("/secret/rotate").page(http.StatusNotFound)
	ada.get("/secret/revoke").page(http.StatusNotFound)

	first := plaintext(ada.post("/secret/create", newSecret()).page(http.StatusOK, "Client secret created", "Authorization: Secret "))
	require.True(t, s.works(auth.SchemeSecret, first))
	require.Empty(t, plaintext(ada.post("/secret/create", newSecret()).page(http.StatusConflict)))
	text := ada.get("/secret").page(http.StatusOK, "acme_cs_…"+first[len(first)-4:], "Reveal")
	require.NotContains(t, text, first)
	require.NotContains(t, text, "Previous secret")

	s.events.take()
	require.Equal(t, first, plaintext(ada.post("/secret/reveal", secretID(t, text)).page(http.StatusOK, "Your client secret")))
	require.Equal(t, auth.EventRevealed, s.events.take()[0].Type)
}

// A form that is sent again creates no second secret, even after the first one was revoked.
func TestSecretPage_submitTwice(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newService(t)
		ada := s.signIn("ada")
		form := newToken(ada.get("/secret").page(http.StatusOK))
		require.NotEmpty(t, plaintext(ada.post("/secret/create", form).page(http.StatusOK)))
		ada.post("/secret/create", form).page(http.StatusConflict, "or had one that this form created")
		require.NoError(t, s.secret.Revoke(t.Context(), "ada", ada.secrets()[0].ID))
		ada.post("/secret/create", form).page(http.StatusConflict, "or had one that this form created")
		require.Empty(t, ada.secrets())
		require.NotEmpty(t, plaintext(ada.post("/secret/create", newSecret()).page(http.StatusOK)))

		form = newSecret()
		time.Sleep(24*time.Hour + time.Second)
		ada = s.signIn("ada")
		_, err := s.secret.RevokeAll(t.Context(), "ada")
		require.NoError(t, err)
		for _, value := range [][]string{form["idempotency"], {""}, nil, {"z"}} {
			ada.post("/secret/create", url.Values{"idempotency": value}).page(http.StatusBadRequest, "This page was open for too long")
		}
		require.Empty(t, ada.secrets())
	})
}

func TestSecretPage_rotate(t *testing.T) {
	t.Parallel()
	s := newService(t)
	ada := s.signIn("ada")
	first, _ := ada.createSecret()
	form := secretID(t, ada.get("/secret/rotate").page(http.StatusOK, "7 days"))
	for _, invalid := range []string{"", "169h"} {
		form.Set("overlap", invalid)
		ada.post("/secret/rotate", form).page(http.StatusBadRequest, "Choose when the old one")
	}
	form.Set("overlap", "168h0m0s")
	second := plaintext(ada.post("/secret/rotate", form).page(http.StatusOK, "Client secret rotated"))
	for _, overlap := range []string{"168h0m0s", "0s", "169h"} {
		form.Set("overlap", overlap)
		require.Empty(t, plaintext(ada.post("/secret/rotate", form).page(http.StatusConflict, "It was changed in the meantime")))
	}
	require.True(t, s.works(auth.SchemeSecret, first), "submitting the form again changed nothing")
	require.True(t, s.works(auth.SchemeSecret, second))
	ada.get("/secret").page(http.StatusOK, "Previous secret", "in 7 days")
	ada.get("/secret/rotate").page(http.StatusOK, "The previous one stops working immediately")
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

	form := secretID(t, ada.get("/secret/revoke").page(http.StatusOK, current.Hint))
	ada.post("/secret/revoke", form).redirects("../secret?done=secret_revoked")
	require.False(t, s.works(auth.SchemeSecret, second))
	ada.post("/secret/revoke", form).page(http.StatusNotFound)
}

// Forms that were rendered for an older secret, or name none, change and reveal nothing.
func TestSecretPage_olderSecret(t *testing.T) {
	t.Parallel()
	s := newService(t)
	ada := s.signIn("ada")
	_, first := ada.createSecret()
	forms := map[string]url.Values{
		"/secret/reveal": secretID(t, ada.get("/secret").page(http.StatusOK)),
		"/secret/rotate": secretID(t, ada.get("/secret/rotate").page(http.StatusOK)),
		"/secret/revoke": secretID(t, ada.get("/secret/revoke").page(http.StatusOK)),
	}
	_, second := ada.rotateSecret(first.ID)
	third, c := ada.rotateSecret(second.ID)
	before := ada.secrets()
	for path, form := range forms {
		require.Equal(t, first.ID, form.Get("id"), path)
		for id, status := range map[string]int{first.ID: http.StatusConflict, second.ID: http.StatusConflict, "": http.StatusBadRequest} {
			text := ada.post(path, url.Values{"id": {id}, "overlap": {"0s"}}).page(status)
			require.NotContains(t, text, third, "%s of %q", path, id)
		}
	}
	require.Equal(t, before, ada.secrets())
	require.Equal(t, c.ID, ada.secrets()[0].ID)
	require.True(t, s.works(auth.SchemeSecret, third))
}

// An expired secret counts as none.
func TestSecretPage_expired(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newService(t)
		ada := s.signIn("ada")
		_, _, err := s.secret.Issue(t.Context(), "ada", auth.SecretOptions{Scopes: []string{auth.FullAccess}, Lifetime: time.Minute})
		require.NoError(t, err)
		form := secretID(t, ada.get("/secret").page(http.StatusOK, "Current secret"))
		form.Set("overlap", "0s")
		time.Sleep(time.Minute)
		require.NotContains(t, ada.get("/secret").page(http.StatusOK, "You have no client secret"), "Current secret")
		for _, path := range []string{"/secret/reveal", "/secret/rotate", "/secret/revoke"} {
			ada.post(path, form).page(http.StatusNotFound)
		}
		ada.get("/secret/rotate").page(http.StatusNotFound)
		ada.get("/secret/revoke").page(http.StatusNotFound)
		require.NotEmpty(t, plaintext(ada.post("/secret/create", newSecret()).page(http.StatusOK)))
	})
}

// A card says where a secret was created and last used, and what is unusual about it.
func TestSecretPage_facts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newService(t)
		ada := s.signIn("ada")
		_, c := ada.createSecret()
		text := ada.get("/secret").page(http.StatusOK)
		for _, term := range []string{">Expires<", ">Networks<", ">Access<", `class="from"`} {
			require.NotContains(t, text, term, "full access, from anywhere, without an end")
		}
		require.NoError(t, s.secret.Revoke(t.Context(), "ada", c.ID))

		ctx := auth.WithClientAddr(t.Context(), clientAddr)
		plaintext, c, err := s.secret.Issue(ctx, "ada", auth.SecretOptions{
			Scopes: []string{"notes:read"}, Lifetime: 30 * 24 * time.Hour, Networks: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")},
		})
		require.NoError(t, err)
		time.Sleep(5 * time.Minute)
		r := httptest.NewRequest("GET", origin+"/api", nil).WithContext(ctx)
		r.Header.Set("Authorization", "Secret "+plaintext)
		_, err = new(auth.Middleware).Authenticate(r, s.secret)
		require.NoError(t, err)
		require.NoError(t, s.secret.Close(t.Context()))
		for _, path := range []string{"/secret", "/secret/revoke"} {
			text := ada.get(path).page(http.StatusOK, "<code>notes:read</code>", "<code>198.51.100.0/24</code>", ">in 30 days<")
			require.Regexp(t, `Created</dt><dd><time[^>]*>5 minutes ago</time> <span class="hint"><time[^>]*>2000-01-01 UTC</time></span> <span class="from">from <code>198\.51\.100\.7</code>`, text)
			require.Regexp(t, `Last used</dt><dd><time[^>]*>just now</time> <span class="hint"><time[^>]*>2000-01-01 UTC</time></span> <span class="from">from <code>198\.51\.100\.7</code>`, text)
		}
		require.NoError(t, s.cookie.Close(t.Context()))
	})
}

func TestSecretPage_notRevealable(t *testing.T) {
	t.Parallel()
	s := newService(t, func(c *configs) { c.secret.RevealKeys = nil })
	ada := s.signIn("ada")
	ada.post("/secret/create", newSecret()).page(http.StatusOK, "You won’t be able to see it again")
	require.NotContains(t, ada.get("/secret").page(http.StatusOK), "Reveal")
	id := ada.secrets()[0].ID
	form := url.Values{"id": {id}}
	ada.post("/secret/reveal", form).page(http.StatusConflict, "was shown once")

	// A reveal key that is added later does not reveal earlier secrets.
	later, err := auth.NewSecret(s.store, auth.SecretConfig{Prefix: "acme_cs", RevealKeys: auth.Keys{testKey(3)}})
	require.NoError(t, err)
	h, err := settings.New(settings.Config{Bearer: s.bearer, Cookie: s.cookie, Secret: later, SignInPath: "/signin"})
	require.NoError(t, err)
	s.Handler = http.StripPrefix(mount, h)
	require.NotContains(t, ada.get("/secret").page(http.StatusOK), "Reveal")
	ada.post("/secret/reveal", form).page(http.StatusConflict, "was shown once")
	ada.json("POST", "/api/secret/reveal", secretJSON(id)).problem(http.StatusConflict, "not_revealable")
}
