package auth_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"os"
	"strings"
	"testing"

	"github.com/seed-31c5bcb2/auth"
	"github.com/stretchr/testify/require"
)

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

func TestWriteError(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name       string
		err        error
		status     int
		challenges []string
	}{
		{"no credential", auth.ErrNoCredential, 401, []string{plainBearer}},
		{"invalid", auth.ErrInvalidCredential, 401, []string{plainBearer}},
		{"an argument of a lifecycle call", auth.ErrInvalidArgument, 400, nil},
		{"malformed", auth.ErrMalformed, 400, []string{badRequest}},
		{"a header", headerError(), 400, []string{badRequest}},
		{"scope", auth.ErrInsufficientScope, 403, []string{plainBearer}},
		{"cross-origin", auth.ErrCrossOrigin, 403, nil},
		{"unavailable", auth.ErrUnavailable, 503, nil},
		{"not found", auth.ErrNotFound, 404, nil},
		{"revoked", auth.ErrRevoked, 404, nil},
		{"conflict", auth.ErrConflict, 409, nil},
		{"limit", auth.ErrLimit, 409, nil},
		{"anything", errors.New("canary"), 503, nil},
		{"nil", nil, 500, nil},
		{"an Error by its Err", &auth.Error{Err: auth.ErrNotFound}, 404, nil},
		{"an empty Error", new(auth.Error), 503, nil},
		{"a nil Error", (*auth.Error)(nil), 503, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := httptest.NewRecorder()
			w.Header().Set("Content-Length", "5")
			w.Header().Set("ETag", "x")
			w.Header().Set("Last-Modified", "x")
			w.Header().Set("WWW-Authenticate", "Negotiate")
			auth.WriteError(w, request("GET"), test.err)
			refused(t, w, test.status, test.challenges...)
			require.NotContains(t, w.Body.String(), "canary")
			require.Empty(t, w.Header().Get("ETag"))
			require.Empty(t, w.Header().Get("Last-Modified"))
			require.Equal(t, "nosniff", w.Header().Get("X-Content-Type-Options"))
		})
	}
	t.Run("behind a route", func(t *testing.T) {
		f := newFixture(t)
		h := auth.Require(f.bearer, f.secret)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			auth.WriteError(w, r, auth.ErrInvalidCredential)
		}))
		w := httptest.NewRecorder()
		h.ServeHTTP(w, request("GET", authorization("Bearer "+f.token("ada"))))
		refused(t, w, 401, plainBearer, plainSecret)
	})
}

func headerError() error {
	_, err := auth.HeaderCredential(request("GET", authorization("Bearer")), auth.SchemeBearer)
	return err
}

func TestErrorText(t *testing.T) {
	t.Parallel()
	require.Equal(t, "auth: invalid credential (Bearer, expired)", (&auth.Error{Scheme: "Bearer", Reason: auth.ReasonExpired, Err: auth.ErrInvalidCredential}).Error())
	require.Equal(t, "auth: no credential", (&auth.Error{Err: auth.ErrNoCredential}).Error())
	require.Equal(t, "auth: rejected", (&auth.Error{}).Error())
	require.Equal(t, "token session secret none", auth.KindToken.String()+" "+auth.KindSession.String()+" "+auth.KindSecret.String()+" "+auth.Kind(0).String())
}

func TestRealms(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for realm, want := range map[string]string{
		"":          `Bearer realm="api"`,
		"My API":    `Bearer realm="My API"`,
		`a"b`:       `Bearer realm="a\"b"`,
		`a\b`:       `Bearer realm="a\\b"`,
		`a", x="y`:  `Bearer realm="a\", x=\"y"`,
		"Grüße, 世界": `Bearer realm="Grüße, 世界"`,
	} {
		m := auth.Middleware{Realm: realm}
		url, _ := serve(t, m.Require(f.bearer)(http.NotFoundHandler()))
		response, err := http.Get(url)
		require.NoError(t, err)
		response.Body.Close()
		require.Equal(t, want, response.Header.Get("WWW-Authenticate"))
	}
	for _, realm := range []string{"a\r\nSet-Cookie: x=y", "a\nb", "a\x00", "a\x7f", "a\xff"} {
		m := auth.Middleware{Realm: realm}
		require.Panics(t, func() { m.Require(f.bearer) }, "%q", realm)
	}
}

func TestResourceMetadata(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	const url = "https://api.example.com/.well-known/oauth-protected-resource"
	m := auth.Middleware{ResourceMetadata: url}
	h := behind(m.Require(f.bearer, f.secret))
	refused(t, h.get(), 401, `Bearer realm="api", resource_metadata="`+url+`"`, plainSecret)
	refused(t, h.get(authorization("Bearer "+repeated("a", 32))), 401,
		`Bearer realm="api", error="invalid_token", resource_metadata="`+url+`"`, plainSecret)
	for _, bad := range []string{"/relative", "https://a/\r\nb", "::", "https://a/\x7f"} {
		m := auth.Middleware{ResourceMetadata: bad}
		require.Panics(t, func() { m.Require(f.bearer) }, bad)
	}
}

func TestOnError(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	var got error
	m := auth.Middleware{OnError: func(w http.ResponseWriter, r *http.Request, err error) {
		got = err
		w.WriteHeader(http.StatusTeapot)
	}}
	h := behind(func(next http.Handler) http.Handler {
		return m.Require(f.bearer, f.cookie)(m.RequireScope("write")(next))
	})
	for _, test := range []struct {
		name      string
		edits     []edit
		status    int
		want      auth.Error
		challenge string
	}{
		{"nobody", nil, 401, auth.Error{Reason: auth.ReasonMissing, Err: auth.ErrNoCredential}, plainBearer},
		{"unknown", []edit{authorization("Bearer x")}, 401, auth.Error{Scheme: "Bearer", Reason: auth.ReasonUnknown, Err: auth.ErrInvalidCredential}, badToken},
		{"malformed", []edit{authorization("Bearer")}, 400, auth.Error{Scheme: "Bearer", Reason: auth.ReasonMalformed, Err: auth.ErrMalformed}, badRequest},
		{"a stale cookie", []edit{field("Cookie", "__Host-session=x")}, 401, auth.Error{Scheme: "Cookie", Reason: auth.ReasonForged, Err: auth.ErrInvalidCredential}, plainBearer},
		{"scope", []edit{authorization("Bearer " + f.token("ada", "read"))}, 403, auth.Error{Scheme: "Bearer", Scopes: []string{"write"}, Reason: auth.ReasonScope, Err: auth.ErrInsufficientScope}, `Bearer realm="api", error="insufficient_scope", scope="write"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := h.get(test.edits...)
			require.Equal(t, http.StatusTeapot, w.Code)
			require.Equal(t, test.challenge, w.Header().Get("WWW-Authenticate"))
			require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
			require.Equal(t, "Cookie", w.Header().Get("Vary"))
			var e *auth.Error
			require.ErrorAs(t, got, &e)
			require.ErrorIs(t, got, test.want.Err)
			require.Equal(t, test.status, e.StatusCode())
			require.Equal(t, test.want, auth.Error{Scheme: e.Scheme, Scopes: e.Scopes, Reason: e.Reason, Err: e.Err})
			require.True(t, strings.HasPrefix(e.Error(), "auth: "))
		})
	}
}

// The writer is handed on as it is: what it can do, handlers can use.
func TestResponseWriterIsNotWrapped(t *testing.T) {
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

// A wrapper that compresses has set Content-Encoding before we answer.
func TestRefusalBehindCompression(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	h := f.all()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		zip := gzip.NewWriter(w)
		defer zip.Close()
		h.ServeHTTP(zipped{w, zip}, r)
	}))
	defer s.Close()
	res, err := http.Get(s.URL) // takes gzip off, if the header says so
	require.NoError(t, err)
	require.Contains(t, body(t, res), "about:blank")
}

// net/http removes the temporary files of its own request, and handlers get a copy.
func TestUploadsLeaveNoFiles(t *testing.T) {
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

func TestCheckScopeOfARequestsOwnWords(t *testing.T) {
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

func TestOptionalVariesOnAuthorization(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	require.Equal(t, "Authorization", behind(auth.Optional(f.bearer)).get().Header().Get("Vary"))
}

type zipped struct {
	http.ResponseWriter
	zip io.Writer
}

func (z zipped) Write(b []byte) (int, error) { return z.zip.Write(b) }

// An OnError that edits header values in place changes the answer to no other
// request.
func TestHeaderValuesOfOnErrorAreItsOwn(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	m := auth.Middleware{OnError: func(w http.ResponseWriter, r *http.Request, err error) {
		for _, values := range w.Header() {
			values[0] += ", spoilt"
		}
		auth.WriteError(w, r, err)
		for _, values := range w.Header() {
			values[0] += ", spoilt"
		}
	}}
	spoiling, other := behind(m.Optional(f.bearer, f.cookie)), behind(auth.Optional(f.bearer, f.cookie))
	for range 2 {
		spoiling.get(authorization("Bearer x"))
		w := other.get(authorization("Bearer x"))
		refused(t, w, 401, badToken)
		require.Equal(t, []string{"Cookie", "Authorization"}, w.Header().Values("Vary"))
	}
}

// Of an Error that an authenticator returns, Reason and Err count.
func TestScopeErrorOfAnAuthenticator(t *testing.T) {
	t.Parallel()
	err := &auth.Error{Scopes: []string{"a\r\nX: y"}, Err: auth.ErrInsufficientScope}
	w := behind(auth.Require(fakeAuthenticator{scheme: "Bearer", err: err})).get(authorization("Bearer x"))
	refused(t, w, 403, `Bearer realm="api", error="insufficient_scope"`)
}

func TestErrorKeepsItsRoute(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	h := auth.Require(f.bearer)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, err := new(auth.Middleware).Authenticate(r, f.secret)
		auth.WriteError(w, r, err)
	}))
	w := newRecorder()
	h.ServeHTTP(w, request("GET", authorization("Bearer "+f.token("ada"))))
	refused(t, w, 401, plainSecret)
}

func TestVaryOfOthersIsNotWrittenTo(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	shared := append(make([]string, 0, 4), "Origin")
	w := newRecorder()
	w.Header()["Vary"] = shared
	f.all().ServeHTTP(w, request("GET"))
	require.Empty(t, shared[:2][1])
}

func TestChallengesOfARouteAreItsOwn(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	var seen []string
	m := auth.Middleware{OnError: func(w http.ResponseWriter, r *http.Request, err error) {
		seen = append(seen, w.Header().Get("WWW-Authenticate"))
		w.Header()["Www-Authenticate"][0] = "spoilt"
		w.WriteHeader(401)
	}}
	h := behind(m.Require(f.bearer))
	h.get()
	h.get()
	require.Equal(t, []string{plainBearer, plainBearer}, seen)
}

func TestOnErrorKnowsAnOutage(t *testing.T) {
	t.Parallel()
	var told error
	m := auth.Middleware{OnError: func(w http.ResponseWriter, r *http.Request, err error) { told = err }}
	behind(m.Require(fakeAuthenticator{scheme: "X", err: errors.New("x")})).get()
	require.ErrorIs(t, told, auth.ErrUnavailable)
}

func TestResourceMetadataWithoutAHost(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	m := auth.Middleware{ResourceMetadata: "https:///x"}
	require.Panics(t, func() { m.Require(f.bearer) })
}

func TestScopesInTheBodyStay(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	h := auth.Require(f.bearer)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		auth.WriteError(w, r, auth.CheckScope(r.Context(), "a b", "c"))
	}))
	w := newRecorder()
	h.ServeHTTP(w, request("GET", authorization("Bearer "+f.token("ada", "read"))))
	require.Contains(t, w.Body.String(), `["a b","c"]`)
}

// What Error says to clients is what WriteError writes.
func TestError_codes(t *testing.T) {
	t.Parallel()
	for err, want := range map[error]struct {
		status int
		code   string
	}{
		auth.ErrNoCredential:      {401, "missing_credential"},
		auth.ErrInvalidCredential: {401, "invalid_credential"},
		auth.ErrMalformed:         {400, "malformed_request"},
		auth.ErrInvalidArgument:   {400, "invalid_argument"},
		auth.ErrInsufficientScope: {403, "insufficient_scope"},
		auth.ErrCrossOrigin:       {403, "cross_origin"},
		auth.ErrNotFound:          {404, "not_found"},
		auth.ErrRevoked:           {404, "not_found"},
		auth.ErrConflict:          {409, "conflict"},
		auth.ErrLimit:             {409, "limit_reached"},
		auth.ErrUnavailable:       {503, "unavailable"},
		errors.New("canary"):      {503, "unavailable"},
		// An outage decides, whatever else an error wraps.
		errors.Join(auth.ErrInvalidCredential, auth.ErrUnavailable): {503, "unavailable"},
	} {
		e := &auth.Error{Err: err}
		require.Equal(t, want.status, e.StatusCode(), err)
		require.Equal(t, want.code, e.Code(), err)
		require.NotContains(t, e.Detail(), "canary")
		w := newRecorder()
		auth.WriteError(w, request("GET"), e)
		var problem struct {
			Status       int
			Code, Detail string
		}
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &problem))
		require.Equal(t, want.status, problem.Status)
		require.Equal(t, want.code, problem.Code)
		require.Equal(t, e.Detail(), problem.Detail)
	}
	bug := behind(auth.Require(fakeAuthenticator{scheme: "X", panics: "canary"})).get(authorization("X a"))
	require.Equal(t, 500, bug.Code)
	require.JSONEq(t, `{"type":"about:blank","title":"Internal Server Error","status":500,"code":"internal","detail":"An internal error occurred."}`, bug.Body.String())
}
