// Package teststores gives tests an empty store in each database that they can reach,
// and removes it afterwards.
package teststores

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
	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"
)

// Each runs a test with each kind of store, as a value for the flag -store of the
// demo server. It skips databases that it cannot reach.
func Each(t *testing.T, test func(t *testing.T, store string)) {
	for name, create := range map[string]func(*testing.T) string{
		"SQLite": SQLite, "PostgreSQL": PostgreSQL, "MariaDB or MySQL": MySQL, "Redis": Redis,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, create(t))
		})
	}
}

// SQLite returns "sqlite:" and the path of a file that does not exist.
func SQLite(t *testing.T) string { return "sqlite:" + filepath.Join(t.TempDir(), "demo.db") }

// PostgreSQL returns the URL of a new schema, in the database that AUTH_TEST_POSTGRES
// names.
func PostgreSQL(t *testing.T) string {
	base := cmp.Or(os.Getenv("AUTH_TEST_POSTGRES"), "postgres://root@127.0.0.1:5432/test?sslmode=disable")
	admin := connect(t, "pgx", base, "AUTH_TEST_POSTGRES", "PostgreSQL", "pg_ctlcluster 15 main start")
	name := Unique()
	runSQL(t, admin, "CREATE SCHEMA "+name)
	t.Cleanup(func() { runSQL(t, admin, "DROP SCHEMA "+name+" CASCADE") })
	u, err := url.Parse(base)
	require.NoError(t, err)
	query := u.Query()
	query.Set("search_path", name)
	query.Set("connect_timeout", "30") // seconds: PostgreSQL starts a process for each connection
	u.RawQuery = query.Encode()
	return u.String()
}

// MySQL returns the URL of a new database, on the server whose DSN AUTH_TEST_MYSQL
// contains.
func MySQL(t *testing.T) string {
	base := cmp.Or(os.Getenv("AUTH_TEST_MYSQL"), "root@tcp(127.0.0.1:3306)/test")
	admin := connect(t, "mysql", base, "AUTH_TEST_MYSQL", "MariaDB", "service mariadb start")
	name := Unique()
	runSQL(t, admin, "CREATE DATABASE "+name)
	t.Cleanup(func() { runSQL(t, admin, "DROP DATABASE "+name) })
	cfg, err := mysql.ParseDSN(base)
	require.NoError(t, err)
	return mysqlURL(cfg, name)
}

// mysqlURL converts a DSN to a URL for another database on the same server.
func mysqlURL(cfg *mysql.Config, name string) string {
	u := url.URL{Scheme: "mysql", User: url.UserPassword(cfg.User, cfg.Passwd), Host: cfg.Addr, Path: "/" + name}
	_, u.RawQuery, _ = strings.Cut(cfg.FormatDSN(), "?")
	if cfg.Net == "unix" {
		u.Host, u.RawQuery = "", "socket="+url.QueryEscape(cfg.Addr)+"&"+u.RawQuery
	}
	return u.String()
}

// connect skips the test if there is no server. In CI, which starts one, it fails.
func connect(t *testing.T, driver, dsn, variable, name, start string) *sql.DB {
	t.Helper()
	db, err := sql.Open(driver, dsn)
	require.NoError(t, err)
	t.Cleanup(func() { db.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	skipUnless(t, db.PingContext(ctx), variable, name, start)
	return db
}

func skipUnless(t *testing.T, err error, variable, name, start string) {
	t.Helper()
	if err == nil {
		return
	}
	text := fmt.Sprintf("no %s: %v\nStart one (%s), or set %s.", name, err, start, variable)
	if os.Getenv("CI") == "true" {
		t.Fatal(text)
	}
	t.Skip(text)
}

// runSQL does not use t.Context, which is canceled before cleanup functions run.
func runSQL(t *testing.T, db *sql.DB, query string) {
	t.Helper()
	_, err := db.ExecContext(context.Background(), query)
	require.NoError(t, err)
}

// Redis returns the URL of RedisPrefix with the key prefix in the parameter prefix.
func Redis(t *testing.T) string {
	text, prefix := RedisPrefix(t)
	u, err := url.Parse(text)
	require.NoError(t, err)
	query := u.Query()
	query.Set("prefix", prefix)
	u.RawQuery = query.Encode()
	return u.String()
}

// RedisPrefix returns the URL of the server that AUTH_TEST_REDIS names, and a new key
// prefix.
func RedisPrefix(t *testing.T) (url, prefix string) {
	url = cmp.Or(os.Getenv("AUTH_TEST_REDIS"), "redis://127.0.0.1:6379/0")
	options, err := rueidis.ParseURL(url)
	require.NoError(t, err)
	client, err := rueidis.NewClient(options)
	skipUnless(t, err, "AUTH_TEST_REDIS", "Redis", "redis-server --daemonize yes")
	prefix = Unique() + ":"
	t.Cleanup(func() {
		removeKeys(t, client, prefix)
		client.Close()
	})
	return url, prefix
}

func removeKeys(t *testing.T, client rueidis.Client, prefix string) {
	ctx := context.Background()
	for scan := (rueidis.ScanEntry{}); ; {
		var err error
		scan, err = client.Do(ctx, client.B().Scan().Cursor(scan.Cursor).Match(prefix+"*").Count(1000).Build()).AsScanEntry()
		require.NoError(t, err)
		for _, key := range scan.Elements {
			require.NoError(t, client.Do(ctx, client.B().Del().Key(key).Build()).Error())
		}
		if scan.Cursor == 0 {
			return
		}
	}
}

// Unique returns a name that no other test uses.
func Unique() string { return "auth_test_" + strings.ToLower(rand.Text()[:16]) }
