// Cache uses a cache in front of PostgreSQL, which notifies it of revocations.
package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log"
	"net/http"
	"os"

	_ "github.com/jackc/pgx/v5/stdlib"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/cachestore"
	"github.com/seed-31c5bcb2/auth/pgnotify"
	"github.com/seed-31c5bcb2/auth/sqlstore"
)

type service struct {
	db       *sql.DB
	database *sqlstore.Store
	store    *cachestore.Store
	bearer   *auth.Bearer
}

func open(ctx context.Context, url string) (*service, error) {
	db, err := sql.Open("pgx", url)
	if err != nil {
		return nil, err
	}
	database, err := sqlstore.New(db, sqlstore.PostgreSQL, sqlstore.Config{})
	if err != nil {
		return nil, err
	}
	if err := database.Migrate(ctx); err != nil {
		return nil, err
	}
	revocations, err := pgnotify.New(url, pgnotify.Config{ErrorLog: func(err error) { log.Print(err) }})
	if err != nil {
		return nil, err
	}
	store, err := cachestore.New(database, cachestore.Config{Invalidations: revocations})
	if err != nil {
		return nil, err
	}
	bearer, err := auth.NewBearer(store, auth.BearerConfig{Prefix: "acme_pat"})
	return &service{db, database, store, bearer}, err
}

// close first writes pending last-used times, then closes the connections.
func (s *service) close(ctx context.Context) error {
	return errors.Join(s.bearer.Close(ctx), s.store.Close(), s.database.Close(), s.db.Close())
}

func (s *service) routes() http.Handler {
	return auth.Require(s.bearer)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, _ := auth.FromContext(r.Context())
		fmt.Fprintln(w, "hello", id.UserID)
	}))
}

func main() {
	s, err := open(context.Background(), os.Getenv("DATABASE_URL"))
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(http.ListenAndServe("127.0.0.1:8080", s.routes()))
}
