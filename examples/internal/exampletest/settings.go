package exampletest

import (
	"context"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/settings"
)

// Settings checks how a router mounts Developer Settings under /settings. mount is the
// right way. The wrong ones forget to strip the prefix, or strip the slash with it, which
// the first request reports.
func Settings(t *testing.T, mount, unstripped, slashStripped func(developer http.Handler) http.Handler) {
	t.Run("mounted", func(t *testing.T) {
		t.Parallel()
		client, url, _ := serveSettings(t, mount)
		for path, text := range map[string]string{
			"/settings/":           "You have no tokens yet",
			"/settings":            "You have no tokens yet", // redirected to the slash
			"/settings/tokens/new": "Create a token",
			"/settings/style.css":  "--accent",
			"/settings/api/tokens": `"tokens":[]`,
		} {
			res, body := Send(t, client, "GET", url+path)
			require.Equal(t, http.StatusOK, res.StatusCode, path)
			require.Contains(t, body, text, path)
		}
	})
	for name, wrong := range map[string]func(http.Handler) http.Handler{"not stripped": unstripped, "slash stripped": slashStripped} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, url, reported := serveSettings(t, wrong)
			for _, path := range []string{"/settings/", "/settings/tokens/new"} {
				res, body := Send(t, client, "GET", url+path)
				require.Equal(t, http.StatusInternalServerError, res.StatusCode)
				require.Contains(t, body, `use http.StripPrefix("/settings", handler)`)
				require.EqualError(t, <-reported, strings.TrimSpace(body))
			}
		})
	}
}

// serveSettings returns a client that is signed in, the URL of a server, and the errors
// of its events.
func serveSettings(t *testing.T, mount func(http.Handler) http.Handler) (*http.Client, string, chan error) {
	t.Helper()
	store, reported := auth.NewMemoryStore(), make(chan error, 100)
	bearer, err := auth.NewBearer(store, auth.BearerConfig{Prefix: "acme_pat"})
	require.NoError(t, err)
	cookie, err := auth.NewCookie(store, auth.CookieConfig{Keys: Keys()})
	require.NoError(t, err)
	m := auth.Middleware{Observe: func(_ context.Context, e auth.Event) {
		if e.Type == auth.EventRefused {
			reported <- e.Err
		}
	}}
	developer, err := settings.New(settings.Config{Bearer: bearer, Cookie: cookie, Middleware: m, SignInPath: "/sign-in"})
	require.NoError(t, err)
	router := mount(developer)
	front := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/sign-in" {
			router.ServeHTTP(w, r)
		} else if _, err := cookie.SignIn(w, r, "alice", auth.SessionOptions{}); err != nil {
			auth.WriteError(w, r, err)
		}
	})
	srv := httptest.NewTLSServer(front)
	t.Cleanup(srv.Close)
	client := srv.Client()
	client.Jar, err = cookiejar.New(nil)
	require.NoError(t, err)
	res, _ := Send(t, client, "POST", srv.URL+"/sign-in")
	require.Equal(t, http.StatusOK, res.StatusCode)
	return client, srv.URL, reported
}
