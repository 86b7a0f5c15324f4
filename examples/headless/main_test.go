package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/examples/internal/exampletest"
)

func TestParseFlags(t *testing.T) {
	t.Parallel()
	o, err := parseFlags(nil)
	require.NoError(t, err)
	require.Equal(t, options{addr: "localhost:8080", dist: "examples/headless/ui/dist", maxAge: 10 * time.Minute}, o)
	_, err = parseFlags([]string{"8080"})
	require.EqualError(t, err, `unexpected argument "8080"`)
}

// The service says which page to open, and how to build it.
func TestRun(t *testing.T) {
	t.Parallel()
	built := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(built, "index.html"), []byte("<title>Built</title>"+apiOriginPlaceholder), 0o600))
	for _, tt := range []struct {
		name  string
		flags []string

		page   string // of the log
		served string // by the page, if this program serves it
		lines  int    // of the log
	}{
		{"same origin", []string{"-ui", built}, `http://127\.0\.0\.1:\d+`, `<meta name="api-origin" content="">`, 1},
		{"not built", []string{"-ui", t.TempDir()}, `http://127\.0\.0\.1:\d+`, "make headless", 2},
		{"two origins", []string{"-ui", built, "-ui-addr", "localhost:0"}, `http://localhost:\d+`, `<meta name="api-origin" content="http://127.0.0.1:`, 1},
		{"two sites", []string{"-ui", built, "-ui-addr", "localhost:0", "-cross-site"}, `http://localhost:\d+`, `content="http://127.0.0.1:`, 1},
		{
			"other servers", []string{"-ui", built, "-ui-origin", "https://app.example.com", "-api-origin", "https://api.example.com"},
			`https://app\.example\.com`, "", 1,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			log, stop := startProgram(t, append(tt.flags, "-addr", "127.0.0.1:0"))
			opened := regexp.MustCompile(`^Open (` + tt.page + `) and sign in as ada with the password \w{26}$`).FindStringSubmatch(<-log)
			require.NotNil(t, opened)
			if tt.lines == 2 {
				require.Equal(t, "The user interface is not built: run make headless, which needs npm", <-log)
			}
			if tt.served != "" {
				_, body := exampletest.Send(t, http.DefaultClient, "GET", opened[1])
				require.Contains(t, body, tt.served)
			}
			require.NoError(t, stop())
			require.Empty(t, log)
		})
	}
}

func TestRun_invalid(t *testing.T) {
	t.Parallel()
	for _, flags := range [][]string{
		{"-addr", "127.0.0.1"},
		{"-addr", "127.0.0.1:0", "-ui-addr", "nowhere"},
		{"-addr", "127.0.0.1:0", "-ui-origin", "app.example.com"},
		{"-addr", "127.0.0.1:0", "-cross-site"}, // without an origin of the user interface
	} {
		o, err := parseFlags(flags)
		require.NoError(t, err)
		require.Error(t, run(t.Context(), o, t.Logf), "%q", flags)
	}
}

// startProgram returns the lines of its log.
func startProgram(t *testing.T, flags []string) (log <-chan string, stop func() error) {
	t.Helper()
	o, err := parseFlags(flags)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	lines, done := make(chan string, 10), make(chan error, 1)
	go func() {
		err := run(ctx, o, func(format string, args ...any) { lines <- fmt.Sprintf(format, args...) })
		if err != nil {
			lines <- err.Error()
		}
		done <- err
	}()
	return lines, func() error {
		cancel()
		return <-done
	}
}

// A client is signed in.
type client struct {
	http.Client
	*service
	store *store
	url   string
}

func newClient(t *testing.T, d deployment) *client {
	t.Helper()
	c := &client{store: newStore()}
	var err error
	c.service, err = newService(c.store, exampletest.Keys(), map[string]string{"ada": password}, d, time.Minute)
	require.NoError(t, err)
	srv := httptest.NewTLSServer(c.routes(newUI(t.TempDir(), "")))
	t.Cleanup(srv.Close)
	c.Client, c.url = *srv.Client(), srv.URL
	c.Jar, err = cookiejar.New(nil)
	require.NoError(t, err)
	res, body := c.send(t, "POST", "/api/session", `{"name": "ada", "password": "`+password+`"}`)
	require.Equal(t, http.StatusOK, res.StatusCode, body)
	return c
}

// send sends a request with a JSON body, if that is not empty.
func (c *client) send(t *testing.T, method, path, body string, header ...string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, c.url+path, strings.NewReader(body))
	require.NoError(t, err)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	res, err := c.Do(r)
	require.NoError(t, err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return res, string(text)
}

// The page with the settings themselves is not mounted, and without CORS no other origin is
// allowed anything.
func TestRoutes_sameOrigin(t *testing.T) {
	t.Parallel()
	c := newClient(t, deployment{})
	res, _ := c.send(t, "GET", "/settings/", "")
	require.Equal(t, http.StatusNotFound, res.StatusCode)
	res, _ = c.send(t, "GET", "/settings/api/openapi.json", "")
	require.Equal(t, http.StatusOK, res.StatusCode)
	res, _ = c.send(t, "GET", "/api/notes", "", "Origin", "https://evil.test")
	require.Empty(t, res.Header.Get("Access-Control-Allow-Origin"))
	res, _ = c.send(t, "OPTIONS", "/api/notes", "", "Origin", "https://evil.test", "Access-Control-Request-Method", "POST")
	require.Empty(t, res.Header.Get("Access-Control-Allow-Origin"))
}

// A user interface on another origin can send If-Match and read ETag, so that a change of a token
// does not undo another.
func TestRoutes_otherOrigin(t *testing.T) {
	t.Parallel()
	const ui = "https://app.example.test"
	c := newClient(t, deployment{uiOrigins: []string{ui}})
	for _, path := range []string{"/api/notes", "/settings/api/tokens/x"} {
		res, _ := c.send(t, "OPTIONS", path, "", "Origin", ui,
			"Access-Control-Request-Method", "PATCH", "Access-Control-Request-Headers", "content-type,idempotency-key,if-match")
		require.Equal(t, ui, res.Header.Get("Access-Control-Allow-Origin"))
		require.Equal(t, "PATCH", res.Header.Get("Access-Control-Allow-Methods"))
		require.Equal(t, "content-type,idempotency-key,if-match", res.Header.Get("Access-Control-Allow-Headers"))
	}
	res, _ := c.send(t, "GET", "/settings/api/tokens", "", "Origin", ui)
	require.Equal(t, http.StatusOK, res.StatusCode)
	require.NotEmpty(t, res.Header.Get("ETag"))
	require.Equal(t, "Etag", res.Header.Get("Access-Control-Expose-Headers"))
}

func TestNotes_limit(t *testing.T) {
	t.Parallel()
	c := newClient(t, deployment{})
	for range maxNotes {
		require.True(t, c.notes.add("ada", note{ID: "id", Text: "text"}))
	}
	res, body := c.send(t, "POST", "/api/notes", `{"text": "one more"}`)
	require.Equal(t, http.StatusConflict, res.StatusCode)
	require.Contains(t, body, "limit_reached")
}

func TestNewService_invalid(t *testing.T) {
	t.Parallel()
	_, err := newService(auth.NewMemoryStore(), nil, nil, deployment{}, 0)
	require.Error(t, err)
	require.False(t, errors.Is(err, auth.ErrUnavailable))
}
