// Streams closes server-sent event streams and WebSocket connections when the
// credential that opened them is revoked.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/coder/websocket"

	"github.com/seed-31c5bcb2/auth"
)

type service struct {
	bearer *auth.Bearer
	cookie *auth.Cookie
	every  time.Duration // see auth.Watch
	news   chan string   // stands for the events of the service

	closing    context.Context // ends when the service shuts down
	endStreams context.CancelFunc
}

func newService(store auth.Store, keys auth.Keys, every time.Duration) (*service, error) {
	bearer, errBearer := auth.NewBearer(store, auth.BearerConfig{Prefix: "acme_pat"})
	cookie, errCookie := auth.NewCookie(store, auth.CookieConfig{Keys: keys})
	s := &service{bearer: bearer, cookie: cookie, every: every, news: make(chan string)}
	s.closing, s.endStreams = context.WithCancel(context.Background())
	return s, errors.Join(errBearer, errCookie)
}

func (s *service) routes() http.Handler {
	mux := http.NewServeMux()
	require := auth.Require(s.bearer, s.cookie)
	mux.Handle("GET /events", require(http.HandlerFunc(s.events)))
	mux.Handle("GET /socket", require(http.HandlerFunc(s.socket)))
	return mux
}

func (s *service) events(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := auth.Watch(r.Context(), s.every)
	defer cancel()
	defer context.AfterFunc(s.closing, cancel)()
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	for event := ""; send(w, event) == nil; {
		text, err := s.next(ctx)
		if err != nil {
			auth.Report(ctx, context.Cause(ctx)) // to the Observer, if Watch has ended the stream
			return
		}
		event = "data: " + text + "\n\n"
	}
}

// writeTimeout bounds a write. A client that reads nothing must not be able to keep a stream
// open after its credential was revoked.
const writeTimeout = 10 * time.Second

func send(w http.ResponseWriter, event string) error {
	stream := http.NewResponseController(w)
	if err := stream.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	if _, err := io.WriteString(w, event); err != nil {
		return err
	}
	if err := stream.Flush(); err != nil {
		return err
	}
	return stream.SetWriteDeadline(time.Time{}) // a deadline ends even an idle stream of HTTP/2
}

// next returns the next text to send. It returns an error if the client has disconnected, or
// the credential is no longer valid.
func (s *service) next(ctx context.Context) (text string, err error) {
	if ctx.Err() != nil { // the select would choose at random between the end and news
		return "", context.Cause(ctx)
	}
	select {
	case <-ctx.Done():
		return "", context.Cause(ctx)
	case text := <-s.news:
		return text, nil
	}
}

func (s *service) socket(w http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return // Accept has written a response
	}
	defer conn.CloseNow()
	open := conn.CloseRead(r.Context())
	ctx, cancel := auth.Watch(open, s.every)
	defer cancel()
	defer context.AfterFunc(s.closing, cancel)()
	for {
		text, err := s.next(ctx)
		if err != nil {
			auth.Report(ctx, context.Cause(ctx))
			conn.Close(websocket.StatusPolicyViolation, "signed out")
			return
		}
		// Not ctx: its end during a write would close the connection without the status.
		write, cancel := context.WithTimeout(open, writeTimeout)
		err = conn.Write(write, websocket.MessageText, []byte(text))
		cancel()
		if err != nil {
			return
		}
	}
}

// serve handles requests until ctx is done. Shutdown waits for open streams, so they end when it
// begins. Close has a context of its own: after one that has ended, last uses would be lost.
func (s *service) serve(ctx context.Context, l net.Listener) error {
	srv := &http.Server{Handler: s.routes(), ReadHeaderTimeout: 5 * time.Second}
	srv.RegisterOnShutdown(s.endStreams)
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(l) }()
	var err error
	select {
	case err = <-failed:
	case <-ctx.Done():
		requests, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		err = srv.Shutdown(requests)
	}
	uses, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return errors.Join(err, s.bearer.Close(uses), s.cookie.Close(uses))
}

func main() {
	key := make([]byte, 32) // a real service loads a permanent key
	rand.Read(key)
	s, err := newService(auth.NewMemoryStore(), auth.Keys{key}, 30*time.Second)
	if err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:8080")
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := s.serve(ctx, listener); err != nil {
		log.Print(err)
	}
}
