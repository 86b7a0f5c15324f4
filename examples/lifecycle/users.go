package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// maxPassword is how many bytes of a password bcrypt uses.
const maxPassword = 72

var (
	errWrongPassword = errors.New("wrong user or password")
	errNotAllowed    = fmt.Errorf("a password must have 1 to %d bytes, none of them zero", maxPassword)
)

// users stands for the users of the service.
type users struct {
	cost     int    // of bcrypt
	unknown  []byte // the hash that is used for users without a password
	mu       sync.Mutex
	byID     map[string]account
	disabled map[string]bool
}

// An account has a version that changes with each password, and the time of the last
// change, in microseconds: columns of the same row in a database.
type account struct {
	hash    []byte
	version int
	changed time.Time
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
	if bcrypt.CompareHashAndPassword(a.hash, []byte(password)) != nil || !allowed(password) || !known {
		return 0, errWrongPassword
	}
	return a.version, nil
}

// allowed reports whether bcrypt distinguishes a password from all others. It ignores the
// bytes after the limit, and repeats a password, followed by a zero byte, up to the limit:
// "a\x00a" is the same as "a".
func allowed(password string) bool {
	return password != "" && len(password) <= maxPassword && !strings.Contains(password, "\x00")
}

// SetPassword replaces the password that has this version, and returns the next
// version. A new user has version 0. SetPassword returns errNotAllowed for a password
// that is not allowed, and errWrongPassword if the version has changed: of two concurrent
// calls, one succeeds. A session that starts after SetPassword has returned is later than
// the change.
func (u *users) SetPassword(userID, password string, version int) (int, error) {
	if !allowed(password) {
		return 0, errNotAllowed
	}
	hash, err := bcrypt.GenerateFromPassword([]byte(password), u.cost)
	if err != nil {
		return 0, err
	}
	changed, err := u.replace(userID, hash, version)
	if err != nil {
		return 0, err
	}
	time.Sleep(time.Until(changed.Add(time.Microsecond))) // a database takes longer to commit
	return version + 1, nil
}

// replace takes the time under the lock: a session that has passed IsCurrent before is not
// later than the change. In SQL, it is a transaction: SELECT … FOR UPDATE, take the time,
// UPDATE.
func (u *users) replace(userID string, hash []byte, version int) (changed time.Time, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.byID[userID].version != version || u.disabled[userID] {
		return time.Time{}, errWrongPassword
	}
	changed = time.Now().Truncate(time.Microsecond) // like AuthenticatedAt
	u.byID[userID] = account{hash, version + 1, changed}
	return changed, nil
}

// PasswordChanged returns the time of the last change of a user's password. It reports
// false for users who do not exist or were disabled.
func (u *users) PasswordChanged(userID string) (time.Time, bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	a, known := u.byID[userID]
	return a.changed, known
}

// IsCurrent reports whether the password still has this version. In SQL, it is a SELECT …
// FOR SHARE, which waits for a change in progress.
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
