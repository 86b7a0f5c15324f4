package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/seed-31c5bcb2/auth"
)

// An account is this service's own idea of a user, which handlers get by
// auth.MustUser[*account].
type account struct {
	ID   string
	Name string // to sign in with
	hash passwordHash
}

// accounts signs people in, and knows them by their credentials' owner.
type accounts struct {
	state  state
	nobody *account      // stands in for names that do not exist
	slots  chan struct{} // one for each password that is hashed
}

var (
	errWrongPassword = errors.New("no such account, or not its password")
	errBusy          = errors.New("too many passwords are being checked")
)

// At 19 MiB each, four hashes at a time are what this process has to spare.
const maxHashes = 4

func newAccounts(state state) *accounts {
	return &accounts{
		state:  state,
		nobody: &account{hash: newPasswordHash(rand.Text())},
		slots:  make(chan struct{}, maxHashes),
	}
}

// signIn finds the account that a name and a password belong to. An unknown name
// costs a hash as well: neither the answer nor its time tells which names exist.
// A real service also limits how often a name can be tried.
func (as *accounts) signIn(ctx context.Context, name, password string) (*account, error) {
	a, err := as.state.accountByName(ctx, name)
	known := err == nil
	switch {
	case errors.Is(err, auth.ErrNotFound):
		a = as.nobody
	case err != nil:
		return nil, fmt.Errorf("%w: %w", auth.ErrUnavailable, err)
	}
	matches, err := as.check(ctx, a, password)
	switch {
	case err != nil:
		return nil, err
	case !matches || !known:
		return nil, errWrongPassword
	}
	return a, nil
}

// check waits for its turn, but not for long: people would rather be told.
func (as *accounts) check(ctx context.Context, a *account, password string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	select {
	case as.slots <- struct{}{}:
		defer func() { <-as.slots }()
		return a.hash.matches(password), nil
	case <-ctx.Done():
		return false, errBusy
	}
}

// resolve is the Middleware.Resolve of this service: an account that is gone is
// refused like a credential that never was. Any other error is an outage.
func (as *accounts) resolve(ctx context.Context, id *auth.Identity) (any, error) {
	a, err := as.state.accountByID(ctx, id.UserID)
	if errors.Is(err, auth.ErrNotFound) {
		return nil, auth.ErrInvalidCredential
	}
	return a, err
}
