// Lifecycle signs users in, lets them create tokens, revokes credentials when a user
// changes the password or deletes the account, and rotates keys.
package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"log"
	"net/http"
	"strings"
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
	mux.Handle("POST /sign-in", bodyFirst(http.HandlerFunc(s.signIn)))
	mux.HandleFunc("POST /sign-out", s.signOut)
	mux.Handle("GET /me", m.Require(s.bearer, s.cookie, s.secret)(http.HandlerFunc(s.me)))
	signedIn := m.Require(s.cookie) // sessions only: a leaked token must not be able to do these
	mux.Handle("POST /tokens", bodyFirst(signedIn(http.HandlerFunc(s.createToken))))
	mux.Handle("POST /password", bodyFirst(signedIn(http.HandlerFunc(s.changePassword))))
	mux.Handle("DELETE /account", signedIn(auth.RequireRecent(maxAge)(http.HandlerFunc(s.deleteAccount))))
	return mux
}

// resolve rejects the credentials of users who were deleted, and those from before the last
// change of the password: revoking them may have failed, and another process may have them
// in its cache.
func (s *service) resolve(_ context.Context, id *auth.Identity) (any, error) {
	changed, known := s.users.PasswordChanged(id.UserID)
	if !known || !id.AuthenticatedAt.After(changed) {
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
	version, err := s.users.CheckPassword(userID, r.PostFormValue("password"))
	if err == nil {
		err = s.startSession(w, r, userID, version)
	}
	if err != nil {
		writeError(w, r, err)
		return
	}
	http.Redirect(w, r, auth.LocalPath(r.FormValue("next"), "/"), http.StatusSeeOther)
}

// startSession signs in a user whose password was checked, and had this version. If it
// was changed in the meantime, the new session is later than the change, and may be
// missing from those that the change has revoked, so it ends here.
func (s *service) startSession(w http.ResponseWriter, r *http.Request, userID string, version int) error {
	session, err := s.cookie.SignIn(w, r, userID, auth.SessionOptions{})
	if err != nil || s.users.IsCurrent(userID, version) {
		return err
	}
	ctx := context.WithoutCancel(r.Context()) // the client must not be able to prevent this
	if err := s.cookie.Revoke(ctx, userID, session.ID); err != nil && !errors.Is(err, auth.ErrNotFound) {
		return errors.Join(err, s.cookie.SignOut(w, r))
	}
	return errors.Join(errWrongPassword, s.cookie.SignOut(w, r)) // clears the cookie
}

// writeError distinguishes passwords from what the library responds to. A wrong
// password is 403, because 401 would require a challenge.
func writeError(w http.ResponseWriter, r *http.Request, err error) {
	switch {
	case errors.Is(err, errWrongPassword):
		http.Error(w, errWrongPassword.Error(), http.StatusForbidden)
	case errors.Is(err, errNotAllowed):
		http.Error(w, errNotAllowed.Error(), http.StatusBadRequest)
	default:
		auth.WriteError(w, r, err)
	}
}

func (s *service) signOut(w http.ResponseWriter, r *http.Request) {
	if err := s.cookie.SignOut(w, r); err != nil {
		auth.WriteError(w, r, err)
		return
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// revokeAll revokes all credentials of a user: the sessions first, because a session
// can create tokens. It completes even if the client disconnects.
func (s *service) revokeAll(ctx context.Context, userID string) error {
	ctx = context.WithoutCancel(ctx)
	_, errSessions := s.cookie.RevokeAll(ctx, userID)
	_, errTokens := s.bearer.RevokeAll(ctx, userID)
	_, errSecrets := s.secret.RevokeAll(ctx, userID)
	return errors.Join(errSessions, errTokens, errSecrets)
}

func (s *service) changePassword(w http.ResponseWriter, r *http.Request) {
	id, _ := auth.FromContext(r.Context())
	version, err := s.users.CheckPassword(id.UserID, r.PostFormValue("old"))
	if err == nil {
		version, err = s.users.SetPassword(id.UserID, r.PostFormValue("new"), version)
	}
	if err == nil {
		err = s.revokeAll(r.Context(), id.UserID) // this session too: its cookie may have been copied
	}
	if err == nil {
		err = s.startSession(w, r, id.UserID, version)
	}
	if err != nil {
		writeError(w, r, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (s *service) deleteAccount(w http.ResponseWriter, r *http.Request) {
	if err := auth.Recheck(r.Context()); err != nil { // a cache may have a revoked session
		auth.WriteError(w, r, err)
		return
	}
	id, _ := auth.FromContext(r.Context())
	s.users.Disable(id.UserID) // from now on, resolve rejects the user's credentials
	if err := s.revokeAll(r.Context(), id.UserID); err != nil {
		auth.WriteError(w, r, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// parseKeys reads keys from a configuration: in base64, newest first, separated by commas.
// NewCookie and NewSecret reject keys that are too short.
func parseKeys(list string) (auth.Keys, error) {
	var keys auth.Keys
	for text := range strings.SplitSeq(list, ",") {
		key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
		if err != nil {
			return nil, fmt.Errorf("key %d is not base64", len(keys)+1)
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// rotation returns the Keys of each deployment, in order.
func rotation(older, newer []byte) []auth.Keys {
	return []auth.Keys{
		{older},
		{older, newer}, // all processes can decrypt what the next step encrypts
		{newer, older}, // the newer key encrypts
		{newer},        // once nothing encrypted with the older key is needed
	}
}

// reseal replaces a user's secret by one that is encrypted with the first of
// RevealKeys. The old secret is valid for another week, in which the user can reveal
// the new one.
func (s *service) reseal(ctx context.Context, userID, id string) (auth.Credential, error) {
	_, c, err := s.secret.Rotate(ctx, userID, id, 7*24*time.Hour)
	return c, err
}

func main() {
	cookieKey, revealKey := make([]byte, 32), make([]byte, 32) // a real service loads permanent keys
	rand.Read(cookieKey)
	rand.Read(revealKey)
	s, err := newService(newUsers(bcrypt.DefaultCost), auth.NewMemoryStore(), auth.Keys{cookieKey}, auth.Keys{revealKey})
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(http.ListenAndServe("127.0.0.1:8080", s.routes()))
}
