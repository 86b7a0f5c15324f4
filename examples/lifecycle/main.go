// Lifecycle signs people in, and ends credentials when a password changes or an
// account goes; and it replaces keys.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log"
	"net/http"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/seed-31c5bcb2/auth"
)

type service struct {
	users  *users
	bearer *auth.Bearer
	cookie *auth.Cookie
	secret *auth.Secret
}

func newService(u *users, store auth.Store, cookieKeys, revealKeys auth.Keys) (*service, error) {
	bearer, errBearer := auth.NewBearer(store, auth.BearerConfig{Prefix: "acme_pat"})
	cookie, errCookie := auth.NewCookie(store, auth.CookieConfig{Keys: cookieKeys})
	secret, errSecret := auth.NewSecret(store, auth.SecretConfig{RevealKeys: revealKeys})
	return &service{u, bearer, cookie, secret}, errors.Join(errBearer, errCookie, errSecret)
}

func (s *service) routes() http.Handler {
	m := &auth.Middleware{Resolve: s.resolve}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /sign-in", s.signIn)
	mux.HandleFunc("POST /sign-out", s.signOut)
	mux.Handle("GET /me", m.Require(s.bearer, s.cookie, s.secret)(http.HandlerFunc(s.me)))
	signedIn := m.Require(s.cookie) // no token may do these
	mux.Handle("POST /tokens", signedIn(http.HandlerFunc(s.newToken)))
	mux.Handle("POST /password", signedIn(http.HandlerFunc(s.changePassword)))
	mux.Handle("DELETE /account", signedIn(http.HandlerFunc(s.deleteAccount)))
	return mux
}

func (s *service) resolve(_ context.Context, id *auth.Identity) (any, error) {
	if s.users.Disabled(id.UserID) {
		return nil, auth.ErrInvalidCredential
	}
	return nil, nil
}

func (s *service) me(w http.ResponseWriter, r *http.Request) {
	id, _ := auth.FromContext(r.Context())
	fmt.Fprintln(w, id.UserID)
}

func (s *service) signIn(w http.ResponseWriter, r *http.Request) {
	if err := s.cookie.CheckOrigin(r); err != nil {
		auth.WriteError(w, r, err)
		return
	}
	userID := r.PostFormValue("user")
	if err := s.users.CheckPassword(userID, r.PostFormValue("password")); err != nil {
		http.Error(w, "wrong user or password", http.StatusForbidden) // 401 would owe a challenge
		return
	}
	if _, err := s.cookie.SignIn(w, r, userID, auth.NewSession{}); err != nil {
		auth.WriteError(w, r, err)
		return
	}
	http.Redirect(w, r, auth.LocalPath(r.FormValue("next"), "/"), http.StatusSeeOther)
}

func (s *service) signOut(w http.ResponseWriter, r *http.Request) {
	if err := s.cookie.SignOut(w, r); err != nil {
		auth.WriteError(w, r, err)
		return
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func (s *service) newToken(w http.ResponseWriter, r *http.Request) {
	id, _ := auth.FromContext(r.Context())
	t := auth.NewToken{Name: r.PostFormValue("name"), Lifetime: 90 * 24 * time.Hour}
	plaintext, _, err := s.bearer.Issue(r.Context(), id.UserID, t)
	switch {
	case errors.Is(err, auth.ErrMalformed):
		http.Error(w, "name: 1 to 255 bytes, please", http.StatusBadRequest)
	case err != nil:
		auth.WriteError(w, r, err)
	default:
		w.Header().Set("Cache-Control", "no-store")
		fmt.Fprintln(w, plaintext)
	}
}

// revokeAll ends every credential of an account, but for the sessions named.
func (s *service) revokeAll(ctx context.Context, userID string, except ...string) error {
	_, errTokens := s.bearer.RevokeAll(ctx, userID)
	_, errSessions := s.cookie.RevokeAll(ctx, userID, except...)
	errSecret := s.secret.Revoke(ctx, userID)
	if errors.Is(errSecret, auth.ErrNotFound) {
		errSecret = nil // it has none
	}
	return errors.Join(errTokens, errSessions, errSecret)
}

func (s *service) changePassword(w http.ResponseWriter, r *http.Request) {
	id, _ := auth.FromContext(r.Context())
	if s.users.CheckPassword(id.UserID, r.PostFormValue("old")) != nil {
		http.Error(w, "wrong password", http.StatusForbidden)
		return
	}
	err := s.users.SetPassword(id.UserID, r.PostFormValue("new"))
	if err == nil {
		err = s.revokeAll(r.Context(), id.UserID, id.CredentialID) // but this session
	}
	if err != nil {
		auth.WriteError(w, r, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (s *service) deleteAccount(w http.ResponseWriter, r *http.Request) {
	id, _ := auth.FromContext(r.Context())
	s.users.Disable(id.UserID) // from here on Resolve refuses it
	if err := s.revokeAll(r.Context(), id.UserID); err != nil {
		auth.WriteError(w, r, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// rotation is what the configuration of Keys is, deployment by deployment.
func rotation(older, newer []byte) []auth.Keys {
	return []auth.Keys{
		{older},
		{older, newer}, // every process can open what the next step seals
		{newer, older}, // the new key seals
		{newer},        // once nothing that the old one has sealed is needed
	}
}

// reseal gives an account a new secret, sealed by the first of RevealKeys. The
// old secret works on for a week, in which its owner can look at the new one.
func (s *service) reseal(ctx context.Context, userID string) error {
	_, _, err := s.secret.Rotate(ctx, userID, 7*24*time.Hour)
	return err
}

func main() {
	cookieKey, revealKey := make([]byte, 32), make([]byte, 32) // real ones outlive the process
	rand.Read(cookieKey)
	rand.Read(revealKey)
	s, err := newService(newUsers(bcrypt.DefaultCost), auth.NewMemoryStore(), auth.Keys{cookieKey}, auth.Keys{revealKey})
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(http.ListenAndServe("127.0.0.1:8080", s.routes()))
}
