// Echo authenticates the routes of an echo server.
package main

import (
	"crypto/rand"
	"errors"
	"log"
	"net/http"
	"slices"

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
	e.HTTPErrorHandler = answer(e.DefaultHTTPErrorHandler)
	notes := e.Group("/notes", echo.WrapMiddleware(auth.Require(s.bearer, s.cookie)))
	notes.GET("", greet)
	notes.POST("", greet, echo.WrapMiddleware(auth.RequireScope("notes:write")))
	notes.DELETE("/:id", s.remove)
	e.DELETE("/tokens/:id", s.revoke, echo.WrapMiddleware(auth.Require(s.cookie)))
	return e
}

// conditions are those of package auth that WriteError tells apart.
var conditions = []error{
	auth.ErrNoCredential, auth.ErrMalformed, auth.ErrInvalidCredential, auth.ErrInsufficientScope, auth.ErrForbidden,
	auth.ErrReauthenticationRequired, auth.ErrCrossOrigin, auth.ErrUnavailable,
	auth.ErrInvalidArgument, auth.ErrNotFound, auth.ErrConflict, auth.ErrLimit,
}

// answer returns an error handler that answers errors of package auth as Require does. All
// others are answered by next, and so are those that a handler has put into an echo.HTTPError.
func answer(next echo.HTTPErrorHandler) echo.HTTPErrorHandler {
	return func(err error, c echo.Context) {
		var rejection *auth.Error
		known := errors.As(err, &rejection) || slices.ContainsFunc(conditions, func(e error) bool { return errors.Is(err, e) })
		if decided := (*echo.HTTPError)(nil); errors.As(err, &decided) || !known || c.Response().Committed {
			next(err, c)
			return
		}
		auth.WriteError(c.Response(), c.Request(), err)
	}
}

// remove removes a note. Its owner needs no scope.
func (s *service) remove(c echo.Context) error {
	id, _ := auth.FromContext(c.Request().Context())
	if c.Param("id") != id.UserID { // a real service asks its database for the owner
		if err := auth.CheckScope(c.Request().Context(), "notes:remove"); err != nil {
			return err
		}
	}
	return c.NoContent(http.StatusNoContent)
}

// revoke revokes a token of the user.
func (s *service) revoke(c echo.Context) error {
	id, _ := auth.FromContext(c.Request().Context())
	if err := s.bearer.Revoke(c.Request().Context(), id.UserID, c.Param("id")); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
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
