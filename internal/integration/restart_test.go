package integration

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/sqlstore"
)

// What was changed is there for the next process, whole.
func TestCredentialsOutliveTheProcess(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d database) {
		source := d.make(t)
		db := source.open(t)
		store := d.over(t, db)
		ctx := t.Context()
		a, revoked := newAccount(t, store), newAccount(t, store)
		for _, kind := range []auth.Kind{auth.KindToken, auth.KindSession, auth.KindSecret} {
			_, err := store.RevokeAll(ctx, kind, revoked.userID)
			require.NoError(t, err)
		}
		before, gone := a.state(t, store), revoked.state(t, store)
		secret, err := store.Get(ctx, a.secret.Ref())
		require.NoError(t, err)
		require.NoError(t, store.Close())
		require.NoError(t, db.Close())

		// Without Migrate: the tables are there.
		store, err = sqlstore.New(source.open(t), d.dialect, sqlstore.Config{})
		require.NoError(t, err)
		t.Cleanup(func() { store.Close() })
		require.Equal(t, before, a.state(t, store))
		require.Equal(t, gone, revoked.state(t, store))
		again, err := store.Get(ctx, a.secret.Ref())
		require.NoError(t, err)
		require.Equal(t, secret, again)
		require.ErrorIs(t, store.Create(ctx, a.token, 0), auth.ErrConflict)
		require.NoError(t, store.Migrate(ctx))
		require.Equal(t, before, a.state(t, store))
	})
}
