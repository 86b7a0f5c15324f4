package client_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth/federate/client"
)

// Attacks on other services: a JWT that was not made for this one would let this one, or a person who
// reads its logs, use it there. It is not sent.
func TestToken_audience(t *testing.T) {
	t.Parallel()
	const apiServer = "https://kubernetes.default.svc.cluster.local"
	for _, tt := range []struct {
		name  string
		claim any
		sent  bool
	}{
		{"that of the rule", audience, true},
		{"a list of that of the rule, as in Kubernetes", []string{audience}, true},
		{"that of the rule and another", []string{audience, "https://other.example"}, false},
		{"that of the rule twice", []string{audience, audience}, false},
		{"that of the API server of a cluster", []string{apiServer}, false},
		{"GitHub's default", "https://github.com/acme", false},
		{"that of the rule as a prefix", audience + ".evil.example", false},
		{"in another case", "https://NOTES.example", false},
		{"an empty list", []string{}, false},
		{"null", nil, false},
		{"a number", 1, false},
		{"an object", map[string]string{audience: audience}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := &service{}
			c := newClient(t, config(s, always(newJWT(map[string]any{"aud": tt.claim}))))
			_, err := c.Token(t.Context())
			if tt.sent {
				require.NoError(t, err)
				require.Equal(t, 1, s.count())
				return
			}
			require.ErrorContains(t, err, "JWT")
			require.Zero(t, s.count())
		})
	}
	t.Run("none, as in tokens of service accounts that do not expire", func(t *testing.T) {
		t.Parallel()
		s := &service{}
		_, err := newClient(t, config(s, always(newJWT(nil)))).Token(t.Context())
		require.ErrorContains(t, err, "not for the audience")
		require.Zero(t, s.count())
	})
}

func TestToken_notAJWT(t *testing.T) {
	t.Parallel()
	for _, found := range []string{"", "canary", "canary.canary", "canary.canary.canary.canary", "canary.!.canary", "e30.e30.e30\n", newJWT(map[string]any{"aud": audience}) + " ", "e30." + string(make([]byte, 40<<10)) + ".e30"} {
		s := &service{}
		_, err := newClient(t, config(s, always(found))).Token(t.Context())
		require.Error(t, err)
		require.NotContains(t, err.Error(), "canary")
		require.Zero(t, s.count())
	}
}

// The first Source that has a JWT is used. If none has one, the error says what was looked for.
func TestToken_sources(t *testing.T) {
	t.Setenv("ACTIONS_ID_TOKEN_REQUEST_URL", "")
	t.Setenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "")
	t.Setenv("GITHUB_ACTIONS", "")
	t.Setenv("NOTES_ID_TOKEN", "")
	path := filepath.Join(t.TempDir(), "token")
	all := []client.Source{client.GitHubActions(), client.Variable("NOTES_ID_TOKEN"), client.File(path)}
	_, err := newClient(t, config(&service{}, all...)).Token(t.Context())
	require.ErrorIs(t, err, client.ErrNoIdentity)
	for _, place := range []string{"ACTIONS_ID_TOKEN_REQUEST_URL", "NOTES_ID_TOKEN", path} {
		require.ErrorContains(t, err, place)
	}

	inFile, inVariable := newJWT(map[string]any{"aud": audience}), newJWT(map[string]any{"aud": audience})
	require.NoError(t, os.WriteFile(path, []byte(inFile+"\n"), 0o600))
	require.Equal(t, inFile, sent(t, all...))
	t.Setenv("NOTES_ID_TOKEN", inVariable)
	require.Equal(t, inVariable, sent(t, all...))
	g := &github{}
	g.setenv(t)
	require.Equal(t, g.issue(audience), sent(t, all...))
}

// sent returns the JWT that a Client sends.
func sent(t *testing.T, sources ...client.Source) string {
	t.Helper()
	s := &service{}
	_, err := newClient(t, config(s, sources...)).Token(t.Context())
	require.NoError(t, err)
	require.Len(t, s.forms, 1)
	return s.forms[0].Get("subject_token")
}

// A github is the endpoint of GitHub Actions that issues JWTs to jobs.
type github struct {
	answers   []http.HandlerFunc // instead of a JWT
	requests  []*http.Request
	audiences []string
}

const requestToken = "canary-request-token"

func (g *github) issue(audience string) string {
	return "e30.eyJhdWQiOiJodHRwczovL25vdGVzLmV4YW1wbGUifQ." + fmt.Sprintf("%x", audience)
}

// ServeHTTP answers as GitHub documents it: the URL in the environment has a query already, to which
// the job appends the audience.
func (g *github) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.requests = append(g.requests, r)
	g.audiences = append(g.audiences, r.URL.Query()["audience"]...)
	switch {
	case len(g.answers) > 0:
		answer := g.answers[0]
		g.answers = g.answers[1:]
		answer(w, r)
	case r.Method != http.MethodGet || r.URL.Query().Get("api-version") != "2.0":
		http.Error(w, "not found", http.StatusNotFound)
	case r.Header.Get("Authorization") != "Bearer "+requestToken:
		http.Error(w, "unauthorized", http.StatusUnauthorized)
	default:
		fmt.Fprintf(w, `{"count":1,"value":%q}`, g.issue(r.URL.Query().Get("audience")))
	}
}

// setenv sets the environment of a job that has the permission id-token: write.
func (g *github) setenv(t *testing.T) {
	t.Helper()
	t.Setenv("GITHUB_ACTIONS", "true")
	t.Setenv("ACTIONS_ID_TOKEN_REQUEST_URL", listen(t, g)+"/00000000/_apis/distributedtask/hubs/Actions/plans/1/jobs/2/idtoken?api-version=2.0")
	t.Setenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN", requestToken)
}

func TestGitHubActions(t *testing.T) {
	g := &github{}
	g.setenv(t)
	require.Equal(t, g.issue(audience), sent(t, client.GitHubActions()))
	require.Equal(t, []string{audience}, g.audiences)
}

// An audience with characters of a query does not become another parameter.
func TestGitHubActions_escapesTheAudience(t *testing.T) {
	g := &github{}
	g.setenv(t)
	const odd = "https://notes.example/?a=1&audience=https://bank.example#x y"
	jwt, err := client.GitHubActions().JWT(t.Context(), odd)
	require.NoError(t, err)
	require.Equal(t, g.issue(odd), jwt)
	require.Equal(t, []string{odd}, g.audiences)
}

func TestGitHubActions_withoutAQuery(t *testing.T) {
	g := &github{answers: []http.HandlerFunc{respond(200, `{"value":"e30.e30.e30"}`)}}
	t.Setenv("ACTIONS_ID_TOKEN_REQUEST_URL", listen(t, g))
	t.Setenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN", requestToken)
	_, err := client.GitHubActions().JWT(t.Context(), audience)
	require.NoError(t, err)
	require.Equal(t, []string{audience}, g.audiences)
}

// A job without the permission, such as one for a pull request from a fork, gets no URL.
func TestGitHubActions_withoutThePermission(t *testing.T) {
	t.Setenv("GITHUB_ACTIONS", "true")
	t.Setenv("ACTIONS_ID_TOKEN_REQUEST_URL", "")
	t.Setenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "")
	_, err := newClient(t, config(&service{}, client.GitHubActions())).Token(t.Context())
	require.ErrorIs(t, err, client.ErrNoIdentity)
	require.ErrorContains(t, err, "id-token: write")
}

func TestGitHubActions_fails(t *testing.T) {
	elsewhere := &github{}
	target := listen(t, elsewhere)
	for _, tt := range []struct {
		name    string
		answers []http.HandlerFunc
		want    string
	}{
		{"rejected", []http.HandlerFunc{respond(403, requestToken)}, "status 403"},
		{"a page", []http.HandlerFunc{respond(200, requestToken)}, "no JWT"},
		{"without a JWT", []http.HandlerFunc{respond(200, `{"count":0}`)}, "no JWT"},
		{"a redirect", []http.HandlerFunc{respond(307, "", "Location", target)}, "status 307"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := &github{answers: tt.answers}
			g.setenv(t)
			s := &service{}
			_, err := newClient(t, config(s, client.GitHubActions())).Token(t.Context())
			require.ErrorContains(t, err, tt.want)
			require.NotContains(t, err.Error(), requestToken)
			require.Len(t, g.requests, 1)
			require.Zero(t, s.count())
		})
	}
	require.Empty(t, elsewhere.requests, "the credential of the job goes to GitHub only")
}

// GitHub is asked again after an outage, as the endpoint is. This test replaces the default transport,
// and so is not parallel.
func TestGitHubActions_outage(t *testing.T) {
	g := &github{answers: []http.HandlerFunc{respond(503, ""), respond(500, ""), respond(429, "", "Retry-After", "9"), aborted}}
	t.Setenv("ACTIONS_ID_TOKEN_REQUEST_URL", "https://github.example/?api-version=2.0")
	t.Setenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN", requestToken)
	standard := http.DefaultTransport
	defer func() { http.DefaultTransport = standard }()
	http.DefaultTransport = direct{g}
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		requireToken(t, newClient(t, config(&service{}, client.GitHubActions())), "acme_pat_canary1")
		require.Greater(t, time.Since(began), 9*time.Second)
		require.Less(t, time.Since(began), 20*time.Second)
	})
	require.Len(t, g.requests, 5)

	// An error of the transport that quotes the request.
	http.DefaultTransport = quotingBase
	synctest.Test(t, func(t *testing.T) {
		_, err := newClient(t, config(&service{}, client.GitHubActions())).Token(t.Context())
		require.ErrorContains(t, err, "left out")
		require.NotContains(t, err.Error(), requestToken)
	})
}

// An attack: a step that may set variables has the credential of the job sent in the clear.
func TestGitHubActions_plainHTTP(t *testing.T) {
	t.Setenv("ACTIONS_ID_TOKEN_REQUEST_URL", "http://issuer.example/?api-version=2.0")
	t.Setenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN", requestToken)
	_, err := client.GitHubActions().JWT(t.Context(), audience)
	require.EqualError(t, err, "federate/client: ACTIONS_ID_TOKEN_REQUEST_URL must be an https URL: http is for loopback addresses")
}

// The kubelet replaces the directory of a projected volume: path is a link to a file in it.
func TestFile_isReplaced(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "token")
	replace := func(version, content string) {
		file := filepath.Join(dir, version)
		require.NoError(t, os.WriteFile(file, []byte(content), 0o600))
		require.NoError(t, os.Symlink(file, path+".new"))
		require.NoError(t, os.Rename(path+".new", path))
	}
	first, second := newJWT(map[string]any{"aud": audience}), newJWT(map[string]any{"aud": audience})
	synctest.Test(t, func(t *testing.T) {
		s := &service{}
		c := newClient(t, config(s, client.File(path)))
		replace("1", first)
		requireToken(t, c, "acme_pat_canary1")
		time.Sleep(8*time.Minute + 5*time.Second)
		requireToken(t, c, "acme_pat_canary1")
		synctest.Wait() // the file still has the JWT that was exchanged
		replace("2", second+"\n")
		time.Sleep(10 * time.Second)
		requireToken(t, c, "acme_pat_canary1")
		synctest.Wait()
		requireToken(t, c, "acme_pat_canary2")
		require.Equal(t, first, s.forms[0].Get("subject_token"))
		require.Equal(t, second, s.forms[1].Get("subject_token"))
	})
}

func TestFile_fails(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, err := client.File(dir).JWT(t.Context(), audience)
	require.Error(t, err)
	require.NotErrorIs(t, err, client.ErrNoIdentity, "it is there, so that no other Source may stand in for it")

	path := filepath.Join(dir, "token")
	require.NoError(t, os.WriteFile(path, make([]byte, 1<<20), 0o600))
	_, err = client.File(path+"/token").JWT(t.Context(), audience)
	require.Error(t, err)
	require.NotErrorIs(t, err, client.ErrNoIdentity)
	jwt, err := client.File(path).JWT(t.Context(), audience)
	require.NoError(t, err)
	require.Less(t, len(jwt), 64<<10, "no more is read")
	_, err = newClient(t, config(&service{}, client.File(path))).Token(t.Context())
	require.ErrorContains(t, err, "not a JWT")
}

// A Source of the program's own gets the audience, and a context that ends.
func TestSource(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var got string
		var left time.Duration
		c := newClient(t, config(&service{}, source(func(ctx context.Context, audience string) (string, error) {
			deadline, _ := ctx.Deadline()
			got, left = audience, time.Until(deadline)
			return fresh(ctx, audience)
		})))
		requireToken(t, c, "acme_pat_canary1")
		require.Equal(t, audience, got)
		require.Equal(t, 15*time.Second, left)
	})
}
