package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/examples/internal/exampletest"
	"github.com/seed-31c5bcb2/auth/examples/internal/testbrowser"
)

const password = "correct horse"

// A store can also make all sessions older.
type store struct {
	*exampletest.Store
	aged sync.Map // IDs of sessions whose sign-in is an hour old
}

func newStore() *store { return &store{Store: exampletest.NewStore()} }

func (s *store) Lookup(ctx context.Context, kind auth.Kind, d auth.Digest) (*auth.Credential, error) {
	c, err := s.Store.Lookup(ctx, kind, d)
	if err != nil {
		return nil, err
	}
	if _, aged := s.aged.Load(c.ID); aged {
		older := *c
		older.CreatedAt = c.CreatedAt.Add(-time.Hour)
		c = &older
	}
	return c, nil
}

// A site is the service in one deployment, over TLS.
type site struct {
	*service
	store      *store
	page, api  string      // the addresses of the user interface and the API
	spki       string      // of all certificates of the test
	cut        atomic.Bool // the API closes connections instead of answering
	mu         sync.Mutex
	visits     []visit
	identities tls.Certificate
}

// A visit is a request to the API, and its response.
type visit struct {
	request string // method and path
	origin  string
	cookie  bool // whether it had the session cookie
	status  int
	allowed string // Access-Control-Allow-Origin
}

// startSite serves the user interface in dist and the API on the given hosts, which may be one.
func startSite(t *testing.T, dist, uiHost, apiHost string, d deployment) *site {
	t.Helper()
	s := &site{store: newStore()}
	s.identities, s.spki = newCertificate(t, "*.example.test", "*.one.test", "*.two.test", "evil.test")
	var routes atomic.Pointer[http.Handler]
	s.api = s.serve(t, apiHost, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.record(*routes.Load(), w, r)
	}))
	s.page, d.apiOrigin = s.api, s.api
	if uiHost != apiHost {
		s.page = s.serve(t, uiHost, newUI(dist, s.api))
		d.uiOrigins = []string{s.page}
	}
	var err error
	s.service, err = newService(s.store, exampletest.Keys(), map[string]string{"ada": password, "grace": password}, d, 10*time.Minute)
	require.NoError(t, err)
	h := s.routes(newUI(dist, ""))
	routes.Store(&h)
	return s
}

// serve serves h with the certificate of the site, and returns the origin.
func (s *site) serve(t *testing.T, host string, h http.Handler) string {
	t.Helper()
	srv := httptest.NewUnstartedServer(h)
	srv.TLS = &tls.Config{Certificates: []tls.Certificate{s.identities}}
	srv.StartTLS()
	t.Cleanup(srv.Close)
	u, err := url.Parse(srv.URL)
	require.NoError(t, err)
	return "https://" + host + ":" + u.Port()
}

func (s *site) record(next http.Handler, w http.ResponseWriter, r *http.Request) {
	if s.cut.Load() {
		panic(http.ErrAbortHandler)
	}
	_, err := r.Cookie("__Host-session")
	watched := testbrowser.NewStatusWriter(w)
	next.ServeHTTP(watched, r)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.visits = append(s.visits, visit{
		r.Method + " " + r.URL.Path, r.Header.Get("Origin"), err == nil, watched.Status, w.Header().Get("Access-Control-Allow-Origin"),
	})
}

// visited returns the visits since the last call whose method and path is one of these.
func (s *site) visited(requests ...string) []visit {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := slices.DeleteFunc(slices.Clone(s.visits), func(v visit) bool { return !slices.Contains(requests, v.request) })
	s.visits = nil
	return found
}

// age makes the sign-in of each session too old to create tokens.
func (s *site) age(t *testing.T) {
	t.Helper()
	sessions, err := s.cookie.List(t.Context(), "ada", auth.Page{})
	require.NoError(t, err)
	require.NotEmpty(t, sessions)
	for _, session := range sessions {
		s.store.aged.Store(session.ID, true)
	}
}

func (s *site) revokeSessions(t *testing.T) {
	t.Helper()
	revoked, err := s.cookie.RevokeAll(t.Context(), "ada")
	require.NoError(t, err)
	require.Positive(t, revoked)
}

func (s *site) notesOf(user string) []string {
	s.notes.mu.Lock()
	defer s.notes.mu.Unlock()
	texts := []string{}
	for _, n := range s.notes.byUser[user] {
		texts = append(texts, n.Text)
	}
	return texts
}

// whileSlow calls use while requests about notes wait for their answers.
func (s *site) whileSlow(use func()) {
	s.notes.mu.Lock()
	defer s.notes.mu.Unlock()
	use()
}

// newCertificate returns a certificate for these names, and the hash of its key, by which Chromium
// can be told to trust it.
func newCertificate(t *testing.T, names ...string) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: names, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	leaf, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	sum := sha256.Sum256(leaf.RawSubjectPublicKeyInfo)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, base64.StdEncoding.EncodeToString(sum[:])
}
