// Chi authenticates groups of routes of a chi router, each with different schemes.
package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"log"
	"net/http"

	"github.com/go-chi/chi/v5"

	"github.com/seed-31c5bcb2/auth"
)

type service struct {
	bearer *auth.Bearer
	cookie *auth.Cookie
	secret *auth.Secret
}

func newService(store auth.Store, keys auth.Keys) (*service, error) {
	bearer, errBearer := auth.NewBearer(store, auth.BearerConfig{Prefix: "acme_pat"})
	cookie, errCookie := auth.NewCookie(store, auth.CookieConfig{Keys: keys})
	secret, errSecret := auth.NewSecret(store, auth.SecretConfig{Prefix: "acme_cs"})
	return &service{bearer, cookie, secret}, errors.Join(errBearer, errCookie, errSecret)
}

func (s *service) routes() http.Handler {
	r := chi.NewRouter()
	r.Get("/healthz", ok)

	r.Group(func(r chi.Router) {
		r.Use(auth.Require(s.bearer, s.cookie))
		r.Get("/notes", greet)
		r.With(auth.RequireScope("notes:write")).Post("/notes", greet)
	})

	r.Group(func(r chi.Router) {
		r.Use(auth.Require(s.secret)) // servers only
		r.Post("/exports", greet)
	})
	return r
}

func ok(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") }

func greet(w http.ResponseWriter, r *http.Request) {
	id, _ := auth.FromContext(r.Context())
	fmt.Fprintf(w, "%s by %s\n", id.UserID, id.Scheme)
}

func main() {
	key := make([]byte, 32) // a real service loads a permanent key
	rand.Read(key)
	s, err := newService(auth.NewMemoryStore(), auth.Keys{key})
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(http.ListenAndServe("127.0.0.1:8080", s.routes()))
}
