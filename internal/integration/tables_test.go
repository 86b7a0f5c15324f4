package integration

import (
	"context"
	"database/sql"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/sqlstore"
)

// unmigrated returns a store over an empty database, with one connection: nothing may wait
// for a second one.
func unmigrated(t *testing.T, d database) (*sqlstore.Store, *sql.DB) {
	t.Helper()
	db := d.make(t).open(t)
	db.SetMaxOpenConns(1)
	store, err := sqlstore.New(db, d.dialect, sqlstore.Config{Timeout: patience})
	require.NoError(t, err)
	t.Cleanup(func() { store.Close() })
	return store, db
}

// driverError returns what the driver says of a missing table.
func driverError(t *testing.T, db *sql.DB, table string) string {
	t.Helper()
	_, err := db.ExecContext(t.Context(), "DELETE FROM "+table)
	require.ErrorContains(t, err, table)
	return err.Error()
}

// requireExplained fails unless err says once that the table is missing, and what to do.
func requireExplained(t *testing.T, d database, err error, cause string) {
	t.Helper()
	requireOutage(t, err)
	require.NotErrorIs(t, err, context.DeadlineExceeded)
	require.Equal(t, 1, strings.Count(err.Error(), cause), "%v", err)
	require.Equal(t, 1, strings.Count(err.Error(), "sqlstore: "), "%v", err)
	require.Contains(t, err.Error(), "call Store.Migrate")
	require.Contains(t, err.Error(), "sqlstore/migrations/"+string(d.dialect))
}

func TestSQLStore_withoutMigrate(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d database) {
		ctx := t.Context()
		store, db := unmigrated(t, d)
		credentials, locks := driverError(t, db, "auth_credentials"), driverError(t, db, "auth_user_locks")
		c := record(auth.KindToken, "alice")
		_, errLookup := store.Lookup(ctx, c.Kind, c.Digest)
		_, errGet := store.Get(ctx, c.Ref())
		_, errList := store.List(ctx, c.Kind, c.UserID, auth.Page{})
		_, errPurge := store.Purge(ctx, time.Now())
		_, errAll := store.RevokeAll(ctx, c.Kind, c.UserID)
		for _, err := range []error{
			errLookup, errGet, errList, errPurge,
			store.Create(ctx, c, 0), store.Touch(ctx, []auth.Use{{Ref: c.Ref(), At: c.CreatedAt}}),
		} {
			requireExplained(t, d, err, credentials)
		}
		for _, err := range []error{errAll, store.Create(ctx, c, 1), store.Revoke(ctx, c.Ref()), store.Rotate(ctx, c, c, time.Time{})} {
			requireExplained(t, d, err, locks)
		}
		require.NoError(t, store.Migrate(ctx))
		require.NoError(t, store.Create(ctx, c, 1))
		require.NoError(t, lookup(t, store, c))
	})
}

// A table that was dropped, or never made by a schema of its own, is not made again.
func TestMigrate_missingTable(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d database) {
		ctx := t.Context()
		store, db := unmigrated(t, d)
		require.NoError(t, store.Migrate(ctx))
		c := record(auth.KindToken, "alice")
		require.NoError(t, store.Create(ctx, c, 0))
		run(t, db, "DROP TABLE auth_user_locks")
		cause := driverError(t, db, "auth_user_locks")
		require.NoError(t, lookup(t, store, c), "needs no lock")
		requireExplained(t, d, store.Revoke(ctx, c.Ref()), cause)

		err := store.Migrate(ctx)
		require.ErrorContains(t, err, cause)
		require.ErrorContains(t, err, "drop auth_migrations and all that sqlstore/migrations/"+string(d.dialect)+" creates")
		run(t, db, "DROP TABLE auth_credentials")
		run(t, db, "DROP TABLE auth_migrations")
		if d.isPostgres() {
			run(t, db, "DROP FUNCTION auth_invalidate")
		}
		require.NoError(t, store.Migrate(ctx))
		require.NoError(t, store.Create(ctx, c, 1))
	})
}

// Statements name the index, so it is missed when the process starts.
func TestMigrate_missingIndex(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d database) {
		if d.isPostgres() {
			t.Skip("its statements name no index")
		}
		store, db := unmigrated(t, d)
		require.NoError(t, store.Migrate(t.Context()))
		drop := "DROP INDEX auth_credentials_unrevoked"
		if d.isMySQL() {
			drop += " ON auth_credentials"
		}
		run(t, db, drop)
		require.ErrorContains(t, store.Migrate(t.Context()), "auth_credentials_unrevoked")
	})
}

// A column that an earlier schema did not have is reported when the process starts, not at
// the first request that needs it.
func TestMigrate_missingColumn(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d database) {
		store, db := unmigrated(t, d)
		require.NoError(t, store.Migrate(t.Context()))
		run(t, db, "ALTER TABLE auth_credentials DROP COLUMN last_used_from")
		require.ErrorContains(t, store.Migrate(t.Context()), "last_used_from")
	})
}
