package auth_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

// A device is a Binding whose proof is the key itself, in a header.
type device struct {
	sessions *auth.SessionBinder
	initErr  error
	check    func(r *http.Request, session *auth.Credential) error // nil for the proof
	signedIn []auth.Credential
	checked  []string // IDs
}

const proofHeader = "Device-Proof"

var errNoProof = fmt.Errorf("no proof: %w", auth.ErrInvalidCredential)

func (d *device) Init(s *auth.SessionBinder) error { d.sessions = s; return d.initErr }

func (d *device) SignedIn(w http.ResponseWriter, _ *http.Request, session *auth.Credential) {
	d.signedIn = append(d.signedIn, *session)
	w.Header().Set("Device-Offer", session.ID)
}

func (d *device) Check(r *http.Request, session *auth.Credential) error {
	if d.check != nil {
		return d.check(r, session)
	}
	if len(session.Sealed) > 0 && r.Header.Get(proofHeader) != string(session.Sealed) {
		return errNoProof
	}
	return nil
}

func (d *device) SignedOut(w http.ResponseWriter) { w.Header().Add("Set-Cookie", "device=; Max-Age=0") }

// proof is of the device whose key is "key".
func proof(c *http.Cookie) edit {
	return func(r *http.Request) {
		withSameOrigin(c)(r)
		r.Header.Set(proofHeader, "key")
	}
}

// newDevice returns a fixture with a Binding.
func newDevice(t testing.TB, change ...func(*configs)) (*fixture, *device) {
	t.Helper()
	d := new(device)
	f := newFixture(t, append([]func(*configs){func(c *configs) { c.cookie.Binding = d }}, change...)...)
	t.Cleanup(func() { require.NoError(t, f.cookie.Close(context.Background())) })
	return f, d
}

// bind binds the session of a cookie, and returns the new cookie.
func (d *device) bind(t testing.TB, cookie *http.Cookie) (*http.Cookie, auth.Credential) {
	t.Helper()
	r := request("POST", withCookie(cookie))
	session, err := d.sessions.Presented(r)
	require.NoError(t, err)
	w := newRecorder()
	bound, err := d.sessions.Bind(w, r, session, []byte("key"))
	require.NoError(t, err)
	cookies := w.Result().Cookies()
	require.Len(t, cookies, 1)
	return cookies[0], bound
}

// sessions returns a user's sessions that count.
func (f *fixture) sessions(user string) (live []auth.Credential) {
	f.t.Helper()
	list, err := f.cookie.List(context.Background(), user, auth.Page{})
	require.NoError(f.t, err)
	for _, s := range list {
		if !s.Superseded {
			live = append(live, s)
		}
	}
	return live
}

func TestNewCookie_binding(t *testing.T) {
	t.Parallel()
	broken := errors.New("no such device")
	_, err := auth.NewCookie(auth.NewMemoryStore(), auth.CookieConfig{Keys: auth.Keys{testKey(1)}, Binding: &device{initErr: broken}})
	require.ErrorIs(t, err, broken)
	var none *device
	_, err = auth.NewCookie(auth.NewMemoryStore(), auth.CookieConfig{Keys: auth.Keys{testKey(1)}, Binding: none})
	require.ErrorContains(t, err, "CookieConfig.Binding")
	d := new(device)
	_, err = auth.NewCookie(nil, auth.CookieConfig{Keys: auth.Keys{testKey(1)}, Binding: d})
	require.Error(t, err)
	require.Nil(t, d.sessions, "Init is not called if the configuration is invalid")
}

// The caller may clear its keys after NewCookie.
func TestSessionBinder_attributesAndKeys(t *testing.T) {
	t.Parallel()
	keys := auth.Keys{testKey(1), testKey(2)}
	_, d := newDevice(t, func(c *configs) { c.cookie.Keys, c.cookie.Domain, c.cookie.Path = keys, "example.com", "/app" })
	clear(keys[0])
	keys[1] = nil
	require.Equal(t, auth.Keys{testKey(1), testKey(2)}, d.sessions.Keys())
	require.Equal(t, http.Cookie{
		Name: "__Secure-session", Domain: "example.com", Path: "/app", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	}, d.sessions.Attributes())
}

func TestBinding_calls(t *testing.T) {
	t.Parallel()
	f, d := newDevice(t)
	d.check = func(_ *http.Request, s *auth.Credential) error { d.checked = append(d.checked, s.ID); return nil }
	h := behind(auth.Require(f.bearer, f.cookie))

	w := newRecorder()
	session, err := f.cookie.SignIn(w, request("POST"), "ada", auth.SessionOptions{})
	require.NoError(t, err)
	require.Equal(t, []auth.Credential{session}, d.signedIn)
	require.Equal(t, session.ID, w.Header().Get("Device-Offer"))
	cookie := w.Result().Cookies()[0]

	accepted(t, h.get(withCookie(cookie)), "ada", auth.SchemeCookie)
	_, err = f.cookie.Authenticate(request("GET", withCookie(cookie)))
	require.NoError(t, err)
	require.Equal(t, []string{session.ID, session.ID}, d.checked)
	h.get()
	h.get(field("Cookie", cookie.Name+"=x"))
	h.get(authorization("Bearer " + f.token("ada")))
	_, err = d.sessions.Presented(request("GET", withCookie(cookie)))
	require.NoError(t, err)
	require.Len(t, d.checked, 2, "only requests with a valid session are checked")

	// Calls that fail do not reach it.
	crossOrigin := field("Sec-Fetch-Site", "cross-site")
	w = newRecorder()
	_, err = f.cookie.SignIn(w, request("POST", crossOrigin), "ada", auth.SessionOptions{})
	require.ErrorIs(t, err, auth.ErrCrossOrigin)
	require.ErrorIs(t, f.cookie.SignOut(w, request("POST", crossOrigin, withCookie(cookie))), auth.ErrCrossOrigin)
	require.Empty(t, w.Header())
	require.Len(t, d.signedIn, 1)

	require.NoError(t, f.cookie.SignOut(w, request("POST", withCookie(cookie))))
	require.Contains(t, w.Header()["Set-Cookie"], "device=; Max-Age=0")
	require.Equal(t, 401, h.get(withCookie(cookie)).Code)
	require.Len(t, d.checked, 2)
}

// A stolen cookie is of no use without the device, and the attempt is reported.
func TestBinding_stolenCookie(t *testing.T) {
	t.Parallel()
	f, d := newDevice(t)
	m := &auth.Middleware{Observe: f.events.observe}
	cookie, bound := d.bind(t, f.signIn("ada"))
	for _, h := range []*target{behind(m.Require(f.bearer, f.cookie)), behind(m.Require(f.cookie, f.bearer))} {
		accepted(t, h.get(proof(cookie)), "ada", auth.SchemeCookie)
		f.events.take()
		refused(t, h.get(withCookie(cookie)), 401, plainBearer)
		events := f.events.take()
		require.Len(t, events, 1)
		require.Equal(t, auth.EventRefused, events[0].Type)
		require.Equal(t, auth.ReasonNotBound, events[0].Reason)
		require.Equal(t, "ada", events[0].UserID)
		require.Equal(t, bound.ID, events[0].CredentialID)
		// It is no reason to reject a request that another authenticator accepts.
		accepted(t, h.get(withCookie(cookie), authorization("Bearer "+f.token("bob"))), "bob", auth.SchemeBearer)
	}
	w := behind(m.Optional(f.cookie)).get(withCookie(cookie))
	require.Equal(t, "anonymous", w.Body.String())
	_, err := f.cookie.Authenticate(request("GET", withCookie(cookie)))
	require.ErrorIs(t, err, auth.ErrInvalidCredential)
	listed, err := f.cookie.Get(t.Context(), "ada", bound.ID)
	require.NoError(t, err)
	require.False(t, listed.LastUsedAt.IsZero(), "by the accepted requests")
}

// A rejected request is no use of the session: a thief does not keep it from becoming idle.
func TestBinding_rejectionIsNoUse(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f, d := newDevice(t, func(c *configs) { c.cookie.IdleTimeout = 10 * time.Minute })
		cookie, _ := d.bind(t, f.signIn("ada"))
		h := behind(auth.Require(f.cookie))
		for range 3 {
			time.Sleep(3 * time.Minute)
			require.Equal(t, 401, h.get(withCookie(cookie)).Code)
		}
		time.Sleep(time.Minute)
		require.Equal(t, 401, h.get(proof(cookie)).Code, "it is idle")
	})
}

func TestBinding_checkFails(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		err    error
		status int
		reason auth.Reason
	}{
		"rejected":               {auth.ErrInvalidCredential, 401, auth.ReasonNotBound},
		"rejected for a reason":  {errNoProof, 401, auth.ReasonNotBound},
		"rejected by an Error":   {&auth.Error{Reason: auth.ReasonForged, Err: auth.ErrInvalidCredential}, 401, auth.ReasonNotBound},
		"an outage":              {errors.New("no connection to the device service"), 503, auth.ReasonUnavailable},
		"ErrUnavailable":         {auth.ErrUnavailable, 503, auth.ReasonUnavailable},
		"an outage and rejected": {errors.Join(auth.ErrInvalidCredential, auth.ErrUnavailable), 503, auth.ReasonUnavailable},
		"ErrNoCredential":        {auth.ErrNoCredential, 503, auth.ReasonUnavailable},
		"ErrForbidden":           {auth.ErrForbidden, 503, auth.ReasonUnavailable},
		"canceled":               {context.Canceled, 503, auth.ReasonUnavailable},
		"a nil *Error":           {(*auth.Error)(nil), 500, auth.ReasonInternal},
		"a panic":                {nil, 500, auth.ReasonInternal},
	} {
		for _, bound := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, bound: %t", name, bound), func(t *testing.T) {
				t.Parallel()
				f, d := newDevice(t)
				cookie := f.signIn("ada")
				if bound {
					cookie, _ = d.bind(t, cookie)
				}
				d.check = func(*http.Request, *auth.Credential) error {
					if test.err == nil {
						panic("canary")
					}
					return test.err
				}
				m := &auth.Middleware{Observe: f.events.observe}
				f.events.take()
				w := behind(m.Require(f.cookie)).get(withCookie(cookie))
				var challenges []string
				if test.status == 401 {
					challenges = []string{plainCookie}
				}
				refused(t, w, test.status, challenges...)
				require.NotContains(t, w.Body.String(), "device")
				require.Empty(t, w.Header().Values("Set-Cookie"), "the browser keeps its cookie")
				events := f.events.take()
				require.Len(t, events, 1)
				require.Equal(t, test.reason, events[0].Reason)
				require.Equal(t, test.status == 401, events[0].UserID == "ada")
			})
		}
	}
}

// A Cookie without a Binding cannot tell the browser from a thief.
func TestCookie_boundWithoutBinding(t *testing.T) {
	t.Parallel()
	f, d := newDevice(t)
	other, err := auth.NewCookie(f.store, auth.CookieConfig{Keys: auth.Keys{testKey(1)}})
	require.NoError(t, err)
	m := &auth.Middleware{Observe: f.events.observe}
	h := behind(m.Require(other))
	unbound := f.signIn("ada")
	accepted(t, h.get(withCookie(unbound)), "ada", auth.SchemeCookie)
	cookie, bound := d.bind(t, unbound)
	f.events.take()
	refused(t, h.get(proof(cookie)), 401, plainCookie)
	events := f.events.take()
	require.Equal(t, auth.ReasonNotBound, events[0].Reason)
	require.Equal(t, bound.ID, events[0].CredentialID)
	require.NoError(t, other.SignOut(newRecorder(), request("POST", withCookie(cookie))))
	require.Empty(t, f.sessions("ada"), "its user can sign out nevertheless")
	require.NoError(t, other.Close(t.Context()))
}

func TestSessionBinder_presented(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f, d := newDevice(t, func(c *configs) { c.cookie.IdleTimeout, c.cookie.Lifetime = 10*time.Minute, time.Hour })
		reasonOf := func(edits ...edit) auth.Reason {
			t.Helper()
			s, err := d.sessions.Presented(request("POST", edits...))
			var rejected *auth.Error
			require.ErrorAs(t, err, &rejected)
			require.Zero(t, s)
			return rejected.Reason
		}
		cookie, session := f.session("ada")
		got, err := d.sessions.Presented(request("POST", withCookie(cookie), field("Sec-Fetch-Site", "cross-site")))
		require.NoError(t, err, "the origin is Bind's to check")
		require.Equal(t, session, got)
		require.Equal(t, auth.ReasonMissing, reasonOf())
		require.Equal(t, auth.ReasonForged, reasonOf(field("Cookie", cookie.Name+"=x")))
		require.Equal(t, auth.ReasonRepeated, reasonOf(withCookie(cookie, cookie)))
		failing(f, "Lookup", errors.New("reset"))
		require.Equal(t, auth.ReasonUnavailable, reasonOf(withCookie(cookie)))
		f.store.fail = nil
		time.Sleep(9 * time.Minute)
		_, err = d.sessions.Presented(request("POST", withCookie(cookie)))
		require.NoError(t, err)
		time.Sleep(time.Minute)
		require.Equal(t, auth.ReasonIdle, reasonOf(withCookie(cookie)), "it is not a use")
		require.Zero(t, f.store.touches.Load())
		time.Sleep(time.Hour)
		require.Equal(t, auth.ReasonExpired, reasonOf(withCookie(cookie)))
	})
}

// A session that is bound remains what it was at the sign-in.
func TestBind_keepsTheSession(t *testing.T) {
	t.Parallel()
	for _, nonPersistent := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			f, d := newDevice(t)
			r := request("POST", field("User-Agent", "Browser/1"))
			r = r.WithContext(auth.WithClientAddr(r.Context(), netip.MustParseAddr("192.0.2.7")))
			w := newRecorder()
			old, err := f.cookie.SignIn(w, r, "ada", auth.SessionOptions{
				Scopes: []string{"read"}, Lifetime: time.Hour, NonPersistent: nonPersistent, Actor: "grace", Metadata: map[string]string{"ticket": "7"},
			})
			require.NoError(t, err)
			before := w.Result().Cookies()[0]
			time.Sleep(30*time.Second + 500*time.Millisecond)
			used := time.Now()
			require.Equal(t, 200, behind(auth.Require(f.cookie)).get(withCookie(before)).Code)
			f.events.take()
			cookie, bound := d.bind(t, before)

			require.NotEqual(t, old.ID, bound.ID)
			require.NotEqual(t, old.Digest, bound.Digest)
			want := old
			want.ID, want.Digest, want.Previous, want.Sealed = bound.ID, bound.Digest, old.ID, []byte("key")
			want.LastUsedAt = used.UTC().Truncate(time.Microsecond)
			require.Equal(t, want, bound)
			record, err := f.store.Get(t.Context(), bound.Ref())
			require.NoError(t, err)
			require.Equal(t, want, record)
			superseded, err := f.store.Get(t.Context(), old.Ref())
			require.NoError(t, err)
			require.True(t, superseded.Superseded)
			require.Equal(t, time.Now().UTC().Add(10*time.Second).Truncate(time.Microsecond), superseded.ExpiresAt)

			require.NotEqual(t, before.Value, cookie.Value)
			attributes := *cookie
			attributes.Value, attributes.MaxAge, attributes.Raw = before.Value, before.MaxAge, before.Raw
			require.Equal(t, *before, attributes)
			if nonPersistent {
				require.Zero(t, cookie.MaxAge)
				require.True(t, cookie.Expires.IsZero())
			} else {
				require.Equal(t, 3600-31, cookie.MaxAge, "what is left, in whole seconds")
			}
			event := auth.Event{
				Type: auth.EventBound, Operation: "bind", Scheme: auth.SchemeCookie, UserID: "ada", CredentialID: bound.ID, Actor: "grace",
				Method: "POST",
			}
			require.Equal(t, []auth.Event{event}, f.events.take())
		})
	}
}

// Uses of a minute ago may be pending. They count, or binding a session would end it as idle.
func TestBind_idleTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f, d := newDevice(t, func(c *configs) { c.cookie.IdleTimeout = 2 * time.Minute })
		h := behind(auth.Require(f.cookie))
		cookie := f.signIn("ada")
		for range 20 {
			time.Sleep(17 * time.Second)
			require.Equal(t, 200, h.get(withCookie(cookie)).Code)
		}
		bound, _ := d.bind(t, cookie)
		time.Sleep(2*time.Minute - time.Nanosecond)
		require.Equal(t, 200, h.get(proof(bound)).Code)
		time.Sleep(2 * time.Minute)
		require.Equal(t, 401, h.get(proof(bound)).Code)
	})
}

// The cookie of before is for requests under way, and then worthless.
func TestBind_oldCookie(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f, d := newDevice(t)
		old := f.signIn("ada")
		cookie, _ := d.bind(t, old)
		h := behind(auth.Require(f.cookie))
		time.Sleep(10*time.Second - time.Microsecond)
		require.Equal(t, 200, h.get(withCookie(old)).Code)
		time.Sleep(time.Microsecond)
		require.Equal(t, 401, h.get(withCookie(old)).Code)
		require.Equal(t, 200, h.get(proof(cookie)).Code)
	})
}

func TestBind_faults(t *testing.T) {
	t.Parallel()
	revoke := func(f *fixture, s auth.Credential) {
		if err := f.cookie.Revoke(context.Background(), s.UserID, s.ID); err != nil {
			panic(err)
		}
	}
	for name, test := range map[string]struct {
		key    int
		edit   edit
		before func(f *fixture, d *device, c *http.Cookie, s auth.Credential)
		want   error
		reason auth.Reason // of the event; empty if there is none
	}{
		"no key":      {key: 0, want: auth.ErrInvalidArgument, reason: "invalid_argument"},
		"1 byte":      {key: 1},
		"1,024 bytes": {key: 1024},
		"1,025 bytes": {key: 1025, want: auth.ErrInvalidArgument, reason: "invalid_argument"},
		"another site": {key: 3, edit: field("Sec-Fetch-Site", "cross-site"), want: auth.ErrCrossOrigin,
			reason: auth.ReasonCrossOrigin},
		"bound already": {key: 3, want: auth.ErrConflict,
			before: func(f *fixture, d *device, c *http.Cookie, _ auth.Credential) { d.bind(f.t, c) }},
		"revoked": {key: 3, want: auth.ErrNotFound, before: func(f *fixture, _ *device, _ *http.Cookie, s auth.Credential) { revoke(f, s) }},
		"expired": {key: 3, want: auth.ErrNotFound, before: func(*fixture, *device, *http.Cookie, auth.Credential) { time.Sleep(8 * 24 * time.Hour) }},
		"outage": {key: 3, want: auth.ErrUnavailable, reason: auth.ReasonUnavailable,
			before: func(f *fixture, _ *device, _ *http.Cookie, _ auth.Credential) {
				failing(f, "Rotate", errors.New("reset"))
			}},
		"another outage": {key: 3, want: auth.ErrUnavailable, reason: auth.ReasonUnavailable,
			before: func(f *fixture, _ *device, _ *http.Cookie, _ auth.Credential) { failing(f, "Rotate", auth.ErrLimit) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f, d := newDevice(t)
				cookie, session := f.session("ada")
				if test.before != nil {
					test.before(f, d, cookie, session)
				}
				f.events.take()
				if test.edit == nil {
					test.edit = field("Sec-Fetch-Site", "same-origin")
				}
				w := newRecorder()
				bound, err := d.sessions.Bind(w, request("POST", withCookie(cookie), test.edit), session, []byte(repeated("k", test.key)))
				events := f.events.take()
				require.Len(t, events, 1)
				require.Equal(t, "bind", events[0].Operation)
				if test.want == nil {
					require.NoError(t, err)
					require.Len(t, bound.Sealed, test.key)
					require.Equal(t, auth.EventBound, events[0].Type)
					return
				}
				require.ErrorIs(t, err, test.want)
				require.Zero(t, bound)
				require.Empty(t, w.Header(), "no cookie is set")
				if test.want == auth.ErrCrossOrigin {
					require.Equal(t, auth.EventRefused, events[0].Type)
				} else {
					require.Equal(t, auth.EventFailed, events[0].Type)
					require.Equal(t, "ada", events[0].UserID)
					require.Equal(t, session.ID, events[0].CredentialID)
				}
				if test.reason != "" {
					require.Equal(t, test.reason, events[0].Reason)
				}
				f.store.fail = nil
				if test.before == nil || test.want == auth.ErrUnavailable {
					require.Equal(t, 200, behind(auth.Require(f.cookie)).get(withCookie(cookie)).Code, "the session stays as it is")
				}
			})
		})
	}
}

// Bind may get a session that was read before another Bind, or with the old cookie.
func TestBind_twice(t *testing.T) {
	t.Parallel()
	f, d := newDevice(t)
	old, session := f.session("ada")
	cookie, bound := d.bind(t, old)
	for _, c := range []*http.Cookie{old, cookie} {
		r := request("POST", withCookie(c))
		presented, err := d.sessions.Presented(r)
		require.NoError(t, err)
		for _, s := range []auth.Credential{presented, session, bound} {
			_, err = d.sessions.Bind(newRecorder(), r, s, []byte("thief"))
			require.ErrorIs(t, err, auth.ErrConflict)
		}
	}
	require.Equal(t, []auth.Credential{bound}, f.sessions("ada"))
}

func TestBind_concurrently(t *testing.T) {
	t.Parallel()
	for range 50 {
		f, d := newDevice(t)
		cookie, session := f.session("ada")
		var wg sync.WaitGroup
		errs := make([]error, 8)
		for i := range errs {
			wg.Go(func() {
				_, errs[i] = d.sessions.Bind(newRecorder(), request("POST", withCookie(cookie)), session, fmt.Appendf(nil, "key %d", i))
			})
		}
		wg.Wait()
		won := 0
		for _, err := range errs {
			if err == nil {
				won++
				continue
			}
			require.ErrorIs(t, err, auth.ErrConflict)
		}
		require.Equal(t, 1, won)
		require.Len(t, f.sessions("ada"), 1)
	}
}

func TestSessionBinder_refused(t *testing.T) {
	t.Parallel()
	f, d := newDevice(t)
	_, session := f.session("ada", auth.SessionOptions{Actor: "grace"})
	f.events.take()
	outage := errors.New("reset")
	d.sessions.Refused(request("POST"), session, "stolen", nil)
	d.sessions.Refused(request("POST"), auth.Credential{}, auth.ReasonUnavailable, outage)
	require.Equal(t, []auth.Event{
		{Type: auth.EventRefused, Scheme: auth.SchemeCookie, Reason: "stolen", UserID: "ada", CredentialID: session.ID, Actor: "grace", Method: "POST"},
		{Type: auth.EventRefused, Scheme: auth.SchemeCookie, Reason: auth.ReasonUnavailable, Err: outage, Method: "POST"},
	}, f.events.take())
}

// midway makes bind happen right after the first call of a method of the store, as a
// registration in another process may.
func (f *fixture) midway(method string, bind func()) {
	f.store.after = func(called string) {
		if called == method {
			f.store.after = nil
			bind()
		}
	}
}

// However a sign-out and a registration meet, no session is left behind: its cookie may be a
// thief's, or arrive at the browser after the sign-out.
func TestSignOut_boundMeanwhile(t *testing.T) {
	t.Parallel()
	for name, when := range map[string]func(f *fixture, bind func()){
		"before":                  func(_ *fixture, bind func()) { bind() },
		"10 seconds before":       func(_ *fixture, bind func()) { bind(); time.Sleep(10*time.Second - time.Microsecond) },
		"between lookup and end":  func(f *fixture, bind func()) { f.midway("Lookup", bind) },
		"and the old one expires": func(f *fixture, bind func()) { f.midway("Lookup", func() { bind(); time.Sleep(time.Minute) }) },
		"and the old one is purged": func(f *fixture, bind func()) {
			f.midway("Lookup", func() {
				bind()
				time.Sleep(time.Minute)
				_, err := f.store.Purge(context.Background(), time.Now())
				require.NoError(f.t, err)
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f, d := newDevice(t)
				old := f.signIn("ada")
				var cookie *http.Cookie
				var bound auth.Credential
				when(f, func() { cookie, bound = d.bind(t, old) })
				f.events.take()
				require.NoError(t, f.cookie.SignOut(newRecorder(), request("POST", withCookie(old))))
				require.Empty(t, f.sessions("ada"))
				h := behind(auth.Require(f.cookie))
				require.Equal(t, 401, h.get(proof(cookie)).Code)
				require.Equal(t, 401, h.get(withCookie(old)).Code)
				events := f.events.take()
				last := events[len(events)-1]
				require.Equal(t, auth.EventSignedOut, last.Type)
				require.Equal(t, bound.ID, last.CredentialID)
			})
		})
	}
}

// An outage on the way is reported: the session may still be valid.
func TestSignOut_boundMeanwhileAndOutage(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"List", "Revoke"} {
		f, d := newDevice(t)
		old := f.signIn("ada")
		f.midway("Lookup", func() {
			d.bind(t, old)
			n := 0
			f.store.fail = func(called string) error {
				if called == "Revoke" {
					n++
				}
				if called == method && (method == "List" || n == 2) {
					return errors.New("reset")
				}
				return nil
			}
		})
		require.ErrorIs(t, f.cookie.SignOut(newRecorder(), request("POST", withCookie(old))), auth.ErrUnavailable, method)
	}
}

func TestSignOut_raceWithBind(t *testing.T) {
	t.Parallel()
	for range 200 {
		f, d := newDevice(t)
		cookie, session := f.session("ada")
		var wg sync.WaitGroup
		wg.Go(func() {
			_, _ = d.sessions.Bind(newRecorder(), request("POST", withCookie(cookie)), session, []byte("key"))
		})
		wg.Go(func() {
			if err := f.cookie.SignOut(newRecorder(), request("POST", withCookie(cookie))); err != nil {
				t.Error(err)
			}
		})
		wg.Wait()
		require.Empty(t, f.sessions("ada"))
	}
}

// SignIn ends the session that was presented with its request, even if that was bound meanwhile.
func TestSignIn_boundMeanwhile(t *testing.T) {
	t.Parallel()
	for name, when := range map[string]func(f *fixture, bind func()){
		"before":                    func(_ *fixture, bind func()) { bind() },
		"between lookup and end":    func(f *fixture, bind func()) { f.midway("Lookup", bind) },
		"and the old one expires":   func(f *fixture, bind func()) { f.midway("Lookup", func() { bind(); time.Sleep(time.Minute) }) },
		"after the new one started": func(f *fixture, bind func()) { f.midway("Create", bind) },
	} {
		for _, user := range []string{"ada", "bob"} {
			if user == "ada" && strings.HasPrefix(name, "after") {
				continue // the user's own session is replaced in one step
			}
			t.Run(name+", "+user, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					f, d := newDevice(t, func(c *configs) { c.cookie.MaxPerUser = 2 })
					f.signIn(user)
					old := f.signIn("ada")
					count := len(f.sessions(user))
					when(f, func() { d.bind(t, old) })
					w := newRecorder()
					session, err := f.cookie.SignIn(w, request("POST", withCookie(old)), user, auth.SessionOptions{})
					require.NoError(t, err)
					require.Nil(t, f.store.after, "it was bound")
					require.Equal(t, 200, behind(auth.Require(f.cookie)).get(withCookie(w.Result().Cookies()[0])).Code)
					_, err = f.cookie.Get(t.Context(), user, session.ID)
					require.NoError(t, err)
					if user == "ada" {
						require.Len(t, f.sessions("ada"), count, "it replaces its own, and ends no other")
					} else {
						require.Empty(t, f.sessions("ada"))
						require.Len(t, f.sessions("bob"), count+1)
					}
				})
			})
		}
	}
}

// The session is bound after SignIn has found it, and ends before SignIn looks for the bound one.
func TestSignIn_boundAndEndedMeanwhile(t *testing.T) {
	t.Parallel()
	f, d := newDevice(t)
	old := f.signIn("ada")
	f.midway("Lookup", func() {
		_, bound := d.bind(t, old)
		f.store.fail = func(method string) error {
			if method != "List" {
				return nil
			}
			f.store.fail = nil
			return f.store.Store.Revoke(context.Background(), bound.Ref())
		}
	})
	session, err := f.cookie.SignIn(newRecorder(), request("POST", withCookie(old)), "ada", auth.SessionOptions{})
	require.NoError(t, err)
	require.Nil(t, f.store.fail)
	require.Equal(t, []auth.Credential{session}, f.sessions("ada"))
}

// Another program changes the record after SignIn has read it. The old session must not survive.
func TestSignIn_changedMeanwhile(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	old, session := f.session("ada")
	f.midway("Lookup", func() {
		next := session
		next.Name = "another device"
		require.NoError(t, f.store.Store.Update(context.Background(), session, next))
	})
	created, err := f.cookie.SignIn(newRecorder(), request("POST", withCookie(old)), "ada", auth.SessionOptions{})
	require.NoError(t, err)
	require.Nil(t, f.store.after)
	require.Equal(t, []auth.Credential{created}, f.sessions("ada"))
}

// A thief copies the cookie of a new session and binds the session to a key of his own, before the
// user's browser does. The user, who is then signed out, signs out or in again with the cookie of before.
func TestBind_byAThief(t *testing.T) {
	t.Parallel()
	for _, wait := range []time.Duration{9 * time.Second, 11 * time.Second, 24 * time.Hour} {
		for name, end := range map[string]func(c *auth.Cookie, r *http.Request) error{
			"sign out": func(c *auth.Cookie, r *http.Request) error { return c.SignOut(newRecorder(), r) },
			"sign in": func(c *auth.Cookie, r *http.Request) error {
				_, err := c.SignIn(newRecorder(), r, "ada", auth.SessionOptions{})
				return err
			},
			"another user signs in": func(c *auth.Cookie, r *http.Request) error {
				_, err := c.SignIn(newRecorder(), r, "bob", auth.SessionOptions{})
				return err
			},
		} {
			t.Run(fmt.Sprintf("%s after %v", name, wait), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					f, d := newDevice(t)
					copied := f.signIn("ada")
					stolen, bound := d.bind(t, copied)
					time.Sleep(wait)
					f.events.take()
					require.NoError(t, end(f.cookie, request("POST", withCookie(copied))))
					require.Equal(t, 401, behind(auth.Require(f.cookie)).get(proof(stolen)).Code)
					require.Equal(t, bound.ID, f.events.take()[0].CredentialID)
				})
			})
		}
	}
}

// An administrator's program has no Binding, and ends a session that the service has bound.
func TestBind_endsWithoutBinding(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(c *auth.Cookie, old *http.Cookie, session auth.Credential) error{
		"Revoke": func(c *auth.Cookie, _ *http.Cookie, session auth.Credential) error {
			return c.Revoke(context.Background(), "ada", session.ID)
		},
		"SignOut": func(c *auth.Cookie, old *http.Cookie, _ auth.Credential) error {
			return c.SignOut(newRecorder(), request("POST", withCookie(old)))
		},
		"SignIn": func(c *auth.Cookie, old *http.Cookie, _ auth.Credential) error {
			_, err := c.SignIn(newRecorder(), request("POST", withCookie(old)), "ada", auth.SessionOptions{})
			return err
		},
	} {
		for _, wait := range []time.Duration{0, time.Hour} {
			t.Run(fmt.Sprintf("%s after %v", name, wait), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					f, d := newDevice(t)
					old, session := f.session("ada")
					cookie, _ := d.bind(t, old)
					time.Sleep(wait)
					require.NoError(t, end(withoutBinding(t, f), old, session))
					require.Equal(t, 401, behind(auth.Require(f.cookie)).get(proof(cookie)).Code)
				})
			})
		}
	}
}

// withoutBinding returns a Cookie of another program over the store of f.
func withoutBinding(t *testing.T, f *fixture) *auth.Cookie {
	t.Helper()
	c, err := auth.NewCookie(f.store, auth.CookieConfig{Keys: auth.Keys{testKey(1)}, Observe: f.events.observe})
	require.NoError(t, err)
	return c
}

// A browser may send the cookies of before and after Bind, of which one was planted.
func TestSignIn_bothCookies(t *testing.T) {
	t.Parallel()
	f, d := newDevice(t)
	old := f.signIn("ada")
	cookie, bound := d.bind(t, old)
	f.events.take()
	session, err := f.cookie.SignIn(newRecorder(), request("POST", withCookie(old, cookie)), "ada", auth.SessionOptions{})
	require.NoError(t, err)
	require.Equal(t, []auth.Credential{session}, f.sessions("ada"))
	events := f.events.take()
	require.Equal(t, []auth.EventType{auth.EventRevoked, auth.EventSignedIn}, eventTypes(events))
	require.Equal(t, bound.ID, events[0].CredentialID)
}

func TestSignIn_raceWithBind(t *testing.T) {
	t.Parallel()
	for range 200 {
		f, d := newDevice(t)
		cookie, session := f.session("ada")
		var wg sync.WaitGroup
		wg.Go(func() {
			_, _ = d.sessions.Bind(newRecorder(), request("POST", withCookie(cookie)), session, []byte("key"))
		})
		wg.Go(func() {
			if _, err := f.cookie.SignIn(newRecorder(), request("POST", withCookie(cookie)), "ada", auth.SessionOptions{}); err != nil {
				t.Error(err)
			}
		})
		wg.Wait()
		require.Len(t, f.sessions("ada"), 1)
	}
}

// The session of before does not count, and the age of a session is that of its sign-in.
func TestSignIn_limitAndBound(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f, d := newDevice(t, func(c *configs) { c.cookie.MaxPerUser = 3 })
		h := behind(auth.Require(f.cookie))
		first := f.signIn("ada")
		time.Sleep(time.Second)
		second := f.signIn("ada")
		time.Sleep(time.Second)
		first, _ = d.bind(t, first)
		third, _ := d.bind(t, f.signIn("ada"))
		require.Len(t, f.sessions("ada"), 3)
		for _, c := range []*http.Cookie{first, second, third} {
			require.Equal(t, 200, h.get(proof(c)).Code)
		}
		time.Sleep(time.Second)
		f.signIn("ada")
		require.Equal(t, 401, h.get(proof(first)).Code, "the oldest one")
		require.Equal(t, 200, h.get(proof(second)).Code)
		require.Equal(t, 200, h.get(proof(third)).Code)
	})
}

// One that is bound while it is evicted does not survive, and no other one ends in its place.
func TestSignIn_evictsWhileBinding(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f, d := newDevice(t, func(c *configs) { c.cookie.MaxPerUser = 2 })
		oldest := f.signIn("ada")
		time.Sleep(time.Second)
		kept := f.signIn("ada")
		f.midway("List", func() { oldest, _ = d.bind(t, oldest) })
		f.signIn("ada")
		h := behind(auth.Require(f.cookie))
		require.Equal(t, 401, h.get(proof(oldest)).Code)
		require.Equal(t, 200, h.get(withCookie(kept)).Code)
		require.Len(t, f.sessions("ada"), 2)
	})
}

// Pages and logs may have the ID of before. What they revoke ends, whichever ID they have.
func TestRevoke_bound(t *testing.T) {
	t.Parallel()
	for _, byOldID := range []bool{false, true} {
		for name, wait := range map[string]time.Duration{"at once": 0, "later": time.Hour} {
			t.Run(fmt.Sprintf("%s, by the old ID: %t", name, byOldID), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					f, d := newDevice(t)
					f.signIn("ada")
					old, session := f.session("ada")
					cookie, bound := d.bind(t, old)
					time.Sleep(wait)
					id := bound.ID
					if byOldID {
						id = session.ID
						_, err := f.store.Purge(t.Context(), time.Now())
						require.NoError(t, err)
					}
					require.ErrorIs(t, f.cookie.Revoke(t.Context(), "bob", id), auth.ErrNotFound)
					f.events.take()
					require.NoError(t, f.cookie.Revoke(t.Context(), "ada", id))
					h := behind(auth.Require(f.cookie))
					require.Equal(t, 401, h.get(proof(cookie)).Code)
					require.Equal(t, 401, h.get(withCookie(old)).Code)
					events := f.events.take()
					require.Len(t, events, 1)
					require.Equal(t, bound.ID, events[0].CredentialID)
					require.Len(t, f.sessions("ada"), 1, "another session stays")
					require.ErrorIs(t, f.cookie.Revoke(t.Context(), "ada", id), auth.ErrNotFound)
				})
			})
		}
	}
}

func TestRevokeAll_bound(t *testing.T) {
	t.Parallel()
	for _, except := range []string{"", "old", "new"} {
		t.Run("except "+except, func(t *testing.T) {
			t.Parallel()
			f, d := newDevice(t)
			f.signIn("ada")
			old, session := f.session("ada")
			cookie, bound := d.bind(t, old)
			ids := map[string][]string{"old": {session.ID}, "new": {bound.ID}}[except]
			_, err := f.cookie.RevokeAll(t.Context(), "ada", ids...)
			require.NoError(t, err)
			code := behind(auth.Require(f.cookie)).get(proof(cookie)).Code
			if except == "" {
				require.Equal(t, 401, code)
				require.Equal(t, 401, behind(auth.Require(f.cookie)).get(withCookie(old)).Code)
				return
			}
			require.Equal(t, 200, code)
			require.Len(t, f.sessions("ada"), 1)
			require.Equal(t, bound.ID, f.sessions("ada")[0].ID)
		})
	}
	t.Run("outage", func(t *testing.T) {
		t.Parallel()
		f, _ := newDevice(t)
		_, session := f.session("ada")
		f.events.take()
		failing(f, "List", errors.New("reset"))
		_, err := f.cookie.RevokeAll(t.Context(), "ada", session.ID)
		require.ErrorIs(t, err, auth.ErrUnavailable)
		f.store.fail = nil
		require.Len(t, f.sessions("ada"), 1)
		require.Equal(t, "revoke_all", f.events.take()[0].Operation)
	})
}

// during runs bind before or after a request with the old cookie is accepted, and then the rest.
func during(t *testing.T, f *fixture, d *device, after bool, rest func(ctx context.Context, cookie *http.Cookie, bound auth.Credential)) {
	t.Helper()
	old := f.signIn("ada")
	var cookie *http.Cookie
	var bound auth.Credential
	if after {
		cookie, bound = d.bind(t, old)
	}
	ran := false
	auth.Require(f.cookie)(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if !after {
			cookie, bound = d.bind(t, old)
		}
		ran = true
		rest(r.Context(), cookie, bound)
	})).ServeHTTP(newRecorder(), request("POST", withSameOrigin(old)))
	require.True(t, ran)
}

// A request that began with the cookie of before remains valid by the session that has replaced it.
func TestRecheck_bound(t *testing.T) {
	t.Parallel()
	for _, after := range []bool{false, true} {
		for _, purged := range []bool{false, true} {
			t.Run(fmt.Sprintf("accepted after Bind: %t, purged: %t", after, purged), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					f, d := newDevice(t, func(c *configs) { c.cookie.Lifetime = time.Hour })
					during(t, f, d, after, func(ctx context.Context, _ *http.Cookie, bound auth.Credential) {
						require.NoError(t, auth.Recheck(ctx))
						time.Sleep(time.Hour - time.Nanosecond)
						if purged {
							n, err := f.store.Purge(context.Background(), time.Now())
							require.NoError(t, err)
							require.Equal(t, 1, n)
						}
						require.NoError(t, auth.Recheck(ctx))
						failing(f, "List", errors.New("reset"))
						require.ErrorIs(t, auth.Recheck(ctx), auth.ErrUnavailable)
						f.store.fail = nil
						time.Sleep(time.Nanosecond)
						require.True(t, bound.Expired(time.Now()))
						require.ErrorIs(t, auth.Recheck(ctx), auth.ErrInvalidCredential)
					})
					during(t, f, d, after, func(ctx context.Context, _ *http.Cookie, bound auth.Credential) {
						require.NoError(t, f.cookie.Revoke(context.Background(), "ada", bound.ID))
						require.ErrorIs(t, auth.Recheck(ctx), auth.ErrInvalidCredential)
					})
				})
			})
		}
	}
}

// A shorter Lifetime ends sessions that were bound under a longer one.
func TestRecheck_boundUnderAShorterLifetime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f, d := newDevice(t)
		_, session := f.session("ada")
		d2 := new(device)
		shorter, err := auth.NewCookie(f.store, auth.CookieConfig{Keys: auth.Keys{testKey(1)}, Lifetime: time.Hour, Binding: d2})
		require.NoError(t, err)
		old := f.signIn("ada")
		auth.Require(shorter)(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			d.bind(t, old)
			time.Sleep(time.Hour)
			require.ErrorIs(t, auth.Recheck(r.Context()), auth.ErrInvalidCredential)
		})).ServeHTTP(newRecorder(), request("GET", withCookie(old)))
		require.NotEmpty(t, d.signedIn)
		require.NoError(t, shorter.Close(t.Context()))
		require.NotEmpty(t, session.ID)
	})
}

// An identity that another authenticator of the scheme has accepted is not the Cookie's to recheck.
func TestRecheck_customSchemeNextToBinding(t *testing.T) {
	t.Parallel()
	f, _ := newDevice(t)
	custom := fakeAuthenticator{scheme: auth.SchemeCookie, identity: &auth.Identity{UserID: "ada", Scheme: auth.SchemeCookie, Scopes: "*"}}
	ran := false
	auth.Require(f.cookie, custom)(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		ran = true
		require.NoError(t, auth.Recheck(r.Context()))
	})).ServeHTTP(newRecorder(), request("GET"))
	require.True(t, ran)
}

func TestWatch_bound(t *testing.T) {
	t.Parallel()
	for _, reports := range []bool{true, false} {
		for _, after := range []bool{false, true} {
			t.Run(fmt.Sprintf("the store reports changes: %t, accepted after Bind: %t", reports, after), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					d := new(device)
					var store auth.Store = auth.NewMemoryStore()
					if !reports {
						store = &silentStore{Store: store}
					}
					f := over(t, store, func(c *configs) { c.cookie.Lifetime, c.cookie.Binding = time.Hour, d })
					stream := func() (watchedContext context.Context, bound auth.Credential) {
						during(t, f, d, after, func(ctx context.Context, _ *http.Cookie, b auth.Credential) {
							var cancel context.CancelFunc
							watchedContext, cancel = auth.Watch(ctx, every)
							t.Cleanup(cancel)
							bound = b
						})
						return watchedContext, bound
					}
					expiring, bound := stream()
					time.Sleep(time.Until(bound.ExpiresAt) - time.Nanosecond)
					watched(t, expiring)
					time.Sleep(time.Nanosecond)
					hasEnded(t, expiring, auth.ErrInvalidCredential, auth.ReasonExpired)

					revoked, bound := stream()
					time.Sleep(time.Minute)
					watched(t, revoked)
					require.NoError(t, f.cookie.Revoke(t.Context(), "ada", bound.ID))
					if !reports {
						time.Sleep(every)
					}
					synctest.Wait()
					require.ErrorIs(t, context.Cause(revoked), auth.ErrInvalidCredential)
				})
			})
		}
	}
}

// A stream of the browser stays open when its session is bound, and for as long as that lives.
func TestWatch_boundWhileOpen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := new(device)
		f := over(t, auth.NewMemoryStore(), func(c *configs) { c.cookie.IdleTimeout, c.cookie.Binding = 10*time.Minute, d })
		old := f.signIn("ada")
		ctx := open(t, auth.Require(f.cookie), time.Hour, withSameOrigin(old))
		time.Sleep(time.Minute)
		cookie, _ := d.bind(t, old)
		for range 5 {
			time.Sleep(8 * time.Minute)
			watched(t, ctx)
			require.Equal(t, 200, behind(auth.Require(f.cookie)).get(proof(cookie)).Code)
		}
		time.Sleep(10 * time.Minute)
		hasEnded(t, ctx, auth.ErrInvalidCredential, auth.ReasonIdle)
	})
}

// The Binding's own header of a sign-in does not replace the session cookie.
func TestSignOut_clearsBothCookies(t *testing.T) {
	t.Parallel()
	f, _ := newDevice(t)
	cookie := f.signIn("ada")
	w := httptest.NewRecorder()
	require.NoError(t, f.cookie.SignOut(w, request("POST", withCookie(cookie))))
	lines := w.Header().Values("Set-Cookie")
	require.Len(t, lines, 2)
	require.True(t, strings.HasPrefix(lines[0], cookie.Name+"=;"))
	require.Equal(t, "device=; Max-Age=0", lines[1])
}
