package auth_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

func TestRequire_acceptsOnlyItsSchemes(t *testing.T) {
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

// A misconfigured route must not serve requests.
func TestRequire_misconfigured(t *testing.T) {
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
		"nil": nil, "nil Bearer": bearer, "nil Cookie": cookie, "nil Secret": secret, "nil pointer of a custom type": custom, "nil function": fn,
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

// A bug in the authentication of one request does not affect others.
func TestRequire_bugsAreInternalErrors(t *testing.T) {
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
		{"an identity without a user", broken(fakeAuthenticator{scheme: "Bearer", identity: &auth.Identity{}})},
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
	t.Run("Resolve returns a nil that is allowed", func(t *testing.T) {
		for _, user := range []any{nil, []string(nil), map[string]bool(nil)} {
			h := resolving(func(context.Context, *auth.Identity) (any, error) { return user, nil })().(*target)
			accepted(t, h.get(authorization("Bearer "+token)), "ada", auth.SchemeBearer)
		}
	})
	t.Run("http.ErrAbortHandler is not recovered", func(t *testing.T) {
		h := behind(auth.Require(fakeAuthenticator{scheme: "X", panics: http.ErrAbortHandler}))
		require.PanicsWithValue(t, http.ErrAbortHandler, func() { h.get() })
	})
	t.Run("the operator gets the details", func(t *testing.T) {
		var got error
		m := auth.Middleware{Observe: f.events.observe, OnError: func(w http.ResponseWriter, r *http.Request, err error) { got = err }}
		f.events.take()
		behind(m.Require(fakeAuthenticator{scheme: "X", panics: canary})).get()
		require.ErrorContains(t, got, "panicked with a string")
		require.NotContains(t, got.Error(), canary)
		event := f.events.take()[0]
		require.Equal(t, auth.ReasonInternal, event.Reason)
		require.ErrorContains(t, event.Err, "authenticate_test.go", "the stack")
		behind(m.Require(fakeAuthenticator{scheme: "X", panics: runtimePanic()})).get()
		require.ErrorContains(t, got, "interface {} is string, not int")
	})
}

func runtimePanic() (v any) {
	defer func() { v = recover() }()
	var a any = "canary"
	return a.(int)
}

func TestRequire_methods(t *testing.T) {
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

func TestRequire_innermostDecides(t *testing.T) {
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
	require.False(t, found, "the outer user with the inner identity")
}

// Authenticate decides as Require does, for callers that write the response themselves.
func TestAuthenticate_writesNothing(t *testing.T) {
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

func TestRequire_cacheHeaders(t *testing.T) {
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
		{"a cookie and a handler that sets it", auth.Require(f.bearer, f.cookie), []edit{withCookie(cookie)}, "public, max-age=60", []string{"Cookie"}, []string{"public, max-age=60"}},
		{"a token where a cookie is accepted", auth.Require(f.bearer, f.cookie), []edit{authorization("Bearer " + token)}, "", []string{"Cookie"}, nil},
		{"a token", auth.Require(f.bearer), []edit{authorization("Bearer " + token)}, "", nil, nil},
		{"anonymous", auth.Require(f.bearer, f.cookie), nil, "", []string{"Cookie"}, []string{"no-store"}},
		{"optional, anonymous", auth.Optional(f.bearer, f.cookie), nil, "", []string{"Cookie", "Authorization"}, nil},
		{"optional, a cookie", auth.Optional(f.bearer, f.cookie), []edit{withCookie(cookie)}, "", []string{"Cookie", "Authorization"}, []string{"private"}},
		{"optional, an invalid token", auth.Optional(f.bearer, f.cookie), []edit{authorization("Bearer x")}, "", []string{"Cookie", "Authorization"}, []string{"no-store"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := httptest.NewRecorder()
			test.wrap(handler(test.handler)).ServeHTTP(w, request("GET", test.edits...))
			require.Equal(t, test.vary, append([]string(nil), w.Header().Values("Vary")...))
			require.Equal(t, test.cache, append([]string(nil), w.Header().Values("Cache-Control")...))
		})
	}
	t.Run("headers that are set already are kept", func(t *testing.T) {
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
	t.Run("headers are not shared between responses", func(t *testing.T) {
		h := auth.Require(f.cookie)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header()["Vary"][0] = "modified"
			w.Header().Add("Vary", "Accept")
		}))
		for range 2 {
			h.ServeHTTP(httptest.NewRecorder(), request("GET", withCookie(cookie)))
		}
		require.Equal(t, []string{"Cookie"}, behind(auth.Require(f.cookie)).get(withCookie(cookie)).Header().Values("Vary"))
	})
}

// The ResponseWriter is not wrapped, so handlers can use all of its interfaces.
func TestRequire_passesTheResponseWriter(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	token := f.token("ada")
	var seen http.ResponseWriter
	h := auth.Require(f.bearer, f.cookie)(auth.RequireScope("a")(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { seen = w })))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, request("GET", authorization("Bearer "+token)))
	require.Same(t, w, seen)

	mux := http.NewServeMux()
	mux.HandleFunc("/flush", func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "data: one\n\n")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	mux.HandleFunc("/hijack", func(w http.ResponseWriter, r *http.Request) {
		conn, rw, err := w.(http.Hijacker).Hijack()
		if err == nil {
			rw.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
			rw.Flush()
			conn.Close()
		}
	})
	mux.HandleFunc("/hints", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</a.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		io.WriteString(w, "done")
	})
	mux.HandleFunc("/copy", func(w http.ResponseWriter, r *http.Request) {
		_, ok := w.(io.ReaderFrom)
		fmt.Fprint(w, ok)
	})
	url, exchange := serve(t, auth.Require(f.bearer, f.cookie)(mux))
	get := func(ctx context.Context, path string) *http.Response {
		r, err := http.NewRequestWithContext(ctx, "GET", url+path, nil)
		require.NoError(t, err)
		r.Header.Set("Authorization", "Bearer "+token)
		response, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		return response
	}
	ctx, cancel := context.WithCancel(t.Context())
	line, err := bufio.NewReader(get(ctx, "/flush").Body).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "data: one\n", line)
	cancel()
	require.Equal(t, 101, exchange("GET /hijack HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer "+token+"\r\n\r\n").StatusCode)
	var hints textproto.MIMEHeader
	trace := &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error { hints = h; return nil }}
	require.Equal(t, "done", body(t, get(httptrace.WithClientTrace(t.Context(), trace), "/hints")))
	require.Equal(t, "</a.css>; rel=preload", hints.Get("Link"))
	require.Equal(t, "true", body(t, get(t.Context(), "/copy")))
}

// Handlers get a copy of the request, but net/http removes the files of its own.
func TestRequire_uploadsLeaveNoFiles(t *testing.T) {
	f := newFixture(t)
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	for name, after := range map[string]func(){"it returns": func() {}, "it panics": func() { panic("after the upload") }} {
		t.Run(name, func(t *testing.T) {
			h := auth.Require(f.bearer)(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				r.ParseMultipartForm(1 << 10)
				after()
			}))
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				defer func() { _ = recover() }()
				h.ServeHTTP(w, r)
			}))
			var form bytes.Buffer
			w := multipart.NewWriter(&form)
			part, _ := w.CreateFormFile("f", "f")
			part.Write(make([]byte, 12<<20))
			w.Close()
			r, _ := http.NewRequest("POST", s.URL, &form)
			r.Header.Set("Content-Type", w.FormDataContentType())
			r.Header.Set("Authorization", "Bearer "+f.token("ada"))
			res, err := http.DefaultClient.Do(r)
			require.NoError(t, err)
			res.Body.Close()
			s.Close()
			left, err := os.ReadDir(dir)
			require.NoError(t, err)
			require.Empty(t, left)
		})
	}
}

// A shared cache must not serve the response to one user's API key to another user. It stores
// responses to requests without Authorization (RFC 9111 section 3.5).
func TestRequire_cacheHeadersOfCustomAuthenticators(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	ada := &auth.Identity{UserID: "ada", Scopes: auth.FullAccess}
	accepts := func(s auth.Scheme) fakeAuthenticator { return fakeAuthenticator{scheme: s, identity: ada} }
	rejects := func(s auth.Scheme) fakeAuthenticator {
		return fakeAuthenticator{scheme: s, err: auth.ErrInvalidCredential}
	}
	reads := func(a fakeAuthenticator, names ...string) auth.Authenticator { return variedAuthenticator{a, names} }
	key, private := field("X-Api-Key", "k"), []string{"private"}
	for _, test := range []struct {
		name        string
		wrap        func(http.Handler) http.Handler
		edits       []edit
		status      int
		vary, cache []string
	}{
		{"it does not say what it reads", auth.Require(accepts("ApiKey")), []edit{key}, 200, []string{"*"}, private},
		{"next to a cookie", auth.Require(f.cookie, accepts("ApiKey")), []edit{key}, 200, []string{"*"}, private},
		{"it says so", auth.Require(reads(accepts("ApiKey"), "x-api-key")), []edit{key}, 200, []string{"X-Api-Key"}, private},
		{"two headers and a cookie", auth.Require(f.bearer, reads(accepts("ApiKey"), "X-Api-Key", "cookie", "X-Tenant")), []edit{key}, 200, []string{"Cookie", "X-Api-Key", "X-Tenant"}, private},
		{"a client certificate", auth.Require(reads(accepts("Mutual"), "*")), nil, 200, []string{"*"}, private},
		{"in Authorization", auth.Require(accepts("ApiKey")), []edit{authorization("apikey k")}, 200, nil, nil},
		{"in an Authorization of another scheme", auth.Require(accepts("ApiKey")), []edit{authorization("Basic k"), key}, 200, []string{"*"}, private},
		{"of the scheme Bearer", auth.Require(accepts("bearer")), []edit{key}, 200, []string{"*"}, private},
		{"a cookie in lower case", auth.Require(accepts("cookie")), []edit{withCookie(f.signIn("ada"))}, 200, []string{"Cookie"}, private},
		{"a cookie in an Authorization", auth.Require(accepts("COOKIE")), []edit{authorization("Cookie x")}, 200, []string{"Cookie"}, private},
		{"optional", auth.Optional(reads(accepts("ApiKey"), "X-Api-Key")), []edit{key}, 200, []string{"X-Api-Key", "Authorization"}, private},
		{"optional, it does not say what it reads", auth.Optional(accepts("ApiKey")), []edit{key}, 200, []string{"*"}, private},
		{"optional, anonymous", auth.Optional(reads(rejects("ApiKey"), "X-Api-Key")), nil, 200, []string{"X-Api-Key", "Authorization"}, nil},
		{"rejected", auth.Require(reads(rejects("ApiKey"), "X-Api-Key")), []edit{key}, 401, []string{"X-Api-Key"}, []string{"no-store"}},
		{"rejected, it does not say what it reads", auth.Require(rejects("ApiKey")), []edit{key}, 401, nil, []string{"no-store"}},
		{"without a scope", func(h http.Handler) http.Handler {
			return auth.Require(reads(fakeAuthenticator{scheme: "ApiKey", identity: &auth.Identity{UserID: "ada"}}, "X-Api-Key"))(auth.RequireScope("write")(h))
		}, []edit{key}, 403, []string{"X-Api-Key"}, []string{"no-store"}},
		{"a token of ours next to one that says so", auth.Require(f.bearer, reads(accepts("ApiKey"), "X-Api-Key")), []edit{authorization("Bearer " + f.token("ada"))}, 200, []string{"X-Api-Key"}, nil},
		{"a token of ours next to it", auth.Require(f.bearer, accepts("ApiKey")), []edit{authorization("Bearer " + f.token("ada"))}, 200, nil, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := behind(test.wrap).get(test.edits...)
			require.Equal(t, test.status, w.Code)
			require.Equal(t, test.vary, append([]string(nil), w.Header().Values("Vary")...))
			require.Equal(t, test.cache, append([]string(nil), w.Header().Values("Cache-Control")...))
		})
	}
	require.Panics(t, func() { auth.Require(reads(accepts("ApiKey"), "X-Api-Key\r\n")) })
}

// A custom authenticator may write the name of a scheme in any case. Handlers compare it with
// the constants.
func TestRequire_schemeInAnotherCase(t *testing.T) {
	t.Parallel()
	for given, want := range map[auth.Scheme]auth.Scheme{"cookie": auth.SchemeCookie, "BEARER": auth.SchemeBearer, "sEcret": auth.SchemeSecret, "apikey": "apikey"} {
		a := fakeAuthenticator{scheme: given, identity: &auth.Identity{UserID: "ada"}}
		events := new(recorder)
		m := auth.Middleware{Observe: events.observe}
		accepted(t, behind(m.Require(a)).get(), "ada", want)
		require.Equal(t, want, events.take()[0].Scheme)
	}
	rejected := behind(auth.Require(fakeAuthenticator{scheme: "cookie", err: auth.ErrInvalidCredential})).get()
	refused(t, rejected, 401, plainCookie)
}

// A middleware around Require counts requests by route, whichever side the router is on.
func TestRequire_outerMiddlewareSeesTheRoute(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	token := authorization("Bearer " + f.token("ada"))
	handler := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		require.NoError(t, r.ParseForm())
		if r.PathValue("id") == "panics" {
			panic("handler")
		}
	})
	routes := func(wrap func(http.Handler) http.Handler) http.Handler {
		mux := http.NewServeMux()
		mux.Handle("GET /notes/{id}/{path...}", wrap(handler))
		mux.Handle("/{$}", wrap(handler))
		return mux
	}
	asIs := func(h http.Handler) http.Handler { return h }
	nested := http.NewServeMux()
	nested.Handle("/notes/", auth.Require(f.bearer)(routes(asIs)))
	nested.Handle("/", auth.Require(f.bearer)(routes(asIs)))
	for _, test := range []struct {
		name    string
		h       http.Handler
		pattern string // of /notes/7/a/b; empty if as routes has it
	}{
		{"the router is outside", routes(auth.Require(f.bearer)), ""},
		{"the router is inside", auth.Require(f.bearer)(routes(asIs)), ""},
		{"of an Optional", auth.Optional(f.bearer, f.cookie)(routes(asIs)), ""},
		{"of two", auth.Require(f.bearer)(auth.Require(f.bearer)(auth.RequireScope("read")(routes(asIs)))), ""},
		{"a router on either side", nested, "/notes/"},
	} {
		t.Run(test.name, func(t *testing.T) {
			serve := func(path string) (outer *http.Request) {
				outer = httptest.NewRequest("GET", path+"?a=b", nil)
				token(outer)
				func() {
					defer func() { _ = recover() }()
					test.h.ServeHTTP(newRecorder(), outer)
				}()
				return outer
			}
			for _, id := range []string{"7", "panics"} {
				outer := serve("/notes/" + id + "/a/b")
				if test.pattern != "" {
					require.Equal(t, test.pattern, outer.Pattern, "the outer router has set it")
					continue
				}
				require.Equal(t, "GET /notes/{id}/{path...}", outer.Pattern)
				require.Equal(t, id, outer.PathValue("id"))
				require.Equal(t, "a/b", outer.PathValue("path"))
				require.Equal(t, "b", outer.Form.Get("a"))
			}
			if test.pattern == "" {
				require.Equal(t, "/{$}", serve("/").Pattern)
				require.Empty(t, serve("/none").Pattern)
			}
			require.NotContains(t, fmt.Sprint(serve("/").Context()), "auth.Context", "the context stays with the handler")
		})
	}
}

// Other routers set the pattern and the path values too.
func TestRequire_outerMiddlewareSeesOtherRouters(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	h := auth.Require(f.bearer)(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		r.Pattern = "/a/{id:[0-9]{1,3}}/{}/{open"
		r.SetPathValue("id", "7")
		r.SetPathValue("open", "x")
	}))
	r := request("GET", authorization("Bearer "+f.token("ada")))
	h.ServeHTTP(newRecorder(), r)
	require.Equal(t, "7", r.PathValue("id"))
	require.Equal(t, "/a/{id:[0-9]{1,3}}/{}/{open", r.Pattern)
}

func TestOptional_variesOnAuthorization(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	require.Equal(t, "Authorization", behind(auth.Optional(f.bearer)).get().Header().Get("Vary"))
}

// The handler's request has the path values, the pattern and the cancellation of the
// original one.
func TestRequire_passesTheRequest(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	mux := http.NewServeMux()
	var seen, original *http.Request
	mux.Handle("GET /notes/{id}", auth.Require(f.bearer)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { seen = r })))
	original = httptest.NewRequest("GET", "/notes/7", nil)
	original.Header.Set("Authorization", "Bearer "+f.token("ada"))
	ctx, cancel := context.WithCancelCause(t.Context())
	original = original.WithContext(ctx)
	mux.ServeHTTP(httptest.NewRecorder(), original)
	require.Equal(t, "7", seen.PathValue("id"))
	require.Equal(t, "GET /notes/{id}", seen.Pattern)
	_, ok := auth.FromContext(original.Context())
	require.False(t, ok, "the caller's request is not modified")
	why := errors.New("client went away")
	cancel(why)
	<-seen.Context().Done()
	require.Equal(t, why, context.Cause(seen.Context()))
}

func TestMiddleware_resolve(t *testing.T) {
	t.Parallel()
	type user struct{ name string }
	f := newFixture(t)
	m := auth.Middleware{Resolve: func(ctx context.Context, id *auth.Identity) (any, error) {
		if _, ok := auth.FromContext(ctx); ok {
			return nil, errors.New("the request's own context was expected")
		}
		return &user{"user " + id.UserID}, nil
	}}
	var got string
	h := m.Require(f.bearer)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { got = auth.MustUser[*user](r.Context()).name }))
	h.ServeHTTP(httptest.NewRecorder(), request("GET", authorization("Bearer "+f.token("ada"))))
	require.Equal(t, "user ada", got)
}

// A request with two valid cookies has the first one's identity. If Resolve rejects that, the
// request is not one of the other user's.
func TestMiddleware_resolveRejectsFirstCookie(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	support, err := auth.NewCookie(f.store, auth.CookieConfig{Keys: auth.Keys{testKey(1)}, Name: "__Host-support"})
	require.NoError(t, err)
	w := httptest.NewRecorder()
	session, err := support.SignIn(w, httptest.NewRequest("POST", "/signin", nil), "ada", auth.SessionOptions{Actor: "grace"})
	require.NoError(t, err)
	cookies := withCookie(w.Result().Cookies()[0], f.signIn("grace"))
	var rejected bool
	m := auth.Middleware{Resolve: func(_ context.Context, id *auth.Identity) (any, error) {
		if rejected && id.Actor != "" {
			return nil, auth.ErrInvalidCredential
		}
		return nil, nil
	}}
	h, optional := behind(m.Require(support, f.cookie)), behind(m.Optional(support, f.cookie))
	accepted(t, h.get(cookies), "ada", auth.SchemeCookie)
	rejected = true
	require.Equal(t, 401, h.get(cookies).Code)
	require.Equal(t, "anonymous", optional.get(cookies).Body.String())
	rejected = false
	require.NoError(t, support.Revoke(t.Context(), "ada", session.ID))
	accepted(t, h.get(cookies), "grace", auth.SchemeCookie)
}

// The response follows the condition that Resolve chooses, by Require and by Recheck. An error
// that is no decision about the user stays an outage.
func TestMiddleware_resolveChooses(t *testing.T) {
	t.Parallel()
	f, events := newFixture(t), new(recorder)
	token := authorization("Bearer " + f.token("ada"))
	for _, test := range []struct {
		err        error
		status     int
		code       string
		reason     auth.Reason
		challenges []string
	}{
		{auth.ErrForbidden, 403, "forbidden", auth.ReasonForbidden, nil},
		{fmt.Errorf("suspended: %w", auth.ErrForbidden), 403, "forbidden", auth.ReasonForbidden, nil},
		{&auth.Error{Err: auth.ErrForbidden, Reason: auth.ReasonNetwork}, 403, "forbidden", auth.ReasonNetwork, nil},
		{&auth.Error{Err: auth.ErrReauthenticationRequired, MaxAge: 10 * time.Minute}, 401, "insufficient_user_authentication", auth.ReasonAge, []string{`Bearer realm="api", ` + oldSignIn}},
		{&auth.Error{Err: auth.ErrInvalidCredential}, 401, "invalid_credential", auth.ReasonDisabled, []string{badToken}},
		{&auth.Error{Err: auth.ErrInvalidCredential, Reason: auth.ReasonRevoked}, 401, "invalid_credential", auth.ReasonRevoked, []string{badToken}},
		{&auth.Error{Err: auth.ErrNotFound}, 404, "not_found", auth.ReasonNotFound, nil},
		{auth.ErrNotFound, 503, "unavailable", auth.ReasonUnavailable, nil},
		{errors.Join(auth.ErrForbidden, auth.ErrUnavailable), 503, "unavailable", auth.ReasonUnavailable, nil},
		{&auth.Error{Err: errors.New("connection refused")}, 503, "unavailable", auth.ReasonUnavailable, nil},
	} {
		var err error
		m := auth.Middleware{Observe: events.observe, Resolve: func(context.Context, *auth.Identity) (any, error) { return nil, err }}
		h := behind(m.Require(f.bearer))
		recheck := m.Require(f.bearer)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			err = test.err
			auth.WriteError(w, r, auth.Recheck(r.Context()))
		}))
		w := newRecorder()
		recheck.ServeHTTP(w, request("GET", token))
		refusedCode(t, w, test.status, test.code, test.challenges...)
		events.take()
		refusedCode(t, h.get(token), test.status, test.code, test.challenges...)
		require.Zero(t, h.served.Load())
		got := events.take()
		require.Equal(t, []auth.EventType{auth.EventRefused}, eventTypes(got))
		require.Equal(t, test.reason, got[0].Reason, test.err)
		require.Equal(t, test.status != 503, got[0].UserID == "ada", test.err)
	}
}

// Behind Optional, a cookie whose sign-in is too old for Resolve is like a stale one, so that its
// user can reach the sign-in page. A user who is forbidden is not, and neither is a token.
func TestOptional_resolveChooses(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	var err error
	m := auth.Middleware{Resolve: func(context.Context, *auth.Identity) (any, error) { return nil, err }}
	h := behind(m.Optional(f.bearer, f.cookie))
	cookie, token := withCookie(f.signIn("ada")), authorization("Bearer "+f.token("ada"))
	err = auth.ErrReauthenticationRequired
	require.Equal(t, "anonymous", h.get(cookie).Body.String())
	refusedCode(t, h.get(token), 401, "insufficient_user_authentication", `Bearer realm="api", error="insufficient_user_authentication"`)
	err = auth.ErrForbidden
	refusedCode(t, h.get(cookie), 403, "forbidden")
	refusedCode(t, h.get(token), 403, "forbidden")
}
