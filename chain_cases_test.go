package auth_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

// A fakeAuthenticator answers what it is told to.
type fakeAuthenticator struct {
	scheme   auth.Scheme
	identity *auth.Identity
	err      error
	panics   any
	asked    *int
}

func (a fakeAuthenticator) Scheme() auth.Scheme { return a.scheme }

func (a fakeAuthenticator) Authenticate(*http.Request) (*auth.Identity, error) {
	if a.asked != nil {
		*a.asked++
	}
	if a.panics != nil {
		panic(a.panics)
	}
	return a.identity, a.err
}

// Whom a failing authenticator names beside its error is nobody: not where the next
// one lets somebody in, and not where an anonymous request may pass.
func TestIdentityBesideAnErrorIsNobody(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for _, err := range []error{auth.ErrNoCredential, auth.ErrInvalidCredential} {
		root := fakeAuthenticator{scheme: "Bearer", identity: &auth.Identity{UserID: "root"}, err: err}
		for name, m := range map[string]*auth.Middleware{
			"plain":        {},
			"with Resolve": {Resolve: func(_ context.Context, id *auth.Identity) (any, error) { return id.UserID, nil }},
		} {
			t.Run(name, func(t *testing.T) {
				accepted(t, behind(m.Require(root, f.bearer)).get(authorization("Bearer "+f.token("tess"))), "tess", auth.SchemeBearer)
				accepted(t, behind(m.Require(root, f.cookie)).get(withCookie(f.signIn("cora"))), "cora", auth.SchemeCookie)
				m.Optional(root)(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
					_, ok := auth.FromContext(r.Context())
					require.False(t, ok)
				})).ServeHTTP(httptest.NewRecorder(), request("GET"))
			})
		}
	}
}

func TestChainOfSchemes(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	token, secret, cookie := f.token("tess"), f.issueSecret("sam"), f.signIn("cora")
	stale := field("Cookie", cookie.Name+"=stale")
	tests := []struct {
		name  string
		edits []edit
		want  string // "user by scheme", or the status
	}{
		{"token", []edit{authorization("Bearer " + token)}, "tess by Bearer"},
		{"cookie", []edit{withCookie(cookie)}, "cora by Cookie"},
		{"secret", []edit{authorization("Secret " + secret)}, "sam by Secret"},
		{"token and cookie", []edit{authorization("Bearer " + token), withCookie(cookie)}, "tess by Bearer"},
		{"secret and cookie", []edit{authorization("Secret " + secret), withCookie(cookie)}, "sam by Secret"},
		{"bad token and good cookie", []edit{authorization("Bearer " + repeated("x", 32)), withCookie(cookie)}, "401"},
		{"malformed token and good cookie", []edit{authorization("Bearer"), withCookie(cookie)}, "400"},
		{"bad secret and good cookie", []edit{authorization("Secret " + repeated("x", 32)), withCookie(cookie)}, "401"},
		{"stale cookie and good token", []edit{authorization("Bearer " + token), stale}, "tess by Bearer"},
		{"stale cookie and good secret", []edit{authorization("Secret " + secret), stale}, "sam by Secret"},
		{"stale cookie", []edit{stale}, "401"},
		{"unknown scheme and good cookie", []edit{authorization("Basic YTpi"), withCookie(cookie)}, "cora by Cookie"},
		{"blank field and good cookie", []edit{authorization(""), withCookie(cookie)}, "cora by Cookie"},
		{"nothing", nil, "401"},
	}
	orders := map[string]*target{
		"bearer first": f.all(),
		"cookie first": behind(auth.Require(f.cookie, f.secret, f.bearer)),
	}
	for _, test := range tests {
		for order, h := range orders {
			t.Run(test.name+", "+order, func(t *testing.T) {
				w := h.get(test.edits...)
				got := w.Body.String()
				if w.Code != 200 {
					got = fmt.Sprint(w.Code)
				}
				require.Equal(t, test.want, got)
			})
		}
	}
}

func TestRouteTakesOnlyItsSchemes(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	token, secret, cookie := authorization("Bearer "+f.token("a")), authorization("Secret "+f.issueSecret("a")), withCookie(f.signIn("a"))
	tests := []struct {
		name       string
		wrap       func(http.Handler) http.Handler
		takes      []edit
		refuses    []edit
		challenges []string
	}{
		{"bearer", auth.Require(f.bearer), []edit{token}, []edit{secret, cookie}, []string{plainBearer}},
		{"cookie", auth.Require(f.cookie), []edit{cookie}, []edit{token, secret}, []string{plainCookie}},
		{"secret", auth.Require(f.secret), []edit{secret}, []edit{token, cookie}, []string{plainSecret}},
		{"bearer and cookie", auth.Require(f.bearer, f.cookie), []edit{token, cookie}, []edit{secret}, []string{plainBearer}},
		{"cookie and secret", auth.Require(f.cookie, f.secret), []edit{cookie, secret}, []edit{token}, []string{plainSecret}},
		{"all", auth.Require(f.secret, f.bearer, f.cookie), []edit{token, cookie, secret}, []edit{authorization("Basic x")}, []string{plainSecret, plainBearer}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h := behind(test.wrap)
			for _, e := range test.takes {
				require.Equal(t, 200, h.get(e).Code)
			}
			for _, e := range test.refuses {
				refused(t, h.get(e), 401, test.challenges...)
			}
			require.EqualValues(t, len(test.takes), h.served.Load())
		})
	}
}

// Who is asked after whom, by what each one answers.
func TestChainOfAnswers(t *testing.T) {
	t.Parallel()
	ada := &auth.Identity{UserID: "ada"}
	outage := errors.New("connection refused")
	type answers []error // nil is ada
	tests := []struct {
		name     string
		scheme   auth.Scheme // of all of them
		header   string
		answers  answers
		asked    []int
		status   int
		optional int // status behind Optional, if it is another
	}{
		{"explicit: the first", "X", "X a", answers{nil, nil}, []int{1, 0}, 200, 0},
		{"explicit: the second", "X", "x a", answers{auth.ErrInvalidCredential, nil}, []int{1, 1}, 200, 0},
		{"explicit: not of its form", "X", "X a", answers{auth.ErrNoCredential, nil}, []int{1, 1}, 200, 0},
		{"explicit: nobody's", "X", "X a", answers{auth.ErrNoCredential, auth.ErrNoCredential}, []int{1, 1}, 401, 0},
		{"explicit: invalid", "X", "X a", answers{auth.ErrInvalidCredential, auth.ErrInvalidCredential}, []int{1, 1}, 401, 0},
		{"explicit: malformed stops", "X", "X a", answers{auth.ErrMalformed, nil}, []int{1, 0}, 400, 0},
		{"explicit: an outage stops", "X", "X a", answers{outage, nil}, []int{1, 0}, 503, 0},
		{"explicit: invalid, then an outage", "X", "X a", answers{auth.ErrInvalidCredential, outage}, []int{1, 1}, 503, 0},
		{"explicit: scope stops", "X", "X a", answers{auth.ErrInsufficientScope, nil}, []int{1, 0}, 403, 0},
		{"ambient: the first", "X", "", answers{nil, nil}, []int{1, 0}, 200, 0},
		{"ambient: none, then good", "X", "", answers{auth.ErrNoCredential, nil}, []int{1, 1}, 200, 0},
		{"ambient: stale, then good", "X", "", answers{auth.ErrInvalidCredential, nil}, []int{1, 1}, 200, 0},
		{"ambient: none", "X", "", answers{auth.ErrNoCredential, auth.ErrNoCredential}, []int{1, 1}, 401, 200},
		{"ambient: stale", "X", "", answers{auth.ErrInvalidCredential, auth.ErrNoCredential}, []int{1, 1}, 401, 200},
		{"ambient: cross-origin stops", "X", "", answers{auth.ErrCrossOrigin, nil}, []int{1, 0}, 403, 0},
		{"ambient: malformed stops", "X", "", answers{auth.ErrMalformed, nil}, []int{1, 0}, 400, 0},
		{"ambient: an outage stops", "X", "", answers{outage, nil}, []int{1, 0}, 503, 0},
		{"ambient: stale, then an outage", "X", "", answers{auth.ErrInvalidCredential, outage}, []int{1, 1}, 503, 0},
		{"ambient: the client went away", "X", "", answers{context.Canceled, nil}, []int{1, 0}, 503, 0},
		{"ambient: a not found of its own is an outage", "X", "", answers{auth.ErrNotFound, nil}, []int{1, 0}, 503, 0},
	}
	for _, test := range tests {
		for _, optional := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, optional %v", test.name, optional), func(t *testing.T) {
				asked := make([]int, len(test.answers))
				var list []auth.Authenticator
				for i, err := range test.answers {
					a := fakeAuthenticator{scheme: test.scheme, err: err, asked: &asked[i]}
					if err == nil {
						a.identity = ada
					}
					list = append(list, a)
				}
				wrap, want := auth.Require(list[0], list[1:]...), test.status
				if optional {
					wrap = auth.Optional(list[0], list[1:]...)
					if test.optional != 0 {
						want = test.optional
					}
				}
				h := behind(wrap)
				var edits []edit
				if test.header != "" {
					edits = append(edits, authorization(test.header))
				}
				w := h.get(edits...)
				require.Equal(t, want, w.Code)
				require.Equal(t, test.asked, asked)
				require.NotContains(t, w.Body.String(), "connection refused")
			})
		}
	}
}

// A reason in an error that is wrapped counts, one of nobody's list does not.
func TestReasonsOfOtherAuthenticators(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		err    error
		status int
		want   auth.Reason
	}{
		{"none", auth.ErrInvalidCredential, 401, auth.ReasonRejected},
		{"one of ours", &auth.Error{Reason: auth.ReasonExpired, Err: auth.ErrInvalidCredential}, 401, auth.ReasonExpired},
		{"one of ours, wrapped", fmt.Errorf("legacy: %w", &auth.Error{Reason: auth.ReasonRevoked, Err: auth.ErrInvalidCredential}), 401, auth.ReasonRevoked},
		{"invented", &auth.Error{Reason: "weather", Err: auth.ErrInvalidCredential}, 401, auth.ReasonRejected},
		{"an internal one of its own is an outage", &auth.Error{Reason: auth.ReasonInternal, Err: errors.New("x")}, 503, auth.ReasonInternal},
		{"an Error of nothing", new(auth.Error), 503, auth.ReasonUnavailable},
		{"a nil Error", (*auth.Error)(nil), 500, auth.ReasonInternal},
		{"an outage joined with a refusal", errors.Join(auth.ErrUnavailable, errors.New("x")), 503, auth.ReasonUnavailable},
	} {
		t.Run(test.name, func(t *testing.T) {
			events := new(recorder)
			m := auth.Middleware{Observe: events.observe}
			require.Equal(t, test.status, behind(m.Require(fakeAuthenticator{scheme: "X", err: test.err})).get(authorization("X a")).Code)
			require.Equal(t, test.want, events.take()[0].Reason)
		})
	}
}

// Tokens of another system that are too long for ours go on to its authenticator.
func TestLegacyBearerBehindOurs(t *testing.T) {
	t.Parallel()
	f := newFixture(t, prefixed)
	jwt := repeated("j", 900)
	legacy := authenticatorFunc(func(r *http.Request) (*auth.Identity, error) {
		token, err := auth.HeaderCredential(r, auth.SchemeBearer)
		if err != nil {
			return nil, err
		}
		if token != jwt {
			return nil, auth.ErrInvalidCredential
		}
		return &auth.Identity{UserID: "legacy", Scopes: "*"}, nil
	})
	token := f.token("ada")
	for name, h := range map[string]*target{
		"behind": behind(auth.Require(f.bearer, legacy)),
		"before": behind(auth.Require(legacy, f.bearer)),
	} {
		t.Run(name, func(t *testing.T) {
			accepted(t, h.get(authorization("Bearer "+jwt)), "legacy", auth.SchemeBearer)
			accepted(t, h.get(authorization("Bearer "+token)), "ada", auth.SchemeBearer)
			refused(t, h.get(authorization("Bearer "+repeated("x", 32))), 401, badToken)
			refused(t, h.get(authorization("Bearer "+token, "Bearer "+token)), 400, badRequest)
		})
	}
	require.Equal(t, 400, behind(auth.Require(f.bearer)).get(authorization("Bearer "+jwt)).Code)
}

type authenticatorFunc func(*http.Request) (*auth.Identity, error)

func (authenticatorFunc) Scheme() auth.Scheme                                    { return auth.SchemeBearer }
func (f authenticatorFunc) Authenticate(r *http.Request) (*auth.Identity, error) { return f(r) }

// A type that embeds one of ours to add a rule is asked itself: its methods are
// promoted, and must not be called past it.
func TestEmbeddedAuthenticatorIsNotPassedOver(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	h := behind(auth.Require(closed{f.bearer}, f.cookie))
	refused(t, h.get(authorization("Bearer "+f.token("ada"))), 401, badToken)
	require.Zero(t, h.served.Load())
}

type closed struct{ *auth.Bearer }

func (closed) Authenticate(*http.Request) (*auth.Identity, error) {
	return nil, auth.ErrInvalidCredential
}

// A route that is built wrong must not open.
func TestRoutesBuiltWrong(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	var (
		bearer *auth.Bearer
		cookie *auth.Cookie
		secret *auth.Secret
		custom *fakeAuthenticator
		fn     authenticatorFunc
	)
	for name, a := range map[string]auth.Authenticator{
		"nil": nil, "nil Bearer": bearer, "nil Cookie": cookie, "nil Secret": secret, "nil of somebody's": custom, "nil function": fn,
		"zero Bearer": new(auth.Bearer), "zero Cookie": new(auth.Cookie), "zero Secret": new(auth.Secret),
		"no scheme": fakeAuthenticator{}, "a scheme with a space": fakeAuthenticator{scheme: "a b"},
		"a scheme with a line break": fakeAuthenticator{scheme: "a\r\nb"}, "a scheme outside ASCII": fakeAuthenticator{scheme: "é"},
		"a long scheme": fakeAuthenticator{scheme: auth.Scheme(repeated("a", 64))},
	} {
		t.Run(name, func(t *testing.T) {
			require.Panics(t, func() { auth.Require(a) })
			require.Panics(t, func() { auth.Require(f.bearer, a) })
			require.Panics(t, func() { auth.Optional(f.bearer, f.cookie, a) })
		})
	}
	require.Panics(t, func() { auth.Require(f.bearer)(nil) })
	require.Panics(t, func() { auth.Require(f.bearer)(http.HandlerFunc(nil)) })
	require.Panics(t, func() { auth.RequireScope("a")(nil) })
	require.Panics(t, func() { auth.RequireScope() })
	require.Panics(t, func() { auth.RequireAnyScope() })
	require.Panics(t, func() { auth.RequireScope("a b") })
	require.Panics(t, func() { auth.RequireScope("") })
	require.Panics(t, func() { auth.RequireScope(`a"`) })
}

// A mistake in one request's authentication is that request's alone.
func TestBrokenAuthenticators(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	token := f.token("ada")
	var nilUser *struct{}
	broken := func(a fakeAuthenticator) func() http.Handler {
		return func() http.Handler { return behind(auth.Require(a, f.bearer)) }
	}
	resolving := func(resolve func(context.Context, *auth.Identity) (any, error)) func() http.Handler {
		m := auth.Middleware{Resolve: resolve}
		return func() http.Handler { return behind(m.Require(f.bearer)) }
	}
	const canary = "canary-0123456789"
	tests := []struct {
		name string
		h    func() http.Handler
	}{
		{"neither identity nor error", broken(fakeAuthenticator{scheme: "Bearer"})},
		{"an identity of nobody", broken(fakeAuthenticator{scheme: "Bearer", identity: &auth.Identity{}})},
		{"a panic", broken(fakeAuthenticator{scheme: "Bearer", panics: canary})},
		{"a panic of the runtime", broken(fakeAuthenticator{scheme: "Bearer", panics: errors.New(canary)})},
		{"Resolve panics", resolving(func(context.Context, *auth.Identity) (any, error) { panic(canary) })},
		{"Resolve returns a nil error that is not nil", resolving(func(context.Context, *auth.Identity) (any, error) { return nil, (*auth.Error)(nil) })},
		{"Resolve returns a nil pointer", resolving(func(context.Context, *auth.Identity) (any, error) { return nilUser, nil })},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h := test.h()
			for range 100 {
				w := httptest.NewRecorder()
				h.ServeHTTP(w, request("GET", authorization("Bearer "+token)))
				refused(t, w, 500)
				require.NotContains(t, w.Body.String(), canary)
			}
			require.Zero(t, h.(*target).served.Load())
			good := behind(auth.Require(f.bearer))
			for range 100 {
				accepted(t, good.get(authorization("Bearer "+token)), "ada", auth.SchemeBearer)
			}
		})
	}
	t.Run("Resolve returns what may be nil", func(t *testing.T) {
		for _, user := range []any{nil, []string(nil), map[string]bool(nil)} {
			h := resolving(func(context.Context, *auth.Identity) (any, error) { return user, nil })().(*target)
			accepted(t, h.get(authorization("Bearer "+token)), "ada", auth.SchemeBearer)
		}
	})
	t.Run("an aborting panic goes on", func(t *testing.T) {
		h := behind(auth.Require(fakeAuthenticator{scheme: "X", panics: http.ErrAbortHandler}))
		require.PanicsWithValue(t, http.ErrAbortHandler, func() { h.get() })
	})
	t.Run("what went wrong is for the operator", func(t *testing.T) {
		var told error
		m := auth.Middleware{Observe: f.events.observe, OnError: func(w http.ResponseWriter, r *http.Request, err error) { told = err }}
		f.events.take()
		behind(m.Require(fakeAuthenticator{scheme: "X", panics: canary})).get()
		require.ErrorContains(t, told, "panicked with a string")
		require.NotContains(t, told.Error(), canary)
		event := f.events.take()[0]
		require.Equal(t, auth.ReasonInternal, event.Reason)
		require.ErrorContains(t, event.Err, "chain_cases_test.go", "the stack says where")
		behind(m.Require(fakeAuthenticator{scheme: "X", panics: runtimePanic()})).get()
		require.ErrorContains(t, told, "interface {} is string, not int")
	})
}

func runtimePanic() (v any) {
	defer func() { v = recover() }()
	var a any = "canary"
	return a.(int)
}

func TestMethods(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	h := f.all()
	token := authorization("Bearer " + f.token("ada"))
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "get", "FROBNICATE"} {
		t.Run(method, func(t *testing.T) {
			require.Equal(t, 200, h.do(method, token).Code)
			w := h.do(method)
			require.Equal(t, 401, w.Code)
			require.Equal(t, []string{plainBearer, plainSecret}, w.Header().Values("WWW-Authenticate"))
			require.Equal(t, "application/problem+json", w.Header().Get("Content-Type"))
			require.Equal(t, method == "HEAD", w.Body.Len() == 0)
		})
	}
}

func TestNestedChains(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	token, cookie := authorization("Bearer "+f.token("tess")), withCookie(f.signIn("cora"))
	nest := func(outer, inner func(http.Handler) http.Handler) *target {
		return behind(func(h http.Handler) http.Handler { return outer(inner(h)) })
	}
	accepted(t, nest(auth.Require(f.bearer, f.cookie), auth.Require(f.cookie)).get(cookie), "cora", auth.SchemeCookie)
	require.Equal(t, 401, nest(auth.Require(f.bearer, f.cookie), auth.Require(f.cookie)).get(token).Code)
	require.Equal(t, 401, nest(auth.Require(f.bearer), auth.Require(f.cookie)).get(cookie).Code)
	require.Equal(t, "anonymous", nest(auth.Require(f.bearer), auth.Optional(f.cookie)).get(token).Body.String())
	accepted(t, nest(auth.Optional(f.bearer), auth.Require(f.cookie)).get(cookie), "cora", auth.SchemeCookie)

	resolving := auth.Middleware{Resolve: func(_ context.Context, id *auth.Identity) (any, error) { return "user of " + id.UserID, nil }}
	var user string
	var found bool
	see := func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { user, found = auth.User[string](r.Context()) })
	}
	nest(resolving.Require(f.bearer), see).get(token)
	require.True(t, found)
	require.Equal(t, "user of tess", user)
	nest(resolving.Require(f.bearer), func(h http.Handler) http.Handler { return auth.Require(f.bearer)(see(h)) }).get(token)
	require.False(t, found, "the outer user beside the inner identity")
}

// Frameworks and upgrades that ask without being wrapped get the same answers.
func TestAuthenticateWritesNothing(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	var m auth.Middleware
	token := f.token("ada")
	r, err := m.Authenticate(request("GET", authorization("Bearer "+token)), f.bearer, f.cookie)
	require.NoError(t, err)
	id, ok := auth.FromContext(r.Context())
	require.True(t, ok)
	require.Equal(t, "ada", id.UserID)
	for _, edits := range [][]edit{nil, {authorization("Bearer x")}, {authorization("Bearer")}, {authorization("Secret x")}} {
		r := request("GET", edits...)
		_, err := m.Authenticate(r, f.bearer, f.cookie)
		require.Error(t, err)
		w := httptest.NewRecorder()
		auth.WriteError(w, r, err)
		wrapped := behind(m.Require(f.bearer, f.cookie)).get(edits...)
		require.Equal(t, wrapped.Code, w.Code)
		require.Equal(t, wrapped.Header(), w.Header())
		require.Equal(t, wrapped.Body.String(), w.Body.String())
	}
	require.Panics(t, func() { m.Authenticate(request("GET"), nil) })
}

// An OnError that makes names for people out of scopes changes no route.
func TestScopesOfARefusalAreACopy(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	m := auth.Middleware{OnError: func(w http.ResponseWriter, r *http.Request, err error) {
		var e *auth.Error
		errors.As(err, &e)
		for i := range e.Scopes {
			e.Scopes[i] = strings.TrimPrefix(e.Scopes[i], "admin:") // names for people
		}
		w.WriteHeader(e.StatusCode())
	}}
	h := behind(func(next http.Handler) http.Handler {
		return m.Require(f.bearer)(m.RequireScope("admin:read")(next))
	})
	low := authorization("Bearer " + f.token("eve", "read"))
	require.Equal(t, 403, h.get(low).Code)
	require.Equal(t, 403, h.get(low).Code, "the second time")
}

func TestScopeRefusalsAreEvents(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	low := authorization("Bearer " + f.token("ada", "read"))
	for name, inner := range map[string]http.Handler{
		"CheckScope": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			auth.WriteError(w, r, auth.CheckScope(r.Context(), "write"))
		}),
		"auth.RequireScope": auth.RequireScope("write")(http.NotFoundHandler()),
	} {
		events := new(recorder)
		m := auth.Middleware{Observe: events.observe}
		w := newRecorder()
		m.Require(f.bearer)(inner).ServeHTTP(w, request("GET", low))
		require.Equal(t, 403, w.Code)
		require.Equal(t, []auth.EventType{auth.EventAccepted, auth.EventRefused}, eventTypes(events.take()), name)
	}
}

// Clients renew on invalid_token, and give up on invalid_request.
func TestExpiredLegacyTokenIsInvalid(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	expired := fakeAuthenticator{scheme: "Bearer", err: auth.ErrInvalidCredential}
	jwt := authorization("Bearer " + repeated("a", 700))
	refused(t, behind(auth.Require(f.bearer, expired)).get(jwt), 401, badToken)
	refused(t, behind(auth.Require(expired, f.bearer)).get(jwt), 401, badToken)
}

// Whatever an error does when it is looked at, it is one request's answer.
func TestErrorsThatPanicWhenLookedAt(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		err    error
		status int
	}{
		"a nil pointer, joined":      {errors.Join((*auth.Error)(nil)), 503},
		"a nil pointer, wrapped":     {fmt.Errorf("x: %w", (*auth.Error)(nil)), 503},
		"a nil pointer in an Error":  {&auth.Error{Err: (*auth.Error)(nil)}, 503},
		"an Is that panics":          {panickyError{}, 500},
		"an Is that panics, wrapped": {fmt.Errorf("x: %w", panickyError{}), 500},
	} {
		t.Run(name, func(t *testing.T) {
			events := new(recorder)
			m := auth.Middleware{Observe: events.observe}
			h := behind(m.Require(fakeAuthenticator{scheme: "X", err: test.err}))
			require.Equal(t, test.status, h.get(authorization("X y")).Code)
			require.Equal(t, test.status, h.get().Code)
			require.Equal(t, auth.Scheme("X"), events.take()[0].Scheme)
		})
	}
}

type panickyError struct{}

func (panickyError) Error() string { return "x" }
func (panickyError) Is(error) bool { panic("bug") }

func TestOneRefusalIsOneEvent(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	events := new(recorder)
	m := auth.Middleware{Observe: events.observe, OnError: auth.WriteError}
	m.Require(f.bearer)(m.RequireScope("write")(http.NotFoundHandler())).ServeHTTP(newRecorder(), request("GET", authorization("Bearer "+f.token("ada", "read"))))
	require.Equal(t, []auth.EventType{auth.EventAccepted, auth.EventRefused}, eventTypes(events.take()))
}

func TestCheckScopeKeepsNoSlice(t *testing.T) {
	t.Parallel()
	scopes := []string{"write"}
	ctx := auth.NewContext(t.Context(), &auth.Identity{UserID: "ada", Scopes: "read"})
	var e *auth.Error
	require.ErrorAs(t, auth.CheckScope(ctx, scopes...), &e)
	e.Scopes[0] = "read"
	require.Equal(t, "write", scopes[0])
}

func TestScopeAfterOptionalHasTheRoutesChallenges(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	h := behind(func(h http.Handler) http.Handler { return auth.Optional(f.secret)(auth.RequireScope("a")(h)) })
	refused(t, h.get(), 401, plainSecret)
}

func TestScopeOfNobodyOutsideOfRequire(t *testing.T) {
	t.Parallel()
	var e *auth.Error
	require.ErrorAs(t, auth.CheckScope(auth.NewContext(t.Context(), nil)), &e)
	require.Equal(t, 500, e.StatusCode())
}

func TestScopesOfARouteAreItsOwn(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	scopes := []string{"write"}
	h := behind(func(h http.Handler) http.Handler { return auth.Require(f.bearer)(auth.RequireScope(scopes...)(h)) })
	scopes[0] = "read"
	require.Equal(t, 403, h.get(authorization("Bearer "+f.token("ada", "read"))).Code)
}

func TestExplicitCredentialThatIsNobodys(t *testing.T) {
	t.Parallel()
	refused(t, behind(auth.Require(fakeAuthenticator{scheme: "Bearer", err: auth.ErrNoCredential})).get(authorization("Bearer x")), 401, badToken)
}

func TestSchemeOfAnUnreadableField(t *testing.T) {
	t.Parallel()
	events := new(recorder)
	m := auth.Middleware{Observe: events.observe}
	behind(m.Require(newFixture(t).bearer)).get(authorization("Bearer " + repeated("a", 70000)))
	require.Equal(t, auth.SchemeBearer, events.take()[0].Scheme)
}

func TestCheckScopeIsOneEvent(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	low := authorization("Bearer " + f.token("ada", "read"))
	events := new(recorder)
	m := auth.Middleware{Observe: events.observe}
	check := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		auth.WriteError(w, r, auth.CheckScope(r.Context(), "write"))
	})
	m.Optional(f.bearer)(check).ServeHTTP(newRecorder(), request("GET"))
	require.Equal(t, []auth.EventType{auth.EventAnonymous, auth.EventRefused}, eventTypes(events.take()))
	m.Require(f.bearer)(check).ServeHTTP(newRecorder(), request("GET", low))
	require.Equal(t, []auth.EventType{auth.EventAccepted, auth.EventRefused}, eventTypes(events.take()))
	m.OnError = func(w http.ResponseWriter, r *http.Request, err error) {
		auth.WriteError(w, r, auth.ErrInsufficientScope)
	}
	m.Require(f.bearer)(m.RequireScope("write")(http.NotFoundHandler())).ServeHTTP(newRecorder(), request("GET", low))
	require.Equal(t, []auth.EventType{auth.EventAccepted, auth.EventRefused}, eventTypes(events.take()))
}
