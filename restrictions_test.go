package auth_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

const oldSignIn = `error="insufficient_user_authentication", max_age="600"`

// refusedCode is refused, for a problem document with a code.
func refusedCode(t testing.TB, w *httptest.ResponseRecorder, status int, code string, challenges ...string) {
	t.Helper()
	refused(t, w, status, challenges...)
	var problem struct{ Code string }
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &problem))
	require.Equal(t, code, problem.Code)
}

// returning is a check of RequireFunc that returns err.
func returning(err error) func(*http.Request, *auth.Identity) error {
	return func(*http.Request, *auth.Identity) error { return err }
}

// What a check returns decides on the response and the event.
func TestRequireFunc(t *testing.T) {
	t.Parallel()
	down := errors.New("connection refused")
	scope := `Bearer realm="api", error="insufficient_scope", scope="write"`
	for _, test := range []struct {
		name       string
		err        error
		status     int
		code       string
		challenges []string
		reason     auth.Reason
		cause      error // Event.Err
	}{
		{"forbidden", auth.ErrForbidden, 403, "forbidden", nil, auth.ReasonForbidden, nil},
		{"wrapped forbidden", fmt.Errorf("tenant acme: %w", auth.ErrForbidden), 403, "forbidden", nil, auth.ReasonForbidden, nil},
		{"not found", auth.ErrNotFound, 404, "not_found", nil, auth.ReasonNotFound, nil},
		{"wrapped not found", fmt.Errorf("tenant acme: %w", auth.ErrNotFound), 404, "not_found", nil, auth.ReasonNotFound, nil},
		{"sign-in too old", auth.ErrReauthenticationRequired, 401, "insufficient_user_authentication",
			[]string{`Bearer realm="api", error="insufficient_user_authentication"`}, auth.ReasonAge, nil},
		{"Error of a sign-in", &auth.Error{Err: auth.ErrReauthenticationRequired, MaxAge: 10*time.Minute + time.Millisecond}, 401, "insufficient_user_authentication",
			[]string{`Bearer realm="api", ` + oldSignIn}, auth.ReasonAge, nil},
		{"Error with a reason", &auth.Error{Err: auth.ErrForbidden, Reason: auth.ReasonNetwork}, 403, "forbidden", nil, auth.ReasonNetwork, nil},
		{"Error with an unknown reason", &auth.Error{Err: auth.ErrForbidden, Reason: "canary"}, 403, "forbidden", nil, auth.ReasonForbidden, nil},
		{"wrapped Error", fmt.Errorf("x: %w", &auth.Error{Err: auth.ErrForbidden, Reason: auth.ReasonNetwork}), 403, "forbidden", nil, auth.ReasonNetwork, nil},
		{"Error of an invalid credential", &auth.Error{Err: auth.ErrInvalidCredential}, 401, "invalid_credential", []string{badToken}, auth.ReasonRejected, nil},
		{"Error of a scope", &auth.Error{Err: auth.ErrInsufficientScope, Scopes: []string{"write"}}, 403, "insufficient_scope", []string{scope}, auth.ReasonScope, nil},
		{"Error of an argument", &auth.Error{Err: auth.ErrInvalidArgument}, 400, "invalid_argument", nil, auth.ReasonInvalidArgument, nil},
		{"Error of a conflict", &auth.Error{Err: auth.ErrConflict}, 409, "conflict", nil, auth.ReasonConflict, nil},
		{"another error", down, 503, "unavailable", nil, auth.ReasonUnavailable, down},
		{"a deadline", fmt.Errorf("policy: %w", context.DeadlineExceeded), 503, "unavailable", nil, auth.ReasonUnavailable, context.DeadlineExceeded},
		{"an outage that wraps forbidden", errors.Join(auth.ErrForbidden, auth.ErrUnavailable), 503, "unavailable", nil, auth.ReasonUnavailable, auth.ErrUnavailable},
		{"an Error of another package's error", &auth.Error{Err: down}, 503, "unavailable", nil, auth.ReasonUnavailable, down},
		{"an empty Error", new(auth.Error), 503, "unavailable", nil, auth.ReasonUnavailable, new(auth.Error)},
		{"a condition of a call that failed", auth.ErrConflict, 503, "unavailable", nil, auth.ReasonUnavailable, auth.ErrConflict},
		{"an invalid credential without an Error", auth.ErrInvalidCredential, 503, "unavailable", nil, auth.ReasonUnavailable, auth.ErrInvalidCredential},
		{"a nil error that is not nil", (*auth.Error)(nil), 500, "internal", nil, auth.ReasonInternal, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			f, events := newFixture(t), new(recorder)
			token := authorization("Bearer " + f.token("ada"))
			for form, wrap := range map[string]func(http.Handler) http.Handler{
				"method":   (&auth.Middleware{}).RequireFunc(returning(test.err)),
				"function": auth.RequireFunc(returning(test.err)),
			} {
				m := auth.Middleware{Observe: events.observe}
				h := behind(func(next http.Handler) http.Handler { return m.Require(f.bearer)(wrap(next)) })
				refusedCode(t, h.get(token), test.status, test.code, test.challenges...)
				require.Zero(t, h.served.Load(), form)
				got := events.take()
				require.Equal(t, []auth.EventType{auth.EventAccepted, auth.EventRefused}, eventTypes(got), form)
				require.Equal(t, test.reason, got[1].Reason)
				require.Equal(t, auth.SchemeBearer, got[1].Scheme)
				if test.status < 500 {
					require.Equal(t, "ada", got[1].UserID)
					require.Equal(t, got[0].CredentialID, got[1].CredentialID)
					require.NoError(t, got[1].Err)
				} else if test.cause != nil {
					require.ErrorContains(t, got[1].Err, test.cause.Error())
				}
			}
		})
	}
}

// A check decides by the request, for example by a path value of the router outside of it.
func TestRequireFunc_seesRequestAndIdentity(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	member := auth.RequireFunc(func(r *http.Request, id *auth.Identity) error {
		if r.PathValue("tenant") != "of-"+id.UserID {
			return fmt.Errorf("tenant %s: %w", r.PathValue("tenant"), auth.ErrForbidden)
		}
		id.UserID = "root" // changes a copy
		return nil
	})
	h := behind(member)
	mux := http.NewServeMux()
	mux.Handle("/{tenant}/notes", auth.Require(f.bearer)(h))
	get := func(path string) *httptest.ResponseRecorder {
		w, r := newRecorder(), httptest.NewRequest("GET", path, nil)
		r.Header.Set("Authorization", "Bearer "+f.token("ada"))
		mux.ServeHTTP(w, r)
		return w
	}
	accepted(t, get("/of-ada/notes"), "ada", auth.SchemeBearer)
	w := get("/of-bob/notes")
	refusedCode(t, w, 403, "forbidden")
	require.NotContains(t, w.Body.String(), "of-bob", "the text of a check is for operators")
	require.EqualValues(t, 1, h.served.Load())
}

// The event names the user of the credential, even if the check changes its copy.
func TestRequireFunc_eventNamesTheUser(t *testing.T) {
	t.Parallel()
	f, events := newFixture(t), new(recorder)
	m := auth.Middleware{Observe: events.observe}
	blames := m.RequireFunc(func(_ *http.Request, id *auth.Identity) error {
		id.UserID, id.Scheme = "bob", "X"
		return auth.ErrForbidden
	})
	behind(func(next http.Handler) http.Handler { return m.Require(f.bearer)(blames(next)) }).get(authorization("Bearer " + f.token("eve")))
	got := events.take()
	require.Len(t, got, 2)
	require.Equal(t, "eve", got[1].UserID)
	require.Equal(t, auth.SchemeBearer, got[1].Scheme)
}

// A check may return what CheckScope and CheckRecent return: there is one event.
func TestRequireFunc_returnsOtherChecks(t *testing.T) {
	t.Parallel()
	f, events := newFixture(t), new(recorder)
	m := auth.Middleware{Observe: events.observe}
	h := behind(func(next http.Handler) http.Handler {
		return m.Require(f.bearer)(auth.RequireFunc(func(r *http.Request, _ *auth.Identity) error {
			if r.Method == "POST" {
				return auth.CheckRecent(r.Context(), time.Minute)
			}
			return auth.CheckScope(r.Context(), "team:read")
		})(next))
	})
	low := authorization("Bearer " + f.token("ada", "read"))
	refusedCode(t, h.get(low), 403, "insufficient_scope", `Bearer realm="api", error="insufficient_scope", scope="team:read"`)
	refusedCode(t, h.do("POST", low), 403, "forbidden")
	require.Equal(t, []auth.EventType{auth.EventAccepted, auth.EventRefused, auth.EventAccepted, auth.EventRefused}, eventTypes(events.take()))
}

// A check may return the same Error for each request: OnError gets a copy, which it may modify.
func TestRequireFunc_sharedError(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	shared := &auth.Error{Err: auth.ErrInsufficientScope, Scopes: []string{"write"}}
	m := auth.Middleware{OnError: func(w http.ResponseWriter, _ *http.Request, err error) {
		var e *auth.Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, "auth: insufficient scope (Bearer, scope)", e.Error())
		e.Scopes[0], e.Err = "read", nil
	}}
	h := behind(func(next http.Handler) http.Handler {
		return m.Require(f.bearer)(m.RequireFunc(returning(shared))(next))
	})
	h.get(authorization("Bearer " + f.token("ada")))
	require.Equal(t, &auth.Error{Err: auth.ErrInsufficientScope, Scopes: []string{"write"}}, shared)
}

// A client that disconnects makes a check fail. That is neither an outage nor a permission.
func TestRequireFunc_canceled(t *testing.T) {
	t.Parallel()
	f, events := newFixture(t), new(recorder)
	m := auth.Middleware{Observe: events.observe}
	ctx, cancel := context.WithCancel(t.Context())
	h := behind(func(next http.Handler) http.Handler {
		return m.Require(f.bearer)(m.RequireFunc(func(r *http.Request, _ *auth.Identity) error {
			cancel()
			return fmt.Errorf("policy: %w", r.Context().Err())
		})(next))
	})
	refusedCode(t, h.get(authorization("Bearer "+f.token("ada")), in(ctx)), 503, "unavailable")
	require.Zero(t, h.served.Load())
	require.Equal(t, auth.ReasonCanceled, events.take()[1].Reason)
}

// Without an Observer, an outage of a check is logged, and a decision is not.
func TestRequireFunc_nilObserverLogsOutages(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	token := authorization("Bearer " + f.token("ada"))
	for err, want := range map[error]string{
		auth.ErrForbidden: "", auth.ErrNotFound: "",
		errors.New("connection refused"): "level=ERROR msg=auth event.type=refused event.scheme=Bearer event.reason=unavailable",
	} {
		ctx, logged := withDefaultLog(t.Context())
		h := behind(func(next http.Handler) http.Handler {
			return auth.Require(f.bearer)(auth.RequireFunc(returning(err))(next))
		})
		h.get(token, in(ctx))
		requireOneLine(t, logged.String(), want, err.Error())
	}
}

// A panic is not turned into a response, and http.ErrAbortHandler still ends the connection.
func TestRequireFunc_panicPasses(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	token := authorization("Bearer " + f.token("ada"))
	for _, value := range []any{"canary", http.ErrAbortHandler} {
		h := behind(func(next http.Handler) http.Handler {
			return auth.Require(f.bearer)(auth.RequireFunc(func(*http.Request, *auth.Identity) error { panic(value) })(next))
		})
		require.PanicsWithValue(t, value, func() { h.get(token) })
		require.Zero(t, h.served.Load())
	}
}

// An attacker with a stolen cookie cannot do what needs a recent sign-in, however much the
// cookie is used. The user signs in again and can.
func TestRequireRecent_stolenSession(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f, events := newFixture(t), new(recorder)
		m := auth.Middleware{Observe: events.observe}
		h := behind(func(next http.Handler) http.Handler {
			return m.Require(f.bearer, f.cookie)(m.RequireRecent(10 * time.Minute)(next))
		})
		stolen, session := f.session("ada")
		for range 10 {
			time.Sleep(time.Minute) // a use does not make the sign-in more recent
			accepted(t, h.get(withCookie(stolen)), "ada", auth.SchemeCookie)
		}
		time.Sleep(time.Nanosecond)
		events.take()
		served := h.served.Load()
		for range 2 {
			w := h.get(withCookie(stolen))
			refusedCode(t, w, 401, "insufficient_user_authentication", plainBearer, `Cookie realm="api", `+oldSignIn)
			require.Contains(t, w.Body.String(), `"max_age":600`)
			require.Empty(t, w.Header().Values("Set-Cookie"), "the session stays valid for everything else")
			got := events.take()
			require.Len(t, got, 2)
			require.Equal(t, auth.Event{
				Type: auth.EventRefused, Scheme: auth.SchemeCookie, UserID: "ada", CredentialID: session.ID,
				Reason: auth.ReasonAge, Method: "GET",
			}, got[1])
		}
		require.Equal(t, served, h.served.Load())
		accepted(t, h.get(withCookie(f.signIn("ada"))), "ada", auth.SchemeCookie)
		accepted(t, behind(m.Require(f.cookie)).get(withCookie(stolen)), "ada", auth.SchemeCookie)
		require.NoError(t, f.cookie.Close(t.Context()))
	})
}

// The creation of a token or a secret is no sign-in: a thief who has just created one with a
// stolen session does not get further with it.
func TestRequireRecent_onlySessions(t *testing.T) {
	t.Parallel()
	f, events := newFixture(t), new(recorder)
	m := auth.Middleware{Observe: events.observe}
	now := time.Now()
	custom := fakeAuthenticator{scheme: "X", identity: &auth.Identity{UserID: "ada", AuthenticatedAt: now}}
	for scheme, e := range map[auth.Scheme]edit{
		auth.SchemeBearer: authorization("Bearer " + f.token("ada")),
		auth.SchemeSecret: authorization("Secret " + f.issueSecret("ada")),
		"X":               authorization("X a"),
	} {
		for _, wrap := range []func(http.Handler) http.Handler{m.RequireRecent(time.Hour), auth.RequireRecent(math.MaxInt64)} {
			h := behind(func(next http.Handler) http.Handler { return m.Require(f.bearer, f.secret, custom)(wrap(next)) })
			refusedCode(t, h.get(e), 403, "forbidden")
			require.Zero(t, h.served.Load())
			got := events.take()
			require.Equal(t, []auth.EventType{auth.EventAccepted, auth.EventRefused}, eventTypes(got))
			require.Equal(t, auth.ReasonScheme, got[1].Reason)
			require.Equal(t, scheme, got[1].Scheme)
			require.Equal(t, "ada", got[1].UserID)
		}
	}
}

// A custom authenticator of sessions may not know when the user signed in, or have a wrong clock.
func TestRequireRecent_signInTimes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		for _, test := range []struct {
			name   string
			at     time.Time
			maxAge time.Duration
			recent bool
		}{
			{"now", now, time.Nanosecond, true},
			{"exactly the maximum age", now.Add(-time.Hour), time.Hour, true},
			{"older", now.Add(-time.Hour - 1), time.Hour, false},
			{"no time", time.Time{}, time.Hour, false},
			{"no time, and no limit", time.Time{}, math.MaxInt64, false},
			{"a clock that is a minute ahead", now.Add(time.Minute), time.Hour, true},
			{"the future", now.Add(time.Minute + 1), time.Hour, false},
			{"the far future", now.AddDate(400, 0, 0), math.MaxInt64, false},
		} {
			session := fakeAuthenticator{scheme: "cookie", identity: &auth.Identity{UserID: "ada", AuthenticatedAt: test.at}}
			h := behind(func(next http.Handler) http.Handler {
				return auth.Require(session)(auth.RequireRecent(test.maxAge)(next))
			})
			want := 401
			if test.recent {
				want = 200
			}
			require.Equal(t, want, h.get().Code, test.name)
			ctx := auth.NewContext(t.Context(), &auth.Identity{UserID: "ada", Scheme: auth.SchemeCookie, AuthenticatedAt: test.at})
			require.Equal(t, test.recent, auth.CheckRecent(ctx, test.maxAge) == nil, test.name)
		}
	})
}

// A cookie-only route challenges Cookie. Clients get whole seconds, and never 0.
func TestRequireRecent_challenge(t *testing.T) {
	t.Parallel()
	session := fakeAuthenticator{scheme: "Cookie", identity: &auth.Identity{UserID: "ada"}}
	for maxAge, seconds := range map[time.Duration]string{
		1: "1", time.Second: "1", 1999 * time.Millisecond: "1", time.Hour: "3600", math.MaxInt64: "9223372036",
	} {
		m := auth.Middleware{Realm: `a"b`}
		w := behind(func(next http.Handler) http.Handler { return m.Require(session)(m.RequireRecent(maxAge)(next)) }).get()
		refusedCode(t, w, 401, "insufficient_user_authentication", `Cookie realm="a\"b", error="insufficient_user_authentication", max_age="`+seconds+`"`)
		require.Contains(t, w.Body.String(), `"max_age":`+seconds+`}`)
	}
}

// A person who opens a page is sent to sign in again.
func TestRequireRecent_redirects(t *testing.T) {
	t.Parallel()
	session := fakeAuthenticator{scheme: "Cookie", identity: &auth.Identity{UserID: "ada"}}
	m := auth.Middleware{OnError: auth.RedirectToSignIn("/signin")}
	for name, check := range map[string]func(http.Handler) http.Handler{
		"RequireRecent": auth.RequireRecent(time.Minute),
		"a check":       auth.RequireFunc(returning(&auth.Error{Err: auth.ErrReauthenticationRequired, Reason: auth.ReasonNetwork})),
	} {
		w := behind(func(next http.Handler) http.Handler { return m.Require(session)(check(next)) }).get(opensPage)
		require.Equal(t, 303, w.Code, name)
		require.Equal(t, "/signin?next=%2Fnotes%3Fa%3Db&prompt=login", w.Header().Get("Location"), name)
	}
}

func TestCheckRecent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f, events := newFixture(t), new(recorder)
		m := auth.Middleware{Observe: events.observe}
		var err error
		h := m.Require(f.cookie)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if err = auth.CheckRecent(r.Context(), 10*time.Minute); err != nil {
				auth.WriteError(w, r, err)
			}
		}))
		cookie := withCookie(f.signIn("ada"))
		get := func() *httptest.ResponseRecorder {
			w := newRecorder()
			h.ServeHTTP(w, request("GET", cookie))
			return w
		}
		require.Equal(t, 200, get().Code)
		time.Sleep(10*time.Minute + 1)
		events.take()
		refusedCode(t, get(), 401, "insufficient_user_authentication", `Cookie realm="api", `+oldSignIn)
		var e *auth.Error
		require.ErrorAs(t, err, &e)
		require.ErrorIs(t, e, auth.ErrReauthenticationRequired)
		require.Equal(t, 10*time.Minute, e.MaxAge)
		got := events.take()
		require.Equal(t, []auth.EventType{auth.EventAccepted, auth.EventRefused}, eventTypes(got))
		require.Equal(t, auth.ReasonAge, got[1].Reason)
		require.NoError(t, f.cookie.Close(t.Context()))
	})
}

// A mistake in the program must not let anybody pass.
func TestCheckRecent_mistakes(t *testing.T) {
	t.Parallel()
	recent := auth.NewContext(t.Context(), &auth.Identity{UserID: "ada", Scheme: auth.SchemeCookie, AuthenticatedAt: time.Now()})
	require.NoError(t, auth.CheckRecent(recent, time.Minute))
	for name, err := range map[string]error{
		"zero":               auth.CheckRecent(recent, 0),
		"negative":           auth.CheckRecent(recent, -time.Minute),
		"least":              auth.CheckRecent(recent, math.MinInt64),
		"outside of Require": auth.CheckRecent(t.Context(), time.Minute),
		"no identity":        auth.CheckRecent(auth.NewContext(t.Context(), nil), time.Minute),
	} {
		var e *auth.Error
		require.ErrorAs(t, err, &e, name)
		require.Equal(t, 500, e.StatusCode(), name)
		require.Equal(t, auth.ReasonInternal, e.Reason, name)
	}

	f, events := newFixture(t), new(recorder)
	m := auth.Middleware{Observe: events.observe}
	w := newRecorder()
	m.Require(f.cookie)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		auth.WriteError(w, r, auth.CheckRecent(r.Context(), 0))
	})).ServeHTTP(w, request("GET", withCookie(f.signIn("ada"))))
	refusedCode(t, w, 500, "internal")
	require.ErrorContains(t, events.take()[1].Err, "maximum age")
}

func TestRestrictions_placement(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	var m auth.Middleware
	for name, wrap := range map[string]func(http.Handler) http.Handler{
		"RequireFunc":   m.RequireFunc(func(*http.Request, *auth.Identity) error { panic("called without an identity") }),
		"RequireRecent": m.RequireRecent(time.Hour),
	} {
		t.Run(name, func(t *testing.T) {
			outside := behind(wrap)
			refusedCode(t, outside.get(), 500, "internal")
			around := behind(func(next http.Handler) http.Handler { return wrap(auth.Require(f.cookie)(next)) })
			refusedCode(t, around.get(withCookie(f.signIn("ada"))), 500, "internal")
			optional := behind(func(next http.Handler) http.Handler { return auth.Optional(f.cookie)(wrap(next)) })
			refusedCode(t, optional.get(), 401, "missing_credential", plainCookie)
			refusedCode(t, optional.get(field("Cookie", "__Host-session=stale")), 401, "missing_credential", plainCookie)
			for _, h := range []*target{outside, around, optional} {
				require.Zero(t, h.served.Load())
			}
			require.PanicsWithValue(t, "auth: "+name+" around a nil handler", func() { wrap(nil) })
		})
	}
	require.Panics(t, func() { m.RequireFunc(nil) })
	require.Panics(t, func() { auth.RequireFunc(nil) })
	for _, maxAge := range []time.Duration{0, -1, math.MinInt64} {
		require.Panics(t, func() { m.RequireRecent(maxAge) })
		require.Panics(t, func() { auth.RequireRecent(maxAge) })
	}
}

// The wrapper's own Observe and OnError come before those of the surrounding Require.
func TestRestrictions_observerAndOnError(t *testing.T) {
	t.Parallel()
	f, outer, inner := newFixture(t), new(recorder), new(recorder)
	teapot := func(w http.ResponseWriter, _ *http.Request, err error) {
		require.ErrorIs(t, err, auth.ErrForbidden)
		w.WriteHeader(http.StatusTeapot)
	}
	m, own := auth.Middleware{Observe: outer.observe}, auth.Middleware{Observe: inner.observe, OnError: teapot}
	token := authorization("Bearer " + f.token("ada"))
	for _, wrap := range []func(http.Handler) http.Handler{own.RequireFunc(returning(auth.ErrForbidden)), own.RequireRecent(time.Hour)} {
		h := behind(func(next http.Handler) http.Handler { return m.Require(f.bearer)(wrap(next)) })
		require.Equal(t, http.StatusTeapot, h.get(token).Code)
		require.Equal(t, []auth.EventType{auth.EventAccepted}, eventTypes(outer.take()))
		require.Equal(t, []auth.EventType{auth.EventRefused}, eventTypes(inner.take()))
	}
}

// An actor has signed in, and not the user.
func TestRequireRecent_actor(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	events := new(recorder)
	m := auth.Middleware{Observe: events.observe}
	h := behind(func(next http.Handler) http.Handler { return m.Require(f.cookie)(m.RequireRecent(time.Hour)(next)) })
	require.Equal(t, 200, h.get(withCookie(f.signIn("ada"))).Code)
	events.take()
	require.Equal(t, 403, h.get(withCookie(f.signIn("ada", auth.SessionOptions{Actor: "grace"}))).Code)
	seen := events.take()
	require.Equal(t, auth.ReasonActor, seen[len(seen)-1].Reason)
}
