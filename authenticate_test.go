package auth_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

// A fakeAuthenticator returns what its fields say.
type fakeAuthenticator struct {
	scheme   auth.Scheme
	identity *auth.Identity
	err      error
	panics   any
	tried    *int
}

func (a fakeAuthenticator) Scheme() auth.Scheme { return a.scheme }

// A variedAuthenticator says which headers it reads.
type variedAuthenticator struct {
	fakeAuthenticator
	reads []string
}

func (a variedAuthenticator) Vary() []string { return a.reads }

func (a fakeAuthenticator) Authenticate(*http.Request) (*auth.Identity, error) {
	if a.tried != nil {
		*a.tried++
	}
	if a.panics != nil {
		panic(a.panics)
	}
	return a.identity, a.err
}

// An identity that is returned with an error is ignored, both if another authenticator
// accepts the request and if it may be anonymous.
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
		{"invalid token and valid cookie", []edit{authorization("Bearer " + repeated("x", 32)), withCookie(cookie)}, "401"},
		{"malformed token and valid cookie", []edit{authorization("Bearer"), withCookie(cookie)}, "400"},
		{"invalid secret and valid cookie", []edit{authorization("Secret " + repeated("x", 32)), withCookie(cookie)}, "401"},
		{"stale cookie and valid token", []edit{authorization("Bearer " + token), stale}, "tess by Bearer"},
		{"stale cookie and valid secret", []edit{authorization("Secret " + secret), stale}, "sam by Secret"},
		{"stale cookie", []edit{stale}, "401"},
		{"unknown scheme and valid cookie", []edit{authorization("Basic YTpi"), withCookie(cookie)}, "cora by Cookie"},
		{"blank field and valid cookie", []edit{authorization(""), withCookie(cookie)}, "cora by Cookie"},
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

// The error of one authenticator decides whether the next one is tried.
func TestRequire_orderOfAuthenticators(t *testing.T) {
	t.Parallel()
	ada := &auth.Identity{UserID: "ada"}
	outage := errors.New("connection refused")
	type results []error // nil is ada
	tests := []struct {
		name     string
		scheme   auth.Scheme // of all authenticators
		header   string
		results  results
		tried    []int
		status   int
		optional int // status behind Optional, if it differs
	}{
		{"header: the first", "X", "X a", results{nil, nil}, []int{1, 0}, 200, 0},
		{"header: the second", "X", "x a", results{auth.ErrInvalidCredential, nil}, []int{1, 1}, 200, 0},
		{"header: not of its form", "X", "X a", results{auth.ErrNoCredential, nil}, []int{1, 1}, 200, 0},
		{"header: of no authenticator's form", "X", "X a", results{auth.ErrNoCredential, auth.ErrNoCredential}, []int{1, 1}, 401, 0},
		{"header: invalid", "X", "X a", results{auth.ErrInvalidCredential, auth.ErrInvalidCredential}, []int{1, 1}, 401, 0},
		{"header: malformed stops", "X", "X a", results{auth.ErrMalformed, nil}, []int{1, 0}, 400, 0},
		{"header: an outage stops", "X", "X a", results{outage, nil}, []int{1, 0}, 503, 0},
		{"header: invalid, then an outage", "X", "X a", results{auth.ErrInvalidCredential, outage}, []int{1, 1}, 503, 0},
		{"header: scope stops", "X", "X a", results{auth.ErrInsufficientScope, nil}, []int{1, 0}, 403, 0},
		{"no header: the first", "X", "", results{nil, nil}, []int{1, 0}, 200, 0},
		{"no header: none, then valid", "X", "", results{auth.ErrNoCredential, nil}, []int{1, 1}, 200, 0},
		{"no header: stale, then valid", "X", "", results{auth.ErrInvalidCredential, nil}, []int{1, 1}, 200, 0},
		{"no header: none", "X", "", results{auth.ErrNoCredential, auth.ErrNoCredential}, []int{1, 1}, 401, 200},
		{"no header: stale", "X", "", results{auth.ErrInvalidCredential, auth.ErrNoCredential}, []int{1, 1}, 401, 200},
		{"no header: cross-origin stops", "X", "", results{auth.ErrCrossOrigin, nil}, []int{1, 0}, 403, 0},
		{"no header: malformed stops", "X", "", results{auth.ErrMalformed, nil}, []int{1, 0}, 400, 0},
		{"no header: an outage stops", "X", "", results{outage, nil}, []int{1, 0}, 503, 0},
		{"no header: stale, then an outage", "X", "", results{auth.ErrInvalidCredential, outage}, []int{1, 1}, 503, 0},
		{"no header: the client went away", "X", "", results{context.Canceled, nil}, []int{1, 0}, 503, 0},
		{"no header: ErrNotFound is an outage", "X", "", results{auth.ErrNotFound, nil}, []int{1, 0}, 503, 0},
	}
	for _, test := range tests {
		for _, optional := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, optional %v", test.name, optional), func(t *testing.T) {
				tried := make([]int, len(test.results))
				var list []auth.Authenticator
				for i, err := range test.results {
					a := fakeAuthenticator{scheme: test.scheme, err: err, tried: &tried[i]}
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
				require.Equal(t, test.tried, tried)
				require.NotContains(t, w.Body.String(), "connection refused")
			})
		}
	}
}

// A Reason counts even in a wrapped error, if it is one of the package's constants.
// A credential that is too long for one authenticator may be that of the next, whichever of
// them is custom.
func TestRequire_triesTheNextIfTooLong(t *testing.T) {
	t.Parallel()
	tooLong := fakeAuthenticator{scheme: "X", err: &auth.Error{Reason: auth.ReasonTooLong, Err: auth.ErrMalformed}}
	ada := fakeAuthenticator{scheme: "X", identity: &auth.Identity{UserID: "ada"}}
	accepted(t, behind(auth.Require(tooLong, ada)).get(authorization("X a")), "ada", "X")
	require.Equal(t, 400, behind(auth.Require(tooLong)).get(authorization("X a")).Code)
	// Malformed for any other reason decides.
	malformed := fakeAuthenticator{scheme: "X", err: auth.ErrMalformed}
	require.Equal(t, 400, behind(auth.Require(malformed, ada)).get(authorization("X a")).Code)
}

func TestRequire_reasonsOfCustomAuthenticators(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		err    error
		status int
		want   auth.Reason
	}{
		{"none", auth.ErrInvalidCredential, 401, auth.ReasonRejected},
		{"one of the constants", &auth.Error{Reason: auth.ReasonExpired, Err: auth.ErrInvalidCredential}, 401, auth.ReasonExpired},
		{"one of the constants, wrapped", fmt.Errorf("legacy: %w", &auth.Error{Reason: auth.ReasonRevoked, Err: auth.ErrInvalidCredential}), 401, auth.ReasonRevoked},
		{"invented", &auth.Error{Reason: "weather", Err: auth.ErrInvalidCredential}, 401, auth.ReasonRejected},
		{"an internal one is an outage", &auth.Error{Reason: auth.ReasonInternal, Err: errors.New("x")}, 503, auth.ReasonUnavailable},
		{"an empty Error", new(auth.Error), 503, auth.ReasonUnavailable},
		{"a nil Error", (*auth.Error)(nil), 500, auth.ReasonInternal},
		{"an outage joined with another error", errors.Join(auth.ErrUnavailable, errors.New("x")), 503, auth.ReasonUnavailable},
	} {
		t.Run(test.name, func(t *testing.T) {
			events := new(recorder)
			m := auth.Middleware{Observe: events.observe}
			require.Equal(t, test.status, behind(m.Require(fakeAuthenticator{scheme: "X", err: test.err})).get(authorization("X a")).Code)
			require.Equal(t, test.want, events.take()[0].Reason)
		})
	}
}

// Tokens of another system may be longer than ours: its authenticator is tried next.
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
		"after ours":  behind(auth.Require(f.bearer, legacy)),
		"before ours": behind(auth.Require(legacy, f.bearer)),
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

// The Authenticate of a type that embeds a Bearer is called, and not the Bearer's own.
func TestRequire_embeddedBearer(t *testing.T) {
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

// Clients renew a token on invalid_token, but give up on invalid_request.
func TestRequire_longLegacyTokenIsInvalid(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	expired := fakeAuthenticator{scheme: "Bearer", err: auth.ErrInvalidCredential}
	jwt := authorization("Bearer " + repeated("a", 700))
	refused(t, behind(auth.Require(f.bearer, expired)).get(jwt), 401, badToken)
	refused(t, behind(auth.Require(expired, f.bearer)).get(jwt), 401, badToken)
}

// An error whose methods panic is answered like any other, and affects one request only.
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

// The Authorization header by RFC 9110 section 11 and RFC 6750 sections 2 and 3, on a route
// that accepts all three schemes.
func TestRequire_authorizationGrammar(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	token, secret := f.token("ada"), f.issueSecret("grace")
	all := []string{plainBearer, plainSecret}
	bad := []string{badRequest, plainSecret}
	invalid := []string{badToken, plainSecret}
	tests := []struct {
		name   string
		fields []string
		status int
		want   []string // challenges
		calls  int64    // to the store
	}{
		{"the scheme in any case", []string{"bEaReR " + token}, 200, nil, 1},
		{"secret in capitals", []string{"SECRET " + secret}, 200, nil, 1},
		{"two spaces", []string{"Bearer  " + token}, 200, nil, 1},
		{"space around the value, as HTTP/2 leaves it", []string{"\t Bearer " + token + " \t"}, 200, nil, 1},
		{"no field", nil, 401, all, 0},
		{"two fields", []string{"Bearer " + token, "Secret " + secret}, 400, bad, 0},
		{"two fields, the other way round", []string{"Secret " + secret, "Bearer " + token}, 400, bad, 0},
		{"two equal fields", []string{"Bearer " + token, "Bearer " + token}, 400, bad, 0},
		{"two fields, one blank", []string{"", "Bearer " + token}, 400, bad, 0},
		{"two credentials in one field", []string{"Bearer " + token + ", Secret " + secret}, 400, bad, 0},
		{"a comma at the end", []string{"Bearer " + token + ","}, 400, bad, 0},
		{"a space within", []string{"Bearer a b"}, 400, bad, 0},
		{"the scheme alone", []string{"Bearer"}, 400, bad, 0},
		{"the scheme and a space", []string{"Bearer "}, 400, bad, 0},
		{"secret alone", []string{"Secret"}, 400, all, 0},
		{"a blank field", []string{""}, 401, all, 0},
		{"a field of spaces", []string{" \t "}, 401, all, 0},
		{"a tab for the space", []string{"Bearer\t" + token}, 400, bad, 0},
		{"a tab after the space", []string{"Bearer \t" + token}, 400, bad, 0},
		{"a tab within", []string{"Bearer a\tb"}, 400, bad, 0},
		{"a no-break space", []string{"Bearer a\u00a0b"}, 400, bad, 0},
		{"a no-break space for the space", []string{"Bearer\u00a0" + token}, 400, bad, 0},
		{"a next line", []string{"Bearer a\u0085"}, 400, bad, 0},
		{"byte 0xFF", []string{"Bearer a\xff"}, 400, bad, 0},
		{"byte 0x80 first", []string{"Bearer \x80a"}, 400, bad, 0},
		{"a letter outside ASCII", []string{"Bearer é"}, 400, bad, 0},
		{"NUL", []string{"Bearer a\x00b"}, 400, bad, 0},
		{"CR", []string{"Bearer a\rb"}, 400, bad, 0},
		{"LF", []string{"Bearer a\nb"}, 400, bad, 0},
		{"DEL", []string{"Bearer a\x7f"}, 400, bad, 0},
		{"an equals sign within", []string{"Bearer a=b"}, 401, invalid, 1},
		{"an equals sign alone", []string{"Bearer =="}, 401, invalid, 1},
		{"percent encoding", []string{"Bearer %41"}, 401, invalid, 1},
		{"a quoted string", []string{`Bearer "a"`}, 400, bad, 0},
		{"a bar", []string{"Bearer a|b"}, 401, invalid, 1},
		{"a list", []string{"Bearer a,b"}, 400, bad, 0},
		{"a backslash", []string{`Bearer a\b`}, 400, bad, 0},
		{"auth-params", []string{`Bearer realm="x"`}, 400, bad, 0},
		{"equals signs at the end", []string{"Bearer a=="}, 401, invalid, 1},
		{"512 characters", []string{"Bearer " + repeated("a", 512)}, 401, invalid, 1},
		{"513 characters", []string{"Bearer " + repeated("a", 513)}, 400, bad, 0},
		{"513 characters of secret", []string{"Secret " + repeated("a", 513)}, 400, all, 0},
		{"unknown", []string{"Bearer " + repeated("a", 32)}, 401, invalid, 1},
		{"unknown secret", []string{"Secret " + repeated("a", 32)}, 401, all, 1},
		{"Basic", []string{"Basic YTpi"}, 401, all, 0},
		{"Digest", []string{`Digest username="a", realm="b"`}, 401, all, 0},
		{"a scheme that starts with another", []string{"Bearers " + token}, 401, all, 0},
		{"no space after the scheme", []string{"Bearer" + token}, 401, all, 0},
		{"a long s", []string{"\u017fecret " + secret}, 401, all, 0},
		{"a Kelvin sign", []string{"Coo\u212aie x"}, 401, all, 0},
		{"Cookie is no header scheme", []string{"Cookie x"}, 401, all, 0},
		{"a colon", []string{"Bearer: " + token}, 400, bad, 0},
		{"64 spaces", []string{"Bearer" + repeated(" ", 64) + token}, 200, nil, 1},
		{"64 spaces around", []string{repeated(" ", 64) + "Bearer " + token + repeated(" ", 64)}, 200, nil, 1},
		{"65 spaces at the end", []string{"Bearer " + token + repeated(" ", 65)}, 400, bad, 0},
		{"65 spaces at the start", []string{repeated(" ", 65) + "Bearer " + token}, 400, bad, 0},
		{"8 KiB of spaces alone", []string{repeated(" ", 8<<10)}, 400, bad, 0},
		{"65 spaces", []string{"Bearer" + repeated(" ", 65) + token}, 400, bad, 0},
		{"1,000 KiB of dots", []string{"Bearer " + repeated(".", 1000<<10)}, 400, bad, 0},
		{"1,000 KiB of spaces", []string{"Bearer " + repeated(" ", 1000<<10)}, 400, bad, 0},
		{"1,000 KiB of spaces and a token", []string{"Bearer " + repeated(" ", 1000<<10) + token}, 400, bad, 0},
		{"1,000 KiB without a scheme", []string{repeated(".", 1000<<10)}, 400, bad, 0},
		{"64 KiB of another scheme", []string{"Negotiate " + repeated("a", 60<<10)}, 401, all, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h := f.all()
			before := f.store.lookups.Load()
			r := request("GET")
			if test.fields != nil {
				r.Header["Authorization"] = test.fields
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			require.Equal(t, test.calls, f.store.lookups.Load()-before, "calls to the store")
			if test.status == 200 {
				require.Equal(t, 200, w.Code, "body: %s", w.Body)
				require.EqualValues(t, 1, h.served.Load())
				return
			}
			refused(t, w, test.status, test.want...)
			require.Zero(t, h.served.Load())
			require.NotContains(t, w.Body.String(), token)
			require.NotContains(t, w.Body.String(), secret)
		})
	}
}

// The same over the wire, where net/http parses the header first.
func TestRequire_authorizationOverTheWire(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	token := f.token("ada")
	h := f.all()
	_, exchange := serve(t, h)
	tests := []struct {
		name   string
		raw    string
		status int
	}{
		{"valid", "GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " + token + "\r\n\r\n", 200},
		{"the header's name in capitals", "GET / HTTP/1.1\r\nHost: a\r\nAUTHORIZATION: Bearer " + token + "\r\n\r\n", 200},
		{"two fields", "GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " + token + "\r\nauthorization: Bearer x\r\n\r\n", 400},
		{"folded between scheme and token", "GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer\r\n " + token + "\r\n\r\n", 200},
		{"folded inside the token", "GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " + token[:9] + "\r\n " + token[9:] + "\r\n\r\n", 400},
		{"NUL", "GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer a\x00b\r\n\r\n", 400},
		{"a lone CR", "GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer a\rb\r\n\r\n", 400},
		{"DEL", "GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer a\x7fb\r\n\r\n", 400},
		{"bytes above ASCII", "GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer \xc3\xa9\r\n\r\n", 400},
		{"HTTP/1.0 without a Host", "GET / HTTP/1.0\r\nAuthorization: Bearer " + token + "\r\n\r\n", 200},
		{"a method in lower case", "get / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " + token + "\r\n\r\n", 200},
		{"a method in lower case, no credential", "get / HTTP/1.1\r\nHost: a\r\n\r\n", 401},
		{"1,000 KiB", "GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " + repeated(".", 1000<<10) + "\r\n\r\n", 400},
		{"in a trailer", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: Authorization\r\n\r\n" +
			"1\r\nx\r\n0\r\nAuthorization: Bearer " + token + "\r\n\r\n", 401},
		{"in the query", "GET /?access_token=" + token + " HTTP/1.1\r\nHost: a\r\n\r\n", 401},
		{"in a form", "POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 45\r\n\r\n" +
			"access_token=" + token, 401},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			served := h.served.Load()
			response := exchange(test.raw)
			require.Equal(t, test.status, response.StatusCode)
			require.NotContains(t, body(t, response), token)
			if test.status != 200 {
				require.Equal(t, served, h.served.Load())
			}
		})
	}
}

func TestRequire_authorizationOverHTTP2(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	token := f.token("ada")
	server := httptest.NewUnstartedServer(f.all())
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	for name, test := range map[string]struct {
		fields []string
		status int
	}{
		"one field":    {[]string{"Bearer " + token}, 200},
		"two fields":   {[]string{"Bearer " + token, "Bearer x"}, 400},
		"in any order": {[]string{"Secret x", "Bearer " + token}, 400},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := http.NewRequest("GET", server.URL, nil)
			require.NoError(t, err)
			r.Header["Authorization"] = test.fields
			response, err := server.Client().Do(r)
			require.NoError(t, err)
			defer response.Body.Close()
			require.Equal(t, 2, response.ProtoMajor)
			require.Equal(t, test.status, response.StatusCode)
		})
	}
}

func TestRequire_hugeHeaderCostsNoMemory(t *testing.T) {
	f := newFixture(t)
	h := f.all()
	for name, value := range map[string]string{
		"dots":      "Bearer " + repeated(".", 1000<<10),
		"spaces":    "Bearer " + repeated(" ", 1000<<10) + "a",
		"no scheme": repeated("a", 1000<<10),
	} {
		t.Run(name, func(t *testing.T) {
			r := request("GET", authorization(value))
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			runtime.ReadMemStats(&after)
			require.Equal(t, 400, w.Code)
			require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(64<<10))
		})
	}
}

func TestRequire_spaceBeforeTheCredential(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	token := "/" + repeated("a", 32)
	_, err := f.bearer.Import(t.Context(), "ada", token, importOptions("x"))
	require.NoError(t, err)
	require.Equal(t, 200, f.all().get(authorization("Bearer "+token)).Code)
	require.Equal(t, 400, f.all().get(authorization("Bearer"+token)).Code)
}
