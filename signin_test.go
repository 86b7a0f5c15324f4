package auth_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

// A session that was planted before the sign-in is useless afterwards (session fixation).
func TestSignIn_replacesTheSession(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, before, after string }{
		{"of the same user", "ada", "ada"},
		{"of another user", "mallory", "ada"},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFixture(t)
			h := f.all()
			planted := f.signIn(test.before)
			f.events.take()
			w := httptest.NewRecorder()
			_, err := f.cookie.SignIn(w, request("POST", withCookie(planted)), test.after, auth.SessionOptions{})
			require.NoError(t, err)
			fresh := w.Result().Cookies()[0]
			require.NotEqual(t, planted.Value, fresh.Value)
			refused(t, h.get(withCookie(planted)), 401, plainBearer, plainSecret)
			accepted(t, h.get(withCookie(fresh)), test.after, auth.SchemeCookie)
			events := f.events.take()
			require.Equal(t, []auth.EventType{auth.EventRevoked, auth.EventSignedIn}, eventTypes(events))
			require.Equal(t, auth.ReasonReplaced, events[0].Reason)
			require.Equal(t, test.before, events[0].UserID)
		})
	}
	t.Run("chosen by the client", func(t *testing.T) {
		f := newFixture(t)
		w := httptest.NewRecorder()
		_, err := f.cookie.SignIn(w, request("POST", field("Cookie", "__Host-session=chosen")), "ada", auth.SessionOptions{})
		require.NoError(t, err)
		require.NotContains(t, w.Header().Get("Set-Cookie"), "chosen")
	})
}

// The presented session may end while its user signs in again.
func TestSignIn_oldSessionEndsMeanwhile(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	cookie, old := f.session("ada")
	f.store.after = func(method string) {
		if method == "Lookup" {
			f.store.after = nil
			require.NoError(t, f.store.Store.Revoke(t.Context(), old.Ref()))
		}
	}
	w := httptest.NewRecorder()
	_, err := f.cookie.SignIn(w, request("POST", withCookie(cookie)), "ada", auth.SessionOptions{})
	require.NoError(t, err)
	accepted(t, f.all().get(withCookie(w.Result().Cookies()[0])), "ada", auth.SchemeCookie)
}

// A sign-in that fails leaves the earlier session as it was.
func TestSignIn_storeFails(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ user, method string }{
		{"ada", "Lookup"}, {"ada", "Rotate"}, {"grace", "Lookup"}, {"grace", "Create"}, {"grace", "Revoke"},
	} {
		t.Run(test.user+" "+test.method, func(t *testing.T) {
			f := newFixture(t)
			cookie := f.signIn("ada")
			failing(f, test.method, errors.New("connection refused"))
			w := httptest.NewRecorder()
			_, err := f.cookie.SignIn(w, request("POST", withCookie(cookie)), test.user, auth.SessionOptions{})
			require.ErrorIs(t, err, auth.ErrUnavailable)
			require.Empty(t, w.Header())
			f.store.fail = nil
			accepted(t, f.all().get(withCookie(cookie)), "ada", auth.SchemeCookie)
		})
	}
	t.Run("the new session is revoked", func(t *testing.T) {
		f := newFixture(t)
		cookie := f.signIn("ada")
		revokes := 0
		f.store.fail = func(called string) error {
			if called == "Revoke" {
				if revokes++; revokes == 1 {
					return errors.New("connection reset")
				}
			}
			return nil
		}
		_, err := f.cookie.SignIn(httptest.NewRecorder(), request("POST", withCookie(cookie)), "grace", auth.SessionOptions{})
		require.ErrorIs(t, err, auth.ErrUnavailable)
		list, err := f.cookie.List(t.Context(), "grace", auth.Page{})
		require.NoError(t, err)
		require.Empty(t, list)
	})
}

func TestSignIn_evictsTheOldestSession(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, func(c *configs) { c.cookie.MaxPerUser = 3 })
		h := f.all()
		var cookies []*http.Cookie
		for range 5 {
			cookies = append(cookies, f.signIn("ada"))
			time.Sleep(time.Second)
		}
		for i, c := range cookies {
			want := 200
			if i < 2 {
				want = 401
			}
			require.Equal(t, want, h.get(withCookie(c)).Code, "session %d", i)
		}
		// Signing in again in the same browser ends its own session and no other.
		w := httptest.NewRecorder()
		_, err := f.cookie.SignIn(w, request("POST", withCookie(cookies[4])), "ada", auth.SessionOptions{})
		require.NoError(t, err)
		require.Equal(t, 200, h.get(withCookie(cookies[2])).Code)
		require.NoError(t, f.cookie.Close(t.Context()))
	})
}

func TestSignIn_concurrentlyAtTheLimit(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(c *configs) { c.cookie.MaxPerUser = 5 })
	errs := make(chan error, 100)
	for range 100 {
		go func() {
			_, err := f.cookie.SignIn(httptest.NewRecorder(), request("POST"), "ada", auth.SessionOptions{})
			errs <- err
		}()
	}
	for range 100 {
		require.NoError(t, <-errs)
	}
	list, err := f.cookie.List(t.Context(), "ada", auth.Page{})
	require.NoError(t, err)
	require.Len(t, list, 5)
}

func TestSignIn_loweredLimit(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for range 10 {
		f.signIn("ada")
	}
	strict, err := auth.NewCookie(f.store, auth.CookieConfig{Keys: auth.Keys{testKey(1)}, MaxPerUser: 2})
	require.NoError(t, err)
	_, err = strict.SignIn(httptest.NewRecorder(), request("POST"), "ada", auth.SessionOptions{})
	require.NoError(t, err)
	list, err := strict.List(t.Context(), "ada", auth.Page{})
	require.NoError(t, err)
	require.Len(t, list, 2)
}

func TestSignIn_storeFailsDuringAnEviction(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"List", "Revoke"} {
		f := newFixture(t, func(c *configs) { c.cookie.MaxPerUser = 1 })
		cookie := f.signIn("ada")
		failing(f, method, errors.New("connection refused"))
		w := httptest.NewRecorder()
		_, err := f.cookie.SignIn(w, request("POST"), "ada", auth.SessionOptions{})
		require.ErrorIs(t, err, auth.ErrUnavailable, method)
		require.Empty(t, w.Header())
		accepted(t, f.all().get(withCookie(cookie)), "ada", auth.SchemeCookie)
	}
}

func TestSignIn_moreSessionsThanAPage(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for range 1005 {
		f.signIn("ada")
	}
	strict, err := auth.NewCookie(f.store, auth.CookieConfig{Keys: auth.Keys{testKey(1)}, MaxPerUser: 1001})
	require.NoError(t, err)
	_, err = strict.SignIn(httptest.NewRecorder(), request("POST"), "ada", auth.SessionOptions{})
	require.NoError(t, err)
	n, err := strict.RevokeAll(t.Context(), "ada")
	require.NoError(t, err)
	require.Equal(t, 1001, n)
}

func TestSignIn_expiredSessionsDoNotCount(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, func(c *configs) { c.cookie.MaxPerUser, c.cookie.Lifetime = 2, time.Hour })
		f.signIn("ada", auth.SessionOptions{Lifetime: time.Minute})
		kept := f.signIn("ada")
		time.Sleep(time.Minute)
		f.signIn("ada")
		accepted(t, f.all().get(withCookie(kept)), "ada", auth.SchemeCookie)
		require.NoError(t, f.cookie.Close(t.Context()))
	})
}

func TestSignIn_storeThatIsAlwaysFull(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(c *configs) { c.cookie.MaxPerUser = 1 })
	failing(f, "Create", auth.ErrLimit)
	_, err := f.cookie.SignIn(httptest.NewRecorder(), request("POST"), "ada", auth.SessionOptions{})
	require.ErrorIs(t, err, auth.ErrLimit)
}

func TestSignIn_plantedCookie(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	own := f.signIn("ada")
	planted := &http.Cookie{Name: own.Name, Value: "x"}
	_, err := f.cookie.SignIn(newRecorder(), request("POST", withCookie(own, planted)), "ada", auth.SessionOptions{})
	require.NoError(t, err)
	require.Equal(t, 401, f.all().get(withCookie(own)).Code, "SignIn ends the presented session")
}

func TestSignIn_clientThatGoesAway(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	r := request("POST", withCookie(f.signIn("ada")))
	ctx, cancel := context.WithCancel(t.Context())
	f.store.fail = func(m string) error {
		if m == "Revoke" {
			cancel()
		}
		return nil
	}
	_, err := f.cookie.SignIn(newRecorder(), r.WithContext(ctx), "grace", auth.SessionOptions{})
	require.Error(t, err)
	list, err := f.cookie.List(t.Context(), "grace", auth.Page{})
	require.NoError(t, err)
	require.Empty(t, list)
}

func TestSignIn_amongManyOthers(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(c *configs) { c.cookie.MaxPerUser = 1 })
	n := 0
	f.store.fail = func(m string) error {
		if m == "Create" {
			if n++; n < 50 {
				return auth.ErrLimit
			}
		}
		return nil
	}
	f.signIn("ada")
}

func TestSignIn_wholeSeconds(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	cookie, s := f.session("ada", auth.SessionOptions{Lifetime: 1500 * time.Millisecond})
	require.Equal(t, 2, cookie.MaxAge)
	require.Equal(t, 2*time.Second, s.ExpiresAt.Sub(s.CreatedAt))
}

func TestSignIn_keepsOtherCookies(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	w := newRecorder()
	http.SetCookie(w, &http.Cookie{Name: "__Host-session2", Value: "x", Path: "/", Secure: true})
	_, err := f.cookie.SignIn(w, request("POST"), "ada", auth.SessionOptions{})
	require.NoError(t, err)
	require.Len(t, w.Result().Cookies(), 2)
}

func TestSignIn_sessionOfAnotherUserEndsMeanwhile(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	cookie, old := f.session("mallory")
	f.store.after = func(m string) {
		if m == "Create" {
			f.store.after = nil
			require.NoError(t, f.store.Store.Revoke(t.Context(), old.Ref()))
		}
	}
	_, err := f.cookie.SignIn(newRecorder(), request("POST", withCookie(cookie)), "ada", auth.SessionOptions{})
	require.NoError(t, err)
}

func TestSignIn_failureKeepsTheEarlierSession(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	own, planted := f.signIn("ada"), f.signIn("mallory")
	failing(f, "Revoke", errors.New("connection reset"))
	_, err := f.cookie.SignIn(newRecorder(), request("POST", withCookie(own, planted)), "ada", auth.SessionOptions{})
	require.ErrorIs(t, err, auth.ErrUnavailable)
	f.store.fail = nil
	require.Equal(t, 200, f.all().get(withCookie(own)).Code)
}

func TestSignIn_outageIsAnsweredWith503(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	cookie, n := f.signIn("ada"), 0
	f.store.fail = func(m string) error {
		if m == "Revoke" {
			if n++; n == 1 {
				return errors.New("connection reset")
			}
			return auth.ErrNotFound // another sign-in has evicted it
		}
		return nil
	}
	_, err := f.cookie.SignIn(newRecorder(), request("POST", withCookie(cookie)), "grace", auth.SessionOptions{})
	require.ErrorIs(t, err, auth.ErrUnavailable)
	w := newRecorder()
	auth.WriteError(w, request("POST"), err)
	require.Equal(t, 503, w.Code)
}

func TestSignIn_oneEventPerSession(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	own := f.signIn("mallory")
	f.events.take()
	_, err := f.cookie.SignIn(newRecorder(), request("POST", withCookie(own, own)), "ada", auth.SessionOptions{})
	require.NoError(t, err)
	require.Equal(t, []auth.EventType{auth.EventRevoked, auth.EventSignedIn}, eventTypes(f.events.take()))
}

func TestSignIn_setsTheCookie(t *testing.T) {
	t.Parallel()
	trusted := []string{"https://app.example.com"}
	tests := []struct {
		name   string
		change func(*auth.CookieConfig)
		want   string // attributes, without Expires
	}{
		{"by default", func(*auth.CookieConfig) {}, "__Host-session=…; Path=/; Max-Age=604800; HttpOnly; Secure; SameSite=Lax"},
		{"default mode", func(c *auth.CookieConfig) { c.SameSite = http.SameSiteDefaultMode }, "__Host-session=…; Path=/; Max-Age=604800; HttpOnly; Secure; SameSite=Lax"},
		{"strict", func(c *auth.CookieConfig) { c.SameSite = http.SameSiteStrictMode }, "__Host-session=…; Path=/; Max-Age=604800; HttpOnly; Secure; SameSite=Strict"},
		{"none", func(c *auth.CookieConfig) { c.SameSite, c.TrustedOrigins = http.SameSiteNoneMode, trusted }, "__Host-session=…; Path=/; Max-Age=604800; HttpOnly; Secure; SameSite=None"},
		{"partitioned", func(c *auth.CookieConfig) {
			c.SameSite, c.TrustedOrigins, c.Partitioned = http.SameSiteNoneMode, trusted, true
		}, "__Host-session=…; Path=/; Max-Age=604800; HttpOnly; Secure; SameSite=None; Partitioned"},
		{"domain", func(c *auth.CookieConfig) { c.Domain = "example.com" }, "__Secure-session=…; Path=/; Domain=example.com; Max-Age=604800; HttpOnly; Secure; SameSite=Lax"},
		{"path", func(c *auth.CookieConfig) { c.Path = "/api" }, "__Secure-session=…; Path=/api; Max-Age=604800; HttpOnly; Secure; SameSite=Lax"},
		{"insecure", func(c *auth.CookieConfig) { c.Insecure = true }, "session=…; Path=/; Max-Age=604800; HttpOnly; SameSite=Lax"},
		{"name", func(c *auth.CookieConfig) { c.Name = "sid" }, "sid=…; Path=/; Max-Age=604800; HttpOnly; Secure; SameSite=Lax"},
		{"the longest", func(c *auth.CookieConfig) { c.Lifetime = 400 * 24 * time.Hour }, "__Host-session=…; Path=/; Max-Age=34560000; HttpOnly; Secure; SameSite=Lax"},
		{"fractions of a second", func(c *auth.CookieConfig) { c.Lifetime = 1500 * time.Millisecond }, "__Host-session=…; Path=/; Max-Age=2; HttpOnly; Secure; SameSite=Lax"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := newFixture(t, func(c *configs) { test.change(&c.cookie) })
			w := httptest.NewRecorder()
			c, err := f.cookie.SignIn(w, request("POST"), "ada", auth.SessionOptions{})
			require.NoError(t, err)
			require.Len(t, w.Result().Cookies(), 1)
			cookie := w.Result().Cookies()[0]
			require.WithinDuration(t, c.ExpiresAt, cookie.Expires, time.Second)
			line := strings.Replace(w.Header().Get("Set-Cookie"), cookie.Value, "…", 1)
			line = strings.Replace(line, "; Expires="+cookie.Expires.Format(http.TimeFormat), "", 1)
			require.Equal(t, test.want, line)
			require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
			require.Equal(t, "Cookie", w.Header().Get("Vary"))
			accepted(t, f.all().get(withCookie(cookie)), "ada", auth.SchemeCookie)
		})
	}
}

// Package text tests the names of sessions in more detail.
func TestSignIn_name(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for sent, want := range map[string]string{
		"Mozilla/5.0 (X11)":     "Mozilla/5.0 (X11)",
		"":                      "",
		"a\x1b[31mb\u202ec\xff": "a[31mbc",
		repeated("x", 1<<20):    repeated("x", 255),
	} {
		c, err := f.cookie.SignIn(newRecorder(), request("POST", field("User-Agent", sent)), "ada", auth.SessionOptions{})
		require.NoError(t, err)
		require.Equal(t, want, c.Name)
	}
}

// cleared is the cookie that SignOut sets.
const cleared = "__Host-session=; Path=/; Expires=Thu, 01 Jan 1970 00:00:01 GMT; Max-Age=0; HttpOnly; Secure; SameSite=Lax"

func TestSignOut(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	h := f.all()
	cookie := f.signIn("ada")
	signOut := func(edits ...edit) (*httptest.ResponseRecorder, error) {
		w := httptest.NewRecorder()
		return w, f.cookie.SignOut(w, request("POST", edits...))
	}
	w, err := signOut(withCookie(cookie))
	require.NoError(t, err)
	require.Equal(t, []string{cleared}, w.Header().Values("Set-Cookie"))
	require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
	require.Equal(t, "Cookie", w.Header().Get("Vary"))
	refused(t, h.get(withCookie(cookie)), 401, plainBearer, plainSecret)

	for name, e := range map[string]edit{
		"again":      withCookie(cookie),
		"no session": func(*http.Request) {},
		"junk":       field("Cookie", "__Host-session=x"),
		"two":        withCookie(cookie, cookie),
	} {
		t.Run(name, func(t *testing.T) {
			w, err := signOut(e)
			require.NoError(t, err)
			require.Equal(t, []string{cleared}, w.Header().Values("Set-Cookie"))
		})
	}
	t.Run("from another site", func(t *testing.T) {
		cookie := f.signIn("ada")
		w, err := signOut(withCookie(cookie), field("Sec-Fetch-Site", "cross-site"))
		require.ErrorIs(t, err, auth.ErrCrossOrigin)
		require.Empty(t, w.Header())
		accepted(t, h.get(withCookie(cookie)), "ada", auth.SchemeCookie)
	})
}

func TestSignOut_storeOutage(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	cookie := f.signIn("ada")
	for _, method := range []string{"Lookup", "Revoke"} {
		failing(f, method, errors.New("connection refused"))
		w := httptest.NewRecorder()
		require.ErrorIs(t, f.cookie.SignOut(w, request("POST", withCookie(cookie))), auth.ErrUnavailable)
		require.Equal(t, []string{cleared}, w.Header().Values("Set-Cookie"))
	}
}

func TestSignOut_afterSignIn(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	w := httptest.NewRecorder()
	http.SetCookie(w, &http.Cookie{Name: "theme", Value: "dark"})
	_, err := f.cookie.SignIn(w, request("POST"), "ada", auth.SessionOptions{})
	require.NoError(t, err)
	require.NoError(t, f.cookie.SignOut(w, request("POST")))
	require.Equal(t, []string{"theme=dark", cleared}, w.Header().Values("Set-Cookie"))
}

// Without signing in, clients cannot fill the store.
func TestSignOut_anonymousRequestsStoreNothing(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	h := behind(auth.Optional(f.bearer, f.cookie, f.secret))
	f.store.fail = func(method string) error { return fmt.Errorf("%s was called", method) }
	for range 100_000 {
		if w := h.get(); w.Code != 200 {
			t.Fatal(w.Code)
		}
		if err := f.cookie.SignOut(httptest.NewRecorder(), request("POST")); err != nil {
			t.Fatal(err)
		}
	}
	purged, err := f.store.Purge(context.Background(), time.Now().Add(1000*time.Hour))
	require.NoError(t, err)
	require.Zero(t, purged)
}

// A second cookie, planted from a sibling domain, does not prevent the end of a session.
func TestSignOut_plantedCookie(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	own := f.signIn("ada")
	planted := &http.Cookie{Name: own.Name, Value: "x"}
	require.NoError(t, f.cookie.SignOut(newRecorder(), request("POST", withCookie(own, planted))))
	require.Equal(t, 401, f.all().get(withCookie(own)).Code, "the cookie is invalid even for anyone who copied it")
}

// Another process may know of a later use of a session that looks idle here.
func TestSignOut_sessionThatLooksIdle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, func(c *configs) { c.cookie.IdleTimeout = 2 * time.Minute })
		other, err := auth.NewCookie(f.store, auth.CookieConfig{Keys: auth.Keys{testKey(1)}, IdleTimeout: 2 * time.Minute})
		require.NoError(t, err)
		failing(f, "Touch", errors.New("read-only"))
		c := withCookie(f.signIn("ada"))
		for range 4 {
			time.Sleep(time.Minute)
			require.Equal(t, 200, f.all().get(c).Code)
		}
		require.NoError(t, other.SignOut(newRecorder(), request("POST", c)))
		code := f.all().get(c).Code
		f.cookie.Close(t.Context())
		time.Sleep(2 * time.Minute)
		require.Equal(t, 401, code, "signed out in another process")
	})
}

func TestSignOut_reportsEveryOutage(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	a, b := f.signIn("ada"), f.signIn("ada")
	first, second, n := errors.New("first"), errors.New("second"), 0
	f.store.fail = func(m string) error {
		if m == "Lookup" {
			n++
			return []error{nil, first, second}[n]
		}
		return nil
	}
	err := f.cookie.SignOut(newRecorder(), request("POST", withCookie(a, b)))
	require.ErrorIs(t, err, first)
	require.ErrorIs(t, err, second)
	n = 0
	f.store.fail = func(m string) error {
		switch {
		case m == "Lookup":
			n++
			return []error{nil, nil, second}[n]
		case m == "Revoke":
			return first
		}
		return nil
	}
	err = f.cookie.SignOut(newRecorder(), request("POST", withCookie(a, b)))
	require.ErrorIs(t, err, second)
	require.ErrorIs(t, err, first)
}

func TestSignOut_endsEveryPresentedSession(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	var all []*http.Cookie
	for range 8 {
		all = append(all, f.signIn("ada"))
	}
	require.NoError(t, f.cookie.SignOut(newRecorder(), request("POST", withCookie(all...))))
	n, err := f.cookie.RevokeAll(t.Context(), "ada")
	require.NoError(t, err)
	require.Zero(t, n)
}

func TestSignOut_oneCookieTwice(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	c := f.signIn("ada")
	require.NoError(t, f.cookie.SignOut(newRecorder(), request("POST", withCookie(c, c))))
}

// Invalid cookies are easy to plant, and come first if their Path is longer.
func TestSignOut_junkCookiesInFront(t *testing.T) {
	t.Parallel()
	for name, act := range map[string]func(*fixture, *http.Request) error{
		"SignOut": func(f *fixture, r *http.Request) error { return f.cookie.SignOut(newRecorder(), r) },
		"SignIn": func(f *fixture, r *http.Request) error {
			_, err := f.cookie.SignIn(newRecorder(), r, "ada", auth.SessionOptions{})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			own := f.signIn("ada")
			junk, real := make([]*http.Cookie, 500), make([]*http.Cookie, 20)
			for i := range junk {
				junk[i] = &http.Cookie{Name: own.Name, Value: "x"}
			}
			for i := range real {
				real[i] = f.signIn("mallory")
			}
			require.NoError(t, act(f, request("POST", withCookie(junk...), withCookie(real...), withCookie(own))))
			require.Equal(t, 401, f.all().get(withCookie(own)).Code)
		})
	}
	t.Run("more valid cookies than users have", func(t *testing.T) {
		f := newFixture(t)
		var real []*http.Cookie
		for range 65 {
			real = append(real, f.signIn("mallory"))
		}
		before := f.store.lookups.Load()
		require.Error(t, f.cookie.SignOut(newRecorder(), request("POST", withCookie(real...))), "not all sessions are ended")
		require.EqualValues(t, 64, f.store.lookups.Load()-before)
	})
}

// A cookie of a machine whose clock is ahead is rejected here, but accepted there.
func TestSignOut_cookieFromTheFuture(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	var cookie *http.Cookie
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Hour)
		cookie = f.signIn("ada")
	})
	synctest.Test(t, func(t *testing.T) {
		require.NoError(t, f.cookie.SignOut(newRecorder(), request("POST", withCookie(cookie))))
		list, err := f.cookie.List(t.Context(), "ada", auth.Page{})
		require.NoError(t, err)
		require.Empty(t, list)
	})
}

// Values that look like ours are decrypted, up to more than a browser can have. They hide no
// session of a browser, and a request with more ends as an error.
func TestSignOut_lookalikesInFront(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	own := f.signIn("ada")
	junk := make([]*http.Cookie, 512)
	for i := range junk {
		junk[i] = &http.Cookie{Name: own.Name, Value: lookalike(len(own.Value), i)}
	}
	err := f.cookie.SignOut(newRecorder(), request("POST", withCookie(junk...), withCookie(own)))
	require.ErrorIs(t, err, auth.ErrInvalidCredential)
	_, err = f.cookie.SignIn(newRecorder(), request("POST", withCookie(junk...), withCookie(own)), "ada", auth.SessionOptions{})
	require.ErrorIs(t, err, auth.ErrInvalidCredential)
	accepted(t, f.all().get(withCookie(own)), "ada", auth.SchemeCookie)

	for i := range junk[:400] {
		junk = append(junk, &http.Cookie{Name: own.Name, Value: repeated("A", 140+i)}) // which costs nothing
	}
	require.NoError(t, f.cookie.SignOut(newRecorder(), request("POST", withCookie(junk[1:]...), withCookie(own))))
	require.Equal(t, 401, f.all().get(withCookie(own)).Code)
}

// BenchmarkSignOut_junk signs out a session behind nearly a megabyte of junk cookies.
func BenchmarkSignOut_junk(b *testing.B) {
	f := newFixture(b, func(c *configs) { c.cookie.Keys = append(c.cookie.Keys, testKey(3)) })
	name := f.signIn("ada").Name
	size := len(f.signIn("ada").Value)
	for label, junk := range map[string]func(i int) string{
		"short":     func(int) string { return "x" },
		"letters":   func(i int) string { return fmt.Sprintf("%0*d", size, i) },
		"lookalike": func(i int) string { return lookalike(size, i) },
	} {
		b.Run(label, func(b *testing.B) {
			var line strings.Builder
			for i := 0; line.Len() < 1<<20-1000; i++ {
				line.WriteString(name + "=" + junk(i) + "; ")
			}
			r := request("POST", field("Cookie", line.String()))
			b.ReportAllocs()
			for b.Loop() {
				_ = f.cookie.SignOut(newRecorder(), r)
			}
		})
	}
}

// lookalike has the form of a cookie value, and no key has made it.
func lookalike(size, i int) string {
	raw := fmt.Sprintf("1700000000|%0*d|%032d", size/4*3-12-32-(size/4*3-12-32)%4, i, i)
	value := base64.URLEncoding.EncodeToString([]byte(raw))
	return value
}

// An exception that is no ID, for example from a request, must not prevent the revocation.
func TestRevokeAll_exceptions(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	kept, session := f.session("ada")
	ended := f.signIn("ada")
	n, err := f.cookie.RevokeAll(t.Context(), "ada", "\x00", "\xff", repeated("x", 1<<20), "", session.ID)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	h := f.all()
	require.Equal(t, 200, h.get(withCookie(kept)).Code)
	require.Equal(t, 401, h.get(withCookie(ended)).Code)
	_, err = f.cookie.RevokeAll(t.Context(), "ada", slices.Repeat([]string{"x"}, 1001)...)
	require.ErrorIs(t, err, auth.ErrInvalidArgument)
}

// The browser forgets the cookie when it is closed, if "remember me" was not ticked. That
// stays when the session is replaced, for example after the user has confirmed the password.
func TestSignIn_nonPersistent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, func(c *configs) { c.cookie.IdleTimeout = time.Hour })
		signIn := func(user string, o auth.SessionOptions, presented ...*http.Cookie) (*http.Cookie, auth.Credential) {
			w := httptest.NewRecorder()
			c, err := f.cookie.SignIn(w, request("POST", withCookie(presented...)), user, o)
			require.NoError(t, err)
			cookie := w.Result().Cookies()[0]
			require.Equal(t, c.NonPersistent, cookie.MaxAge == 0 && cookie.Expires.IsZero(), cookie.Raw)
			accepted(t, f.all().get(withCookie(cookie)), user, auth.SchemeCookie)
			return cookie, c
		}
		first, c := signIn("ada", auth.SessionOptions{NonPersistent: true})
		require.True(t, c.NonPersistent)
		require.Equal(t, 7*24*time.Hour, c.ExpiresAt.Sub(c.CreatedAt), "the record has its lifetime")
		second, c := signIn("ada", auth.SessionOptions{}, first)
		require.True(t, c.NonPersistent, "replaced")
		_, c = signIn("eve", auth.SessionOptions{}, second)
		require.False(t, c.NonPersistent, "another user")

		third, _ := signIn("ada", auth.SessionOptions{NonPersistent: true})
		time.Sleep(time.Hour)
		_, c = signIn("ada", auth.SessionOptions{}, third)
		require.False(t, c.NonPersistent, "the earlier session has ended")
		_, c = signIn("ada", auth.SessionOptions{})
		require.False(t, c.NonPersistent)
	})
}

// Support staff act as a user in a session of its own, beside which their own session stays.
func TestSignIn_actor(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	support, err := auth.NewCookie(f.store, auth.CookieConfig{Keys: auth.Keys{testKey(1)}, Name: "__Host-support"})
	require.NoError(t, err)
	own := f.signIn("grace")
	w := httptest.NewRecorder()
	c, err := support.SignIn(w, request("POST", withCookie(own)), "ada", auth.SessionOptions{Actor: "grace", Lifetime: time.Hour})
	require.NoError(t, err)
	require.Equal(t, "grace", c.Actor)
	acting := w.Result().Cookies()[0]
	accepted(t, f.all().get(withCookie(own)), "grace", auth.SchemeCookie)
	f.cookie = support
	id := identityOf(t, f, withCookie(acting))
	require.Equal(t, "ada", id.UserID)
	require.Equal(t, "grace", id.Actor)

	renamed := *own
	renamed.Name = acting.Name
	refused(t, behind(auth.Require(support)).get(withCookie(&renamed)), 401, `Cookie realm="api"`)
	w = httptest.NewRecorder()
	c, err = support.SignIn(w, request("POST", withSameOrigin(acting)), "ada", auth.SessionOptions{})
	require.NoError(t, err)
	require.Empty(t, c.Actor, "a session that replaces it does not keep it")
	refused(t, behind(auth.Require(support)).get(withCookie(acting)), 401, `Cookie realm="api"`)

	for _, actor := range []string{"ada", "\x00", repeated("x", 256)} {
		w := httptest.NewRecorder()
		_, err := support.SignIn(w, request("POST"), "ada", auth.SessionOptions{Actor: actor})
		var argument *auth.ArgumentError
		require.ErrorAs(t, err, &argument)
		require.Equal(t, "Actor", argument.Argument)
		require.Empty(t, w.Header().Get("Set-Cookie"))
	}
}

// Support staff who act for a user must not sign the user out, nor stay in place of the user.
func TestSignIn_actorAtTheLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, func(c *configs) { c.cookie.MaxPerUser = 2 })
		var ids []string
		for _, actor := range []string{"", "", "grace"} {
			_, c := f.session("ada", auth.SessionOptions{Actor: actor})
			ids = append(ids, c.ID)
			time.Sleep(time.Second)
		}
		live := func() (ids []string) {
			list, err := f.cookie.List(t.Context(), "ada", auth.Page{})
			require.NoError(t, err)
			for _, c := range list {
				ids = append(ids, c.ID)
			}
			return ids
		}
		require.ElementsMatch(t, ids, live())
		_, next := f.session("ada")
		require.ElementsMatch(t, []string{ids[1], next.ID}, live(), "the session of the actor and the oldest one have ended")
	})
}
