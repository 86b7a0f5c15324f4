package pgnotify_test

import (
	"log"

	"github.com/seed-31c5bcb2/auth/pgnotify"
)

func ExampleNew() {
	revocations, err := pgnotify.New("postgres://app@db.example.com/app?sslmode=verify-full",
		pgnotify.Config{ErrorLog: func(err error) { log.Print(err) }})
	if err != nil {
		log.Fatal(err)
	}
	// store is the sqlstore.Store over the same database:
	//
	//	cached, err := cachestore.New(store, cachestore.Config{Invalidations: revocations})
	_ = revocations
}
