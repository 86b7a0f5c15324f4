package main

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"time"

	"golang.org/x/crypto/argon2"

	"github.com/seed-31c5bcb2/auth"
)

// An account is this service's own idea of a user, which handlers get by
// auth.MustUser[*account].
type account struct {
	ID   string
	Name string // to sign in with
	hash passwordHash
}

// accounts is filled before the first request and only read afterwards.
type accounts struct {
	byID   map[string]*account
	byName map[string]*account
	nobody *account      // stands in for names that do not exist
	slots  chan struct{} // one for each password that is hashed
}

var (
	errWrongPassword = errors.New("no such account, or not its password")
	errBusy          = errors.New("too many passwords are being checked")
)

// At 19 MiB each, four hashes at a time are what this process has to spare.
const maxHashes = 4

func newAccounts() *accounts {
	return &accounts{
		byID:   make(map[string]*account),
		byName: make(map[string]*account),
		nobody: &account{hash: newPasswordHash(rand.Text())},
		slots:  make(chan struct{}, maxHashes),
	}
}

func (as *accounts) add(id, name, password string) {
	a := &account{ID: id, Name: name, hash: newPasswordHash(password)}
	as.byID[id], as.byName[name] = a, a
}

// signIn finds the account that a name and a password belong to. An unknown name
// costs a hash as well: neither the answer nor its time tells which names exist.
// A real service also limits how often a name can be tried.
func (as *accounts) signIn(ctx context.Context, name, password string) (*account, error) {
	a, known := as.byName[name]
	if !known {
		a = as.nobody
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
// refused like a credential that never was.
func (as *accounts) resolve(_ context.Context, id *auth.Identity) (any, error) {
	a, ok := as.byID[id.UserID]
	if !ok {
		return nil, auth.ErrInvalidCredential
	}
	return a, nil
}

type passwordHash struct {
	salt [16]byte
	key  [32]byte
}

func newPasswordHash(password string) (h passwordHash) {
	rand.Read(h.salt[:])
	h.key = h.derive(password)
	return h
}

// derive is Argon2id with the parameters that OWASP gives as the least.
func (h *passwordHash) derive(password string) [32]byte {
	return [32]byte(argon2.IDKey([]byte(password), h.salt[:], 2, 19*1024, 1, 32))
}

func (h *passwordHash) matches(password string) bool {
	key := h.derive(password)
	return subtle.ConstantTimeCompare(key[:], h.key[:]) == 1
}
