// Settings mounts the pages on which users manage their credentials, and sends a mail
// when one changes.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log"
	"net/http"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/settings"
)

type service struct {
	bearer *auth.Bearer
	cookie *auth.Cookie
	secret *auth.Secret
	mails  chan mail
}

type mail struct{ to, text string }

func newService(store auth.Store, cookieKeys, revealKeys auth.Keys) (*service, error) {
	s := &service{mails: make(chan mail, 100)}
	var errBearer, errCookie, errSecret error
	s.bearer, errBearer = auth.NewBearer(store, auth.BearerConfig{
		Prefix: "acme_pat", Scopes: []string{"notes:read", "notes:write"}, MaxPerUser: 50, Observe: s.notify,
	})
	s.cookie, errCookie = auth.NewCookie(store, auth.CookieConfig{Keys: cookieKeys, Observe: s.notify})
	s.secret, errSecret = auth.NewSecret(store, auth.SecretConfig{Prefix: "acme_cs", RevealKeys: revealKeys, Observe: s.notify})
	return s, errors.Join(errBearer, errCookie, errSecret)
}

func (s *service) routes() (http.Handler, error) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /sign-in", signInPage)
	mux.HandleFunc("POST /sign-in", s.signIn)
	credential := auth.Require(s.bearer, s.secret) // for programs: no sessions
	mux.Handle("GET /api/user", credential(http.HandlerFunc(user)))
	developer, err := settings.New(settings.Config{
		Bearer: s.bearer, Cookie: s.cookie, Secret: s.secret,
		SignInPath: "/sign-in",
		Scopes: []settings.ScopeGroup{{Title: "Notes", Scopes: []settings.Scope{
			{Name: "notes:read", Description: "read your notes"},
			{Name: "notes:write", Description: "write and remove notes"},
		}}},
		Links:           []settings.Link{{Text: "Back to Acme", URL: "/"}},
		TokenExampleURL: "/api/user", SecretExampleURL: "/api/user", // to try a new credential
	})
	if err != nil {
		return nil, err
	}
	mux.Handle("/settings/", http.StripPrefix("/settings", developer))
	return withClientAddr(mux), nil
}

// withClientAddr is for a service with no proxy in front.
func withClientAddr(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(auth.WithClientAddr(r.Context(), auth.RemoteAddr(r))))
	})
}

func user(w http.ResponseWriter, r *http.Request) {
	id, _ := auth.FromContext(r.Context())
	fmt.Fprintln(w, id.UserID)
}

// notify is the Observe of the authenticators. It must not block, so it queues the
// mail.
func (s *service) notify(ctx context.Context, e auth.Event) {
	change := map[auth.EventType]string{
		auth.EventIssued:     "was created",
		auth.EventRotated:    "was rotated",
		auth.EventRevealed:   "was shown",
		auth.EventRevoked:    "was revoked",
		auth.EventRevokedAll: "were all revoked",
	}[e.Type]
	if change == "" {
		return // for example a sign-in
	}
	if _, byUser := auth.FromContext(ctx); !byUser {
		return // by the service itself, not by a request
	}
	text := fmt.Sprintf("Credentials of your account: %s %s %s, from %s.", e.Scheme, e.CredentialID, change, e.ClientAddr)
	select {
	case s.mails <- mail{e.UserID, text}:
	default:
		log.Print("mail queue is full; dropped: ", text)
	}
}

// send delivers queued mails until ctx is done.
func (s *service) send(ctx context.Context, deliver func(mail)) {
	for {
		select {
		case <-ctx.Done():
			return
		case m := <-s.mails:
			deliver(m)
		}
	}
}

// signInPage shows its form even to signed-in users: the settings redirect here with
// prompt=login if they must sign in again.
func signInPage(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	fmt.Fprint(w, `<!DOCTYPE html><title>Sign in</title><form method="post">
<p>Here, every user is alice.</p><button>Sign in</button></form>`)
}

// signIn is called with the URL of the page, which includes next. A real service
// checks a password first.
func (s *service) signIn(w http.ResponseWriter, r *http.Request) {
	if _, err := s.cookie.SignIn(w, r, "alice", auth.SessionOptions{}); err != nil {
		auth.WriteError(w, r, err)
		return
	}
	http.Redirect(w, r, auth.LocalPath(r.URL.Query().Get("next"), "/settings/"), http.StatusSeeOther)
}

func main() {
	cookieKey, revealKey := make([]byte, 32), make([]byte, 32) // a real service loads permanent keys
	rand.Read(cookieKey)
	rand.Read(revealKey)
	s, err := newService(auth.NewMemoryStore(), auth.Keys{cookieKey}, auth.Keys{revealKey})
	if err != nil {
		log.Fatal(err)
	}
	routes, err := s.routes()
	if err != nil {
		log.Fatal(err)
	}
	go s.send(context.Background(), func(m mail) { log.Printf("mail to %s: %s", m.to, m.text) })
	// The cookie is Secure: over plain HTTP, browsers send it to localhost only.
	log.Print("http://localhost:8080/settings/")
	log.Fatal(http.ListenAndServe("127.0.0.1:8080", routes))
}
