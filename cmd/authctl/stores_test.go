package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"database/sql"
	"net"
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

func init() { _ = mysql.SetLogger(&mysql.NopLogger{}) }

// stores return the URL of an empty store, which they remove at the end of the test.
var stores = []struct {
	name string
	make func(t testing.TB) string
}{
	{"SQLite", func(t testing.TB) string { return "sqlite:" + filepath.Join(t.TempDir(), "auth.db") }},
	{"PostgreSQL", postgresURL},
	{"MariaDB or MySQL", mysqlURL},
	{"Redis", redisURL},
}

// eachStore runs a test with every store that is available, with its tables.
func eachStore(t *testing.T, test func(t *testing.T, url string)) {
	for _, s := range stores {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			url := s.make(t)
			ok(t, url, "migrate")
			test(t, url)
		})
	}
}

// sqliteStore is for tests that do not depend on the kind of the store.
func sqliteStore(t testing.TB) string {
	t.Helper()
	url := stores[0].make(t)
	ok(t, url, "migrate")
	return url
}

func postgresURL(t testing.TB) string {
	t.Helper()
	base := cmp.Or(os.Getenv("AUTH_TEST_POSTGRES"), "postgres://root@127.0.0.1:5432/test?sslmode=disable")
	admin := reach(t, "pgx", base, "AUTH_TEST_POSTGRES", "PostgreSQL", "pg_ctlcluster 15 main start")
	name := unique()
	execute(t, admin, "CREATE SCHEMA "+name)
	t.Cleanup(func() { execute(t, admin, "DROP SCHEMA "+name+" CASCADE") })
	return withQuery(t, base, "search_path", name)
}

func mysqlURL(t testing.TB) string {
	t.Helper()
	base := cmp.Or(os.Getenv("AUTH_TEST_MYSQL"), "root@tcp(127.0.0.1:3306)/test")
	admin := reach(t, "mysql", base, "AUTH_TEST_MYSQL", "MariaDB", "service mariadb start")
	name := unique()
	execute(t, admin, "CREATE DATABASE "+name)
	t.Cleanup(func() { execute(t, admin, "DROP DATABASE "+name) })
	cfg, err := mysql.ParseDSN(base)
	require.NoError(t, err)
	u := url.URL{Scheme: "mysql", User: url.UserPassword(cfg.User, cfg.Passwd), Host: cfg.Addr, Path: "/" + name}
	if cfg.Net == "unix" {
		u.Host, u.RawQuery = "", url.Values{"socket": {cfg.Addr}}.Encode()
	}
	return u.String()
}

func redisURL(t testing.TB) string {
	t.Helper()
	base := cmp.Or(os.Getenv("AUTH_TEST_REDIS"), "redis://127.0.0.1:6379")
	options, err := rueidis.ParseURL(base)
	require.NoError(t, err)
	client, err := rueidis.NewClient(options)
	if err != nil {
		skip(t, "no Redis: "+err.Error()+"\nStart one (redis-server), or set AUTH_TEST_REDIS.")
	}
	prefix := unique() + ":"
	t.Cleanup(func() {
		defer client.Close()
		ctx := context.Background()
		keys, err := client.Do(ctx, client.B().Keys().Pattern(prefix+"*").Build()).AsStrSlice()
		require.NoError(t, err)
		if len(keys) > 0 {
			require.NoError(t, client.Do(ctx, client.B().Unlink().Key(keys...).Build()).Error())
		}
	})
	return withQuery(t, base, "prefix", prefix)
}

func withQuery(t testing.TB, base, name, value string) string {
	t.Helper()
	u, err := url.Parse(base)
	require.NoError(t, err)
	query := u.Query()
	query.Set(name, value)
	u.RawQuery = query.Encode()
	return u.String()
}

func unique() string { return "authctl_" + strings.ToLower(rand.Text()) }

// reach skips the test if there is no server. In CI, which starts one, it fails the test.
func reach(t testing.TB, driver, dsn, variable, name, start string) *sql.DB {
	t.Helper()
	db, err := sql.Open(driver, dsn)
	require.NoError(t, err)
	t.Cleanup(func() { db.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := db.PingContext(ctx); err != nil {
		skip(t, "no "+name+": "+err.Error()+"\nStart one ("+start+"), or set "+variable+".")
	}
	return db
}

func skip(t testing.TB, text string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(text)
	}
	t.Skip(text)
}

func execute(t testing.TB, db *sql.DB, statement string) {
	t.Helper()
	_, err := db.ExecContext(context.Background(), statement)
	require.NoError(t, err)
}

// closedPort returns an address at which nothing listens.
func closedPort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	return l.Addr().String()
}
