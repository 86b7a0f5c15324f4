// Tenants is a service whose users are members of tenants, in roles.
package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"log"
	"net/http"
	"time"

	"github.com/seed-31c5bcb2/auth"
)

type service struct {
	bearer *auth.Bearer
	cookie *auth.Cookie
	// roles returns the role of a user in a tenant, or an empty one if the user is no member.
	roles func(ctx context.Context, tenant, userID string) (string, error)
}

func (s *service) routes() http.Handler {
	members := auth.RequireFunc(s.member)
	mux := http.NewServeMux()
	mux.Handle("/tenants/{tenant}/notes", auth.Require(s.bearer, s.cookie)(members(http.HandlerFunc(s.notes))))
	mux.Handle("DELETE /tenants/{tenant}", auth.Require(s.cookie)(auth.RequireRecent(10*time.Minute)(members(http.HandlerFunc(s.remove)))))
	return mux
}

// member lets only members of the tenant in the path pass.
func (s *service) member(r *http.Request, id *auth.Identity) error {
	role, err := s.roles(r.Context(), r.PathValue("tenant"), id.UserID)
	switch {
	case err != nil:
		return err // an outage: 503
	case role == "":
		return auth.ErrNotFound // who is no member does not learn which tenants exist
	case r.Method != http.MethodGet && role != "admin":
		return auth.ErrForbidden
	}
	return nil
}

func (s *service) notes(w http.ResponseWriter, r *http.Request) {
	id, _ := auth.FromContext(r.Context())
	fmt.Fprintf(w, "%s reads notes of %s\n", id.UserID, r.PathValue("tenant"))
}

func (s *service) remove(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusNoContent) }

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
	roles := func(_ context.Context, tenant, userID string) (string, error) { // a real service asks its database
		return map[[2]string]string{{"acme", "alice"}: "admin", {"acme", "bob"}: "reader"}[[2]string{tenant, userID}], nil
	}
	log.Fatal(http.ListenAndServe("127.0.0.1:8080", (&service{bearer, cookie, roles}).routes()))
}
