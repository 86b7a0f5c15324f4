// Package demodata keeps the data of the demo server: credentials, users, notes and
// keys. It opens the place that -store names, creates the two users at the first
// start, and purges old credentials. A real service uses one database, gets its keys
// from its configuration, and needs little of this package.
package demodata

import (
	"context"
	"time"

	"github.com/seed-31c5bcb2/auth/examples/server/internal/password"
)

// A User is a user of the demo server.
type User struct {
	ID       string
	Name     string // to sign in with
	Password password.Hash
}

// A Note is a text that a user has saved.
type Note struct {
	ID        string    `json:"id"`
	Text      string    `json:"text"`
	CreatedAt time.Time `json:"created_at"` // in microseconds
}

// MaxNotes is how many notes a user can have.
const MaxNotes = 100

// State keeps users and notes in the same place as the credentials. A real service
// has its own tables for them.
//
// Methods return auth.ErrNotFound, auth.ErrLimit, or another error for an outage.
// A State is safe for concurrent use. Several processes can share one: limits and
// swapMark hold across all of them.
type State interface {
	UserByID(ctx context.Context, id string) (*User, error)
	UserByName(ctx context.Context, name string) (*User, error)
	AddUser(ctx context.Context, u *User) error
	// SetPassword returns auth.ErrNotFound if there is no such user.
	SetPassword(ctx context.Context, userID string, hash password.Hash) error

	// Notes returns a user's notes, oldest first.
	Notes(ctx context.Context, userID string) ([]Note, error)
	// AddNote returns auth.ErrLimit if the user has MaxNotes.
	AddNote(ctx context.Context, userID string, n Note) error
	RemoveNote(ctx context.Context, userID, id string) error

	// mark returns the mark that seeding leaves, "" at first.
	mark(ctx context.Context) (string, error)
	// swapMark replaces old by next, and reports whether it did. Of several
	// concurrent calls with the same old, one succeeds.
	swapMark(ctx context.Context, old, next string) (bool, error)

	// clear removes all users and notes, but not the mark.
	clear(ctx context.Context) error
}
