package main

import (
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/examples/internal/exampletest"
)

func start(t *testing.T) (srv *httptest.Server, signedIn *http.Client) {
	t.Helper()
	cookie, err := newCookie(auth.NewMemoryStore(), exampletest.Keys())
	require.NoError(t, err)
	srv = httptest.NewTLSServer(routes(cookie))
	t.Cleanup(srv.Close)
	client := *srv.Client()
	client.Jar, err = cookiejar.New(nil)
	require.NoError(t, err)
	resp, _ := exampletest.Send(t, &client, "POST", srv.URL+"/session", "Origin", userInterface, "Sec-Fetch-Site", "same-site")
	require.Equal(t, http.StatusNoContent, resp.StatusCode)
	require.Len(t, resp.Cookies(), 1)
	return srv, &client
}

// The CORS handler responds to preflight requests, which have no credentials.
func TestRequire_corsPreflight(t *testing.T) {
	t.Parallel()
	srv, _ := start(t)
	for origin, allowed := range map[string]string{userInterface: userInterface, "https://evil.example": ""} {
		resp, _ := exampletest.Send(t, srv.Client(), "OPTIONS", srv.URL+"/notes", "Origin", origin, "Access-Control-Request-Method", "POST")
		require.Equal(t, http.StatusNoContent, resp.StatusCode)
		require.Equal(t, allowed, resp.Header.Get("Access-Control-Allow-Origin"))
		require.Equal(t, []string{"Origin, Access-Control-Request-Method, Access-Control-Request-Headers"}, resp.Header.Values("Vary"))
	}
}

func TestRequire_cors(t *testing.T) {
	t.Parallel()
	srv, signedIn := start(t)
	for _, tt := range []struct {
		name                 string
		client               *http.Client
		method, origin, site string

		status int
		allow  string // Access-Control-Allow-Origin
	}{
		{"user interface reads", signedIn, "GET", userInterface, "same-site", 200, userInterface},
		{"user interface writes", signedIn, "POST", userInterface, "same-site", 200, userInterface},
		{"user interface can read a rejection", srv.Client(), "GET", userInterface, "same-site", 401, userInterface},
		{"another site writes", signedIn, "POST", "https://evil.example", "cross-site", 403, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			resp, _ := exampletest.Send(t, tt.client, tt.method, srv.URL+"/notes", "Origin", tt.origin, "Sec-Fetch-Site", tt.site)
			require.Equal(t, tt.status, resp.StatusCode)
			require.Equal(t, tt.allow, resp.Header.Get("Access-Control-Allow-Origin"))
			require.Equal(t, []string{"Origin", "Cookie"}, resp.Header.Values("Vary"))
		})
	}
}
