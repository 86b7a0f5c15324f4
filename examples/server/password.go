package main

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/examples/server/internal/demodata"
	"github.com/seed-31c5bcb2/auth/examples/server/internal/password"
)

// startSession signs in a user whose password was checked. If it was changed in the
// meantime, the new session may be missing from those that the change has revoked, so
// it ends here.
func (s *server) startSession(w http.ResponseWriter, r *http.Request, u *demodata.User) error {
	session, err := s.cookie.SignIn(w, r, u.ID, auth.SessionOptions{})
	if err != nil {
		return err
	}
	current, err := s.users.isCurrent(r.Context(), u)
	if current {
		return nil
	}
	ctx := context.WithoutCancel(r.Context()) // the client must not be able to prevent this
	if errRevoke := s.cookie.Revoke(ctx, u.ID, session.ID); !errors.Is(errRevoke, auth.ErrNotFound) {
		err = errors.Join(err, errRevoke)
	}
	err = errors.Join(err, s.cookie.SignOut(w, r)) // clears the cookie
	if err == nil {
		err = errWrongPassword
	}
	return err
}

// resetPassword gives a user a new password and ends the user's sessions, in this order:
// a sign-in with the old password that is in progress then ends its own session.
// Tokens and the secret remain valid, because the password is lost and not stolen.
func (s *server) resetPassword(ctx context.Context, name string) (string, error) {
	u, err := s.users.state.UserByName(ctx, name)
	if err != nil {
		return "", err
	}
	plaintext := rand.Text()
	if err := s.users.state.SetPassword(ctx, u.ID, password.New(plaintext)); err != nil {
		return "", err
	}
	_, err = s.cookie.RevokeAll(ctx, u.ID)
	return plaintext, err
}
