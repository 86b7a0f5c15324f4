package main

import (
	"context"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/examples/internal/exampletest"
)

// A fixture is a running server with a client.
type fixture struct {
	store  *exampletest.Store
	bearer *auth.Bearer
	conn   *grpc.ClientConn
	news   chan string

	mu     sync.Mutex
	events []auth.Event
}

func start(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{store: exampletest.NewStore(), news: make(chan string)}
	observe := func(_ context.Context, e auth.Event) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.events = append(f.events, e)
	}
	server, bearer, err := newServer(f.store, observe, f.news)
	require.NoError(t, err)
	f.bearer = bearer
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	go server.Serve(listener)
	t.Cleanup(server.Stop) // waits for the handlers
	f.conn, err = grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	t.Cleanup(func() { f.conn.Close() })
	return f
}

// reasons returns those of the calls that were rejected.
func (f *fixture) reasons() (all []auth.Reason) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, e := range f.events {
		if e.Type == auth.EventRefused {
			all = append(all, e.Reason)
		}
	}
	return all
}

// with returns a context whose calls send values of the metadata authorization.
func with(t *testing.T, authorization ...string) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second) // so that a test fails and does not hang
	t.Cleanup(cancel)
	for _, value := range authorization {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", value)
	}
	return ctx
}

// add calls a unary method.
func (f *fixture) add(ctx context.Context) (string, error) {
	out := new(wrapperspb.StringValue)
	err := f.conn.Invoke(ctx, "/acme.Notes/Add", wrapperspb.String("milk"), out)
	return out.Value, err
}

// follow opens a stream on which only the server sends.
func (f *fixture) follow(t *testing.T, ctx context.Context) grpc.ClientStream {
	t.Helper()
	stream, err := f.conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, "/acme.Notes/Follow")
	require.NoError(t, err)
	require.NoError(t, stream.SendMsg(new(emptypb.Empty)))
	require.NoError(t, stream.CloseSend())
	return stream
}

func requireStatus(t *testing.T, err error, code codes.Code, text string) {
	t.Helper()
	got := status.Convert(err)
	require.Equal(t, code, got.Code(), "%v", err)
	require.Equal(t, text, got.Message())
	require.Empty(t, got.Details())
}

func TestAuthenticate(t *testing.T) {
	t.Parallel()
	const (
		required  = "Authentication is required."
		invalid   = "The credential is not valid."
		malformed = "The credential, or another part of the request, is malformed."
	)
	f := start(t)
	writer, reader := exampletest.Issue(t, f.bearer, "notes:write"), exampletest.Issue(t, f.bearer, "notes:read")
	revoked, c, err := f.bearer.Issue(t.Context(), "alice", auth.TokenOptions{Name: "old", Scopes: []string{auth.FullAccess}, Lifetime: time.Hour})
	require.NoError(t, err)
	require.NoError(t, f.bearer.Revoke(t.Context(), "alice", c.ID))
	for _, tt := range []struct {
		name          string
		authorization []string
		code          codes.Code
		text          string
		reason        auth.Reason
	}{
		{"token", []string{"Bearer " + writer}, codes.OK, "", ""},
		{"the scheme's case has no meaning", []string{"bEARER  " + writer}, codes.OK, "", ""},
		{"no metadata", nil, codes.Unauthenticated, required, auth.ReasonMissing},
		{"empty", []string{""}, codes.Unauthenticated, required, auth.ReasonMissing},
		{"no scheme", []string{writer}, codes.Unauthenticated, required, auth.ReasonMissing},
		{"no token", []string{"Bearer "}, codes.Unauthenticated, required, auth.ReasonMissing},
		{"Basic", []string{"Basic " + writer}, codes.Unauthenticated, required, auth.ReasonMissing},
		{"two tokens", []string{"Bearer " + reader, "Bearer " + writer}, codes.InvalidArgument, malformed, auth.ReasonMalformed},
		{"the same token twice", []string{"Bearer " + writer, "Bearer " + writer}, codes.InvalidArgument, malformed, auth.ReasonMalformed},
		{"a token after another scheme", []string{"Basic x", "Bearer " + writer}, codes.Unauthenticated, required, auth.ReasonMissing},
		{"two tokens in one value", []string{"Bearer " + writer + " " + writer}, codes.InvalidArgument, malformed, auth.ReasonMalformed},
		{"unknown", []string{"Bearer x" + writer}, codes.Unauthenticated, invalid, auth.ReasonPrefix},
		{"revoked", []string{"Bearer " + revoked}, codes.Unauthenticated, invalid, auth.ReasonRevoked},
		{"scope", []string{"Bearer " + reader}, codes.PermissionDenied, "The credential lacks a required scope.", auth.ReasonScope},
	} {
		before := len(f.reasons())
		got, err := f.add(with(t, tt.authorization...))
		requireStatus(t, err, tt.code, tt.text)
		if tt.code == codes.OK {
			require.Equal(t, `alice notes "milk"`, got, tt.name)
			continue
		}
		require.Empty(t, got, tt.name)
		require.Equal(t, []auth.Reason{tt.reason}, f.reasons()[before:], tt.name)
	}
}

// An outage does not make clients discard their tokens, and they do not learn the store's address.
func TestAuthenticate_outage(t *testing.T) {
	t.Parallel()
	f := start(t)
	token := exampletest.Issue(t, f.bearer, auth.FullAccess)
	f.store.Down.Store(true)
	const text = "The service is temporarily unavailable. This does not mean that the credential is invalid. Please try again."
	_, err := f.add(with(t, "Bearer "+token))
	requireStatus(t, err, codes.Unavailable, text)
	require.Equal(t, codes.Unavailable, status.Code(f.follow(t, with(t, "Bearer "+token)).RecvMsg(new(emptypb.Empty))))
	require.Equal(t, []auth.Reason{auth.ReasonUnavailable, auth.ReasonUnavailable}, f.reasons())
}

// A method that was added without a decision on its scopes is closed, even to full access.
func TestAuthenticate_methods(t *testing.T) {
	t.Parallel()
	f := start(t)
	client := healthpb.NewHealthClient(f.conn)
	_, err := client.Check(with(t), new(healthpb.HealthCheckRequest))
	require.NoError(t, err, "is public")

	token := exampletest.Issue(t, f.bearer, auth.FullAccess)
	_, err = client.List(with(t, "Bearer "+token), new(healthpb.HealthListRequest))
	requireStatus(t, err, codes.PermissionDenied, "This is not allowed.")
	watch, err := client.Watch(with(t, "Bearer "+token), new(healthpb.HealthCheckRequest))
	require.NoError(t, err)
	_, err = watch.Recv()
	requireStatus(t, err, codes.PermissionDenied, "This is not allowed.")
}

// A token that works from some networks only is checked against the peer's address.
func TestAuthenticate_networks(t *testing.T) {
	t.Parallel()
	f := start(t)
	for network, code := range map[string]codes.Code{"127.0.0.0/8": codes.OK, "192.0.2.0/24": codes.Unauthenticated} {
		token, _, err := f.bearer.Issue(t.Context(), "alice", auth.TokenOptions{
			Name: "office", Scopes: []string{auth.FullAccess}, Lifetime: time.Hour, Networks: []netip.Prefix{netip.MustParsePrefix(network)},
		})
		require.NoError(t, err)
		_, err = f.add(with(t, "Bearer "+token))
		require.Equal(t, code, status.Code(err), network)
	}
}

func TestStream(t *testing.T) {
	t.Parallel()
	f := start(t)
	for _, tt := range []struct {
		token string
		code  codes.Code
		text  string
	}{
		{exampletest.Issue(t, f.bearer, "notes:write"), codes.PermissionDenied, "The credential lacks a required scope."},
		{"unknown", codes.Unauthenticated, "The credential is not valid."},
	} {
		stream := f.follow(t, with(t, "Bearer "+tt.token))
		requireStatus(t, stream.RecvMsg(new(wrapperspb.StringValue)), tt.code, tt.text)
	}
}

// revoke revokes all tokens of alice.
func (f *fixture) revoke(t *testing.T) {
	t.Helper()
	_, err := f.bearer.RevokeAll(t.Context(), "alice")
	require.NoError(t, err)
}

func TestStream_revokedWhileTheServerSends(t *testing.T) {
	t.Parallel()
	f := start(t)
	stream := f.follow(t, with(t, "Bearer "+exampletest.Issue(t, f.bearer, "notes:read")))
	f.news <- "hello"
	got := new(wrapperspb.StringValue)
	require.NoError(t, stream.RecvMsg(got))
	require.Equal(t, "hello", got.Value)
	f.revoke(t)
	requireStatus(t, stream.RecvMsg(got), codes.Unauthenticated, "The credential is not valid.")
	require.Equal(t, []auth.Reason{auth.ReasonRevoked}, f.reasons())
}

// The handler waits for the client, which sends nothing. The stream ends nevertheless.
func TestStream_revokedWhileTheServerReceives(t *testing.T) {
	t.Parallel()
	f := start(t)
	stream, err := f.conn.NewStream(with(t, "Bearer "+exampletest.Issue(t, f.bearer, "notes:read")),
		&grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, "/acme.Notes/Echo")
	require.NoError(t, err)
	require.NoError(t, stream.SendMsg(wrapperspb.String("hello")))
	got := new(wrapperspb.StringValue)
	require.NoError(t, stream.RecvMsg(got))
	require.Equal(t, "hello", got.Value)
	f.revoke(t)
	requireStatus(t, stream.RecvMsg(got), codes.Unauthenticated, "The credential is not valid.")
	require.ErrorIs(t, stream.SendMsg(wrapperspb.String("more")), io.EOF)
}

// A client that reads nothing does not keep the handler.
func TestStream_revokedWhileTheClientReadsNothing(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.follow(t, with(t, "Bearer "+exampletest.Issue(t, f.bearer, "notes:read")))
	for range 2 { // Send blocks for the second one: the first is more than the window of the stream
		f.news <- strings.Repeat("x", 1<<20)
	}
	f.revoke(t)
	require.Eventually(t, func() bool { return len(f.reasons()) == 1 }, 5*time.Second, time.Millisecond)
}
