package main

import (
	"context"
	"fmt"
	"html/template"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
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
)

// What the library promises about cookies and other sites rests on what browsers
// send and keep. These tests ask one.

func TestBrowserSignInAndOut(t *testing.T) {
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
	require.Contains(t, b.text(t, `[role="alert"]`), "do not belong together")
	require.Equal(t, "/profile?tab=tokens", b.value(t, `form[action="/signin"] [name="next"]`), "the form is still there")
	require.Equal(t, "ada", b.value(t, "#username"))
	require.Empty(t, b.value(t, "#password"))
	require.Empty(t, b.cookies(t))

	res = b.signIn(t, "ada", b.passwords["ada"])
	require.EqualValues(t, http.StatusOK, res.Status)
	require.Equal(t, b.url+"/profile?tab=tokens", res.URL)
	require.Equal(t, "Signed in as ada", b.text(t, "#you"))

	b.requireSignInPage(t, b.signOut(t), "")
	b.requireSignInPage(t, b.open(t, "/profile"), "/profile")
}

func TestBrowserKeepsTheCookieFromScripts(t *testing.T) {
	t.Parallel()
	b := startBrowser(t)
	b.signedIn(t, "ada")
	c := b.session(t)
	require.Equal(t, "session", c.Name)
	require.Equal(t, "127.0.0.1", c.Domain, "this host alone")
	require.Equal(t, "/", c.Path)
	require.True(t, c.HTTPOnly)
	require.Equal(t, network.CookieSameSiteLax, c.SameSite)
	require.False(t, c.Secure, "the demo speaks plain HTTP")
	require.WithinDuration(t, time.Now().Add(12*time.Hour), time.Unix(int64(c.Expires), 0), time.Minute)

	act(t, b, chromedp.Evaluate[chromedp.Void](`document.cookie = "other=seen"`))
	require.Equal(t, "other=seen", act(t, b, chromedp.Evaluate[string]("document.cookie")))
}

func TestBrowserCookieOpensNothingAfterSignOut(t *testing.T) {
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

// origins are others than the server's. Cookies know no ports: to a browser the
// first is the same site, so it sends even a SameSite cookie along.
var origins = map[string]struct {
	host    string
	cookie  bool // the browser sends it along
	fetched int  // the answer to a POST by fetch
}{
	"another port of this host": {"127.0.0.1", true, http.StatusForbidden},
	"another host":              {"localhost", false, http.StatusUnauthorized},
}

func TestBrowserFormsOfOtherOriginsChangeNothing(t *testing.T) {
	t.Parallel()
	b := startBrowser(t)
	b.signedIn(t, "ada")
	before := b.session(t)
	for name, origin := range origins {
		for path, form := range map[string]map[string]string{
			"/signin":  {"username": "grace", "password": b.passwords["grace"], "next": "/profile"},
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

func TestBrowserFetchFromOtherOriginsCreatesNoNote(t *testing.T) {
	t.Parallel()
	b := startBrowser(t)
	b.signedIn(t, "ada")
	for name, origin := range origins {
		t.Run(name, func(t *testing.T) {
			act(t, b, chromedp.Navigate(serve(t, origin.host, "<title>Another site</title>")))

			// The browser asks first whether it may send JSON, and may not.
			got := b.visit(t, "OPTIONS /api/v1/notes", func() { b.postNote(t, "cors", "application/json") })
			require.Equal(t, http.StatusMethodNotAllowed, got.status)
			require.Empty(t, b.visits, "the note itself was not sent")

			// It does not ask for what a form could send as well.
			got = b.visit(t, "POST /api/v1/notes", func() { b.postNote(t, "no-cors", "text/plain") })
			require.Equal(t, origin.cookie, got.cookie)
			require.Equal(t, origin.fetched, got.status)
			require.Empty(t, b.notesOf(t, "ada"))
		})
	}
}

// The same request of a page of the server's own does create a note: those above
// are refused for where they come from.
func TestBrowserFetchFromTheSameOriginCreatesANote(t *testing.T) {
	t.Parallel()
	b := startBrowser(t)
	call(t, b, cdppage.SetBypassCSP, cdppage.SetBypassCSPParams{Enabled: true}) // it forbids our own pages to fetch
	b.signedIn(t, "ada")
	got := b.visit(t, "POST /api/v1/notes", func() { b.postNote(t, "cors", "application/json") })
	require.Equal(t, http.StatusCreated, got.status)
	require.Len(t, b.notesOf(t, "ada"), 1)
}

func TestBrowserPagesCauseNoConsoleMessages(t *testing.T) {
	t.Parallel()
	b := startBrowser(t)
	b.eachPage(t, func(t *testing.T, load func()) { require.Empty(t, b.console(t, load)) })

	// The pages' policy forbids what is inline: were there any, we would hear of it.
	said := b.console(t, func() {
		act(t, b, chromedp.Evaluate[chromedp.Void](`document.body.setAttribute("onclick", "1")`))
	})
	require.Contains(t, strings.Join(said, "\n"), "Content Security Policy")
}

func TestBrowserPagesFitANarrowScreen(t *testing.T) {
	t.Parallel()
	b := startBrowser(t)
	long := auth.NewToken{Name: strings.Repeat("w", 100)}
	_, _, err := b.bearer.Issue(t.Context(), b.idOf(t, "ada"), long)
	require.NoError(t, err)
	act(t, b, chromedp.EmulateViewport(320, 640))
	b.eachPage(t, func(t *testing.T, load func()) {
		load()
		width := act(t, b, chromedp.Evaluate[[]int]("[innerWidth, document.documentElement.scrollWidth]"))
		require.Equal(t, []int{320, 320}, width)
	})
}

// eachPage calls check for the three pages, to load each and look at it.
func (b *browser) eachPage(t *testing.T, check func(t *testing.T, load func())) {
	for _, p := range []struct {
		title string
		load  func()
	}{
		{"Sign in", func() { b.open(t, "/") }},
		{"Not signed in", func() { b.signIn(t, "ada", "wrong") }},
		{"My Profile", func() { b.signIn(t, "ada", b.passwords["ada"]) }},
	} {
		check(t, p.load)
		require.Contains(t, act(t, b, chromedp.Title()), p.title)
	}
}

// A browser is a demo, and one tab of a browser with a profile of its own.
type browser struct {
	*demo
	ctx     context.Context
	visits  chan visit
	handler atomic.Pointer[http.Handler]
}

// swap changes the settings that the server serves.
func (b *browser) swap(settings http.Handler) {
	changed := *b.server
	changed.developer = settings
	h := changed.routes()
	b.handler.Store(&h)
}

// A visit is a request that reached the server, and its answer.
type visit struct {
	request string // method and path
	cookie  bool   // it came with a session
	status  int
}

func startBrowser(t *testing.T) *browser {
	t.Helper()
	path := findBrowser(t)
	b := &browser{demo: startDemo(t), visits: make(chan visit, 1000)}
	b.swap(b.developer)
	front := httptest.NewServer(b.watch(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		(*b.handler.Load()).ServeHTTP(w, r)
	})))
	t.Cleanup(front.Close)
	b.url = front.URL
	b.ctx = launch(t, path)
	return b
}

func findBrowser(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("it asks a browser: not with -short")
	}
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	const missing = "no Chromium or Chrome is installed (Debian: apt-get install chromium)"
	if os.Getenv("CI") == "true" {
		t.Fatal(missing)
	}
	t.Skip(missing)
	return ""
}

// launch starts a browser that reaches this machine alone. It ends after three
// minutes, if the test has not ended it before.
func launch(t *testing.T, path string) context.Context {
	t.Helper()
	profile := filepath.Join(t.TempDir(), "profile")
	// Not t.Context(), which ends before the browser is closed.
	bounded, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	ctx, _ := chromedp.NewContext(bounded, chromedp.WithAllocatorOptions(
		chromedp.ExecPath(path),
		chromedp.UserDataDir(profile),
		chromedp.Headless,
		chromedp.NoFirstRun,
		chromedp.DisableGPU,
		chromedp.Flag("no-sandbox", os.Getuid() == 0), // Chromium has none for root
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true),
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost"),
	))
	t.Cleanup(func() {
		_ = chromedp.Cancel(ctx) // fails if it has ended already
		cancel()
		// Processes that it started may write for a moment longer.
		require.Eventually(t, func() bool { return os.RemoveAll(profile) == nil }, 10*time.Second, 10*time.Millisecond)
	})
	require.NoError(t, chromedp.Do(ctx))
	return ctx
}

// watch notes each visit.
func (b *browser) watch(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, err := r.Cookie("session")
		watched := &statusWriter{w, http.StatusOK}
		next.ServeHTTP(watched, r)
		b.visits <- visit{r.Method + " " + r.URL.Path, err == nil, watched.status}
	})
}

type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// visit waits for the first visit of its kind since do began.
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
			t.Fatalf("no %s has come: %v", request, b.ctx.Err())
		}
	}
}

// serve serves a page of another origin and returns its address.
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

// openForm opens a page of another origin, which posts a form to the server as
// soon as it is loaded, and returns when the answer is on the screen.
func (b *browser) openForm(t *testing.T, host, path string, fields map[string]string) {
	t.Helper()
	var html strings.Builder
	require.NoError(t, hostileForm.Execute(&html, map[string]any{"Action": b.url + path, "Fields": fields}))
	arrived := func(e cdppage.EventFrameNavigated) bool { return strings.HasPrefix(e.Frame.URL, b.url) }
	act(t, b, chromedp.WaitEvent(cdppage.FrameNavigated, arrived, chromedp.Navigate(serve(t, host, html.String()))))
}

// postNote lets the page that is open send a note, and returns when it knows the
// answer or that it will get none.
func (b *browser) postNote(t *testing.T, mode, contentType string) {
	t.Helper()
	act(t, b, chromedp.Evaluate[chromedp.Void](fmt.Sprintf(`fetch(%q, {
		method: "POST", credentials: "include", mode: %q, headers: {"Content-Type": %q}, body: '{"text": "Buy milk"}',
	}).catch(() => {})`, b.url+"/api/v1/notes", mode, contentType), chromedp.EvalAwaitPromise))
}

// open opens a page of the server, and returns the last answer of its redirects.
func (b *browser) open(t *testing.T, path string) *network.Response {
	t.Helper()
	return act(t, b, chromedp.NavigateResponse(b.url+path))
}

// signIn fills in the form that is open and sends it.
func (b *browser) signIn(t *testing.T, name, password string) *network.Response {
	t.Helper()
	return b.answer(t,
		chromedp.Clear(chromedp.CSS("#username")),
		chromedp.SendKeys(chromedp.CSS("#username"), name),
		chromedp.SendKeys(chromedp.CSS("#password"), password),
		chromedp.Click(chromedp.CSS(`form[action="/signin"] button`)),
	)
}

func (b *browser) signedIn(t *testing.T, name string) {
	t.Helper()
	b.open(t, "/")
	require.EqualValues(t, http.StatusOK, b.signIn(t, name, b.passwords[name]).Status)
}

func (b *browser) signOut(t *testing.T) *network.Response {
	t.Helper()
	return b.answer(t, chromedp.Click(chromedp.CSS(`form[action="/signout"] button`)))
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

// session returns the only cookie that there is.
func (b *browser) session(t *testing.T) *network.Cookie {
	t.Helper()
	cookies := b.cookies(t)
	require.Len(t, cookies, 1)
	return cookies[0]
}

// cookies returns what the browser has for the server, HttpOnly ones as well.
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

func (b *browser) notesOf(t *testing.T, name string) []note {
	t.Helper()
	list, err := b.state.notesOf(t.Context(), b.idOf(t, name))
	require.NoError(t, err)
	return list
}

func (b *browser) runsScripts(t *testing.T) bool {
	t.Helper()
	act(t, b, chromedp.Navigate(serve(t, "127.0.0.1", `<title>no</title><script>document.title = "yes"</script>`)))
	return act(t, b, chromedp.Title()) == "yes"
}

// console returns what the browser says in its console while do runs.
func (b *browser) console(t *testing.T, do func()) (said []string) {
	t.Helper()
	const end = "end of messages"
	messages := chromedp.Console(b.ctx)
	do()
	act(t, b, chromedp.Evaluate[chromedp.Void](fmt.Sprintf("console.log(%q)", end)))
	for m, err := range messages {
		require.NoError(t, err)
		if m.Text == end {
			break
		}
		if m.Source == "network" && m.URL == b.url+"/signin" {
			continue // the status of a refusal: that is on purpose
		}
		said = append(said, m.String())
	}
	return said
}

func (b *browser) text(t *testing.T, selector string) string {
	t.Helper()
	return strings.TrimSpace(act(t, b, chromedp.Text(chromedp.CSS(selector))))
}

func (b *browser) value(t *testing.T, selector string) string {
	t.Helper()
	// Ready, not visible: some fields are hidden.
	return act(t, b, chromedp.Value(chromedp.CSS(selector), chromedp.NodeReady))
}

// answer takes steps that lead to another page, and returns that page's answer.
func (b *browser) answer(t *testing.T, steps ...chromedp.Action[chromedp.Void]) *network.Response {
	t.Helper()
	res, err := chromedp.RunResponse(b.ctx, steps...)
	require.NoError(t, err)
	return res
}

func act[T any](t *testing.T, b *browser, a chromedp.Action[T]) T {
	t.Helper()
	result, err := chromedp.Run(b.ctx, a)
	require.NoError(t, err)
	return result
}

func call[P, R any](t *testing.T, b *browser, cmd cdp.Command[P, R], params P) R {
	t.Helper()
	result, err := chromedp.Call(b.ctx, cmd, params)
	require.NoError(t, err)
	return result
}
