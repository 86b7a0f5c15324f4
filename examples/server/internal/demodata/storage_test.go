package demodata

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth/examples/internal/teststores"
)

const testPassword = "hunter2"

func openTestStorage(t *testing.T, store string) *Storage {
	t.Helper()
	storage, err := Open(t.Context(), store, only(nil), slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	t.Cleanup(func() { storage.Close() })
	return storage
}

func TestOpen_invalidValues(t *testing.T) {
	t.Parallel()
	noDatabase := filepath.Join(t.TempDir(), "text")
	require.NoError(t, os.WriteFile(noDatabase, []byte(strings.Repeat("no database ", 100)), 0o600))
	const notURL = "invalid URL"
	requireOpenErrors(t, map[string]string{
		"":                                  "want sqlite:FILE, memory:, postgres://…, mysql://…, redis://…",
		"demo.db":                           "want sqlite:FILE",
		"SQLITE:demo.db":                    "want sqlite:FILE",
		"nowhere://u:hunter2@h/":            "want sqlite:FILE",
		"memory:x":                          "memory: takes nothing",
		"sqlite:" + noDatabase:              "not a database",
		"sqlite:" + noDatabase + "/demo.db": "not a directory",

		"postgres:host=h password=hunter2":                       notURL,
		"postgres://u:%zz-hunter2@h/demo":                        notURL,
		"postgres://u:hunter2/x@h/demo":                          notURL,
		"postgres://u:hun@ter2@h/demo":                           notURL,
		"mysql://u:1?hunter2@h/demo":                             notURL,
		"mysql:u:hunter2@tcp(h)/demo":                            notURL,
		"redis:hunter2":                                          notURL,
		"redis://:1#hunter2@h":                                   notURL,
		"redis://u:hunter2@[::1/0":                               notURL,
		"redis://127.0.0.1:1/0#hunter2":                          notURL,
		"postgres://u:hunter2@127.0.0.1/demo?sslmode=x":          "sslmode is invalid",
		"postgres://u@127.0.0.1/demo?sslmode=x&password=hunter2": "sslmode is invalid",
		"mysql://u:hunter2@127.0.0.1/demo?timeout=x":             `invalid duration "x"`,
		"redis://u:hunter2@127.0.0.1/x":                          `invalid database number: "x"`,
		"redis://127.0.0.1/x?password=hunter2":                   `invalid database number: "x"`,
	})
}

func TestOpen_unavailable(t *testing.T) {
	t.Parallel()
	requireOpenErrors(t, map[string]string{
		"postgres://u:hunter2@127.0.0.1:1/demo":                        "postgres://127.0.0.1:1/demo: failed to connect",
		"postgres://u@127.0.0.1:1/demo?password=hunter2":               "postgres://127.0.0.1:1/demo: failed to connect",
		"mysql://u:hunter2@127.0.0.1:1/demo":                           "mysql://127.0.0.1:1/demo: dial tcp 127.0.0.1:1",
		"mysql://u:hunter2@/demo?socket=" + url.QueryEscape("/no/one"): "dial unix /no/one",
		"redis://u:hunter2@127.0.0.1:1/0":                              "redis://127.0.0.1:1/0: dial tcp 127.0.0.1:1",
	})
}

// requireOpenErrors checks that the error for each store is one line that contains a
// text, but not the password.
func requireOpenErrors(t *testing.T, texts map[string]string) {
	t.Helper()
	for store, want := range texts {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			_, err := Open(t.Context(), store, only(nil), slog.New(slog.DiscardHandler))
			require.ErrorContains(t, err, want)
			requireOneLine(t, err)
		})
	}
}

func requireOneLine(t *testing.T, err error) {
	t.Helper()
	require.NotContains(t, err.Error(), "\n")
	for _, part := range []string{testPassword, "hun@", "ter2"} {
		require.NotContains(t, err.Error(), part)
	}
}

// A server that accepts connections and never responds causes a timeout.
func TestOpen_silentServer(t *testing.T) {
	t.Parallel()
	for _, scheme := range []string{"postgres", "mysql", "redis"} {
		t.Run(scheme, func(t *testing.T) {
			t.Parallel()
			start := time.Now()
			store := fmt.Sprintf("%s://u:%s@%s/demo?", scheme, testPassword, silentAddress(t))
			if scheme == "redis" {
				store = strings.Replace(store, "/demo?", "/0", 1)
			}
			_, err := Open(t.Context(), store, only(nil), slog.New(slog.DiscardHandler))
			require.Error(t, err)
			requireOneLine(t, err)
			require.Less(t, time.Since(start), 20*time.Second)
		})
	}
}

// silentAddress returns the address of a server that never responds.
func silentAddress(t *testing.T) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var all sync.WaitGroup
	all.Go(func() {
		var conns []net.Conn
		for {
			conn, err := listener.Accept()
			if err != nil {
				break
			}
			conns = append(conns, conn)
		}
		for _, conn := range conns {
			conn.Close()
		}
	})
	t.Cleanup(func() {
		listener.Close()
		all.Wait()
	})
	return listener.Addr().String()
}

// Errors of the server do not contain the password either.
func TestOpen_unknownUser(t *testing.T) {
	t.Parallel()
	teststores.Each(t, func(t *testing.T, store string) {
		u, err := url.Parse(store)
		require.NoError(t, err)
		if u.Scheme == "sqlite" {
			return // it has no users
		}
		u.User = url.UserPassword("unknown", testPassword)
		_, err = Open(t.Context(), u.String(), only(nil), slog.New(slog.DiscardHandler))
		require.Error(t, err)
		requireOneLine(t, err)
	})
}

func TestMySQLConfig(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"mysql://u:p@h/demo":                               "u:p@tcp(h:3306)/demo",
		"mysql://h:13306/demo":                             "tcp(h:13306)/demo",
		"mysql://[::1]:13306/demo":                         "tcp([::1]:13306)/demo",
		"mysql:///demo":                                    "tcp(127.0.0.1:3306)/demo",
		"mysql://u:a%40b%3A%2Fc%3F@h/demo":                 "u:a@b:/c?@tcp(h:3306)/demo",
		"mysql://u@h/demo?tls=skip-verify":                 "u@tcp(h:3306)/demo?tls=skip-verify",
		"mysql://u:p@/demo?socket=/run/mysqld/mysqld.sock": "u:p@unix(/run/mysqld/mysqld.sock)/demo",
		"mysql://u@h/a%2Fb":                                "u@tcp(h:3306)/a%2Fb",
	} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			u, err := parseURL(text)
			require.NoError(t, err)
			cfg, err := mysqlConfig(u)
			require.NoError(t, err)
			require.Equal(t, 5*time.Second, cfg.Timeout)
			require.Equal(t, 10*time.Second, cfg.ReadTimeout)
			cfg.Timeout, cfg.ReadTimeout = 0, 0
			require.Equal(t, want, cfg.FormatDSN())
		})
	}
	u, err := parseURL("mysql://h/demo?timeout=1s&readTimeout=2s")
	require.NoError(t, err)
	cfg, err := mysqlConfig(u)
	require.NoError(t, err)
	require.Equal(t, []time.Duration{time.Second, 2 * time.Second}, []time.Duration{cfg.Timeout, cfg.ReadTimeout})
}

func TestOpen_sqliteFile(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "a name with ? # % & and 🥛.db")
	openTestStorage(t, "sqlite:"+file)
	requireMode(t, 0o600, file)
	db, err := openSQLiteFile(file, sqliteWAL)
	require.NoError(t, err)
	defer db.Close()
	for pragma, want := range map[string]string{"journal_mode": "wal", "busy_timeout": "2000"} {
		var value string
		require.NoError(t, db.QueryRowContext(t.Context(), "PRAGMA "+pragma).Scan(&value))
		require.Equal(t, want, value, pragma)
	}
	var tables int
	require.NoError(t, db.QueryRowContext(t.Context(), "SELECT count(*) FROM sqlite_master WHERE name = 'demo_seed'").Scan(&tables))
	require.Equal(t, 1, tables, "Open used another file")
	requireMode(t, 0o600, file+"-wal")
}

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

// OpenReset keeps tables of this version, so that other processes learn of what Seed
// revokes. It does not change files that are not databases.
func TestOpenReset_sameTables(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "demo.db")
	newTestUser(t, openTestStorage(t, "sqlite:"+file), "user-1", "ada")
	s, err := OpenReset(t.Context(), "sqlite:"+file, only(nil), slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	defer s.Close()
	_, err = s.UserByID(t.Context(), "user-1")
	require.NoError(t, err)

	text := filepath.Join(dir, "text")
	require.NoError(t, os.WriteFile(text, []byte(strings.Repeat("no database ", 100)), 0o600))
	_, err = OpenReset(t.Context(), "sqlite:"+text, only(nil), slog.New(slog.DiscardHandler))
	require.ErrorContains(t, err, "not a database")
	kept, err := os.ReadFile(text)
	require.NoError(t, err)
	require.Equal(t, strings.Repeat("no database ", 100), string(kept))
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
		"sqlstore":   `ALTER TABLE auth_credentials DROP COLUMN name`,
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
