package auth_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/securecookie"
	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

func TestSignInSetsTheCookie(t *testing.T) {
	t.Parallel()
	trusted := []string{"https://app.example.com"}
	tests := []struct {
		name   string
		change func(*auth.CookieConfig)
		want   string // behind the value, without Expires
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
			c, err := f.cookie.SignIn(w, request("POST"), "ada", auth.NewSession{})
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

// securecookie itself takes line breaks and loose padding bits.
func TestTamperedCookies(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	h := f.all()
	good := f.signIn("ada")
	before := f.store.lookups.Load()
	check := func(value string) {
		t.Helper()
		w := h.get(field("Cookie", good.Name+"="+value))
		refused(t, w, 401, plainBearer, plainSecret)
	}
	for i := range good.Value {
		for _, c := range []byte{good.Value[i] ^ 1, good.Value[i] ^ 2, 'A', '=', '\n', 0x80} {
			if c != good.Value[i] {
				check(good.Value[:i] + string([]byte{c}) + good.Value[i+1:])
			}
		}
		check(good.Value[:i])
		check(good.Value[i:] + "A")
		check(good.Value[:i] + "\n" + good.Value[i:])
		check(good.Value[:i] + "\r" + good.Value[i:])
	}
	for _, value := range []string{
		"", `"` + good.Value + `"`, good.Value + "=", good.Value + "\n", "\n" + good.Value, good.Value + " x",
		good.Value + good.Value, repeated("A", 5000), repeated("A", 4096), strings.ToLower(good.Value),
		"%" + good.Value, strings.ReplaceAll(good.Value, "-", "+"), base64.StdEncoding.EncodeToString([]byte("1|2|3")),
	} {
		if value != good.Value {
			check(value)
		}
	}
	require.Equal(t, before, f.store.lookups.Load(), "a forged cookie reached the store")
	require.Zero(t, h.served.Load())
	accepted(t, h.get(withCookie(good)), "ada", auth.SchemeCookie)
}

// The last character of a value with padding has bits that decoders ignore.
func TestLoosePaddingBits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		// In the year 2000 a timestamp has nine digits, which makes the value end in "=".
		f := newFixture(t)
		h := f.all()
		good := f.signIn("ada")
		require.True(t, strings.HasSuffix(good.Value, "="))
		const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
		last := len(good.Value) - 2
		others := 0
		for _, c := range alphabet {
			other := good.Value[:last] + string(c) + "="
			if other != good.Value {
				refused(t, h.get(field("Cookie", good.Name+"="+other)), 401, plainBearer, plainSecret)
				others++
			}
		}
		require.Equal(t, 63, others)
		accepted(t, h.get(withCookie(good)), "ada", auth.SchemeCookie)
		require.NoError(t, f.cookie.Close(t.Context()))
	})
}

func TestCookieOfAnotherPurpose(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	h := f.all()
	good := f.signIn("ada")
	sameKeys := newFixture(t, func(c *configs) { c.cookie.Name = "__Host-preferences" })
	other := sameKeys.signIn("ada")
	refused(t, h.get(field("Cookie", good.Name+"="+other.Value)), 401, plainBearer, plainSecret)
	// And one that an application seals with the same key material by itself.
	foreign, err := securecookie.New(testKey(1), testKey(1)).Encode(good.Name, "x")
	require.NoError(t, err)
	refused(t, h.get(field("Cookie", good.Name+"="+foreign)), 401, plainBearer, plainSecret)
	require.Zero(t, h.served.Load())
}

func TestCookieTimes(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name           string
		issue, present time.Duration
		status         int
	}{
		{"at once", 0, 0, 200},
		{"a nanosecond before its end", 0, time.Hour - time.Nanosecond, 200},
		{"at its end", 0, time.Hour, 401},
		{"a second past its end", 0, time.Hour + time.Second, 401},
		{"from a clock a minute ahead", time.Minute, 0, 200},
		{"from a clock over a minute ahead", 61 * time.Second, 0, 401},
		{"from a clock an hour ahead", time.Hour, 0, 401},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			store := auth.NewMemoryStore()
			var cookie *http.Cookie
			// Each bubble's clock starts at the same time: two machines, of which one
			// may be ahead.
			machine := func(f func(t *testing.T, c *auth.Cookie)) {
				synctest.Test(t, func(t *testing.T) {
					c, err := auth.NewCookie(store, auth.CookieConfig{Keys: auth.Keys{testKey(1)}, Lifetime: time.Hour})
					require.NoError(t, err)
					f(t, c)
					require.NoError(t, c.Close(t.Context()))
				})
			}
			machine(func(t *testing.T, c *auth.Cookie) {
				time.Sleep(test.issue)
				w := httptest.NewRecorder()
				_, err := c.SignIn(w, request("POST"), "ada", auth.NewSession{})
				require.NoError(t, err)
				cookie = w.Result().Cookies()[0]
			})
			machine(func(t *testing.T, c *auth.Cookie) {
				time.Sleep(test.present)
				require.Equal(t, test.status, behind(auth.Require(c)).get(withCookie(cookie)).Code)
			})
		})
	}
}

func TestKeyRing(t *testing.T) {
	t.Parallel()
	older, newer, removed := testKey(10), testKey(20), testKey(30)
	ring := func(store auth.Store, keys ...[]byte) *auth.Cookie {
		c, err := auth.NewCookie(store, auth.CookieConfig{Keys: keys})
		require.NoError(t, err)
		return c
	}
	store := auth.NewMemoryStore()
	issue := func(c *auth.Cookie) *http.Cookie {
		w := httptest.NewRecorder()
		_, err := c.SignIn(w, request("POST"), "ada", auth.NewSession{})
		require.NoError(t, err)
		return w.Result().Cookies()[0]
	}
	byRemoved, byOlder := issue(ring(store, removed)), issue(ring(store, older, removed))
	now := ring(store, newer, older)
	byNow := issue(now)
	h := behind(auth.Require(now))
	accepted(t, h.get(withCookie(byOlder)), "ada", auth.SchemeCookie)
	refused(t, h.get(withCookie(byRemoved)), 401, plainCookie)
	accepted(t, behind(auth.Require(ring(store, newer))).get(withCookie(byNow)), "ada", auth.SchemeCookie)
	refused(t, behind(auth.Require(ring(store, older))).get(withCookie(byNow)), 401, plainCookie)
}

func TestKeysAreCopied(t *testing.T) {
	t.Parallel()
	key := testKey(1)
	f := newFixture(t, func(c *configs) { c.cookie.Keys = auth.Keys{key} })
	cookie := f.signIn("ada")
	clear(key)
	accepted(t, f.all().get(withCookie(cookie)), "ada", auth.SchemeCookie)
}

// pair is a cookie as a request carries it.
func pair(c *http.Cookie) string { return c.Name + "=" + c.Value }

// A page on a sibling domain can plant a second cookie of the same name.
func TestTwoSessionCookies(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	h := f.all()
	ada, mallory := f.signIn("ada"), f.signIn("mallory")
	for name, lines := range map[string][]string{
		"one line":        {pair(ada) + "; " + pair(mallory)},
		"the other order": {pair(mallory) + "; " + pair(ada)},
		"two lines":       {pair(ada), pair(mallory)},
		"the same twice":  {pair(ada) + "; " + pair(ada)},
		"one is junk":     {pair(ada) + "; " + ada.Name + "=x"},
		"one is empty":    {ada.Name + "=; " + pair(ada)},
	} {
		t.Run(name, func(t *testing.T) {
			refused(t, h.get(field("Cookie", lines...)), 401, plainBearer, plainSecret)
		})
	}
	require.Zero(t, h.served.Load())
	for name, line := range map[string]string{
		"among others":             "a=b; " + pair(ada) + "; c=d",
		"no space":                 "a=b;" + pair(ada),
		"name in other case":       "__host-session=x; " + pair(ada),
		"name with a space":        ada.Name + " =x; " + pair(ada),
		"name as a value":          "a=" + ada.Name + "=x; " + pair(ada),
		"a nameless cookie":        "=" + ada.Name + "=x; " + pair(ada),
		"a name without a value":   ada.Name + "; " + pair(ada),
		"a longer name":            ada.Name + "2=x; " + pair(ada),
		"empty pairs":              ";;; " + pair(ada) + ";",
		"three thousand and one":   repeated("a=b; ", 3000) + pair(ada),
		"a quoted one of the rest": `a="x;y"; ` + pair(ada),
	} {
		t.Run(name, func(t *testing.T) {
			accepted(t, h.get(field("Cookie", line)), "ada", auth.SchemeCookie)
		})
	}
}

// An identifier that was planted before the sign-in is worth nothing after it.
func TestSignInReplacesTheSession(t *testing.T) {
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
			_, err := f.cookie.SignIn(w, request("POST", withCookie(planted)), test.after, auth.NewSession{})
			require.NoError(t, err)
			fresh := w.Result().Cookies()[0]
			require.NotEqual(t, planted.Value, fresh.Value)
			refused(t, h.get(withCookie(planted)), 401, plainBearer, plainSecret)
			accepted(t, h.get(withCookie(fresh)), test.after, auth.SchemeCookie)
			events := f.events.take()
			require.Equal(t, []auth.EventKind{auth.EventRevoked, auth.EventSignedIn}, kinds(events))
			require.Equal(t, auth.ReasonReplaced, events[0].Reason)
			require.Equal(t, test.before, events[0].UserID)
		})
	}
	t.Run("chosen by the client", func(t *testing.T) {
		f := newFixture(t)
		w := httptest.NewRecorder()
		_, err := f.cookie.SignIn(w, request("POST", field("Cookie", "__Host-session=chosen")), "ada", auth.NewSession{})
		require.NoError(t, err)
		require.NotContains(t, w.Header().Get("Set-Cookie"), "chosen")
	})
}

func TestSignOut(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	h := f.all()
	cookie := f.signIn("ada")
	signOut := func(edits ...edit) (*httptest.ResponseRecorder, error) {
		w := httptest.NewRecorder()
		return w, f.cookie.SignOut(w, request("POST", edits...))
	}
	const cleared = "__Host-session=; Path=/; Expires=Thu, 01 Jan 1970 00:00:01 GMT; Max-Age=0; HttpOnly; Secure; SameSite=Lax"
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
	t.Run("while the store is out", func(t *testing.T) {
		f := newFixture(t)
		cookie := f.signIn("ada")
		for _, method := range []string{"Lookup", "Revoke"} {
			f.store.fail = func(called string) error {
				if called == method {
					return errors.New("connection refused")
				}
				return nil
			}
			w := httptest.NewRecorder()
			require.ErrorIs(t, f.cookie.SignOut(w, request("POST", withCookie(cookie))), auth.ErrUnavailable)
			require.Equal(t, []string{cleared}, w.Header().Values("Set-Cookie"))
		}
	})
	t.Run("from another site", func(t *testing.T) {
		cookie := f.signIn("ada")
		w, err := signOut(withCookie(cookie), field("Sec-Fetch-Site", "cross-site"))
		require.ErrorIs(t, err, auth.ErrCrossOrigin)
		require.Empty(t, w.Header())
		accepted(t, h.get(withCookie(cookie)), "ada", auth.SchemeCookie)
	})
	t.Run("in the answer that signed in", func(t *testing.T) {
		w := httptest.NewRecorder()
		http.SetCookie(w, &http.Cookie{Name: "theme", Value: "dark"})
		_, err := f.cookie.SignIn(w, request("POST"), "ada", auth.NewSession{})
		require.NoError(t, err)
		require.NoError(t, f.cookie.SignOut(w, request("POST")))
		require.Equal(t, []string{"theme=dark", cleared}, w.Header().Values("Set-Cookie"))
	})
}

// The session that came along may end while its owner signs in anew.
func TestSignInWhileTheOldSessionEnds(t *testing.T) {
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
	_, err := f.cookie.SignIn(w, request("POST", withCookie(cookie)), "ada", auth.NewSession{})
	require.NoError(t, err)
	accepted(t, f.all().get(withCookie(w.Result().Cookies()[0])), "ada", auth.SchemeCookie)
}

// Everything half-way leaves the earlier session as it was.
func TestSignInWhileTheStoreFails(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ user, method string }{
		{"ada", "Lookup"}, {"ada", "Rotate"}, {"grace", "Lookup"}, {"grace", "Create"}, {"grace", "Revoke"},
	} {
		t.Run(test.user+" "+test.method, func(t *testing.T) {
			f := newFixture(t)
			cookie := f.signIn("ada")
			f.store.fail = func(called string) error {
				if called == test.method {
					return errors.New("connection refused")
				}
				return nil
			}
			w := httptest.NewRecorder()
			_, err := f.cookie.SignIn(w, request("POST", withCookie(cookie)), test.user, auth.NewSession{})
			require.ErrorIs(t, err, auth.ErrUnavailable)
			require.Empty(t, w.Header())
			f.store.fail = nil
			accepted(t, f.all().get(withCookie(cookie)), "ada", auth.SchemeCookie)
		})
	}
	t.Run("a half-made session is taken back", func(t *testing.T) {
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
		_, err := f.cookie.SignIn(httptest.NewRecorder(), request("POST", withCookie(cookie)), "grace", auth.NewSession{})
		require.ErrorIs(t, err, auth.ErrUnavailable)
		list, err := f.cookie.List(t.Context(), "grace", auth.Page{})
		require.NoError(t, err)
		require.Empty(t, list)
	})
}

func TestOldestSessionMakesRoom(t *testing.T) {
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
		// Signing in anew in the same browser ends that session and no other.
		w := httptest.NewRecorder()
		_, err := f.cookie.SignIn(w, request("POST", withCookie(cookies[4])), "ada", auth.NewSession{})
		require.NoError(t, err)
		require.Equal(t, 200, h.get(withCookie(cookies[2])).Code)
		require.NoError(t, f.cookie.Close(t.Context()))
	})
	t.Run("a hundred sign-ins at once", func(t *testing.T) {
		f := newFixture(t, func(c *configs) { c.cookie.MaxPerUser = 5 })
		errs := make(chan error, 100)
		for range 100 {
			go func() {
				_, err := f.cookie.SignIn(httptest.NewRecorder(), request("POST"), "ada", auth.NewSession{})
				errs <- err
			}()
		}
		for range 100 {
			require.NoError(t, <-errs)
		}
		list, err := f.cookie.List(t.Context(), "ada", auth.Page{})
		require.NoError(t, err)
		require.Len(t, list, 5)
	})
	t.Run("after the limit was lowered", func(t *testing.T) {
		f := newFixture(t)
		for range 10 {
			f.signIn("ada")
		}
		strict, err := auth.NewCookie(f.store, auth.CookieConfig{Keys: auth.Keys{testKey(1)}, MaxPerUser: 2})
		require.NoError(t, err)
		_, err = strict.SignIn(httptest.NewRecorder(), request("POST"), "ada", auth.NewSession{})
		require.NoError(t, err)
		list, err := strict.List(t.Context(), "ada", auth.Page{})
		require.NoError(t, err)
		require.Len(t, list, 2)
	})
	t.Run("while the store fails", func(t *testing.T) {
		for _, method := range []string{"List", "Revoke"} {
			f := newFixture(t, func(c *configs) { c.cookie.MaxPerUser = 1 })
			cookie := f.signIn("ada")
			f.store.fail = func(called string) error {
				if called == method {
					return errors.New("connection refused")
				}
				return nil
			}
			w := httptest.NewRecorder()
			_, err := f.cookie.SignIn(w, request("POST"), "ada", auth.NewSession{})
			require.ErrorIs(t, err, auth.ErrUnavailable, method)
			require.Empty(t, w.Header())
			accepted(t, f.all().get(withCookie(cookie)), "ada", auth.SchemeCookie)
		}
	})
	t.Run("among more than a page of them", func(t *testing.T) {
		f := newFixture(t)
		for range 1005 {
			f.signIn("ada")
		}
		strict, err := auth.NewCookie(f.store, auth.CookieConfig{Keys: auth.Keys{testKey(1)}, MaxPerUser: 1001})
		require.NoError(t, err)
		_, err = strict.SignIn(httptest.NewRecorder(), request("POST"), "ada", auth.NewSession{})
		require.NoError(t, err)
		n, err := strict.RevokeAll(t.Context(), "ada")
		require.NoError(t, err)
		require.Equal(t, 1001, n)
	})
	t.Run("expired ones are in nobody's way", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := newFixture(t, func(c *configs) { c.cookie.MaxPerUser, c.cookie.Lifetime = 2, time.Hour })
			f.signIn("ada", auth.NewSession{Lifetime: time.Minute})
			kept := f.signIn("ada")
			time.Sleep(time.Minute)
			f.signIn("ada")
			accepted(t, f.all().get(withCookie(kept)), "ada", auth.SchemeCookie)
			require.NoError(t, f.cookie.Close(t.Context()))
		})
	})
	t.Run("a store that is always full", func(t *testing.T) {
		f := newFixture(t, func(c *configs) { c.cookie.MaxPerUser = 1 })
		f.store.fail = func(method string) error {
			if method == "Create" {
				return auth.ErrLimit
			}
			return nil
		}
		_, err := f.cookie.SignIn(httptest.NewRecorder(), request("POST"), "ada", auth.NewSession{})
		require.ErrorIs(t, err, auth.ErrLimit)
	})
}

func TestIdleTimeout(t *testing.T) {
	t.Parallel()
	idle := func(c *configs) { c.cookie.IdleTimeout, c.cookie.Lifetime = 2*time.Minute, 24*time.Hour }
	t.Run("ends a session that is left alone", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := newFixture(t, idle)
			h := f.all()
			cookie := f.signIn("ada")
			time.Sleep(2*time.Minute - time.Microsecond) // stores keep whole ones
			accepted(t, h.get(withCookie(cookie)), "ada", auth.SchemeCookie)
			time.Sleep(2*time.Minute - time.Microsecond)
			accepted(t, h.get(withCookie(cookie)), "ada", auth.SchemeCookie)
			time.Sleep(2 * time.Minute)
			refused(t, h.get(withCookie(cookie)), 401, plainBearer, plainSecret)
			require.NoError(t, f.cookie.Close(t.Context()))
		})
	})
	t.Run("counts uses that are not yet written", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := newFixture(t, idle)
			f.store.fail = func(method string) error {
				if method == "Touch" {
					return errors.New("read-only")
				}
				return nil
			}
			h := f.all()
			cookie := f.signIn("ada")
			for range 60 {
				time.Sleep(119 * time.Second)
				accepted(t, h.get(withCookie(cookie)), "ada", auth.SchemeCookie)
			}
			require.Error(t, f.cookie.Close(t.Context()))
		})
	})
	t.Run("holds across processes", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := newFixture(t, idle)
			other, err := auth.NewCookie(f.store, auth.CookieConfig{Keys: auth.Keys{testKey(1)}, IdleTimeout: 2 * time.Minute})
			require.NoError(t, err)
			here, there := f.all(), behind(auth.Require(other))
			cookie := f.signIn("ada")
			for range 20 {
				// The last use here, 61 seconds after the first, is written a minute late.
				time.Sleep(time.Second)
				require.Equal(t, 200, here.get(withCookie(cookie)).Code)
				time.Sleep(61 * time.Second)
				require.Equal(t, 200, here.get(withCookie(cookie)).Code)
				time.Sleep(119 * time.Second)
				require.Equal(t, 200, there.get(withCookie(cookie)).Code)
			}
			time.Sleep(2 * time.Minute)
			require.Equal(t, 401, there.get(withCookie(cookie)).Code)
			require.NoError(t, f.cookie.Close(t.Context()))
			require.NoError(t, other.Close(t.Context()))
		})
	})
}

func TestCacheHeaders(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	cookie, token := f.signIn("ada"), f.token("ada")
	handler := func(cache string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if cache != "" {
				w.Header().Set("Cache-Control", cache)
			}
		})
	}
	tests := []struct {
		name        string
		wrap        func(http.Handler) http.Handler
		edits       []edit
		handler     string
		vary, cache []string
	}{
		{"a cookie", auth.Require(f.bearer, f.cookie), []edit{withCookie(cookie)}, "", []string{"Cookie"}, []string{"private"}},
		{"a cookie and a handler that knows better", auth.Require(f.bearer, f.cookie), []edit{withCookie(cookie)}, "public, max-age=60", []string{"Cookie"}, []string{"public, max-age=60"}},
		{"a token where a cookie would do", auth.Require(f.bearer, f.cookie), []edit{authorization("Bearer " + token)}, "", []string{"Cookie"}, nil},
		{"a token", auth.Require(f.bearer), []edit{authorization("Bearer " + token)}, "", nil, nil},
		{"nobody", auth.Require(f.bearer, f.cookie), nil, "", []string{"Cookie"}, []string{"no-store"}},
		{"optional, nobody", auth.Optional(f.bearer, f.cookie), nil, "", []string{"Cookie", "Authorization"}, nil},
		{"optional, a cookie", auth.Optional(f.bearer, f.cookie), []edit{withCookie(cookie)}, "", []string{"Cookie", "Authorization"}, []string{"private"}},
		{"optional, a bad token", auth.Optional(f.bearer, f.cookie), []edit{authorization("Bearer x")}, "", []string{"Cookie", "Authorization"}, []string{"no-store"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := httptest.NewRecorder()
			test.wrap(handler(test.handler)).ServeHTTP(w, request("GET", test.edits...))
			require.Equal(t, test.vary, append([]string(nil), w.Header().Values("Vary")...))
			require.Equal(t, test.cache, append([]string(nil), w.Header().Values("Cache-Control")...))
		})
	}
	t.Run("what is there stays", func(t *testing.T) {
		for _, vary := range [][]string{{"Origin"}, {"Origin, cookie"}, {"*"}, {"Origin", "Cookie"}} {
			w := httptest.NewRecorder()
			w.Header()["Vary"] = append([]string(nil), vary...)
			w.Header().Set("Cache-Control", "no-cache")
			auth.Require(f.cookie)(auth.Require(f.cookie)(handler(""))).ServeHTTP(w, request("GET", withCookie(cookie)))
			want := vary
			if len(vary) == 1 && vary[0] == "Origin" {
				want = []string{"Origin", "Cookie"}
			}
			require.Equal(t, want, w.Header().Values("Vary"))
			require.Equal(t, "no-cache", w.Header().Get("Cache-Control"))
		}
	})
	t.Run("headers are not shared between answers", func(t *testing.T) {
		h := auth.Require(f.cookie)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header()["Vary"][0] = "spoilt"
			w.Header().Add("Vary", "Accept")
		}))
		for range 2 {
			h.ServeHTTP(httptest.NewRecorder(), request("GET", withCookie(cookie)))
		}
		require.Equal(t, []string{"Cookie"}, behind(auth.Require(f.cookie)).get(withCookie(cookie)).Header().Values("Vary"))
	})
}

// Nobody fills the store without signing in.
func TestAnonymousRequestsLeaveNothing(t *testing.T) {
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
