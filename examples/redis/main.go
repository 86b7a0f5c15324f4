// Redis stores tokens in Redis or Valkey.
package main

import (
	"cmp"
	"context"
	"fmt"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/redis/rueidis"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/redisstore"
)

type service struct {
	client rueidis.Client
	store  *redisstore.Store
	bearer *auth.Bearer
}

func open(url, prefix string) (*service, error) {
	option, err := rueidis.ParseURL(url)
	if err != nil {
		return nil, err
	}
	option.ConnWriteTimeout = 2 * time.Second // also how long to wait for an answer
	client, err := rueidis.NewClient(option)
	if err != nil {
		return nil, err
	}
	store, err := redisstore.New(client, redisstore.Config{Prefix: prefix})
	if err != nil {
		return nil, err
	}
	bearer, err := auth.NewBearer(store, auth.BearerConfig{Prefix: "acme_pat"})
	return &service{client, store, bearer}, err
}

// close first writes pending last-used times, then closes the connections.
func (s *service) close(ctx context.Context) error {
	defer s.client.Close()
	return s.bearer.Close(ctx)
}

func (s *service) routes() http.Handler {
	return auth.Require(s.bearer)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, _ := auth.FromContext(r.Context())
		fmt.Fprintln(w, "hello", id.UserID)
	}))
}

func main() {
	s, err := open(cmp.Or(os.Getenv("REDIS_URL"), "redis://127.0.0.1:6379"), "myservice:auth:")
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		for range time.Tick(24 * time.Hour) {
			if _, err := s.store.Purge(context.Background(), time.Now().AddDate(0, -1, 0)); err != nil {
				log.Print(err)
			}
		}
	}()
	log.Fatal(http.ListenAndServe("127.0.0.1:8080", s.routes()))
}
