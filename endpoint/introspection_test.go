package endpoint_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/endpoint"
)

const formType = "application/x-www-form-urlencoded"

// post sends a form with a token.
func post(t testing.TB, h http.Handler, token string, fields ...string) *httptest.ResponseRecorder {
	t.Helper()
	return do(t, h, "POST", "/oauth", url.Values{"token": {token}}.Encode(), append(fields, "Content-Type", formType)...)
}

func all(context.Context, *auth.Identity, *auth.Identity) (bool, error) { return true, nil }

// introspection returns a handler, and a Secret header of the caller gateway.
func (f *fixture) introspection(t testing.TB, change func(*endpoint.IntrospectionConfig)) (http.Handler, string) {
	t.Helper()
	cfg := endpoint.IntrospectionConfig{Bearer: f.bearer, Secret: f.secret, Allow: all, Middleware: auth.Middleware{Observe: f.observe}}
	if change != nil {
		change(&cfg)
	}
	h, err := endpoint.NewIntrospection(cfg)
	require.NoError(t, err)
	secret, _, err := f.secret.Issue(t.Context(), "gateway", auth.SecretOptions{Scopes: []string{"x"}, Lifetime: auth.NoExpiry})
	require.NoError(t, err)
	f.take()
	return h, "Secret " + secret
}

func TestNewIntrospection_active(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	h, caller := f.introspection(t, nil)
	token, c := f.token(t, "alice", "notes:read", "notes:write")
	w := post(t, h, token, "Authorization", caller)
	require.Equal(t, 200, w.Code)
	require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
	require.Equal(t, "application/json", w.Header().Get("Content-Type"))
	var got map[string]any
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &got))
	require.Equal(t, map[string]any{
		"active": true, "scope": "notes:read notes:write", "client_id": "alice", "sub": "alice", "token_type": "Bearer", "jti": c.ID,
		"exp": float64(c.ExpiresAt.Unix()), "iat": float64(c.CreatedAt.Unix()),
	}, got)
	forever, _, err := f.bearer.Issue(t.Context(), "alice", auth.TokenOptions{Name: "ci", Scopes: []string{auth.FullAccess}, Lifetime: auth.NoExpiry})
	require.NoError(t, err)
	body := post(t, h, forever, "Authorization", caller).Body.String()
	require.Contains(t, body, `"scope":"*"`)
	require.NotContains(t, body, `"exp"`)
}

// A caller cannot tell why a token is not active.
func TestNewIntrospection_inactive(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	h, caller := f.introspection(t, func(cfg *endpoint.IntrospectionConfig) {
		cfg.Middleware.Resolve = func(_ context.Context, id *auth.Identity) (any, error) {
			return nil, map[string]error{"disabled": auth.ErrInvalidCredential, "forbidden": auth.ErrForbidden, "old": auth.ErrReauthenticationRequired}[id.UserID]
		}
		cfg.Allow = func(_ context.Context, caller, token *auth.Identity) (bool, error) {
			return caller.UserID == "gateway" && token.UserID != "other", nil
		}
	})
	revoked, c := f.token(t, "alice")
	require.NoError(t, f.bearer.Revoke(t.Context(), "alice", c.ID))
	bound, _, err := f.bearer.Issue(t.Context(), "alice", auth.TokenOptions{
		Name: "ci", Scopes: []string{"x"}, Lifetime: time.Hour, Networks: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")},
	})
	require.NoError(t, err)
	tokens := map[string]string{
		"unknown": "acme_pat_0123456789abcdefghijklmnopqrstuv123456", "revoked": revoked, "malformed": "a b", "long": strings.Repeat("a", 600),
		"bound to networks": bound, "a secret": strings.TrimPrefix(caller, "Secret "),
	}
	for _, user := range []string{"disabled", "forbidden", "old", "other"} {
		tokens[user], _ = f.token(t, user)
	}
	good, _ := f.token(t, "alice")
	require.Contains(t, post(t, h, good, "Authorization", caller).Body.String(), `"active":true`)
	for name, token := range tokens {
		w := post(t, h, token, "Authorization", caller)
		require.Equal(t, 200, w.Code, name)
		require.Equal(t, "{\"active\":false}\n", w.Body.String(), name)
		require.Equal(t, http.Header{
			"Cache-Control": {"no-store"}, "Content-Type": {"application/json"}, "X-Content-Type-Options": {"nosniff"},
		}, w.Header(), name)
	}
}

func TestNewIntrospection_clientAddr(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	h, caller := f.introspection(t, func(cfg *endpoint.IntrospectionConfig) {
		cfg.ClientAddr = func(r *http.Request) netip.Addr {
			addr, _ := netip.ParseAddr(r.PostForm.Get("client_ip"))
			return addr
		}
	})
	token, _, err := f.bearer.Issue(t.Context(), "alice", auth.TokenOptions{
		Name: "ci", Scopes: []string{"x"}, Lifetime: time.Hour, Networks: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")},
	})
	require.NoError(t, err)
	for ip, want := range map[string]string{"192.0.2.1": `"active":true`, "198.51.100.1": `"active":false`, "x": `"active":false`} {
		form := url.Values{"token": {token}, "client_ip": {ip}}.Encode()
		require.Contains(t, do(t, h, "POST", "/", form, "Authorization", caller, "Content-Type", formType).Body.String(), want)
	}
}

// The address of the caller is not that of the client that has sent the token.
func TestNewIntrospection_addrOfTheCaller(t *testing.T) {
	t.Parallel()
	for name, clientAddr := range map[string]func(*http.Request) netip.Addr{
		"no ClientAddr": nil, "unknown": func(*http.Request) netip.Addr { return netip.Addr{} },
	} {
		f := newFixture(t)
		h, _ := f.introspection(t, func(cfg *endpoint.IntrospectionConfig) { cfg.ClientAddr = clientAddr })
		networks := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
		secret, _, err := f.secret.Issue(t.Context(), "office", auth.SecretOptions{Scopes: []string{"x"}, Lifetime: auth.NoExpiry, Networks: networks})
		require.NoError(t, err)
		bound, _, err := f.bearer.Issue(t.Context(), "alice", auth.TokenOptions{Name: "ci", Scopes: []string{"x"}, Lifetime: time.Hour, Networks: networks})
		require.NoError(t, err)
		free, _ := f.token(t, "alice")
		require.Contains(t, post(t, from("192.0.2.1", h), free, "Authorization", "Secret "+secret).Body.String(), `"active":true`, name)
		require.Contains(t, post(t, from("192.0.2.1", h), bound, "Authorization", "Secret "+secret).Body.String(), `"active":false`, name)
		require.Equal(t, 401, post(t, from("198.51.100.1", h), free, "Authorization", "Secret "+secret).Code, name)
	}
}

// RFC 6749 section 2.3.1: the user ID and the secret are form-encoded before they are joined.
func TestNewIntrospection_basic(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	h, _ := f.introspection(t, nil)
	token, _ := f.token(t, "alice")
	basic := func(pair string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(pair)) }
	const user = "a:b c+d%é"
	secret, _, err := f.secret.Issue(t.Context(), user, auth.SecretOptions{Scopes: []string{"x"}, Lifetime: auth.NoExpiry})
	require.NoError(t, err)
	escaped := url.QueryEscape(user) + ":" + url.QueryEscape(secret)
	for authorization, want := range map[string]int{
		basic(escaped): 200, basic("gateway:" + secret): 401, basic(user + ":" + secret): 400, basic(":" + secret): 401, basic(escaped + "x"): 401,
		basic(url.QueryEscape(user) + ":"): 400, basic(url.QueryEscape(user)): 400, basic("%zz:" + secret): 400, basic(""): 400,
		basic(url.QueryEscape(user) + ":%0d%0a" + secret): 400, basic(url.QueryEscape(user) + ":a+" + secret): 400,
		"Basic !": 400, "Basic": 400, "Basic a b": 400, "basic" + basic(escaped)[5:]: 200,
		"Basic " + strings.TrimRight(base64.StdEncoding.EncodeToString([]byte(escaped+"\x01")), "=") + "=": 400,
	} {
		require.Equal(t, want, post(t, h, token, "Authorization", authorization).Code, authorization)
	}
	f.take()
	require.Equal(t, 401, post(t, h, token, "Authorization", basic(escaped), "Sec-Fetch-Site", "none").Code)
	require.Equal(t, auth.ReasonBrowser, f.takeOne(t).Reason, "a browser cannot keep a secret")
}

func TestNewIntrospection_callers(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	h, secret := f.introspection(t, func(cfg *endpoint.IntrospectionConfig) { cfg.CallerScope = "introspect" })
	token, _ := f.token(t, "alice")
	with, _ := f.token(t, "gateway", "introspect")
	without, _ := f.token(t, "gateway", "notes:read")
	for authorization, want := range map[string]int{
		secret: 200, "Bearer " + with: 200, "Bearer " + without: 403, "Bearer x": 401, "": 401, "Digest x": 401, "Secret x": 401, "Bearer a b": 400,
	} {
		w := post(t, h, token, "Authorization", authorization)
		require.Equal(t, want, w.Code, authorization)
		require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
		if want != 200 {
			require.Contains(t, w.Body.String(), `{"error":"`)
			require.NotEmpty(t, w.Header().Get("WWW-Authenticate"))
		}
	}
	require.Contains(t, post(t, h, token).Header().Values("WWW-Authenticate"), `Basic realm="api"`)
	h, _ = newFixture(t).introspection(t, nil)
	require.Equal(t, 401, post(t, h, token, "Authorization", "Bearer "+with).Code, "no CallerScope, so no token is a caller's")
}

func TestForm_malformed(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	introspection, caller := f.introspection(t, nil)
	revocation, err := endpoint.NewRevocation(endpoint.RevocationConfig{Bearer: f.bearer, Observe: f.observe})
	require.NoError(t, err)
	token, _ := f.token(t, "alice")
	lookups := f.store.lookups.Load()
	for _, h := range []http.Handler{introspection, revocation} {
		for _, body := range []string{
			"", "token=", "token=a&token=b", "token=a&x=1&x=2", "token=%zz", "token=a;b=c", "other=a", "token=a&pad=" + strings.Repeat("a", 16<<10),
		} {
			w := do(t, h, "POST", "/?token="+token, body, "Authorization", caller, "Content-Type", formType)
			require.Equal(t, 400, w.Code, "%.50q", body)
			require.Equal(t, "{\"error\":\"invalid_request\"}\n", w.Body.String())
		}
		for _, contentType := range []string{"", "application/json", "multipart/form-data; boundary=x", "text/plain"} {
			require.Equal(t, 400, do(t, h, "POST", "/", "token="+token, "Authorization", caller, "Content-Type", contentType).Code, contentType)
		}
		w := do(t, h, "GET", "/?token="+token, "", "Authorization", caller)
		require.Equal(t, 405, w.Code)
		require.Equal(t, "POST", w.Header().Get("Allow"))
	}
	require.Equal(t, lookups, f.store.lookups.Load(), "the store is not asked")
}

func TestNewIntrospection_outage(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	var allowErr error
	h, caller := f.introspection(t, func(cfg *endpoint.IntrospectionConfig) {
		cfg.Allow = func(context.Context, *auth.Identity, *auth.Identity) (bool, error) { return true, allowErr }
		cfg.Middleware.Resolve = func(_ context.Context, id *auth.Identity) (any, error) {
			if id.UserID == "down" {
				return nil, errDown
			}
			return nil, nil
		}
	})
	token, _ := f.token(t, "alice")
	down, _ := f.token(t, "down")
	require.Equal(t, 503, post(t, h, down, "Authorization", caller).Code, "not inactive")
	f.take()
	allowErr = errDown
	w := post(t, h, token, "Authorization", caller)
	require.Equal(t, 503, w.Code)
	require.NotContains(t, w.Body.String(), "database")
	events := f.take()
	require.ErrorIs(t, events[len(events)-1].Err, errDown)
	f.store.down.Store(true)
	require.Equal(t, 503, post(t, h, token, "Authorization", caller).Code)
}

// Any developer can have a client secret, and one who asks about tokens of others must not go
// unnoticed.
func TestNewIntrospection_reportsWhoMayNotAsk(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	allowErr := error(nil)
	h, caller := f.introspection(t, func(cfg *endpoint.IntrospectionConfig) {
		cfg.Allow = func(context.Context, *auth.Identity, *auth.Identity) (bool, error) { return false, allowErr }
		cfg.ClientAddr = func(*http.Request) netip.Addr { return netip.MustParseAddr("198.51.100.1") }
	})
	token, _ := f.token(t, "alice")
	for want, err := range map[auth.Reason]error{auth.ReasonForbidden: nil, auth.ReasonUnavailable: errDown} {
		allowErr = err
		post(t, from("192.0.2.1", h), token, "Authorization", caller)
		events := f.take()
		e := events[len(events)-1]
		require.Equal(t, auth.EventRefused, e.Type)
		require.Equal(t, want, e.Reason)
		require.Equal(t, auth.SchemeSecret, e.Scheme)
		require.Equal(t, "gateway", e.UserID)
		require.NotEmpty(t, e.CredentialID)
		require.Equal(t, netip.MustParseAddr("192.0.2.1"), e.ClientAddr, "of the caller")
		require.Equal(t, "POST", e.Method)
		require.ErrorIs(t, e.Err, err)
	}
}

// A panic of Allow passes through, as a handler's does, and is no answer.
func TestNewIntrospection_panicOfAllow(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	h, caller := f.introspection(t, func(cfg *endpoint.IntrospectionConfig) {
		cfg.Allow = func(context.Context, *auth.Identity, *auth.Identity) (bool, error) { panic("a bug") }
	})
	token, _ := f.token(t, "alice")
	w := httptest.NewRecorder()
	r := httptest.NewRequestWithContext(t.Context(), "POST", "/", strings.NewReader(url.Values{"token": {token}}.Encode()))
	r.Header = http.Header{"Authorization": {caller}, "Content-Type": {formType}}
	require.Panics(t, func() { h.ServeHTTP(w, r) })
	require.Empty(t, w.Body.String())
}

// Asking about a token keeps it from looking used.
func TestNewIntrospection_countsNoUse(t *testing.T) {
	t.Parallel()
	for _, count := range []bool{false, true} {
		f := newFixture(t)
		h, caller := f.introspection(t, func(cfg *endpoint.IntrospectionConfig) { cfg.CountUse = count })
		token, c := f.token(t, "alice")
		require.Contains(t, post(t, h, token, "Authorization", caller).Body.String(), `"active":true`)
		require.NoError(t, f.bearer.Close(t.Context()))
		c, err := f.bearer.Get(t.Context(), "alice", c.ID)
		require.NoError(t, err)
		require.Equal(t, count, !c.LastUsedAt.IsZero())
	}
}

func TestNewIntrospection_config(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	_, err := endpoint.NewIntrospection(endpoint.IntrospectionConfig{})
	for _, field := range []string{"Bearer", "Allow", "Secret"} {
		require.ErrorContains(t, err, "IntrospectionConfig."+field)
	}
	for _, scope := range []string{"*", "a b", "\""} {
		_, err = endpoint.NewIntrospection(endpoint.IntrospectionConfig{Bearer: f.bearer, Allow: all, CallerScope: scope})
		require.ErrorContains(t, err, "CallerScope")
	}
	_, err = endpoint.NewIntrospection(endpoint.IntrospectionConfig{Bearer: new(auth.Bearer), Allow: all, CallerScope: "x"})
	require.ErrorContains(t, err, "zero *auth.Bearer")
}

func TestNewIntrospection_concurrent(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	h, caller := f.introspection(t, nil)
	tokens := map[string]string{}
	users := []string{"alice", "bob", "carol"}
	for _, user := range users {
		tokens[user], _ = f.token(t, user)
	}
	got, want := make([]string, 1000), make([]string, 1000)
	atOnce(len(got), func(i int) {
		user := users[i%3]
		var d struct{ Sub string }
		_ = json.Unmarshal(post(t, h, tokens[user], "Authorization", caller).Body.Bytes(), &d)
		got[i], want[i] = d.Sub, user
	})
	require.Equal(t, want, got)
}

// No credential of HTTP Basic is accepted but the encoded one, in any base64 and form encoding of it.
func FuzzBasic(f *testing.F) {
	fx := newFixture(f)
	h, _ := fx.introspection(f, nil)
	token, _ := fx.token(f, "alice")
	secret, _, err := fx.secret.Issue(f.Context(), "ä:b", auth.SecretOptions{Scopes: []string{"x"}, Lifetime: auth.NoExpiry})
	require.NoError(f, err)
	for _, pair := range []string{"%C3%A4%3Ab:" + secret, "a:b", "", ":", "%", "a:%zz", "+:+"} {
		f.Add(base64.StdEncoding.EncodeToString([]byte(pair)))
	}
	f.Fuzz(func(t *testing.T, credential string) {
		w := post(t, h, token, "Authorization", "Basic "+credential)
		require.Contains(t, []int{200, 400, 401}, w.Code)
		decoded, err := base64.StdEncoding.DecodeString(credential)
		user, plaintext, _ := strings.Cut(string(decoded), ":")
		user, _ = url.QueryUnescape(user)
		plaintext, _ = url.QueryUnescape(plaintext)
		require.Equal(t, err == nil && user == "ä:b" && plaintext == secret, w.Code == 200)
	})
}
