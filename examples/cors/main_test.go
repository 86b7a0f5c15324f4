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

func TestRequire_cors(t *testing.T) {
	t.Parallel()
	cookie, err := newCookie(auth.NewMemoryStore(), exampletest.Keys())
	require.NoError(t, err)
	srv := httptest.NewTLSServer(routes(cookie))
	t.Cleanup(srv.Close)

	signedIn := *srv.Client()
	signedIn.Jar, err = cookiejar.New(nil)
	require.NoError(t, err)
	resp, _ := exampletest.Send(t, &signedIn, "POST", srv.URL+"/session", "Origin", userInterface, "Sec-Fetch-Site", "same-site")
	require.Equal(t, http.StatusNoContent, resp.StatusCode)
	require.Len(t, resp.Cookies(), 1)

	for _, tt := range []struct {
		name   string
		client *http.Client
		method string
		header []string

		status int
		allow  string // Access-Control-Allow-Origin
		vary   []string
	}{
		{"preflight", srv.Client(), "OPTIONS",
			[]string{"Origin", userInterface, "Access-Control-Request-Method", "POST"},
			204, userInterface, []string{"Origin, Access-Control-Request-Method, Access-Control-Request-Headers"}},
		{"preflight from another site", srv.Client(), "OPTIONS",
			[]string{"Origin", "https://evil.example", "Access-Control-Request-Method", "POST"},
			204, "", []string{"Origin, Access-Control-Request-Method, Access-Control-Request-Headers"}},
		{"user interface reads", &signedIn, "GET",
			[]string{"Origin", userInterface, "Sec-Fetch-Site", "same-site"}, 200, userInterface, []string{"Origin", "Cookie"}},
		{"user interface writes", &signedIn, "POST",
			[]string{"Origin", userInterface, "Sec-Fetch-Site", "same-site"}, 200, userInterface, []string{"Origin", "Cookie"}},
		{"user interface can read a rejection", srv.Client(), "GET",
			[]string{"Origin", userInterface, "Sec-Fetch-Site", "same-site"}, 401, userInterface, []string{"Origin", "Cookie"}},
		{"another site writes", &signedIn, "POST",
			[]string{"Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"}, 403, "", []string{"Origin", "Cookie"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			resp, _ := exampletest.Send(t, tt.client, tt.method, srv.URL+"/notes", tt.header...)
			require.Equal(t, tt.status, resp.StatusCode)
			require.Equal(t, tt.allow, resp.Header.Get("Access-Control-Allow-Origin"))
			require.Equal(t, tt.vary, resp.Header.Values("Vary"))
		})
	}
}
