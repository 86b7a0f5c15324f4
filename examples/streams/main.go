// Streams closes server-sent event streams and WebSocket connections when the
// credential that opened them is revoked.
package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"log"
	"net/http"
	"time"

	"github.com/coder/websocket"

	"github.com/seed-31c5bcb2/auth"
)

type service struct {
	bearer  *auth.Bearer
	cookie  *auth.Cookie
	recheck time.Duration
	news    chan string // stands for the events of the service
}

func newService(store auth.Store, keys auth.Keys, recheck time.Duration) (*service, error) {
	bearer, errBearer := auth.NewBearer(store, auth.BearerConfig{Prefix: "acme_pat"})
	cookie, errCookie := auth.NewCookie(store, auth.CookieConfig{Keys: keys})
	s := &service{bearer: bearer, cookie: cookie, recheck: recheck, news: make(chan string)}
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
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	stream := http.NewResponseController(w)
	tick := time.NewTicker(s.recheck)
	defer tick.Stop()
	for stream.Flush() == nil {
		select {
		case <-r.Context().Done():
			return
		case <-tick.C:
			if auth.Recheck(r.Context()) != nil {
				return
			}
		case text := <-s.news:
			fmt.Fprintf(w, "data: %s\n\n", text)
		}
	}
}

func (s *service) socket(w http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return // Accept has written a response
	}
	defer conn.CloseNow()
	ctx := conn.CloseRead(r.Context())
	tick := time.NewTicker(s.recheck)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if auth.Recheck(r.Context()) != nil {
				conn.Close(websocket.StatusPolicyViolation, "signed out")
				return
			}
		case text := <-s.news:
			if conn.Write(ctx, websocket.MessageText, []byte(text)) != nil {
				return
			}
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
	log.Fatal(http.ListenAndServe("127.0.0.1:8080", s.routes()))
}
