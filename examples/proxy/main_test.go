package main

import (
	"bytes"
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
)

// remotes collects what Event.Remote was.
type remotes struct {
	mu  sync.Mutex
	all []string
}

func (rs *remotes) observe(_ context.Context, e auth.Event) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	rs.all = append(rs.all, e.Remote)
}

// start returns a TLS proxy in front of a service that speaks plain HTTP, and a
// client that is signed in.
func start(t *testing.T, seen *remotes, keepHost bool) (*httptest.Server, *http.Client) {
	t.Helper()
	cookie, err := newCookie(auth.NewMemoryStore(), auth.Keys{bytes.Repeat([]byte("0123456789abcdef"), 2)})
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

// post sends a request with a header given as names and values in turn.
func post(t *testing.T, client *http.Client, url string, header ...string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "POST", url, nil)
	require.NoError(t, err)
	req.Header.Set("X-Forwarded-For", "192.0.2.1") // which nobody should believe
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := client.Do(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	return resp.StatusCode
}

func TestOrigin(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name     string
		keepHost bool
		origin   string // "": the proxy's own
		site     string // Sec-Fetch-Site; "": an old browser

		status int
	}{
		{"new browser", true, "", "same-origin", 200},
		{"old browser", true, "", "", 200},
		{"another site", true, "https://evil.example", "cross-site", 403},
		{"another site, old browser", true, "https://evil.example", "", 403},
		{"Host lost, new browser", false, "", "same-origin", 200},
		{"Host lost, old browser", false, "", "", 403},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			proxy, client := start(t, new(remotes), tt.keepHost)
			header := []string{"Origin", proxy.URL}
			if tt.origin != "" {
				header[1] = tt.origin
			}
			if tt.site != "" {
				header = append(header, "Sec-Fetch-Site", tt.site)
			}
			require.Equal(t, tt.status, post(t, client, proxy.URL+"/notes", header...))
		})
	}
}

func TestAddress(t *testing.T) {
	t.Parallel()
	seen := new(remotes)
	proxy, client := start(t, seen, true)
	require.Equal(t, 200, post(t, client, proxy.URL+"/notes"))
	seen.mu.Lock()
	defer seen.mu.Unlock()
	require.Len(t, seen.all, 1)
	require.NotNil(t, net.ParseIP(seen.all[0]), "an address without a port, as the proxy reports it: %s", seen.all[0])
	require.True(t, net.ParseIP(seen.all[0]).IsLoopback())
}
