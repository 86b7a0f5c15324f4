// Support lets members of the support staff act in the accounts of users.
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

type user struct {
	ID    string
	Staff bool
}

type service struct {
	cookie  *auth.Cookie // sessions of users and of staff in their own accounts
	support *auth.Cookie // sessions of staff in accounts of users
	// user returns auth.ErrInvalidCredential if there is no such user or the user is disabled.
	user func(ctx context.Context, id string) (*user, error)
}

func newService(store auth.Store, keys auth.Keys, find func(context.Context, string) (*user, error)) (*service, error) {
	cookie, errCookie := auth.NewCookie(store, auth.CookieConfig{Keys: keys})
	support, errSupport := auth.NewCookie(store, auth.CookieConfig{
		Keys: keys, Name: "__Host-support", Lifetime: time.Hour, IdleTimeout: 15 * time.Minute,
	})
	return &service{cookie, support, find}, errors.Join(errCookie, errSupport)
}

func (s *service) routes() http.Handler {
	m := &auth.Middleware{Resolve: s.resolve}
	own, either := m.Require(s.cookie), m.Require(s.support, s.cookie)
	mux := http.NewServeMux()
	mux.Handle("GET /notes", either(http.HandlerFunc(s.notes)))
	mux.Handle("POST /password", own(auth.RequireRecent(10*time.Minute)(http.HandlerFunc(s.changePassword))))
	mux.Handle("POST /support/enter/{user}", own(auth.RequireRecent(10*time.Minute)(http.HandlerFunc(s.enter))))
	mux.HandleFunc("POST /support/leave", s.leave)
	mux.HandleFunc("POST /sign-out", s.signOut)
	return mux
}

// resolve loads the user. If another user acts, that one must be allowed to, on each
// request: revoking the sessions of a member of the staff does not end those in accounts
// of others.
func (s *service) resolve(ctx context.Context, id *auth.Identity) (any, error) {
	if id.Actor != "" {
		actor, err := s.user(ctx, id.Actor)
		if err != nil {
			return nil, err
		}
		if !actor.Staff {
			return nil, auth.ErrInvalidCredential
		}
	}
	u, err := s.user(ctx, id.UserID)
	if err != nil {
		return nil, err
	}
	return u, nil
}

// enter starts a session of a member of the staff in the account of a user.
func (s *service) enter(w http.ResponseWriter, r *http.Request) {
	staff := auth.MustUser[*user](r.Context())
	customer, err := s.user(r.Context(), r.PathValue("user"))
	switch {
	case !staff.Staff:
		err = auth.ErrForbidden
	case errors.Is(err, auth.ErrInvalidCredential):
		err = auth.ErrNotFound
	case err == nil && customer.Staff: // or staff could act as staff with more rights
		err = auth.ErrForbidden
	case err == nil:
		_, err = s.support.SignIn(w, r, customer.ID, auth.SessionOptions{Actor: staff.ID, NonPersistent: true})
	}
	if err != nil {
		auth.WriteError(w, r, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (s *service) leave(w http.ResponseWriter, r *http.Request) {
	if err := s.support.SignOut(w, r); err != nil {
		auth.WriteError(w, r, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// signOut ends both sessions.
func (s *service) signOut(w http.ResponseWriter, r *http.Request) {
	if err := errors.Join(s.support.SignOut(w, r), s.cookie.SignOut(w, r)); err != nil {
		auth.WriteError(w, r, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (s *service) notes(w http.ResponseWriter, r *http.Request) {
	id, _ := auth.FromContext(r.Context())
	if id.Actor != "" {
		fmt.Fprintf(w, "%s reads notes of %s\n", id.Actor, id.UserID)
		return
	}
	fmt.Fprintf(w, "notes of %s\n", id.UserID)
}

func (s *service) changePassword(w http.ResponseWriter, _ *http.Request) {
	w.WriteHeader(http.StatusNoContent)
}

func main() {
	key := make([]byte, 32) // a real service loads a permanent key
	rand.Read(key)
	find := func(_ context.Context, id string) (*user, error) { return &user{id, id == "grace"}, nil } // a real service asks its database
	s, err := newService(auth.NewMemoryStore(), auth.Keys{key}, find)
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(http.ListenAndServe("127.0.0.1:8080", s.routes()))
}
