package main

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"maps"
	"math/big"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/seed-31c5bcb2/auth/federate"
)

// The jobs that the simulated GitHub runs, by their request tokens: what it says about them.
const deploy, fork = "deploy", "fork"

var jobs = map[string]jwt.MapClaims{
	deploy: {
		"sub":        "repo:acme/notes:ref:refs/heads/main",
		"repository": "acme/notes", "repository_id": "724381", "repository_owner": "acme", "repository_owner_id": "9919",
		"repository_visibility": "private", "ref": "refs/heads/main", "ref_type": "branch", "event_name": "push", "actor": "alice",
		"workflow": "Deploy", "workflow_ref": "acme/notes/.github/workflows/deploy.yml@refs/heads/main",
		"job_workflow_ref": "acme/notes/.github/workflows/deploy.yml@refs/heads/main", "run_id": "1", "run_attempt": "1",
		"runner_environment": "github-hosted",
	},
	fork: {
		"sub":        "repo:mallory/notes:ref:refs/heads/main",
		"repository": "mallory/notes", "repository_id": "815162", "repository_owner": "mallory", "repository_owner_id": "3423",
		"repository_visibility": "public", "ref": "refs/heads/main", "ref_type": "branch", "event_name": "push", "actor": "mallory",
		"workflow": "Deploy", "workflow_ref": "mallory/notes/.github/workflows/deploy.yml@refs/heads/main",
		"job_workflow_ref": "mallory/notes/.github/workflows/deploy.yml@refs/heads/main", "run_id": "1", "run_attempt": "1",
		"runner_environment": "github-hosted",
	},
}

// A simulatedGitHub issues JWTs to jobs, and publishes the key that they are signed with.
type simulatedGitHub struct {
	http.ServeMux
	url string
	key *rsa.PrivateKey

	mu     sync.Mutex
	issued []string
}

func newSimulatedGitHub() (*simulatedGitHub, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	g := &simulatedGitHub{key: key}
	g.HandleFunc("GET /.well-known/openid-configuration", g.discovery)
	g.HandleFunc("GET /.well-known/jwks", g.keys)
	g.HandleFunc("GET /idtoken", g.idToken)
	return g, err
}

// client returns a client that finds the simulated GitHub where the real one is.
func (g *simulatedGitHub) client() *http.Client { return &http.Client{Transport: g} }

// RoundTrip sends a request for the real GitHub to the simulated one.
func (g *simulatedGitHub) RoundTrip(r *http.Request) (*http.Response, error) {
	to, err := url.Parse(g.url)
	if err != nil {
		return nil, err
	}
	r = r.Clone(r.Context())
	r.URL.Scheme, r.URL.Host = to.Scheme, to.Host
	return http.DefaultTransport.RoundTrip(r)
}

func (g *simulatedGitHub) discovery(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, map[string]any{
		"issuer": federate.GitHubIssuer, "jwks_uri": federate.GitHubIssuer + "/.well-known/jwks",
		"subject_types_supported": []string{"public", "pairwise"}, "response_types_supported": []string{"id_token"},
		"id_token_signing_alg_values_supported": []string{"RS256"}, "scopes_supported": []string{"openid"},
	})
}

func (g *simulatedGitHub) keys(w http.ResponseWriter, _ *http.Request) {
	encode := base64.RawURLEncoding.EncodeToString
	writeJSON(w, map[string]any{"keys": []map[string]string{{
		"kty": "RSA", "alg": "RS256", "use": "sig", "kid": "simulated",
		"n": encode(g.key.N.Bytes()), "e": encode(big.NewInt(int64(g.key.E)).Bytes()),
	}}})
}

// idToken issues a JWT to a job, for the audience that it asks for.
func (g *simulatedGitHub) idToken(w http.ResponseWriter, r *http.Request) {
	claims, ok := jobs[strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")]
	if !ok {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	claims, now := maps.Clone(claims), time.Now()
	maps.Copy(claims, jwt.MapClaims{
		"iss": federate.GitHubIssuer, "aud": r.URL.Query().Get("audience"), "jti": rand.Text(),
		"iat": now.Unix(), "nbf": now.Add(-5 * time.Minute).Unix(), "exp": now.Add(5 * time.Minute).Unix(),
	})
	token := jwt.NewWithClaims(jwt.SigningMethodRS256, claims)
	token.Header["kid"] = "simulated"
	signed, err := token.SignedString(g.key)
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	g.mu.Lock()
	g.issued = append(g.issued, signed)
	g.mu.Unlock()
	writeJSON(w, map[string]any{"count": len(signed), "value": signed})
}

// start sets the environment of this process, as the runner of GitHub Actions does for a job.
func (g *simulatedGitHub) start(job string) error {
	if err := os.Setenv("ACTIONS_ID_TOKEN_REQUEST_URL", g.url+"/idtoken?api-version=2.0"); err != nil {
		return err
	}
	return os.Setenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN", job)
}

// first returns the first JWT that was issued.
func (g *simulatedGitHub) first() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.issued[0]
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}
