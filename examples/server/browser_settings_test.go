package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // a test needs time zones, which the machine may not have

	cdpbrowser "github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/examples/internal/testbrowser"
)

// Every operation of the settings works in a browser, with and without JavaScript.
func TestBrowserSettings(t *testing.T) {
	t.Parallel()
	for name, noScript := range map[string]bool{"with JavaScript": false, "without JavaScript": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := startBrowser(t)
			call(t, b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: noScript})
			b.signedIn(t, "ada")
			b.revokeTokens(t, b.rotateToken(t, b.createToken(t)), noScript)
			b.revokeSecret(t, b.rotateSecret(t, noScript), noScript)
			b.endSessions(t, noScript)
		})
	}
}

// createToken creates the token "Nightly backup" and returns its plaintext.
func (b *browser) createToken(t *testing.T) string {
	t.Helper()
	b.open(t, developer)
	b.press(t, `a[href$="tokens/new"]`)
	b.fillToken(t, "Nightly backup")
	b.press(t, "main form button[type=submit]")
	require.Equal(t, "Token “Nightly backup” created", b.text(t, "h1"))
	token := b.value(t, "#plaintext")
	require.Equal(t, "plaintext", act(t, b, chromedp.Evaluate[string]("document.activeElement.id")), "it has the focus")
	require.NotContains(t, act(t, b, chromedp.Location()), token)
	b.choose(t, "#plaintext")
	require.Eventually(t, func() bool {
		return act(t, b, chromedp.Evaluate[string]("getSelection().toString()")) == token
	}, 10*time.Second, time.Millisecond, "a click selects it, to copy it by hand")
	require.Equal(t, http.StatusOK, b.statusWith(t, auth.SchemeBearer, token, "/api/v1/me"))
	require.Equal(t, "curl -H 'Authorization: Bearer "+token+"' '"+b.url+"/api/v1/me'", b.value(t, "#curl"))

	// Neither Done nor Back from there shows the token again.
	b.press(t, "main .actions a")
	require.Equal(t, "Access tokens", b.text(t, "h1"))
	require.Contains(t, act(t, b, chromedp.Location()), "#token-"+b.tokenID(t, b.idOf(t, "ada"), "Nightly backup"))
	require.NotContains(t, b.source(t), token)
	b.back(t)
	require.NotContains(t, b.source(t), token)
	return token
}

// rotateToken rotates "Nightly backup" and returns the old and the new plaintext.
func (b *browser) rotateToken(t *testing.T, old string) (both [2]string) {
	t.Helper()
	b.open(t, developer)
	b.press(t, `a[href$="`+b.tokenID(t, b.idOf(t, "ada"), "Nightly backup")+`/rotate"]`)
	b.choose(t, `input[value="1h0m0s"]`)
	b.press(t, "main form button[type=submit]")
	next := b.value(t, "#plaintext")
	require.NotEqual(t, old, next)
	require.Equal(t, http.StatusOK, b.statusWith(t, auth.SchemeBearer, old, "/api/v1/me"), "in its grace period")
	require.Equal(t, http.StatusOK, b.statusWith(t, auth.SchemeBearer, next, "/api/v1/me"))
	return [2]string{old, next}
}

// revokeTokens revokes "Nightly backup", then all tokens.
func (b *browser) revokeTokens(t *testing.T, both [2]string, noScript bool) {
	t.Helper()
	b.open(t, developer)
	b.confirm(t, `a[href$="`+b.tokenID(t, b.idOf(t, "ada"), "Nightly backup")+`/revoke"]`, noScript)
	require.Equal(t, "The token was revoked.", b.text(t, `[role="status"]`))
	for _, token := range both {
		require.Equal(t, http.StatusUnauthorized, b.statusWith(t, auth.SchemeBearer, token, "/api/v1/me"), "with the one that it replaced")
	}
	b.confirm(t, `a[href$="tokens/revoke"]`, noScript)
	require.Equal(t, "You have no tokens yet", b.text(t, "h2"))
	require.Equal(t, http.StatusUnauthorized, b.statusWith(t, auth.SchemeBearer, b.Token, "/api/v1/me"))
}

// rotateSecret reveals the secret, rotates it, revokes the previous one, and returns
// the new plaintext.
func (b *browser) rotateSecret(t *testing.T, noScript bool) string {
	t.Helper()
	b.press(t, `nav a[href$="secret"]`)
	b.press(t, `form[action$="reveal"] button`)
	require.Equal(t, b.Secret, b.value(t, "#plaintext"))
	require.Equal(t, "curl -H 'Authorization: Secret "+b.Secret+"' '"+b.url+"/api/v1/usage'", b.value(t, "#curl"))
	b.press(t, "main .actions a")
	b.press(t, `a[href$="secret/rotate"]`)
	b.choose(t, `input[value="168h0m0s"]`)
	b.press(t, "main form button[type=submit]")
	secret := b.value(t, "#plaintext")
	require.Equal(t, http.StatusOK, b.statusWith(t, auth.SchemeSecret, secret, "/api/v1/usage"))
	require.Equal(t, http.StatusOK, b.statusWith(t, auth.SchemeSecret, b.Secret, "/api/v1/usage"))
	b.press(t, "main .actions a")
	b.confirm(t, `a[href*="secret/previous"]`, noScript)
	require.Equal(t, http.StatusUnauthorized, b.statusWith(t, auth.SchemeSecret, b.Secret, "/api/v1/usage"))
	require.Equal(t, http.StatusOK, b.statusWith(t, auth.SchemeSecret, secret, "/api/v1/usage"))
	return secret
}

// revokeSecret revokes the secret and creates another one.
func (b *browser) revokeSecret(t *testing.T, secret string, noScript bool) {
	t.Helper()
	b.confirm(t, `a[href$="secret/revoke"]`, noScript)
	require.Equal(t, http.StatusUnauthorized, b.statusWith(t, auth.SchemeSecret, secret, "/api/v1/usage"))
	b.press(t, `form[action$="create"] button`)
	require.Equal(t, http.StatusOK, b.statusWith(t, auth.SchemeSecret, b.value(t, "#plaintext"), "/api/v1/usage"))
}

// endSessions ends one of four sessions, then all others, then this one.
func (b *browser) endSessions(t *testing.T, noScript bool) {
	t.Helper()
	for range 3 {
		b.newSession(t, b.idOf(t, "ada"), "")
	}
	b.press(t, `nav a[href$="sessions"]`)
	b.confirm(t, `a[href$="`+b.sessionsOf(t, "ada")[0].ID+`/end"]`, noScript)
	require.Len(t, b.sessionsOf(t, "ada"), 3)
	b.confirm(t, `a[href$="sessions/end"]`, noScript)
	require.Len(t, b.sessionsOf(t, "ada"), 1)
	b.confirm(t, `a[href$="`+b.sessionsOf(t, "ada")[0].ID+`/end"]`, noScript)
	require.Empty(t, b.sessionsOf(t, "ada"))
	require.Empty(t, b.cookies(t), "signed out")
	require.Equal(t, "Signed out", b.text(t, "h1"))
	b.press(t, "main .actions a")
	require.Equal(t, "Sign in", b.text(t, "h1"))
	b.requireSignInPage(t, b.open(t, developer+"secret"), developer+"secret")
}

// newSession signs a user in elsewhere.
func (b *browser) newSession(t *testing.T, userID, userAgent string) {
	t.Helper()
	b.newSessionFrom(t, userID, userAgent, "198.51.100.7", auth.SessionOptions{})
}

func (b *browser) newSessionFrom(t *testing.T, userID, userAgent, addr string, o auth.SessionOptions) {
	t.Helper()
	ctx := auth.WithClientAddr(t.Context(), netip.MustParseAddr(addr))
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/signin", nil)
	r.Header.Set("User-Agent", userAgent)
	_, err := b.cookie.SignIn(httptest.NewRecorder(), r, userID, o)
	require.NoError(t, err)
}

// confirm follows a link and confirms the question, in a dialog or on a page.
func (b *browser) confirm(t *testing.T, link string, noScript bool) {
	t.Helper()
	if noScript {
		b.press(t, link)
		b.press(t, ".confirm button")
		return
	}
	b.choose(t, link)
	b.press(t, "dialog[open] .confirm button")
}

// statusWith returns the status of an API request with a credential.
func (b *browser) statusWith(t *testing.T, scheme auth.Scheme, plaintext, path string) int {
	t.Helper()
	return b.client(t).get(path, "Authorization", string(scheme)+" "+plaintext).status
}

func (b *browser) source(t *testing.T) (html string) {
	t.Helper()
	// Right after a navigation, chromedp may still know the node of the previous page.
	require.Eventually(t, func() (ok bool) {
		var err error
		html, err = chromedp.Run(b.ctx, chromedp.OuterHTML(chromedp.CSS("html")))
		return err == nil
	}, 10*time.Second, time.Millisecond)
	return html
}

// back goes one page back in the history. The browser does not go back to the response
// to a form, unless the user agrees to submit it again.
func (b *browser) back(t *testing.T) {
	t.Helper()
	if _, err := chromedp.Run(b.ctx, chromedp.NavigateBack()); err != nil {
		require.ErrorContains(t, err, "ERR_CACHE_MISS")
	}
}

// Reload and Back do not ask whether to send the form again. They lead to a page that explains
// why the token is gone.
func TestBrowserSettings_reload(t *testing.T) {
	t.Parallel()
	b := startBrowser(t)
	b.signedIn(t, "grace")
	b.open(t, developer+"tokens/new")
	b.fillToken(t, "Nightly backup")
	b.press(t, "main form button[type=submit]")
	token := b.value(t, "#plaintext")
	path := developer + "tokens/" + b.tokenID(t, b.idOf(t, "grace"), "Nightly backup")
	require.Equal(t, http.StatusOK, b.visit(t, "GET "+path, func() { act(t, b, chromedp.Reload()) }).status)
	require.Equal(t, "A token is shown only once. If you didn’t copy this one, rotate it to get a new one.", b.text(t, `[role="status"]`))
	require.NotContains(t, b.source(t), token)
	require.Equal(t, b.url+path+"?shown=token", act(t, b, chromedp.Location()))

	b.open(t, developer+"tokens/new")
	b.fillToken(t, "Another")
	b.press(t, "main form button[type=submit]")
	another := b.value(t, "#plaintext")
	for _, link := range []string{"main .actions a", ".tabs a[href$='sessions']"} {
		require.Equal(t, b.url, strings.SplitAfter(act(t, b, chromedp.Evaluate[string](fmt.Sprintf("document.querySelector(%q).href", link))), b.url)[0])
	}
	b.press(t, ".tabs a[href$='sessions']")
	require.Equal(t, "Sessions", b.text(t, "h1"), "links work although the address has changed")
	b.back(t)
	require.Contains(t, b.text(t, `[role="status"]`), "A token is shown only once")
	require.NotContains(t, b.source(t), another)
	require.Len(t, b.tokensOf(t, "grace"), 2)
}

// Without JavaScript the browser asks, and sending the form again neither creates nor shows a token.
func TestBrowserSettings_reloadWithoutScript(t *testing.T) {
	t.Parallel()
	b := startBrowser(t)
	call(t, b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	b.signedIn(t, "grace")
	b.open(t, developer+"tokens/new")
	b.fillToken(t, "Nightly backup")
	b.press(t, "main form button[type=submit]")
	token := b.value(t, "#plaintext")
	got := b.visit(t, "POST "+developer+"tokens", func() { act(t, b, chromedp.Reload()) })
	require.Equal(t, http.StatusConflict, got.status)
	require.Contains(t, b.text(t, `[role="alert"]`), "This form was sent already")
	require.NotContains(t, b.source(t), token)
	require.Equal(t, "Nightly backup", b.value(t, "#name"))
	require.Len(t, b.tokensOf(t, "grace"), 1)
}

// The button confirms only a successful copy.
func TestBrowserSettings_copy(t *testing.T) {
	t.Parallel()
	b := startBrowser(t)
	allow := func(name string, state cdpbrowser.PermissionSetting) {
		_, err := chromedp.CallBrowser(b.ctx, cdpbrowser.SetPermission, cdpbrowser.SetPermissionParams{
			Permission: &cdpbrowser.PermissionDescriptor{Name: name}, Setting: state, Origin: b.url,
		})
		require.NoError(t, err)
	}
	b.signedIn(t, "ada")
	b.open(t, developer+"secret")
	b.press(t, `form[action$="reveal"] button`)
	require.Empty(t, b.textContent(t, "#copied"))

	allow("clipboard-write", cdpbrowser.PermissionSettingGranted)
	allow("clipboard-read", cdpbrowser.PermissionSettingGranted)
	for button, want := range map[string]string{"plaintext": b.Secret, "curl": b.value(t, "#curl")} {
		b.choose(t, `[data-copy="`+button+`"]`)
		act(t, b, chromedp.Poll[bool](`document.getElementById("copied").textContent === "Copied"`))
		require.Equal(t, want, act(t, b, chromedp.Evaluate[string]("navigator.clipboard.readText()", chromedp.EvalAwaitPromise)))
		require.Equal(t, "Copied", b.text(t, `[data-copy="`+button+`"].done`), "the button says so too")
	}

	act(t, b, chromedp.Evaluate[chromedp.Void](`navigator.clipboard.writeText = () => Promise.reject(new Error("no")); document.execCommand = () => false`))
	b.choose(t, `[data-copy="plaintext"]`)
	act(t, b, chromedp.Poll[bool](`document.getElementById("copied").textContent.startsWith("Couldn’t copy")`))
	require.Equal(t, b.Secret, act(t, b, chromedp.Evaluate[string]("getSelection().toString()")), "it is selected")
}

// textContent returns the text of an element, even if it is not visible.
func (b *browser) textContent(t *testing.T, selector string) string {
	t.Helper()
	return act(t, b, chromedp.Evaluate[string](fmt.Sprintf("document.querySelector(%q).textContent", selector)))
}

// Dialogs can be closed by Escape and Cancel, which change nothing and restore the
// focus.
func TestBrowserSettings_closeDialog(t *testing.T) {
	t.Parallel()
	b := startBrowser(t)
	b.signedIn(t, "ada")
	b.open(t, developer)
	link := `a[href$="` + b.tokenID(t, b.idOf(t, "ada"), "Made at start") + `/revoke"]`
	for name, leave := range map[string]func(){
		"by Escape": func() { act(t, b, chromedp.KeyEvent("\x1b")) },
		"by Cancel": func() { b.choose(t, "dialog [data-cancel]") },
	} {
		b.choose(t, link)
		require.Equal(t, "Revoke “Made at start”?", b.text(t, "dialog[open] h2"))
		require.Equal(t, "Cancel", act(t, b, chromedp.Evaluate[string]("document.activeElement.textContent")))
		leave()
		act(t, b, chromedp.WaitNotPresent(chromedp.CSS("dialog")))
		require.Equal(t, "Revoke Made at start", act(t, b, chromedp.Evaluate[string](`document.activeElement.getAttribute("aria-label")`)), name)
	}
	require.Equal(t, http.StatusOK, b.statusWith(t, auth.SchemeBearer, b.Token, "/api/v1/me"))

	// If the content of the dialog cannot be loaded, the link is followed: here to the
	// sign-in page.
	require.NoError(t, b.cookie.Revoke(t.Context(), b.idOf(t, "ada"), b.sessionsOf(t, "ada")[0].ID))
	b.press(t, link)
	require.Equal(t, "Sign in", b.text(t, "h1"))
}

func TestBrowserSettings_crossOrigin(t *testing.T) {
	t.Parallel()
	b := startBrowser(t)
	b.signedIn(t, "ada")
	token := b.tokenID(t, b.idOf(t, "ada"), "Made at start")
	for name, origin := range origins {
		for path, form := range map[string]map[string]string{
			"tokens":                      {"name": "evil", "expires": "never", "access": "full", "idempotency": "z"},
			"tokens/revoke":               nil,
			"tokens/" + token + "/revoke": nil,
			"secret/revoke":               nil,
			"sessions/end":                nil,
		} {
			t.Run(name+" to "+path, func(t *testing.T) {
				got := b.visit(t, "POST "+developer+path, func() { b.openForm(t, origin.host, developer+path, form) })
				require.Equal(t, origin.cookie, got.cookie)
				require.Equal(t, origin.fetched, got.status)
				b.requireUnchanged(t)
			})
		}
		t.Run(name+" by fetch", func(t *testing.T) {
			act(t, b, chromedp.Navigate(serve(t, origin.host, "<title>Another site</title>")))
			require.Equal(t, origin.fetched, b.fetchTokens(t))
			b.requireUnchanged(t)
		})
		// Other sites cannot show the page in a frame (clickjacking).
		t.Run(name+" in a frame", func(t *testing.T) {
			b.requireConsole(t, "frame-ancestors", func() {
				act(t, b, chromedp.Navigate(serve(t, origin.host, `<title>Frame</title><iframe src="`+b.url+developer+`"></iframe>`)))
			})
		})
	}
}

// fetchTokens makes the open page of another origin send a request that creates a token,
// and returns its status. A request that deletes tokens stops at the preflight.
func (b *browser) fetchTokens(t *testing.T) int {
	t.Helper()
	const path = developer + "api/tokens"
	post := b.visit(t, "POST "+path, func() {
		b.fetch(t, path, `method: "POST", mode: "no-cors", headers: {"Content-Type": "text/plain"},
			body: '{"name": "evil", "scopes": ["*"], "expires_in": null}'`)
	})
	preflight := b.visit(t, "OPTIONS "+path, func() { b.fetch(t, path, `method: "DELETE"`) })
	require.GreaterOrEqual(t, preflight.status, 400)
	require.Empty(t, b.visits, "the request itself was not sent")
	return post.status
}

// requireUnchanged checks that ada has only the valid credentials of the start.
func (b *browser) requireUnchanged(t *testing.T) {
	t.Helper()
	require.Equal(t, http.StatusOK, b.statusWith(t, auth.SchemeBearer, b.Token, "/api/v1/me"))
	require.Equal(t, http.StatusOK, b.statusWith(t, auth.SchemeSecret, b.Secret, "/api/v1/usage"))
	require.Len(t, b.tokensOf(t, "ada"), 1)
}

// Filling in a field selects the option that it belongs to. Presets choose the scopes of their
// group, and a count says how many are chosen.
func TestBrowserSettings_tokenForm(t *testing.T) {
	t.Parallel()
	b := startBrowser(t)
	b.signedIn(t, "ada")
	b.open(t, developer+"tokens/new")
	require.True(t, b.checked(t, `input[value="720h0m0s"]`), "30 days are preselected")
	require.True(t, b.checked(t, "#access-scopes"))
	pressed := func() string { return b.textContent(t, `.preset[aria-pressed="true"]`) }
	count := func() string { return b.textContent(t, "[data-count]") }
	require.Equal(t, []string{"None", "0 of 2 selected"}, []string{pressed(), count()})
	b.choose(t, ".preset:nth-child(3)")
	require.Equal(t, []string{"Read and write", "2 of 2 selected"}, []string{pressed(), count()})
	b.choose(t, `input[value="`+writeNotes+`"]`)
	require.Equal(t, []string{"Read", "1 of 2 selected"}, []string{pressed(), count()})

	b.choose(t, "#access-full")
	require.False(t, b.checked(t, `input[value="`+readNotes+`"]`))
	require.Contains(t, b.text(t, "#access-full-note"), "Anyone who has this token")
	act(t, b, chromedp.Evaluate[chromedp.Void](`(e => { e.value = "`+time.Now().AddDate(0, 0, 14).Format(time.DateOnly)+`"; e.dispatchEvent(new Event("input", {bubbles: true})); })(document.getElementById("until"))`))
	require.True(t, b.checked(t, "#expires-custom"))
	act(t, b, chromedp.SendKeys(chromedp.CSS("#name"), "Fortnight"))
	b.press(t, "main form button[type=submit]")
	require.Equal(t, "Token “Fortnight” created", b.text(t, "h1"))
	require.Equal(t, http.StatusOK, b.statusWith(t, auth.SchemeBearer, b.value(t, "#plaintext"), "/api/v1/notes"))
}

// A token is renamed and gets another scope on its page.
func TestBrowserSettings_editToken(t *testing.T) {
	t.Parallel()
	for name, noScript := range map[string]bool{"with JavaScript": false, "without JavaScript": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := startBrowser(t)
			call(t, b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: noScript})
			b.signedIn(t, "grace")
			b.createTokenFor(t, "grace", "Nightly backup", readNotes)
			id := b.tokenID(t, b.idOf(t, "grace"), "Nightly backup")
			b.open(t, developer+"tokens/"+id)
			b.press(t, `a[href$="/edit"]`)
			act(t, b, chromedp.Clear(chromedp.CSS("#name")))
			act(t, b, chromedp.SendKeys(chromedp.CSS("#name"), "Hourly backup"))
			b.choose(t, `input[value="`+writeNotes+`"]`)
			b.press(t, "main form button[type=submit]")
			require.Equal(t, "Hourly backup", b.text(t, "h1"))
			require.Equal(t, "Your changes were saved.", b.text(t, `[role="status"]`))
			require.Contains(t, b.text(t, "main dl"), writeNotes)
			b.confirm(t, `a[href$="/revoke"]`, noScript)
			require.Equal(t, "The token was revoked.", b.text(t, `[role="status"]`))
		})
	}
}

func (b *browser) createTokenFor(t *testing.T, user, name string, scopes ...string) {
	t.Helper()
	_, _, err := b.bearer.Issue(t.Context(), b.idOf(t, user), auth.TokenOptions{Name: name, Scopes: scopes, Lifetime: 30 * 24 * time.Hour})
	require.NoError(t, err)
}

// A form that is sent after a sign-out in another tab comes back filled in after the sign-in. A
// link of another site does not choose full access or a token that never expires.
func TestBrowserSettings_formSurvivesSignIn(t *testing.T) {
	t.Parallel()
	b := startBrowser(t)
	b.signedIn(t, "grace")
	b.open(t, developer+"tokens/new")
	act(t, b, chromedp.SendKeys(chromedp.CSS("#name"), "Grüße & Co"))
	b.choose(t, "#expires-0")
	b.choose(t, "#scope-0-0")
	_, err := b.cookie.RevokeAll(t.Context(), b.idOf(t, "grace"))
	require.NoError(t, err)
	b.press(t, "main form button[type=submit]")
	require.Contains(t, b.text(t, "main"), "You’re no longer signed in")
	b.press(t, "main .actions a:first-child")
	b.signIn(t, "grace", b.Passwords["grace"])
	require.Equal(t, "Create a token", b.text(t, "h1"))
	require.Equal(t, "Grüße & Co", b.value(t, "#name"))
	require.True(t, b.checked(t, "#expires-0"))
	require.True(t, b.checked(t, "#access-scopes"))
	require.True(t, b.checked(t, "#scope-0-0"))
	require.Empty(t, b.tokensOf(t, "grace"), "nothing is sent by the sign-in")

	link := b.url + developer + "tokens/new?name=Prize&amp;expires=never&amp;access=full"
	act(t, b, chromedp.Navigate(serve(t, "localhost", `<title>Another site</title><a href="`+link+`">Win</a>`)))
	b.press(t, "a")
	require.Equal(t, "Prize", b.value(t, "#name"))
	require.Contains(t, b.text(t, "main"), "A link filled in this form")
	require.False(t, b.checked(t, "#expires-never"))
	require.False(t, b.checked(t, "#access-full"))
}

// The sign-in page may redirect to an identity provider on another origin. Chromium
// applies form-action of the Content Security Policy to every redirect of a form.
func TestBrowserSettings_signInOnAnotherOrigin(t *testing.T) {
	t.Parallel()
	testbrowser.InCI(t)
	b := startBrowser(t)
	var afterPost func() // called when a form has been processed
	serveWith := func(maxAge time.Duration) {
		cfg := b.settingsConfig()
		cfg.SignInPath, cfg.MaxAge = "/sso", maxAge
		b.replaceSettings(t, cfg)
		inner := *b.handler.Load()
		provider := serve(t, "localhost", "<title>Provider</title><h1>Identity provider</h1>")
		mux := http.NewServeMux()
		var front http.Handler = mux
		mux.Handle("/sso", http.RedirectHandler(provider, http.StatusSeeOther))
		mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
			inner.ServeHTTP(w, r)
			if r.Method == http.MethodPost && afterPost != nil {
				afterPost()
			}
		})
		b.handler.Store(&front)
	}
	endSessions := func() {
		_, err := b.cookie.RevokeAll(t.Context(), b.idOf(t, "ada"))
		require.NoError(t, err)
	}
	for name, run := range map[string]func(){
		"sign-out": func() {
			b.open(t, developer+"sessions")
			b.confirm(t, `a[href$="`+b.sessionsOf(t, "ada")[0].ID+`/end"]`, false)
		},
		"a form after a sign-out": func() {
			b.open(t, developer+"tokens/revoke")
			endSessions()
			b.press(t, ".confirm button")
		},
		"a sign-out after a form": func() {
			b.open(t, developer+"tokens/revoke")
			afterPost = endSessions
			b.press(t, ".confirm button")
		},
		"a form after MaxAge": func() {
			b.open(t, developer+"tokens/new")
			serveWith(time.Nanosecond)
			b.fillToken(t, "Late")
			b.press(t, "main form button[type=submit]")
		},
		"a page after MaxAge": func() {
			serveWith(time.Nanosecond)
			b.open(t, developer+"tokens/new")
		},
	} {
		t.Run(name, func(t *testing.T) {
			serveWith(0)
			afterPost = nil
			endSessions()
			b.signedIn(t, "ada")
			run()
			if name != "a page after MaxAge" { // which redirects by itself
				b.press(t, `main .actions a[href^="/sso"]`)
			}
			require.Equal(t, "Identity provider", b.text(t, "h1"))
		})
	}
}

// Dates are those of the browser's time zone.
func TestBrowserSettings_timeZones(t *testing.T) {
	t.Parallel()
	testbrowser.InCI(t)
	b := startBrowser(t)
	b.signedIn(t, "ada")
	rotate := "tokens/" + b.tokenID(t, b.idOf(t, "ada"), "Made at start") + "/rotate"
	for name, offset := range map[string]string{"Pacific/Kiritimati": `GMT\+14`, "America/New_York": "EST|EDT|GMT-[45]", "UTC": "UTC"} {
		t.Run(name, func(t *testing.T) {
			zone, err := time.LoadLocation(name)
			require.NoError(t, err)
			call(t, b, emulation.SetTimezoneOverride, emulation.SetTimezoneOverrideParams{TimezoneID: name})

			b.open(t, developer+"tokens/new")
			at, text := b.time(t, `label[for="expires-0"] time`)
			require.Equal(t, british(at.In(zone), "2 Jan 2006"), text)
			require.Equal(t, "7 days\non "+text, b.text(t, `label[for="expires-0"]`))
			minutes := b.chooseDay(t, "2026-01-15")
			require.Equal(t, time.Date(2026, 1, 15, 23, 59, 0, 0, zone).UTC(), time.Date(2026, 1, 15, 23, 59+minutes, 0, 0, time.UTC))
			require.Equal(t, "at the end of the day", b.text(t, "#until-hint"))

			b.open(t, developer+rotate)
			at, text = b.time(t, `label[for="overlap-2"] time`)
			require.Equal(t, british(at.In(zone), "2 Jan 2006, 15:04"), text)

			b.open(t, developer)
			at, _ = b.time(t, "td time")
			title := act(t, b, chromedp.Evaluate[string](`document.querySelector("td time").title`))
			require.Contains(t, title, at.In(zone).Format("2 January 2006"))
			require.Regexp(t, "("+offset+")$", title)
		})
	}
}

// chooseDay chooses the last day of a token, and returns the minutes of the time zone that the
// form sends.
func (b *browser) chooseDay(t *testing.T, day string) int {
	t.Helper()
	return act(t, b, chromedp.Evaluate[int](fmt.Sprintf(`(e => {
		e.value = %q;
		e.dispatchEvent(new Event("input", {bubbles: true}));
		return Number(document.querySelector("[data-zone]").value);
	})(document.getElementById("until"))`, day)))
}

// british formats a time as browsers do for en-GB.
func british(t time.Time, layout string) string {
	return strings.Replace(t.Format(layout), "Sep", "Sept", 1)
}

// time returns the time and the text of a time element.
func (b *browser) time(t *testing.T, selector string) (time.Time, string) {
	t.Helper()
	both := act(t, b, chromedp.Evaluate[[]string](fmt.Sprintf(`(e => [e.dateTime, e.textContent])(document.querySelector(%q))`, selector)))
	at, err := time.Parse(time.RFC3339, both[0])
	require.NoError(t, err)
	return at, strings.ReplaceAll(both[1], "\u202f", " ") // some versions put a narrow space before PM
}

// Without JavaScript, dates are in UTC and say so.
func TestBrowserSettings_timesWithoutScript(t *testing.T) {
	t.Parallel()
	testbrowser.InCI(t)
	b := startBrowser(t)
	call(t, b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	call(t, b, emulation.SetTimezoneOverride, emulation.SetTimezoneOverrideParams{TimezoneID: "Pacific/Kiritimati"})
	b.signedIn(t, "ada")
	b.open(t, developer+"tokens/new")
	at, text := b.time(t, `label[for="expires-0"] time`)
	require.Equal(t, at.UTC().Format("2006-01-02 UTC"), text)
	b.open(t, developer+"tokens/"+b.tokenID(t, b.idOf(t, "ada"), "Made at start")+"/rotate")
	at, text = b.time(t, `label[for="overlap-2"] time`)
	require.Equal(t, at.UTC().Format("2006-01-02 15:04 UTC"), text)
	b.open(t, developer)
	require.Regexp(t, `<time datetime="[^"]*" data-date="">20\d\d-\d\d-\d\d UTC<`, b.source(t))
}

// A language that the browser does not know, or cannot parse, does not stop the script.
func TestBrowserSettings_unknownLanguage(t *testing.T) {
	t.Parallel()
	testbrowser.InCI(t)
	b := startBrowser(t)
	b.signedIn(t, "ada")
	for _, language := range []string{"xx", "en-x"} {
		cfg := b.settingsConfig()
		cfg.Language = language
		b.replaceSettings(t, cfg)
		b.open(t, developer+"tokens/new")
		require.Regexp(t, `^7 days\non .*20`, b.text(t, `label[for="expires-0"]`), language)
		require.NotContains(t, b.text(t, `label[for="expires-0"]`), "UTC", language)
	}
}

// The limit of a name is in bytes, which maxlength does not count.
func TestBrowserSettings_longName(t *testing.T) {
	t.Parallel()
	testbrowser.InCI(t)
	b := startBrowser(t)
	b.signedIn(t, "ada")
	b.open(t, developer+"tokens/new")
	message := func(name string) string {
		return act(t, b, chromedp.Evaluate[string](fmt.Sprintf(`(() => {
			const field = document.getElementById("name");
			field.value = %q;
			field.dispatchEvent(new Event("input"));
			return field.validationMessage;
		})()`, name)))
	}
	require.Empty(t, message(strings.Repeat("日", 85)))
	require.Equal(t, "This name is too long. Use fewer characters.", message(strings.Repeat("日", 86)))
	require.Empty(t, message(strings.Repeat("a", 255)))
}

func (b *browser) checked(t *testing.T, selector string) bool {
	t.Helper()
	return act(t, b, chromedp.JavascriptAttribute[bool](chromedp.CSS(selector), "checked"))
}
