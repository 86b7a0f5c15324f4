// Metrics counts events by kind, scheme and reason, and writes them to a log.
package main

import (
	"context"
	"expvar"
	"fmt"
	"log"
	"log/slog"
	"net/http"

	"github.com/seed-31c5bcb2/auth"
)

// countTo counts events. Kinds, schemes and reasons are few: a user's or a
// credential's ID would make a label without end.
func countTo(m *expvar.Map) auth.Observer {
	return func(_ context.Context, e auth.Event) {
		m.Add(fmt.Sprintf("kind=%s scheme=%s reason=%s", e.Kind, e.Scheme, e.Reason), 1)
	}
}

// each tells several observers.
func each(observers ...auth.Observer) auth.Observer {
	return func(ctx context.Context, e auth.Event) {
		for _, o := range observers {
			o(ctx, e)
		}
	}
}

type service struct {
	bearer *auth.Bearer
	routes http.Handler
}

func newService(counts *expvar.Map, logger *slog.Logger) (*service, error) {
	observe := each(countTo(counts), auth.LogTo(logger))
	bearer, err := auth.NewBearer(auth.NewMemoryStore(), auth.BearerConfig{
		Prefix:  "acme_pat",
		Observe: observe, // what happens to tokens
	})
	if err != nil {
		return nil, err
	}
	m := &auth.Middleware{Observe: observe} // what happens to requests
	routes := m.Require(bearer)(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "hello")
	}))
	return &service{bearer, routes}, nil
}

func main() {
	s, err := newService(expvar.NewMap("auth"), slog.Default())
	if err != nil {
		log.Fatal(err)
	}
	http.Handle("GET /hello", s.routes) // beside /debug/vars, where the counts are
	log.Fatal(http.ListenAndServe("127.0.0.1:8080", nil))
}
