package main

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"github.com/seed-31c5bcb2/auth"
)

// memoryState lasts as long as the process.
type memoryState struct {
	mu       sync.Mutex
	accounts []*account
	notes    map[string][]note // by account
	marked   string
}

var _ state = (*memoryState)(nil)

func newMemoryState() *memoryState { return &memoryState{notes: make(map[string][]note)} }

func (s *memoryState) accountByID(_ context.Context, id string) (*account, error) {
	return s.find(func(a *account) bool { return a.ID == id })
}

func (s *memoryState) accountByName(_ context.Context, name string) (*account, error) {
	return s.find(func(a *account) bool { return a.Name == name })
}

func (s *memoryState) find(is func(*account) bool) (*account, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.IndexFunc(s.accounts, is); i >= 0 {
		return s.accounts[i], nil
	}
	return nil, auth.ErrNotFound
}

func (s *memoryState) addAccount(_ context.Context, a *account) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.accounts = append(s.accounts, a)
	return nil
}

func (s *memoryState) notesOf(_ context.Context, accountID string) ([]note, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.notes[accountID]), nil
}

func (s *memoryState) addNote(_ context.Context, accountID string, n note) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.notes[accountID]) >= maxNotes {
		return auth.ErrLimit
	}
	s.notes[accountID] = append(s.notes[accountID], n)
	sortNotes(s.notes[accountID])
	return nil
}

// sortNotes puts the oldest first. The ID decides where two are as old.
func sortNotes(list []note) {
	slices.SortFunc(list, func(a, b note) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID))
	})
}

func (s *memoryState) removeNote(_ context.Context, accountID, id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.notes[accountID], func(n note) bool { return n.ID == id })
	if i < 0 {
		return auth.ErrNotFound
	}
	s.notes[accountID] = slices.Delete(s.notes[accountID], i, i+1)
	return nil
}

func (s *memoryState) mark(context.Context) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.marked, nil
}

func (s *memoryState) swapMark(_ context.Context, old, next string) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.marked != old {
		return false, nil
	}
	s.marked = next
	return true, nil
}

func (s *memoryState) clear(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.accounts = nil
	clear(s.notes)
	return nil
}
