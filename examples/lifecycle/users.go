package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/crypto/bcrypt"
)

// maxPassword is how many bytes of a password bcrypt uses.
const maxPassword = 72

var (
	errWrongPassword = errors.New("wrong user or password")
	errNotAllowed    = fmt.Errorf("a password must have 1 to %d bytes", maxPassword)
)

// users stands for the users of the service.
type users struct {
	cost     int    // of bcrypt
	unknown  []byte // the hash that is used for users without a password
	mu       sync.Mutex
	byID     map[string]account
	disabled map[string]bool
}

// An account has a version that changes with each password: a column of the same row
// in a database.
type account struct {
	hash    []byte
	version int
}

func newUsers(cost int) *users {
	unknown, err := bcrypt.GenerateFromPassword([]byte(rand.Text()), cost)
	if err != nil {
		panic(err) // only for an invalid cost
	}
	return &users{cost: cost, unknown: unknown, byID: map[string]account{}, disabled: map[string]bool{}}
}

// CheckPassword returns the version of the password, or errWrongPassword. It takes the
// same time for unknown users.
func (u *users) CheckPassword(userID, password string) (version int, err error) {
	u.mu.Lock()
	a, known := u.byID[userID]
	u.mu.Unlock()
	if !known {
		a.hash = u.unknown
	}
	// bcrypt ignores the bytes after the limit, so they must not be accepted.
	if bcrypt.CompareHashAndPassword(a.hash, []byte(password)) != nil || len(password) > maxPassword || !known {
		return 0, errWrongPassword
	}
	return a.version, nil
}

// SetPassword replaces the password that has this version, and returns the next
// version. A new user has version 0. SetPassword returns errNotAllowed for a password
// that is too long, and errWrongPassword if the version has changed: of two concurrent
// calls, one succeeds. In SQL, it is one UPDATE … WHERE id = ? AND version = ?.
func (u *users) SetPassword(userID, password string, version int) (int, error) {
	if password == "" || len(password) > maxPassword {
		return 0, errNotAllowed
	}
	hash, err := bcrypt.GenerateFromPassword([]byte(password), u.cost)
	if err != nil {
		return 0, err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.byID[userID].version != version || u.disabled[userID] {
		return 0, errWrongPassword
	}
	u.byID[userID] = account{hash, version + 1}
	return version + 1, nil
}

// IsCurrent reports whether the password still has this version.
func (u *users) IsCurrent(userID string, version int) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.byID[userID].version == version
}

func (u *users) Disable(userID string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.disabled[userID] = true
	delete(u.byID, userID)
}

func (u *users) Disabled(userID string) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.disabled[userID]
}
