// Support is a service whose staff can act as a customer.
package main

import (
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"log"
	"net/http"
	"sync"
	"time"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/settings"
)

// A user is a customer or a member of the staff.
type user struct {
	id    string
	staff bool
}

type service struct {
	m       *auth.Middleware
	bearer  *auth.Bearer
	session *auth.Cookie // of customers and of staff
	support *auth.Cookie // of staff who act as a customer

	checkPassword func(userID, password string) bool

	mu    sync.Mutex
	users map[string]user
}

func newService(store auth.Store, keys auth.Keys, observe auth.Observer) (*service, error) {
	s := &service{users: map[string]user{}}
	var errBearer, errSession, errSupport error
	s.m = &auth.Middleware{Resolve: s.resolve, Observe: observe}
	s.bearer, errBearer = auth.NewBearer(store, auth.BearerConfig{Prefix: "acme_pat", Observe: observe})
	s.session, errSession = auth.NewCookie(store, auth.CookieConfig{Keys: keys, Observe: observe})
	s.support, errSupport = auth.NewCookie(store, auth.CookieConfig{
		Keys: keys, Observe: observe,
		Name:     "__Host-support", // the staff member's own session keeps its cookie
		Lifetime: 30 * time.Minute,
	})
	return s, errors.Join(errBearer, errSession, errSupport)
}

func (s *service) setUser(u user) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.users[u.id] = u
}

func (s *service) user(id string) (u user, known bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u, known = s.users[id]
	return u, known
}

func (s *service) routes() (http.Handler, error) {
	own, errOwn := settings.New(settings.Config{Bearer: s.bearer, Cookie: s.session, Middleware: *s.m, SignInPath: "/sign-in"})
	acting, errActing := settings.New(settings.Config{Bearer: s.bearer, Cookie: s.support, Middleware: *s.m, SignInPath: "/sign-in"})
	if err := errors.Join(errOwn, errActing); err != nil {
		return nil, err
	}
	owner, recent := auth.RequireFunc(ownerOnly), auth.RequireRecent(10*time.Minute)
	mux := http.NewServeMux()
	mux.HandleFunc("POST /sign-in", s.signIn)
	mux.HandleFunc("POST /sign-out", s.signOut)
	mux.Handle("GET /{$}", s.account(http.HandlerFunc(showNotes)))
	mux.Handle("POST /notes", s.account(http.HandlerFunc(addNote)))
	mux.Handle("POST /payments", s.account(owner(http.HandlerFunc(done))))
	mux.Handle("POST /password", s.account(recent(http.HandlerFunc(done))))
	mux.Handle("/settings/", s.choose(http.StripPrefix("/settings", own), http.StripPrefix("/settings", acting)))
	s.supportRoutes(mux)
	return http.MaxBytesHandler(mux, 16<<10), nil
}

func (s *service) signIn(w http.ResponseWriter, r *http.Request) {
	if err := s.session.CheckOrigin(r); err != nil {
		auth.WriteError(w, r, err)
		return
	}
	userID := r.PostFormValue("user")
	if !s.checkPassword(userID, r.PostFormValue("password")) {
		http.Error(w, "wrong user or password", http.StatusForbidden)
		return
	}
	if _, err := s.session.SignIn(w, r, userID, auth.SessionOptions{}); err != nil {
		auth.WriteError(w, r, err)
		return
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func (s *service) signOut(w http.ResponseWriter, r *http.Request) {
	if err := errors.Join(s.support.SignOut(w, r), s.session.SignOut(w, r)); err != nil {
		auth.WriteError(w, r, err)
		return
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func done(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }

func main() {
	key := make([]byte, 32) // a real service loads a permanent key
	rand.Read(key)
	s, err := newService(auth.NewMemoryStore(), auth.Keys{key}, auth.LogTo(nil))
	if err != nil {
		log.Fatal(err)
	}
	password := rand.Text()
	s.checkPassword = func(userID, given string) bool { // a real service has a hash for each user
		_, known := s.user(userID)
		return known && subtle.ConstantTimeCompare([]byte(given), []byte(password)) == 1
	}
	s.setUser(user{id: "alice"})
	s.setUser(user{id: "grace", staff: true})
	routes, err := s.routes()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("The password of alice, and of grace, who is staff, is", password)
	log.Fatal(http.ListenAndServe("127.0.0.1:8080", routes))
}
