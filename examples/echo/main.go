// Echo authenticates the routes of an echo server.
package main

import (
	"crypto/rand"
	"errors"
	"log"
	"net/http"

	"github.com/labstack/echo/v4"

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

func (s *service) routes() http.Handler {
	e := echo.New()
	notes := e.Group("/notes", echo.WrapMiddleware(auth.Require(s.bearer, s.cookie)))
	notes.GET("", greet)
	notes.POST("", greet, echo.WrapMiddleware(auth.RequireScope("notes:write")))
	return e
}

func greet(c echo.Context) error {
	id, _ := auth.FromContext(c.Request().Context())
	return c.String(http.StatusOK, id.UserID+" by "+string(id.Scheme)+"\n")
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
