package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/examples/server/internal/demodata"
	"github.com/seed-31c5bcb2/auth/examples/server/internal/password"
)

// users checks passwords, and finds the user that a credential belongs to.
type users struct {
	state   demodata.State
	unknown *demodata.User // used for names that do not exist
	slots   chan struct{}  // holds one element for each password that is being hashed
}

var (
	errWrongPassword = errors.New("wrong user name or password")
	errBusy          = errors.New("too many passwords are being checked")
)

// maxHashes limits the memory for hashing passwords, which is 19 MiB each.
const maxHashes = 4

func newUsers(state demodata.State) *users {
	return &users{
		state:   state,
		unknown: &demodata.User{Password: password.New(rand.Text())},
		slots:   make(chan struct{}, maxHashes),
	}
}

// signIn returns the user with this name and password. It hashes the password even
// if the name is unknown: neither the response nor its time reveals which names
// exist. A real service also limits the attempts per name.
func (us *users) signIn(ctx context.Context, name, password string) (*demodata.User, error) {
	u, err := us.state.UserByName(ctx, name)
	known := err == nil
	switch {
	case errors.Is(err, auth.ErrNotFound):
		u = us.unknown
	case err != nil:
		return nil, fmt.Errorf("%w: %w", auth.ErrUnavailable, err)
	}
	matches, err := us.check(ctx, u, password)
	switch {
	case err != nil:
		return nil, err
	case !matches || !known:
		return nil, errWrongPassword
	}
	return u, nil
}

// check waits up to three seconds for a slot.
func (us *users) check(ctx context.Context, u *demodata.User, password string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	select {
	case us.slots <- struct{}{}:
		defer func() { <-us.slots }()
		return u.Password.Matches(password), nil
	case <-ctx.Done():
		return false, errBusy
	}
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
