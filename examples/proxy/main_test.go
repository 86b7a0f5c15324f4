package main

import (
	"cmp"
	"context"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/examples/internal/exampletest"
)

// remotes collects the values of Event.Remote.
type remotes struct {
	mu  sync.Mutex
	all []string
}

func (rs *remotes) observe(_ context.Context, e auth.Event) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	rs.all = append(rs.all, e.Remote)
}

// start returns a TLS proxy in front of a service that uses plain HTTP, and a client
// that is signed in.
func start(t *testing.T, seen *remotes, keepHost bool) (*httptest.Server, *http.Client) {
	t.Helper()
	cookie, err := newCookie(auth.NewMemoryStore(), exampletest.Keys())
	require.NoError(t, err)
	service := httptest.NewServer(routes(cookie, seen.observe))
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
			proxy, client := start(t, new(remotes), tt.keepHost)
			origin := cmp.Or(tt.origin, proxy.URL)
			require.Equal(t, tt.status, post(t, client, proxy.URL+"/notes", "Origin", origin, "Sec-Fetch-Site", tt.site))
		})
	}
}

func TestEvent_clientAddress(t *testing.T) {
	t.Parallel()
	seen := new(remotes)
	proxy, client := start(t, seen, true)
	require.Equal(t, 200, post(t, client, proxy.URL+"/notes"))
	seen.mu.Lock()
	defer seen.mu.Unlock()
	require.Len(t, seen.all, 1)
	require.NotNil(t, net.ParseIP(seen.all[0]), "not an address without a port: %s", seen.all[0])
	require.True(t, net.ParseIP(seen.all[0]).IsLoopback())
}
