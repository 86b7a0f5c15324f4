package integration

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/sqlstore"
)

// SQLite lets one write at a time. Those who wait for that, behind another process
// say, keep no connection from those who read.
func TestSQLiteReadersDoNotWaitForWriters(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d database) {
		if !d.isSQLite() {
			t.Skip("others let many write")
		}
		ctx, source := t.Context(), d.make(t)
		db := source.open(t)
		db.SetMaxOpenConns(4)
		store := d.over(t, db, sqlstore.Config{Timeout: time.Minute})
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
