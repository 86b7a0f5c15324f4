// Package exampletest contains what the tests of several examples share.
package exampletest

import (
	"context"
	"crypto/rand"
	"errors"
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

// Keys returns one random key.
func Keys() auth.Keys {
	key := make([]byte, 32)
	rand.Read(key)
	return auth.Keys{key}
}

// A Store is a MemoryStore whose lookups fail while Down is set, with an error that clients must
// not see.
type Store struct {
	*auth.MemoryStore
	Down atomic.Bool
}

// NewStore returns an empty Store.
func NewStore() *Store { return &Store{MemoryStore: auth.NewMemoryStore()} }

func (s *Store) Lookup(ctx context.Context, kind auth.Kind, d auth.Digest) (*auth.Credential, error) {
	if s.Down.Load() {
		return nil, errors.New("dial tcp 10.1.2.3:5432: connection refused")
	}
	return s.MemoryStore.Lookup(ctx, kind, d)
}

// Issue returns the plaintext of a new token of the user alice.
func Issue(t *testing.T, bearer *auth.Bearer, scopes ...string) string {
	t.Helper()
	token, _, err := bearer.Issue(t.Context(), "alice", auth.TokenOptions{Name: "script", Scopes: scopes, Lifetime: time.Hour})
	require.NoError(t, err)
	return token
}

// Status returns the status of a GET request for "/" with a token.
func Status(h http.Handler, token string) int {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code
}

// Send sends a request with headers, given as alternating names and values; those with
// an empty value are left out. It returns the response and its body.
func Send(t *testing.T, client *http.Client, method, url string, header ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	require.NoError(t, err)
	for i := 0; i < len(header); i += 2 {
		if header[i+1] != "" {
			req.Header.Set(header[i], header[i+1])
		}
	}
	resp, err := client.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp, string(body)
}

var hiddenField = regexp.MustCompile(`<input type="hidden" name="(\w+)" value="([^"]*)"[^>]*>`)

// FillIn adds the hidden fields of a page to a form.
func FillIn(page string, form url.Values) url.Values {
	for _, hidden := range hiddenField.FindAllStringSubmatch(page, -1) {
		form.Set(hidden[1], html.UnescapeString(hidden[2]))
	}
	return form
}

// Notes checks a router that serves GET and POST /notes to tokens and sessions, POST
// only with the scope notes:write. The handlers respond with "<user> by <scheme>".
func Notes(t *testing.T, routes http.Handler, bearer *auth.Bearer) {
	full, reader := Issue(t, bearer, auth.FullAccess), Issue(t, bearer, "notes:read")
	srv := httptest.NewServer(routes)
	t.Cleanup(srv.Close)
	for _, tt := range []struct {
		name, method, authorization string

		status    int
		body      string // if empty, the handler must not run
		challenge string
	}{
		{"token", "GET", "Bearer " + full, 200, "alice by Bearer\n", ""},
		{"no credential", "GET", "", 401, "", `Bearer realm="api"`},
		{"unknown token", "GET", "Bearer " + full + "x", 401, "", `Bearer realm="api", error="invalid_token"`},
		{"full access includes every scope", "POST", "Bearer " + full, 200, "alice by Bearer\n", ""},
		{"without the scope", "POST", "Bearer " + reader, 403, "", `Bearer realm="api", error="insufficient_scope", scope="notes:write"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			resp, body := Send(t, http.DefaultClient, tt.method, srv.URL+"/notes", "Authorization", tt.authorization)
			require.Equal(t, tt.status, resp.StatusCode)
			require.Equal(t, tt.challenge, resp.Header.Get("WWW-Authenticate"))
			require.Equal(t, []string{"Cookie"}, resp.Header.Values("Vary"))
			if tt.body == "" {
				require.NotContains(t, body, "alice", "the handler ran")
				require.Equal(t, "application/problem+json", resp.Header.Get("Content-Type"))
				return
			}
			require.Equal(t, tt.body, body, "the handler ran once")
		})
	}
}

// Revocation checks that two processes with one store accept a token, and reject it
// once it is revoked in the first, whose Bearer is given.
func Revocation(t *testing.T, bearer *auth.Bearer, first, second http.Handler) {
	t.Helper()
	token, c, err := bearer.Issue(t.Context(), "alice", auth.TokenOptions{Name: "script", Scopes: []string{auth.FullAccess}, Lifetime: auth.NoExpiry})
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, Status(first, token))
	require.Equal(t, http.StatusOK, Status(second, token))
	require.NoError(t, bearer.Revoke(t.Context(), "alice", c.ID))
	require.Equal(t, http.StatusUnauthorized, Status(first, token))
	revoked := func() bool { return Status(second, token) == http.StatusUnauthorized }
	require.Eventually(t, revoked, 6*time.Second, time.Millisecond)
}
