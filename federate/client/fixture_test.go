package client_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth/federate/client"
)

const audience = "https://notes.example"

var issuedJWTs atomic.Int64

// newJWT returns a JWT that is different each time. A Client does not verify signatures.
func newJWT(claims map[string]any) string {
	all := map[string]any{"iss": "https://issuer.example", "sub": "canary-subject", "jti": fmt.Sprint("canary-", issuedJWTs.Add(1))}
	for k, v := range claims {
		all[k] = v
	}
	payload, err := json.Marshal(all)
	if err != nil {
		panic(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(`{"alg":"ES256","kid":"canary-key"}`)) + "." + encode(payload) + "." + encode([]byte("canary-signature"))
}

// A source is a Source that is a function.
type source func(ctx context.Context, audience string) (string, error)

func (s source) JWT(ctx context.Context, audience string) (string, error) { return s(ctx, audience) }

// fresh has another JWT each time, as GitHub has.
var fresh = source(func(_ context.Context, audience string) (string, error) {
	return newJWT(map[string]any{"aud": audience}), nil
})

// always has the same JWT, as a job of GitLab CI has.
func always(jwt string) source {
	return func(context.Context, string) (string, error) { return jwt, nil }
}

// A service is the exchange endpoint. It answers with the next of answers or, if there is none, with
// another token that lives for ten minutes.
type service struct {
	mu       sync.Mutex
	answers  []http.HandlerFunc
	requests []*http.Request
	times    []time.Time
	forms    []url.Values
	issued   int
}

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	err := r.ParseForm()
	s.mu.Lock()
	s.requests, s.forms, s.times = append(s.requests, r), append(s.forms, r.PostForm), append(s.times, time.Now())
	var answer http.HandlerFunc
	if len(s.answers) > 0 {
		answer, s.answers = s.answers[0], s.answers[1:]
	}
	s.issued++
	token := fmt.Sprintf("acme_pat_canary%d", s.issued)
	s.mu.Unlock()
	switch {
	case err != nil:
		http.Error(w, err.Error(), http.StatusBadRequest)
	case answer != nil:
		answer(w, r)
	default:
		issue(token, 600)(w, r)
	}
}

// count returns the number of exchanges.
func (s *service) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.forms)
}

// next sets the answers to the next exchanges.
func (s *service) next(answers ...http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers = answers
}

func issue(token string, seconds int) http.HandlerFunc {
	return respond(http.StatusOK, fmt.Sprintf(`{"access_token":%q,"issued_token_type":"urn:ietf:params:oauth:token-type:access_token",`+
		`"token_type":"Bearer","expires_in":%d,"scope":"notes:write"}`, token, seconds))
}

// respond sends a response with headers, given as alternating names and values.
func respond(status int, body string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
}

func reject(code string) http.HandlerFunc {
	return respond(http.StatusBadRequest, fmt.Sprintf(`{"error":%q,"error_description":"No rule matches."}`, code))
}

var (
	unavailable = respond(http.StatusServiceUnavailable, `{"error":"temporarily_unavailable"}`)
	// aborted ends the connection without a response.
	aborted http.HandlerFunc = func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
)

var errReset = errors.New("connection reset")

// A direct RoundTripper calls a handler on the goroutine of the client: the connections of a server
// would keep the clock of a bubble from moving.
type direct struct{ http.Handler }

func (d direct) RoundTrip(r *http.Request) (resp *http.Response, err error) {
	defer func() {
		if v := recover(); v != nil {
			resp, err = nil, errReset
		}
	}()
	w := httptest.NewRecorder()
	d.ServeHTTP(w, r)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	resp = w.Result()
	resp.Request = r
	return resp, nil
}

// config returns the configuration for a Client whose endpoint is h, without a network.
func config(h http.Handler, sources ...client.Source) client.Config {
	return client.Config{
		Endpoint: "https://notes.example/federate", Rule: "publish", Audience: audience, Sources: sources,
		HTTPClient: &http.Client{Transport: direct{h}},
	}
}

func newClient(t testing.TB, cfg client.Config) *client.Client {
	t.Helper()
	c, err := client.New(cfg)
	require.NoError(t, err)
	return c
}

// serve starts a server, and returns the configuration of a Client for it.
func serve(t testing.TB, h http.Handler, sources ...client.Source) client.Config {
	t.Helper()
	cfg := config(h, sources...)
	cfg.Endpoint, cfg.HTTPClient = listen(t, h)+"/federate", nil
	return cfg
}

// listen starts a server and returns its URL.
func listen(t testing.TB, h http.Handler) string {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return srv.URL
}
