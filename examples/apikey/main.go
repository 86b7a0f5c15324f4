// Apikey is a service whose clients may send their token in X-API-Key.
package main

import (
	"crypto/rand"
	"fmt"
	"log"
	"net/http"

	"github.com/seed-31c5bcb2/auth"
)

func routes(bearer *auth.Bearer, cookie *auth.Cookie) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/notes", auth.Require(bearer.InHeader("X-API-Key"), bearer, cookie)(http.HandlerFunc(notes)))
	return mux
}

func notes(w http.ResponseWriter, r *http.Request) {
	id, _ := auth.FromContext(r.Context())
	fmt.Fprintf(w, "notes of %s\n", id.UserID)
}

func main() {
	key := make([]byte, 32) // a real service loads a permanent key
	rand.Read(key)
	store := auth.NewMemoryStore()
	bearer, err := auth.NewBearer(store, auth.BearerConfig{})
	if err != nil {
		log.Fatal(err)
	}
	cookie, err := auth.NewCookie(store, auth.CookieConfig{Keys: auth.Keys{key}})
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(http.ListenAndServe("127.0.0.1:8080", routes(bearer, cookie)))
}
