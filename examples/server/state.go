package main

import "context"

// A state keeps what is this service's own, in the same place as the credentials:
// its accounts, their notes, and a mark that says whether it was seeded. A real
// service has tables of its own for such things.
//
// Its errors are auth.ErrNotFound, auth.ErrLimit, and any other for an outage. It
// is safe for concurrent use, and where several processes share it, what is said
// of limits and of one winner holds across all of them.
type state interface {
	accountByID(ctx context.Context, id string) (*account, error)
	accountByName(ctx context.Context, name string) (*account, error)
	addAccount(ctx context.Context, a *account) error

	// notesOf returns an account's notes, the oldest first.
	notesOf(ctx context.Context, accountID string) ([]note, error)
	// addNote fails with auth.ErrLimit if the account has maxNotes.
	addNote(ctx context.Context, accountID string, n note) error
	removeNote(ctx context.Context, accountID, id string) error

	// mark is "" in the beginning.
	mark(ctx context.Context) (string, error)
	// swapMark puts next in the place of old, and reports whether it did: of
	// several that swap the same one, one does.
	swapMark(ctx context.Context, old, next string) (bool, error)

	// clear removes all accounts and notes. The mark stays.
	clear(ctx context.Context) error
}
