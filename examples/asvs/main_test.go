package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/examples/internal/exampletest"
)

type testService struct {
	*service
	handler http.Handler
	logs    *bytes.Buffer
}

// start returns a service whose users give their name and a password that is "right".
func start(t *testing.T) *testService {
	t.Helper()
	logs := new(bytes.Buffer)
	s, err := newService(auth.NewMemoryStore(), exampletest.Keys(), logs, func(r *http.Request) (string, error) {
		if user := r.FormValue("user"); r.FormValue("password") != "right" {
			return "", fmt.Errorf("wrong password of %q", user)
		} else {
			return user, nil
		}
	})
	require.NoError(t, err)
	t.Cleanup(func() { _ = errors.Join(s.bearer.Close(t.Context()), s.cookie.Close(t.Context())) })
	handler, err := s.routes()
	require.NoError(t, err)
	return &testService{s, handler, logs}
}

// send sends a request over HTTPS, with headers as alternating names and values.
func (s *testService) send(method, path, body string, header ...string) *http.Response {
	r := httptest.NewRequest(method, "https://example.com"+path, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	return w.Result()
}

// signIn returns the cookie of a new session of the user alice.
func (s *testService) signIn(t *testing.T) *http.Cookie {
	t.Helper()
	resp := s.send("POST", "/sign-in", "user=alice&password=right")
	require.Equal(t, http.StatusSeeOther, resp.StatusCode)
	require.Len(t, resp.Cookies(), 1)
	return resp.Cookies()[0]
}

// as sends a request with a session cookie, as a script of the same origin does.
func (s *testService) as(c *http.Cookie, method, path string) *http.Response {
	return s.send(method, path, "", "Cookie", c.Name+"="+c.Value, "Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "cors")
}

// open opens a page, as a person in a browser does.
func (s *testService) open(c *http.Cookie, path string) *http.Response {
	return s.send("GET", path, "", "Cookie", c.Name+"="+c.Value,
		"Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document")
}

func TestSessions(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		every time.Duration // between requests
		until time.Duration // the session ends
	}{
		{"end when idle", 31 * time.Minute, 30 * time.Minute},
		{"end after 12 hours of use", 20 * time.Minute, 12 * time.Hour},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := start(t)
				c := s.signIn(t)
				begin := time.Now()
				for {
					time.Sleep(tt.every)
					if status := s.as(c, "GET", "/notes").StatusCode; status != http.StatusOK {
						require.Equal(t, http.StatusUnauthorized, status)
						break
					}
				}
				require.GreaterOrEqual(t, time.Since(begin), tt.until)
				require.Less(t, time.Since(begin), tt.until+tt.every)
			})
		})
	}
}

func TestSessions_areLimited(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := start(t)
		var cookies []*http.Cookie
		for range 6 {
			cookies = append(cookies, s.signIn(t))
			time.Sleep(time.Millisecond)
		}
		require.Equal(t, http.StatusUnauthorized, s.as(cookies[0], "GET", "/notes").StatusCode)
		for _, c := range cookies[1:] {
			require.Equal(t, http.StatusOK, s.as(c, "GET", "/notes").StatusCode)
		}
	})
}

// TestRecentSignIn sends what the thief of an older session would.
func TestRecentSignIn(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ method, path string }{
		{"POST", "/email"},
		{"DELETE", "/settings/api/sessions"},
		{"DELETE", "/settings/api/sessions/ID"},
		{"GET", "/settings/sessions/end"},
		{"POST", "/settings/sessions/end"},
		{"GET", "/settings/sessions/ID/end"},
		{"POST", "/settings/sessions/ID/end"},
		{"GET", "/settings/tokens/new"},
		{"POST", "/settings/api/tokens"},
	} {
		t.Run(tt.method+" "+tt.path, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := start(t)
				other := s.signIn(t)
				time.Sleep(time.Millisecond)
				c := s.signIn(t)
				sessions, err := s.cookie.List(t.Context(), "alice", auth.Page{})
				require.NoError(t, err)
				path := strings.ReplaceAll(tt.path, "ID", sessions[1].ID)
				if tt.method == "GET" {
					time.Sleep(9 * time.Minute)
					require.Equal(t, http.StatusOK, s.open(c, path).StatusCode)
					time.Sleep(2 * time.Minute)
					resp := s.open(c, path)
					require.Equal(t, http.StatusSeeOther, resp.StatusCode)
					require.Contains(t, resp.Header.Get("Location"), "prompt=login")
					return
				}
				time.Sleep(11 * time.Minute)
				resp := s.as(c, tt.method, path)
				text := body(t, resp)
				if strings.HasSuffix(tt.path, "/end") { // a form of a page: see Config.SignInPath
					require.Equal(t, http.StatusForbidden, resp.StatusCode)
					require.Contains(t, text, "prompt=login")
				} else {
					require.Equal(t, http.StatusUnauthorized, resp.StatusCode)
					require.Contains(t, text, "insufficient_user_authentication")
				}
				require.Equal(t, http.StatusOK, s.as(other, "GET", "/notes").StatusCode, "the session is still there")
			})
		})
	}
}

func TestRecentSignIn_endsSessions(t *testing.T) {
	t.Parallel()
	s := start(t)
	other, c := s.signIn(t), s.signIn(t)
	require.Equal(t, http.StatusOK, s.as(c, "GET", "/settings/sessions").StatusCode)
	require.Equal(t, http.StatusOK, s.as(c, "DELETE", "/settings/api/sessions").StatusCode)
	require.Equal(t, http.StatusUnauthorized, s.as(other, "GET", "/notes").StatusCode)
	require.Equal(t, http.StatusOK, s.as(c, "GET", "/notes").StatusCode)
	require.Equal(t, http.StatusNoContent, s.as(c, "POST", "/email").StatusCode)
	require.Equal(t, http.StatusNoContent, s.as(c, "POST", "/sign-out").StatusCode)
	require.Equal(t, http.StatusUnauthorized, s.as(c, "GET", "/notes").StatusCode, "a copy of the cookie")
}

func body(t *testing.T, resp *http.Response) string {
	t.Helper()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return string(text)
}

func TestTokens(t *testing.T) {
	t.Parallel()
	s := start(t)
	allowed := auth.TokenOptions{Name: "script", Scopes: []string{"notes:read"}, Lifetime: 90 * 24 * time.Hour}
	for name, forbid := range map[string]func(*auth.TokenOptions){
		"longer than 90 days": func(o *auth.TokenOptions) { o.Lifetime += time.Second },
		"that never expires":  func(o *auth.TokenOptions) { o.Lifetime = auth.NoExpiry },
		"of an unknown scope": func(o *auth.TokenOptions) { o.Scopes = []string{"admin"} },
	} {
		o := allowed
		forbid(&o)
		_, _, err := s.bearer.Issue(t.Context(), "alice", o)
		require.ErrorIs(t, err, auth.ErrInvalidArgument, name)
	}
	var last auth.Credential
	for range 20 {
		token, c, err := s.bearer.Issue(t.Context(), "alice", allowed)
		require.NoError(t, err)
		require.Regexp(t, `^acme_pat_\w{38}$`, token)
		last = c
	}
	_, _, err := s.bearer.Issue(t.Context(), "alice", allowed)
	require.ErrorIs(t, err, auth.ErrLimit)
	_, _, err = s.bearer.Rotate(t.Context(), "alice", last.ID, 24*time.Hour+time.Second)
	require.ErrorIs(t, err, auth.ErrInvalidArgument)
	_, _, err = s.bearer.Rotate(t.Context(), "alice", last.ID, 24*time.Hour)
	require.NoError(t, err)
}

func TestCookie(t *testing.T) {
	t.Parallel()
	c := start(t).signIn(t)
	require.Equal(t, "__Host-session", c.Name)
	require.True(t, c.Secure)
	require.True(t, c.HttpOnly)
	require.Equal(t, http.SameSiteLaxMode, c.SameSite)
	require.Equal(t, "/", c.Path)
	require.Empty(t, c.Domain)
	require.Less(t, len(c.Name+c.Value), 4096)
	require.Equal(t, int((12 * time.Hour).Seconds()), c.MaxAge)
}

func TestOtherOrigins(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := s.signIn(t)
	for _, path := range []string{"/email", "/sign-out", "/sign-in"} {
		resp := s.send("POST", path, "user=mallory&password=right",
			"Cookie", c.Name+"="+c.Value, "Sec-Fetch-Site", "cross-site", "Origin", "https://attacker.example")
		require.Equal(t, http.StatusForbidden, resp.StatusCode, path)
		require.Empty(t, resp.Cookies(), path)
	}
	require.Equal(t, http.StatusOK, s.as(c, "GET", "/notes").StatusCode)
	resp := s.send("POST", "/sign-in?next=https://attacker.example/", "user=alice&password=right")
	require.Equal(t, "/", resp.Header.Get("Location"))
}

func TestHeaders(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := s.signIn(t)
	for _, resp := range []*http.Response{s.as(c, "GET", "/notes"), s.as(c, "GET", "/settings/"), s.send("GET", "/notes", "")} {
		require.Equal(t, "max-age=31536000; includeSubDomains", resp.Header.Get("Strict-Transport-Security"))
		policy := resp.Header.Get("Content-Security-Policy")
		require.Regexp(t, `object-src 'none'|default-src 'none'`, policy)
		require.Contains(t, policy, "base-uri 'none'")
		require.Contains(t, policy, "frame-ancestors 'none'")
		require.Equal(t, "nosniff", resp.Header.Get("X-Content-Type-Options"))
		require.Equal(t, "same-origin", resp.Header.Get("Referrer-Policy"))
	}
}

func TestLog(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := s.signIn(t)
	token, _, err := s.bearer.Issue(t.Context(), "alice", auth.TokenOptions{Name: "script", Scopes: []string{"notes:write"}, Lifetime: time.Hour})
	require.NoError(t, err)
	s.as(c, "GET", "/notes")
	s.send("GET", "/notes", "", "Authorization", "Bearer "+token)                   // without the scope
	s.send("GET", "/notes", "", "Authorization", "Bearer "+strings.Repeat("x", 47)) // invalid
	s.send("GET", "/settings/", "")
	s.send("POST", "/sign-in", "user=alice%0A%7B%22msg%22%3A%22forged%22%7D&password=") // with a line of its own

	var got []string
	for line := range strings.Lines(s.logs.String()) {
		var entry struct {
			Time       time.Time
			Level, Msg string
			ClientAddr string `json:"client_addr"`
			Event      struct {
				Type, Reason string
				UserID       string `json:"user_id"`
				ClientAddr   string `json:"client_addr"`
			}
		}
		require.NoError(t, json.Unmarshal([]byte(line), &entry))
		require.WithinDuration(t, time.Now(), entry.Time, time.Minute)
		if entry.Event.Type != "issued" { // the test calls Issue without a request
			require.Equal(t, "192.0.2.1", entry.ClientAddr+entry.Event.ClientAddr)
		}
		got = append(got, strings.Join([]string{entry.Level, entry.Msg, entry.Event.Type, entry.Event.Reason, entry.Event.UserID}, " "))
	}
	require.Equal(t, []string{
		"INFO auth signed_in  alice",
		"INFO auth issued  alice",
		"DEBUG auth accepted  alice",
		"DEBUG auth accepted  alice",
		"WARN auth refused scope alice",
		"WARN auth refused prefix ",
		"INFO auth refused missing ",
		"WARN sign-in failed   ",
	}, got)
	require.NotContains(t, s.logs.String(), token)
	require.NotContains(t, s.logs.String(), c.Value)
}

func TestReadKeys(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "keys")
	newer, older := exampletest.Keys()[0], exampletest.Keys()[0]
	encode := base64.StdEncoding.EncodeToString
	require.NoError(t, os.WriteFile(name, []byte(encode(newer)+"\n"+encode(older)+"\n"), 0o600))
	keys, err := readKeys(name)
	require.NoError(t, err)
	require.Equal(t, auth.Keys{newer, older}, keys)

	require.NoError(t, os.WriteFile(name, []byte(encode(newer)+"\n!"+encode(older)+"\n"), 0o600))
	_, err = readKeys(name)
	require.ErrorContains(t, err, "key 2 is not base64")
	require.NotContains(t, err.Error(), encode(older))
	_, err = readKeys(name + "-missing")
	require.ErrorIs(t, err, os.ErrNotExist)
}
