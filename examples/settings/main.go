// Settings mounts the pages on which people manage their credentials, and writes to
// them when one changes.
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
		Prefix: "acme_pat", Scopes: []string{"notes:read", "notes:write"}, MaxPerUser: 50, Observe: s.tell,
	})
	s.cookie, errCookie = auth.NewCookie(store, auth.CookieConfig{Keys: cookieKeys, Observe: s.tell})
	s.secret, errSecret = auth.NewSecret(store, auth.SecretConfig{Prefix: "acme_cs", RevealKeys: revealKeys, Observe: s.tell})
	return s, errors.Join(errBearer, errCookie, errSecret)
}

func (s *service) routes() (http.Handler, error) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /sign-in", signInPage)
	mux.HandleFunc("POST /sign-in", s.signIn)
	developer, err := settings.New(settings.Config{
		Bearer: s.bearer, Cookie: s.cookie, Secret: s.secret,
		SignInPath: "/sign-in",
		Scopes: []settings.ScopeGroup{{Title: "Notes", Scopes: []settings.Scope{
			{Name: "notes:read", Description: "read your notes"},
			{Name: "notes:write", Description: "write and remove notes"},
		}}},
		Links: []settings.Link{{Text: "Back to Acme", URL: "/"}},
	})
	if err != nil {
		return nil, err
	}
	mux.Handle("/settings/", http.StripPrefix("/settings", developer))
	return mux, nil
}

// tell is the Observe of the authenticators. It is called on the request's path, so
// it hands the mail to somebody else.
func (s *service) tell(ctx context.Context, e auth.Event) {
	what := map[auth.EventKind]string{
		auth.EventIssued:     "was created",
		auth.EventRotated:    "was rotated",
		auth.EventRevealed:   "was shown",
		auth.EventRevoked:    "was ended",
		auth.EventRevokedAll: "were ended, all of them,",
	}[e.Kind]
	if what == "" {
		return // a sign-in, say
	}
	if _, byOwner := auth.FromContext(ctx); !byOwner {
		return // a job of ours, and nobody's request
	}
	text := fmt.Sprintf("Credentials of your account: %s %s %s, from %s.", e.Scheme, e.CredentialID, what, e.Remote)
	select {
	case s.mails <- mail{e.UserID, text}:
	default:
		log.Print("too many mails are waiting; lost: ", text)
	}
}

// send sends what is waiting, until ctx ends.
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

// signInPage shows its form also to those who are signed in: with prompt=login they
// are to sign in anew.
func signInPage(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	fmt.Fprint(w, `<!DOCTYPE html><title>Sign in</title><form method="post">
<p>Everybody is alice here.</p><button>Sign in</button></form>`)
}

// signIn is posted to the page's own address, so that next is still in it. A real
// one checks a password first.
func (s *service) signIn(w http.ResponseWriter, r *http.Request) {
	if _, err := s.cookie.SignIn(w, r, "alice", auth.NewSession{}); err != nil {
		auth.WriteError(w, r, err)
		return
	}
	http.Redirect(w, r, auth.LocalPath(r.URL.Query().Get("next"), "/settings/"), http.StatusSeeOther)
}

func main() {
	cookieKey, revealKey := make([]byte, 32), make([]byte, 32) // real ones outlive the process
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
	// The cookie is Secure. Browsers send it over http to the local host alone.
	log.Print("http://localhost:8080/settings/")
	log.Fatal(http.ListenAndServe("127.0.0.1:8080", routes))
}
