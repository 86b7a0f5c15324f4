package integration

import (
	"bufio"
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/federate"
	"github.com/seed-31c5bcb2/auth/redisstore"
	"github.com/seed-31c5bcb2/auth/sqlstore"
)

const exchangeVariable = "AUTH_TEST_EXCHANGE"

// An exchange is a process that exchanges JWTs, over a store that others share.
type exchange struct {
	Database, Driver, DSN string // of SQL
	Redis, Prefix         string // a URL; empty for SQL
	Issuer                string // a URL of this machine
	Certificate           []byte // of the issuer
}

// open returns the store.
func (e *exchange) open() (auth.Store, error) {
	if e.Redis != "" {
		option, err := rueidis.ParseURL(e.Redis)
		if err != nil {
			return nil, err
		}
		client, err := rueidis.NewClient(option)
		if err != nil {
			return nil, err
		}
		return redisstore.New(client, redisstore.Config{Prefix: e.Prefix, Timeout: patience})
	}
	db, err := sql.Open(e.Driver, e.DSN)
	if err != nil {
		return nil, err
	}
	d := databases[slices.IndexFunc(databases, func(d database) bool { return d.name == e.Database })]
	return sqlstore.New(db, d.dialect, sqlstore.Config{Timeout: patience})
}

// handler returns the endpoint of this process.
func (e *exchange) handler() (http.Handler, error) {
	certificate, err := x509.ParseCertificate(e.Certificate)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AddCert(certificate)
	store, err := e.open()
	if err != nil {
		return nil, err
	}
	bearer, err := auth.NewBearer(store, auth.BearerConfig{})
	if err != nil {
		return nil, err
	}
	return federate.New(federate.Config{
		Bearer: bearer, Store: store,
		Clients: map[string]*http.Client{e.Issuer: {Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}},
		Rule: func(context.Context, string) (federate.Rule, error) {
			return federate.Rule{
				Issuer: e.Issuer, Audience: "https://notes.example", Claims: map[string]string{"job": "deploy"}, UserID: "acme", Scopes: []string{"notes:write"},
			}, nil
		},
	})
}

// beExchange serves the endpoint until standard input ends.
func beExchange(text string) error {
	var e exchange
	if err := json.Unmarshal([]byte(text), &e); err != nil {
		return err
	}
	h, err := e.handler()
	if err != nil {
		return err
	}
	server := httptest.NewServer(h)
	fmt.Println(server.URL)
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// start runs e in a process of its own, and returns its URL.
func (e *exchange) start(t *testing.T) string {
	t.Helper()
	text, err := json.Marshal(e)
	require.NoError(t, err)
	cmd := exec.CommandContext(context.Background(), os.Args[0])
	cmd.Env = append(os.Environ(), exchangeVariable+"="+string(text))
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		require.NoError(t, stdin.Close())
		require.NoError(t, cmd.Wait())
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	require.NoError(t, err)
	return strings.TrimSuffix(line, "\n")
}

// newWorkloadIssuer returns an issuer, and a function that returns a JWT of it with another jti each time.
func newWorkloadIssuer(t *testing.T) (server *httptest.Server, issue func() string) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	encode := base64.RawURLEncoding.EncodeToString
	server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		document := map[string]any{"issuer": server.URL, "jwks_uri": server.URL + "/keys"}
		if r.URL.Path == "/keys" {
			document = map[string]any{"keys": []any{map[string]string{"kty": "OKP", "crv": "Ed25519", "kid": "k", "x": encode(public)}}}
		}
		_ = json.NewEncoder(w).Encode(document)
	}))
	t.Cleanup(server.Close)
	return server, func() string {
		now := time.Now().Unix()
		claims, err := json.Marshal(map[string]any{
			"iss": server.URL, "aud": "https://notes.example", "sub": "job", "job": "deploy", "jti": rand.Text(), "iat": now, "exp": now + 600,
		})
		require.NoError(t, err)
		signed := encode([]byte(`{"alg":"EdDSA","kid":"k"}`)) + "." + encode(claims)
		return signed + "." + encode(ed25519.Sign(private, []byte(signed)))
	}
}

// Two processes get the same JWTs at the same time. Each JWT gives one token, over every store.
func TestFederate_replayOverTwoProcesses(t *testing.T) {
	t.Parallel()
	test := func(t *testing.T, e exchange, issuer *httptest.Server, issue func() string) {
		e.Issuer, e.Certificate = issuer.URL, issuer.Certificate().Raw
		urls := []string{e.start(t), e.start(t)}
		for range 50 {
			form := url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"}, "assertion": {issue()}, "rule": {"deploy"}}
			answers := make(chan error, 4)
			for i := range cap(answers) {
				go func() { answers <- postExchange(urls[i%2], form) }()
			}
			issued := 0
			for range cap(answers) {
				if err := <-answers; err == nil {
					issued++
				} else {
					require.ErrorIs(t, err, errRepeated)
				}
			}
			require.Equal(t, 1, issued)
		}
		store, err := e.open()
		require.NoError(t, err)
		list, err := store.List(t.Context(), auth.KindToken, "acme", auth.Page{})
		require.NoError(t, err)
		require.Len(t, list, 50)
		require.NoError(t, store.(io.Closer).Close())
	}
	each(t, func(t *testing.T, d database) {
		source := d.make(t)
		d.over(t, source.open(t))
		issuer, issue := newWorkloadIssuer(t)
		test(t, exchange{Database: d.name, Driver: source.driver, DSN: source.dsn}, issuer, issue)
	})
	t.Run("Redis", func(t *testing.T) {
		t.Parallel()
		option := redisOption(t)
		prefix := redisPrefix(t, openRedis(t, option))
		issuer, issue := newWorkloadIssuer(t)
		test(t, exchange{Redis: cmp.Or(os.Getenv("AUTH_TEST_REDIS"), "redis://127.0.0.1:6379"), Prefix: prefix}, issuer, issue)
	})
}

var errRepeated = errors.New("the JWT was used before")

// postExchange returns errRepeated if the JWT was used before.
func postExchange(url string, form url.Values) error {
	resp, err := http.PostForm(url, form)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return err
	case resp.StatusCode == http.StatusOK:
		return nil
	case resp.StatusCode == http.StatusBadRequest && strings.Contains(string(body), "The JWT was used before."):
		return errRepeated
	}
	return fmt.Errorf("status %d: %s", resp.StatusCode, body)
}
