package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// The example server, as Chromium uses it.

func testRegistration(t *testing.T, l *lab) {
	s := l.serve(t, "localhost")
	p := l.startServer(t, s, t.TempDir(), nil, "-store", "memory:")
	b := l.open(t, s, p.demo())
	b.boundSignIn(t)
	registered := b.log.latest
	require.Equal(t, s.url+"/dbsc/refresh", registered.RefreshURL)
	require.Equal(t, s.url, registered.InclusionRules.Origin)
	require.False(t, registered.InclusionRules.IncludeSite)
	require.NotEmpty(t, registered.CachedChallenge, "which saves a round trip")
	require.Equal(t, []string{"*"}, registered.AllowedRefreshInitiators)
	for _, c := range b.cookies(t) {
		if c.Name == "__Host-session-bound" {
			require.WithinDuration(t, time.Now().Add(5*time.Minute), time.Unix(int64(c.Expires), 0), time.Minute)
		}
		require.True(t, c.HTTPOnly && c.Secure)
	}
	s.forget()
	b.requireSignedIn(t)
	for _, e := range s.to("/profile") {
		require.True(t, e.session && e.bound)
	}
	p.stop(t)
	require.Contains(t, p.stderr.String(), "event.type=bound")
	require.NotContains(t, p.stderr.String(), "event.type=refused")
}

// While the browser renews the bound cookie, the requests of the page wait.
func testRenewal(t *testing.T, l *lab) {
	s := l.serve(t, "localhost", l.server.proxied(t))
	b := l.open(t, s, l.server.demo())
	call(t, b.browser, cdppage.SetBypassCSP, cdppage.SetBypassCSPParams{Enabled: true})
	b.boundSignIn(t)
	b.expire(t)
	release := s.holdRenewals(t)
	act(t, b.browser, chromedp.Evaluate[chromedp.Void](`void (window.sent = Promise.all([
		...[1, 2, 3, 4].map(() => fetch("/api/v1/me")),
		fetch("/api/v1/notes", {method: "POST", headers: {"Content-Type": "application/json"}, body: '{"text": "Buy milk"}'}),
	]).then(all => all.map(res => res.status)))`))
	s.renewing(t)
	require.Empty(t, s.to("/api/"))
	release()
	statuses := act(t, b.browser, chromedp.Evaluate[[]int]("window.sent", chromedp.EvalAwaitPromise))
	require.Equal(t, []int{200, 200, 200, 200, 201}, statuses)
	require.Equal(t, 1, b.log.count("renewal Refreshed"))
	require.Len(t, s.to("/dbsc/refresh"), 1, "in one round trip")
	for _, e := range s.to("/api/") {
		require.True(t, e.bound)
	}
}

func testTwoTabs(t *testing.T, l *lab) {
	s := l.serve(t, "localhost", l.server.proxied(t))
	b := l.open(t, s, l.server.demo())
	b.boundSignIn(t)
	tab := b.tab(t)
	tab.requireSignedIn(t)
	b.expire(t)
	s.forget()
	release := s.holdRenewals(t)
	for _, each := range []*browser{b.browser, tab} {
		act(t, each, chromedp.Evaluate[chromedp.Void](`void setTimeout(() => location.href = "/profile?again")`))
	}
	s.renewing(t)
	release()
	for _, each := range []*browser{b.browser, tab} {
		require.Eventually(t, func() bool {
			// An error means that the page is about to go.
			text, err := chromedp.Run(each.ctx, chromedp.Evaluate[string](`location.search + document.querySelector("#you")?.textContent`))
			return err == nil && strings.HasPrefix(text, "?again") && strings.Contains(text, "ada")
		}, patience, 20*time.Millisecond)
	}
	require.Len(t, s.to("/dbsc/refresh"), 1)
}

// A link on another site opens a page without a sign-in, although the bound cookie has expired.
func testLink(t *testing.T, l *lab) {
	s := l.serve(t, "localhost", l.server.proxied(t))
	b := l.open(t, s, l.server.demo())
	b.boundSignIn(t)
	b.expire(t)
	act(t, b.browser, chromedp.Navigate(serve(t, "127.0.0.1", fmt.Sprintf(`<a href="%s/profile">profile</a>`, s.url))))
	s.forget()
	require.Equal(t, s.url+"/profile", b.load(t, chromedp.Click(chromedp.CSS("a"))).URL)
	require.Equal(t, "Signed in as ada", b.text(t, "#you"))
	require.Equal(t, exchange{request: "GET /profile", status: 200, session: true, bound: true, fetched: "cross-site"}, s.to("/profile")[0])
	b.log.await(t, "renewal Refreshed")
}

func testBoundSignOut(t *testing.T, l *lab) {
	s := l.serve(t, "localhost", l.server.proxied(t))
	b := l.open(t, s, l.server.demo())
	b.boundSignIn(t)
	b.requireSignInPage(t, b.signOut(t), "")
	require.Empty(t, b.cookies(t))
	b.log.await(t, "termination ServerRequested")
	s.forget()
	b.requireSignInPage(t, b.open(t, "/profile"), "/profile")
	require.Empty(t, s.to("/dbsc/"))
	b.boundSignIn(t) // and again
	b.requireSignedIn(t)
}

// Another session of the user ends this one.
func testBoundRevocation(t *testing.T, l *lab) {
	s := l.serve(t, "localhost")
	p := l.startServer(t, s, t.TempDir(), nil, "-store", "memory:")
	b := l.open(t, s, p.demo())
	b.boundSignIn(t)
	other := l.client(t, s, p)
	require.Equal(t, http.StatusSeeOther, other.post("/signin", p.demo().form("ada", ""), "Origin", s.url).status)
	account := regexp.MustCompile(`name="account" value="(\w+)"`).FindStringSubmatch(other.get(developer + "sessions/end").body)
	require.NotNil(t, account)
	res := other.post(developer+"sessions/end", url.Values{"account": account[1:]}, "Origin", s.url)
	require.Equal(t, http.StatusSeeOther, res.status, res.body)

	b.requireSignInPage(t, b.open(t, "/profile"), "/profile")
	b.expire(t)
	b.requireSignInPage(t, b.open(t, "/profile"), "/profile")
	b.log.await(t, "termination ServerRequested")
	require.Zero(t, b.log.count("renewal Refreshed"))
	require.Equal(t, http.StatusOK, other.get("/profile").status)
	b.boundSignIn(t)
}

// client returns a client of the example server behind the site.
func (l *lab) client(t *testing.T, s *site, p *process) *client {
	c := p.demo().client(t)
	roots := x509.NewCertPool()
	roots.AddCert(l.certificate.Leaf)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	t.Cleanup(transport.CloseIdleConnections)
	c.http.Transport, c.base = transport, s.url
	return c
}

// Any process that has the store and the keys answers registrations and renewals.
func testBoundTwoProcesses(t *testing.T, l *lab) {
	s := l.serve(t, "localhost")
	home := t.TempDir()
	one := l.startServer(t, s, home, nil)
	two := l.startServer(t, s, home, nil)
	b := l.open(t, s, one.demo())
	password := b.Passwords["ada"]
	b.open(t, "/")
	for i := range 2 {
		s.use(one.proxied(t), two.proxied(t)) // in turn: the sign-in and the registration, then the renewal and the page
		require.EqualValues(t, http.StatusOK, b.signIn(t, "ada", password).Status, i)
		b.log.await(t, "creation Success")
		b.expire(t)
		b.requireSignedIn(t)
		b.log.await(t, "renewal Refreshed")
		s.use(two.proxied(t))
		b.signOut(t)
		one, two = two, one
	}
	for _, e := range s.to("/") {
		require.Less(t, e.status, 400, e)
	}
}

// A session outlives a restart, and the rotation of the keys.
func testBoundRestart(t *testing.T, l *lab) {
	s := l.serve(t, "localhost")
	home := t.TempDir()
	older, newer := base64.StdEncoding.EncodeToString(newKey()), base64.StdEncoding.EncodeToString(newKey())
	p := l.startServer(t, s, home, []string{"AUTH_KEYS=" + older})
	b := l.open(t, s, p.demo())
	b.boundSignIn(t)
	for i, keys := range []string{older, older + "," + newer, newer + "," + older} {
		p.stop(t)
		p = l.startServer(t, s, home, []string{"AUTH_KEYS=" + keys})
		s.forget()
		b.requireSignedIn(t)
		require.Empty(t, s.to("/dbsc/"))
		b.expire(t)
		b.requireSignedIn(t)
		b.log.await(t, "renewal Refreshed")
		require.Len(t, s.to("/dbsc/refresh"), 1, "the challenge of the process before is valid, %d", i)
	}
	require.Equal(t, 1, b.log.count("creation Success"))
}
