package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/examples/server/internal/demodata"
	"github.com/seed-31c5bcb2/auth/examples/server/internal/limiter"
	"github.com/seed-31c5bcb2/auth/examples/server/internal/password"
)

// users checks passwords, and finds the user that a credential belongs to.
type users struct {
	state   demodata.State
	unknown *demodata.User // used for names that do not exist
	limiter *limiter.Limiter
}

var errWrongPassword = errors.New("wrong user name or password")

// A limitError says how long a client has to wait before it tries another password.
type limitError time.Duration

func (e limitError) Error() string { return "too many attempts from this address or network" }

func newUsers(state demodata.State) *users {
	return &users{
		state:   state,
		unknown: &demodata.User{Password: password.New(rand.Text())},
		limiter: limiter.New(),
	}
}

// signIn returns the user with this name and password. It hashes the password even
// if the name is unknown: neither the response nor its time reveals which names
// exist. Nor does a limitError.
func (us *users) signIn(ctx context.Context, client netip.Prefix, name, password string) (*demodata.User, error) {
	attempt, wait := us.limiter.Begin(client, name)
	if wait > 0 {
		return nil, limitError(wait)
	}
	u, err := us.check(ctx, attempt, name, password)
	// Attempts that have waited in vain, or whose client has gone, count: without a limit,
	// they could keep others waiting all the time.
	if err == nil || errors.Is(err, auth.ErrUnavailable) && !errors.Is(ctx.Err(), context.Canceled) {
		attempt.Forget()
	}
	return u, err
}

func (us *users) check(ctx context.Context, a *limiter.Attempt, name, password string) (*demodata.User, error) {
	u, err := us.state.UserByName(ctx, name)
	known := err == nil
	switch {
	case errors.Is(err, auth.ErrNotFound):
		u = us.unknown
	case err != nil:
		return nil, fmt.Errorf("%w: %w", auth.ErrUnavailable, err)
	}
	var matches bool
	err = a.Hash(ctx, func() { matches = u.Password.Matches(password) })
	switch {
	case err != nil:
		return nil, err
	case !matches || !known:
		return nil, errWrongPassword
	}
	return u, nil
}

// isCurrent reports whether a user has the password that was checked. Its hash has a
// salt of its own, so each change of the password changes the hash.
func (us *users) isCurrent(ctx context.Context, checked *demodata.User) (bool, error) {
	u, err := us.state.UserByID(ctx, checked.ID)
	if err != nil && !errors.Is(err, auth.ErrNotFound) {
		return false, fmt.Errorf("%w: %w", auth.ErrUnavailable, err)
	}
	return err == nil && u.Password == checked.Password, nil
}

// resolve is the Middleware.Resolve of this service. Handlers get its result with
// auth.MustUser[*demodata.User]. The credential of a deleted user is rejected as if
// it were unknown. Any other error is treated as an outage.
func (us *users) resolve(ctx context.Context, id *auth.Identity) (any, error) {
	u, err := us.state.UserByID(ctx, id.UserID)
	if errors.Is(err, auth.ErrNotFound) {
		return nil, auth.ErrInvalidCredential
	}
	return u, err
}
