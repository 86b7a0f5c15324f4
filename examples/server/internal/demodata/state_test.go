package demodata

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/examples/internal/teststores"
	"github.com/seed-31c5bcb2/auth/examples/server/internal/password"
)

// eachState runs a test with each kind of State, opened twice.
func eachState(t *testing.T, test func(t *testing.T, a, b State)) {
	t.Run("memory", func(t *testing.T) {
		t.Parallel()
		s := openTestStorage(t, "memory:").State
		test(t, s, s)
	})
	teststores.Each(t, func(t *testing.T, store string) {
		test(t, openTestStorage(t, store).State, openTestStorage(t, store).State)
	})
}

func eachStorage(t *testing.T, test func(t *testing.T, s *Storage)) {
	t.Run("memory", func(t *testing.T) {
		t.Parallel()
		test(t, openTestStorage(t, "memory:"))
	})
	teststores.Each(t, func(t *testing.T, store string) { test(t, openTestStorage(t, store)) })
}

func newTestUser(t *testing.T, s State, id, name string) *User {
	t.Helper()
	u := &User{id, name, password.New(name)}
	require.NoError(t, s.AddUser(t.Context(), u))
	return u
}

func TestState_users(t *testing.T) {
	t.Parallel()
	eachState(t, func(t *testing.T, s, other State) {
		ada, grace := newTestUser(t, s, "user-1", "ada"), newTestUser(t, s, "user-2", "grace 🥛")
		for _, want := range []*User{ada, grace} {
			got, err := other.UserByID(t.Context(), want.ID)
			require.NoError(t, err)
			require.Equal(t, want, got)
			got, err = other.UserByName(t.Context(), want.Name)
			require.NoError(t, err)
			require.Equal(t, want, got)
		}
		// Text that users can type is not an outage, even if the database rejects it.
		for _, name := range []string{"", "ADA", "ada ", "ada\x00", "\x00", "ad\xff", "ada*", "grace", "user-1", strings.Repeat("a", 16<<10)} {
			_, err := s.UserByName(t.Context(), name)
			require.ErrorIs(t, err, auth.ErrNotFound, "%q", name)
			_, err = s.UserByID(t.Context(), name+"x")
			require.ErrorIs(t, err, auth.ErrNotFound, "%q", name)
		}
		changed := &User{"user-1", "ada", password.New("another")}
		require.NoError(t, other.SetPassword(t.Context(), "user-1", changed.Password))
		require.ErrorIs(t, s.SetPassword(t.Context(), "user-3", changed.Password), auth.ErrNotFound)
		got, err := s.UserByName(t.Context(), "ada")
		require.NoError(t, err)
		require.Equal(t, changed, got)
		got, err = s.UserByID(t.Context(), "user-2")
		require.NoError(t, err)
		require.Equal(t, grace, got)

		require.NoError(t, other.AddNote(t.Context(), "user-1", newTestNote("a")))
		require.NoError(t, other.clear(t.Context()))
		_, err = s.UserByID(t.Context(), "user-1")
		require.ErrorIs(t, err, auth.ErrNotFound)
		require.ErrorIs(t, s.SetPassword(t.Context(), "user-1", ada.Password), auth.ErrNotFound)
		_, err = s.UserByName(t.Context(), "ada")
		require.ErrorIs(t, err, auth.ErrNotFound)
		newTestUser(t, s, "user-1", "ada")
		require.Empty(t, notesOf(t, s, "user-1"))
	})
}

func newTestNote(id string) Note {
	return Note{ID: id, Text: "text of " + id, CreatedAt: time.Now().UTC().Truncate(time.Microsecond)}
}

func notesOf(t *testing.T, s State, userID string) []Note {
	t.Helper()
	list, err := s.Notes(t.Context(), userID)
	require.NoError(t, err)
	return list
}

func TestState_notes(t *testing.T) {
	t.Parallel()
	eachState(t, func(t *testing.T, s, other State) {
		newTestUser(t, s, "user-1", "ada")
		newTestUser(t, s, "user-2", "grace")
		require.Empty(t, notesOf(t, s, "user-1"))
		first, second, third := newTestNote("c"), newTestNote("b"), newTestNote("a")
		first.Text = "NUL \x00, 🥛, 'quoted' and \\ " + strings.Repeat("x", 64<<10)
		second.CreatedAt = first.CreatedAt.Add(time.Microsecond)
		third.CreatedAt = second.CreatedAt
		for _, n := range []Note{third, second, first} {
			require.NoError(t, s.AddNote(t.Context(), "user-1", n))
		}
		require.Equal(t, []Note{first, third, second}, notesOf(t, other, "user-1"), "oldest first, then by ID")
		require.Empty(t, notesOf(t, other, "user-2"))

		for user, id := range map[string]string{"user-2": "a", "user-1": "d", "user-3": "a"} {
			require.ErrorIs(t, other.RemoveNote(t.Context(), user, id), auth.ErrNotFound)
		}
		for _, id := range []string{"", "A", "a ", "a\x00", "\xff", strings.Repeat("a", 16<<10)} {
			require.ErrorIs(t, other.RemoveNote(t.Context(), "user-1", id), auth.ErrNotFound, "%q", id)
		}
		require.NoError(t, other.RemoveNote(t.Context(), "user-1", "a"))
		require.ErrorIs(t, s.RemoveNote(t.Context(), "user-1", "a"), auth.ErrNotFound)
		require.Equal(t, []Note{first, second}, notesOf(t, s, "user-1"))
	})
}

// The limit holds across processes.
func TestState_limitsNotes(t *testing.T) {
	t.Parallel()
	eachState(t, func(t *testing.T, a, b State) {
		newTestUser(t, a, "user-1", "ada")
		var all sync.WaitGroup
		var added atomic.Int64
		for _, s := range []State{a, a, b, b} {
			all.Go(func() {
				for range MaxNotes / 3 {
					err := s.AddNote(t.Context(), "user-1", newTestNote(teststores.Unique()))
					for err != nil && strings.Contains(err.Error(), "database is locked") { // SQLite waits for 2 s only
						err = s.AddNote(t.Context(), "user-1", newTestNote(teststores.Unique()))
					}
					if err == nil {
						added.Add(1)
					} else {
						assert.ErrorIs(t, err, auth.ErrLimit)
					}
				}
			})
		}
		all.Wait()
		require.EqualValues(t, MaxNotes, added.Load())
		list := notesOf(t, a, "user-1")
		require.Len(t, list, MaxNotes)
		require.ErrorIs(t, b.RemoveNote(t.Context(), "user-1", "absent"), auth.ErrNotFound)
		require.ErrorIs(t, a.AddNote(t.Context(), "user-1", newTestNote("x")), auth.ErrLimit)
		require.NoError(t, b.RemoveNote(t.Context(), "user-1", list[0].ID))
		require.NoError(t, a.AddNote(t.Context(), "user-1", newTestNote("x")))
		require.ErrorIs(t, b.AddNote(t.Context(), "user-1", newTestNote("y")), auth.ErrLimit)
	})
}

func TestState_swapMarkHasOneWinner(t *testing.T) {
	t.Parallel()
	eachState(t, func(t *testing.T, a, b State) {
		mark, err := a.mark(t.Context())
		require.NoError(t, err)
		require.Empty(t, mark)
		for _, old := range []string{"", "first"} {
			next := map[string]string{"": "first", "first": "second"}[old]
			var all sync.WaitGroup
			var won atomic.Int64
			for _, s := range []State{a, b, a, b, a, b} {
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

// countingClient counts the calls of a State.
type countingClient struct {
	rueidis.Client
	calls int
}

func (c *countingClient) Do(ctx context.Context, cmd rueidis.Completed) rueidis.RedisResult {
	c.calls++
	return c.Client.Do(ctx, cmd)
}

// The number of calls, and so the time of a sign-in, does not reveal which names exist.
func TestRedisState_userByNameCalls(t *testing.T) {
	t.Parallel()
	s := openTestStorage(t, teststores.Redis(t)).State.(*redisState)
	newTestUser(t, s, "user-1", "ada")
	_, err := s.UserByName(t.Context(), "ada") // Redis has the script now
	require.NoError(t, err)
	c := &countingClient{Client: s.client}
	s.client = c
	_, err = s.UserByName(t.Context(), "ada")
	require.NoError(t, err)
	require.Equal(t, 1, c.calls)
	_, err = s.UserByName(t.Context(), "eve")
	require.ErrorIs(t, err, auth.ErrNotFound)
	require.Equal(t, 2, c.calls)
}
