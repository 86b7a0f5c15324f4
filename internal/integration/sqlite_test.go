package integration

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

// SQLite allows one writer at a time. Writers that wait, for example for another process,
// take no connections away from lookups.
func TestSQLStore_lookupsDoNotWaitForWriters(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d database) {
		if !d.isSQLite() {
			t.Skip("allows concurrent writers")
		}
		ctx, source := t.Context(), d.make(t)
		db := source.open(t)
		db.SetMaxOpenConns(4)
		store := d.overWithin(t, db, time.Minute)
		c := record(auth.KindToken, "alice")
		require.NoError(t, store.Create(ctx, c, 0))

		other, err := source.open(t).Conn(ctx)
		require.NoError(t, err)
		defer other.Close()
		_, err = other.ExecContext(ctx, "BEGIN IMMEDIATE")
		require.NoError(t, err)
		const writers = 16
		errs := make(chan error, writers)
		for range writers {
			go func() { errs <- store.Create(ctx, record(auth.KindToken, "bob"), 0) }()
		}
		for range 100 {
			require.Eventually(t, func() bool {
				_, err := store.Lookup(ctx, c.Kind, c.Digest)
				return err == nil
			}, 3*time.Second, time.Millisecond)
		}
		_, err = other.ExecContext(ctx, "ROLLBACK")
		require.NoError(t, err)
		for range writers {
			err = errors.Join(err, <-errs)
		}
		require.NoError(t, err)
	})
}
