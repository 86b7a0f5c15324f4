package main

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/examples/internal/exampletest"
)

const (
	required  = "Authentication is required."
	invalid   = "The credential is not valid."
	malformed = "The credential, or another part of the request, is malformed."
)

func start(t *testing.T) (*service, *exampletest.Store, *httptest.Server) {
	t.Helper()
	backend := exampletest.NewStore()
	s, err := newService(backend, exampletest.Keys(), time.Hour)
	require.NoError(t, err)
	srv := httptest.NewUnstartedServer(s.routes(func(context.Context, auth.Event) {}))
	srv.EnableHTTP2 = true
	srv.StartTLS()
	t.Cleanup(srv.Close) // waits for the handlers
	return s, backend, srv
}

// protocols are the options of clients.
var protocols = map[string][]connect.ClientOption{
	"Connect":      nil,
	"Connect JSON": {connect.WithProtoJSON()},
	"gRPC":         {connect.WithGRPC()},
	"gRPC-Web":     {connect.WithGRPCWeb()},
}

// client returns a client of one method.
func client[In, Out any](srv *httptest.Server, method string, options []connect.ClientOption) *connect.Client[In, Out] {
	return connect.NewClient[In, Out](srv.Client(), srv.URL+"/acme.Notes/"+method, options...)
}

// within bounds a call, so that a test fails and does not hang.
func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func requireError(t *testing.T, err error, code connect.Code, message string) {
	t.Helper()
	var got *connect.Error
	require.ErrorAs(t, err, &got)
	require.True(t, connect.IsWireError(err), "is from the server: %v", err)
	require.Equal(t, code, got.Code(), "%v", err)
	require.Equal(t, message, got.Message())
	require.Empty(t, got.Details())
}

func TestErrors(t *testing.T) {
	t.Parallel()
	s, _, srv := start(t)
	full, reader := exampletest.Issue(t, s.bearer, auth.FullAccess), exampletest.Issue(t, s.bearer, "notes:read")
	for name, options := range protocols {
		for _, tt := range []struct {
			name          string
			authorization []string
			code          connect.Code // zero if the call is accepted
			message       string
		}{
			{"token", []string{"bearer " + full}, 0, ""},
			{"none", nil, connect.CodeUnauthenticated, required},
			{"Basic", []string{"Basic " + full}, connect.CodeUnauthenticated, required},
			{"two", []string{"Bearer " + full, "Bearer " + full}, connect.CodeInvalidArgument, malformed},
			{"unknown", []string{"Bearer x" + full}, connect.CodeUnauthenticated, invalid},
			{"scope", []string{"Bearer " + reader}, connect.CodePermissionDenied, "The credential lacks a required scope."},
		} {
			t.Run(name+", "+tt.name, func(t *testing.T) {
				t.Parallel()
				req := connect.NewRequest(wrapperspb.String("milk"))
				req.Header()["Authorization"] = tt.authorization
				resp, err := client[text, text](srv, "Add", options).CallUnary(within(t), req)
				if tt.code != 0 {
					requireError(t, err, tt.code, tt.message)
					return
				}
				require.NoError(t, err)
				require.Equal(t, `alice notes "milk"`, resp.Msg.Value)
			})
		}
	}
}

// An outage does not make clients discard their tokens, and they do not learn the store's address.
func TestErrors_outage(t *testing.T) {
	t.Parallel()
	s, backend, srv := start(t)
	token := exampletest.Issue(t, s.bearer, auth.FullAccess)
	backend.Down.Store(true)
	const message = "The service is temporarily unavailable. This does not mean that the credential is invalid. Please try again."
	for name, options := range protocols {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			req := connect.NewRequest(wrapperspb.String("milk"))
			req.Header().Set("Authorization", "Bearer "+token)
			_, err := client[text, text](srv, "Add", options).CallUnary(within(t), req)
			requireError(t, err, connect.CodeUnavailable, message)

			stream, err := client[emptypb.Empty, text](srv, "Follow", options).CallServerStream(within(t), withToken(token))
			require.NoError(t, err)
			require.False(t, stream.Receive())
			requireError(t, stream.Err(), connect.CodeUnavailable, message)
			require.NoError(t, stream.Close())
		})
	}
}

func withToken(token string) *connect.Request[emptypb.Empty] {
	req := connect.NewRequest(new(emptypb.Empty))
	req.Header().Set("Authorization", "Bearer "+token)
	return req
}

func TestStream_revokedWhileTheServerSends(t *testing.T) {
	t.Parallel()
	for name, options := range protocols {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, _, srv := start(t)
			stream, err := client[emptypb.Empty, text](srv, "Follow", options).
				CallServerStream(within(t), withToken(exampletest.Issue(t, s.bearer, "notes:read")))
			require.NoError(t, err)
			s.news <- "hello"
			require.True(t, stream.Receive(), "%v", stream.Err())
			require.Equal(t, "hello", stream.Msg().Value)
			_, err = s.bearer.RevokeAll(t.Context(), "alice")
			require.NoError(t, err)
			require.False(t, stream.Receive())
			requireError(t, stream.Err(), connect.CodeUnauthenticated, invalid)
			require.NoError(t, stream.Close())
		})
	}
}

// The handler waits for the client, which sends nothing. The stream ends nevertheless.
func TestStream_revokedWhileTheServerReceives(t *testing.T) {
	t.Parallel()
	for name, options := range protocols {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, _, srv := start(t)
			stream := client[text, text](srv, "Echo", options).CallBidiStream(within(t))
			stream.RequestHeader().Set("Authorization", "Bearer "+exampletest.Issue(t, s.bearer, "notes:read"))
			require.NoError(t, stream.Send(wrapperspb.String("hello")))
			got, err := stream.Receive()
			require.NoError(t, err)
			require.Equal(t, "hello", got.Value)
			_, err = s.bearer.RevokeAll(t.Context(), "alice")
			require.NoError(t, err)
			_, err = stream.Receive()
			requireError(t, err, connect.CodeUnauthenticated, invalid)
		})
	}
}

// A client that reads nothing does not keep the handler.
func TestStream_revokedWhileTheClientReadsNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, err := newService(auth.NewMemoryStore(), exampletest.Keys(), time.Hour)
		require.NoError(t, err)
		w := &stalled{ResponseRecorder: httptest.NewRecorder(), deadline: make(chan time.Duration, 1)}
		r := httptest.NewRequestWithContext(t.Context(), "POST", "/", nil)
		r.Header.Set("Authorization", "Bearer "+exampletest.Issue(t, s.bearer, "notes:read"))
		handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write([]byte("x")) })
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			auth.Require(s.bearer)(s.watched(handler)).ServeHTTP(w, r)
		}()
		synctest.Wait()
		_, err = s.bearer.RevokeAll(t.Context(), "alice")
		require.NoError(t, err)
		start := time.Now()
		<-ended
		require.Equal(t, writeTimeout, time.Since(start))
		require.NoError(t, s.bearer.Close(t.Context()))
	})
}

// A stalled is the connection of a client that reads nothing: a write ends at its deadline.
type stalled struct {
	*httptest.ResponseRecorder
	deadline chan time.Duration
}

func (w *stalled) SetWriteDeadline(at time.Time) error { w.deadline <- time.Until(at); return nil }
func (w *stalled) SetReadDeadline(time.Time) error     { return nil }

func (w *stalled) Write([]byte) (int, error) {
	time.Sleep(<-w.deadline)
	return 0, os.ErrDeadlineExceeded
}

// browser sends a request as a script of a page does, with the cookie of a session.
func browser(t *testing.T, s *service, srv *httptest.Server, method, path, body string, header ...string) (*http.Response, string) {
	t.Helper()
	w := httptest.NewRecorder()
	_, err := s.cookie.SignIn(w, httptest.NewRequestWithContext(t.Context(), "POST", "/", nil), "bob", auth.SessionOptions{})
	require.NoError(t, err)
	req, err := http.NewRequestWithContext(within(t), method, srv.URL+path, strings.NewReader(body))
	require.NoError(t, err)
	req.AddCookie(w.Result().Cookies()[0])
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := srv.Client().Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp, string(got)
}

func TestCookie(t *testing.T) {
	t.Parallel()
	s, _, srv := start(t)
	const get = "/acme.Notes/List?connect=v1&encoding=json&message=%7B%7D"
	for _, tt := range []struct {
		name, method, path, body string
		header                   []string
		status                   int
		want                     string
	}{
		{"POST of a page of the service", "POST", "/acme.Notes/Add", `"milk"`,
			[]string{"Content-Type", "application/json", "Sec-Fetch-Site", "same-origin"}, 200, `"bob notes \"milk\""`},
		{"POST of another site", "POST", "/acme.Notes/Add", `"milk"`,
			[]string{"Content-Type", "application/json", "Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"},
			403, `{"code":"permission_denied","message":"The request comes from another origin."}`},
		{"GET", "GET", get, "", []string{"Sec-Fetch-Site", "same-origin"}, 200, `"notes of bob"`},
		// Browsers keep the response from the other site's script, if CORS does not allow it.
		{"GET of another site", "GET", get, "", []string{"Sec-Fetch-Site", "cross-site"}, 200, `"notes of bob"`},
		{"GET of a method that changes something", "GET", "/acme.Notes/Add?connect=v1&encoding=json&message=%22milk%22", "",
			[]string{"Sec-Fetch-Site", "cross-site"}, 405, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			resp, body := browser(t, s, srv, tt.method, tt.path, tt.body, tt.header...)
			require.Equal(t, tt.status, resp.StatusCode)
			require.Equal(t, tt.want, body)
			if tt.status == 200 { // no cache gives the response to another user
				require.Equal(t, "private", resp.Header.Get("Cache-Control"))
				require.Contains(t, resp.Header.Values("Vary"), "Cookie")
			}
		})
	}
}

// Clients that speak none of the protocols get a problem document.
func TestErrors_otherClient(t *testing.T) {
	t.Parallel()
	_, _, srv := start(t)
	resp, err := srv.Client().Post(srv.URL+"/acme.Notes/Add", "text/plain", nil)
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, http.StatusUnauthorized, resp.StatusCode)
	require.Equal(t, "application/problem+json", resp.Header.Get("Content-Type"))
	require.NotEmpty(t, resp.Header.Get("WWW-Authenticate"))
}
