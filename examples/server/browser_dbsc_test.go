package main

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth/examples/internal/testbrowser"
	"github.com/seed-31c5bcb2/auth/examples/server/internal/front"
)

// Sessions that are bound to a device, in Chromium. With these features it keeps the key in
// a file, since the machines of tests have no TPM. It signs 6 times in 9 minutes for a site of a
// profile at most, so each test has a profile of its own.

func TestBrowser_dbsc(t *testing.T) {
	t.Parallel()
	l := startLab(t, chromedp.Flag("enable-features", "DeviceBoundSessions,EnableBoundSessionCredentialsSoftwareKeysForManualTesting"))
	// Most tests of the server need one that runs, each behind a site of its own.
	l.server = startProcess(t, t.TempDir(), nil, "-store", "memory:", "-proxy", "https://localhost").listening(t)
	for name, test := range map[string]func(*testing.T, *lab){
		"registration":       testRegistration,
		"renewal":            testRenewal,
		"two tabs":           testTwoTabs,
		"link":               testLink,
		"sign-out":           testBoundSignOut,
		"revocation":         testBoundRevocation,
		"two processes":      testBoundTwoProcesses,
		"restart":            testBoundRestart,
		"outage":             testBoundOutage,
		"theft":              testTheft,
		"streams":            testBoundStreams,
		"domain":             testBoundDomain,
		"domain, other host": testBoundOtherHost,
		"other sites":        testBoundOtherSites,
		"sign-in by a link":  testBoundSignInByLink,
		"non-persistent":     testBoundNonPersistent,
		"another user":       testBoundAnotherUser,
		"same site strict":   testBoundStrict,
		"quota":              testBoundQuota,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if !slices.Contains(mainBoundTests, name) {
				testbrowser.InCI(t)
			}
			test(t, l)
		})
	}
}

// mainBoundTests run outside of CI too.
var mainBoundTests = []string{"registration", "renewal", "two tabs", "link", "sign-out", "revocation", "two processes", "theft"}

// A browser without DBSC notices nothing.
func TestBrowser_dbscUnsupported(t *testing.T) {
	t.Parallel()
	l := startLab(t)
	s := l.serve(t, "localhost")
	p := l.startServer(t, s, t.TempDir(), nil, "-store", "memory:")
	b := l.open(t, s, p.demo())
	b.signedIn(t, "ada")
	require.Equal(t, "Signed in as ada", b.text(t, "#you"))
	require.Equal(t, []string{"__Host-session"}, b.cookieNames(t))
	b.signOut(t)
	require.Empty(t, b.cookies(t))
	require.Empty(t, s.to("/dbsc/"))
	require.Empty(t, b.log.all())
}

// A lab is a browser, the certificate that it trusts, and an example server.
type lab struct {
	browser     context.Context
	certificate *tls.Certificate
	server      *process
}

// patience is how long tests wait for something that happens soon, even on a loaded machine.
const patience = time.Minute

func startLab(t *testing.T, options ...chromedp.ExecAllocatorOption) *lab {
	t.Helper()
	path := testbrowser.Find(t)
	certificate, err := front.MakeCertificate([]string{"localhost", "app.test", "sub.app.test"}, []net.IP{net.IPv4(127, 0, 0, 1)})
	require.NoError(t, err)
	sum := sha256.Sum256(certificate.Leaf.RawSubjectPublicKeyInfo)
	options = append(options,
		// With ignore-certificate-errors, it would ignore DBSC.
		chromedp.Flag("ignore-certificate-errors-spki-list", base64.StdEncoding.EncodeToString(sum[:])),
		chromedp.Flag("host-resolver-rules", "MAP app.test 127.0.0.1, MAP *.app.test 127.0.0.1, "+testbrowser.LocalHosts),
	)
	browser := testbrowser.Launch(t, path, filepath.Join(t.TempDir(), "profile"), 8*time.Minute, options...)
	return &lab{browser: browser, certificate: certificate}
}

// A site is a proxy with TLS in front of what its handlers serve, in turn. It records the requests.
type site struct {
	url string

	mu       sync.Mutex
	handlers []http.Handler
	turn     int
	seen     []exchange
	hold     chan struct{} // renewals wait until it is closed, if it is not nil
	held     int           // how many do
}

// An exchange is a request, and the status of its response.
type exchange struct {
	request string // method and path
	status  int
	session bool // whether it had the session cookie
	bound   bool // whether it had the bound cookie
	fetched string
	skipped string // why the browser has not renewed the cookie
}

func (l *lab) serve(t *testing.T, host string, handlers ...http.Handler) *site {
	t.Helper()
	s := &site{handlers: handlers}
	srv := httptest.NewUnstartedServer(s)
	srv.TLS = &tls.Config{Certificates: []tls.Certificate{*l.certificate}}
	srv.EnableHTTP2 = true
	srv.Config.ErrorLog = log.New(io.Discard, "", 0) // browsers close connections at any time
	srv.StartTLS()
	t.Cleanup(func() {
		srv.CloseClientConnections() // some are streams
		srv.Close()
	})
	s.url = strings.Replace(srv.URL, "127.0.0.1", host, 1)
	return s
}

func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	h, hold := s.handlers[s.turn%len(s.handlers)], s.hold
	s.turn++
	if r.URL.Path != "/dbsc/refresh" {
		hold = nil
	}
	if hold != nil {
		s.held++
	}
	s.mu.Unlock()
	if hold != nil {
		<-hold
	}
	e := exchange{request: r.Method + " " + r.URL.Path, fetched: r.Header.Get("Sec-Fetch-Site"), skipped: r.Header.Get("Secure-Session-Skipped")}
	for _, c := range r.Cookies() {
		e.session = e.session || strings.HasSuffix(c.Name, "-session")
		e.bound = e.bound || strings.HasSuffix(c.Name, "-session-bound")
	}
	watched := testbrowser.NewStatusWriter(w)
	defer func() {
		e.status = watched.Status
		s.mu.Lock()
		s.seen = append(s.seen, e)
		s.mu.Unlock()
	}()
	h.ServeHTTP(watched, r)
}

// use makes handlers serve the next requests.
func (s *site) use(handlers ...http.Handler) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handlers, s.turn = handlers, 0
}

// holdRenewals makes renewals wait until the function that it returns is called.
func (s *site) holdRenewals(t *testing.T) (release func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	hold := make(chan struct{})
	s.hold, s.held = hold, 0
	release = sync.OnceFunc(func() { close(hold) })
	t.Cleanup(release)
	return release
}

// renewing waits until a renewal is held.
func (s *site) renewing(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.held > 0
	}, patience, 10*time.Millisecond)
}

// to returns the requests so far whose path begins with prefix.
func (s *site) to(prefix string) (found []exchange) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.seen {
		if _, path, _ := strings.Cut(e.request, " "); strings.HasPrefix(path, prefix) {
			found = append(found, e)
		}
	}
	return found
}

// forget removes what was recorded.
func (s *site) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = nil
}

// startServer runs the example server behind the site.
func (l *lab) startServer(t *testing.T, s *site, home string, env []string, args ...string) *process {
	t.Helper()
	p := startProcess(t, home, env, append(args, "-proxy", s.url)...).listening(t)
	s.use(p.proxied(t))
	return p
}

// proxied passes requests on to the process.
func (p *process) proxied(t *testing.T) http.Handler {
	t.Helper()
	to, err := url.Parse(p.demo().url)
	require.NoError(t, err)
	return &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(to)
		r.Out.Host = r.In.Host
		r.SetXForwarded()
	}}
}

// A boundBrowser is a profile with one tab.
type boundBrowser struct {
	*browser
	site *site
	log  *sessionLog
}

// open opens a profile, for a site whose users are those of the demo, or nil.
func (l *lab) open(t *testing.T, s *site, users *demo) *boundBrowser {
	t.Helper()
	bounded, end := context.WithTimeout(l.browser, 3*patience)
	t.Cleanup(end)
	ctx, cancel := chromedp.NewContext(bounded, chromedp.WithNewBrowserContext())
	t.Cleanup(cancel)
	b := &boundBrowser{&browser{demo: &demo{url: s.url}, ctx: ctx}, s, new(sessionLog)}
	if users != nil {
		b.Seeded = users.Seeded
	}
	require.NoError(t, chromedp.Listen(ctx, b.log.observe))
	call(t, b.browser, network.Enable, network.EnableParams{})
	call(t, b.browser, network.EnableDeviceBoundSessions, network.EnableDeviceBoundSessionsParams{Enable: true})
	return b
}

// tab opens another tab of the profile.
func (b *boundBrowser) tab(t *testing.T) *browser {
	t.Helper()
	ctx, cancel := chromedp.NewContext(b.ctx)
	t.Cleanup(cancel)
	return &browser{demo: b.demo, ctx: ctx}
}

// boundSignIn signs ada in at the example server, and waits until the session is bound.
func (b *boundBrowser) boundSignIn(t *testing.T) {
	t.Helper()
	b.signedIn(t, "ada")
	b.log.await(t, "creation Success")
	require.Equal(t, []string{"__Host-session", "__Host-session-bound"}, b.cookieNames(t))
}

// expire removes the bound cookie, as its expiry does.
func (b *boundBrowser) expire(t *testing.T) {
	t.Helper()
	for _, c := range b.cookies(t) {
		if strings.HasSuffix(c.Name, "-bound") {
			call(t, b.browser, network.DeleteCookies, network.DeleteCookiesParams{Name: c.Name, Domain: c.Domain, Path: c.Path})
			return
		}
	}
	require.Fail(t, "there is no bound cookie")
}

func (b *browser) cookieNames(t *testing.T) (names []string) {
	t.Helper()
	for _, c := range b.cookies(t) {
		names = append(names, c.Name)
	}
	slices.Sort(names)
	return names
}

// requireSignedIn opens a page of the example server.
func (b *browser) requireSignedIn(t *testing.T) {
	t.Helper()
	require.EqualValues(t, http.StatusOK, b.open(t, "/profile").Status)
	require.Equal(t, "Signed in as ada", b.text(t, "#you"))
}

// A sessionLog has what the browser says of its bound sessions.
type sessionLog struct {
	mu     sync.Mutex
	lines  []string // what has happened, and the result
	read   int      // by await
	latest *network.DeviceBoundSession
}

func (l *sessionLog) observe(ev any) {
	e, ok := ev.(*network.EventDeviceBoundSessionEventOccurred)
	if !ok {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case e.CreationEventDetails != nil:
		l.lines = append(l.lines, "creation "+e.CreationEventDetails.FetchResult.String())
		l.latest = e.CreationEventDetails.NewSession
	case e.RefreshEventDetails != nil:
		l.lines = append(l.lines, "renewal "+string(e.RefreshEventDetails.RefreshResult))
	case e.TerminationEventDetails != nil:
		l.lines = append(l.lines, "termination "+string(e.TerminationEventDetails.DeletionReason))
	}
}

func (l *sessionLog) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.lines)
}

// count returns how often a line is there.
func (l *sessionLog) count(line string) (n int) {
	for _, text := range l.all() {
		if text == line {
			n++
		}
	}
	return n
}

// await waits for a line after those that it has found before.
func (l *sessionLog) await(t *testing.T, line string) {
	t.Helper()
	for end := time.Now().Add(patience); ; {
		l.mu.Lock()
		at := slices.Index(l.lines[l.read:], line)
		if at >= 0 {
			l.read += at + 1
		}
		l.mu.Unlock()
		if at >= 0 {
			return
		}
		require.True(t, time.Now().Before(end), "no %q in %q", line, l.all())
		<-time.After(10 * time.Millisecond)
	}
}
