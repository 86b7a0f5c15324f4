package main

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/examples/internal/exampletest"
)

type fixture struct {
	store  *exampletest.Store
	bearer *auth.Bearer
	srv    *httptest.Server
}

func start(t *testing.T, stateless bool) *fixture {
	t.Helper()
	f := &fixture{store: exampletest.NewStore()}
	var err error
	f.bearer, err = auth.NewBearer(f.store, auth.BearerConfig{Prefix: "acme_pat", Observe: func(context.Context, auth.Event) {}})
	require.NoError(t, err)
	f.srv = httptest.NewServer(newHandler(f.bearer, stateless))
	t.Cleanup(f.srv.Close)
	return f
}

// eachMode runs a test with a server that has sessions, and with one that has none.
func eachMode(t *testing.T, test func(t *testing.T, stateless bool)) {
	for name, stateless := range map[string]bool{"stateful": false, "stateless": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, stateless)
		})
	}
}

// issue returns a token of a user.
func (f *fixture) issue(t *testing.T, user string, scopes ...string) string {
	t.Helper()
	token, _, err := f.bearer.Issue(t.Context(), user, auth.TokenOptions{Name: "assistant", Scopes: scopes, Lifetime: auth.NoExpiry})
	require.NoError(t, err)
	return token
}

// A sender sends a token with each request.
type sender string

func (s sender) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+string(s))
	return http.DefaultTransport.RoundTrip(r)
}

// connect opens a session with the client of the SDK.
func (f *fixture) connect(t *testing.T, token string) *mcp.ClientSession {
	t.Helper()
	client := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, nil)
	session, err := client.Connect(t.Context(), &mcp.StreamableClientTransport{
		Endpoint: f.srv.URL, HTTPClient: &http.Client{Transport: sender(token)}, MaxRetries: -1,
	}, nil)
	require.NoError(t, err)
	t.Cleanup(func() { session.Close() })
	return session
}

// send sends a request with headers, given as alternating names and values. The body of the
// response ends after 10 seconds, so that a test fails and does not hang.
func (f *fixture) send(t *testing.T, method, body string, authorization []string, header ...string) *http.Response {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, method, f.srv.URL, strings.NewReader(body))
	require.NoError(t, err)
	req.Header = http.Header{
		"Content-Type": {"application/json"}, "Accept": {"application/json, text/event-stream"}, "Authorization": authorization,
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

// call calls the tool in a session, and returns the status and the body of the response.
func (f *fixture) call(t *testing.T, session string, authorization ...string) (int, string) {
	t.Helper()
	const body = `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"add_note","arguments":{"text":"milk"}}}`
	resp := f.send(t, "POST", body, authorization, "Mcp-Session-Id", session)
	got, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(got)
}

func TestClient(t *testing.T) {
	t.Parallel()
	eachMode(t, func(t *testing.T, stateless bool) {
		f := start(t, stateless)
		params := &mcp.CallToolParams{Name: "add_note", Arguments: note{"milk"}}
		result, err := f.connect(t, f.issue(t, "alice", "notes:write")).CallTool(t.Context(), params)
		require.NoError(t, err)
		require.False(t, result.IsError)
		require.Equal(t, `alice notes "milk"`, result.Content[0].(*mcp.TextContent).Text)

		result, err = f.connect(t, f.issue(t, "alice", "notes:read")).CallTool(t.Context(), params)
		require.NoError(t, err)
		require.True(t, result.IsError)
		require.Equal(t, "insufficient_scope: The credential lacks a required scope.", result.Content[0].(*mcp.TextContent).Text)
	})
}

func TestRequests(t *testing.T) {
	t.Parallel()
	eachMode(t, func(t *testing.T, stateless bool) {
		f := start(t, stateless)
		token := f.issue(t, "alice", auth.FullAccess)
		session := f.connect(t, token).ID()
		for _, tt := range []struct {
			name          string
			authorization []string
			status        int
		}{
			{"token", []string{"Bearer " + token}, 200},
			{"none", nil, 401},
			{"Basic", []string{"Basic " + token}, 401},
			{"unknown", []string{"Bearer x" + token}, 401},
			{"two", []string{"Bearer " + token, "Bearer " + token}, 400},
		} {
			status, body := f.call(t, session, tt.authorization...)
			require.Equal(t, tt.status, status, tt.name)
			require.Equal(t, tt.status == 200, strings.Contains(body, "alice notes"), "%s: %s", tt.name, body)
		}
		f.store.Down.Store(true)
		status, body := f.call(t, session, "Bearer "+token)
		require.Equal(t, 503, status)
		require.NotContains(t, body, "10.1.2.3")
	})
}

// Bob has learned the ID of alice's session, for example from a log.
func TestSession_anotherUser(t *testing.T) {
	t.Parallel()
	f := start(t, false)
	session := f.connect(t, f.issue(t, "alice", auth.FullAccess)).ID()
	require.NotEmpty(t, session)
	bob := "Bearer " + f.issue(t, "bob", auth.FullAccess)
	status, body := f.call(t, session, bob)
	require.Equal(t, http.StatusForbidden, status)
	require.NotContains(t, body, "notes")
	for _, method := range []string{"GET", "DELETE"} { // listens to the session, and ends it
		resp, _ := exampletest.Send(t, http.DefaultClient, method, f.srv.URL, "Authorization", bob, "Mcp-Session-Id", session, "Accept", "text/event-stream")
		require.Equal(t, http.StatusForbidden, resp.StatusCode)
	}

	// Without sessions the ID means nothing, and bob is bob.
	f = start(t, true)
	status, body = f.call(t, session, "Bearer "+f.issue(t, "bob", auth.FullAccess))
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, body, `bob notes`)
}

// A program has a token of alice with few scopes, and the ID of a session that she opened with
// full access. It does not get the scopes of the session.
func TestSession_anotherTokenOfTheUser(t *testing.T) {
	t.Parallel()
	f := start(t, false)
	session := f.connect(t, f.issue(t, "alice", auth.FullAccess)).ID()
	status, body := f.call(t, session, "Bearer "+f.issue(t, "alice", "notes:read"))
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, body, "insufficient_scope")
	require.NotContains(t, body, "alice notes")
}

func TestSession_revokedToken(t *testing.T) {
	t.Parallel()
	eachMode(t, func(t *testing.T, stateless bool) {
		f := start(t, stateless)
		token := f.issue(t, "alice", auth.FullAccess)
		session := f.connect(t, token).ID()
		f.revoke(t)
		status, body := f.call(t, session, "Bearer "+token)
		require.Equal(t, http.StatusUnauthorized, status)
		require.NotContains(t, body, "alice notes")
	})
}

// The stream on which a client listens to a session ends.
func TestStream_revoked(t *testing.T) {
	t.Parallel()
	f := start(t, false)
	token := []string{"Bearer " + f.issue(t, "alice", auth.FullAccess)}
	const initialize = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":` +
		`{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"x","version":"1"}}}`
	opened := f.send(t, "POST", initialize, token)
	require.Equal(t, http.StatusOK, opened.StatusCode)
	stream := f.send(t, "GET", "", token, "Mcp-Session-Id", opened.Header.Get("Mcp-Session-Id"))
	require.Equal(t, http.StatusOK, stream.StatusCode)
	f.revoke(t)
	_, err := io.ReadAll(stream.Body)
	require.NoError(t, err, "the server ends the stream")
}

// So does the stream of notifications of a server without sessions.
func TestStream_revokedSubscription(t *testing.T) {
	t.Parallel()
	f := start(t, true)
	token := []string{"Bearer " + f.issue(t, "alice", auth.FullAccess)}
	const listen = `{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{"notifications":{"toolsListChanged":true},"_meta":` +
		`{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},` +
		`"io.modelcontextprotocol/clientInfo":{"name":"x","version":"1"}}}}`
	stream := f.send(t, "POST", listen, token, "Mcp-Protocol-Version", "2026-07-28", "Mcp-Method", "subscriptions/listen")
	require.Equal(t, http.StatusOK, stream.StatusCode)
	first := make([]byte, 1)
	_, err := io.ReadFull(stream.Body, first) // of the acknowledgment
	require.NoError(t, err)
	f.revoke(t)
	_, err = io.ReadAll(stream.Body)
	require.NoError(t, err, "the server ends the stream")
}

// revoke revokes all tokens of alice.
func (f *fixture) revoke(t *testing.T) {
	t.Helper()
	_, err := f.bearer.RevokeAll(t.Context(), "alice")
	require.NoError(t, err)
}
