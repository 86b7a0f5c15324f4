package client_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth/federate/client"
)

func TestTransport_origin(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, service, url, host string
		sent                     bool
	}{
		{"the endpoint's origin", "", "https://notes.example/api/notes?page=2", "", true},
		{"with the default port", "", "https://notes.example:443/", "", true},
		{"in another case", "", "https://NOTES.Example/", "", true},
		{"with its own host", "", "https://notes.example/", "notes.example", true},
		{"with its own host and port", "", "https://notes.example/", "Notes.example:443", true},
		{"another service", "https://api.notes.example/v1", "https://api.notes.example/v2", "", true},
		{"another port of the service", "https://api.notes.example:8443", "https://api.notes.example:8443/", "", true},
		{"IPv6", "http://[::1]:8080", "http://[::1]:8080/", "", true},

		{"the endpoint, if the service is elsewhere", "https://api.notes.example", "https://notes.example/", "", false},
		{"plain HTTP", "", "http://notes.example/", "", false},
		{"plain HTTP on the port of HTTPS", "", "http://notes.example:443/", "", false},
		{"another port", "", "https://notes.example:8443/", "", false},
		{"another host", "", "https://evil.example/", "", false},
		{"a subdomain", "", "https://evil.notes.example/", "", false},
		{"a parent domain", "https://api.notes.example", "https://notes.example/", "", false},
		{"a name that begins with the host", "", "https://notes.example.evil.example/", "", false},
		{"the host as a user name", "", "https://notes.example@evil.example/", "", false},
		{"the host as a user name and password", "", "https://notes.example:443@evil.example/", "", false},
		{"the host in the path", "", "https://evil.example/https://notes.example/", "", false},
		{"a trailing dot", "", "https://notes.example./", "", false},
		{"another host behind the same proxy", "", "https://notes.example/", "evil.example", false},
		{"the host of the service at another address", "", "https://evil.example/", "notes.example", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := &service{}
			cfg := config(s, fresh)
			cfg.Service = tt.service
			var got []string
			transport := newClient(t, cfg).Transport(roundTripper(func(r *http.Request) (*http.Response, error) {
				got = r.Header["Authorization"]
				return &http.Response{StatusCode: 204, Body: http.NoBody, Request: r}, nil
			}))
			r, err := http.NewRequestWithContext(t.Context(), "GET", tt.url, nil)
			require.NoError(t, err)
			r.Host = tt.host
			r.Header.Set("Authorization", "Basic own")
			resp, err := transport.RoundTrip(r)
			require.NoError(t, err)
			require.Same(t, r, resp.Request)
			require.Equal(t, "Basic own", r.Header.Get("Authorization"), "the request is not modified")
			if tt.sent {
				require.Equal(t, []string{"Bearer acme_pat_canary1"}, got)
				return
			}
			require.Equal(t, []string{"Basic own"}, got)
			require.Zero(t, s.count(), "no token is asked for")
		})
	}
}

// An api records the Authorization of each request. It redirects those that have a query to it.
type api struct {
	mu   sync.Mutex
	seen []string
	to   string // where a request for / is redirected
}

func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.seen = append(a.seen, r.URL.Path+" "+r.Header.Get("Authorization"))
	if r.URL.Path == "/" {
		http.Redirect(w, r, a.to, http.StatusTemporaryRedirect)
		return
	}
	_, _ = io.Copy(w, r.Body)
}

// Attacks by redirects, over real connections: one to another origin must not take the token along,
// and another origin must not have the token used at a path of its choice.
func TestTransport_redirect(t *testing.T) {
	t.Parallel()
	own, other := &api{}, &api{}
	ownURL, otherURL := listen(t, own), listen(t, other)
	cfg := config(&service{}, fresh)
	cfg.Service = ownURL
	notes := &http.Client{Transport: newClient(t, cfg).Transport(nil)}
	const token = " Bearer acme_pat_canary1"
	for _, tt := range []struct {
		name, to, back string
		own, other     []string
	}{
		{"within the service", "/notes", "", []string{"/" + token, "/notes" + token}, nil},
		{"within the service, absolute", ownURL + "/notes", "", []string{"/" + token, "/notes" + token}, nil},
		{"to another origin", otherURL + "/notes", "", []string{"/" + token}, []string{"/notes "}},
		{"to another origin and back", otherURL + "/", ownURL + "/notes", []string{"/" + token, "/notes "}, []string{"/ "}},
		{"to another origin, and on there", otherURL + "/", otherURL + "/notes", []string{"/" + token}, []string{"/ ", "/notes "}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			own.seen, other.seen, own.to, other.to = nil, nil, tt.to, tt.back
			r, err := http.NewRequestWithContext(t.Context(), "POST", ownURL, strings.NewReader("milk"))
			require.NoError(t, err)
			resp, err := notes.Do(r)
			require.NoError(t, err)
			body, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			require.Equal(t, "milk", string(body))
			require.Equal(t, tt.own, own.seen)
			require.Equal(t, tt.other, other.seen)
			for r := resp.Request; r != nil; r = r.Response.Request {
				require.Empty(t, r.Header.Get("Authorization"), "of the request in the response, which programs log")
				if r.Response == nil {
					break
				}
			}
		})
	}
}

// A request that begins at another origin stays without a token, wherever it is redirected.
func TestTransport_redirectFromElsewhere(t *testing.T) {
	t.Parallel()
	own := &api{}
	cfg := config(&service{}, fresh)
	cfg.Service = listen(t, own)
	notes := &http.Client{Transport: newClient(t, cfg).Transport(nil)}
	resp, err := notes.Get(listen(t, &api{to: cfg.Service + "/admin/delete"}))
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, []string{"/admin/delete "}, own.seen)
}

// A base that does not say which request a response is for: a redirect may be from anywhere.
func TestTransport_redirectOfUnknownOrigin(t *testing.T) {
	t.Parallel()
	var seen []string
	notes := &http.Client{Transport: newClient(t, config(&service{}, fresh)).Transport(roundTripper(func(r *http.Request) (*http.Response, error) {
		seen = append(seen, r.URL.Host+r.URL.Path+" "+r.Header.Get("Authorization"))
		if r.URL.Path == "/" {
			header := http.Header{"Location": {"https://notes.example/admin"}}
			return &http.Response{StatusCode: http.StatusFound, Header: header, Body: http.NoBody}, nil
		}
		return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}, nil
	}))}
	for _, url := range []string{"https://evil.example/", "https://notes.example/"} {
		resp, err := notes.Get(url)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
	}
	require.Equal(t, []string{
		"evil.example/ ", "notes.example/admin ",
		"notes.example/ Bearer acme_pat_canary1", "notes.example/admin Bearer acme_pat_canary1",
	}, seen)
}

// Without a token the request is not sent. Its body is closed, as RoundTripper requires.
func TestTransport_withoutAToken(t *testing.T) {
	t.Parallel()
	own := &api{}
	cfg := config(&service{answers: []http.HandlerFunc{reject("invalid_grant")}}, fresh)
	cfg.Service = listen(t, own)
	notes := &http.Client{Transport: newClient(t, cfg).Transport(nil)}
	body := &closeRecorder{Reader: strings.NewReader("milk")}
	_, err := notes.Post(cfg.Service+"/notes", "text/plain", body)
	var rejected *client.Error
	require.ErrorAs(t, err, &rejected)
	require.True(t, body.closed)
	require.Empty(t, own.seen)
}

type closeRecorder struct {
	io.Reader
	closed bool
}

func (c *closeRecorder) Close() error {
	c.closed = true
	return nil
}

func TestTransport_withoutHeaders(t *testing.T) {
	t.Parallel()
	var got string
	transport := newClient(t, config(&service{}, fresh)).Transport(roundTripper(func(r *http.Request) (*http.Response, error) {
		got = r.Header.Get("Authorization")
		return &http.Response{StatusCode: 204, Body: http.NoBody}, nil
	}))
	r := httptest.NewRequest("GET", "https://notes.example/", nil)
	r.Header = nil
	_, err := transport.RoundTrip(r)
	require.NoError(t, err)
	require.Equal(t, "Bearer acme_pat_canary1", got)
}

// Errors of the base pass through.
func TestTransport_errors(t *testing.T) {
	t.Parallel()
	notes := &http.Client{Transport: newClient(t, config(&service{}, fresh)).Transport(roundTripper(func(*http.Request) (*http.Response, error) {
		return nil, io.ErrUnexpectedEOF
	}))}
	for _, url := range []string{"https://notes.example/", "https://other.example/"} {
		_, err := notes.Get(url)
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	}
}

func TestTransport_closeIdleConnections(t *testing.T) {
	t.Parallel()
	c := newClient(t, config(&service{}, fresh))
	base := &closingTransport{}
	(&http.Client{Transport: c.Transport(base)}).CloseIdleConnections()
	require.True(t, base.closed)
	(&http.Client{Transport: c.Transport(quotingBase)}).CloseIdleConnections() // which has no such method
}

type closingTransport struct {
	roundTripper
	closed bool
}

func (c *closingTransport) CloseIdleConnections() { c.closed = true }

func TestTransport_concurrently(t *testing.T) {
	t.Parallel()
	s := &service{}
	own := listen(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Header.Get("Authorization")) }))
	cfg := serve(t, s, fresh)
	cfg.Service = own
	notes := &http.Client{Transport: newClient(t, cfg).Transport(nil)}
	var callers sync.WaitGroup
	for range 16 {
		callers.Go(func() {
			for range 20 {
				resp, err := notes.Get(own)
				if err != nil {
					t.Error(err)
					return
				}
				body, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if err != nil || string(body) != "Bearer acme_pat_canary1" {
					t.Errorf("got %q, %v", body, err)
				}
			}
		})
	}
	callers.Wait()
	require.Equal(t, 1, s.count())
}
