package main

import (
	"context"
	"fmt"
	"html/template"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/examples/internal/testbrowser"
	"github.com/seed-31c5bcb2/auth/examples/server/internal/demodata"
	"github.com/seed-31c5bcb2/auth/settings"
)

// The guarantees about cookies and other sites depend on what browsers send and keep.
// These tests use a real browser.

func TestBrowser_signInAndOut(t *testing.T) {
	t.Parallel()
	for name, noScript := range map[string]bool{"with JavaScript": false, "without JavaScript": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := startBrowser(t)
			call(t, b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: noScript})
			require.Equal(t, !noScript, b.runsScripts(t))
			signInAndOut(t, b)
		})
	}
}

func signInAndOut(t *testing.T, b *browser) {
	b.requireSignInPage(t, b.open(t, "/profile?tab=tokens"), "/profile?tab=tokens")

	res := b.signIn(t, "ada", "wrong")
	require.EqualValues(t, http.StatusForbidden, res.Status)
	require.Contains(t, b.text(t, `[role="alert"]`), "Wrong name or password.")
	require.Equal(t, "/profile?tab=tokens", b.value(t, `form[action="/signin"] [name="next"]`), "the form is shown again")
	require.Equal(t, "ada", b.value(t, "#username"))
	require.Empty(t, b.value(t, "#password"))
	require.Empty(t, b.cookies(t))

	res = b.signIn(t, "ada", b.Passwords["ada"])
	require.EqualValues(t, http.StatusOK, res.Status)
	require.Equal(t, b.url+"/profile?tab=tokens", res.URL)
	require.Equal(t, "Signed in as ada", b.text(t, "#you"))

	b.requireSignInPage(t, b.signOut(t), "")
	b.requireSignInPage(t, b.open(t, "/profile"), "/profile")
}

func TestBrowser_cookieIsHiddenFromScripts(t *testing.T) {
	t.Parallel()
	b := startBrowser(t)
	b.signedIn(t, "ada")
	c := b.session(t)
	require.Equal(t, insecureCookie, c.Name)
	require.Equal(t, "127.0.0.1", c.Domain, "this host only")
	require.Equal(t, "/", c.Path)
	require.True(t, c.HTTPOnly)
	require.Equal(t, network.CookieSameSiteLax, c.SameSite)
	require.False(t, c.Secure, "the demo serves plain HTTP")
	require.WithinDuration(t, time.Now().Add(12*time.Hour), time.Unix(int64(c.Expires), 0), time.Minute)

	act(t, b, chromedp.Evaluate[chromedp.Void](`document.cookie = "other=seen"`))
	require.Equal(t, "other=seen", act(t, b, chromedp.Evaluate[string]("document.cookie")))
}

func TestBrowser_cookieIsInvalidAfterSignOut(t *testing.T) {
	t.Parallel()
	b := startBrowser(t)
	b.signedIn(t, "ada")
	old := b.session(t)
	b.signOut(t)
	require.Empty(t, b.cookies(t))

	httpOnly := true
	call(t, b, network.SetCookie, network.SetCookieParams{
		Name: old.Name, Value: old.Value, URL: b.url, HTTPOnly: &httpOnly, SameSite: old.SameSite,
	})
	require.Equal(t, old.Value, b.session(t).Value)
	got := b.visit(t, "GET /profile", func() { b.requireSignInPage(t, b.open(t, "/profile"), "/profile") })
	require.True(t, got.cookie, "the browser sent it")
}

// origins are origins of other sites. Cookies ignore ports (RFC 6265, section 8.5): to
// a browser, the first is the same site, so it sends even a SameSite cookie.
var origins = map[string]struct {
	host    string
	cookie  bool // whether the browser sends the cookie
	fetched int  // status of the response to a POST by fetch
}{
	"another port of this host": {"127.0.0.1", true, http.StatusForbidden},
	"another host":              {"localhost", false, http.StatusUnauthorized},
}

func TestBrowser_crossOriginForms(t *testing.T) {
	t.Parallel()
	b := startBrowser(t)
	b.signedIn(t, "ada")
	before := b.session(t)
	for name, origin := range origins {
		for path, form := range map[string]map[string]string{
			"/signin":  {"username": "grace", "password": b.Passwords["grace"], "next": "/profile"},
			"/signout": nil,
		} {
			t.Run(name+" to "+path, func(t *testing.T) {
				got := b.visit(t, "POST "+path, func() { b.openForm(t, origin.host, path, form) })
				require.Equal(t, http.StatusForbidden, got.status)
				require.Equal(t, origin.cookie, got.cookie)

				require.Equal(t, before, b.session(t))
				require.Empty(t, b.sessionsOf(t, "grace"))
				require.Len(t, b.sessionsOf(t, "ada"), 1)
				require.EqualValues(t, http.StatusOK, b.open(t, "/profile").Status)
				require.Equal(t, "Signed in as ada", b.text(t, "#you"))
			})
		}
	}
}

func TestBrowser_crossOriginFetch(t *testing.T) {
	t.Parallel()
	b := startBrowser(t)
	b.signedIn(t, "ada")
	for name, origin := range origins {
		t.Run(name, func(t *testing.T) {
			act(t, b, chromedp.Navigate(serve(t, origin.host, "<title>Another site</title>")))

			// For JSON, the browser sends a preflight request, which is rejected.
			got := b.visit(t, "OPTIONS /api/v1/notes", func() { b.postNote(t, "cors", "application/json") })
			require.Equal(t, http.StatusMethodNotAllowed, got.status)
			require.Empty(t, b.visits, "the note itself was not sent")

			// It sends no preflight request for what a form could send too.
			got = b.visit(t, "POST /api/v1/notes", func() { b.postNote(t, "no-cors", "text/plain") })
			require.Equal(t, origin.cookie, got.cookie)
			require.Equal(t, origin.fetched, got.status)
			require.Empty(t, b.notesOf(t, "ada"))
		})
	}
}

// The same request from the server's own origin creates a note: those above are
// rejected because of their origin.
func TestBrowser_sameOriginFetch(t *testing.T) {
	t.Parallel()
	b := startBrowser(t)
	call(t, b, cdppage.SetBypassCSP, cdppage.SetBypassCSPParams{Enabled: true}) // the CSP of our pages forbids fetch
	b.signedIn(t, "ada")
	got := b.visit(t, "POST /api/v1/notes", func() { b.postNote(t, "cors", "application/json") })
	require.Equal(t, http.StatusCreated, got.status)
	require.Len(t, b.notesOf(t, "ada"), 1)
}

func TestBrowser_narrowScreen(t *testing.T) {
	t.Parallel()
	testbrowser.InCI(t)
	b := startBrowser(t)
	long := auth.TokenOptions{Name: strings.Repeat("w", 100), Scopes: []string{auth.FullAccess}, Lifetime: auth.NoExpiry}
	_, _, err := b.bearer.Issue(t.Context(), b.idOf(t, "ada"), long)
	require.NoError(t, err)
	act(t, b, chromedp.EmulateViewport(320, 640))
	b.eachPage(t, func(t *testing.T, load func()) {
		load()
		width := act(t, b, chromedp.Evaluate[[]int]("[innerWidth, document.documentElement.scrollWidth]"))
		require.Equal(t, []int{320, 320}, width)
	})
}

// eachPage calls check for each of the three pages, with a function that loads it.
func (b *browser) eachPage(t *testing.T, check func(t *testing.T, load func())) {
	for _, p := range []struct {
		title string
		load  func()
	}{
		{"Sign in", func() { b.open(t, "/") }},
		{"Sign-in failed", func() { b.signIn(t, "ada", "wrong") }},
		{"My Profile", func() { b.signIn(t, "ada", b.Passwords["ada"]) }},
	} {
		check(t, p.load)
		require.Contains(t, act(t, b, chromedp.Title()), p.title)
	}
}

// A browser is a demo, and one tab of a browser with a new profile.
type browser struct {
	*demo
	ctx     context.Context
	visits  chan visit
	handler atomic.Pointer[http.Handler]
}

// swap replaces the settings that the server serves.
func (b *browser) swap(settings *settings.Handler) {
	changed := *b.server
	changed.developer = settings
	h := changed.routes()
	b.handler.Store(&h)
}

// A visit is a request that reached the server, and the status of its response.
type visit struct {
	request string // method and path
	cookie  bool   // whether it had a session cookie
	status  int
}

func startBrowser(t *testing.T) *browser {
	t.Helper()
	path := testbrowser.Find(t)
	b := &browser{demo: startDemo(t), visits: make(chan visit, 1000)}
	b.swap(b.developer)
	front := httptest.NewServer(b.watch(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		(*b.handler.Load()).ServeHTTP(w, r)
	})))
	t.Cleanup(front.Close)
	b.url = front.URL
	b.ctx = testbrowser.Launch(t, path, filepath.Join(t.TempDir(), "profile"), 8*time.Minute) // a loaded machine takes some
	return b
}

// watch records each visit.
func (b *browser) watch(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, err := r.Cookie(insecureCookie)
		watched := testbrowser.NewStatusWriter(w)
		next.ServeHTTP(watched, r)
		b.visits <- visit{r.Method + " " + r.URL.Path, err == nil, watched.Status}
	})
}

// visit calls do, and waits for the first visit with this method and path.
func (b *browser) visit(t *testing.T, request string, do func()) visit {
	t.Helper()
	for len(b.visits) > 0 {
		<-b.visits
	}
	do()
	for {
		select {
		case v := <-b.visits:
			if v.request == request {
				return v
			}
		case <-b.ctx.Done():
			t.Fatalf("no %s was received: %v", request, b.ctx.Err())
		}
	}
}

// serve serves a page on another origin and returns its URL.
func serve(t *testing.T, host, html string) string {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, "<!DOCTYPE html>\n", html)
	}))
	t.Cleanup(srv.Close)
	return strings.Replace(srv.URL, "127.0.0.1", host, 1)
}

var hostileForm = template.Must(template.New("").Parse(`<title>Another site</title>
<body onload="document.forms[0].submit()">
<form method="post" action="{{.Action}}">
{{range $name, $value := .Fields}}<input type="hidden" name="{{$name}}" value="{{$value}}">{{end}}
</form>`))

// openForm opens a page on another origin, which submits a form to the server as soon
// as it is loaded, and waits until the response is shown.
func (b *browser) openForm(t *testing.T, host, path string, fields map[string]string) {
	t.Helper()
	var html strings.Builder
	require.NoError(t, hostileForm.Execute(&html, map[string]any{"Action": b.url + path, "Fields": fields}))
	arrived := func(e cdppage.EventFrameNavigated) bool { return strings.HasPrefix(e.Frame.URL, b.url) }
	act(t, b, chromedp.WaitEvent(cdppage.FrameNavigated, arrived, chromedp.Navigate(serve(t, host, html.String()))))
}

// postNote makes the open page send a note with fetch, and waits for the result.
func (b *browser) postNote(t *testing.T, mode, contentType string) {
	t.Helper()
	b.fetch(t, "/api/v1/notes", fmt.Sprintf(`method: "POST", mode: %q, headers: {"Content-Type": %q}, body: '{"text": "Buy milk"}'`, mode, contentType))
}

// fetch makes the open page call fetch with cookies, and waits for the result.
func (b *browser) fetch(t *testing.T, path, options string) {
	t.Helper()
	script := fmt.Sprintf(`fetch(%q, {credentials: "include", %s}).catch(() => {})`, b.url+path, options)
	act(t, b, chromedp.Evaluate[chromedp.Void](script, chromedp.EvalAwaitPromise))
}

// open opens a page of the server, and returns the last response after redirects.
func (b *browser) open(t *testing.T, path string) *network.Response {
	t.Helper()
	return act(t, b, chromedp.NavigateResponse(b.url+path))
}

// signIn fills in the open sign-in form and submits it.
func (b *browser) signIn(t *testing.T, name, password string) *network.Response {
	t.Helper()
	return b.load(t,
		chromedp.Clear(chromedp.CSS("#username")),
		chromedp.SendKeys(chromedp.CSS("#username"), name),
		chromedp.SendKeys(chromedp.CSS("#password"), password),
		chromedp.Click(chromedp.CSS(`form[action="/signin"] button`)),
	)
}

func (b *browser) signedIn(t *testing.T, name string) {
	t.Helper()
	b.open(t, "/")
	require.EqualValues(t, http.StatusOK, b.signIn(t, name, b.Passwords[name]).Status)
}

func (b *browser) signOut(t *testing.T) *network.Response {
	t.Helper()
	return b.load(t, chromedp.Click(chromedp.CSS(`form[action="/signout"] button`)))
}

func (b *browser) requireSignInPage(t *testing.T, res *network.Response, next string) {
	t.Helper()
	address := b.url + "/"
	if next != "" {
		address += "?next=" + template.URLQueryEscaper(next)
	}
	require.Equal(t, address, res.URL)
	require.EqualValues(t, http.StatusOK, res.Status)
	require.Equal(t, "Sign in", b.text(t, "h1"))
	require.Equal(t, next, b.value(t, `[name="next"]`))
}

// session returns the only cookie that the browser has for the server.
func (b *browser) session(t *testing.T) *network.Cookie {
	t.Helper()
	cookies := b.cookies(t)
	require.Len(t, cookies, 1)
	return cookies[0]
}

// cookies returns the browser's cookies for the server, including HttpOnly ones.
func (b *browser) cookies(t *testing.T) []*network.Cookie {
	t.Helper()
	return call(t, b, network.GetCookies, network.GetCookiesParams{URLs: []string{b.url}}).Cookies
}

func (b *browser) sessionsOf(t *testing.T, name string) []auth.Credential {
	t.Helper()
	sessions, err := b.demo.cookie.List(t.Context(), b.idOf(t, name), auth.Page{})
	require.NoError(t, err)
	return sessions
}

func (b *browser) notesOf(t *testing.T, name string) []demodata.Note {
	t.Helper()
	list, err := b.users.state.Notes(t.Context(), b.idOf(t, name))
	require.NoError(t, err)
	return list
}

func (b *browser) runsScripts(t *testing.T) bool {
	t.Helper()
	act(t, b, chromedp.Navigate(serve(t, "127.0.0.1", `<title>no</title><script>document.title = "yes"</script>`)))
	return act(t, b, chromedp.Title()) == "yes"
}

func (b *browser) text(t *testing.T, selector string) string {
	t.Helper()
	return strings.TrimSpace(act(t, b, chromedp.Text(chromedp.CSS(selector))))
}

func (b *browser) value(t *testing.T, selector string) string {
	t.Helper()
	// NodeReady, not NodeVisible: some fields are hidden.
	return act(t, b, chromedp.Value(chromedp.CSS(selector), chromedp.NodeReady))
}

// load runs steps that load another page, and returns its response.
func (b *browser) load(t *testing.T, steps ...chromedp.Action[chromedp.Void]) *network.Response {
	t.Helper()
	res, err := chromedp.RunResponse(b.ctx, steps...)
	require.NoError(t, err)
	return res
}

func act[T any](t *testing.T, b *browser, a chromedp.Action[T]) T {
	t.Helper()
	return testbrowser.Run(t, b.ctx, a)
}

func call[P, R any](t *testing.T, b *browser, cmd cdp.Command[P, R], params P) R {
	t.Helper()
	return testbrowser.Call(t, b.ctx, cmd, params)
}
