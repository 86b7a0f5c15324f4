package demodata

import (
	"context"
	"database/sql"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth/examples/internal/teststores"
)

// A file whose tables another version has made is refused, with what to do about it.
// OpenReset makes it usable, and keeps tables of other programs.
func TestOpen_sqliteOtherTables(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]string{
		"a column less":     `ALTER TABLE demo_users DROP COLUMN notes`,
		"a column more":     `ALTER TABLE auth_credentials ADD COLUMN owner TEXT`,
		"an index less":     `DROP INDEX auth_credentials_expires_at`,
		"a table less":      `DROP TABLE auth_user_locks`,
		"no migrations":     `DROP TABLE auth_migrations`,
		"an unknown column": `ALTER TABLE demo_seed RENAME COLUMN value TO mark`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "demo.db")
			require.NoError(t, openTestStorage(t, "sqlite:"+file).Close())
			db, err := openSQLiteFile(file, sqliteWAL)
			require.NoError(t, err)
			defer db.Close()
			for _, statement := range []string{"CREATE TABLE authors (name TEXT)", change} {
				_, err = db.ExecContext(t.Context(), statement)
				require.NoError(t, err)
			}
			_, err = Open(t.Context(), "sqlite:"+file, only(nil), slog.New(slog.DiscardHandler))
			require.ErrorContains(t, err, file+": another version of this program has made its tables; start with -reset")
			requireOneLine(t, err)

			resetOther(t, "sqlite:"+file)
			openTestStorage(t, "sqlite:"+file)
			_, err = db.ExecContext(t.Context(), "SELECT name FROM authors")
			require.NoError(t, err)
		})
	}
}

// resetOther does what a start with -reset does.
func resetOther(t *testing.T, store string) {
	t.Helper()
	s, err := OpenReset(t.Context(), store, only(nil), slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	defer s.Close()
	o := seedOptions(t, s, newKey())
	o.Reset = true
	seeded, err := s.Seed(t.Context(), o)
	require.NoError(t, err)
	require.NotEmpty(t, seeded.Token)
}

// A SQLite file that has tables, but no demo_seed, is another program's: Django's tables
// begin with auth_, and other services use sqlstore. It is not changed, with -reset either.
func TestOpen_sqliteOfOtherProgram(t *testing.T) {
	t.Parallel()
	for name, create := range map[string]string{
		"Django":       `CREATE TABLE auth_user (id INTEGER PRIMARY KEY, username TEXT)`,
		"a service":    `CREATE TABLE auth_credentials (id TEXT)`,
		"other tables": `CREATE TABLE authors (name TEXT)`,
		"a view":       `CREATE VIEW authors AS SELECT 1 AS name`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "other.db")
			db, err := sql.Open("sqlite3", "file:"+file)
			require.NoError(t, err)
			_, err = db.ExecContext(t.Context(), create)
			require.NoError(t, err)
			require.NoError(t, db.Close())
			before, err := os.ReadFile(file)
			require.NoError(t, err)
			for _, open := range []func(context.Context, string, Environment, *slog.Logger) (*Storage, error){Open, OpenReset} {
				_, err = open(t.Context(), "sqlite:"+file, only(nil), slog.New(slog.DiscardHandler))
				require.ErrorContains(t, err, file+": this has tables of another program")
				requireOneLine(t, err)
				after, err := os.ReadFile(file)
				require.NoError(t, err)
				require.Equal(t, before, after)
			}
			entries, err := os.ReadDir(filepath.Dir(file))
			require.NoError(t, err)
			require.Len(t, entries, 1)
		})
	}
}

// A service that uses sqlstore keeps its tables, and the demo adds none.
func TestOpen_databaseOfOtherProgram(t *testing.T) {
	t.Parallel()
	eachServer(t, func(t *testing.T, store string, db *sql.DB) {
		_, err := db.ExecContext(t.Context(), "CREATE TABLE auth_credentials (id INTEGER)")
		require.NoError(t, err)
		for _, open := range []func(context.Context, string, Environment, *slog.Logger) (*Storage, error){Open, OpenReset} {
			_, err = open(t.Context(), store, only(nil), slog.New(slog.DiscardHandler))
			require.ErrorContains(t, err, "this has tables of another program, and is not changed, with -reset either (auth_credentials)")
			requireOneLine(t, err)
		}
		_, err = db.ExecContext(t.Context(), "DROP TABLE auth_credentials")
		require.NoError(t, err)
		_, err = db.ExecContext(t.Context(), "CREATE TABLE auth_user (id INTEGER)")
		require.NoError(t, err)
		openTestStorage(t, store) // a database can have tables of several programs
	})
}

// eachServer runs a test with an empty database of each server.
func eachServer(t *testing.T, test func(t *testing.T, store string, db *sql.DB)) {
	t.Run("PostgreSQL", func(t *testing.T) {
		t.Parallel()
		store := teststores.PostgreSQL(t)
		db, err := sql.Open("pgx", store)
		require.NoError(t, err)
		defer db.Close()
		test(t, store, db)
	})
	t.Run("MariaDB or MySQL", func(t *testing.T) {
		t.Parallel()
		store := teststores.MySQL(t)
		u, err := parseURL(store)
		require.NoError(t, err)
		cfg, err := mysqlConfig(u)
		require.NoError(t, err)
		db, err := sql.Open("mysql", cfg.FormatDSN())
		require.NoError(t, err)
		defer db.Close()
		test(t, store, db)
	})
}

// With -reset, tables of another version are replaced, by Seed and not before, and those
// of other programs stay.
func TestOpenReset_otherTablesOfServer(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]string{
		"demo":       `ALTER TABLE demo_users DROP COLUMN notes`,
		"sqlstore":   `ALTER TABLE auth_credentials DROP COLUMN last_used_from`,
		"migrations": `DROP TABLE auth_migrations`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eachServer(t, func(t *testing.T, store string, db *sql.DB) {
				newTestUser(t, openTestStorage(t, store), "user-9", "precious")
				for _, statement := range []string{"CREATE TABLE auth_user (name TEXT)", change} {
					_, err := db.ExecContext(t.Context(), statement)
					require.NoError(t, err)
				}
				_, err := Open(t.Context(), store, only(nil), slog.New(slog.DiscardHandler))
				if name == "migrations" && err == nil {
					return // MariaDB: its migrations can be applied again
				}
				require.ErrorContains(t, err, "another version of this program has made its tables; start with -reset")
				s, err := OpenReset(t.Context(), store, only(nil), slog.New(slog.DiscardHandler))
				require.NoError(t, err)
				require.NoError(t, s.Close())
				users := func() (n int) {
					require.NoError(t, db.QueryRowContext(t.Context(), "SELECT count(*) FROM demo_users WHERE id NOT IN ('user-1', 'user-2')").Scan(&n))
					return n
				}
				require.Equal(t, 1, users(), "OpenReset removes nothing")
				resetOther(t, store)
				require.Zero(t, users())
				openTestStorage(t, store)
				_, err = db.ExecContext(t.Context(), "SELECT name FROM auth_user")
				require.NoError(t, err)
			})
		})
	}
}

// A list of tables must be complete: -reset removes these, and no others.
func TestOwnTables(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "demo.db")
	all, err := openTestStorage(t, "sqlite:"+file).State.(*sqlState).allTables(t.Context())
	require.NoError(t, err)
	require.ElementsMatch(t, ownTables, all)
}
