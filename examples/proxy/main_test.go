package main

import (
	"cmp"
	"context"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/examples/internal/exampletest"
	"github.com/seed-31c5bcb2/auth/settings"
)

// A recorder keeps all events.
type recorder struct {
	mu  sync.Mutex
	all []auth.Event
}

func (rs *recorder) observe(_ context.Context, e auth.Event) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	rs.all = append(rs.all, e)
}

// start returns a TLS proxy in front of a service that uses plain HTTP, and a client
// that is signed in.
func start(t *testing.T, seen *recorder, keepHost bool) (*httptest.Server, *http.Client) {
	t.Helper()
	store := auth.NewMemoryStore()
	cookie, err := newCookie(store, exampletest.Keys())
	require.NoError(t, err)
	mux := http.NewServeMux()
	mux.Handle("/", routes(cookie, seen.observe))
	mux.Handle("/settings/", http.StripPrefix("/settings", newSettings(t, store, cookie)))
	service := httptest.NewServer(mux)
	t.Cleanup(service.Close)
	target, err := url.Parse(service.URL)
	require.NoError(t, err)
	proxy := httptest.NewTLSServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.SetXForwarded()
		if keepHost {
			r.Out.Host = r.In.Host
		}
	}})
	t.Cleanup(proxy.Close)
	client := *proxy.Client()
	client.Jar, err = cookiejar.New(nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusNoContent, post(t, &client, proxy.URL+"/session"))
	return proxy, &client
}

func newSettings(t *testing.T, store auth.Store, cookie *auth.Cookie) http.Handler {
	t.Helper()
	bearer, err := auth.NewBearer(store, auth.BearerConfig{Prefix: "acme_pat"})
	require.NoError(t, err)
	developer, err := settings.New(settings.Config{Bearer: bearer, Cookie: cookie, SignInPath: "/", TokenExampleURL: "/notes"})
	require.NoError(t, err)
	return developer
}

// The command that the settings show for a new token has the address of the proxy.
func TestSettings_curlBehindProxy(t *testing.T) {
	t.Parallel()
	for name, keepHost := range map[string]bool{"proxy keeps Host": true, "proxy changes Host": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			proxy, client := start(t, new(recorder), keepHost)
			_, form := exampletest.Send(t, client, "GET", proxy.URL+"/settings/tokens/new")
			fields := exampletest.FillIn(form, url.Values{"name": {"Deploy"}, "expires": {"720h0m0s"}, "access": {"full"}})
			r, err := http.NewRequestWithContext(t.Context(), "POST", proxy.URL+"/settings/tokens", strings.NewReader(fields.Encode()))
			require.NoError(t, err)
			r.Header = http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Origin": {proxy.URL}, "Sec-Fetch-Site": {"same-origin"}}
			res, err := client.Do(r)
			require.NoError(t, err)
			defer res.Body.Close()
			page, err := io.ReadAll(res.Body)
			require.NoError(t, err)
			require.Regexp(t, `curl -H 'Authorization: Bearer acme_pat_\w+' '`+proxy.URL+`/notes'`, html.UnescapeString(string(page)))
		})
	}
}

// post sends a request with headers, given as alternating names and values.
func post(t *testing.T, client *http.Client, url string, header ...string) int {
	t.Helper()
	header = append(header, "X-Forwarded-For", "192.0.2.1") // must be ignored
	resp, _ := exampletest.Send(t, client, "POST", url, header...)
	return resp.StatusCode
}

func TestRequire_originBehindProxy(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name     string
		keepHost bool
		origin   string // if empty, that of the proxy
		site     string // Sec-Fetch-Site; old browsers send none

		status int
	}{
		{"new browser", true, "", "same-origin", 200},
		{"old browser", true, "", "", 200},
		{"another site", true, "https://evil.example", "cross-site", 403},
		{"another site, old browser", true, "https://evil.example", "", 403},
		{"proxy changes Host, new browser", false, "", "same-origin", 200},
		{"proxy changes Host, old browser", false, "", "", 403},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			proxy, client := start(t, new(recorder), tt.keepHost)
			origin := cmp.Or(tt.origin, proxy.URL)
			require.Equal(t, tt.status, post(t, client, proxy.URL+"/notes", "Origin", origin, "Sec-Fetch-Site", tt.site))
		})
	}
}

// A client chooses all entries except the last, up to the server's MaxHeaderBytes.
func TestClientAddress_lastEntry(t *testing.T) {
	for _, tt := range []struct {
		lines []string
		want  string
	}{
		{nil, ""},
		{[]string{""}, ""},
		{[]string{"unknown"}, ""},
		{[]string{"192.0.2.1, acme_pat_x"}, ""},
		{[]string{"192.0.2.1"}, "192.0.2.1"},
		{[]string{"203.0.113.9, 192.0.2.1"}, "192.0.2.1"},
		{[]string{"203.0.113.9", "203.0.113.8 ,\t192.0.2.1 "}, "192.0.2.1"},
		{[]string{"203.0.113.9,", "192.0.2.1"}, "192.0.2.1"},
		{[]string{"192.0.2.1,"}, ""},
		{[]string{strings.Repeat(",", 1<<20) + "192.0.2.1"}, "192.0.2.1"},
	} {
		r := httptest.NewRequestWithContext(t.Context(), "GET", "/", nil)
		r.Header["X-Forwarded-For"] = tt.lines
		var got string
		h := clientAddress(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			if addr, known := auth.ClientAddr(r.Context()); known {
				got = addr.String()
			}
		}))
		h.ServeHTTP(nil, r)
		require.Equal(t, tt.want, got)
	}
	long := []string{strings.Repeat(",", 1<<20)}
	require.Zero(t, testing.AllocsPerRun(10, func() { lastEntry(long) }), "the list is not copied")
}

func TestEvent_clientAddress(t *testing.T) {
	t.Parallel()
	seen := new(recorder)
	proxy, client := start(t, seen, true)
	require.Equal(t, 200, post(t, client, proxy.URL+"/notes"))
	seen.mu.Lock()
	defer seen.mu.Unlock()
	require.Len(t, seen.all, 1)
	require.True(t, seen.all[0].ClientAddr.IsLoopback(), "the proxy's client, and not what it claims: %s", seen.all[0].ClientAddr)
}
