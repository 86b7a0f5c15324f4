package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/examples/server/internal/demodata"
	"github.com/seed-31c5bcb2/auth/examples/server/internal/front"
)

// A demo is a running server, and the credentials that its start would have printed.
type demo struct {
	*server
	*demodata.Seeded
	storage *demodata.Storage
	url     string
}

func startDemo(t *testing.T) *demo {
	t.Helper()
	return startDemoWith(t, "memory:")
}

func startDemoWith(t *testing.T, store string) *demo {
	t.Helper()
	return startDemoOn(t, openStorage(t, store))
}

func startDemoOn(t *testing.T, storage *demodata.Storage) *demo {
	t.Helper()
	keys := auth.Keys{newKey()}
	s := newTestServer(t, storage, keys)
	seeded, err := storage.Seed(t.Context(), s.seedOptions(keys, false))
	require.NoError(t, err)
	srv := httptest.NewServer(s.routes())
	t.Cleanup(func() {
		srv.Close()
		require.NoError(t, s.close())
	})
	return &demo{s, seeded, storage, srv.URL}
}

func newTestServer(t *testing.T, storage *demodata.Storage, keys auth.Keys) *server {
	t.Helper()
	s, err := newServer(slog.New(slog.DiscardHandler), storage, keys, front.Config{})
	require.NoError(t, err)
	return s
}

func openStorage(t *testing.T, store string) *demodata.Storage {
	t.Helper()
	storage, err := demodata.Open(t.Context(), store, noEnvironment, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	t.Cleanup(func() { storage.Close() })
	return storage
}

func noEnvironment(string) (string, bool) { return "", false }

func newKey() []byte {
	key := make([]byte, 32)
	rand.Read(key)
	return key
}

func (d *demo) idOf(t *testing.T, name string) string {
	t.Helper()
	u, err := d.users.state.UserByName(t.Context(), name)
	require.NoError(t, err)
	return u.ID
}

// A client keeps cookies as a browser does, and does not follow redirects.
type client struct {
	t    *testing.T
	base string
	http http.Client
}

func (d *demo) client(t *testing.T) *client {
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &client{t, d.url, http.Client{Jar: jar, CheckRedirect: stay}}
}

// signedIn returns a client with a session of a user.
func (d *demo) signedIn(t *testing.T, name string) *client {
	c := d.client(t)
	res := c.post("/signin", d.form(name, ""))
	require.Equal(t, http.StatusSeeOther, res.status, res.body)
	return c
}

// form returns the sign-in form, filled in for a user.
func (d *demo) form(name, next string) url.Values {
	return url.Values{"username": {name}, "password": {d.Passwords[name]}, "next": {next}}
}

type response struct {
	status int
	header http.Header
	body   string
}

// do sends a request with headers, given as alternating names and values.
func (c *client) do(method, path, body string, header ...string) response {
	c.t.Helper()
	r, err := http.NewRequestWithContext(c.t.Context(), method, c.base+path, strings.NewReader(body))
	require.NoError(c.t, err)
	if !strings.HasPrefix(path, "/api/") {
		r.Header.Set("Accept", "text/html,*/*;q=0.8") // as a browser that opens a page
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	res, err := c.http.Do(r)
	require.NoError(c.t, err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	require.NoError(c.t, err)
	return response{res.StatusCode, res.Header, string(text)}
}

func (c *client) get(path string, header ...string) response {
	c.t.Helper()
	return c.do(http.MethodGet, path, "", header...)
}

func (c *client) post(path string, form url.Values, header ...string) response {
	c.t.Helper()
	return c.do(http.MethodPost, path, form.Encode(), append(header, "Content-Type", "application/x-www-form-urlencoded")...)
}

// note sends a JSON body to create a note.
func (c *client) note(body string, header ...string) response {
	c.t.Helper()
	return c.do(http.MethodPost, "/api/v1/notes", body, append(header, "Content-Type", "application/json")...)
}

// json parses the body as an object.
func (res response) json(t *testing.T) (object map[string]any) {
	t.Helper()
	require.NoError(t, json.Unmarshal([]byte(res.body), &object), res.body)
	return object
}

// requireProblem checks that a response is a problem document with this status.
func requireProblem(t *testing.T, res response, status int) {
	t.Helper()
	require.Equal(t, status, res.status, res.body)
	require.Equal(t, "application/problem+json", res.header.Get("Content-Type"))
	require.Equal(t, "no-store", res.header.Get("Cache-Control"))
	require.EqualValues(t, status, res.json(t)["status"])
	require.NotEmpty(t, res.json(t)["code"])
}

// A failingStore has an outage: of requests while down is set, and of lists and new credentials while
// failing is set.
type failingStore struct {
	auth.Store
	down, failing atomic.Bool
}

var errOutage = errors.New("the connection was refused")

func (s *failingStore) Lookup(ctx context.Context, kind auth.Kind, digest auth.Digest) (*auth.Credential, error) {
	if s.down.Load() {
		return nil, errOutage
	}
	return s.Store.Lookup(ctx, kind, digest)
}

func (s *failingStore) List(ctx context.Context, kind auth.Kind, userID string, page auth.Page) ([]auth.Credential, error) {
	if s.failing.Load() {
		return nil, errOutage
	}
	return s.Store.List(ctx, kind, userID, page)
}

func (s *failingStore) Create(ctx context.Context, c auth.Credential, limit int) error {
	if s.failing.Load() {
		return errOutage
	}
	return s.Store.Create(ctx, c, limit)
}
