package auth_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/storetest"
)

func TestMemoryStore_contract(t *testing.T) {
	storetest.Run(t, func(*testing.T) auth.Store { return auth.NewMemoryStore() })
}

func TestMemoryStore_sharedContract(t *testing.T) {
	storetest.RunShared(t, func(*testing.T) (a, b auth.Store) {
		s := auth.NewMemoryStore()
		return s, s
	})
}

// A function of Notify that stops itself, which it must not do, delays one change by 5 seconds
// and is not called again.
func TestMemoryStore_stopWithinNotification(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := auth.NewMemoryStore()
		var stop func()
		var calls []string
		stop, err := s.Notify(func(_ auth.Kind, userID string) {
			calls = append(calls, userID)
			stop()
		})
		require.NoError(t, err)
		for i, userID := range []string{"ada", "bob"} {
			c := auth.Credential{ID: "1", Kind: auth.KindToken, UserID: userID, Digest: auth.Digest{byte(i)}, CreatedAt: time.Now()}
			require.NoError(t, s.Create(t.Context(), c, 0))
			start := time.Now()
			require.NoError(t, s.Revoke(t.Context(), c.Ref()))
			require.LessOrEqual(t, time.Since(start), 5*time.Second)
		}
		require.Equal(t, []string{"ada"}, calls)
	})
}

func TestMemoryStore_duplicateID(t *testing.T) {
	t.Parallel()
	s := auth.NewMemoryStore()
	c := auth.Credential{ID: "1", Kind: auth.KindToken, UserID: "ada", Digest: auth.Digest{1}, CreatedAt: time.Now()}
	require.NoError(t, s.Create(t.Context(), c, 0))
	c.Digest[0] = 2
	require.ErrorIs(t, s.Create(t.Context(), c, 0), auth.ErrConflict)
	require.ErrorIs(t, s.Rotate(t.Context(), c, c, time.Time{}), auth.ErrConflict)
}

// Once its context is done, no method changes anything. Lookup only reads a map, and does not
// look at its context.
func TestMemoryStore_canceledContext(t *testing.T) {
	t.Parallel()
	s := auth.NewMemoryStore()
	now := time.Now().UTC()
	c := auth.Credential{ID: "1", Kind: auth.KindToken, UserID: "ada", Digest: auth.Digest{1}, CreatedAt: now, ExpiresAt: now.Add(time.Hour)}
	require.NoError(t, s.Create(t.Context(), c, 0))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	calls := storeCalls(ctx, s, c)
	delete(calls, "Lookup")
	calls["Scan"] = func() error { _, err := s.Scan(ctx, auth.ScanQuery{}); return err }
	for name, call := range calls {
		require.ErrorIs(t, call(), context.Canceled, name)
	}
	got, err := s.Get(t.Context(), c.Ref())
	require.NoError(t, err)
	require.Equal(t, c, got)
}

// storeCalls calls each method of a store with a record and its successor.
func storeCalls(ctx context.Context, s auth.Store, c auth.Credential) map[string]func() error {
	next := c
	next.ID, next.Digest = "2", auth.Digest{2}
	later := c.CreatedAt.Add(2 * time.Hour)
	return map[string]func() error{
		"Create":    func() error { return s.Create(ctx, next, 0) },
		"Lookup":    func() error { _, err := s.Lookup(ctx, c.Kind, c.Digest); return err },
		"Get":       func() error { _, err := s.Get(ctx, c.Ref()); return err },
		"List":      func() error { _, err := s.List(ctx, c.Kind, c.UserID, auth.Page{}); return err },
		"Update":    func() error { return s.Update(ctx, c, next) },
		"Rotate":    func() error { return s.Rotate(ctx, c, next, time.Time{}) },
		"Revoke":    func() error { return s.Revoke(ctx, c.Ref()) },
		"RevokeAll": func() error { _, err := s.RevokeAll(ctx, c.Kind, c.UserID); return err },
		"Touch":     func() error { return s.Touch(ctx, []auth.Use{{Ref: c.Ref(), Digest: c.Digest, At: later}}) },
		"Purge":     func() error { _, err := s.Purge(ctx, later); return err },
	}
}
