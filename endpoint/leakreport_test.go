package endpoint_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/endpoint"
)

// A publisher signs reports, and serves its keys as GitHub does.
type publisher struct {
	mu      sync.Mutex
	keys    map[string]*ecdsa.PrivateKey
	fetches atomic.Int64
	err     error
	body    string // instead of the keys
}

func newPublisher(t testing.TB) *publisher {
	t.Helper()
	p := &publisher{keys: make(map[string]*ecdsa.PrivateKey)}
	p.add(t, "first", elliptic.P256())
	return p
}

func (p *publisher) add(t testing.TB, id string, curve elliptic.Curve) {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	require.NoError(t, err)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keys[id] = key
}

// RoundTrip answers a request for the keys.
func (p *publisher) RoundTrip(r *http.Request) (*http.Response, error) {
	p.fetches.Add(1)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil {
		return nil, p.err
	}
	type key struct {
		ID      string `json:"key_identifier"`
		Key     string `json:"key"`
		Current bool   `json:"is_current"`
	}
	var list []key
	for id, private := range p.keys {
		der, err := x509.MarshalPKIXPublicKey(&private.PublicKey)
		if err != nil {
			return nil, err
		}
		list = append(list, key{id, string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})), true})
	}
	body, err := json.Marshal(map[string]any{"public_keys": append(list, key{ID: "odd", Key: "x"})})
	if p.body != "" {
		body = []byte(p.body)
	}
	return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader(string(body))), Request: r}, err
}

func (p *publisher) sign(t testing.TB, id, body string) string {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	digest := sha256.Sum256([]byte(body))
	signature, err := ecdsa.SignASN1(rand.Reader, p.keys[id], digest[:])
	require.NoError(t, err)
	return base64.StdEncoding.EncodeToString(signature)
}

func report(t testing.TB, h http.Handler, id, signature, body string) *httptest.ResponseRecorder {
	t.Helper()
	return do(t, h, "POST", "/leaks", body, "GITHUB-PUBLIC-KEY-IDENTIFIER", id, "GITHUB-PUBLIC-KEY-SIGNATURE", signature)
}

func (f *fixture) leakReport(t testing.TB, p *publisher) http.Handler {
	t.Helper()
	h, err := endpoint.NewLeakReport(endpoint.LeakReportConfig{
		Bearer: f.bearer, Secret: f.secret, Client: &http.Client{Transport: p}, Observe: f.observe,
	})
	require.NoError(t, err)
	return h
}

func entry(token, url string) string {
	body, err := json.Marshal([]map[string]string{{"token": token, "type": "acme_pat", "url": url, "source": "content"}})
	if err != nil {
		panic(err)
	}
	return string(body)
}

// GitHub's documentation has a signed example, and GitHub publishes the key for it.
func TestNewLeakReport_exampleOfGitHub(t *testing.T) {
	t.Parallel()
	const (
		keys = `{"public_keys":[
			{"key_identifier":"90a421169f0a406205f1563a953312f0be898d3c7b6c06b681aa86a874555f4a","key":"-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE9MJJHnMfn2+H4xL4YaPDA4RpJqUq\nkCmRCBnYERxZanmcpzQSXs1X/AljlKkbJ8qpVIW4clayyef9gWhFbNHWAA==\n-----END PUBLIC KEY-----\n","is_current":false},
			{"key_identifier":"bcb53661c06b4728e59d897fb6165d5c9cda0fd9cdf9d09ead458168deb7518c","key":"-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEYAGMWO8XgCamYKMJS6jc/qgvSlAd\nAjPuDPRcXU22YxgBrz+zoN19MzuRyW87qEt9/AmtoNP5GrobzUvQSyJFVw==\n-----END PUBLIC KEY-----\n","is_current":true}]}`
		id        = "bcb53661c06b4728e59d897fb6165d5c9cda0fd9cdf9d09ead458168deb7518c"
		signature = "MEQCIQDaMKqrGnE27S0kgMrEK0eYBmyG0LeZismAEz/BgZyt7AIfXt9fErtRS4XaeSt/AO1RtBY66YcAdjxji410VQV4xg=="
		body      = `[{"source":"commit","token":"some_token","type":"some_type","url":"https://example.com/base-repo-url/"}]`
	)
	p := newPublisher(t)
	p.body = keys
	h := newFixture(t).leakReport(t, p)
	w := report(t, h, id, signature, body)
	require.Equal(t, 200, w.Code, w.Body)
	require.JSONEq(t, `[{"token_hash":"9a45520a1213f15016d2d768b5fb3d904492a44ee274b44d4de8803e00fb536a","token_type":"some_type","label":"false_positive"}]`, w.Body.String())
	require.Equal(t, 401, report(t, h, id, signature, strings.Replace(body, "commit", "Commit", 1)).Code)
}

func TestNewLeakReport(t *testing.T) {
	t.Parallel()
	f, p := newFixture(t), newPublisher(t)
	var leaks []endpoint.Leak
	bearer, err := auth.NewBearer(f.store, auth.BearerConfig{Observe: func(ctx context.Context, e auth.Event) {
		leak, ok := endpoint.LeakFromContext(ctx)
		if ok && e.Type == auth.EventRevoked && e.Reason == auth.ReasonLeaked && e.UserID == "alice" {
			leaks = append(leaks, leak)
		}
	}})
	require.NoError(t, err)
	f.bearer = bearer
	h := f.leakReport(t, p)
	token, _ := f.token(t, "alice")
	secret, _, err := f.secret.Issue(t.Context(), "gateway", auth.SecretOptions{Scopes: []string{"x"}, Lifetime: auth.NoExpiry})
	require.NoError(t, err)
	body := `[{"token":"` + token + `","type":"acme_pat","url":"https://github.com/o/r/blob/c/f#L1","source":"content","new":1},` +
		`{"token":"` + secret + `","type":"acme_cs"},{"token":"unknown","type":"acme_pat","url":""}]`
	w := report(t, h, "first", p.sign(t, "first", body), body)
	require.Equal(t, 200, w.Code, w.Body)
	hash := func(token string) string {
		digest := sha256.Sum256([]byte(token))
		return hex.EncodeToString(digest[:])
	}
	require.JSONEq(t, `[{"token_hash":"`+hash(token)+`","token_type":"acme_pat","label":"true_positive"},
		{"token_hash":"`+hash(secret)+`","token_type":"acme_cs","label":"true_positive"},
		{"token_hash":"`+hash("unknown")+`","token_type":"acme_pat","label":"false_positive"}]`, w.Body.String())
	require.Equal(t, []endpoint.Leak{{Type: "acme_pat", URL: "https://github.com/o/r/blob/c/f#L1", Source: "content"}}, leaks)
	_, err = new(auth.Middleware).AuthenticateToken(t.Context(), token, f.bearer)
	require.ErrorIs(t, err, auth.ErrInvalidCredential)

	w = report(t, h, "first", p.sign(t, "first", body), body)
	require.NotContains(t, w.Body.String(), "true_positive", "they are revoked already")
	require.EqualValues(t, 1, p.fetches.Load())
}

// A client that could forge a report would learn which tokens are valid.
func TestNewLeakReport_signature(t *testing.T) {
	t.Parallel()
	f, p := newFixture(t), newPublisher(t)
	p.add(t, "p384", elliptic.P384())
	h := f.leakReport(t, p)
	token, _ := f.token(t, "alice")
	body := entry(token, "")
	good := p.sign(t, "first", body)
	raw, err := base64.StdEncoding.DecodeString(good)
	require.NoError(t, err)
	raw[len(raw)-1] ^= 1
	for name, test := range map[string][3]string{
		"another body":  {"first", p.sign(t, "first", body+" "), body},
		"flipped":       {"first", base64.StdEncoding.EncodeToString(raw), body},
		"empty":         {"first", "", body},
		"no base64":     {"first", "!", body},
		"long":          {"first", strings.Repeat("A", 400), body},
		"another key":   {"second", good, body},
		"another curve": {"p384", p.sign(t, "p384", body), body},
		"no key":        {"", good, body},
		"a long key":    {strings.Repeat("a", 300), good, body},
	} {
		w := report(t, h, test[0], test[1], test[2])
		require.Equal(t, 401, w.Code, name)
		require.Equal(t, auth.ReasonForged, f.takeOne(t).Reason, name)
	}
	w := do(t, h, "POST", "/", body, "Github-Public-Key-Identifier", "first", "Github-Public-Key-Signature", good, "Github-Public-Key-Signature", good)
	require.Equal(t, 401, w.Code)
	require.Equal(t, 405, do(t, h, "GET", "/", "").Code)
	require.Zero(t, f.store.lookups.Load())
	require.Equal(t, 200, report(t, h, "first", good, body).Code)
}

func TestNewLeakReport_malformed(t *testing.T) {
	t.Parallel()
	f, p := newFixture(t), newPublisher(t)
	h := f.leakReport(t, p)
	for _, body := range []string{"", "{}", "[]", "null", "[1]", `[{"token":""}]`, `[{}]`, "[", `[{"token":"a"}]x`, "[" + strings.Repeat(`{"token":"a"},`, 1000) + `{"token":"a"}]`,
		`[{"token":"` + strings.Repeat("a", 1<<20) + `"}]`} {
		require.Equal(t, 400, report(t, h, "first", p.sign(t, "first", body), body).Code, "%.40s", body)
	}
	require.Zero(t, f.store.lookups.Load())
}

// A URL is part of a mail to the owner, and anyone can publish a page that has one.
func TestLeakFromContext_url(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]string{
		"https://github.com/o/r": "https://github.com/o/r", "javascript:alert(1)": "", "http://a/": "", "https://a@b/": "", "https:///a": "",
		"https://a/\n": "", "https://a/" + strings.Repeat("a", 2048): "", "https://a/TOKEN": "", "": "",
	} {
		f, p := newFixture(t), newPublisher(t)
		got := "none"
		var err error
		f.bearer, err = auth.NewBearer(f.store, auth.BearerConfig{Observe: func(ctx context.Context, e auth.Event) {
			if leak, ok := endpoint.LeakFromContext(ctx); ok {
				got = leak.URL
			}
		}})
		require.NoError(t, err)
		token, _ := f.token(t, "alice")
		body := entry(token, strings.ReplaceAll(url, "TOKEN", token))
		require.Equal(t, 200, report(t, f.leakReport(t, p), "first", p.sign(t, "first", body), body).Code)
		require.Equal(t, want, got, url)
	}
	_, ok := endpoint.LeakFromContext(t.Context())
	require.False(t, ok)
}

func TestNewLeakReport_outage(t *testing.T) {
	t.Parallel()
	f, p := newFixture(t), newPublisher(t)
	h := f.leakReport(t, p)
	token, _ := f.token(t, "alice")
	body := entry(token, "")
	f.store.down.Store(true)
	w := report(t, h, "first", p.sign(t, "first", body), body)
	require.Equal(t, 503, w.Code, "so that the report comes again")
	require.NotContains(t, w.Body.String(), "positive")
	f.store.down.Store(false)
	require.Contains(t, report(t, h, "first", p.sign(t, "first", body), body).Body.String(), "true_positive")
}

// A corruptStore cannot read one of its records.
type corruptStore struct {
	auth.Store
	record auth.Digest
}

func (s corruptStore) Lookup(ctx context.Context, kind auth.Kind, d auth.Digest) (*auth.Credential, error) {
	if d == s.record {
		return nil, errors.New("the row is corrupt")
	}
	return s.Store.Lookup(ctx, kind, d)
}

// A token that cannot be looked up must not keep the others of its report valid.
func TestNewLeakReport_oneFails(t *testing.T) {
	t.Parallel()
	f, p := newFixture(t), newPublisher(t)
	bearer, err := auth.NewBearer(corruptStore{f.store, sha256.Sum256([]byte("corrupt"))}, auth.BearerConfig{Observe: f.observe})
	require.NoError(t, err)
	f.bearer = bearer
	h := f.leakReport(t, p)
	token, c := f.token(t, "alice")
	body := `[{"token":"corrupt"},{"token":"` + token + `"}]`
	require.Equal(t, 503, report(t, h, "first", p.sign(t, "first", body), body).Code)
	_, err = bearer.Get(t.Context(), "alice", c.ID)
	require.ErrorIs(t, err, auth.ErrNotFound)
}

// The store of tokens is unavailable, and a secret has leaked.
func TestNewLeakReport_otherStore(t *testing.T) {
	t.Parallel()
	f, other, p := newFixture(t), newFixture(t), newPublisher(t)
	f.secret = other.secret
	h := f.leakReport(t, p)
	secret, _, err := f.secret.Issue(t.Context(), "gateway", auth.SecretOptions{Scopes: []string{"x"}, Lifetime: auth.NoExpiry})
	require.NoError(t, err)
	f.store.down.Store(true)
	body := entry(secret, "")
	require.Contains(t, report(t, h, "first", p.sign(t, "first", body), body).Body.String(), "true_positive")
}

// A report of many tokens is no source of load on a store that is down.
func TestNewLeakReport_outageEndsEarly(t *testing.T) {
	t.Parallel()
	f, p := newFixture(t), newPublisher(t)
	h := f.leakReport(t, p)
	var tokens []string
	for i := range 1000 {
		tokens = append(tokens, `{"token":"`+strconv.Itoa(i)+`"}`)
	}
	body := "[" + strings.Join(tokens, ",") + "]"
	f.store.down.Store(true)
	require.Equal(t, 503, report(t, h, "first", p.sign(t, "first", body), body).Code)
	require.LessOrEqual(t, f.store.lookups.Load(), int64(20))
}

// A token that leaked to two pages is no false positive on the second.
func TestNewLeakReport_sameTokenTwice(t *testing.T) {
	t.Parallel()
	f, p := newFixture(t), newPublisher(t)
	h := f.leakReport(t, p)
	token, _ := f.token(t, "alice")
	body := `[{"token":"` + token + `","type":"a"},{"token":"` + token + `","type":"b"}]`
	var labels []map[string]string
	require.NoError(t, json.Unmarshal(report(t, h, "first", p.sign(t, "first", body), body).Body.Bytes(), &labels))
	require.Len(t, labels, 2)
	for i, want := range []string{"a", "b"} {
		require.Equal(t, want, labels[i]["token_type"])
		require.Equal(t, "true_positive", labels[i]["label"])
	}
}

// A client chooses the name of the key. It must not be able to cause many requests to the publisher.
func TestNewLeakReport_fetches(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f, p := newFixture(t), newPublisher(t)
		h := f.leakReport(t, p)
		body := entry("unknown", "")
		good := p.sign(t, "first", body)
		for i := range 100 {
			require.Equal(t, 401, report(t, h, "junk"+strconv.Itoa(i), good, body).Code)
		}
		require.EqualValues(t, 1, p.fetches.Load())
		for range 4 {
			time.Sleep(time.Minute)
			require.Equal(t, 401, report(t, h, "junk", good, body).Code)
		}
		require.EqualValues(t, 1, p.fetches.Load(), "GitHub answers 60 requests an hour, to all processes behind one address")
		time.Sleep(time.Minute)
		p.add(t, "second", elliptic.P256())
		require.Equal(t, 200, report(t, h, "second", p.sign(t, "second", body), body).Code, "a new key is fetched")
		require.EqualValues(t, 2, p.fetches.Load())
		time.Sleep(12 * time.Hour)
		require.Equal(t, 200, report(t, h, "first", good, body).Code)
		require.EqualValues(t, 2, p.fetches.Load())
		p.mu.Lock()
		delete(p.keys, "first")
		p.mu.Unlock()
		time.Sleep(12 * time.Hour)
		require.Equal(t, 401, report(t, h, "first", good, body).Code, "a key that was withdrawn counts for a day at most")

		p.err = errors.New("unreachable")
		time.Sleep(25 * time.Hour)
		f.take()
		require.Equal(t, 503, report(t, h, "second", p.sign(t, "second", body), body).Code)
		require.Equal(t, auth.ReasonUnavailable, f.takeOne(t).Reason)
		fetches := p.fetches.Load()
		require.Equal(t, 503, report(t, h, "second", good, body).Code)
		require.Equal(t, fetches, p.fetches.Load())
		p.err = nil
		time.Sleep(time.Minute)
		require.Equal(t, 200, report(t, h, "second", p.sign(t, "second", body), body).Code, "a fetch that failed is tried again soon")
	})
}

// A Transport that ignores its context must not have more requests under way the longer it hangs.
func TestNewLeakReport_oneFetchAtATime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f, p := newFixture(t), newPublisher(t)
		answer := make(chan struct{})
		h, err := endpoint.NewLeakReport(endpoint.LeakReportConfig{
			Bearer: f.bearer, Observe: f.observe,
			Client: &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
				<-answer
				return p.RoundTrip(r)
			})},
		})
		require.NoError(t, err)
		body := entry("unknown", "")
		good := p.sign(t, "first", body)
		codes := make(chan int, 2)
		for range 2 {
			go func() { codes <- report(t, h, "first", good, body).Code }()
			time.Sleep(10 * time.Minute)
		}
		close(answer)
		require.Equal(t, []int{200, 200}, []int{<-codes, <-codes})
		require.EqualValues(t, 1, p.fetches.Load())
	})
}

func TestNewLeakReport_badKeys(t *testing.T) {
	t.Parallel()
	for _, body := range []string{"x", "{}", `{"public_keys":[]}`, `{"public_keys":[{"key_identifier":"first","key":"x"}]}`, strings.Repeat(" ", 1<<20) + "{}"} {
		f, p := newFixture(t), newPublisher(t)
		p.body = body
		report := report(t, f.leakReport(t, p), "first", p.sign(t, "first", "[]"), "[]")
		require.Equal(t, 503, report.Code, "%.20s", body)
	}
}

// A redirect to plain HTTP would let anyone on the network path choose the keys.
func TestNewLeakReport_redirects(t *testing.T) {
	t.Parallel()
	for to, want := range map[string]int{
		"https://mirror.example/keys": 200, "http://mirror.example/keys": 503, "https://user@mirror.example/keys": 503, "ftp://mirror.example/keys": 503,
	} {
		f, p := newFixture(t), newPublisher(t)
		var asked []string
		h, err := endpoint.NewLeakReport(endpoint.LeakReportConfig{
			Bearer: f.bearer, Observe: f.observe, KeysURL: "https://keys.example/",
			Client: &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
				asked = append(asked, r.URL.String())
				if r.URL.Host == "keys.example" {
					return redirect(r, to), nil
				}
				return p.RoundTrip(r)
			})},
		})
		require.NoError(t, err)
		body := entry("unknown", "")
		require.Equal(t, want, report(t, h, "first", p.sign(t, "first", body), body).Code, to)
		if want != 200 {
			require.Equal(t, []string{"https://keys.example/"}, asked)
		}
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func redirect(r *http.Request, to string) *http.Response {
	w := httptest.NewRecorder()
	http.Redirect(w, r, to, http.StatusFound)
	return w.Result()
}

// The Client of a service has its own rules for redirects, which hold too.
func TestNewLeakReport_redirectsOfTheClient(t *testing.T) {
	t.Parallel()
	f, p := newFixture(t), newPublisher(t)
	var checked atomic.Int64
	client := &http.Client{
		Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			if r.URL.Path != "/keys" {
				return redirect(r, "/keys"), nil
			}
			return p.RoundTrip(r)
		}),
		CheckRedirect: func(*http.Request, []*http.Request) error {
			checked.Add(1)
			return errors.New("no redirects")
		},
	}
	h, err := endpoint.NewLeakReport(endpoint.LeakReportConfig{Bearer: f.bearer, Client: client, Observe: f.observe})
	require.NoError(t, err)
	body := entry("unknown", "")
	require.Equal(t, 503, report(t, h, "first", p.sign(t, "first", body), body).Code)
	require.EqualValues(t, 1, checked.Load())
}

// A loop of redirects ends.
func TestNewLeakReport_redirectLoop(t *testing.T) {
	t.Parallel()
	f, p := newFixture(t), newPublisher(t)
	var fetches atomic.Int64
	h, err := endpoint.NewLeakReport(endpoint.LeakReportConfig{
		Bearer: f.bearer, Observe: f.observe,
		Client: &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			fetches.Add(1)
			return redirect(r, "/again"), nil
		})},
	})
	require.NoError(t, err)
	body := entry("unknown", "")
	require.Equal(t, 503, report(t, h, "first", p.sign(t, "first", body), body).Code)
	require.LessOrEqual(t, fetches.Load(), int64(4))
}

// The keys are fetched on a goroutine of its own, where a panic would end the process.
func TestNewLeakReport_panicOfTheClient(t *testing.T) {
	t.Parallel()
	f, p := newFixture(t), newPublisher(t)
	h, err := endpoint.NewLeakReport(endpoint.LeakReportConfig{
		Bearer: f.bearer, Observe: f.observe,
		Client: &http.Client{Transport: roundTripper(func(*http.Request) (*http.Response, error) { panic("a bug") })},
	})
	require.NoError(t, err)
	body := entry("unknown", "")
	require.Equal(t, 503, report(t, h, "first", p.sign(t, "first", body), body).Code)
	err = f.takeOne(t).Err
	require.ErrorContains(t, err, "panicked")
	require.NotContains(t, err.Error(), "a bug", "it may be a credential")
}

// Nor may a Transport that ends that goroutine block all reports: the bubble would have a deadlock.
func TestNewLeakReport_endOfTheGoroutine(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f, p := newFixture(t), newPublisher(t)
		h, err := endpoint.NewLeakReport(endpoint.LeakReportConfig{
			Bearer: f.bearer, Observe: f.observe,
			Client: &http.Client{Transport: roundTripper(func(*http.Request) (*http.Response, error) { runtime.Goexit(); return nil, nil })},
		})
		require.NoError(t, err)
		body := entry("unknown", "")
		require.Equal(t, 503, report(t, h, "first", p.sign(t, "first", body), body).Code)
		require.ErrorContains(t, f.takeOne(t).Err, "ended its goroutine")
	})
}

// Requests at once share one fetch of the keys, and one of them revokes the token.
func TestNewLeakReport_concurrent(t *testing.T) {
	t.Parallel()
	f, p := newFixture(t), newPublisher(t)
	h := f.leakReport(t, p)
	token, _ := f.token(t, "alice")
	body := entry(token, "")
	signature := p.sign(t, "first", body)
	var revoked, junk atomic.Int64
	atOnce(1000, func(i int) {
		id := "first"
		if i%2 == 1 {
			id = "junk" + strconv.Itoa(i)
		}
		w := report(t, h, id, signature, body)
		if w.Code == 401 {
			junk.Add(1)
		}
		if strings.Contains(w.Body.String(), "true_positive") {
			revoked.Add(1)
		}
	})
	require.EqualValues(t, 500, junk.Load())
	require.EqualValues(t, 1, revoked.Load())
	require.EqualValues(t, 1, p.fetches.Load())
}

func TestNewLeakReport_config(t *testing.T) {
	t.Parallel()
	_, err := endpoint.NewLeakReport(endpoint.LeakReportConfig{KeysURL: "http://app.example/keys"})
	require.ErrorContains(t, err, "LeakReportConfig.Bearer")
	require.ErrorContains(t, err, "LeakReportConfig.KeysURL")
}

// No body makes the handler panic or answer with anything but a label for each token.
func FuzzNewLeakReport(f *testing.F) {
	fx, p := newFixture(f), newPublisher(f)
	h := fx.leakReport(f, p)
	for _, body := range []string{`[{"token":"a","type":"b","url":"https://a","source":"c"}]`, "[]", "{}", `[{"token":"\u0000"}]`, `[{"token":"a"},{"token":"a"}]`} {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body string) {
		w := report(t, h, "first", p.sign(t, "first", body), body)
		require.Contains(t, []int{200, 400}, w.Code)
		if w.Code == 200 {
			var sent, got []map[string]any
			require.NoError(t, json.Unmarshal([]byte(body), &sent))
			require.NoError(t, json.Unmarshal(w.Body.Bytes(), &got))
			require.Len(t, got, len(sent))
		}
	})
}
