package integration

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/sqlstore"
)

// All changes are visible to the next process.
func TestSQLStore_restartedProcess(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d database) {
		source := d.make(t)
		db := source.open(t)
		store := d.over(t, db)
		ctx := t.Context()
		u, revoked := newUser(t, store), newUser(t, store)
		for _, kind := range []auth.Kind{auth.KindToken, auth.KindSession, auth.KindSecret} {
			_, err := store.RevokeAll(ctx, kind, revoked.userID)
			require.NoError(t, err)
		}
		before, beforeRevoked := u.state(t, store), revoked.state(t, store)
		secret, err := store.Get(ctx, u.secret.Ref())
		require.NoError(t, err)
		require.NoError(t, store.Close())
		require.NoError(t, db.Close())

		// Without Migrate, because the tables exist.
		store, err = sqlstore.New(source.open(t), d.dialect, sqlstore.Config{})
		require.NoError(t, err)
		t.Cleanup(func() { store.Close() })
		require.Equal(t, before, u.state(t, store))
		require.Equal(t, beforeRevoked, revoked.state(t, store))
		reread, err := store.Get(ctx, u.secret.Ref())
		require.NoError(t, err)
		require.Equal(t, secret, reread)
		require.ErrorIs(t, store.Create(ctx, u.token, 0), auth.ErrConflict)
		require.NoError(t, store.Migrate(ctx))
		require.Equal(t, before, u.state(t, store))
	})
}
