package main

import (
	"context"
	"crypto/rand"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/settings"
)

const developer = "/profile/developer/"

// eachSettingsState shows every state of the settings, and calls visit for each.
func (b *browser) eachSettingsState(t *testing.T, visit func(state string)) {
	b.signedIn(t, "grace")
	b.tokenStates(t, visit)
	b.rotationStates(t, visit)
	b.limitStates(t, visit)
	b.secretStates(t, visit)
	b.sessionStates(t, visit)
	b.open(t, "/profile")
	visit("profile")
	b.openState(t, "not-found", "tokens/absent/revoke", visit)
	cfg := b.configIn(t, act(t, b, chromedp.Evaluate[string]("document.documentElement.lang")))
	_, err := b.bearer.RevokeAll(t.Context(), b.idOf(t, "grace"))
	require.NoError(t, err)
	b.outageStates(t, cfg, visit)
	b.replaceSettings(t, cfg)
	b.open(t, developer+"tokens/new")
	cfg.MaxAge = time.Nanosecond
	b.replaceSettings(t, cfg)
	b.fillToken(t, "Late")
	b.press(t, "main form button[type=submit]")
	visit("sign-in-again")
	b.open(t, developer+"sessions/"+b.sessionsOf(t, "grace")[0].ID+"/end")
	b.press(t, ".confirm button")
	visit("signed-out")
	b.signedIn(t, "grace")
}

func (b *browser) openState(t *testing.T, state, path string, visit func(string)) {
	t.Helper()
	b.open(t, developer+path)
	visit(state)
}

func (b *browser) tokenStates(t *testing.T, visit func(state string)) {
	b.openState(t, "tokens-empty", "", visit)
	b.openState(t, "token-new", "tokens/new", visit)
	b.submitInvalid(t)
	visit("token-new-wrong")
	b.fillToken(t, "Nightly backup")
	b.press(t, "main form button[type=submit]")
	visit("token-created")
	b.openState(t, "token-new-filled", "tokens/new?name=Nightly+backup&expires_in=45&scopes="+url.QueryEscape(readNotes), visit)
	b.openState(t, "tokens-older", "?after=0", visit)

	for _, token := range []auth.TokenOptions{
		{Name: "Deploy from the build server of the second floor", Scopes: []string{readNotes, writeNotes}, Lifetime: 90 * 24 * time.Hour},
		{Name: "Old laptop", Scopes: []string{auth.FullAccess}, Lifetime: auth.NoExpiry},
	} {
		_, _, err := b.bearer.Issue(t.Context(), b.idOf(t, "grace"), token)
		require.NoError(t, err)
	}
	b.importExpired(t, "Trial")
	b.openState(t, "tokens", "", visit)
}

func (b *browser) rotationStates(t *testing.T, visit func(state string)) {
	grace := b.idOf(t, "grace")
	id := b.tokenID(t, grace, "Nightly backup")
	b.openState(t, "token", "tokens/"+id, visit)
	b.openState(t, "token-shown-once", "tokens/"+id+"?shown=token", visit)
	b.openState(t, "token-edit", "tokens/"+id+"/edit", visit)
	b.openState(t, "token-rotate", "tokens/"+id+"/rotate", visit)
	b.submitInvalid(t)
	visit("token-rotate-wrong")
	b.choose(t, `input[value="24h0m0s"]`)
	b.press(t, "main form button[type=submit]")
	visit("token-rotated")
	b.openState(t, "tokens-overlap", "", visit)
	b.openState(t, "token-overlap", "tokens/"+id, visit)
	b.openState(t, "token-revoke", "tokens/"+id+"/revoke", visit)
	b.press(t, "main form button[type=submit]")
	visit("token-revoked")
	_, long, err := b.bearer.Issue(t.Context(), grace, auth.TokenOptions{
		Name: strings.Repeat("w", 255), Scopes: []string{auth.FullAccess}, Lifetime: 24 * time.Hour,
	})
	require.NoError(t, err)
	b.openState(t, "tokens-long-name", "", visit)
	b.openState(t, "token-long-name", "tokens/"+long.ID, visit)
	b.openState(t, "token-revoke-long-name", "tokens/"+long.ID+"/revoke", visit)
	b.openState(t, "tokens-revoke-all", "tokens/revoke", visit)
}

// limitStates gives grace as many tokens as the service allows, while a form is open.
func (b *browser) limitStates(t *testing.T, visit func(state string)) {
	b.open(t, developer+"tokens/new")
	b.fillToken(t, "One too many")
	for err := error(nil); err == nil; {
		_, _, err = b.bearer.Issue(t.Context(), b.idOf(t, "grace"), auth.TokenOptions{Name: "Worker", Scopes: []string{readNotes}, Lifetime: time.Hour})
		if err != nil {
			require.ErrorIs(t, err, auth.ErrLimit)
		}
	}
	b.press(t, "main form button[type=submit]")
	visit("token-new-limit-sent")
	b.openState(t, "token-new-limit", "tokens/new", visit)
	b.openState(t, "tokens-none-found", "?search=nothing&state=active", visit)
}

// outageStates shows what users see while the store of the tokens is unavailable.
func (b *browser) outageStates(t *testing.T, cfg settings.Config, visit func(state string)) {
	store := &failingStore{Store: b.storage.Credentials}
	var err error
	cfg.Bearer, err = auth.NewBearer(store, auth.BearerConfig{Scopes: []string{readNotes, writeNotes}, Observe: func(context.Context, auth.Event) {}})
	require.NoError(t, err)
	b.replaceSettings(t, cfg)
	b.open(t, developer+"tokens/new")
	b.fillToken(t, "Nightly backup")
	store.failing.Store(true)
	b.press(t, "main form button[type=submit]")
	visit("token-new-unknown")
	b.openState(t, "unavailable", "", visit)
	store.failing.Store(false)
	b.open(t, developer+"tokens/revoke")
	store.failing.Store(true)
	b.press(t, ".confirm button")
	visit("tokens-revoke-all-unknown")
}

func (b *browser) secretStates(t *testing.T, visit func(state string)) {
	b.openState(t, "secret", "secret", visit)
	b.press(t, `form[action$="reveal"] button`)
	visit("secret-revealed")
	b.openState(t, "secret-rotate", "secret/rotate", visit)
	b.choose(t, `input[value="24h0m0s"]`)
	b.press(t, "main form button[type=submit]")
	visit("secret-rotated")
	b.openState(t, "secret-overlap", "secret", visit)
	secrets, err := b.secret.List(t.Context(), b.idOf(t, "grace"), auth.Page{})
	require.NoError(t, err)
	b.openState(t, "secret-end-previous", "secret/previous/"+secrets[1].ID+"/revoke", visit)
	b.openState(t, "secret-revoke", "secret/revoke", visit)
	b.press(t, "main form button[type=submit]")
	visit("secret-empty")
}

func (b *browser) sessionStates(t *testing.T, visit func(state string)) {
	for _, agent := range []string{
		"Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/19.0 Mobile/15E148 Safari/604.1",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0",
	} {
		b.newSession(t, b.idOf(t, "grace"), agent)
	}
	b.newSessionFrom(t, b.idOf(t, "grace"), "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
		"2001:db8:85a3:8d3:1319:8a2e:370:7348", auth.SessionOptions{Actor: b.idOf(t, "ada")})
	b.openState(t, "sessions", "sessions", visit)
	b.openState(t, "session-end", "sessions/"+b.sessionsOf(t, "grace")[0].ID+"/end", visit)
	b.openState(t, "sessions-end-all", "sessions/end", visit)
	b.press(t, "main form button[type=submit]")
	visit("sessions-ended")
}

// importExpired creates a token for grace that has expired.
func (b *browser) importExpired(t *testing.T, name string) {
	t.Helper()
	bearer, err := auth.NewBearer(b.storage.Credentials, auth.BearerConfig{})
	require.NoError(t, err)
	expires := time.Now().Add(100 * time.Millisecond)
	_, err = bearer.Import(t.Context(), b.idOf(t, "grace"), rand.Text(), auth.ImportOptions{
		TokenOptions: auth.TokenOptions{Name: name, Scopes: []string{readNotes}}, ExpiresAt: expires,
	})
	require.NoError(t, err)
	<-time.After(time.Until(expires))
}

// submitInvalid submits an incomplete form, without the validation of the browser.
func (b *browser) submitInvalid(t *testing.T) {
	t.Helper()
	act(t, b, chromedp.Evaluate[chromedp.Void](`document.querySelector("main form").noValidate = true`))
	b.press(t, "main form button[type=submit]")
}

// press clicks an element that loads another page.
func (b *browser) press(t *testing.T, selector string) {
	t.Helper()
	b.load(t, chromedp.Click(chromedp.CSS(selector)))
}

// choose clicks an element that does not.
func (b *browser) choose(t *testing.T, selector string) {
	t.Helper()
	act(t, b, chromedp.Click(chromedp.CSS(selector)))
}

// fillToken fills in the form for a new token that can read notes for 30 days.
func (b *browser) fillToken(t *testing.T, name string) {
	t.Helper()
	act(t, b, chromedp.Clear(chromedp.CSS("#name")))
	act(t, b, chromedp.SendKeys(chromedp.CSS("#name"), name))
	b.choose(t, `input[name="expires"][value="720h0m0s"]`)
	b.choose(t, `#access-scopes`)
	b.choose(t, `input[name="scope"][value="`+readNotes+`"]`)
}

func (b *browser) tokenID(t *testing.T, userID, name string) string {
	t.Helper()
	tokens, err := b.bearer.List(t.Context(), userID, auth.Page{})
	require.NoError(t, err)
	for _, token := range tokens {
		if token.Name == name {
			return token.ID
		}
	}
	t.Fatalf("no token is named %q", name)
	return ""
}

// replaceSettings serves settings with another configuration.
func (b *browser) replaceSettings(t *testing.T, cfg settings.Config) {
	t.Helper()
	h, err := settings.New(cfg)
	require.NoError(t, err)
	b.swap(h)
}
