package auth_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
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
func TestRequire_ignoresAnIdentityNextToAnError(t *testing.T) {
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

func TestRequire_namedSchemeDecidesAlone(t *testing.T) {
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

// Who is asked after whom, by what each one answers.
func TestRequire_orderOfAuthenticators(t *testing.T) {
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
func TestRequire_reasonsOfCustomAuthenticators(t *testing.T) {
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
func TestRequire_legacyBearer(t *testing.T) {
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

func (authenticatorFunc) Scheme() auth.Scheme { return auth.SchemeBearer }

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

// Clients renew on invalid_token, and give up on invalid_request.
func TestRequire_longLegacyTokenIsInvalid(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	expired := fakeAuthenticator{scheme: "Bearer", err: auth.ErrInvalidCredential}
	jwt := authorization("Bearer " + repeated("a", 700))
	refused(t, behind(auth.Require(f.bearer, expired)).get(jwt), 401, badToken)
	refused(t, behind(auth.Require(expired, f.bearer)).get(jwt), 401, badToken)
}

// Whatever an error does when it is looked at, it is one request's answer.
func TestRequire_errorsThatPanic(t *testing.T) {
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

func TestRequire_namedSchemeWithoutACredential(t *testing.T) {
	t.Parallel()
	refused(t, behind(auth.Require(fakeAuthenticator{scheme: "Bearer", err: auth.ErrNoCredential})).get(authorization("Bearer x")), 401, badToken)
}

func TestRequire_schemeOfAnUnreadableHeader(t *testing.T) {
	t.Parallel()
	events := new(recorder)
	m := auth.Middleware{Observe: events.observe}
	behind(m.Require(newFixture(t).bearer)).get(authorization("Bearer " + repeated("a", 70000)))
	require.Equal(t, auth.SchemeBearer, events.take()[0].Scheme)
}
