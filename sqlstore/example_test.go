package sqlstore_test

import (
	"context"
	"database/sql"
	"log"
	"time"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/sqlstore"
)

func ExampleNew() {
	// PostgreSQL, with import _ "github.com/jackc/pgx/v5/stdlib":
	db, err := sql.Open("pgx", "postgres://app@db.example.com/app?sslmode=verify-full")
	if err != nil {
		log.Fatal(err)
	}
	// SQLite, with import _ "github.com/ncruces/go-sqlite3/driver" and the dialect
	// sqlstore.SQLite:
	//
	//	sql.Open("sqlite3", "file:auth.db?_pragma=journal_mode(WAL)&_pragma=busy_timeout(1000)")
	//
	// MariaDB or MySQL, with import _ "github.com/go-sql-driver/mysql" and the
	// dialect sqlstore.MySQL:
	//
	//	sql.Open("mysql", "app@tcp(db.example.com)/app?tls=true")
	defer db.Close()

	store, err := sqlstore.New(db, sqlstore.PostgreSQL, sqlstore.Config{Timeout: time.Second})
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	if err := store.Migrate(context.Background()); err != nil {
		log.Fatal(err)
	}
	bearer, err := auth.NewBearer(store, auth.BearerConfig{Prefix: "acme_pat"})
	if err != nil {
		log.Fatal(err)
	}
	defer bearer.Close(context.Background()) // before the store: Close writes pending last uses
}
