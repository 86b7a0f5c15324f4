// Ratelimit limits failed attempts to authenticate, and attempts to sign in.
package main

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"fmt"
	"io"
	"log"
	"net/http"
	"strconv"
	"time"

	"github.com/seed-31c5bcb2/auth"
)

type service struct {
	bearer *auth.Bearer
	cookie *auth.Cookie

	failures *limiter // requests with a bad credential
	signIns  *limiter // attempts to sign in

	checkPassword func(userID, password string) bool
}

func newService(store auth.Store, keys auth.Keys) (*service, error) {
	bearer, err := auth.NewBearer(store, auth.BearerConfig{Prefix: "acme_pat"})
	if err != nil {
		return nil, err
	}
	cookie, err := auth.NewCookie(store, auth.CookieConfig{Keys: keys})
	if err != nil {
		return nil, err
	}
	return &service{
		bearer: bearer, cookie: cookie,
		failures: newLimiter(10*time.Second, 20, 100_000),
		signIns:  newLimiter(time.Minute, 5, 100_000),
	}, nil
}

// routes determines the client's address first, then looks at the limit, and authenticates last.
func (s *service) routes() http.Handler {
	m := &auth.Middleware{Observe: s.failures.observe}
	mux := http.NewServeMux()
	mux.Handle("GET /notes", m.Require(s.bearer, s.cookie)(http.HandlerFunc(notes)))
	mux.Handle("POST /notes", m.Require(s.bearer, s.cookie)(m.RequireScope("notes:write")(http.HandlerFunc(notes))))
	api := http.NewServeMux()
	api.Handle("/", s.failures.guard(mux))
	api.HandleFunc("POST /sign-in", s.signIn)
	return direct(api)
}

// bad are the reasons of requests whose credential was never valid, or is not known anymore.
var bad = map[auth.Reason]bool{
	auth.ReasonMalformed: true,
	auth.ReasonTooLong:   true,
	auth.ReasonPrefix:    true,
	auth.ReasonChecksum:  true,
	auth.ReasonUnknown:   true,
	auth.ReasonRejected:  true, // by an authenticator of the service
}

// observe counts requests that were rejected for a bad credential. It does not count cookies: a
// browser sends a stale one with every request, and one page can make many.
func (l *limiter) observe(ctx context.Context, e auth.Event) {
	if e.Type == auth.EventRefused && e.Scheme != auth.SchemeCookie && bad[e.Reason] {
		l.take(network(ctx))
	}
}

// guard rejects all requests of a client that is over the limit, before they are authenticated.
func (l *limiter) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if wait := l.wait(network(r.Context())); wait > 0 {
			tooManyRequests(w, wait)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func tooManyRequests(w http.ResponseWriter, wait time.Duration) {
	seconds := (wait + time.Second - 1) / time.Second
	w.Header().Set("Retry-After", strconv.Itoa(int(seconds)))
	w.Header().Set("Cache-Control", "no-store") // RFC 6585 section 4
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(http.StatusTooManyRequests)
	io.WriteString(w, `{"title":"Too Many Requests","status":429,"code":"too_many_attempts"}`+"\n")
}

// signIn counts each attempt before it checks the password. If it counted failures afterwards, a
// client could try any number of passwords at the same time.
func (s *service) signIn(w http.ResponseWriter, r *http.Request) {
	if err := s.cookie.CheckOrigin(r); err != nil {
		auth.WriteError(w, r, err)
		return
	}
	if n := network(r.Context()); !s.signIns.take(n) {
		tooManyRequests(w, s.signIns.wait(n))
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, 16<<10)
	userID := r.PostFormValue("user")
	if !s.checkPassword(userID, r.PostFormValue("password")) {
		http.Error(w, "wrong user or password", http.StatusForbidden)
		return
	}
	if _, err := s.cookie.SignIn(w, r, userID, auth.SessionOptions{}); err != nil {
		auth.WriteError(w, r, err)
		return
	}
	http.Redirect(w, r, "/notes", http.StatusSeeOther)
}

// direct is for a service with no proxy in front.
func direct(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(auth.WithClientAddr(r.Context(), auth.RemoteAddr(r))))
	})
}

func notes(w http.ResponseWriter, r *http.Request) {
	id, _ := auth.FromContext(r.Context())
	fmt.Fprintf(w, "notes of %s\n", id.UserID)
}

func main() {
	key := make([]byte, 32) // a real service loads a permanent key
	rand.Read(key)
	s, err := newService(auth.NewMemoryStore(), auth.Keys{key})
	if err != nil {
		log.Fatal(err)
	}
	password := rand.Text()
	s.checkPassword = func(userID, given string) bool { // a real service has a hash for each user
		return userID == "alice" && subtle.ConstantTimeCompare([]byte(given), []byte(password)) == 1
	}
	fmt.Println("The password of alice is", password)
	log.Fatal(http.ListenAndServe("127.0.0.1:8080", s.routes()))
}
