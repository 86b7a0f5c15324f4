package auth_test

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

// What other sites can make a browser send, with a good cookie.
func TestCrossOriginRequests(t *testing.T) {
	t.Parallel()
	const host = "api.example.com"
	site := func(s ...string) edit { return field("Sec-Fetch-Site", s...) }
	origin := func(o ...string) edit { return field("Origin", o...) }
	websocket := func(r *http.Request) {
		r.Header.Set("Connection", "Upgrade")
		r.Header.Set("Upgrade", "WebSocket")
	}
	noHost := func(r *http.Request) { r.Host, r.Proto, r.ProtoMinor = "", "HTTP/1.0", 0 }
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
		{"typed in", "POST", []edit{site("none")}, true, false},
		{"no browser", "POST", nil, true, false},
		{"unknown value", "POST", []edit{site("other")}, false, false},
		{"two values", "POST", []edit{site("same-origin", "cross-site")}, false, false},
		{"two values, the other way round", "POST", []edit{site("cross-site", "same-origin")}, false, false},
		{"cross-site GET", "GET", []edit{site("cross-site")}, true, false},
		{"cross-site HEAD", "HEAD", []edit{site("cross-site")}, true, false},
		{"cross-site OPTIONS", "OPTIONS", []edit{site("cross-site")}, true, false},
		{"cross-site PUT", "PUT", []edit{site("cross-site")}, false, false},
		{"cross-site DELETE", "DELETE", []edit{site("cross-site")}, false, false},
		{"cross-site TRACE", "TRACE", []edit{site("cross-site")}, false, false},
		{"cross-site CONNECT", "CONNECT", []edit{site("cross-site")}, false, false},
		{"a method in lower case", "get", []edit{site("cross-site")}, false, false},
		{"an unknown method", "FROBNICATE", []edit{site("cross-site")}, false, false},
		{"an overridden method", "GET", []edit{site("cross-site"), field("X-HTTP-Method-Override", "DELETE")}, true, false},

		{"null", "POST", []edit{origin("null")}, false, false},
		{"null, same-origin under a referrer policy", "POST", []edit{origin("null"), site("same-origin")}, true, false},
		{"null without a host", "POST", []edit{origin("null"), noHost}, false, false},
		{"empty origin", "POST", []edit{origin("")}, false, false},
		{"empty origin and empty site", "POST", []edit{origin("null"), site(""), noHost}, false, false},
		{"own origin", "POST", []edit{origin("https://" + host)}, true, false},
		{"own host over http", "POST", []edit{origin("http://" + host)}, false, false},
		{"own host over http, with a plain connection behind a proxy", "POST", []edit{origin("http://" + host), plain}, false, false},
		{"own host over http, empty site", "POST", []edit{origin("http://" + host), site("")}, false, false},
		{"userinfo", "POST", []edit{origin("https://evil@" + host)}, false, false},
		{"another host", "POST", []edit{origin("https://evil.example")}, false, false},
		{"a longer host", "POST", []edit{origin("https://" + host + ".evil.example")}, false, false},
		{"another port", "POST", []edit{origin("https://" + host + ":8443")}, false, false},
		{"a path", "POST", []edit{origin("https://" + host + "/")}, false, false},
		{"two origins", "POST", []edit{origin("https://"+host, "https://evil.example")}, false, false},
		{"two origins in one field", "POST", []edit{origin("https://" + host + ", https://evil.example")}, false, false},
		{"junk", "POST", []edit{origin("://\x00")}, false, false},

		{"trusted", "POST", []edit{origin("https://ok.example")}, true, false},
		{"trusted, cross-site", "POST", []edit{origin("https://ok.example"), site("cross-site")}, true, false},
		{"trusted over http", "POST", []edit{origin("http://ok.example"), site("cross-site")}, false, false},
		{"trusted on another port", "POST", []edit{origin("https://ok.example:8443"), site("cross-site")}, false, false},
		{"trusted with a suffix", "POST", []edit{origin("https://ok.example.evil.example"), site("cross-site")}, false, false},
		{"trusted with a prefix", "POST", []edit{origin("https://notok.example"), site("cross-site")}, false, false},
		{"trusted beside another", "POST", []edit{origin("https://ok.example", "https://evil.example"), site("cross-site")}, false, false},
		{"trusted null", "POST", []edit{origin("null"), site("cross-site")}, false, false},

		{"WebSocket, own origin", "GET", []edit{websocket, origin("https://" + host)}, true, false},
		{"WebSocket, no browser", "GET", []edit{websocket}, true, false},
		{"WebSocket, another origin", "GET", []edit{websocket, origin("https://evil.example")}, false, false},
		{"WebSocket, cross-site", "GET", []edit{websocket, site("cross-site")}, false, false},
		{"WebSocket, trusted", "GET", []edit{websocket, origin("https://ok.example")}, true, false},
		{"WebSocket by its key alone", "GET", []edit{field("Sec-WebSocket-Key", "x"), origin("https://evil.example")}, false, false},

		{"development: own origin", "POST", []edit{origin("http://" + host), plain}, true, true},
		{"development: another", "POST", []edit{origin("http://evil.example"), plain}, false, true},
		{"development over TLS: plain origin", "POST", []edit{origin("http://" + host)}, false, true},
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
			// A sign-in has no cookie yet, and is refused by the same rule.
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

// The origin of a request says nothing against a credential that no browser adds
// by itself, and a cookie that is worth nothing says nothing against another one.
func TestOriginMattersForCookiesOnly(t *testing.T) {
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

// A refused cross-origin request is no use of the session.
func TestCrossOriginRequestIsNoUse(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	cookie := f.signIn("ada")
	require.Equal(t, 403, f.all().do("POST", withCookie(cookie), field("Sec-Fetch-Site", "cross-site")).Code)
	require.NoError(t, f.cookie.Close(t.Context()))
	require.Zero(t, f.store.touches.Load())
}
