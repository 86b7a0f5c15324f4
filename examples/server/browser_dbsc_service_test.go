package main

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/dbsc"
)

// A boundService is a small service whose cookies and store a test chooses.
type boundService struct {
	store  *failingStore
	config auth.CookieConfig
	cookie *auth.Cookie
	mux    *http.ServeMux
	news   chan string
}

func newBoundService(t *testing.T, store auth.Store, cfg auth.CookieConfig) *boundService {
	t.Helper()
	binding, err := dbsc.New(dbsc.Config{})
	require.NoError(t, err)
	s := &boundService{store: &failingStore{Store: store}, config: cfg, mux: http.NewServeMux(), news: make(chan string)}
	if cfg.Keys == nil {
		s.config.Keys = auth.Keys{newKey()}
	}
	cfg = s.config
	quiet := func(context.Context, auth.Event) {}
	cfg.Binding, cfg.Observe = binding, quiet
	s.cookie, err = auth.NewCookie(s.store, cfg)
	require.NoError(t, err)
	authenticated := (&auth.Middleware{Observe: quiet}).Require(s.cookie)
	s.mux.Handle("/dbsc/", binding)
	s.mux.HandleFunc("GET /sign-in/{user}", s.signIn)
	s.mux.Handle("GET /page", authenticated(http.HandlerFunc(userPage)))
	s.mux.Handle("GET /events", authenticated(http.HandlerFunc(s.events)))
	s.mux.Handle("GET /socket", authenticated(http.HandlerFunc(s.socket)))
	return s
}

func (s *boundService) signIn(w http.ResponseWriter, r *http.Request) {
	o := auth.SessionOptions{NonPersistent: r.URL.Query().Has("forget")}
	if _, err := s.cookie.SignIn(w, r, r.PathValue("user"), o); err != nil {
		auth.WriteError(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "text/html")
	fmt.Fprint(w, noIcon+"<title>Signed in</title>")
}

func userPage(w http.ResponseWriter, r *http.Request) {
	id, _ := auth.FromContext(r.Context())
	w.Header().Set("Content-Type", "text/html")
	fmt.Fprintf(w, noIcon+"<title>%s</title>", id.UserID)
}

// noIcon keeps the browser from asking for an icon, which can cause a renewal at any time.
const noIcon = `<link rel="icon" href="data:,">`

// recheck is how often streams check the session.
const recheck = 20 * time.Millisecond

func (s *boundService) events(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := auth.Watch(r.Context(), recheck)
	defer cancel()
	w.Header().Set("Content-Type", "text/event-stream")
	for text := "open"; ; {
		fmt.Fprintf(w, "data: %s\n\n", text)
		http.NewResponseController(w).Flush()
		select {
		case text = <-s.news:
		case <-ctx.Done():
			return
		}
	}
}

func (s *boundService) socket(w http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer conn.CloseNow()
	ctx, cancel := auth.Watch(conn.CloseRead(r.Context()), recheck)
	defer cancel()
	for text := "open"; conn.Write(ctx, websocket.MessageText, []byte(text)) == nil; {
		select {
		case text = <-s.news:
		case <-ctx.Done():
			return
		}
	}
}

// openBound opens a profile with a bound session of alice.
func (l *lab) openBound(t *testing.T, s *site) *boundBrowser {
	t.Helper()
	b := l.open(t, s, nil)
	b.open(t, "/sign-in/alice")
	b.log.await(t, "creation Success")
	return b
}

// requireUser opens the page of the service.
func (b *boundBrowser) requireUser(t *testing.T, user string) {
	t.Helper()
	require.EqualValues(t, http.StatusOK, b.open(t, "/page").Status)
	require.Equal(t, user, act(t, b.browser, chromedp.Title()))
}

// All cookies of the browser are copied. They work for 6 minutes, and never after, while the browser
// notices nothing. Instead of waiting, another process with the store and the keys looks at them
// in a bubble, which has a clock of its own.
func testTheft(t *testing.T, l *lab) {
	store := auth.NewMemoryStore()
	service := newBoundService(t, store, auth.CookieConfig{})
	s := l.serve(t, "localhost", service.mux)
	b := l.openBound(t, s)
	stolen := make(map[string]string)
	for _, c := range b.cookies(t) {
		stolen[c.Name] = c.Value
	}
	require.Equal(t, []string{"__Host-session", "__Host-session-bound"}, slices.Sorted(maps.Keys(stolen)))
	b.expire(t)
	b.requireUser(t, "alice")
	renewed := time.Now()

	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(renewed))
		another := newBoundService(t, store, service.config)
		get := func(path string, header ...string) int {
			method := "GET"
			if len(header) > 0 {
				method = "POST"
			}
			r := httptest.NewRequest(method, s.url+path, nil)
			for name, value := range stolen {
				r.AddCookie(&http.Cookie{Name: name, Value: value})
			}
			for i := 0; i < len(header); i += 2 {
				r.Header.Set(header[i], header[i+1])
			}
			w := httptest.NewRecorder()
			another.mux.ServeHTTP(w, r)
			return w.Code
		}
		require.Equal(t, http.StatusOK, get("/page"))
		time.Sleep(5 * time.Minute)
		require.Equal(t, http.StatusOK, get("/page"))
		time.Sleep(time.Minute + time.Second)
		for range 24 * 6 {
			require.Equal(t, http.StatusUnauthorized, get("/page"))
			require.Equal(t, http.StatusForbidden, get("/dbsc/refresh", "Sec-Secure-Session-Id", b.log.latest.Key.ID), "it asks for a signature")
			time.Sleep(time.Hour)
		}
		require.NoError(t, another.cookie.Close(t.Context()))
	})
	b.requireUser(t, "alice")
}

// Streams that are open stay open when the bound cookie expires, and those that the page opens then
// wait for the renewal.
func testBoundStreams(t *testing.T, l *lab) {
	service := newBoundService(t, auth.NewMemoryStore(), auth.CookieConfig{})
	s := l.serve(t, "localhost", service.mux)
	b := l.openBound(t, s)
	act(t, b.browser, chromedp.Evaluate[chromedp.Void](`
		window.got = [];
		window.streams = () => {
			new EventSource("/events").onmessage = e => got.push("event " + e.data);
			new WebSocket("/socket").onmessage = e => got.push("message " + e.data);
		};
		streams()`))
	requireGot := func(want ...string) {
		t.Helper()
		require.Eventually(t, func() bool {
			got := act(t, b.browser, chromedp.Evaluate[[]string]("got.toSorted()"))
			return slices.Equal(got, want)
		}, patience, 20*time.Millisecond)
	}
	requireGot("event open", "message open")
	b.expire(t)
	service.news <- "a"
	service.news <- "b"
	require.Eventually(t, func() bool {
		return act(t, b.browser, chromedp.Evaluate[int]("got.length")) == 4
	}, patience, 20*time.Millisecond)
	require.Zero(t, b.log.count("renewal Refreshed"))

	act(t, b.browser, chromedp.Evaluate[chromedp.Void]("got = []; streams()"))
	requireGot("event open", "message open")
	b.log.await(t, "renewal Refreshed")
	_, err := service.cookie.RevokeAll(t.Context(), "alice")
	require.NoError(t, err)
	require.Eventually(t, func() bool { return len(s.to("/socket")) == 2 }, patience, 20*time.Millisecond, "a revocation ends them")
}

// While the store is unavailable, the browser keeps its session.
func testBoundOutage(t *testing.T, l *lab) {
	service := newBoundService(t, auth.NewMemoryStore(), auth.CookieConfig{})
	s := l.serve(t, "localhost", service.mux)
	b := l.openBound(t, s)
	b.expire(t)
	service.store.down.Store(true)
	require.EqualValues(t, http.StatusServiceUnavailable, b.open(t, "/page").Status)
	b.log.await(t, "renewal ServerError")
	service.store.down.Store(false)
	b.requireUser(t, "alice")
	b.log.await(t, "renewal Refreshed")
	require.Zero(t, b.log.count("termination ServerRequested"))
}

// A cookie with a Domain is for all hosts of it, and so is the renewal.
func testBoundDomain(t *testing.T, l *lab) {
	service := newBoundService(t, auth.NewMemoryStore(), auth.CookieConfig{Name: "__Secure-session", Domain: "app.test"})
	s := l.serve(t, "app.test", service.mux)
	b := l.openBound(t, s)
	require.True(t, b.log.latest.InclusionRules.IncludeSite)
	b.expire(t)
	s.forget()
	b.url = otherHost(s)
	b.requireUser(t, "alice")
	b.log.await(t, "renewal Refreshed")
	require.Len(t, s.to("/dbsc/refresh"), 1)
	require.True(t, s.to("/page")[0].bound)
}

// otherHost returns the URL of the site under the name of a host below its own.
func otherHost(s *site) string { return "https://sub." + s.url[len("https://"):] }

// The host of the domain allows others to register sessions.
func testBoundOtherHost(t *testing.T, l *lab) {
	service := newBoundService(t, auth.NewMemoryStore(), auth.CookieConfig{Name: "__Secure-session", Domain: "app.test"})
	s := l.serve(t, "app.test", service.mux)
	service.mux.HandleFunc("GET app.test/.well-known/device-bound-sessions", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"registering_origins": [%q]}`, s.url)
	})
	s.url = otherHost(s)
	b := l.openBound(t, s)
	b.expire(t)
	b.requireUser(t, "alice")
	b.log.await(t, "renewal Refreshed")
}

// Another site can make the browser send requests. None of them ends the session, or is one of the
// user's.
func testBoundOtherSites(t *testing.T, l *lab) {
	service := newBoundService(t, auth.NewMemoryStore(), auth.CookieConfig{})
	s := l.serve(t, "localhost", service.mux)
	b := l.openBound(t, s)
	b.expire(t)
	s.forget()
	other := serve(t, "127.0.0.1", fmt.Sprintf(`<title>Another site</title>
		<img src="%[1]s/page"><iframe src="%[1]s/page"></iframe>
		<script>
		const send = (path, o) => fetch("%[1]s" + path, {mode: "no-cors", credentials: "include", ...o});
		window.sent = Promise.allSettled([send("/page"), send("/page", {method: "POST"}),
			send("/dbsc/refresh", {method: "POST"}), send("/dbsc/registration", {method: "POST"})]);
		</script>`, s.url))
	act(t, b.browser, chromedp.Navigate(other))
	act(t, b.browser, chromedp.Evaluate[chromedp.Void]("window.sent", chromedp.EvalAwaitPromise))
	for _, e := range s.to("/") {
		require.False(t, e.session, e)
		require.GreaterOrEqual(t, e.status, 400, e)
	}
	require.GreaterOrEqual(t, len(s.to("/page")), 4)
	require.Zero(t, b.log.count("termination ServerRequested"))
	b.requireUser(t, "alice")
	b.log.await(t, "renewal Refreshed")
}

// Identity providers send the browser back from another site.
func testBoundSignInByLink(t *testing.T, l *lab) {
	service := newBoundService(t, auth.NewMemoryStore(), auth.CookieConfig{})
	s := l.serve(t, "localhost", service.mux)
	b := l.open(t, s, nil)
	act(t, b.browser, chromedp.Navigate(serve(t, "127.0.0.1", fmt.Sprintf(`<a href="%s/sign-in/alice">sign in</a>`, s.url))))
	require.EqualValues(t, http.StatusOK, b.load(t, chromedp.Click(chromedp.CSS("a"))).Status)
	b.log.await(t, "creation Success")
	b.expire(t)
	b.requireUser(t, "alice")
}

// The browser forgets the cookie of a session that is not persistent when it is closed. It keeps the
// bound session, which is worth nothing without the cookie, until someone signs in.
func testBoundNonPersistent(t *testing.T, l *lab) {
	service := newBoundService(t, auth.NewMemoryStore(), auth.CookieConfig{})
	s := l.serve(t, "localhost", service.mux)
	b := l.open(t, s, nil)
	b.open(t, "/sign-in/alice?forget")
	b.log.await(t, "creation Success")
	for _, c := range b.cookies(t) {
		require.Equal(t, c.Name == "__Host-session", c.Session, c.Name)
	}
	b.expire(t)
	b.requireUser(t, "alice")
	b.log.await(t, "renewal Refreshed")

	for _, name := range b.cookieNames(t) { // as if it was closed for long
		call(t, b.browser, network.DeleteCookies, network.DeleteCookiesParams{Name: name, URL: b.url})
	}
	require.EqualValues(t, http.StatusUnauthorized, b.open(t, "/page").Status)
	require.Equal(t, []string{"__Host-session-bound"}, b.cookieNames(t))
	b.open(t, "/sign-in/bob")
	b.log.await(t, "creation Success")
	b.expire(t)
	b.requireUser(t, "bob")
}

// The bound session of the user of before does not disturb that of the next one.
func testBoundAnotherUser(t *testing.T, l *lab) {
	service := newBoundService(t, auth.NewMemoryStore(), auth.CookieConfig{})
	s := l.serve(t, "localhost", service.mux)
	b := l.openBound(t, s)
	b.open(t, "/sign-in/bob")
	b.log.await(t, "creation Success")
	b.requireUser(t, "bob")
	b.expire(t)
	b.requireUser(t, "bob")
	b.log.await(t, "renewal Refreshed")
	require.Len(t, append(live(t, service, "alice"), live(t, service, "bob")...), 1)
}

func live(t *testing.T, s *boundService, user string) []auth.Credential {
	t.Helper()
	list, err := s.cookie.List(t.Context(), user, auth.Page{})
	require.NoError(t, err)
	return slices.DeleteFunc(list, func(c auth.Credential) bool { return c.Superseded })
}

// A link from another site comes without a cookie that is SameSite=Strict, and does not end the session.
func testBoundStrict(t *testing.T, l *lab) {
	service := newBoundService(t, auth.NewMemoryStore(), auth.CookieConfig{SameSite: http.SameSiteStrictMode})
	s := l.serve(t, "localhost", service.mux)
	b := l.openBound(t, s)
	b.expire(t)
	act(t, b.browser, chromedp.Navigate(serve(t, "127.0.0.1", fmt.Sprintf(`<a href="%s/page">page</a>`, s.url))))
	require.EqualValues(t, http.StatusUnauthorized, b.load(t, chromedp.Click(chromedp.CSS("a"))).Status)
	require.Zero(t, b.log.count("termination ServerRequested"))
	b.requireUser(t, "alice")
	b.log.await(t, "renewal Refreshed")
}

// Chromium signs 6 times in 9 minutes. Then a sign-in works, and is not bound.
func testBoundQuota(t *testing.T, l *lab) {
	service := newBoundService(t, auth.NewMemoryStore(), auth.CookieConfig{})
	s := l.serve(t, "localhost", service.mux)
	b := l.open(t, s, nil)
	for range 6 {
		b.open(t, "/sign-in/alice")
		b.log.await(t, "creation Success")
	}
	b.expire(t)
	require.EqualValues(t, http.StatusUnauthorized, b.open(t, "/page").Status)
	require.Contains(t, s.to("/page")[0].skipped, "quota_exceeded")
	b.open(t, "/sign-in/alice")
	b.log.await(t, "creation SigningQuotaExceeded")
	b.requireUser(t, "alice")
}
