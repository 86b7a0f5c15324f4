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

func TestRequireScope_matrix(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	need := func(scopes ...string) *target {
		wrap := auth.Require(f.bearer, f.cookie, f.secret)
		return behind(func(next http.Handler) http.Handler { return wrap(auth.RequireScope(scopes...)(next)) })
	}
	tests := []struct {
		name   string
		has    []string // if nil, full access
		needs  []string
		passes bool
	}{
		{"full access", nil, []string{"read:user"}, true},
		{"the scope", []string{"read:user"}, []string{"read:user"}, true},
		{"among others", []string{"a", "read:user", "b"}, []string{"read:user"}, true},
		{"a part of it", []string{"read"}, []string{"read:user"}, false},
		{"more than it", []string{"read:user"}, []string{"read"}, false},
		{"other case", []string{"READ"}, []string{"read"}, false},
		{"a name that looks like a wildcard", []string{"read*"}, []string{"read"}, false},
		{"one of two", []string{"read"}, []string{"read", "write"}, false},
		{"both of two", []string{"write", "read"}, []string{"read", "write"}, true},
		{"the wildcard itself is needed", []string{"read"}, []string{"*"}, false},
		{"the wildcard is needed and granted", nil, []string{"*"}, true},
	}
	for i, test := range tests {
		user := "user" + string(rune('a'+i))
		token := f.token(user, test.has...)
		cookie := f.signIn(user, auth.SessionOptions{Scopes: test.has})
		secret := f.limitedSecret(user, test.has)
		for scheme, credential := range map[auth.Scheme]edit{
			auth.SchemeBearer: authorization("Bearer " + token),
			auth.SchemeCookie: withCookie(cookie),
			auth.SchemeSecret: authorization("Secret " + secret),
		} {
			for _, method := range []string{"GET", "HEAD", "POST", "DELETE", "get"} {
				t.Run(test.name+" by "+string(scheme)+" "+method, func(t *testing.T) {
					h := need(test.needs...)
					w := h.do(method, credential)
					if test.passes {
						require.Equal(t, 200, w.Code)
						require.EqualValues(t, 1, h.served.Load())
						return
					}
					require.Equal(t, 403, w.Code)
					require.Zero(t, h.served.Load())
					want := plainBearer
					if scheme == auth.SchemeBearer {
						want = `Bearer realm="api", error="insufficient_scope", scope="` + strings.Join(test.needs, " ") + `"`
					}
					require.Equal(t, []string{want, plainSecret}, w.Header().Values("WWW-Authenticate"))
					require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
					if method == "HEAD" {
						require.Empty(t, w.Body.String())
					} else {
						require.Contains(t, w.Body.String(), `"scopes":["`+strings.Join(test.needs, `","`)+`"]`)
					}
				})
			}
		}
	}
}

// limitedSecret issues a secret with the scopes, or with full access if there are none.
func (f *fixture) limitedSecret(user string, scopes []string) string {
	f.t.Helper()
	o := fullSecret
	if scopes != nil {
		o.Scopes = scopes
	}
	plaintext, _, err := f.secret.Issue(context.Background(), user, o)
	require.NoError(f.t, err)
	return plaintext
}

// An OnError may modify the scopes of its Error: the route keeps its own.
func TestRequireScope_errorHasItsOwnScopes(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	m := auth.Middleware{OnError: func(w http.ResponseWriter, r *http.Request, err error) {
		var e *auth.Error
		errors.As(err, &e)
		for i := range e.Scopes {
			e.Scopes[i] = strings.TrimPrefix(e.Scopes[i], "admin:")
		}
		w.WriteHeader(e.StatusCode())
	}}
	h := behind(func(next http.Handler) http.Handler {
		return m.Require(f.bearer)(m.RequireScope("admin:read")(next))
	})
	low := authorization("Bearer " + f.token("eve", "read"))
	require.Equal(t, 403, h.get(low).Code)
	require.Equal(t, 403, h.get(low).Code, "the second request")
}

func TestRequireScope_observerOfTheRoute(t *testing.T) {
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

func TestRequireScope_oneEvent(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	events := new(recorder)
	m := auth.Middleware{Observe: events.observe, OnError: auth.WriteError}
	m.Require(f.bearer)(m.RequireScope("write")(http.NotFoundHandler())).ServeHTTP(newRecorder(), request("GET", authorization("Bearer "+f.token("ada", "read"))))
	require.Equal(t, []auth.EventType{auth.EventAccepted, auth.EventRefused}, eventTypes(events.take()))
}

func TestCheckScope_keepsNoSlice(t *testing.T) {
	t.Parallel()
	scopes := []string{"write"}
	ctx := auth.NewContext(t.Context(), &auth.Identity{UserID: "ada", Scopes: "read"})
	var e *auth.Error
	require.ErrorAs(t, auth.CheckScope(ctx, scopes...), &e)
	e.Scopes[0] = "read"
	require.Equal(t, "write", scopes[0])
}

func TestRequireScope_challengesAfterOptional(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	h := behind(func(h http.Handler) http.Handler { return auth.Optional(f.secret)(auth.RequireScope("a")(h)) })
	refused(t, h.get(), 401, plainSecret)
}

func TestCheckScope_outsideOfRequire(t *testing.T) {
	t.Parallel()
	var e *auth.Error
	require.ErrorAs(t, auth.CheckScope(auth.NewContext(t.Context(), nil)), &e)
	require.Equal(t, 500, e.StatusCode())
}

func TestRequireScope_copiesItsScopes(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	scopes := []string{"write"}
	h := behind(func(h http.Handler) http.Handler { return auth.Require(f.bearer)(auth.RequireScope(scopes...)(h)) })
	scopes[0] = "read"
	require.Equal(t, 403, h.get(authorization("Bearer "+f.token("ada", "read"))).Code)
}

func TestCheckScope_oneEvent(t *testing.T) {
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

func TestCheckScope_scopeFromTheRequest(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	h := auth.Require(f.bearer)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		auth.WriteError(w, r, auth.CheckScope(r.Context(), "team:"+r.FormValue("team")))
	}))
	w := newRecorder()
	r := httptest.NewRequest("GET", "/?team=x%0d%0aSet-Cookie:%20a=b", nil)
	r.Header.Set("Authorization", "Bearer "+f.token("ada", "read"))
	h.ServeHTTP(w, r)
	require.NotContains(t, w.Header().Get("WWW-Authenticate"), "\r\n")
}

func TestScopes_has(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		have auth.Scopes
		need string
		want bool
	}{
		{"*", "read", true}, {"*", "*", true}, {"*", "", false}, {"*", "a b", false},
		{"", "read", false}, {"", "", false}, {"read", "read", true}, {"read", "rea", false}, {"rea", "read", false},
		{"read write", "write", true}, {"read write", "read write", false}, {"read write", "", false},
		{"read *", "write", false}, {"read *", "*", false}, {"* ", "write", false}, {"**", "write", false},
	} {
		require.Equal(t, test.want, test.have.Has(test.need), "%q has %q", test.have, test.need)
	}
	require.Equal(t, []string{"read", "write"}, auth.Scopes("read write").List())
	require.Equal(t, []string{}, auth.Scopes("").List())
	// The scopes of one credential can be copied to another.
	f := newFixture(t)
	for _, scopes := range []auth.Scopes{"*", "read", "read write"} {
		_, c, err := f.bearer.Issue(t.Context(), "ada", auth.TokenOptions{Name: "x", Scopes: scopes.List(), Lifetime: auth.NoExpiry})
		require.NoError(t, err)
		require.Equal(t, scopes, c.Scopes)
	}
	_, _, err := f.bearer.Issue(t.Context(), "ada", auth.TokenOptions{Name: "x", Scopes: auth.Scopes("").List(), Lifetime: auth.NoExpiry})
	require.ErrorIs(t, err, auth.ErrInvalidArgument)
}

func TestCheckScope(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	var m auth.Middleware
	check := func(wrap func(http.Handler) http.Handler, edits []edit, scopes ...string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if err := auth.CheckScope(r.Context(), scopes...); err != nil {
				auth.WriteError(w, r, err)
			}
		})).ServeHTTP(w, request("GET", edits...))
		return w
	}
	reading := []edit{authorization("Bearer " + f.token("ada", "read"))}
	none := func(h http.Handler) http.Handler { return h }
	scoped := func(needs ...string) func(http.Handler) http.Handler {
		return func(h http.Handler) http.Handler { return m.Optional(f.bearer, f.cookie)(m.RequireScope(needs...)(h)) }
	}
	any := func(needs ...string) func(http.Handler) http.Handler {
		return func(h http.Handler) http.Handler { return auth.Require(f.bearer)(auth.RequireAnyScope(needs...)(h)) }
	}
	require.Equal(t, 200, check(m.Require(f.bearer), reading, "read").Code)
	require.Equal(t, 200, check(m.Require(f.bearer), reading).Code)
	refused(t, check(m.Require(f.bearer), reading, "read", "write"), 403, `Bearer realm="api", error="insufficient_scope", scope="read write"`)
	refused(t, check(m.Optional(f.bearer), nil, "read"), 401, plainBearer)
	refused(t, check(none, nil, "read"), 500)
	require.Equal(t, 200, check(scoped("read"), reading).Code)
	refused(t, check(scoped("write"), reading), 403, `Bearer realm="api", error="insufficient_scope", scope="write"`)
	refused(t, check(scoped("write"), nil), 401, plainBearer)
	require.Equal(t, []string{"Cookie", "Authorization"}, check(scoped("write"), nil).Header().Values("Vary"))
	refused(t, check(m.RequireScope("read"), nil), 500)
	require.Equal(t, 200, check(any("write", "read"), reading).Code)
	refused(t, check(any("write", "admin"), reading), 403, `Bearer realm="api", error="insufficient_scope", scope="write admin"`)

	// There is no route in tests of handlers and in background jobs.
	ctx := auth.NewContext(t.Context(), &auth.Identity{UserID: "ada", Scheme: auth.SchemeBearer, Scopes: "read"})
	require.NoError(t, auth.CheckScope(ctx, "read"))
	require.ErrorIs(t, auth.CheckScope(ctx, "write"), auth.ErrInsufficientScope)
	var e *auth.Error
	require.ErrorAs(t, auth.CheckScope(t.Context()), &e)
	require.Equal(t, 500, e.StatusCode())
}

func TestParseScopes(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		known  []string
		scopes []string
		want   auth.Scopes
		ok     bool
	}{
		{"none", nil, nil, "", false},
		{"the wildcard", nil, []string{"*"}, "*", true},
		{"empty", nil, []string{}, "", false},
		{"any", nil, []string{"read:user", "x"}, "read:user x", true},
		{"twice", nil, []string{"a", "b", "a"}, "a b", true},
		{"known", []string{"read", "write"}, []string{"write"}, "write", true},
		{"full access next to a list", []string{"read"}, []string{auth.FullAccess}, "*", true},
		{"unknown", []string{"read"}, []string{"write"}, "", false},
		{"in other case", []string{"read"}, []string{"READ"}, "", false},
		{"the wildcard before another", nil, []string{"*", "read"}, "", false},
		{"the wildcard after another", nil, []string{"read", "*"}, "", false},
		{"empty name", nil, []string{""}, "", false},
		{"a space", nil, []string{"a b"}, "", false},
		{"a quote", nil, []string{`a"`}, "", false},
		{"a backslash", nil, []string{`a\`}, "", false},
		{"a line break", nil, []string{"a\n"}, "", false},
		{"outside ASCII", nil, []string{"é"}, "", false},
		{"2,048 bytes", nil, []string{repeated("a", 1023), repeated("b", 1024)}, auth.Scopes(repeated("a", 1023) + " " + repeated("b", 1024)), true},
		{"2,048 bytes of one", nil, []string{repeated("a", 2048)}, auth.Scopes(repeated("a", 2048)), true},
		{"2,049 bytes", nil, []string{repeated("a", 1024), repeated("b", 1024)}, "", false},
		{"2,049 bytes of one", nil, []string{repeated("a", 2049)}, "", false},
		{"10,000", nil, numbered(10_000), "", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := newFixture(t, func(c *configs) { c.bearer.Scopes = test.known })
			_, c, err := f.bearer.Issue(t.Context(), "ada", auth.TokenOptions{Name: "x", Scopes: test.scopes, Lifetime: auth.NoExpiry})
			if !test.ok {
				require.ErrorIs(t, err, auth.ErrInvalidArgument)
				require.ErrorContains(t, err, "Scopes")
			} else {
				require.NoError(t, err)
				require.Equal(t, test.want, c.Scopes)
			}
			if test.known == nil {
				_, err = f.cookie.SignIn(newRecorder(), request("POST"), "ada", auth.SessionOptions{Scopes: test.scopes})
				require.Equal(t, test.ok || test.scopes == nil, err == nil)
				parsed, err := auth.ParseScopes(test.scopes)
				require.Equal(t, test.ok, err == nil)
				require.Equal(t, test.want, parsed)
			}
		})
	}
}

func numbered(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprint("s", i)
	}
	return names
}

// RequireAnyScope passes identities with at least one of the scopes, in both forms.
func TestRequireAnyScope(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	m := auth.Middleware{OnError: func(w http.ResponseWriter, r *http.Request, err error) { w.WriteHeader(http.StatusTeapot) }}
	for name, test := range map[string]struct {
		wrap     func(http.Handler) http.Handler
		rejected int
	}{
		"function": {auth.RequireAnyScope("write", "admin"), 403},
		"method":   {m.RequireAnyScope("write", "admin"), http.StatusTeapot},
	} {
		h := behind(func(next http.Handler) http.Handler { return auth.Require(f.bearer)(test.wrap(next)) })
		for _, scopes := range [][]string{{"write"}, {"read", "admin"}, {"write", "admin"}, {auth.FullAccess}} {
			accepted(t, h.get(authorization("Bearer "+f.token("ada", scopes...))), "ada", auth.SchemeBearer)
		}
		for _, scopes := range [][]string{{"read"}, {"WRITE"}, {"writer", "adm"}} {
			require.Equal(t, test.rejected, h.get(authorization("Bearer "+f.token("ada", scopes...))).Code, name)
		}
	}
}
