package main

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/examples/server/internal/front"
)

// The check is in front of all routes of a process.
func TestRun_otherHost(t *testing.T) {
	t.Parallel()
	p := startProcess(t, t.TempDir(), nil, "-store", "memory:").listening(t)
	for path, status := range map[string]int{"/": 200, "/healthz": 200, "/api/v1/me": 401} {
		require.Equal(t, status, requestWithHost(t, p.demo().url+path, ""), path)
		require.Equal(t, http.StatusMisdirectedRequest, requestWithHost(t, p.demo().url+path, "evil.example:80"), path)
	}
	p.stop(t)
}

func requestWithHost(t *testing.T, url, host string) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
	require.NoError(t, err)
	r.Host = host
	res, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	return res.StatusCode
}

// By default nginx changes Host to the name of this server.
func TestSignIn_proxyChangesHost(t *testing.T) {
	t.Parallel()
	var cfg front.Config
	require.NoError(t, cfg.Parse([]string{"-proxy", "https://notes.example.com"}))
	storage, keys := openStorage(t, "memory:"), auth.Keys{newKey()}
	s, err := newServer(slog.New(slog.DiscardHandler), storage, keys, cfg)
	require.NoError(t, err)
	seeded, err := storage.Seed(t.Context(), s.seedOptions(keys, false))
	require.NoError(t, err)
	for origin, status := range map[string]int{"https://notes.example.com": http.StatusSeeOther, "https://evil.example": http.StatusForbidden} {
		form := url.Values{"username": {"ada"}, "password": {seeded.Passwords["ada"]}}.Encode()
		r := httptest.NewRequestWithContext(t.Context(), "POST", "/signin", strings.NewReader(form))
		r.Host = "127.0.0.1:8080"
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", origin)
		r.Header.Set("X-Forwarded-For", "192.0.2.1")
		w := httptest.NewRecorder()
		s.routes().ServeHTTP(w, r)
		require.Equal(t, status, w.Code, origin)
	}
}

// Cookies do not differ by port: those of another program at this host are not ours.
func TestSignIn_cookieOfOtherProgram(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	c := d.client(t)
	planted := []string{"Cookie", "session=junk"}
	require.Equal(t, http.StatusSeeOther, c.post("/signin", d.form("ada", ""), planted...).status)
	require.Equal(t, http.StatusOK, c.get("/profile", planted...).status)
}
