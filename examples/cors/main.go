// Cors serves an API to a user interface on another origin. The CORS handler comes
// first, then authentication: preflight requests have no credentials.
package main

import (
	"crypto/rand"
	"fmt"
	"log"
	"net/http"

	"github.com/rs/cors"

	"github.com/seed-31c5bcb2/auth"
)

const userInterface = "https://app.example.com"

func newCookie(store auth.Store, keys auth.Keys) (*auth.Cookie, error) {
	return auth.NewCookie(store, auth.CookieConfig{
		Keys:           keys,
		TrustedOrigins: []string{userInterface},
	})
}

func routes(cookie *auth.Cookie) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /session", signIn(cookie))
	mux.Handle("/notes", auth.Require(cookie)(http.HandlerFunc(greet)))

	handler := cors.New(cors.Options{
		AllowedOrigins:   []string{userInterface}, // the same list, never "*"
		AllowedMethods:   []string{"GET", "POST", "DELETE"},
		AllowedHeaders:   []string{"Content-Type"},
		AllowCredentials: true, // the browser sends the cookie, and lets scripts read the response
	})
	return handler.Handler(mux)
}

// signIn stands for the sign-in of the service. Here, every user is alice.
func signIn(cookie *auth.Cookie) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if _, err := cookie.SignIn(w, r, "alice", auth.SessionOptions{}); err != nil {
			auth.WriteError(w, r, err)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}
}

func greet(w http.ResponseWriter, r *http.Request) {
	id, _ := auth.FromContext(r.Context())
	fmt.Fprintln(w, id.UserID)
}

func main() {
	key := make([]byte, 32) // a real service loads a permanent key
	rand.Read(key)
	cookie, err := newCookie(auth.NewMemoryStore(), auth.Keys{key})
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(http.ListenAndServe("127.0.0.1:8080", routes(cookie)))
}
