package integration

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/cachestore"
	"github.com/seed-31c5bcb2/auth/dbsc"
	"github.com/seed-31c5bcb2/auth/redisstore"
)

// A boundService is a process with sessions that are bound to devices.
type boundService struct {
	cookie  *auth.Cookie
	binding *dbsc.Binding
	handler http.Handler // for signed-in users
}

func newBoundService(t testing.TB, store auth.Store) *boundService {
	t.Helper()
	binding, err := dbsc.New(dbsc.Config{})
	require.NoError(t, err)
	cookie, err := auth.NewCookie(store, auth.CookieConfig{Keys: auth.Keys{[]byte("0123456789abcdef0123456789abcdef")}, Binding: binding})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, cookie.Close(context.Background())) })
	return &boundService{cookie, binding, auth.Require(cookie)(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))}
}

// A boundBrowser has the two cookies of a session, and the key.
type boundBrowser struct {
	t         testing.TB
	key       crypto.Signer
	cookies   map[string]string
	id        string
	challenge string
}

var (
	offered    = regexp.MustCompile(`challenge="([^"]+)"`)
	challenged = regexp.MustCompile(`^"([^"]+)"`)
)

func (b *boundBrowser) send(h http.Handler, path string, header map[string]string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("POST", "https://example.com"+path, nil)
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	for name, value := range header {
		r.Header.Set(name, value)
	}
	for name, value := range b.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	for _, c := range w.Result().Cookies() {
		b.cookies[c.Name] = c.Value
	}
	if found := challenged.FindStringSubmatch(w.Header().Get("Secure-Session-Challenge")); found != nil {
		b.challenge = found[1]
	}
	return w
}

// prove returns a proof by an ECDSA or RSA key.
func (b *boundBrowser) prove(challenge string, register bool) string {
	encode := base64.RawURLEncoding.EncodeToString
	head := map[string]any{"typ": "dbsc+jwt"}
	var jwk map[string]string
	switch key := b.key.(type) {
	case *ecdsa.PrivateKey:
		point, err := key.PublicKey.Bytes()
		require.NoError(b.t, err)
		head["alg"], jwk = "ES256", map[string]string{"kty": "EC", "crv": "P-256", "x": encode(point[1:33]), "y": encode(point[33:])}
	case *rsa.PrivateKey:
		head["alg"], jwk = "RS256", map[string]string{"kty": "RSA", "n": encode(key.N.Bytes()), "e": "AQAB"}
	}
	if register {
		head["jwk"] = jwk
	}
	header, err := json.Marshal(head)
	require.NoError(b.t, err)
	claims, err := json.Marshal(map[string]string{"jti": challenge})
	require.NoError(b.t, err)
	text := encode(header) + "." + encode(claims)
	return text + "." + encode(b.sign(text))
}

func (b *boundBrowser) sign(text string) []byte {
	hash := sha256.Sum256([]byte(text))
	if key, ok := b.key.(*ecdsa.PrivateKey); ok {
		r, s, err := ecdsa.Sign(rand.Reader, key, hash[:])
		require.NoError(b.t, err)
		signature := make([]byte, 64)
		r.FillBytes(signature[:32])
		s.FillBytes(signature[32:])
		return signature
	}
	signature, err := b.key.Sign(rand.Reader, hash[:], crypto.SHA256)
	require.NoError(b.t, err)
	return signature
}

// signIn signs alice in and returns the challenge of the registration.
func (b *boundBrowser) signIn(s *boundService) (offer string) {
	b.t.Helper()
	w := b.send(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, err := s.cookie.SignIn(w, r, "alice", auth.SessionOptions{Metadata: map[string]string{"plan": "pro"}})
		require.NoError(b.t, err)
	}), "/sign-in", nil)
	found := offered.FindStringSubmatch(w.Header().Get("Secure-Session-Registration"))
	require.NotNil(b.t, found)
	return found[1]
}

func (b *boundBrowser) register(s *boundService, offer string) int {
	w := b.send(s.binding, "/dbsc/registration", map[string]string{"Secure-Session-Response": b.prove(offer, true)})
	b.learn(w)
	return w.Code
}

func (b *boundBrowser) learn(w *httptest.ResponseRecorder) {
	var answer struct {
		ID string `json:"session_identifier"`
	}
	if w.Code == http.StatusOK {
		require.NoError(b.t, json.Unmarshal(w.Body.Bytes(), &answer))
		b.id = answer.ID
	}
}

func (b *boundBrowser) refresh(s *boundService) *httptest.ResponseRecorder {
	return b.send(s.binding, "/dbsc/refresh", map[string]string{
		"Sec-Secure-Session-Id": b.id, "Secure-Session-Response": b.prove(b.challenge, false),
	})
}

func (b *boundBrowser) get(s *boundService) int { return b.send(s.handler, "/", nil).Code }

func newBoundBrowser(t testing.TB, key crypto.Signer) *boundBrowser {
	return &boundBrowser{t: t, key: key, cookies: make(map[string]string)}
}

// rsaKey is the largest that is accepted. To make one takes seconds.
var rsaKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 4096) })

func ecdsaKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	return key
}

// twoStores are what two processes have over each engine.
func twoStores(t *testing.T, test func(t *testing.T, a, b auth.Store)) {
	each(t, func(t *testing.T, d database) {
		for _, cached := range []string{"", "cached"} {
			t.Run(map[string]string{"": "alone", "cached": "with a cache"}[cached], func(t *testing.T) {
				source := d.make(t)
				var a, b auth.Store = d.over(t, source.open(t)), d.over(t, source.open(t))
				if cached != "" {
					a, b = newCache(t, a, cachestore.Config{Timeout: patience}), newCache(t, b, cachestore.Config{Timeout: patience})
				}
				test(t, a, b)
			})
		}
	})
	t.Run("Redis", func(t *testing.T) {
		t.Parallel()
		a, _, prefix := openRedisStore(t, redisstore.Config{Timeout: patience})
		b := redisStoreOver(t, redisOption(t), redisstore.Config{Prefix: prefix, Timeout: patience})
		t.Cleanup(func() {
			require.NoError(t, a.Close())
			require.NoError(t, b.Close())
		})
		test(t, a, b)
	})
}

// A browser signs in at one process, registers at another, and is served by both.
func TestDBSC_twoProcesses(t *testing.T) {
	t.Parallel()
	twoStores(t, func(t *testing.T, storeA, storeB auth.Store) {
		a, b := newBoundService(t, storeA), newBoundService(t, storeB)
		large, err := rsaKey()
		require.NoError(t, err)
		for _, key := range []crypto.Signer{ecdsaKey(t), large} {
			browser := newBoundBrowser(t, key)
			offer := browser.signIn(a)
			require.Equal(t, http.StatusOK, browser.get(b), "its cache may have the session of before")
			thief := newBoundBrowser(t, ecdsaKey(t))
			thief.cookies["__Host-session"] = browser.cookies["__Host-session"]
			registered := time.Now()
			require.Equal(t, http.StatusOK, browser.register(b, offer))
			require.Equal(t, http.StatusConflict, thief.register(a, offer))

			session := boundSession(t, a)
			want, err := marshalKey(key)
			require.NoError(t, err)
			require.Equal(t, want, session.Sealed)
			require.Equal(t, "pro", session.Metadata.Get("plan"))
			for _, s := range []*boundService{a, b, a} {
				require.Equal(t, http.StatusOK, browser.get(s))
				w := browser.refresh(s)
				require.Equal(t, http.StatusOK, w.Code, w.Body)
				require.NotContains(t, w.Body.String(), "continue")
			}
			stolen := newBoundBrowser(t, ecdsaKey(t))
			stolen.cookies["__Host-session"], stolen.id, stolen.challenge = browser.cookies["__Host-session"], browser.id, browser.challenge
			require.Equal(t, http.StatusUnauthorized, stolen.get(a))
			require.Equal(t, http.StatusUnauthorized, stolen.get(b))
			require.Equal(t, http.StatusUnauthorized, stolen.refresh(b).Code)

			// The sign-out arrives at the other process, with the cookie of before unless the machine
			// has taken too long.
			last := thief
			if time.Since(registered) > 5*time.Second {
				last = browser
			}
			last.send(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				require.NoError(t, a.cookie.SignOut(w, r))
			}), "/sign-out", nil)
			list, err := b.cookie.List(t.Context(), "alice", auth.Page{})
			require.NoError(t, err)
			require.Empty(t, list)
			require.Contains(t, browser.refresh(a).Body.String(), `"continue":false`)
		}
	})
}

// boundSession returns the bound one of alice's sessions. The one of before is listed too, and has no
// fixed place if both were made in the same millisecond.
func boundSession(t *testing.T, s *boundService) *auth.Credential {
	t.Helper()
	sessions, err := s.cookie.List(t.Context(), "alice", auth.Page{})
	require.NoError(t, err)
	i := slices.IndexFunc(sessions, func(c auth.Credential) bool { return c.Bound() })
	require.GreaterOrEqual(t, i, 0)
	return &sessions[i]
}

// However registrations, a sign-out and a revocation in other processes meet, no session is left.
func TestDBSC_races(t *testing.T) {
	t.Parallel()
	twoStores(t, func(t *testing.T, storeA, storeB auth.Store) {
		a, b := newBoundService(t, storeA), newBoundService(t, storeB)
		for i := range 10 {
			browser := newBoundBrowser(t, ecdsaKey(t))
			offer := browser.signIn(a)
			before, err := a.cookie.List(t.Context(), "alice", auth.Page{})
			require.NoError(t, err)
			require.Len(t, before, 1)
			cookie := &http.Cookie{Name: "__Host-session", Value: browser.cookies["__Host-session"]}
			codes := make([]int, 2)
			var ended error
			var wg sync.WaitGroup
			for n, s := range []*boundService{a, b} {
				wg.Go(func() {
					other := newBoundBrowser(t, browser.key)
					other.cookies[cookie.Name] = cookie.Value
					codes[n] = other.register(s, offer)
				})
			}
			wg.Go(func() {
				switch i % 3 {
				case 0:
					r := httptest.NewRequest("POST", "https://example.com/sign-out", nil)
					r.AddCookie(cookie)
					ended = b.cookie.SignOut(httptest.NewRecorder(), r)
				case 1:
					ended = a.cookie.Revoke(t.Context(), "alice", before[0].ID)
				default:
					_, ended = b.cookie.RevokeAll(t.Context(), "alice")
				}
			})
			wg.Wait()
			require.NoError(t, ended)
			require.False(t, codes[0] == http.StatusOK && codes[1] == http.StatusOK, "both registrations: %v", codes)
			left, err := a.cookie.List(t.Context(), "alice", auth.Page{})
			require.NoError(t, err)
			require.Empty(t, left, "%d, %v", i, codes)
		}
	})
}

func marshalKey(key crypto.Signer) ([]byte, error) { return x509.MarshalPKIXPublicKey(key.Public()) }

// A renewal holds the requests of a browser back, so it has to be fast.
func BenchmarkDBSC_refresh(b *testing.B) {
	large, err := rsaKey()
	require.NoError(b, err)
	for name, key := range map[string]crypto.Signer{"ES256": ecdsaKey(b), "RS256 with 4096 bits": large} {
		b.Run(name, func(b *testing.B) {
			store, _ := databases[0].store(b)
			s := newBoundService(b, store)
			browser := newBoundBrowser(b, key)
			require.Equal(b, http.StatusOK, browser.register(s, browser.signIn(s)))
			header := map[string]string{"Sec-Secure-Session-Id": browser.id, "Secure-Session-Response": browser.prove(browser.challenge, false)}
			var took time.Duration
			for b.Loop() {
				start := time.Now()
				w := browser.send(s.binding, "/dbsc/refresh", header)
				took += time.Since(start)
				if w.Code != http.StatusOK {
					b.Fatal(w.Code, w.Body)
				}
			}
			require.Less(b, took/time.Duration(b.N), 2*time.Millisecond)
		})
	}
}
