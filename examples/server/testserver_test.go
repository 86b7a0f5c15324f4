package main

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

// A demo is the server as main runs it, and what its start would have printed.
type demo struct {
	*server
	*seeded
	url string
}

func startDemo(t *testing.T) *demo {
	t.Helper()
	return serveDemo(t, newTestServer(t, "memory:"))
}

func serveDemo(t *testing.T, s *server) *demo {
	t.Helper()
	made, err := s.seed(t.Context(), false)
	require.NoError(t, err)
	srv := httptest.NewServer(s.routes())
	t.Cleanup(func() {
		srv.Close()
		require.NoError(t, s.close())
	})
	return &demo{s, made, srv.URL}
}

// newTestServer is not seeded. What it has opened is closed in the end.
func newTestServer(t *testing.T, store string) *server {
	t.Helper()
	return newServerOver(t, openTestStorage(t, store), auth.Keys{newKey()})
}

func newServerOver(t *testing.T, storage *storage, keys auth.Keys) *server {
	t.Helper()
	s, err := newServer(slog.New(slog.DiscardHandler), storage, keys)
	require.NoError(t, err)
	return s
}

func openTestStorage(t *testing.T, store string) *storage {
	t.Helper()
	storage, err := openStorage(t.Context(), store, nothing, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	t.Cleanup(func() { storage.close() })
	return storage
}

func nothing(string) (string, bool) { return "", false }

func (d *demo) idOf(t *testing.T, name string) string {
	t.Helper()
	a, err := d.state.accountByName(t.Context(), name)
	require.NoError(t, err)
	return a.ID
}

// A client keeps cookies as a browser does, and follows no redirect.
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

// signedIn returns a client with the session of an account.
func (d *demo) signedIn(t *testing.T, name string) *client {
	c := d.client(t)
	res := c.post("/signin", d.form(name, ""))
	require.Equal(t, http.StatusSeeOther, res.status, res.body)
	return c
}

// form is the sign-in form, filled in for an account.
func (d *demo) form(name, next string) url.Values {
	return url.Values{"username": {name}, "password": {d.passwords[name]}, "next": {next}}
}

type answer struct {
	status int
	header http.Header
	body   string
}

// do sends a request with header fields, given as names and values by turns.
func (c *client) do(method, path, body string, header ...string) answer {
	c.t.Helper()
	r, err := http.NewRequestWithContext(c.t.Context(), method, c.base+path, strings.NewReader(body))
	require.NoError(c.t, err)
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	res, err := c.http.Do(r)
	require.NoError(c.t, err)
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	require.NoError(c.t, err)
	return answer{res.StatusCode, res.Header, string(got)}
}

func (c *client) get(path string, header ...string) answer {
	c.t.Helper()
	return c.do(http.MethodGet, path, "", header...)
}

func (c *client) post(path string, form url.Values, header ...string) answer {
	c.t.Helper()
	return c.do(http.MethodPost, path, form.Encode(), append(header, "Content-Type", "application/x-www-form-urlencoded")...)
}

// note posts a note as JSON.
func (c *client) note(body string, header ...string) answer {
	c.t.Helper()
	return c.do(http.MethodPost, "/api/v1/notes", body, append(header, "Content-Type", "application/json")...)
}

// json returns the answer's body as an object.
func (a answer) json(t *testing.T) (object map[string]any) {
	t.Helper()
	require.NoError(t, json.Unmarshal([]byte(a.body), &object), a.body)
	return object
}

// requireProblem checks that an answer is a problem document of that status.
func requireProblem(t *testing.T, a answer, status int) {
	t.Helper()
	require.Equal(t, status, a.status, a.body)
	require.Equal(t, "application/problem+json", a.header.Get("Content-Type"))
	require.Equal(t, "no-store", a.header.Get("Cache-Control"))
	require.EqualValues(t, status, a.json(t)["status"])
}
