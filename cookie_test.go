package auth_test

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/securecookie"
	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

// The error names the field to change.
func TestNewCookie_faults(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		change func(*auth.CookieConfig)
		want   string // in the error; empty if there is none
	}{
		{"no key", func(c *auth.CookieConfig) { c.Keys = nil }, "CookieConfig.Keys"},
		{"a key of no bytes", func(c *auth.CookieConfig) { c.Keys = auth.Keys{nil} }, "CookieConfig.Keys: key 0 has 0 bytes"},
		{"a key of 31 bytes", func(c *auth.CookieConfig) { c.Keys = auth.Keys{testKey(1), testKey(2)[:31]} }, "key 1 has 31 bytes"},
		{"a key of one byte repeated", func(c *auth.CookieConfig) { c.Keys = auth.Keys{make([]byte, 32)} }, "one byte repeated"},
		{"equal keys", func(c *auth.CookieConfig) { c.Keys = auth.Keys{testKey(1), testKey(2), testKey(1)} }, "keys 0 and 2 are equal"},
		{"a long key", func(c *auth.CookieConfig) { c.Keys = auth.Keys{append(testKey(1), testKey(2)...)} }, ""},
		{"None without trusted origins", func(c *auth.CookieConfig) { c.SameSite = http.SameSiteNoneMode }, "CookieConfig.TrustedOrigins"},
		{"None without https", func(c *auth.CookieConfig) {
			c.SameSite, c.Insecure, c.TrustedOrigins = http.SameSiteNoneMode, true, []string{"https://a.example"}
		}, "CookieConfig.SameSite"},
		{"unknown SameSite", func(c *auth.CookieConfig) { c.SameSite = 9 }, "CookieConfig.SameSite"},
		{"partitioned without https", func(c *auth.CookieConfig) { c.Partitioned, c.Insecure = true, true }, "CookieConfig.Partitioned"},
		{"a domain with a __Host- name", func(c *auth.CookieConfig) { c.Name, c.Domain = "__Host-a", "example.com" }, "CookieConfig.Name"},
		{"a path with a __Host- name", func(c *auth.CookieConfig) { c.Name, c.Path = "__host-a", "/api" }, "CookieConfig.Name"},
		{"insecure with a __Host- name", func(c *auth.CookieConfig) { c.Name, c.Insecure = "__Host-a", true }, "CookieConfig.Name"},
		{"insecure with a __Secure- name", func(c *auth.CookieConfig) { c.Name, c.Insecure = "__SECURE-a", true }, "CookieConfig.Name"},
		{"a __Secure- name", func(c *auth.CookieConfig) { c.Name, c.Domain = "__Secure-a", "example.com" }, ""},
		{"a name with a space", func(c *auth.CookieConfig) { c.Name = "a b" }, "CookieConfig.Name"},
		{"a name with a line break", func(c *auth.CookieConfig) { c.Name = "a\r\nb" }, "CookieConfig.Name"},
		{"a name that fills the cookie", func(c *auth.CookieConfig) { c.Name = repeated("a", 4000) }, "CookieConfig.Name"},
		{"a relative path", func(c *auth.CookieConfig) { c.Path = "api" }, "CookieConfig.Path"},
		{"a path with a semicolon", func(c *auth.CookieConfig) { c.Path = "/a;b" }, "Path"},
		{"a long path", func(c *auth.CookieConfig) { c.Path = "/" + repeated("a", 1024) }, "CookieConfig.Path"},
		{"a bad domain", func(c *auth.CookieConfig) { c.Domain = "exa mple.com" }, "Domain"},
		{"a domain with a port", func(c *auth.CookieConfig) { c.Domain = "example.com:443" }, "Domain"},
		{"negative cookie lifetime", func(c *auth.CookieConfig) { c.Lifetime = -time.Second }, "CookieConfig.Lifetime"},
		{"over 400 days", func(c *auth.CookieConfig) { c.Lifetime = 400*24*time.Hour + 1 }, "CookieConfig.Lifetime"},
		{"idle under 2 minutes", func(c *auth.CookieConfig) { c.IdleTimeout = 2*time.Minute - 1 }, "CookieConfig.IdleTimeout"},
		{"negative idle", func(c *auth.CookieConfig) { c.IdleTimeout = -1 }, "CookieConfig.IdleTimeout"},
		{"idle of 2 minutes", func(c *auth.CookieConfig) { c.IdleTimeout = 2 * time.Minute }, ""},
		{"idle as long as the lifetime", func(c *auth.CookieConfig) { c.Lifetime, c.IdleTimeout = time.Hour, time.Hour }, "has no effect"},
		{"idle longer than the default lifetime", func(c *auth.CookieConfig) { c.IdleTimeout = 8 * 24 * time.Hour }, "has no effect"},
		{"partitioned without None", func(c *auth.CookieConfig) { c.Partitioned = true }, "has no effect"},
		{"negative session limit", func(c *auth.CookieConfig) { c.MaxPerUser = -1 }, "CookieConfig.MaxPerUser"},
		{"trusted origins", func(c *auth.CookieConfig) { c.TrustedOrigins = []string{"https://a.example", "http://localhost:3000"} }, ""},
		{"an untrustworthy origin", func(c *auth.CookieConfig) { c.TrustedOrigins = []string{"http://a.example"} }, `CookieConfig.TrustedOrigins: "http://a.example" must be an https origin`},
		{"one good, one bad", func(c *auth.CookieConfig) { c.TrustedOrigins = []string{"https://a.example", "b"} }, `"b"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			cfg := auth.CookieConfig{Keys: auth.Keys{testKey(1)}}
			test.change(&cfg)
			_, err := auth.NewCookie(auth.NewMemoryStore(), cfg)
			hasFault(t, err, test.want)
		})
	}
	t.Run("a nil store", func(t *testing.T) {
		var store *auth.MemoryStore
		_, err := auth.NewCookie(store, auth.CookieConfig{Keys: auth.Keys{testKey(1)}})
		hasFault(t, err, "store is nil")
	})
	t.Run("all faults at once", func(t *testing.T) {
		_, err := auth.NewCookie(nil, auth.CookieConfig{Path: "x", MaxPerUser: -1, IdleTimeout: -1})
		for _, want := range []string{"store", "Keys", "Path", "MaxPerUser", "IdleTimeout"} {
			require.ErrorContains(t, err, want)
		}
		require.NotContains(t, err.Error(), string(testKey(1)))
	})
}

func TestNewCookie_idleTimeoutOverALookupStore(t *testing.T) {
	t.Parallel()
	store := auth.LookupStore(auth.NewMemoryStore().Lookup) // which does not record uses
	_, err := auth.NewCookie(store, auth.CookieConfig{Keys: auth.Keys{testKey(1)}, IdleTimeout: 2 * time.Minute})
	require.ErrorContains(t, err, "CookieConfig.IdleTimeout")
}

func TestNewCookie_copiesItsConfig(t *testing.T) {
	t.Parallel()
	trusted := []string{"https://ok.example"}
	f := newFixture(t, func(c *configs) { c.cookie.TrustedOrigins = trusted })
	trusted[0] = "https://evil.example"
	require.ErrorIs(t, f.cookie.CheckOrigin(request("POST", field("Origin", "https://evil.example"))), auth.ErrCrossOrigin)
}

func TestNewCookie_copiesItsKeys(t *testing.T) {
	t.Parallel()
	key := testKey(1)
	f := newFixture(t, func(c *configs) { c.cookie.Keys = auth.Keys{key} })
	cookie := f.signIn("ada")
	clear(key)
	accepted(t, f.all().get(withCookie(cookie)), "ada", auth.SchemeCookie)
}

func TestCookie_policy(t *testing.T) {
	t.Parallel()
	require.Equal(t, auth.CookiePolicy{Name: "__Host-session", Lifetime: 7 * 24 * time.Hour}, newFixture(t).cookie.Policy())
	f := newFixture(t, func(c *configs) {
		c.cookie.Name, c.cookie.Lifetime, c.cookie.IdleTimeout, c.cookie.MaxPerUser = "sid", time.Hour, time.Minute*30, 5
	})
	require.Equal(t, auth.CookiePolicy{Name: "sid", Lifetime: time.Hour, IdleTimeout: time.Minute * 30, MaxPerUser: 5}, f.cookie.Policy())
}

// securecookie itself accepts line breaks and loose padding bits.
func TestCookie_tampered(t *testing.T) {
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
	require.Equal(t, before, f.store.lookups.Load(), "no lookup for a forged cookie")
	require.Zero(t, h.served.Load())
	accepted(t, h.get(withCookie(good)), "ada", auth.SchemeCookie)
}

func TestCookie_ofAnotherPurpose(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	h := f.all()
	good := f.signIn("ada")
	sameKeys := newFixture(t, func(c *configs) { c.cookie.Name = "__Host-preferences" })
	other := sameKeys.signIn("ada")
	refused(t, h.get(field("Cookie", good.Name+"="+other.Value)), 401, plainBearer, plainSecret)
	// A value that the application itself sealed with the same key.
	foreign, err := securecookie.New(testKey(1), testKey(1)).Encode(good.Name, "x")
	require.NoError(t, err)
	refused(t, h.get(field("Cookie", good.Name+"="+foreign)), 401, plainBearer, plainSecret)
	require.Zero(t, h.served.Load())
}

func TestCookie_clocks(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name           string
		issue, present time.Duration
		status         int
	}{
		{"at once", 0, 0, 200},
		{"a nanosecond before it expires", 0, time.Hour - time.Nanosecond, 200},
		{"when it expires", 0, time.Hour, 401},
		{"a second after it expires", 0, time.Hour + time.Second, 401},
		{"from a clock a minute ahead", time.Minute, 0, 200},
		{"from a clock over a minute ahead", 61 * time.Second, 0, 401},
		{"from a clock an hour ahead", time.Hour, 0, 401},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			store := auth.NewMemoryStore()
			var cookie *http.Cookie
			// Each bubble's clock starts at the same time: they are two machines, and the
			// clock of one may be ahead.
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
				_, err := c.SignIn(w, request("POST"), "ada", auth.SessionOptions{})
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

func TestCookie_keyRing(t *testing.T) {
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
		_, err := c.SignIn(w, request("POST"), "ada", auth.SessionOptions{})
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

// pair formats a cookie as in a Cookie header.
func pair(c *http.Cookie) string { return c.Name + "=" + c.Value }

// A page on a sibling domain can plant a second cookie of the same name (RFC 6265bis
// section 8.6).
func TestCookie_twoOfOneName(t *testing.T) {
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

// Opened values are cached. That keeps no session alive, and lets no altered value and no
// value of another key through.
func TestCookie_cachedValue(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	h := f.all()
	cookie, session := f.session("ada")
	for range 3 {
		accepted(t, h.get(withCookie(cookie)), "ada", auth.SchemeCookie)
	}
	for i := range cookie.Value {
		for _, c := range []byte{cookie.Value[i] ^ 1, 'A', '=', '\n'} {
			altered := []byte(cookie.Value)
			if altered[i] = c; string(altered) != cookie.Value {
				require.Equal(t, 401, h.get(field("Cookie", cookie.Name+"="+string(altered))).Code)
			}
		}
	}
	stranger := newFixture(t, func(c *configs) { c.cookie.Keys = auth.Keys{testKey(9)} })
	require.Equal(t, 401, stranger.all().get(withCookie(cookie)).Code)

	require.NoError(t, f.cookie.Revoke(t.Context(), "ada", session.ID))
	require.Equal(t, 401, h.get(withCookie(cookie)).Code)
}

// A session ends Lifetime after its sign-in, even if its record has no expiry, and its cookie
// even if the record does not say when it was created.
func TestCookie_expiresByItself(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		created bool
		after   time.Duration // Lifetime; the cookie has whole seconds
	}{{"by the record", true, 0}, {"by the cookie", false, time.Second}} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(t, func(c *configs) { c.cookie.Lifetime = time.Hour })
				cookie, session := f.session("ada")
				forever := auth.LookupStore(func(context.Context, auth.Kind, auth.Digest) (*auth.Credential, error) {
					c := &auth.Credential{UserID: "ada", Scopes: "*"}
					if test.created {
						c.CreatedAt = session.CreatedAt
					}
					return c, nil
				})
				over, err := auth.NewCookie(forever, auth.CookieConfig{Keys: auth.Keys{testKey(1)}, Lifetime: time.Hour})
				require.NoError(t, err)
				h := behind(auth.Require(over))
				accepted(t, h.get(withCookie(cookie)), "ada", auth.SchemeCookie)
				time.Sleep(time.Hour + test.after - time.Nanosecond)
				accepted(t, h.get(withCookie(cookie)), "ada", auth.SchemeCookie)
				time.Sleep(time.Nanosecond)
				require.Equal(t, 401, h.get(withCookie(cookie)).Code)
				require.NoError(t, f.cookie.Close(context.Background()))
			})
		})
	}
}

// An alarm for forged cookies must not be raised by old ones of our own. Clients see no
// difference.
func TestCookie_reasonsForOurOwn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, func(c *configs) { c.cookie.Lifetime = time.Hour })
		m := &auth.Middleware{Observe: f.events.observe}
		h := behind(m.Require(f.cookie))
		cookie, session := f.session("ada")
		goneCookie := f.signIn("ada")
		forged := h.get(field("Cookie", cookie.Name+"="+repeated("x", 144))).Body.String()
		check := func(c *http.Cookie, reason auth.Reason, userID string) {
			t.Helper()
			f.events.take()
			w := h.get(withCookie(c))
			refused(t, w, 401, plainCookie)
			require.Equal(t, forged, w.Body.String())
			events := f.events.take()
			require.Len(t, events, 1)
			require.Equal(t, reason, events[0].Reason)
			require.Equal(t, userID, events[0].UserID)
			require.Equal(t, userID != "", events[0].CredentialID == session.ID)
		}
		check(&http.Cookie{Name: cookie.Name, Value: "x"}, auth.ReasonForged, "")
		time.Sleep(time.Hour)
		check(cookie, auth.ReasonExpired, "ada") // by its record
		time.Sleep(time.Hour)
		check(cookie, auth.ReasonExpired, "ada")
		check(&http.Cookie{Name: cookie.Name, Value: cookie.Value[:140] + "AAAA"}, auth.ReasonForged, "")

		f.store.fail = func(string) error { return errors.New("reset") }
		check(goneCookie, auth.ReasonExpired, "") // an outage does not make it valid
		f.store.fail = nil
		_, err := f.store.Purge(t.Context(), time.Now())
		require.NoError(t, err)
		check(goneCookie, auth.ReasonExpired, "")
	})
}

// Each bubble's clock starts at the same time: the machine that issues the cookie is ahead.
func TestCookie_reasonForAClockThatIsAhead(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	m := &auth.Middleware{Observe: f.events.observe}
	h := behind(m.Require(f.cookie))
	var cookie *http.Cookie
	var session auth.Credential
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Hour)
		cookie, session = f.session("ada")
	})
	synctest.Test(t, func(t *testing.T) {
		f.events.take()
		refused(t, h.get(withCookie(cookie)), 401, plainCookie)
		events := f.events.take()
		require.Equal(t, auth.ReasonClock, events[0].Reason)
		require.Equal(t, session.ID, events[0].CredentialID)
		require.NoError(t, f.cookie.Revoke(t.Context(), "ada", session.ID))
		f.events.take()
		refused(t, h.get(withCookie(cookie)), 401, plainCookie)
		require.Equal(t, auth.ReasonClock, f.events.take()[0].Reason)
	})
}

// A shorter Lifetime also ends sessions that began under a longer one. Lists agree with
// requests.
func TestCookie_shorterLifetime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, func(c *configs) { c.cookie.Lifetime = 10 * time.Hour })
		cookie, session := f.session("ada")
		observed := new(recorder)
		now, err := auth.NewCookie(f.store, auth.CookieConfig{Keys: auth.Keys{testKey(1)}, Lifetime: time.Hour, MaxPerUser: 1})
		require.NoError(t, err)
		m := &auth.Middleware{Observe: observed.observe}
		var seen time.Time
		h := m.Require(now)(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			id, _ := auth.FromContext(r.Context())
			seen = id.ExpiresAt
		}))
		get := func() int {
			w := newRecorder()
			h.ServeHTTP(w, request("GET", withCookie(cookie)))
			return w.Code
		}
		end := session.CreatedAt.Add(time.Hour)
		time.Sleep(time.Hour - time.Nanosecond)
		require.Equal(t, 200, get())
		require.Equal(t, end, seen)
		time.Sleep(time.Nanosecond)
		require.Equal(t, 401, get())
		refusal := observed.take()[1]
		require.Equal(t, auth.ReasonExpired, refusal.Reason)
		require.Equal(t, session.ID, refusal.CredentialID)

		list, err := now.List(t.Context(), "ada", auth.Page{})
		require.NoError(t, err)
		require.Equal(t, end, list[0].ExpiresAt)
		one, err := now.Get(t.Context(), "ada", session.ID)
		require.NoError(t, err)
		require.True(t, one.Expired(time.Now()))
		record, err := f.store.Get(t.Context(), session.Ref())
		require.NoError(t, err)
		require.Equal(t, session.ExpiresAt, record.ExpiresAt, "the record is not changed")

		// The store still counts the old session, so it is evicted.
		_, err = now.SignIn(newRecorder(), request("POST"), "ada", auth.SessionOptions{})
		require.NoError(t, err)
		_, err = now.Get(t.Context(), "ada", session.ID)
		require.ErrorIs(t, err, auth.ErrNotFound)
		require.NoError(t, now.Close(t.Context()))
		require.NoError(t, f.cookie.Close(t.Context()))
	})
}

func TestCookie_concurrentRequests(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	h := f.all()
	shared := f.signIn("ada")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				w := httptest.NewRecorder()
				r := request(http.MethodPost)
				_, err := f.cookie.SignIn(w, r, "grace", auth.SessionOptions{})
				own := w.Result().Cookies()[0]
				for range 3 {
					if err != nil || h.get(withCookie(own)).Body.String() != "grace by Cookie" || h.get(withCookie(shared)).Body.String() != "ada by Cookie" {
						t.Errorf("another user, or none (%v)", err)
					}
				}
				out := request(http.MethodPost, withCookie(own))
				if err := f.cookie.SignOut(httptest.NewRecorder(), out); err != nil || h.get(withCookie(own)).Code != 401 {
					t.Errorf("the session is valid after SignOut (%v)", err)
				}
			}
		})
	}
	wg.Wait()
}

// Package origin tests the decision itself in more detail. Here are its effects.
func TestCookie_crossOrigin(t *testing.T) {
	t.Parallel()
	const host = "api.example.com"
	site := func(s ...string) edit { return field("Sec-Fetch-Site", s...) }
	origin := func(o ...string) edit { return field("Origin", o...) }
	websocket := func(r *http.Request) {
		r.Header.Set("Connection", "Upgrade")
		r.Header.Set("Upgrade", "WebSocket")
	}
	plain := func(r *http.Request) { r.TLS = nil }
	tests := []struct {
		name     string
		method   string
		edits    []edit
		passes   bool
		insecure bool
	}{
		{"cross-site", "POST", []edit{site("cross-site")}, false, false},
		{"same-site", "POST", []edit{site("same-site")}, false, false},
		{"same-origin", "POST", []edit{site("same-origin")}, true, false},
		{"no browser", "POST", nil, true, false},
		{"cross-site GET", "GET", []edit{site("cross-site")}, true, false},
		{"cross-site DELETE", "DELETE", []edit{site("cross-site")}, false, false},
		{"a method in lower case", "get", []edit{site("cross-site")}, false, false},
		{"an overridden method", "GET", []edit{site("cross-site"), field("X-HTTP-Method-Override", "DELETE")}, true, false},
		{"own origin", "POST", []edit{origin("https://" + host)}, true, false},
		{"another origin", "POST", []edit{origin("https://evil.example")}, false, false},
		{"null", "POST", []edit{origin("null")}, false, false},
		{"trusted, cross-site", "POST", []edit{origin("https://ok.example"), site("cross-site")}, true, false},
		{"WebSocket, own origin", "GET", []edit{websocket, origin("https://" + host)}, true, false},
		{"WebSocket, another origin", "GET", []edit{websocket, origin("https://evil.example")}, false, false},
		{"development: own origin", "POST", []edit{origin("http://" + host), plain}, true, true},
		{"own host over http", "POST", []edit{origin("http://" + host), plain}, false, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := newFixture(t, func(c *configs) {
				c.cookie.TrustedOrigins, c.cookie.Insecure = []string{"https://ok.example"}, test.insecure
			})
			m := auth.Middleware{Observe: f.events.observe}
			h := behind(m.Require(f.bearer, f.cookie))
			good := f.signIn("ada")
			f.events.take()
			edits := append([]edit{func(r *http.Request) { r.TLS = &tls.ConnectionState{} }, withCookie(good)}, test.edits...)
			for _, h := range []*target{h, behind(m.Optional(f.bearer, f.cookie))} {
				w := h.do(test.method, edits...)
				if test.passes {
					require.Equal(t, 200, w.Code)
					require.EqualValues(t, 1, h.served.Load())
					continue
				}
				require.Equal(t, 403, w.Code)
				require.Zero(t, h.served.Load())
				require.Empty(t, w.Header().Values("WWW-Authenticate"))
				require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
				event := f.events.take()[0]
				require.Equal(t, auth.ReasonCrossOrigin, event.Reason)
				require.Equal(t, "ada", event.UserID)
			}
			// A sign-in has no cookie yet, and the same rule applies.
			r := request(test.method, edits...)
			r.Header.Del("Cookie")
			w := httptest.NewRecorder()
			_, err := f.cookie.SignIn(w, r, "ada", auth.SessionOptions{})
			if test.passes {
				require.NoError(t, err)
				require.NoError(t, f.cookie.CheckOrigin(r))
				return
			}
			require.ErrorIs(t, err, auth.ErrCrossOrigin)
			require.ErrorIs(t, f.cookie.CheckOrigin(r), auth.ErrCrossOrigin)
			require.Empty(t, w.Header())
		})
	}
}

// Browsers attach only cookies by themselves, so the origin does not matter to other
// credentials. An invalid cookie is not a reason to reject a valid credential.
func TestCookie_originMattersForCookiesOnly(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	h := f.all()
	token, good := f.token("ada"), f.signIn("grace")
	cross := field("Sec-Fetch-Site", "cross-site")
	refused(t, h.do("POST", authorization("Bearer junk"), withCookie(good), cross), 401, badToken, plainSecret)
	refused(t, h.do("POST", authorization("Basic YTpi"), withCookie(good), cross), 403)
	accepted(t, h.do("POST", authorization("Bearer "+token), cross), "ada", auth.SchemeBearer)
	accepted(t, h.do("POST", authorization("Bearer "+token), withCookie(good), cross), "ada", auth.SchemeBearer)
	refused(t, h.do("POST", field("Cookie", good.Name+"=junk"), cross), 401, plainBearer, plainSecret)
	refused(t, h.do("POST", cross), 401, plainBearer, plainSecret)

	mtls := fakeAuthenticator{scheme: "mTLS", identity: &auth.Identity{UserID: "machine"}}
	stale := behind(auth.Require(f.cookie, mtls)).do("POST", field("Cookie", good.Name+"=junk"), cross)
	accepted(t, stale, "machine", "mTLS")
}

// A rejected cross-origin request does not count as a use of the session.
func TestCookie_crossOriginRequestIsNoUse(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	cookie := f.signIn("ada")
	require.Equal(t, 403, f.all().do("POST", withCookie(cookie), field("Sec-Fetch-Site", "cross-site")).Code)
	require.NoError(t, f.cookie.Close(t.Context()))
	require.Zero(t, f.store.touches.Load())
}

func idle(c *configs) { c.cookie.IdleTimeout, c.cookie.Lifetime = 2*time.Minute, 24*time.Hour }

func TestCookie_idleTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, idle)
		h := f.all()
		cookie := f.signIn("ada")
		time.Sleep(2*time.Minute - time.Microsecond) // stores keep whole microseconds
		accepted(t, h.get(withCookie(cookie)), "ada", auth.SchemeCookie)
		time.Sleep(2*time.Minute - time.Microsecond)
		accepted(t, h.get(withCookie(cookie)), "ada", auth.SchemeCookie)
		time.Sleep(2 * time.Minute)
		refused(t, h.get(withCookie(cookie)), 401, plainBearer, plainSecret)
		require.NoError(t, f.cookie.Close(t.Context()))
	})
}

func TestCookie_idleTimeoutAndUnwrittenUses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, idle)
		failing(f, "Touch", errors.New("read-only"))
		h := f.all()
		cookie := f.signIn("ada")
		for range 60 {
			time.Sleep(119 * time.Second)
			accepted(t, h.get(withCookie(cookie)), "ada", auth.SchemeCookie)
		}
		require.Error(t, f.cookie.Close(t.Context()))
	})
}

func TestCookie_idleTimeoutAcrossProcesses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, idle)
		other, err := auth.NewCookie(f.store, auth.CookieConfig{Keys: auth.Keys{testKey(1)}, IdleTimeout: 2 * time.Minute})
		require.NoError(t, err)
		here, there := f.all(), behind(auth.Require(other))
		cookie := f.signIn("ada")
		for range 20 {
			// The last use here, 61 seconds after the first, is written up to a minute late.
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
}

// The event names the user of an idle session even if an authenticator without that
// knowledge is tried after the cookie.
func TestCookie_idleSessionIsReported(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, exact)
		m := auth.Middleware{Observe: f.events.observe}
		h := behind(m.Require(f.cookie, fakeAuthenticator{scheme: "Key", err: auth.ErrInvalidCredential}))
		c := withCookie(f.signIn("ada"))
		time.Sleep(time.Hour)
		f.events.take()
		require.Equal(t, 401, h.get(c).Code)
		events := f.events.take()
		require.Len(t, events, 1)
		require.Equal(t, auth.ReasonIdle, events[0].Reason)
		require.Equal(t, auth.SchemeCookie, events[0].Scheme)
		require.Equal(t, "ada", events[0].UserID)
	})
}

func TestNewCookie_endlessLifetime(t *testing.T) {
	t.Parallel()
	_, err := auth.NewCookie(auth.NewMemoryStore(), auth.CookieConfig{Keys: auth.Keys{testKey(1)}, Lifetime: auth.NoExpiry})
	require.ErrorContains(t, err, "Lifetime: is 2562047h47m16.854775807s")
}
