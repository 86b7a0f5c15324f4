// Grpc is a gRPC server whose callers send a token in their metadata.
package main

import (
	"cmp"
	"context"
	"fmt"
	"log"
	"log/slog"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/seed-31c5bcb2/auth"
)

// notes implements the service of service.go.
type notes struct {
	news chan string // stands for the events of the service
}

func (n *notes) Add(ctx context.Context, text *wrapperspb.StringValue) (*wrapperspb.StringValue, error) {
	id, _ := auth.FromContext(ctx)
	return wrapperspb.String(fmt.Sprintf("%s notes %q", id.UserID, text.Value)), nil
}

func (n *notes) Follow(_ *emptypb.Empty, stream grpc.ServerStreamingServer[wrapperspb.StringValue]) error {
	for {
		select {
		case <-stream.Context().Done():
			return context.Cause(stream.Context())
		case text := <-n.news:
			if err := stream.Send(wrapperspb.String(text)); err != nil {
				return err
			}
		}
	}
}

func (n *notes) Echo(stream grpc.BidiStreamingServer[wrapperspb.StringValue, wrapperspb.StringValue]) error {
	for {
		text, err := stream.Recv()
		if err != nil {
			return err
		}
		if err := stream.Send(text); err != nil {
			return err
		}
	}
}

// newServer returns a server of the notes and of gRPC's health checks.
func newServer(store auth.Store, observe auth.Observer, news chan string) (*grpc.Server, *auth.Bearer, error) {
	bearer, err := auth.NewBearer(store, auth.BearerConfig{Prefix: "acme_pat"})
	if err != nil {
		return nil, nil, err
	}
	a := &authenticator{
		middleware: &auth.Middleware{Observe: observe},
		bearer:     bearer,
		scopes: map[string][]string{
			"/acme.Notes/Add":    {"notes:write"},
			"/acme.Notes/Follow": {"notes:read"},
			"/acme.Notes/Echo":   {},
		},
		public: map[string]bool{"/grpc.health.v1.Health/Check": true},
		every:  30 * time.Second,
	}
	server := grpc.NewServer(grpc.ChainUnaryInterceptor(a.unary), grpc.ChainStreamInterceptor(a.stream))
	server.RegisterService(&serviceDesc, &notes{news})
	healthpb.RegisterHealthServer(server, health.NewServer())
	return server, bearer, nil
}

func run(ctx context.Context) (err error) {
	server, bearer, err := newServer(auth.NewMemoryStore(), auth.LogTo(slog.Default()), make(chan string))
	if err != nil {
		return err
	}
	defer func() { err = cmp.Or(err, bearer.Close(context.WithoutCancel(ctx))) }()
	token, _, err := bearer.Issue(ctx, "alice", auth.TokenOptions{Name: "first", Scopes: []string{auth.FullAccess}, Lifetime: time.Hour})
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Printf("listening on %s, and the metadata is\nauthorization: Bearer %s\n", listener.Addr(), token)
	return server.Serve(listener) // a real service uses TLS: grpc.Creds
}

func main() {
	if err := run(context.Background()); err != nil {
		log.Fatal(err)
	}
}
