package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/examples/internal/testbrowser"
)

// Whether a cookie is kept and sent depends on the browser. These tests use a real one, real
// certificates, and hosts of one or several sites.

// A placement is a deployment with the hosts, and the cookie that the browser should store.
type placement struct {
	name            string
	uiHost, apiHost string
	deployment      deployment
	blocked         bool // the browser blocks third-party cookies

	sameSite  network.CookieSameSite
	partition string // the site that the cookie is kept for
}

var (
	lax, none = network.CookieSameSiteLax, network.CookieSameSiteNone

	sameOrigin           = placement{"same origin", "notes.example.test", "notes.example.test", deployment{}, true, lax, ""}
	sameSite             = placement{"same site", "app.example.test", "api.example.test", deployment{}, true, lax, ""}
	crossSite            = placement{"cross site", "app.one.test", "api.two.test", deployment{crossSite: true}, false, none, "https://one.test"}
	blocked              = placement{"cross site, blocked", "app.one.test", "api.two.test", deployment{crossSite: true}, true, none, "https://one.test"}
	unpartitioned        = placement{"cross site, unpartitioned", "app.one.test", "api.two.test", deployment{crossSite: true, unpartitioned: true}, false, none, ""}
	unpartitionedBlocked = placement{"cross site, unpartitioned, blocked", "app.one.test", "api.two.test", deployment{crossSite: true, unpartitioned: true}, true, none, ""}
)

func TestBrowser_journeys(t *testing.T) {
	t.Parallel()
	for _, p := range []placement{sameOrigin, sameSite, crossSite, blocked, unpartitioned} {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			b := startBrowser(t, p)
			b.signsIn(t)
			b.requireCookie(t)
			b.keepsNotes(t)
			b.createsToken(t)
			b.signsInAgainForToken(t)
			b.revokesToken(t)
			b.keepsSessionInOutage(t)
			b.noticesRevocation(t)
			b.signsOut(t)
			require.Empty(t, b.violations(t), "of the Content-Security-Policy")
		})
	}
}

func (b *browser) signsIn(t *testing.T) {
	b.open(t)
	b.awaitText(t, "h1", "Sign in")
	b.submitSignIn(t, "wrong")
	b.awaitText(t, "#problem", "Wrong name or password.")
	require.Empty(t, b.cookies(t))
	b.submitSignIn(t, password)
	b.awaitText(t, "h1", "Hello, ada")
	require.Equal(t, "ada", b.text(t, "#user"))
	require.Equal(t, "H1", b.focused(t), "screen readers read the new page")
	b.open(t)
	b.awaitText(t, "h1", "Hello, ada") // the cookie also signs in a page that is loaded later
}

// requireCookie checks the cookie as the browser stores it.
func (b *browser) requireCookie(t *testing.T) {
	t.Helper()
	cookies := b.cookies(t)
	require.Len(t, cookies, 1)
	c := cookies[0]
	require.Equal(t, "__Host-session", c.Name)
	require.Equal(t, b.apiHost, c.Domain, "this host only")
	require.Equal(t, "/", c.Path)
	require.True(t, c.Secure)
	require.True(t, c.HTTPOnly)
	require.Equal(t, b.sameSite, c.SameSite)
	require.Equal(t, network.CookieSourceSchemeSecure, c.SourceScheme)
	require.WithinDuration(t, time.Now().Add(7*24*time.Hour), time.Unix(int64(c.Expires), 0), time.Minute)
	if b.partition == "" {
		require.Nil(t, c.PartitionKey)
	} else {
		require.Equal(t, b.partition, c.PartitionKey.TopLevelSite)
	}
	require.Empty(t, b.evaluate(t, "document.cookie"), "scripts do not see it")
}

func (b *browser) keepsNotes(t *testing.T) {
	b.awaitText(t, ".card", "There are no notes yet.")
	b.visited()
	b.addNote(t, "Buy milk")
	b.awaitText(t, "#notes ~ .list", "Buy milk")
	require.Equal(t, []string{"Buy milk"}, b.notesOf("ada"))
	b.requirePreflight(t)
	b.press(t, `button[aria-label="Delete the note “Buy milk”"]`)
	b.awaitText(t, ".card", "There are no notes yet.")
	b.awaitText(t, "[role=status]", "Note “Buy milk” deleted.")
	require.Empty(t, b.notesOf("ada"))
}

// requirePreflight checks that the browser asked first, without the cookie, if the user interface
// is on another origin.
func (b *browser) requirePreflight(t *testing.T) {
	t.Helper()
	got := b.visited("OPTIONS /api/notes", "POST /api/notes")
	if b.page == b.api {
		require.Equal(t, []visit{{"POST /api/notes", b.page, true, http.StatusCreated, ""}}, got)
		return
	}
	require.Equal(t, []visit{
		{"OPTIONS /api/notes", b.page, false, http.StatusNoContent, b.page},
		{"POST /api/notes", b.page, true, http.StatusCreated, b.page},
	}, got)
}

func (b *browser) createsToken(t *testing.T) {
	b.fillToken(t, "", "")
	b.awaitText(t, "#token-problem", "Please correct the marked fields.")
	require.Equal(t, "must not be empty", b.text(t, "#error-name"))
	require.Equal(t, "Choose at least one.", b.text(t, "#error-scopes"))
	require.Equal(t, "token-name", b.evaluate(t, "document.activeElement.id"), "the first field to correct")
	b.fillToken(t, "Backup", readNotes)
	b.awaitText(t, "#created", "Token “Backup” created")
	require.Equal(t, "H3", b.focused(t))
	token := b.text(t, ".plaintext")
	require.Equal(t, http.StatusOK, b.statusWithToken(token, "/api/notes"))

	b.press(t, "#created .plain")
	b.awaitGone(t, "#created")
	b.open(t)
	b.awaitText(t, "#tokens ~ .list", "Backup")
	require.NotContains(t, b.text(t, "body"), token, "it is shown once")
	require.Contains(t, b.text(t, "body"), token[len(token)-4:])
}

func (b *browser) signsInAgainForToken(t *testing.T) {
	b.age(t)
	before := b.cookies(t)[0].Value
	b.fillToken(t, "Late", readNotes)
	b.awaitText(t, "dialog", "Your sign-in is too old")
	b.press(t, "dialog .plain")
	b.awaitGone(t, "dialog")
	require.Equal(t, []string{"Backup"}, b.tokens(t), "canceled")

	b.press(t, "form[aria-labelledby=new-token] > button")
	b.awaitText(t, "dialog", "Your sign-in is too old")
	b.fill(t, "#confirm-password", "wrong")
	b.press(t, "dialog [type=submit]")
	b.awaitText(t, "dialog .error", "Wrong name or password.")
	b.fill(t, "#confirm-password", password)
	b.press(t, "dialog [type=submit]")
	b.awaitText(t, "#created", "Token “Late” created")
	require.Equal(t, []string{"Late", "Backup"}, b.tokens(t))
	require.NotEqual(t, before, b.cookies(t)[0].Value, "a new session")
	b.awaitGone(t, "dialog")
	b.press(t, "#created .plain")
}

func (b *browser) revokesToken(t *testing.T) {
	b.awaitText(t, "#tokens ~ .list", "Late")
	b.press(t, `button[aria-label="Revoke the token “Late”"]`)
	b.awaitText(t, "dialog", "Revoke this token?")
	b.press(t, "dialog .danger")
	b.awaitText(t, "[role=status]", "Token “Late” revoked.")
	require.Equal(t, []string{"Backup"}, b.tokens(t))
}

// keepsSessionInOutage types a note that cannot be saved.
func (b *browser) keepsSessionInOutage(t *testing.T) {
	b.store.Down.Store(true)
	b.addNote(t, "Keep me")
	b.awaitText(t, "#outage", "You are still signed in.")
	b.press(t, "#outage button")
	b.awaitText(t, "#outage", "You are still signed in.")
	require.Equal(t, "ada", b.text(t, "#user"))
	require.Equal(t, "Keep me", b.value(t, "#note"))
	b.open(t)
	b.awaitText(t, "#outage", "Please try again.") // a page that is loaded now does not ask for a password

	b.store.Down.Store(false)
	b.press(t, "#outage button")
	b.awaitText(t, "h1", "Hello, ada")
	b.awaitGone(t, "#outage")
	require.Equal(t, "H1", b.focused(t), "the button has disappeared")
	require.Len(t, b.cookies(t), 1)
}

const endedNotice = "Your session has ended: it has expired, or it was revoked elsewhere."

// noticesRevocation revokes the session elsewhere, three times: the page notices it when the user
// returns, when it asks after a minute, and in the response to the next request.
func (b *browser) noticesRevocation(t *testing.T) {
	for name, notice := range map[string]func(){
		"the user returns": func() { b.evaluate(t, `dispatchEvent(new Event("focus")), ""`) },
		"after a minute":   func() { b.evaluate(t, `everyMinute.forEach(f => f()), ""`) },
		"next request":     func() { b.addNote(t, "Too late") },
	} {
		b.awaitLoaded(t)
		b.revokeSessions(t)
		notice()
		b.awaitText(t, "#notice", endedNotice)
		require.Equal(t, "H1", b.focused(t), name)
		b.submitSignIn(t, password)
		b.awaitText(t, "h1", "Hello, ada")
	}
	require.Empty(t, b.notesOf("ada"))
}

func (b *browser) signsOut(t *testing.T) {
	b.press(t, ".account button")
	b.awaitText(t, "#notice", "You are signed out.")
	require.Empty(t, b.cookies(t))
	sessions, err := b.cookie.List(t.Context(), "ada", auth.Page{})
	require.NoError(t, err)
	require.Empty(t, sessions)
}

// The user signs in as another one in another tab.
func TestBrowser_anotherUser(t *testing.T) {
	t.Parallel()
	b := startBrowser(t, sameOrigin)
	b.signedIn(t)
	b.addNote(t, "Of ada")
	b.awaitText(t, "#notes ~ .list", "Of ada")
	require.Equal(t, "200", b.fetch(t, "/api/session", signInWith()))
	b.evaluate(t, `dispatchEvent(new Event("focus")), ""`)
	b.awaitText(t, "h1", "Hello, grace")
	b.awaitText(t, ".card", "There are no notes yet.")
	require.NotContains(t, b.text(t, "body"), "ada")
}

// Without any response, as when the network is down, the session is kept too.
func TestBrowser_unreachable(t *testing.T) {
	t.Parallel()
	b := startBrowser(t, sameSite)
	b.signedIn(t)
	b.awaitLoaded(t)
	b.cut.Store(true)
	b.addNote(t, "Keep me")
	b.awaitText(t, "#outage", "You are still signed in.")
	b.cut.Store(false)
	b.press(t, "#outage button")
	b.awaitGone(t, "#outage")
	require.Equal(t, "Keep me", b.value(t, "#note"))
	b.press(t, "form.row [type=submit]")
	b.awaitText(t, "#notes ~ .list", "Keep me")
}

// What the user types while the server is slow stays, and so does the focus.
func TestBrowser_typesOn(t *testing.T) {
	t.Parallel()
	b := startBrowser(t, sameOrigin)
	b.signedIn(t)
	b.awaitLoaded(t)

	b.whileSlow(func() {
		b.addNote(t, "Buy milk")
		b.fill(t, "#note", "Call grace")
	})
	b.awaitText(t, "#notes ~ .list", "Buy milk")
	require.Equal(t, "Call grace", b.value(t, "#note"))

	b.await(t, "form.row [type=submit]", "!e.disabled")
	b.whileSlow(func() {
		b.press(t, `button[aria-label="Delete the note “Buy milk”"]`)
		b.fill(t, "#note", "Call bob")
	})
	b.awaitText(t, ".card", "There are no notes yet.")
	b.await(t, "form.row [type=submit]", "!e.disabled")
	require.Equal(t, "INPUT", b.focused(t))
	require.Equal(t, "Call bob", b.value(t, "#note"))
}

// Signing in answers 200, but the browser drops the cookie, and says why to the developer tools.
func TestBrowser_cookieRefused(t *testing.T) {
	t.Parallel()
	lax := crossSite
	lax.name, lax.deployment.crossSite = "cross site, Lax", false
	for _, tt := range []struct {
		placement
		reason network.SetCookieBlockedReason
	}{
		{unpartitionedBlocked, network.SetCookieBlockedReasonUserPreferences},
		{lax, network.SetCookieBlockedReasonSchemefulSameSiteLax},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := startBrowser(t, tt.placement)
			reasons := b.blockedReasons(t)
			b.open(t)
			b.awaitText(t, "h1", "Sign in")
			b.visited()
			b.submitSignIn(t, password)
			b.awaitText(t, "#problem", "the browser did not keep the session cookie")
			require.Equal(t, []visit{
				{"POST /api/session", b.page, false, http.StatusOK, b.page},
				{"GET /api/me", b.page, false, http.StatusUnauthorized, b.page},
			}, b.visited("POST /api/session", "GET /api/me"))
			require.Empty(t, b.cookies(t))
			require.Contains(t, <-reasons, tt.reason)
		})
	}
}

// Without credentials: "include", the browser ignores the cookie of a response.
func TestBrowser_withoutCredentials(t *testing.T) {
	t.Parallel()
	b := startBrowser(t, sameSite)
	b.open(t)
	b.awaitText(t, "h1", "Sign in")
	require.Equal(t, "200", b.fetch(t, "/api/session", signInWith(`credentials: "same-origin"`)))
	require.Empty(t, b.cookies(t))
	require.Equal(t, "401", b.fetch(t, "/api/me", "{}"))
}

// A session that started on a page of the API is in the partition of its site: a user interface on
// another site does not have it.
func TestBrowser_partitions(t *testing.T) {
	t.Parallel()
	b := startBrowser(t, crossSite)
	act(t, b, chromedp.Navigate(b.api+"/none"))
	require.Equal(t, "200", b.fetch(t, "/api/session", signInWith()))
	require.Equal(t, "200", b.fetch(t, "/api/me", "{}"))
	require.Equal(t, "https://two.test", b.cookies(t)[0].PartitionKey.TopLevelSite)
	b.signedIn(t)
	require.Len(t, b.cookies(t), 2)
}

// signInWith returns the options of fetch for a sign-in as grace.
func signInWith(options ...string) string {
	options = append(options, `method: "POST"`, `headers: {"Content-Type": "application/json"}`,
		`body: JSON.stringify({name: "grace", password: "`+password+`"})`)
	return "{" + strings.Join(options, ", ") + "}"
}

// Pages of other origins can neither read notes nor create them, whether or not the browser sends
// the cookie.
func TestBrowser_foreignOrigin(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		placement
		hosts map[string]bool // whether the browser sends the cookie from pages of this host
	}{
		{sameOrigin, map[string]bool{"evil.test": false, "other.example.test": true}},
		{sameSite, map[string]bool{"evil.test": false, "other.example.test": true}},
		{crossSite, map[string]bool{"evil.test": false, "other.one.test": true}}, // the cookie is in the partition of one.test
		{unpartitioned, map[string]bool{"evil.test": true, "other.one.test": true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := startBrowser(t, tt.placement)
			b.signedIn(t)
			for host, cookie := range tt.hosts {
				b.requireRefused(t, host, cookie)
			}
		})
	}
}

// requireRefused sends requests from a page of another origin.
func (b *browser) requireRefused(t *testing.T, host string, cookie bool) {
	t.Helper()
	evil := b.serve(t, host, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, "<title>Another site</title>")
	}))
	act(t, b, chromedp.Navigate(evil))
	b.visited()

	require.Equal(t, "TypeError", b.fetch(t, "/api/notes", `{}`), "scripts cannot read the response")
	status := map[bool]int{true: http.StatusOK, false: http.StatusUnauthorized}[cookie]
	require.Equal(t, []visit{{"GET /api/notes", evil, cookie, status, ""}}, b.visited("GET /api/notes"))

	// JSON needs a preflight request, which does not allow this origin.
	require.Equal(t, "TypeError", b.fetch(t, "/api/notes", `{method: "POST", headers: {"Content-Type": "application/json"}, body: "{}"}`))
	require.Empty(t, b.visited("POST /api/notes"))

	// What a form could send too needs none. It is rejected because of its origin.
	b.fetch(t, "/api/notes", `{method: "POST", mode: "no-cors", body: '{"text": "Evil"}'}`)
	status = map[bool]int{true: http.StatusForbidden, false: http.StatusUnauthorized}[cookie]
	require.Equal(t, []visit{{"POST /api/notes", evil, cookie, status, ""}}, b.visited("POST /api/notes"))
	b.fetch(t, "/api/session", `{method: "POST", mode: "no-cors", body: "{}"}`)
	require.Equal(t, []visit{{"POST /api/session", evil, cookie, http.StatusForbidden, ""}}, b.visited("POST /api/session"))
	require.Empty(t, b.notesOf("ada"))
}

// With Require outside of CORS, the preflight request is rejected, and so the note is never sent.
func TestBrowser_requireOutsideOfCORS(t *testing.T) {
	t.Parallel()
	b := startBrowser(t, sameSite)
	call(t, b, cdppage.SetBypassCSP, cdppage.SetBypassCSPParams{Enabled: true}) // the policy of the page allows one API
	b.signedIn(t)
	wrong := auth.Require(b.cookie)(b.withCORS(http.HandlerFunc(b.notes.create)))
	host := b.serve(t, b.apiHost, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { b.record(wrong, w, r) }))
	right := b.api
	b.visited()
	for api, want := range map[string]string{host: "TypeError", right: "201"} {
		b.api = api
		require.Equal(t, want, b.fetch(t, "/api/notes", `{method: "POST", headers: {"Content-Type": "application/json"}, body: '{"text": "Milk"}'}`))
	}
	got := b.visited("OPTIONS /api/notes", "POST /api/notes")
	require.Len(t, got, 3)
	require.Contains(t, got, visit{"OPTIONS /api/notes", b.page, false, http.StatusUnauthorized, ""})
	require.Equal(t, []string{"Milk"}, b.notesOf("ada"))
}

// On one machine, localhost and 127.0.0.1 are two sites, and browsers keep a Secure cookie of plain
// HTTP there.
func TestBrowser_loopback(t *testing.T) {
	t.Parallel()
	testbrowser.InCI(t)
	path, dist := testbrowser.Find(t), builtUI(t)
	ctx := launch(t, path, "", true)
	for _, flags := range [][]string{
		{"-addr", "localhost:0"},
		{"-addr", "localhost:0", "-ui-addr", "localhost:0"},
		{"-addr", "127.0.0.1:0", "-ui-addr", "localhost:0", "-cross-site"},
	} {
		log, stop := startProgram(t, append(flags, "-ui", dist))
		opened := regexp.MustCompile(`^Open (\S+) and sign in as ada with the password (\w+)$`).FindStringSubmatch(<-log)
		require.NotNil(t, opened)
		b := &browser{site: &site{page: opened[1]}, ctx: ctx}
		b.open(t)
		b.awaitText(t, "h1", "Sign in")
		b.submitSignIn(t, opened[2])
		b.awaitText(t, "h1", "Hello, ada")
		b.addNote(t, "Buy milk")
		b.awaitText(t, "#notes ~ .list", "Buy milk")
		require.NoError(t, stop())
	}
}

// A browser is one tab of a browser with a new profile, and the site that it visits.
type browser struct {
	*site
	placement
	ctx context.Context
}

// startBrowser opens a tab at a site. Outside of CI it skips the test, unless the placement is one of the
// two that differ most.
func startBrowser(t *testing.T, p placement) *browser {
	t.Helper()
	if p.name != sameOrigin.name && p.name != crossSite.name {
		testbrowser.InCI(t)
	}
	path := testbrowser.Find(t)
	b := &browser{site: startSite(t, builtUI(t), p.uiHost, p.apiHost, p.deployment), placement: p}
	b.ctx = launch(t, path, b.spki, p.blocked)
	// The page must not wait for a minute, nor the test for it.
	call(t, b, cdppage.AddScriptToEvaluateOnNewDocument, cdppage.AddScriptToEvaluateOnNewDocumentParams{Source: `
		everyMinute = [];
		const setEvery = setInterval;
		setInterval = (f, ms, ...args) => ms === 60000 ? -everyMinute.push(f) : setEvery(f, ms, ...args);
		cspViolations = [];
		addEventListener("securitypolicyviolation", e => cspViolations.push(e.violatedDirective + " " + e.blockedURI));
	`})
	return b
}

// launch starts a browser that resolves the hosts of the tests to this machine, and connects to no
// other. It trusts the key with the hash spki.
func launch(t *testing.T, path, spki string, blocked bool) context.Context {
	t.Helper()
	profile := filepath.Join(t.TempDir(), "profile")
	preferences, err := json.Marshal(map[string]any{"profile": map[string]any{
		"cookie_controls_mode": map[bool]int{false: 0, true: 1}[blocked], "block_third_party_cookies": blocked,
	}})
	require.NoError(t, err)
	require.NoError(t, os.MkdirAll(filepath.Join(profile, "Default"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(profile, "Default", "Preferences"), preferences, 0o600))
	return testbrowser.Launch(t, path, profile, 5*time.Minute,
		chromedp.WindowSize(1280, 800),
		chromedp.Flag("ignore-certificate-errors-spki-list", spki),
		chromedp.Flag("host-resolver-rules", "MAP *.test 127.0.0.1, "+testbrowser.LocalHosts),
	)
}
