package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	cdpbrowser "github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

// Everything that the settings can do is done in a browser, also in one that runs
// no script.
func TestBrowserSettings(t *testing.T) {
	t.Parallel()
	for name, noScript := range map[string]bool{"with JavaScript": false, "without JavaScript": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := startBrowser(t)
			call(t, b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: noScript})
			b.signedIn(t, "ada")
			id := b.idOf(t, "ada")

			b.open(t, developer)
			b.press(t, `a[href$="tokens/new"]`)
			b.fillToken(t, "Nightly backup")
			b.press(t, "main form button")
			require.Equal(t, "Token “Nightly backup” created", b.text(t, "h1"))
			token := b.value(t, "#plaintext")
			require.Equal(t, "plaintext", act(t, b, chromedp.Evaluate[string]("document.activeElement.id")), "it has the focus")
			require.NotContains(t, act(t, b, chromedp.Location()), token)
			require.Equal(t, http.StatusOK, b.ask(t, auth.SchemeBearer, token, "/api/v1/me"))
			require.Equal(t, "curl -H 'Authorization: Bearer "+token+"' '"+b.url+"/api/v1/me'", b.value(t, "#curl"))

			// Done leads to the list, and Back from there to no token.
			b.press(t, "main .actions a")
			require.Equal(t, "Access tokens", b.text(t, "h1"))
			require.NotContains(t, b.source(t), token)
			b.back(t)
			require.NotContains(t, b.source(t), token)

			old := b.tokenID(t, id, "Nightly backup")
			b.open(t, developer)
			b.press(t, `a[href$="`+old+`/rotate"]`)
			b.choose(t, `input[value="1h0m0s"]`)
			b.press(t, "main form button")
			next := b.value(t, "#plaintext")
			require.NotEqual(t, token, next)
			require.Equal(t, http.StatusOK, b.ask(t, auth.SchemeBearer, token, "/api/v1/me"), "in its overlap")
			require.Equal(t, http.StatusOK, b.ask(t, auth.SchemeBearer, next, "/api/v1/me"))

			b.open(t, developer)
			b.confirm(t, `a[href$="`+b.tokenID(t, id, "Nightly backup")+`/revoke"]`, noScript)
			require.Equal(t, "The token was revoked.", b.text(t, `[role="status"]`))
			require.Equal(t, http.StatusUnauthorized, b.ask(t, auth.SchemeBearer, next, "/api/v1/me"))
			require.Equal(t, http.StatusUnauthorized, b.ask(t, auth.SchemeBearer, token, "/api/v1/me"), "what it replaced ends with it")
			b.confirm(t, `a[href$="tokens/revoke"]`, noScript)
			require.Equal(t, "You have no tokens yet", b.text(t, "h2"))
			require.Equal(t, http.StatusUnauthorized, b.ask(t, auth.SchemeBearer, b.adaToken, "/api/v1/me"))

			b.press(t, `nav a[href$="secret"]`)
			b.press(t, `form[action$="reveal"] button`)
			require.Equal(t, b.adaSecret, b.value(t, "#plaintext"))
			b.press(t, "main .actions a")
			b.press(t, `a[href$="secret/rotate"]`)
			b.choose(t, `input[value="168h0m0s"]`)
			b.press(t, "main form button")
			secret := b.value(t, "#plaintext")
			require.Equal(t, http.StatusOK, b.ask(t, auth.SchemeSecret, secret, "/api/v1/usage"))
			require.Equal(t, http.StatusOK, b.ask(t, auth.SchemeSecret, b.adaSecret, "/api/v1/usage"))
			b.press(t, "main .actions a")
			b.confirm(t, `a[href*="secret/previous"]`, noScript)
			require.Equal(t, http.StatusUnauthorized, b.ask(t, auth.SchemeSecret, b.adaSecret, "/api/v1/usage"))
			require.Equal(t, http.StatusOK, b.ask(t, auth.SchemeSecret, secret, "/api/v1/usage"))
			b.confirm(t, `a[href$="secret/revoke"]`, noScript)
			require.Equal(t, http.StatusUnauthorized, b.ask(t, auth.SchemeSecret, secret, "/api/v1/usage"))
			b.press(t, `form[action$="assign"] button`)
			require.Equal(t, http.StatusOK, b.ask(t, auth.SchemeSecret, b.value(t, "#plaintext"), "/api/v1/usage"))

			for range 3 {
				r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/signin", nil)
				_, err := b.cookie.SignIn(httptest.NewRecorder(), r, id, auth.NewSession{})
				require.NoError(t, err)
			}
			b.press(t, `nav a[href$="sessions"]`)
			b.confirm(t, `a[href$="`+b.sessionsOf(t, "ada")[0].ID+`/end"]`, noScript)
			require.Len(t, b.sessionsOf(t, "ada"), 3)
			b.confirm(t, `a[href$="sessions/end"]`, noScript)
			require.Len(t, b.sessionsOf(t, "ada"), 1)
			b.confirm(t, `a[href$="`+b.sessionsOf(t, "ada")[0].ID+`/end"]`, noScript)
			require.Empty(t, b.sessionsOf(t, "ada"))
			require.Empty(t, b.cookies(t), "signed out")
			require.Equal(t, "Sign in", b.text(t, "h1"))
			b.requireSignInPage(t, b.open(t, developer+"secret"), developer+"secret")
		})
	}
}

// confirm follows a link that asks first, and says yes: in a dialog, or on a page.
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

// ask sends a request with a credential, as a program would.
func (b *browser) ask(t *testing.T, scheme auth.Scheme, plaintext, path string) int {
	t.Helper()
	return b.client(t).get(path, "Authorization", string(scheme)+" "+plaintext).status
}

func (b *browser) source(t *testing.T) string {
	t.Helper()
	return act(t, b, chromedp.OuterHTML(chromedp.CSS("html")))
}

// back goes one page back in the browser's history. To the answer to a form it
// does not, unless somebody agrees to send that again.
func (b *browser) back(t *testing.T) {
	t.Helper()
	if _, err := chromedp.Run(b.ctx, chromedp.NavigateBack()); err != nil {
		require.ErrorContains(t, err, "ERR_CACHE_MISS")
	}
}

// To load the page with a token again is to send its form again. The browser asks
// first; who says yes gets no second token, and sees none.
func TestBrowserReloadMakesNoSecondToken(t *testing.T) {
	t.Parallel()
	b := startBrowser(t)
	b.signedIn(t, "grace")
	b.open(t, developer+"tokens/new")
	b.fillToken(t, "Nightly backup")
	b.press(t, "main form button")
	token := b.value(t, "#plaintext")
	got := b.visit(t, "POST "+developer+"tokens", func() { act(t, b, chromedp.Reload()) })
	require.Equal(t, http.StatusConflict, got.status)
	require.Contains(t, b.text(t, `[role="alert"]`), "You have made a token since you opened this form")
	require.NotContains(t, b.source(t), token)
	require.Equal(t, "Nightly backup", b.value(t, "#name"))
	tokens, err := b.bearer.List(t.Context(), b.idOf(t, "grace"), auth.Page{})
	require.NoError(t, err)
	require.Len(t, tokens, 1)
}

// The button says that it has copied only when it has.
func TestBrowserCopies(t *testing.T) {
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
	require.Empty(t, b.text(t, "#copied"))

	allow("clipboard-write", cdpbrowser.PermissionSettingGranted)
	allow("clipboard-read", cdpbrowser.PermissionSettingGranted)
	for button, want := range map[string]string{"plaintext": b.adaSecret, "curl": b.value(t, "#curl")} {
		b.choose(t, `[data-copy="`+button+`"]`)
		act(t, b, chromedp.Poll[bool](`document.getElementById("copied").textContent === "Copied"`))
		require.Equal(t, want, act(t, b, chromedp.Evaluate[string]("navigator.clipboard.readText()", chromedp.EvalAwaitPromise)))
	}

	act(t, b, chromedp.Evaluate[chromedp.Void](`navigator.clipboard.writeText = () => Promise.reject(new Error("no")); document.execCommand = () => false`))
	b.choose(t, `[data-copy="plaintext"]`)
	act(t, b, chromedp.Poll[bool](`document.getElementById("copied").textContent.startsWith("Could not copy")`))
}

// A dialog is a page in place: it can be left by Escape and by Cancel, which change
// nothing and give the focus back.
func TestBrowserDialogsCanBeLeft(t *testing.T) {
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
	require.Equal(t, http.StatusOK, b.ask(t, auth.SchemeBearer, b.adaToken, "/api/v1/me"))

	// Where the page does not come, the link is followed: here to the sign-in.
	require.NoError(t, b.cookie.Revoke(t.Context(), b.idOf(t, "ada"), b.sessionsOf(t, "ada")[0].ID))
	b.press(t, link)
	require.Equal(t, "Sign in", b.text(t, "h1"))
}

func TestBrowserSettingsRefuseOtherOrigins(t *testing.T) {
	t.Parallel()
	b := startBrowser(t)
	b.signedIn(t, "ada")
	ada := b.idOf(t, "ada")
	token := b.tokenID(t, ada, "Made at start")
	for name, origin := range origins {
		for path, form := range map[string]map[string]string{
			"tokens":                      {"name": "evil", "expires": "never", "access": "full", "after": "z"},
			"tokens/revoke":               nil,
			"tokens/" + token + "/revoke": nil,
			"secret/revoke":               nil,
			"sessions/end":                nil,
		} {
			t.Run(name+" to "+path, func(t *testing.T) {
				got := b.visit(t, "POST "+developer+path, func() { b.openForm(t, origin.host, developer+path, form) })
				require.Equal(t, origin.cookie, got.cookie)
				require.Equal(t, origin.fetched, got.status)
				require.Equal(t, http.StatusOK, b.ask(t, auth.SchemeBearer, b.adaToken, "/api/v1/me"))
				require.Equal(t, http.StatusOK, b.ask(t, auth.SchemeSecret, b.adaSecret, "/api/v1/usage"))
				tokens, err := b.bearer.List(t.Context(), ada, auth.Page{})
				require.NoError(t, err)
				require.Len(t, tokens, 1)
			})
		}
		t.Run(name+" by fetch", func(t *testing.T) {
			act(t, b, chromedp.Navigate(serve(t, origin.host, "<title>Another site</title>")))
			path := developer + "api/tokens"
			got := b.visit(t, "POST "+path, func() {
				act(t, b, chromedp.Evaluate[chromedp.Void](`fetch("`+b.url+path+`", {method: "POST", credentials: "include", mode: "no-cors",
					headers: {"Content-Type": "text/plain"}, body: '{"name": "evil", "scopes": ["*"], "expires_in": null}'}).catch(() => {})`, chromedp.EvalAwaitPromise))
			})
			require.Equal(t, origin.fetched, got.status)
			got = b.visit(t, "OPTIONS "+path, func() {
				act(t, b, chromedp.Evaluate[chromedp.Void](`fetch("`+b.url+path+`", {method: "DELETE", credentials: "include"}).catch(() => {})`, chromedp.EvalAwaitPromise))
			})
			require.GreaterOrEqual(t, got.status, 400)
			require.Empty(t, b.visits, "the request itself was not sent")
			require.Equal(t, http.StatusOK, b.ask(t, auth.SchemeBearer, b.adaToken, "/api/v1/me"))
		})
		// Nor can another site put our page into a frame, for people to click on.
		t.Run(name+" in a frame", func(t *testing.T) {
			said := b.console(t, func() {
				act(t, b, chromedp.Navigate(serve(t, origin.host, `<title>Frame</title><iframe src="`+b.url+developer+`"></iframe>`)))
			})
			require.Contains(t, strings.Join(said, "\n"), "frame-ancestors")
		})
	}
}

// Nothing of a page is against its own policy.
func TestBrowserSettingsCauseNoConsoleMessages(t *testing.T) {
	t.Parallel()
	b := startBrowser(t)
	b.signedIn(t, "ada")
	for _, path := range []string{"", "tokens/new", "secret", "secret/rotate", "sessions", "tokens/revoke"} {
		require.Empty(t, b.console(t, func() { b.open(t, developer+path) }), path)
	}
	require.Empty(t, b.console(t, func() {
		b.open(t, developer)
		b.choose(t, `a[href$="tokens/revoke"]`)
		act(t, b, chromedp.WaitVisible(chromedp.CSS("dialog[open]")))
	}))
}

// What a person fills in chooses what it belongs to, and shows where it leads.
func TestBrowserTokenFormHelps(t *testing.T) {
	t.Parallel()
	b := startBrowser(t)
	b.signedIn(t, "ada")
	b.open(t, developer+"tokens/new")
	act(t, b, chromedp.SendKeys(chromedp.CSS("#days"), "14"))
	require.True(t, b.checked(t, "#expires-custom"))
	require.Regexp(t, `^on 20\d\d-\d\d-\d\d$`, b.text(t, "#days-until"))
	b.choose(t, `input[value="`+readNotes+`"]`)
	require.True(t, b.checked(t, "#access-scopes"))
	b.choose(t, "#access-full")
	require.False(t, b.checked(t, `input[value="`+readNotes+`"]`))
	act(t, b, chromedp.SendKeys(chromedp.CSS("#name"), "Fortnight"))
	b.press(t, "main form button")
	require.Equal(t, "Token “Fortnight” created", b.text(t, "h1"))
	require.Equal(t, http.StatusOK, b.ask(t, auth.SchemeBearer, b.value(t, "#plaintext"), "/api/v1/notes"))
}

func (b *browser) checked(t *testing.T, selector string) bool {
	t.Helper()
	return act(t, b, chromedp.JavascriptAttribute[bool](chromedp.CSS(selector), "checked"))
}
