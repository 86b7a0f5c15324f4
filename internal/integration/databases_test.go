// Package integration has the tests that need drivers and real servers.
package integration

import (
	"cmp"
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	_ "github.com/jackc/pgx/v5/stdlib"
	_ "github.com/ncruces/go-sqlite3/driver"
	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth/sqlstore"
)

// The driver logs each lost connection, and some tests cut connections on purpose.
func init() { _ = mysql.SetLogger(&mysql.NopLogger{}) }

// A database creates an empty one for each test and removes it at the end.
type database struct {
	name    string
	dialect sqlstore.Dialect
	make    func(t testing.TB) source
}

// A source has the arguments of sql.Open.
type source struct{ driver, dsn string }

var databases = []database{
	{"SQLite by ncruces", sqlstore.SQLite, func(t testing.TB) source { return sqlite(t, "sqlite3") }},
	{"PostgreSQL", sqlstore.PostgreSQL, postgres},
	{"MariaDB or MySQL", sqlstore.MySQL, mariadb},
}

func (d database) isSQLite() bool   { return strings.HasPrefix(d.name, "SQLite") }
func (d database) isPostgres() bool { return d.name == "PostgreSQL" }

// each runs a test with every database that is available.
func each(t *testing.T, test func(t *testing.T, d database)) {
	for _, d := range databases {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			test(t, d)
		})
	}
}

func (d database) store(t testing.TB) (*sqlstore.Store, *sql.DB) {
	t.Helper()
	db := d.make(t).open(t)
	return d.over(t, db), db
}

// patience is the timeout of stores in tests that are not about timeouts. It is long
// enough for a busy machine.
const patience = 20 * time.Second

// over returns a store over db, with its tables.
func (d database) over(t testing.TB, db *sql.DB) *sqlstore.Store {
	t.Helper()
	return d.overWithin(t, db, patience)
}

func (d database) overWithin(t testing.TB, db *sql.DB, timeout time.Duration) *sqlstore.Store {
	t.Helper()
	store, err := sqlstore.New(db, d.dialect, sqlstore.Config{Timeout: timeout})
	require.NoError(t, err)
	t.Cleanup(func() { store.Close() })
	require.NoError(t, store.Migrate(t.Context()))
	return store
}

// sqlite creates the file with a single connection, because the change to WAL does not
// wait for other connections.
func sqlite(t testing.TB, driver string) source {
	t.Helper()
	s := source{driver, "file:" + filepath.Join(t.TempDir(), "auth.db") +
		"?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)"}
	require.NoError(t, s.open(t).PingContext(t.Context()))
	return s
}

// postgres creates a schema for the test.
func postgres(t testing.TB) source {
	t.Helper()
	base := cmp.Or(os.Getenv("AUTH_TEST_POSTGRES"), "postgres://root@127.0.0.1:5432/test?sslmode=disable")
	admin := reach(t, "pgx", base, "AUTH_TEST_POSTGRES", "PostgreSQL", "pg_ctlcluster 15 main start")
	name := unique()
	run(t, admin, "CREATE SCHEMA "+name)
	t.Cleanup(func() { run(t, admin, "DROP SCHEMA "+name+" CASCADE") })
	u, err := url.Parse(base)
	require.NoError(t, err)
	query := u.Query()
	query.Set("search_path", name)
	u.RawQuery = query.Encode()
	return source{"pgx", u.String()}
}

// mariadb creates a database for the test.
func mariadb(t testing.TB) source {
	t.Helper()
	base := cmp.Or(os.Getenv("AUTH_TEST_MYSQL"), "root@tcp(127.0.0.1:3306)/test")
	admin := reach(t, "mysql", base, "AUTH_TEST_MYSQL", "MariaDB", "service mariadb start")
	name := unique()
	run(t, admin, "CREATE DATABASE "+name)
	t.Cleanup(func() { run(t, admin, "DROP DATABASE "+name) })
	cfg, err := mysql.ParseDSN(base)
	require.NoError(t, err)
	cfg.DBName = name
	return source{"mysql", cfg.FormatDSN()}
}

// reach skips the test if there is no server. In CI, which starts one, it fails the test.
func reach(t testing.TB, driver, dsn, variable, name, start string) *sql.DB {
	t.Helper()
	db, err := sql.Open(driver, dsn)
	require.NoError(t, err)
	t.Cleanup(func() { db.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := db.PingContext(ctx); err != nil {
		text := fmt.Sprintf("no %s: %v\nStart one (%s), or set %s.", name, err, start, variable)
		if ci() {
			t.Fatal(text)
		}
		t.Skip(text)
	}
	return db
}

func (s source) open(t testing.TB) *sql.DB {
	t.Helper()
	db, err := sql.Open(s.driver, s.dsn)
	require.NoError(t, err)
	db.SetMaxOpenConns(8)
	t.Cleanup(func() { db.Close() })
	return db
}

// run also works during cleanup, when the context of the test is done.
func run(t testing.TB, db *sql.DB, query string) {
	t.Helper()
	_, err := db.ExecContext(context.Background(), query)
	require.NoError(t, err)
}

func unique() string { return "auth_test_" + strings.ToLower(rand.Text()[:16]) }
