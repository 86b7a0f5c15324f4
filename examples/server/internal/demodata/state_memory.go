package demodata

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/examples/server/internal/password"
)

// memoryState is lost when the process ends.
type memoryState struct {
	mu     sync.Mutex
	users  []*User
	notes  map[string][]Note // by user
	seeded string            // the mark
}

var _ State = (*memoryState)(nil)

func newMemoryState() *memoryState { return &memoryState{notes: make(map[string][]Note)} }

func (s *memoryState) UserByID(_ context.Context, id string) (*User, error) {
	return s.find(func(u *User) bool { return u.ID == id })
}

func (s *memoryState) UserByName(_ context.Context, name string) (*User, error) {
	return s.find(func(u *User) bool { return u.Name == name })
}

func (s *memoryState) find(matches func(*User) bool) (*User, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.IndexFunc(s.users, matches); i >= 0 {
		return s.users[i], nil
	}
	return nil, auth.ErrNotFound
}

func (s *memoryState) AddUser(_ context.Context, u *User) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.users = append(s.users, u)
	return nil
}

// SetPassword replaces the user, whom other goroutines may be reading.
func (s *memoryState) SetPassword(_ context.Context, userID string, hash password.Hash) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.users, func(u *User) bool { return u.ID == userID })
	if i < 0 {
		return auth.ErrNotFound
	}
	s.users[i] = &User{userID, s.users[i].Name, hash}
	return nil
}

func (s *memoryState) Notes(_ context.Context, userID string) ([]Note, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.notes[userID]), nil
}

func (s *memoryState) AddNote(_ context.Context, userID string, n Note) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.notes[userID]) >= MaxNotes {
		return auth.ErrLimit
	}
	s.notes[userID] = append(s.notes[userID], n)
	sortNotes(s.notes[userID])
	return nil
}

// sortNotes sorts by age, oldest first, then by ID.
func sortNotes(list []Note) {
	slices.SortFunc(list, func(a, b Note) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID))
	})
}

func (s *memoryState) RemoveNote(_ context.Context, userID, id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.notes[userID], func(n Note) bool { return n.ID == id })
	if i < 0 {
		return auth.ErrNotFound
	}
	s.notes[userID] = slices.Delete(s.notes[userID], i, i+1)
	return nil
}

func (s *memoryState) mark(context.Context) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seeded, nil
}

func (s *memoryState) swapMark(_ context.Context, old, next string) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seeded != old {
		return false, nil
	}
	s.seeded = next
	return true, nil
}

func (s *memoryState) clear(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.users = nil
	clear(s.notes)
	return nil
}
