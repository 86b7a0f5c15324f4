package main

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
	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"
)

// A place is where -store can be. It makes an empty one, and removes it when the
// test ends.
type place struct {
	name string
	make func(t *testing.T) (store string)
}

var places = []place{
	{"SQLite", func(t *testing.T) string { return "sqlite:" + filepath.Join(t.TempDir(), "demo.db") }},
	{"PostgreSQL", postgresSchema},
	{"MariaDB or MySQL", mysqlDatabase},
	{"Redis", redisPrefix},
}

// each runs a test over every place that can be reached.
func each(t *testing.T, test func(t *testing.T, store string)) {
	for _, p := range places {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			test(t, p.make(t))
		})
	}
}

func postgresSchema(t *testing.T) string {
	base := cmp.Or(os.Getenv("AUTH_TEST_POSTGRES"), "postgres://root@127.0.0.1:5432/test?sslmode=disable")
	admin := reach(t, "pgx", base, "AUTH_TEST_POSTGRES", "PostgreSQL", "pg_ctlcluster 15 main start")
	name := unique()
	runSQL(t, admin, "CREATE SCHEMA "+name)
	t.Cleanup(func() { runSQL(t, admin, "DROP SCHEMA "+name+" CASCADE") })
	u, err := url.Parse(base)
	require.NoError(t, err)
	query := u.Query()
	query.Set("search_path", name)
	query.Set("connect_timeout", "30") // seconds: it starts a process for each connection
	u.RawQuery = query.Encode()
	return u.String()
}

func mysqlDatabase(t *testing.T) string {
	base := cmp.Or(os.Getenv("AUTH_TEST_MYSQL"), "root@tcp(127.0.0.1:3306)/test")
	admin := reach(t, "mysql", base, "AUTH_TEST_MYSQL", "MariaDB", "service mariadb start")
	name := unique()
	runSQL(t, admin, "CREATE DATABASE "+name)
	t.Cleanup(func() { runSQL(t, admin, "DROP DATABASE "+name) })
	cfg, err := mysql.ParseDSN(base)
	require.NoError(t, err)
	return mysqlURL(cfg, name)
}

// mysqlURL is the -store of a database on the server of a DSN.
func mysqlURL(cfg *mysql.Config, name string) string {
	u := url.URL{Scheme: "mysql", User: url.UserPassword(cfg.User, cfg.Passwd), Host: cfg.Addr, Path: "/" + name}
	_, u.RawQuery, _ = strings.Cut(cfg.FormatDSN(), "?")
	if cfg.Net == "unix" {
		u.Host, u.RawQuery = "", "socket="+url.QueryEscape(cfg.Addr)+"&"+u.RawQuery
	}
	return u.String()
}

// reach skips the test where there is no server, and fails it in CI, which has
// started one.
func reach(t *testing.T, driver, dsn, variable, name, start string) *sql.DB {
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
	text := fmt.Sprintf("no %s: %v\nStart one (%s), or name it in %s.", name, err, start, variable)
	if os.Getenv("CI") == "true" {
		t.Fatal(text)
	}
	t.Skip(text)
}

// runSQL is also for cleaning up, when the test's context is over.
func runSQL(t *testing.T, db *sql.DB, query string) {
	t.Helper()
	_, err := db.ExecContext(context.Background(), query)
	require.NoError(t, err)
}

func redisPrefix(t *testing.T) string {
	u, err := url.Parse(cmp.Or(os.Getenv("AUTH_TEST_REDIS"), "redis://127.0.0.1:6379/0"))
	require.NoError(t, err)
	options, err := rueidis.ParseURL(u.String())
	require.NoError(t, err)
	client, err := rueidis.NewClient(options)
	skipUnless(t, err, "AUTH_TEST_REDIS", "Redis", "redis-server --daemonize yes")
	prefix := unique() + ":"
	t.Cleanup(func() {
		removeKeys(t, client, prefix)
		client.Close()
	})
	query := u.Query()
	query.Set("prefix", prefix)
	u.RawQuery = query.Encode()
	return u.String()
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

func unique() string { return "auth_test_" + strings.ToLower(rand.Text()[:16]) }
