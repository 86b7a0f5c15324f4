// Connect is a service for clients of the Connect, gRPC and gRPC-Web protocols, and for browsers.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log"
	"net/http"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/seed-31c5bcb2/auth"
)

type text = wrapperspb.StringValue

type service struct {
	bearer *auth.Bearer
	cookie *auth.Cookie
	every  time.Duration // see auth.Watch
	news   chan string   // stands for the events of the service
	errors *connect.ErrorWriter
}

func newService(store auth.Store, keys auth.Keys, every time.Duration) (*service, error) {
	bearer, errBearer := auth.NewBearer(store, auth.BearerConfig{Prefix: "acme_pat"})
	cookie, errCookie := auth.NewCookie(store, auth.CookieConfig{Keys: keys})
	s := &service{bearer: bearer, cookie: cookie, every: every, news: make(chan string), errors: connect.NewErrorWriter()}
	return s, errors.Join(errBearer, errCookie)
}

// routes has the handlers that usually come from generated code, one for each method.
func (s *service) routes(observe auth.Observer) http.Handler {
	m := auth.Middleware{Observe: observe, OnError: s.writeError}
	write, read := m.RequireScope("notes:write"), m.RequireScope("notes:read")
	streams := connect.WithInterceptors(interceptor{})

	mux := http.NewServeMux()
	mux.Handle("/acme.Notes/Add", write(connect.NewUnaryHandlerSimple("/acme.Notes/Add", s.add)))
	mux.Handle("/acme.Notes/List", read(connect.NewUnaryHandlerSimple("/acme.Notes/List", s.list,
		connect.WithIdempotency(connect.IdempotencyNoSideEffects)))) // allows GET
	mux.Handle("/acme.Notes/Follow", read(s.watched(connect.NewServerStreamHandlerSimple("/acme.Notes/Follow", s.follow, streams))))
	mux.Handle("/acme.Notes/Echo", read(s.watched(connect.NewBidiStreamHandler("/acme.Notes/Echo", s.echo, streams))))
	return m.Require(s.bearer, s.cookie)(mux)
}

func (s *service) add(ctx context.Context, note *text) (*text, error) {
	id, _ := auth.FromContext(ctx)
	return wrapperspb.String(fmt.Sprintf("%s notes %q", id.UserID, note.Value)), nil
}

func (s *service) list(ctx context.Context, _ *emptypb.Empty) (*text, error) {
	id, _ := auth.FromContext(ctx)
	return wrapperspb.String("notes of " + id.UserID), nil
}

func (s *service) follow(ctx context.Context, _ *emptypb.Empty, stream *connect.ServerStream[text]) error {
	if err := stream.Send(nil); err != nil { // the header, for which the client waits
		return err
	}
	for {
		if ctx.Err() != nil { // the select would choose at random between the end and news
			return context.Cause(ctx)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case news := <-s.news:
			if err := stream.Send(wrapperspb.String(news)); err != nil {
				return err
			}
		}
	}
}

func (s *service) echo(_ context.Context, stream *connect.BidiStream[text, text]) error {
	for {
		note, err := stream.Receive()
		if err != nil {
			return err
		}
		if err := stream.Send(note); err != nil {
			return err
		}
	}
}

func main() {
	key := make([]byte, 32) // a real service loads a permanent key
	rand.Read(key)
	s, err := newService(auth.NewMemoryStore(), auth.Keys{key}, 30*time.Second)
	if err != nil {
		log.Fatal(err)
	}
	token, _, err := s.bearer.Issue(context.Background(), "alice", auth.TokenOptions{
		Name: "first", Scopes: []string{auth.FullAccess}, Lifetime: time.Hour,
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf(`curl -H 'Authorization: Bearer %s' --json '"milk"' http://127.0.0.1:8080/acme.Notes/Add`+"\n", token)
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true) // for gRPC clients; a real service uses TLS, which has HTTP/2 already
	server := &http.Server{Addr: "127.0.0.1:8080", Handler: s.routes(nil), Protocols: &protocols}
	log.Fatal(server.ListenAndServe())
}
