package main

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

// eachState gives a test two states of each kind, which are one.
func eachState(t *testing.T, test func(t *testing.T, a, b state)) {
	t.Run("memory", func(t *testing.T) {
		t.Parallel()
		s := openTestStorage(t, "memory:").state
		test(t, s, s)
	})
	each(t, func(t *testing.T, store string) {
		test(t, openTestStorage(t, store).state, openTestStorage(t, store).state)
	})
}

func newTestAccount(t *testing.T, s state, id, name string) *account {
	t.Helper()
	a := &account{id, name, newPasswordHash(name)}
	require.NoError(t, s.addAccount(t.Context(), a))
	return a
}

func TestAccountsOfAState(t *testing.T) {
	t.Parallel()
	eachState(t, func(t *testing.T, s, other state) {
		ada, grace := newTestAccount(t, s, "user-1", "ada"), newTestAccount(t, s, "user-2", "grace 🥛")
		for _, want := range []*account{ada, grace} {
			got, err := other.accountByID(t.Context(), want.ID)
			require.NoError(t, err)
			require.Equal(t, want, got)
			got, err = other.accountByName(t.Context(), want.Name)
			require.NoError(t, err)
			require.Equal(t, want, got)
		}
		// What people can type is no outage, whatever the database thinks of it.
		for _, name := range []string{"", "ADA", "ada ", "ada\x00", "\x00", "ad\xff", "ada*", "grace", "user-1", strings.Repeat("a", 16<<10)} {
			_, err := s.accountByName(t.Context(), name)
			require.ErrorIs(t, err, auth.ErrNotFound, "%q", name)
			_, err = s.accountByID(t.Context(), name+"x")
			require.ErrorIs(t, err, auth.ErrNotFound, "%q", name)
		}
		require.NoError(t, other.addNote(t.Context(), "user-1", newTestNote("a")))
		require.NoError(t, other.clear(t.Context()))
		_, err := s.accountByID(t.Context(), "user-1")
		require.ErrorIs(t, err, auth.ErrNotFound)
		_, err = s.accountByName(t.Context(), "ada")
		require.ErrorIs(t, err, auth.ErrNotFound)
		newTestAccount(t, s, "user-1", "ada")
		require.Empty(t, notesOf(t, s, "user-1"))
	})
}

func newTestNote(id string) note {
	return note{ID: id, Text: "text of " + id, CreatedAt: time.Now().UTC().Truncate(time.Microsecond)}
}

func notesOf(t *testing.T, s state, accountID string) []note {
	t.Helper()
	list, err := s.notesOf(t.Context(), accountID)
	require.NoError(t, err)
	return list
}

func TestNotesOfAState(t *testing.T) {
	t.Parallel()
	eachState(t, func(t *testing.T, s, other state) {
		newTestAccount(t, s, "user-1", "ada")
		newTestAccount(t, s, "user-2", "grace")
		require.Empty(t, notesOf(t, s, "user-1"))
		first, second, third := newTestNote("c"), newTestNote("b"), newTestNote("a")
		first.Text = "NUL \x00, 🥛, 'quoted' and \\ " + strings.Repeat("x", 64<<10)
		second.CreatedAt = first.CreatedAt.Add(time.Microsecond)
		third.CreatedAt = second.CreatedAt
		for _, n := range []note{third, second, first} {
			require.NoError(t, s.addNote(t.Context(), "user-1", n))
		}
		require.Equal(t, []note{first, third, second}, notesOf(t, other, "user-1"), "the oldest first, then by ID")
		require.Empty(t, notesOf(t, other, "user-2"))

		for account, id := range map[string]string{"user-2": "a", "user-1": "d", "user-3": "a"} {
			require.ErrorIs(t, other.removeNote(t.Context(), account, id), auth.ErrNotFound)
		}
		for _, id := range []string{"", "A", "a ", "a\x00", "\xff", strings.Repeat("a", 16<<10)} {
			require.ErrorIs(t, other.removeNote(t.Context(), "user-1", id), auth.ErrNotFound, "%q", id)
		}
		require.NoError(t, other.removeNote(t.Context(), "user-1", "a"))
		require.ErrorIs(t, s.removeNote(t.Context(), "user-1", "a"), auth.ErrNotFound)
		require.Equal(t, []note{first, second}, notesOf(t, s, "user-1"))
	})
}

// Two processes that add at once keep the limit together.
func TestNotesOfAStateAreBounded(t *testing.T) {
	t.Parallel()
	eachState(t, func(t *testing.T, a, b state) {
		newTestAccount(t, a, "user-1", "ada")
		var all sync.WaitGroup
		var added atomic.Int64
		for _, s := range []state{a, a, b, b} {
			all.Go(func() {
				for range maxNotes / 3 {
					if err := s.addNote(t.Context(), "user-1", newTestNote(unique())); err == nil {
						added.Add(1)
					} else {
						assert.ErrorIs(t, err, auth.ErrLimit)
					}
				}
			})
		}
		all.Wait()
		require.EqualValues(t, maxNotes, added.Load())
		list := notesOf(t, a, "user-1")
		require.Len(t, list, maxNotes)
		require.ErrorIs(t, b.removeNote(t.Context(), "user-1", "absent"), auth.ErrNotFound)
		require.ErrorIs(t, a.addNote(t.Context(), "user-1", newTestNote("x")), auth.ErrLimit)
		require.NoError(t, b.removeNote(t.Context(), "user-1", list[0].ID))
		require.NoError(t, a.addNote(t.Context(), "user-1", newTestNote("x")))
		require.ErrorIs(t, b.addNote(t.Context(), "user-1", newTestNote("y")), auth.ErrLimit)
	})
}

func TestMarkOfAStateHasOneWinner(t *testing.T) {
	t.Parallel()
	eachState(t, func(t *testing.T, a, b state) {
		mark, err := a.mark(t.Context())
		require.NoError(t, err)
		require.Empty(t, mark)
		for _, old := range []string{"", "first"} {
			next := map[string]string{"": "first", "first": "second"}[old]
			var all sync.WaitGroup
			var won atomic.Int64
			for _, s := range []state{a, b, a, b, a, b} {
				all.Go(func() {
					swapped, err := s.swapMark(t.Context(), old, next)
					assert.NoError(t, err)
					if swapped {
						won.Add(1)
					}
				})
			}
			all.Wait()
			require.EqualValues(t, 1, won.Load(), "%q", old)
			mark, err := b.mark(t.Context())
			require.NoError(t, err)
			require.Equal(t, next, mark)
		}
		swapped, err := b.swapMark(t.Context(), "third", "fourth")
		require.NoError(t, err)
		require.False(t, swapped)
		require.NoError(t, b.clear(t.Context()))
		mark, err = a.mark(t.Context())
		require.NoError(t, err)
		require.Equal(t, "second", mark)
	})
}
