// Tenants is a service whose users are members of tenants, in roles.
package main

import (
	"context"
	"crypto/rand"
	"errors"
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
	news  chan string // stands for the events of the service
}

func (s *service) routes() http.Handler {
	members := auth.RequireFunc(s.member)
	mux := http.NewServeMux()
	mux.Handle("/tenants/{tenant}/notes", auth.Require(s.bearer, s.cookie)(members(http.HandlerFunc(s.notes))))
	mux.Handle("GET /tenants/{tenant}/events", auth.Require(s.bearer, s.cookie)(members(http.HandlerFunc(s.events))))
	mux.Handle("DELETE /tenants/{tenant}", auth.Require(s.cookie)(auth.RequireRecent(10*time.Minute)(members(http.HandlerFunc(s.remove)))))
	return mux
}

// member lets only members of the tenant in the path pass.
func (s *service) member(r *http.Request, id *auth.Identity) error {
	role, err := s.role(r.Context(), r.PathValue("tenant"), id)
	switch {
	case err != nil:
		return err
	case r.Method != http.MethodGet && role != "admin":
		return auth.ErrForbidden
	}
	return nil
}

// role returns the role that an identity has in a tenant.
func (s *service) role(ctx context.Context, tenant string, id *auth.Identity) (string, error) {
	if id.Scheme == auth.SchemeBearer && id.Metadata.Get("tenant") != tenant {
		return "", auth.ErrNotFound // a token of another tenant, or of none
	}
	role, err := s.roles(ctx, tenant, id.UserID)
	switch {
	case err != nil:
		return "", err // an outage: 503
	case role == "":
		return "", auth.ErrNotFound // who is no member does not learn which tenants exist
	}
	return role, nil
}

// move binds a token to another tenant. If the token has replaced one that is in its grace
// period, that one would stay in the former tenant.
func (s *service) move(ctx context.Context, userID, id, tenant string) error {
	token, err := s.bearer.Update(ctx, userID, id, auth.TokenUpdate{Metadata: map[string]*string{"tenant": &tenant}})
	if err != nil || token.Previous == "" {
		return err
	}
	err = s.bearer.Revoke(ctx, userID, token.Previous)
	if errors.Is(err, auth.ErrNotFound) {
		return nil // its grace period has ended
	}
	return err
}

// recheck does what member did when the request began, with the metadata that the token
// has now. It is for streams.
func (s *service) recheck(ctx context.Context, tenant string) error {
	id, _ := auth.FromContext(ctx)
	if id.Scheme == auth.SchemeBearer {
		token, err := s.bearer.Get(ctx, id.UserID, id.CredentialID)
		if err != nil {
			return err
		}
		id.Metadata = token.Metadata
	}
	_, err := s.role(ctx, tenant, id)
	return err
}

func (s *service) notes(w http.ResponseWriter, r *http.Request) {
	id, _ := auth.FromContext(r.Context())
	fmt.Fprintf(w, "%s reads notes of %s\n", id.UserID, r.PathValue("tenant"))
}

// events streams what happens in a tenant. Watch ends when the credential does, and recheck
// finds that the user has left the tenant, or that the token was moved. examples/streams also
// bounds each write.
func (s *service) events(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := auth.Watch(r.Context(), 30*time.Second)
	defer cancel()
	w.Header().Set("Content-Type", "text/event-stream")
	tenant := r.PathValue("tenant")
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
			return
		case text := <-s.news:
			if ctx.Err() != nil || s.recheck(ctx, tenant) != nil {
				return
			}
			fmt.Fprintf(w, "data: %s\n\n", text)
			w.(http.Flusher).Flush()
		}
	}
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
	log.Fatal(http.ListenAndServe("127.0.0.1:8080", (&service{bearer, cookie, roles, make(chan string)}).routes()))
}
