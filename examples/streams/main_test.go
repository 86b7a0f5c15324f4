package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/examples/internal/exampletest"
)

func start(t *testing.T) (*service, *httptest.Server) {
	t.Helper()
	s, err := newService(auth.NewMemoryStore(), exampletest.Keys(), interval)
	require.NoError(t, err)
	srv := httptest.NewTLSServer(s.routes())
	t.Cleanup(srv.Close)
	return s, srv
}

// signIn returns the Cookie header of a new session.
func signIn(t *testing.T, s *service) string {
	t.Helper()
	w := httptest.NewRecorder()
	_, err := s.cookie.SignIn(w, httptest.NewRequestWithContext(t.Context(), "POST", "/", nil), "alice", auth.SessionOptions{})
	require.NoError(t, err)
	c := w.Result().Cookies()[0]
	return c.Name + "=" + c.Value
}

// bearerToken returns the Authorization header for a new token.
func bearerToken(t *testing.T, s *service) string {
	t.Helper()
	return "Bearer " + exampletest.Issue(t, s.bearer, auth.FullAccess)
}

// A pipes is a listener without a network, so that tests with a fake clock can use it.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.conns:
		return conn, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { close(p.done); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

func (p *pipes) dial(context.Context, string, string) (net.Conn, error) {
	client, server := net.Pipe()
	p.conns <- server
	return client, nil
}

const interval = 30 * time.Second

// startPipes returns a service with a fake clock, a client, and a channel that is closed when
// the first handler returns. The client stops reading when the test does.
func startPipes(t *testing.T, http2 bool) (*service, *http.Client, <-chan struct{}) {
	t.Helper()
	return startPipesOver(t, auth.NewMemoryStore(), http2)
}

func startPipesOver(t *testing.T, store auth.Store, http2 bool) (*service, *http.Client, <-chan struct{}) {
	t.Helper()
	s, err := newService(store, exampletest.Keys(), interval)
	require.NoError(t, err)
	var protocols http.Protocols
	protocols.SetHTTP1(!http2)
	protocols.SetUnencryptedHTTP2(http2)
	ended := make(chan struct{})
	srv := &http.Server{Protocols: &protocols, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(ended)
		s.routes().ServeHTTP(w, r)
	})}
	listener := &pipes{make(chan net.Conn), make(chan struct{})}
	go srv.Serve(listener)
	transport := &http.Transport{DialContext: listener.dial, Protocols: &protocols}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		require.NoError(t, srv.Close())
		require.NoError(t, s.bearer.Close(context.Background()))
		require.NoError(t, s.cookie.Close(context.Background()))
	})
	return s, &http.Client{Transport: transport}, ended
}

// openEvents opens a stream.
func openEvents(t *testing.T, client *http.Client, header, value string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "GET", "http://service/events", nil)
	require.NoError(t, err)
	req.Header.Set(header, value)
	resp, err := client.Do(req)
	require.NoError(t, err)
	t.Cleanup(func() { resp.Body.Close() })
	require.Equal(t, http.StatusOK, resp.StatusCode)
	return resp
}

func requireEnded(t *testing.T, ended <-chan struct{}) {
	t.Helper()
	synctest.Wait()
	select {
	case <-ended:
	default:
		require.Fail(t, "the handler has not returned")
	}
}

func TestEvents_endOnRevocation(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		header string
		value  func(*testing.T, *service) string
		revoke func(*testing.T, *service) (int, error)
	}{
		{"Authorization", bearerToken, func(t *testing.T, s *service) (int, error) { return s.bearer.RevokeAll(t.Context(), "alice") }},
		{"Cookie", signIn, func(t *testing.T, s *service) (int, error) { return s.cookie.RevokeAll(t.Context(), "alice") }},
	} {
		for _, http2 := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, HTTP/2 %t", tt.header, http2), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					s, client, ended := startPipes(t, http2)
					resp := openEvents(t, client, tt.header, tt.value(t, s))
					time.Sleep(10 * interval) // an idle stream stays open
					s.news <- "hello"
					got := make([]byte, len("data: hello\n\n"))
					_, err := io.ReadFull(resp.Body, got)
					require.NoError(t, err)
					require.Equal(t, "data: hello\n\n", string(got))

					n, err := tt.revoke(t, s)
					require.NoError(t, err)
					require.Equal(t, 1, n)
					requireEnded(t, ended)
					rest, err := io.ReadAll(resp.Body)
					require.NoError(t, err)
					require.Empty(t, rest)
				})
			})
		}
	}
}

// An open stream does not delay the shutdown.
func TestServe_shutdown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, err := newService(auth.NewMemoryStore(), exampletest.Keys(), interval)
		require.NoError(t, err)
		listener := &pipes{make(chan net.Conn), make(chan struct{})}
		ctx, stop := context.WithCancel(t.Context())
		served := make(chan error)
		go func() { served <- s.serve(ctx, listener) }()
		client := &http.Client{Transport: &http.Transport{DialContext: listener.dial}}
		resp := openEvents(t, client, "Authorization", bearerToken(t, s))
		go io.Copy(io.Discard, resp.Body)
		synctest.Wait()
		start := time.Now()
		stop()
		require.NoError(t, <-served)
		require.Less(t, time.Since(start), 5*time.Second)
	})
}

// A client that stops reading does not keep its stream after the revocation.
func TestEvents_stalledClient(t *testing.T) {
	t.Parallel()
	for _, http2 := range []bool{false, true} {
		t.Run(fmt.Sprintf("HTTP/2 %t", http2), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s, client, ended := startPipes(t, http2)
				openEvents(t, client, "Authorization", bearerToken(t, s))
				s.news <- strings.Repeat("x", 8<<20) // more than the windows of HTTP/2
				_, err := s.bearer.RevokeAll(t.Context(), "alice")
				require.NoError(t, err)
				time.Sleep(writeTimeout)
				requireEnded(t, ended)
			})
		})
	}
}

// News that wait for a write to end are not sent if the credential was revoked meanwhile.
func TestEvents_revokedDuringAWrite(t *testing.T) {
	t.Parallel()
	for range 20 { // a random choice would be right each time with a probability of 1 in 1,000,000
		synctest.Test(t, func(t *testing.T) {
			s, client, ended := startPipes(t, false)
			resp := openEvents(t, client, "Authorization", bearerToken(t, s))
			s.news <- strings.Repeat("x", 1<<20)
			_, err := s.bearer.RevokeAll(t.Context(), "alice")
			require.NoError(t, err)
			go func() {
				select {
				case s.news <- "late":
				case <-ended:
				}
			}()
			synctest.Wait()
			body, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			require.False(t, strings.Contains(string(body), "late")) // NotContains would print 1 MiB
			requireEnded(t, ended)
		})
	}
}

// If the store does not report changes, a revoked token receives events until the interval has
// passed.
func TestEvents_storeWithoutNotify(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, client, ended := startPipesOver(t, struct{ auth.Store }{auth.NewMemoryStore()}, false)
		resp := openEvents(t, client, "Authorization", bearerToken(t, s))
		synctest.Wait() // Watch has asked for the first time
		_, err := s.bearer.RevokeAll(t.Context(), "alice")
		require.NoError(t, err)
		s.news <- "still here"
		got := make([]byte, len("data: still here\n\n"))
		_, err = io.ReadFull(resp.Body, got)
		require.NoError(t, err)
		require.Equal(t, "data: still here\n\n", string(got))
		rest, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.Empty(t, rest)
		requireEnded(t, ended)
	})
}

// openSocket opens a connection.
func openSocket(t *testing.T, s *service, client *http.Client) *websocket.Conn {
	t.Helper()
	header := http.Header{"Cookie": {signIn(t, s)}, "Origin": {"https://service"}}
	conn, _, err := websocket.Dial(t.Context(), "http://service/socket", &websocket.DialOptions{HTTPClient: client, HTTPHeader: header})
	require.NoError(t, err)
	t.Cleanup(func() { conn.CloseNow() })
	return conn
}

func TestSocket_closesOnRevocation(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, client, ended := startPipes(t, false)
		conn := openSocket(t, s, client)
		time.Sleep(10 * interval) // an idle connection stays open
		s.news <- "hello"
		_, text, err := conn.Read(t.Context())
		require.NoError(t, err)
		require.Equal(t, "hello", string(text))

		_, err = s.cookie.RevokeAll(t.Context(), "alice")
		require.NoError(t, err)
		_, _, err = conn.Read(t.Context())
		require.Equal(t, websocket.StatusPolicyViolation, websocket.CloseStatus(err))
		requireEnded(t, ended)
	})
}

// A client that stops reading does not keep its connection after the revocation.
func TestSocket_stalledClient(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, client, ended := startPipes(t, false)
		openSocket(t, s, client)
		s.news <- strings.Repeat("x", 1<<20)
		_, err := s.cookie.RevokeAll(t.Context(), "alice")
		require.NoError(t, err)
		time.Sleep(writeTimeout)
		requireEnded(t, ended)
	})
}

func TestSocket_crossOrigin(t *testing.T) {
	t.Parallel()
	s, srv := start(t)
	header := http.Header{"Cookie": {signIn(t, s)}, "Origin": {"https://evil.example"}}
	_, resp, err := websocket.Dial(t.Context(), srv.URL+"/socket", &websocket.DialOptions{HTTPClient: srv.Client(), HTTPHeader: header})
	require.Error(t, err)
	require.Equal(t, http.StatusForbidden, resp.StatusCode)
	require.Equal(t, "application/problem+json", resp.Header.Get("Content-Type"), "rejected by Require, before Accept")
}
