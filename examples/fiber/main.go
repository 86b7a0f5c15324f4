// Fiber authenticates the routes of a fiber app.
package main

import (
	"crypto/rand"
	"errors"
	"log"
	"net/http"

	"github.com/gofiber/fiber/v3"
	"github.com/gofiber/fiber/v3/middleware/recover"

	"github.com/seed-31c5bcb2/auth"
)

type service struct {
	bearer *auth.Bearer
	cookie *auth.Cookie
}

func newService(store auth.Store, keys auth.Keys) (*service, error) {
	bearer, errBearer := auth.NewBearer(store, auth.BearerConfig{Prefix: "acme_pat"})
	cookie, errCookie := auth.NewCookie(store, auth.CookieConfig{Keys: keys})
	return &service{bearer, cookie}, errors.Join(errBearer, errCookie)
}

func (s *service) routes() *fiber.App {
	app := fiber.New()
	app.Use(recover.New()) // otherwise a panic ends the process
	app.Post("/sign-in", serve(http.HandlerFunc(s.signIn)))
	notes := app.Group("/notes", around(auth.Require(s.bearer, s.cookie)))
	notes.Get("", greet)
	notes.Post("", around(auth.RequireScope("notes:write")), greet)
	return app
}

func greet(c fiber.Ctx) error {
	id, _ := auth.FromContext(c.Context()) // not from c
	return c.SendString(id.UserID + " by " + string(id.Scheme) + "\n")
}

func (s *service) signIn(w http.ResponseWriter, r *http.Request) {
	// A real service verifies a password first: see docs/guides/signing-in.md.
	if _, err := s.cookie.SignIn(w, r, "demo", auth.SessionOptions{}); err != nil {
		auth.WriteError(w, r, err)
	}
}

func main() {
	key := make([]byte, 32) // a real service loads a permanent key
	rand.Read(key)
	s, err := newService(auth.NewMemoryStore(), auth.Keys{key})
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(s.routes().Listen("127.0.0.1:8080"))
}
