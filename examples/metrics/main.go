// Metrics counts events by type, operation, scheme and reason, and logs them.
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

// countTo counts events. There are few types, operations, schemes and reasons. User IDs and
// credential IDs are not used as labels, because their number is unlimited.
func countTo(m *expvar.Map) auth.Observer {
	return func(_ context.Context, e auth.Event) {
		m.Add(fmt.Sprintf("type=%s operation=%s scheme=%s reason=%s", e.Type, e.Operation, e.Scheme, e.Reason), 1)
	}
}

// each returns an Observer that calls several others.
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

func newService(store auth.Store, counts *expvar.Map, logger *slog.Logger) (*service, error) {
	observe := each(countTo(counts), auth.LogTo(logger))
	bearer, err := auth.NewBearer(store, auth.BearerConfig{
		Prefix:  "acme_pat",
		Observe: observe, // changes to tokens, and calls that failed
	})
	if err != nil {
		return nil, err
	}
	m := &auth.Middleware{Observe: observe} // decisions on requests
	routes := m.Require(bearer)(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "hello")
	}))
	return &service{bearer, routes}, nil
}

func main() {
	s, err := newService(auth.NewMemoryStore(), expvar.NewMap("auth"), slog.Default())
	if err != nil {
		log.Fatal(err)
	}
	http.Handle("GET /hello", s.routes) // next to /debug/vars, which shows the counts
	log.Fatal(http.ListenAndServe("127.0.0.1:8080", nil))
}
