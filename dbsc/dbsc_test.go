package dbsc_test

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/dbsc"
)

func keepForever(cookies map[string]stored) map[string]stored {
	kept := maps.Clone(cookies)
	for name, c := range kept {
		c.expires = time.Now().Add(1000 * time.Hour)
		kept[name] = c
	}
	return kept
}

// sessions returns a user's sessions that are not superseded.
func (s *service) sessions(user string) (live []auth.Credential) {
	s.t.Helper()
	list, err := s.cookie.List(context.Background(), user, auth.Page{})
	require.NoError(s.t, err)
	for _, c := range list {
		if !c.Superseded {
			live = append(live, c)
		}
	}
	return live
}

func TestBinding_bindsTheSession(t *testing.T) {
	t.Parallel()
	for _, key := range []signer{newECKey(t), newRSAKey(t, 2048), newRSAKey(t, 4096)} {
		s := newService(t, options{})
		b := newBrowser(t, s)
		b.key = key
		b.signIn("alice")
		sessions := s.sessions("alice")
		require.Len(t, sessions, 1)
		require.NotContains(t, b.id, sessions[0].ID)
		require.NotEmpty(t, sessions[0].Sealed)
		require.Equal(t, http.StatusOK, b.do("GET", "/me"))
		require.Equal(t, []auth.EventType{auth.EventSignedIn, auth.EventBound, auth.EventAccepted}, s.types())
	}
}

// The cookie of before the registration works for ten seconds more.
func TestBinding_unboundCookieDies(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newService(t, options{})
		b := newBrowser(t, s)
		challenge := b.offered()
		thief := b.copyCookies()
		require.Equal(t, http.StatusOK, b.register("/dbsc/registration", prove(b.key, challenge, true, nil)).Code)
		require.Equal(t, http.StatusOK, thief.do("GET", "/me"), "under way")
		time.Sleep(10*time.Second - 1)
		require.Equal(t, http.StatusOK, thief.do("GET", "/me"))
		time.Sleep(time.Nanosecond)
		require.Equal(t, http.StatusUnauthorized, thief.do("GET", "/me"))
		require.Equal(t, http.StatusOK, b.do("GET", "/me"))
	})
}

// A browser without DBSC notices nothing.
func TestBinding_otherBrowsers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newService(t, options{})
		b := newBrowser(t, s)
		b.key = nil
		b.signIn("alice")
		time.Sleep(100 * time.Hour)
		require.Equal(t, http.StatusOK, b.do("GET", "/me"))
		require.Equal(t, "__Host-session", b.names())
		require.Equal(t, http.StatusOK, b.do("POST", "/sign-out"))
		require.Empty(t, b.names())
		require.Empty(t, s.reasons())
	})
}

func TestRequire(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newService(t, options{dbsc: dbsc.Config{Require: 2 * time.Minute}})
		bound, unbound := newBrowser(t, s), newBrowser(t, s)
		unbound.key = nil
		bound.signIn("alice")
		unbound.signIn("bob")
		time.Sleep(2*time.Minute - 1)
		require.Equal(t, http.StatusOK, unbound.do("GET", "/me"))
		time.Sleep(time.Nanosecond)
		require.Equal(t, http.StatusUnauthorized, unbound.do("GET", "/me"))
		require.Equal(t, []auth.Reason{auth.ReasonNotBound}, s.reasons())
		require.Equal(t, http.StatusOK, bound.do("GET", "/me"))
	})
}

func TestOffer(t *testing.T) {
	t.Parallel()
	s := newService(t, options{dbsc: dbsc.Config{Offer: func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "alice") }}})
	alice, bob := newBrowser(t, s), newBrowser(t, s)
	alice.signIn("alice")
	bob.signIn("bob")
	require.NotEmpty(t, alice.id)
	require.Empty(t, bob.id)
}

// A Cookie without a Binding cannot tell a bound session from a stolen one.
func TestBinding_processWithoutIt(t *testing.T) {
	t.Parallel()
	s := newService(t, options{})
	b := newBrowser(t, s)
	b.signIn("alice")
	b.service = newService(t, options{store: s.store, plain: true})
	b.id = ""
	require.Equal(t, http.StatusUnauthorized, b.do("GET", "/me"))
	require.Equal(t, []auth.Reason{auth.ReasonNotBound}, b.service.reasons())
}

// Registration is possible once, and for a minute.
func TestRegistration_onceAndSoon(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newService(t, options{})
		b := newBrowser(t, s)
		register := func(wait time.Duration) (int, *browser) {
			challenge := b.offered()
			before := b.copyCookies()
			before.key = newECKey(t)
			time.Sleep(wait)
			code := b.register("/dbsc/registration", prove(b.key, challenge, true, nil)).Code
			if code == http.StatusOK { // a thief who has copied the cookie in time
				require.Equal(t, http.StatusConflict, before.register("/dbsc/registration", prove(before.key, challenge, true, nil)).Code)
				require.Equal(t, http.StatusConflict, b.register("/dbsc/registration", prove(b.key, challenge, true, nil)).Code)
			}
			return code, before
		}
		code, _ := register(59 * time.Second)
		require.Equal(t, http.StatusOK, code)
		require.Equal(t, []auth.Reason{dbsc.ReasonAgain, dbsc.ReasonAgain}, s.reasons())
		code, _ = register(time.Minute)
		require.Equal(t, http.StatusForbidden, code)
		require.Equal(t, []auth.Reason{dbsc.ReasonLate}, s.reasons())
		require.Equal(t, http.StatusOK, b.do("GET", "/me"), "a session that is not bound stays as it is")
	})
}

// Of two registrations at once, of the browser and a thief, one succeeds.
func TestRegistration_race(t *testing.T) {
	t.Parallel()
	for range 20 {
		s := newService(t, options{})
		b := newBrowser(t, s)
		challenge := b.offered()
		var wg sync.WaitGroup
		codes := make([]int, 4)
		for i := range codes {
			other := b.copyCookies()
			other.key = newECKey(t)
			wg.Go(func() { codes[i] = other.register("/dbsc/registration", prove(other.key, challenge, true, nil)).Code })
		}
		wg.Wait()
		won := 0
		for _, code := range codes {
			if code == http.StatusOK {
				won++
			} else {
				require.Equal(t, http.StatusConflict, code)
			}
		}
		require.Equal(t, 1, won)
		require.Len(t, s.sessions("alice"), 1)
	}
}

// Another site cannot bind the session that its visitor has, nor can another host of the same site,
// which could plant the cookie and the challenge of a sign-in of its own.
func TestRegistration_crossSite(t *testing.T) {
	t.Parallel()
	for site, origin := range map[string]string{"cross-site": "https://evil.example", "same-site": "https://other.example.com"} {
		for _, withCookie := range []bool{true, false} {
			s := newService(t, options{})
			b := newBrowser(t, s)
			challenge := b.offered()
			if !withCookie {
				delete(b.cookies, "__Host-session")
			}
			r := httptest.NewRequest("POST", "/dbsc/registration", nil)
			r.Header.Set("Origin", origin)
			r.Header.Set("Sec-Fetch-Site", site)
			r.Header.Set("Secure-Session-Response", prove(b.key, challenge, true, nil))
			require.Equal(t, http.StatusForbidden, b.send(r).Code)
			require.Equal(t, []auth.Reason{auth.ReasonCrossOrigin}, s.reasons())
			require.Empty(t, s.sessions("alice")[0].Sealed)
		}
	}
}

// The proof of one session does not bind or renew another.
func TestProofs_ofAnotherSession(t *testing.T) {
	t.Parallel()
	s := newService(t, options{})
	alice, mallory := newBrowser(t, s), newBrowser(t, s)
	forAlice, forMallory := alice.offeredTo("alice"), mallory.offeredTo("mallory")
	require.Equal(t, http.StatusForbidden, alice.register("/dbsc/registration", prove(mallory.key, forMallory, true, nil)).Code)
	require.Equal(t, []auth.Reason{dbsc.ReasonChallenge}, s.reasons())
	alice.register("/dbsc/registration", prove(alice.key, forAlice, true, nil))
	mallory.register("/dbsc/registration", prove(mallory.key, forMallory, true, nil))
	require.NotEmpty(t, alice.id)
	require.NotEmpty(t, mallory.id)

	// Alice's cookie with Mallory's key, and Alice's key with Mallory's challenge.
	thief := alice.copyCookies()
	thief.key = mallory.key
	s.reasons()
	require.Equal(t, http.StatusUnauthorized, thief.sendRefresh(alice.id, alice.challenge).Code)
	require.Equal(t, http.StatusForbidden, alice.sendRefresh(alice.id, mallory.challenge).Code)
	require.Equal(t, []auth.Reason{dbsc.ReasonSignature, dbsc.ReasonChallenge}, s.reasons())

	// A forged Sec-Secure-Session-Id, which another session has.
	w := thief.sendRefresh(mallory.id, mallory.challenge)
	require.JSONEq(t, `{"session_identifier":"`+mallory.id+`","continue":false}`, w.Body.String())
	require.Empty(t, w.Header()["Set-Cookie"])

	// Mallory's bound cookie does not make Alice's session pass.
	thief.cookies["__Host-session-bound"] = mallory.cookies["__Host-session-bound"]
	require.Equal(t, http.StatusUnauthorized, thief.do("GET", "/me"))
}

// A proof can be used again until its challenge is too old, by someone who has the cookie.
func TestRefresh_replay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newService(t, options{})
		b := newBrowser(t, s)
		b.signIn("alice")
		ask := b.sendRefresh(b.id, "")
		require.Equal(t, http.StatusForbidden, ask.Code)
		challenge := challengeHeader.FindStringSubmatch(ask.Header().Get("Secure-Session-Challenge"))[1]
		thief := b.copyCookies()
		thief.key = b.key // for the one proof
		require.Equal(t, http.StatusOK, thief.sendRefresh(b.id, challenge).Code)
		time.Sleep(time.Minute)
		require.Equal(t, http.StatusOK, thief.sendRefresh(b.id, challenge).Code)
		time.Sleep(time.Second)
		require.Equal(t, http.StatusForbidden, thief.sendRefresh(b.id, challenge).Code)
		require.Empty(t, s.reasons(), "browsers that were idle do the same")
	})
}

// The challenge that comes with the bound cookie saves a round trip while the user is active.
func TestRefresh_oneRoundTrip(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newService(t, options{})
		b := newBrowser(t, s)
		b.signIn("alice")
		for i := range 50 {
			time.Sleep(5*time.Minute + time.Second)
			require.Equal(t, http.StatusOK, b.do("GET", "/me"))
			require.Equal(t, i+1, b.renewals)
		}
	})
}

// Chromium signs 6 times in 9 minutes for a site, and renews 2 minutes before the cookie expires. The
// shortest Lifetime leaves two signatures: for other sign-ins, and for a user who was idle, whose
// renewal takes two.
func TestRefresh_withinTheQuota(t *testing.T) {
	t.Parallel()
	b := newBrowser(t, newService(t, options{dbsc: dbsc.Config{Lifetime: 5 * time.Minute}}))
	b.signIn("alice")
	every := time.Until(b.cookies[b.bound].expires).Round(time.Second) - 2*time.Minute
	require.LessOrEqual(t, 1+int(9*time.Minute/every), 6-2) // the registration is one of them
}

// Two tabs that renew at once both get a cookie.
func TestRefresh_twoTabs(t *testing.T) {
	t.Parallel()
	s := newService(t, options{})
	b := newBrowser(t, s)
	b.signIn("alice")
	var wg sync.WaitGroup
	for range 8 {
		tab := b.copyCookies()
		tab.key = b.key
		wg.Go(func() {
			for range 5 {
				if code := tab.sendRefresh(b.id, b.challenge).Code; code != http.StatusOK {
					t.Errorf("status %d", code)
				}
				if code := tab.do("GET", "/me"); code != http.StatusOK {
					t.Errorf("status %d", code)
				}
			}
		})
	}
	wg.Wait()
}

// A renewal is not a use, or a browser that renews by itself would keep a session from becoming idle.
func TestRefresh_isNoUse(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newService(t, options{cookie: auth.CookieConfig{IdleTimeout: 30 * time.Minute}})
		b := newBrowser(t, s)
		b.signIn("alice")
		for range 7 {
			time.Sleep(4 * time.Minute)
			require.Equal(t, http.StatusOK, b.sendRefresh(b.id, b.challenge).Code)
		}
		time.Sleep(3 * time.Minute)
		require.JSONEq(t, `{"session_identifier":"`+b.id+`","continue":false}`, b.sendRefresh(b.id, b.challenge).Body.String())
		require.NoError(t, s.cookie.Close(t.Context()))
	})
}

// A renewal ends the session in the browser only if it has ended.
func TestRefresh_over(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*service, *browser){
		"signed out": func(_ *service, b *browser) {
			b.send(httptest.NewRequest("POST", "/sign-out", nil))
			require.Empty(b.t, b.names())
		},
		"revoked": func(s *service, b *browser) {
			require.NoError(b.t, s.cookie.Revoke(context.Background(), "alice", s.sessions("alice")[0].ID))
		},
		"all revoked": func(s *service, b *browser) {
			_, err := s.cookie.RevokeAll(context.Background(), "alice")
			require.NoError(b.t, err)
		},
		"expired":                  func(*service, *browser) { time.Sleep(8 * 24 * time.Hour) },
		"expired, cookie restored": func(_ *service, b *browser) { b.cookies = keepForever(b.cookies); time.Sleep(8 * 24 * time.Hour) },
		"another user":             func(_ *service, b *browser) { b.send(httptest.NewRequest("POST", "/sign-in/bob", nil)) },
		"again":                    func(_ *service, b *browser) { b.send(httptest.NewRequest("POST", "/sign-in/alice", nil)) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newService(t, options{})
				b := newBrowser(t, s)
				b.signIn("alice")
				end(s, b)
				w := b.sendRefresh(b.id, b.challenge)
				require.Equal(t, http.StatusOK, w.Code)
				require.JSONEq(t, `{"session_identifier":"`+b.id+`","continue":false}`, w.Body.String())
				require.Empty(t, w.Header()["Set-Cookie"])
			})
		})
	}
}

// An outage does not end the session in the browser.
func TestRefresh_outage(t *testing.T) {
	t.Parallel()
	store := &faultyStore{Store: auth.NewMemoryStore()}
	s := newService(t, options{store: store})
	b := newBrowser(t, s)
	b.signIn("alice")
	store.fail(errors.New("down"))
	require.Equal(t, http.StatusServiceUnavailable, b.sendRefresh(b.id, b.challenge).Code)
	require.Equal(t, http.StatusServiceUnavailable, b.do("GET", "/me"))
	require.Equal(t, []auth.Reason{auth.ReasonUnavailable, auth.ReasonUnavailable}, s.reasons())
	store.fail(nil)
	require.Equal(t, http.StatusOK, b.do("GET", "/me"))

	// A cookie next to it that another host of the domain has planted does not matter here.
	b.planted = "__Host-session=planted"
	require.Equal(t, http.StatusOK, b.sendRefresh(b.id, b.challenge).Code)
	b.planted = ""
	// A process that does not have the key yet does not end the session either, with the cookie or
	// without it.
	other := newService(t, options{store: store, cookie: auth.CookieConfig{Keys: auth.Keys{[]byte("another key of thirty-two bytes!")}}})
	b.service = other
	require.Equal(t, http.StatusServiceUnavailable, b.sendRefresh(b.id, b.challenge).Code)
	b.cookies = nil
	require.Equal(t, http.StatusServiceUnavailable, b.sendRefresh(b.id, b.challenge).Code)
}

// After a link from another site, Chromium renews without cookies that are SameSite=Lax. The session
// is that of the identifier, and the key proves that it is the browser.
func TestRefresh_withoutTheSessionCookie(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newService(t, options{})
		b := newBrowser(t, s)
		b.signIn("alice")
		cookies := b.cookies
		b.cookies = make(map[string]stored)
		time.Sleep(7 * time.Minute)
		b.renew()
		require.Equal(t, "__Host-session-bound", b.names())
		require.Equal(t, 2, b.renewals, "the first challenge is too old")
		require.Equal(t, http.StatusUnauthorized, b.do("GET", "/me"), "the cookie alone is worth nothing")
		b.cookies["__Host-session"] = cookies["__Host-session"]
		require.Equal(t, http.StatusOK, b.do("GET", "/me"))

		// Without the key, the identifier is worth nothing.
		thief := newBrowser(t, s)
		require.Equal(t, http.StatusForbidden, thief.sendRefresh(b.id, "").Code)
		require.Equal(t, http.StatusUnauthorized, thief.sendRefresh(b.id, b.challenge).Code)
		require.Equal(t, dbsc.ReasonSignature, s.reasons()[1])
		_, err := s.cookie.RevokeAll(t.Context(), "alice")
		require.NoError(t, err)
		require.Contains(t, b.sendRefresh(b.id, b.challenge).Body.String(), `"continue":false`)
	})
}

// Nor does the registration after a sign-in that a link of another site leads to, as those of identity
// providers do.
func TestRegistration_withoutTheSessionCookie(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newService(t, options{})
		b := newBrowser(t, s)
		offer := func(user string) string {
			challenge := b.offeredTo(user)
			delete(b.cookies, "__Host-session")
			return challenge
		}
		challenge := offer("alice")
		require.Equal(t, http.StatusOK, b.register("/dbsc/registration", prove(b.key, challenge, true, nil)).Code)
		require.Equal(t, "__Host-session __Host-session-bound", b.names())
		require.Equal(t, http.StatusOK, b.do("GET", "/me"))

		for want, proof := range map[string]string{
			"the offer alone":  prove(b.key, challenge, true, nil),
			"made up":          prove(b.key, "made up", true, nil),
			"of a renewal":     prove(b.key, b.challenge, true, nil),
			"of an identifier": prove(b.key, b.id, true, nil),
		} {
			b.cookies = make(map[string]stored)
			require.Equal(t, http.StatusUnauthorized, b.register("/dbsc/registration", proof).Code, want)
			require.Empty(t, b.names(), want)
		}
		other := newECKey(t)
		require.Equal(t, http.StatusForbidden, b.register("/dbsc/registration", prove(mixed{b.key, other}, offer("bob"), true, nil)).Code)
		late := offer("carol")
		time.Sleep(time.Minute + time.Second)
		require.Equal(t, http.StatusUnauthorized, b.register("/dbsc/registration", prove(b.key, late, true, nil)).Code)
		require.Empty(t, b.names())
	})
}

// A script of the page, or a log of headers, has the challenge of a sign-in. It must not get the session
// cookie, which is HttpOnly, by registering a key of its own.
func TestRegistration_withTheChallengeOnly(t *testing.T) {
	t.Parallel()
	s := newService(t, options{})
	b, mallory := newBrowser(t, s), newBrowser(t, s)
	challenge := b.offered()
	thief := newBrowser(t, s)
	require.Equal(t, http.StatusUnauthorized, thief.register("/dbsc/registration", prove(thief.key, challenge, true, nil)).Code)
	require.Empty(t, thief.names())

	// The offer cookie of another sign-in does not help, nor that of the same one without its challenge.
	other := mallory.offeredTo("mallory")
	thief.cookies["__Secure-session-offer"] = mallory.cookies["__Secure-session-offer"]
	require.Equal(t, http.StatusForbidden, thief.register("/dbsc/registration", prove(thief.key, challenge, true, nil)).Code)
	thief.cookies["__Secure-session-offer"] = b.cookies["__Secure-session-offer"]
	require.Equal(t, http.StatusForbidden, thief.register("/dbsc/registration", prove(thief.key, other, true, nil)).Code)
	require.Equal(t, http.StatusUnauthorized, thief.do("GET", "/me"))
	require.Empty(t, s.sessions("alice")[0].Sealed)
	require.Equal(t, http.StatusOK, b.register("/dbsc/registration", prove(b.key, challenge, true, nil)).Code)
}

// Another host of the domain plants offer cookies, so that sessions are not bound, or to another user's.
// The registration has no session cookie, as after the redirect of an identity provider.
func TestRegistration_plantedOffers(t *testing.T) {
	t.Parallel()
	const name = "__Secure-session-offer"
	s := newService(t, options{})
	mallory := newBrowser(t, s)
	mallory.offeredTo("mallory")
	for _, planted := range []string{"x", mallory.cookies[name].value, "x; " + name + "=y; " + name + "=z"} {
		for _, first := range []bool{true, false} {
			b := newBrowser(t, s)
			challenge := b.offered()
			delete(b.cookies, "__Host-session")
			b.planted = name + "=" + planted
			if first {
				own := b.cookies[name].value
				delete(b.cookies, name)
				b.planted += "; " + name + "=" + own
			}
			require.Equal(t, http.StatusOK, b.register("/dbsc/registration", prove(b.key, challenge, true, nil)).Code, "%s, first: %t", planted, first)
		}
	}
	require.Empty(t, s.sessions("mallory")[0].Sealed)
}

// A mixed shows one key, and signs with another one.
type mixed struct {
	signer
	key signer
}

func (m mixed) sign(text string) []byte { return m.key.sign(text) }

// A client that gives up has not found an outage, and must not fill the log with errors.
func TestEvents_canceled(t *testing.T) {
	t.Parallel()
	store := &faultyStore{Store: auth.NewMemoryStore()}
	s := newService(t, options{store: store})
	b := newBrowser(t, s)
	b.signIn("alice")
	store.fail(context.Canceled)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for _, path := range []string{"/dbsc/refresh", "/dbsc/registration"} {
		r := httptest.NewRequestWithContext(ctx, "POST", path, nil)
		r.Header.Set("Sec-Secure-Session-Id", b.id)
		r.Header.Set("Secure-Session-Response", prove(b.key, b.challenge, false, nil))
		require.Equal(t, http.StatusServiceUnavailable, b.send(r).Code)
	}
	require.Equal(t, []auth.Reason{auth.ReasonCanceled, auth.ReasonCanceled}, s.reasons())
}

type faultyStore struct {
	auth.Store
	mu  sync.Mutex
	err error
}

func (s *faultyStore) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

func (s *faultyStore) Lookup(ctx context.Context, kind auth.Kind, d auth.Digest) (*auth.Credential, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return nil, s.err
	}
	return s.Store.Lookup(ctx, kind, d)
}

// Keys are rotated as those of the cookie, and a browser that was idle meanwhile keeps its session.
func TestKeys_rotation(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k1, k2 := []byte("first key of thirty-two bytes...."), []byte("second key of thirty-two bytes...")
		store := auth.NewMemoryStore()
		with := func(keys ...[]byte) *service {
			return newService(t, options{store: store, cookie: auth.CookieConfig{Keys: keys}})
		}
		b := newBrowser(t, with(k1))
		b.signIn("alice")
		b.service = with(k2, k1)
		require.Equal(t, http.StatusOK, b.do("GET", "/me"))
		require.Zero(t, b.renewals)
		time.Sleep(time.Hour)
		require.Equal(t, http.StatusOK, b.do("GET", "/me"))
		require.NotZero(t, b.renewals)
	})
}

func TestServeHTTP_other(t *testing.T) {
	t.Parallel()
	s := newService(t, options{})
	for target, want := range map[string]int{"GET /dbsc/refresh": 405, "GET /dbsc/registration": 405, "POST /dbsc/": 404, "POST /dbsc/other": 404} {
		method, path, _ := strings.Cut(target, " ")
		require.Equal(t, want, newBrowser(t, s).do(method, path), target)
	}
}

func TestNew_errors(t *testing.T) {
	t.Parallel()
	for want, cfg := range map[string]dbsc.Config{
		"Path":       {Path: "dbsc"},
		"Path: ":     {Path: "/a b/"},
		"//":         {Path: "//evil.example/"},
		"/../":       {Path: "/app/../"},
		"%":          {Path: "/app/%2e%2e/"},
		"Lifetime":   {Lifetime: 5*time.Minute - 1},
		"Lifetime: ": {Lifetime: time.Hour + 1},
		"Algorithms": {Algorithms: []dbsc.Algorithm{}},
		"twice":      {Algorithms: []dbsc.Algorithm{dbsc.ES256, dbsc.ES256}},
		"not ES256":  {Algorithms: []dbsc.Algorithm{"none"}},
		"Require":    {Require: time.Second},
	} {
		_, err := dbsc.New(cfg)
		require.ErrorContains(t, err, want)
	}
}

func TestInit_errors(t *testing.T) {
	t.Parallel()
	for want, cfg := range map[string]auth.CookieConfig{
		"Insecure":    {Insecure: true},
		"Partitioned": {SameSite: http.SameSiteNoneMode, Partitioned: true, TrustedOrigins: []string{"https://app.example"}},
		"outside":     {Path: "/app"},
	} {
		binding, err := dbsc.New(dbsc.Config{})
		require.NoError(t, err)
		cfg.Keys, cfg.Binding = testKeys, binding
		_, err = auth.NewCookie(auth.NewMemoryStore(), cfg)
		require.ErrorContains(t, err, want)
	}
	binding, err := dbsc.New(dbsc.Config{Path: "/app/dbsc/"})
	require.NoError(t, err)
	for i, path := range []string{"/app", "/app/"} {
		_, err = auth.NewCookie(auth.NewMemoryStore(), auth.CookieConfig{Keys: testKeys, Path: path, Binding: binding})
		require.Equal(t, i == 0, err == nil, "one Binding for each Cookie")
	}
}

// A machine whose clock is a minute ahead accepts the bound cookie for as long as the browser has it.
func TestCheck_clocks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newService(t, options{})
		b := newBrowser(t, s)
		b.signIn("alice")
		ahead := b.copyCookies() // asks a minute later than the browser would
		ahead.cookies = keepForever(ahead.cookies)
		time.Sleep(time.Until(b.cookies[b.bound].expires) + time.Minute)
		require.Equal(t, http.StatusOK, ahead.do("GET", "/me"))
	})
}
