// SQL stores tokens in a database: here SQLite. PostgreSQL, MariaDB and MySQL need
// another driver and dialect.
package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log"
	"net/http"
	"time"

	_ "github.com/ncruces/go-sqlite3/driver"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/sqlstore"
)

type service struct {
	db     *sql.DB
	store  *sqlstore.Store
	bearer *auth.Bearer
}

func open(ctx context.Context, file string) (*service, error) {
	db, err := sql.Open("sqlite3", "file:"+file+"?_pragma=journal_mode(WAL)&_pragma=busy_timeout(1000)")
	if err != nil {
		return nil, err
	}
	store, err := sqlstore.New(db, sqlstore.SQLite, sqlstore.Config{})
	if err != nil {
		return nil, err
	}
	if err := store.Migrate(ctx); err != nil {
		return nil, err
	}
	bearer, err := auth.NewBearer(store, auth.BearerConfig{Prefix: "acme_pat"})
	return &service{db, store, bearer}, err
}

// close first writes pending last-used times, then closes the database.
func (s *service) close(ctx context.Context) error {
	return errors.Join(s.bearer.Close(ctx), s.store.Close(), s.db.Close())
}

// purge removes tokens that expired or were revoked over a month ago. It is called
// once a day.
func (s *service) purge(ctx context.Context) (int, error) {
	return s.store.Purge(ctx, time.Now().AddDate(0, -1, 0))
}

func (s *service) routes() http.Handler {
	return auth.Require(s.bearer)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, _ := auth.FromContext(r.Context())
		fmt.Fprintln(w, "hello", id.UserID)
	}))
}

func main() {
	s, err := open(context.Background(), "auth.db")
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		for range time.Tick(24 * time.Hour) {
			if _, err := s.purge(context.Background()); err != nil {
				log.Print(err)
			}
		}
	}()
	log.Fatal(http.ListenAndServe("127.0.0.1:8080", s.routes()))
}
