package cachestore_test

import (
	"fmt"
	"log"
	"time"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/cachestore"
)

func ExampleNew() {
	var database auth.Store = auth.NewMemoryStore() // for example sqlstore.New(db, sqlstore.PostgreSQL, sqlstore.Config{})
	store, err := cachestore.New(database, cachestore.Config{
		MaxStale: 2 * time.Second,
		// For PostgreSQL, pgnotify.New(url, pgnotify.Config{}) reports what other
		// processes revoke.
		Invalidations: nil,
	})
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	bearer, err := auth.NewBearer(store, auth.BearerConfig{Prefix: "acme_pat"})
	fmt.Println(bearer.Scheme(), err)
	// Output: Bearer <nil>
}
