package federate_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/federate"
)

const (
	audience     = "https://notes.example"
	issuerURL    = "https://issuer.example"
	grantJWT     = "urn:ietf:params:oauth:grant-type:jwt-bearer"
	grantToken   = "urn:ietf:params:oauth:grant-type:token-exchange"
	typeJWT      = "urn:ietf:params:oauth:token-type:jwt"
	typeIDToken  = "urn:ietf:params:oauth:token-type:id_token"
	typeAccess   = "urn:ietf:params:oauth:token-type:access_token"
	noMatch      = "The JWT is invalid, or does not match the rule."
	usedBefore   = "The JWT was used before."
	expiredSoon  = "The JWT has expired, or does within a minute."
	repositoryID = "724381"
)

// Keys take long to generate, so tests share them.
var (
	rsaKey      = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })
	otherRSAKey = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })
	shortRSAKey = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 1024)) })
	ecKey       = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) })
	ec384Key    = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)) })
	edKey       = sync.OnceValue(func() ed25519.PrivateKey {
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return must(key, err)
	})
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// An object is the header or the claims of a JWT.
type object map[string]any

// with returns a copy with some members set, and those deleted whose value is deleted.
func (o object) with(changes object) object {
	o = maps.Clone(o)
	maps.Copy(o, changes)
	maps.DeleteFunc(o, func(_ string, v any) bool { return v == deleted })
	return o
}

type deletion struct{}

var deleted = deletion{}

func encode(v any) string {
	text, ok := v.(string)
	if !ok {
		text = string(must(json.Marshal(v)))
	}
	return base64.RawURLEncoding.EncodeToString([]byte(text))
}

// sign returns a JWT. The header and the claims are objects, or any text. The key decides on how it is
// signed, and the header does not have to agree.
func sign(key any, header, claims any) string {
	signed := encode(header) + "." + encode(claims)
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature(key, signed))
}

func signature(key any, signed string) []byte {
	digest := sha256.Sum256([]byte(signed))
	switch key := key.(type) {
	case *rsa.PrivateKey:
		return must(rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, digest[:]))
	case pss:
		return must(rsa.SignPSS(rand.Reader, key.PrivateKey, crypto.SHA256, digest[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}))
	case *ecdsa.PrivateKey:
		size, sum := 32, digest[:]
		if key.Curve == elliptic.P384() {
			longer := sha512.Sum384([]byte(signed))
			size, sum = 48, longer[:]
		}
		r, s, err := ecdsa.Sign(rand.Reader, key, sum)
		must(0, err)
		return append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...)
	case ed25519.PrivateKey:
		return ed25519.Sign(key, []byte(signed))
	case secret:
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(signed))
		return mac.Sum(nil)
	case []byte:
		return key
	}
	panic(fmt.Sprintf("no signature by a %T", key))
}

type (
	pss    struct{ *rsa.PrivateKey }
	secret []byte // of an HMAC
)

// An issuer serves its discovery document and its keys.
type issuer struct {
	url string

	mu        sync.Mutex
	keys      []jose.JSONWebKey // if nil, all of allKeys
	discovery object            // overrides members of the document
	intercept http.Handler      // answers instead, if not nil
	requests  int               // of both documents
}

func newIssuer(url string) *issuer { return &issuer{url: url} }

// allKeys are of all kinds, and some of them must not be used.
func allKeys() []jose.JSONWebKey {
	return []jose.JSONWebKey{
		{Key: rsaKey().Public(), KeyID: "rsa", Use: "sig"},
		{Key: ecKey().Public(), KeyID: "ec", Use: "sig"},
		{Key: ec384Key().Public(), KeyID: "ec384"},
		{Key: edKey().Public(), KeyID: "ed"},
		{Key: otherRSAKey().Public(), KeyID: "encryption", Use: "enc"},
		{Key: otherRSAKey().Public(), KeyID: "pss only", Algorithm: "PS256"},
		{Key: shortRSAKey().Public(), KeyID: "short"},
		{Key: []byte("a symmetric key that an issuer publishes"), KeyID: "secret"},
		{Key: otherRSAKey(), KeyID: "private"},
	}
}

func (i *issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	i.requests++
	intercept, document, keys := i.intercept, object{"issuer": i.url, "jwks_uri": i.url + "/keys"}.with(i.discovery), jose.JSONWebKeySet{Keys: i.keys}
	i.mu.Unlock()
	switch {
	case intercept != nil:
		intercept.ServeHTTP(w, r)
	case strings.HasSuffix(r.URL.Path, "/.well-known/openid-configuration"):
		_ = json.NewEncoder(w).Encode(document)
	case strings.HasSuffix(r.URL.Path, "/keys"):
		if keys.Keys == nil {
			keys.Keys = allKeys()
		}
		_ = json.NewEncoder(w).Encode(keys)
	default:
		http.NotFound(w, r)
	}
}

func (i *issuer) change(f func(i *issuer)) {
	i.mu.Lock()
	defer i.mu.Unlock()
	f(i)
}

// count returns the number of requests since the last call.
func (i *issuer) count() (n int) {
	i.change(func(i *issuer) { n, i.requests = i.requests, 0 })
	return n
}

// client returns an HTTP client that reaches only this issuer, in memory, so that it can be part of a
// synctest bubble.
func (i *issuer) client() *http.Client { return &http.Client{Transport: inMemory{i}} }

type inMemory struct{ handler http.Handler }

func (m inMemory) RoundTrip(r *http.Request) (*http.Response, error) {
	answered := make(chan *http.Response, 1)
	go func() {
		w := httptest.NewRecorder()
		m.handler.ServeHTTP(w, r)
		answered <- w.Result()
	}()
	select {
	case resp := <-answered:
		resp.Request = r
		return resp, nil
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
}

// A fixture is an exchange endpoint with one rule, "deploy".
type fixture struct {
	t       testing.TB
	store   auth.Store
	bearer  *auth.Bearer
	issuer  *issuer
	rules   map[string]federate.Rule
	handler http.Handler

	mu     sync.Mutex
	events []auth.Event
}

func newFixture(t testing.TB, changes ...func(*federate.Config)) *fixture {
	t.Helper()
	f := &fixture{t: t, store: auth.NewMemoryStore(), issuer: newIssuer(issuerURL), rules: map[string]federate.Rule{"deploy": {
		Issuer: issuerURL, Audience: audience,
		Claims:   map[string]string{"repository_id": repositoryID},
		Patterns: map[string][]string{"ref": {"refs/heads/main", "refs/tags/v*"}},
		UserID:   "acme", Scopes: []string{"notes:read", "notes:write"},
	}}}
	f.bearer = must(auth.NewBearer(f.store, auth.BearerConfig{Prefix: "acme_pat", Observe: func(_ context.Context, e auth.Event) { f.notify(e) }}))
	cfg := federate.Config{
		Bearer: f.bearer, Store: f.store, Clients: map[string]*http.Client{issuerURL: f.issuer.client()},
		Rule: func(_ context.Context, name string) (federate.Rule, error) {
			rule, ok := f.rules[name]
			if !ok {
				return federate.Rule{}, auth.ErrNotFound
			}
			return rule, nil
		},
		Observe: func(_ context.Context, e auth.Event) { f.notify(e) },
	}
	for _, change := range changes {
		change(&cfg)
	}
	var err error
	f.handler, err = federate.New(cfg)
	require.NoError(t, err)
	return f
}

func (f *fixture) notify(e auth.Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.events = append(f.events, e)
}

// takeEvents returns the events since the last call.
func (f *fixture) takeEvents() []auth.Event {
	f.mu.Lock()
	defer f.mu.Unlock()
	events := f.events
	f.events = nil
	return events
}

// change changes the rule "deploy".
func (f *fixture) change(edit func(*federate.Rule)) {
	rule := f.rules["deploy"]
	edit(&rule)
	f.rules["deploy"] = rule
}

var rsaHeader = object{"alg": "RS256", "kid": "rsa", "typ": "JWT"}

// claims are those of a job that the rule accepts, with another jti each time.
func claims() object {
	now := time.Now()
	return object{
		"iss": issuerURL, "aud": audience, "sub": "repo:acme/notes:ref:refs/heads/main", "jti": rand.Text(),
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(10 * time.Minute).Unix(),
		"repository_id": repositoryID, "ref": "refs/heads/main",
	}
}

// jwt returns one that the rule accepts, except for the changes.
func jwt(changes object) string { return sign(rsaKey(), rsaHeader, claims().with(changes)) }

// post sends a form.
func (f *fixture) post(form url.Values) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(f.t.Context(), "POST", "/oauth/token", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	f.handler.ServeHTTP(w, r)
	return w
}

// exchange sends a JWT by the JWT bearer grant.
func (f *fixture) exchange(jwt string) *httptest.ResponseRecorder {
	return f.post(url.Values{"grant_type": {grantJWT}, "assertion": {jwt}, "rule": {"deploy"}})
}

// An answer is the body of a successful exchange.
type answer struct {
	Token     string `json:"access_token"`
	Issued    string `json:"issued_token_type"`
	Type      string `json:"token_type"`
	ExpiresIn int64  `json:"expires_in"`
	Scope     string `json:"scope"`
}

func requireToken(t testing.TB, w *httptest.ResponseRecorder) (a answer) {
	t.Helper()
	require.Equal(t, 200, w.Code, w.Body)
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &a))
	return a
}

// requireError checks the whole response.
func requireError(t testing.TB, w *httptest.ResponseRecorder, status int, code, description string) {
	t.Helper()
	require.Equal(t, status, w.Code, w.Body)
	require.JSONEq(t, fmt.Sprintf(`{"error":%q,"error_description":%q}`, code, description), w.Body.String())
	require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
	require.Equal(t, "application/json", w.Header().Get("Content-Type"))
}

// identity returns the identity that a handler gets for a token.
func (f *fixture) identity(token string) *auth.Identity {
	f.t.Helper()
	ctx, err := new(auth.Middleware).AuthenticateToken(f.t.Context(), token, f.bearer)
	require.NoError(f.t, err)
	id, _ := auth.FromContext(ctx)
	return id
}

// tokens returns those of the user of the rule.
func (f *fixture) tokens() []auth.Credential {
	f.t.Helper()
	list, err := f.bearer.List(f.t.Context(), "acme", auth.Page{})
	require.NoError(f.t, err)
	return list
}
