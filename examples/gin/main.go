// Gin authenticates the routes of a gin engine.
package main

import (
	"crypto/rand"
	"errors"
	"log"
	"net/http"

	"github.com/gin-gonic/gin"

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

// around wraps a net/http middleware around the rest of gin's chain. If the middleware
// does not call its next handler, the remaining handlers are skipped.
func around(middleware func(http.Handler) http.Handler) gin.HandlerFunc {
	return func(c *gin.Context) {
		called := false
		rest := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			called = true
			c.Request = r // carries the identity
			c.Next()
		})
		middleware(rest).ServeHTTP(c.Writer, c.Request)
		if !called {
			c.Abort()
		}
	}
}

func (s *service) routes() http.Handler {
	r := gin.New()
	r.Use(gin.Recovery())
	notes := r.Group("/notes", around(auth.Require(s.bearer, s.cookie)))
	notes.GET("", greet)
	notes.POST("", around(auth.RequireScope("notes:write")), greet)
	return r
}

func greet(c *gin.Context) {
	id, _ := auth.FromContext(c.Request.Context()) // not from c
	c.String(http.StatusOK, "%s by %s\n", id.UserID, id.Scheme)
}

func main() {
	gin.SetMode(gin.ReleaseMode)
	key := make([]byte, 32) // a real service loads a permanent key
	rand.Read(key)
	s, err := newService(auth.NewMemoryStore(), auth.Keys{key})
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(http.ListenAndServe("127.0.0.1:8080", s.routes()))
}
