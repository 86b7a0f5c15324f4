package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/storage"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/examples/internal/testbrowser"
)

// open loads the user interface.
func (b *browser) open(t *testing.T) {
	t.Helper()
	act(t, b, chromedp.Navigate(b.page))
}

func (b *browser) signedIn(t *testing.T) {
	t.Helper()
	b.open(t)
	b.awaitText(t, "h1", "Sign in")
	b.submitSignIn(t, password)
	b.awaitText(t, "h1", "Hello, ada")
}

func (b *browser) submitSignIn(t *testing.T, password string) {
	t.Helper()
	b.fill(t, "#name", "ada")
	b.fill(t, "#password", password)
	b.press(t, "main form [type=submit]")
}

func (b *browser) addNote(t *testing.T, text string) {
	t.Helper()
	b.fill(t, "#note", text)
	b.press(t, "form.row [type=submit]")
}

// fillToken fills in the form of a new token and submits it. An empty scope is none.
func (b *browser) fillToken(t *testing.T, name, scope string) {
	t.Helper()
	b.fill(t, "#token-name", name)
	if scope != "" {
		b.press(t, `input[value="`+scope+`"]:not(:checked)`)
	}
	b.press(t, "form[aria-labelledby=new-token] > button")
}

// fill types text into an input in place of what it has.
func (b *browser) fill(t *testing.T, selector, text string) {
	t.Helper()
	b.await(t, selector, "!e.disabled")
	b.evaluate(t, fmt.Sprintf(`(e => (e.focus(), e.select(), ""))(document.querySelector(%q))`, selector))
	key := text
	if text == "" {
		key = "\b"
	}
	act(t, b, chromedp.SendKeys(chromedp.CSS(selector), key))
	require.Equal(t, text, b.value(t, selector))
}

// press clicks on an element as soon as it is enabled.
func (b *browser) press(t *testing.T, selector string) {
	t.Helper()
	b.await(t, selector, "!e.disabled")
	act(t, b, chromedp.Click(chromedp.CSS(selector)))
}

// awaitText waits until an element has a text in it.
func (b *browser) awaitText(t *testing.T, selector, text string) {
	t.Helper()
	b.await(t, selector, "e.innerText.includes("+strconv.Quote(text)+")")
}

// awaitLoaded waits until a page without notes has made all of its requests: otherwise one of these
// would be the first to notice what happens next.
func (b *browser) awaitLoaded(t *testing.T) {
	t.Helper()
	b.awaitText(t, ".card", "There are no notes yet.")
	b.await(t, "section:has(#tokens)", `e.querySelector(".list li") || e.innerText.includes("There are no tokens yet.")`)
	b.await(t, "form[aria-labelledby=new-token]", "true")
}

// await waits until a condition holds for one of the elements e.
func (b *browser) await(t *testing.T, selector, condition string) {
	t.Helper()
	b.poll(t, fmt.Sprintf("[...document.querySelectorAll(%q)].some(e => %s)", selector, condition))
}

func (b *browser) awaitGone(t *testing.T, selector string) {
	t.Helper()
	b.poll(t, fmt.Sprintf("!document.querySelector(%q)", selector))
}

// poll waits until a condition holds, for at most a minute.
func (b *browser) poll(t *testing.T, condition string) {
	t.Helper()
	script := fmt.Sprintf(`new Promise(resolve => {
		setTimeout(() => resolve(false), 60000);
		const look = () => (%s) ? resolve(true) : requestAnimationFrame(look);
		look();
	})`, condition)
	if !act(t, b, chromedp.Evaluate[bool](script, chromedp.EvalAwaitPromise)) {
		t.Fatalf("%s does not hold. The page has:\n%s", condition, b.text(t, "body"))
	}
}

func (b *browser) text(t *testing.T, selector string) string {
	t.Helper()
	return strings.TrimSpace(b.evaluate(t, fmt.Sprintf("document.querySelector(%q).innerText", selector)))
}

func (b *browser) value(t *testing.T, selector string) string {
	t.Helper()
	return b.evaluate(t, fmt.Sprintf("document.querySelector(%q).value", selector))
}

// focused waits until the focus is on an element other than the body, and returns its name.
func (b *browser) focused(t *testing.T) string {
	t.Helper()
	b.poll(t, "document.activeElement !== document.body")
	return b.evaluate(t, "document.activeElement.tagName")
}

func (b *browser) violations(t *testing.T) string {
	t.Helper()
	return b.evaluate(t, `cspViolations.join("\n")`)
}

// fetch makes the open page call fetch with cookies, and returns the status, "0" if scripts cannot
// read it, or the name of the error.
func (b *browser) fetch(t *testing.T, path, options string) string {
	t.Helper()
	script := fmt.Sprintf(`fetch(%q, {credentials: "include", ...%s}).then(r => String(r.status), e => e.name)`, b.api+path, options)
	return act(t, b, chromedp.Evaluate[string](script, chromedp.EvalAwaitPromise))
}

func (b *browser) evaluate(t *testing.T, expression string) string {
	t.Helper()
	return act(t, b, chromedp.Evaluate[string](expression))
}

// cookies returns all cookies that the browser has, of all sites and partitions.
func (b *browser) cookies(t *testing.T) []*network.Cookie {
	t.Helper()
	result, err := chromedp.CallBrowser(b.ctx, storage.GetCookies, storage.GetCookiesParams{})
	require.NoError(t, err)
	return result.Cookies
}

// blockedReasons returns why the browser does not store each cookie that it drops.
func (b *browser) blockedReasons(t *testing.T) <-chan []network.SetCookieBlockedReason {
	t.Helper()
	reasons := make(chan []network.SetCookieBlockedReason, 100)
	require.NoError(t, chromedp.Listen(b.ctx, func(event any) {
		if e, ok := event.(*network.EventResponseReceivedExtraInfo); ok {
			for _, cookie := range e.BlockedCookies {
				reasons <- cookie.BlockedReasons
			}
		}
	}))
	return reasons
}

// tokens returns the names of the user's tokens, the newest first.
func (b *browser) tokens(t *testing.T) []string {
	t.Helper()
	found, err := b.bearer.List(t.Context(), "ada", auth.Page{})
	require.NoError(t, err)
	names := []string{}
	for _, token := range found {
		names = append(names, token.Name)
	}
	return names
}

// statusWithToken sends a request as a program does.
func (b *browser) statusWithToken(token, path string) int {
	r := httptest.NewRequest(http.MethodGet, b.api+path, nil)
	r.Header.Set("Authorization", "Bearer "+token)
	w := httptest.NewRecorder()
	b.routes(http.NotFoundHandler()).ServeHTTP(w, r)
	return w.Code
}

func act[T any](t *testing.T, b *browser, a chromedp.Action[T]) T {
	t.Helper()
	return testbrowser.Run(t, b.ctx, a)
}

func call[P, R any](t *testing.T, b *browser, cmd cdp.Command[P, R], params P) R {
	t.Helper()
	return testbrowser.Call(t, b.ctx, cmd, params)
}
