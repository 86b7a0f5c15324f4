package main

import (
	"bytes"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

func TestCORS(t *testing.T) {
	t.Parallel()
	cookie, err := newCookie(auth.NewMemoryStore(), auth.Keys{bytes.Repeat([]byte("0123456789abcdef"), 2)})
	require.NoError(t, err)
	srv := httptest.NewTLSServer(routes(cookie))
	t.Cleanup(srv.Close)

	signedIn := *srv.Client()
	signedIn.Jar, err = cookiejar.New(nil)
	require.NoError(t, err)
	resp := send(t, &signedIn, "POST", srv.URL+"/session", "Origin", userInterface, "Sec-Fetch-Site", "same-site")
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
		{"preflight, which has no credential", srv.Client(), "OPTIONS",
			[]string{"Origin", userInterface, "Access-Control-Request-Method", "POST"},
			204, userInterface, []string{"Origin, Access-Control-Request-Method, Access-Control-Request-Headers"}},
		{"preflight of somebody else", srv.Client(), "OPTIONS",
			[]string{"Origin", "https://evil.example", "Access-Control-Request-Method", "POST"},
			204, "", []string{"Origin, Access-Control-Request-Method, Access-Control-Request-Headers"}},
		{"the user interface reads", &signedIn, "GET",
			[]string{"Origin", userInterface, "Sec-Fetch-Site", "same-site"}, 200, userInterface, []string{"Origin", "Cookie"}},
		{"the user interface writes", &signedIn, "POST",
			[]string{"Origin", userInterface, "Sec-Fetch-Site", "same-site"}, 200, userInterface, []string{"Origin", "Cookie"}},
		{"a refusal can be read there", srv.Client(), "GET",
			[]string{"Origin", userInterface, "Sec-Fetch-Site", "same-site"}, 401, userInterface, []string{"Origin", "Cookie"}},
		{"somebody else writes", &signedIn, "POST",
			[]string{"Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"}, 403, "", []string{"Origin", "Cookie"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			resp := send(t, tt.client, tt.method, srv.URL+"/notes", tt.header...)
			require.Equal(t, tt.status, resp.StatusCode)
			require.Equal(t, tt.allow, resp.Header.Get("Access-Control-Allow-Origin"))
			require.Equal(t, tt.vary, resp.Header.Values("Vary"))
		})
	}
}

// send sends a request with a header given as names and values in turn.
func send(t *testing.T, client *http.Client, method, url string, header ...string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	require.NoError(t, err)
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := client.Do(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	return resp
}
