package dbsc_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/dbsc"
)

// A service has a sign-in, a sign-out, a page of the user, and the Binding.
type service struct {
	t       testing.TB
	store   auth.Store
	cookie  *auth.Cookie
	handler http.Handler

	mu     sync.Mutex
	events []auth.Event
}

type options struct {
	dbsc   dbsc.Config
	cookie auth.CookieConfig
	store  auth.Store
	plain  bool // without a Binding
}

var testKeys = auth.Keys{[]byte("0123456789abcdef0123456789abcdef")}

func newService(t testing.TB, o options) *service {
	t.Helper()
	s := &service{t: t, store: o.store}
	if s.store == nil {
		s.store = auth.NewMemoryStore()
	}
	if o.cookie.Keys == nil {
		o.cookie.Keys = testKeys
	}
	o.cookie.Observe = s.observe
	mux := http.NewServeMux()
	if !o.plain {
		binding, err := dbsc.New(o.dbsc)
		require.NoError(t, err)
		o.cookie.Binding = binding
		mux.Handle("/dbsc/", binding)
	}
	var err error
	s.cookie, err = auth.NewCookie(s.store, o.cookie)
	require.NoError(t, err)
	mux.HandleFunc("POST /sign-in/{user}", func(w http.ResponseWriter, r *http.Request) {
		if _, err := s.cookie.SignIn(w, r, r.PathValue("user"), auth.SessionOptions{}); err != nil {
			auth.WriteError(w, r, err)
		}
	})
	mux.HandleFunc("POST /sign-out", func(w http.ResponseWriter, r *http.Request) {
		if err := s.cookie.SignOut(w, r); err != nil {
			auth.WriteError(w, r, err)
		}
	})
	m := &auth.Middleware{Observe: s.observe}
	mux.Handle("/me", m.Require(s.cookie)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, _ := auth.FromContext(r.Context())
		_, _ = w.Write([]byte(id.UserID))
	})))
	s.handler = mux
	return s
}

func (s *service) observe(_ context.Context, e auth.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, e)
}

// reasons returns the reasons of all refusals so far, and forgets them.
func (s *service) reasons() (all []auth.Reason) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.events {
		if e.Type == auth.EventRefused {
			all = append(all, e.Reason)
		}
	}
	s.events = nil
	return all
}

// types returns the types of all events so far.
func (s *service) types() (all []auth.EventType) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.events {
		all = append(all, e.Type)
	}
	return all
}

// A signer is the key pair of a session.
type signer interface {
	algorithm() string
	jwk() map[string]any
	sign(text string) []byte
}

type ecKey struct{ *ecdsa.PrivateKey }

func newECKey(t testing.TB) ecKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	return ecKey{key}
}

func (ecKey) algorithm() string { return "ES256" }

func (k ecKey) jwk() map[string]any {
	point, _ := k.PublicKey.Bytes()
	return map[string]any{"kty": "EC", "crv": "P-256", "x": encode(point[1:33]), "y": encode(point[33:])}
}

func (k ecKey) sign(text string) []byte {
	hash := sha256.Sum256([]byte(text))
	r, s, _ := ecdsa.Sign(rand.Reader, k.PrivateKey, hash[:])
	signature := make([]byte, 64)
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return signature
}

type rsaKey struct{ *rsa.PrivateKey }

func newRSAKey(t testing.TB, bits int) rsaKey {
	key, err := rsa.GenerateKey(rand.Reader, bits)
	require.NoError(t, err)
	return rsaKey{key}
}

func (rsaKey) algorithm() string { return "RS256" }

func (k rsaKey) jwk() map[string]any {
	return map[string]any{"kty": "RSA", "n": encode(k.N.Bytes()), "e": "AQAB"}
}

func (k rsaKey) sign(text string) []byte {
	hash := sha256.Sum256([]byte(text))
	signature, _ := rsa.SignPKCS1v15(nil, k.PrivateKey, crypto.SHA256, hash[:])
	return signature
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// prove returns a proof as browsers make it. changes replace members of its header, or remove
// those that are nil.
func prove(k signer, challenge string, withKey bool, changes map[string]any) string {
	head := map[string]any{"typ": "dbsc+jwt", "alg": k.algorithm()}
	if withKey {
		head["jwk"] = k.jwk()
	}
	for name, value := range changes {
		if head[name] = value; value == nil {
			delete(head, name)
		}
	}
	h, _ := json.Marshal(head)
	claims, _ := json.Marshal(map[string]any{"jti": challenge})
	return signed(k, string(h), string(claims))
}

// signed returns a token of any header and claims.
func signed(k signer, head, claims string) string {
	text := encode([]byte(head)) + "." + encode([]byte(claims))
	return text + "." + encode(k.sign(text))
}

// A browser does what Chromium does with a service: it keeps cookies until they expire, registers
// a key after the sign-in, and renews the bound cookie before a request that would lack it.
type browser struct {
	t       testing.TB
	service *service
	key     signer // nil for a browser without DBSC

	cookies   map[string]stored
	id        string // of the session that it has registered; empty if there is none
	bound     string // the name of its cookie
	challenge string // to answer next
	renewals  int
	planted   string // a cookie of another host of the domain, which the browser sends too
}

type stored struct {
	value   string
	expires time.Time
}

func newBrowser(t testing.TB, s *service) *browser {
	return &browser{t: t, service: s, key: newECKey(t), cookies: make(map[string]stored)}
}

// copyCookies returns a thief's client, which has all cookies and not the key.
func (b *browser) copyCookies() *browser {
	return &browser{t: b.t, service: b.service, cookies: maps.Clone(b.cookies)}
}

// send sends one request with the cookies, and keeps those of the response.
func (b *browser) send(r *http.Request) *httptest.ResponseRecorder {
	r.Host = "example.com"
	for _, name := range slices.Sorted(maps.Keys(b.cookies)) {
		if c := b.cookies[name]; time.Now().Before(c.expires) {
			r.AddCookie(&http.Cookie{Name: name, Value: c.value})
		} else {
			delete(b.cookies, name)
		}
	}
	if b.planted != "" {
		r.Header.Set("Cookie", strings.TrimPrefix(r.Header.Get("Cookie")+"; "+b.planted, "; "))
	}
	w := httptest.NewRecorder()
	b.service.handler.ServeHTTP(w, r)
	for _, c := range w.Result().Cookies() {
		b.cookies[c.Name] = stored{c.Value, time.Now().Add(time.Duration(c.MaxAge) * time.Second)}
		if c.MaxAge < 0 {
			delete(b.cookies, c.Name)
		}
	}
	if found := challengeHeader.FindStringSubmatch(w.Header().Get("Secure-Session-Challenge")); found != nil && found[2] == b.id {
		b.challenge = found[1]
	}
	return w
}

var (
	challengeHeader    = regexp.MustCompile(`^"([^"]+)";id="([^"]+)"$`)
	registrationHeader = regexp.MustCompile(`^\((ES256 RS256|ES256|RS256)\);path="([^"]+)";challenge="([^"]+)"$`)
)

// do sends a request as pages do, and returns the status.
func (b *browser) do(method, path string) int {
	b.t.Helper()
	if _, has := b.cookies[b.bound]; b.id != "" && (!has || !time.Now().Before(b.cookies[b.bound].expires)) {
		b.renew()
	}
	w := b.send(httptest.NewRequest(method, path, nil))
	if offer := w.Header().Get("Secure-Session-Registration"); offer != "" && b.key != nil {
		found := registrationHeader.FindStringSubmatch(offer)
		require.NotNil(b.t, found, offer)
		b.register(found[2], prove(b.key, found[3], true, nil))
	}
	return w.Code
}

func (b *browser) register(path, proof string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("POST", path, nil)
	r.Header.Set("Origin", "https://example.com")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	r.Header.Set("Secure-Session-Response", proof)
	w := b.send(r)
	if w.Code == http.StatusOK {
		b.learn(w)
	}
	return w
}

// learn keeps the instructions of a response, and its challenge.
func (b *browser) learn(w *httptest.ResponseRecorder) {
	var got struct {
		ID          string `json:"session_identifier"`
		Credentials []struct{ Name string }
		Continue    *bool
	}
	require.NoError(b.t, json.Unmarshal(w.Body.Bytes(), &got))
	if got.Continue != nil && !*got.Continue {
		b.id, b.challenge = "", ""
		return
	}
	b.id, b.bound = got.ID, got.Credentials[0].Name
	if found := challengeHeader.FindStringSubmatch(w.Header().Get("Secure-Session-Challenge")); found != nil {
		b.challenge = found[1]
	}
}

// renew does what the draft calls a refresh.
func (b *browser) renew() {
	for range 3 {
		b.renewals++
		w := b.sendRefresh(b.id, b.challenge)
		switch {
		case w.Code == http.StatusOK:
			b.learn(w)
			return
		case w.Code >= 500:
			return
		case w.Code != http.StatusForbidden:
			b.id = ""
			return
		}
	}
}

// sendRefresh sends a renewal with a proof of a challenge, or without one.
func (b *browser) sendRefresh(id, challenge string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("POST", "/dbsc/refresh", nil)
	r.Header.Set("Sec-Secure-Session-Id", id)
	if challenge != "" {
		r.Header.Set("Secure-Session-Response", prove(b.key, challenge, false, nil))
	}
	return b.send(r)
}

func (b *browser) signIn(user string) {
	b.t.Helper()
	require.Equal(b.t, http.StatusOK, b.do("POST", "/sign-in/"+user))
}

// names returns the cookies that the browser has.
func (b *browser) names() string {
	return strings.Join(slices.Sorted(maps.Keys(b.cookies)), " ")
}

func jsonOf(v any) string {
	b, _ := json.Marshal(v)
	return string(b)
}
