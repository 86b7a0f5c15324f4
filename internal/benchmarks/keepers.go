package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	_ "github.com/ncruces/go-sqlite3/driver"
	"github.com/redis/rueidis"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/cachestore"
	"github.com/seed-31c5bcb2/auth/redisstore"
	"github.com/seed-31c5bcb2/auth/sqlstore"
)

// errNoServer is what stands in the way where a store needs a server.
var errNoServer = errors.New("there is no server")

func keepers() []keeper {
	return []keeper{
		{"memory", keptInMemory},
		{"cachestore over SQLite", keptInSQLite},
		{"cachestore over PostgreSQL", keptInPostgres},
		{"redisstore", keptInRedis},
	}
}

func keptInMemory() (*kept, error) {
	store := auth.NewMemoryStore()
	bytes := func() (int64, error) {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc), nil
	}
	return &kept{store, store, store, bytes, func() {}}, nil
}

// cached puts a cache in front, and one that forgets at once, to have each look-up
// miss.
func cached(db *sql.DB, dialect sqlstore.Dialect, size string, end func()) (*kept, error) {
	store, err := sqlstore.New(db, dialect, sqlstore.WithTimeout(time.Minute))
	if err != nil {
		return nil, err
	}
	if err := store.Migrate(context.Background()); err != nil {
		return nil, err
	}
	hot, err := cachestore.New(store, cachestore.Config{})
	if err != nil {
		return nil, err
	}
	cold, err := cachestore.New(store, cachestore.Config{MaxStale: 1, Capacity: population})
	bytes := func() (n int64, err error) {
		err = db.QueryRow(size).Scan(&n)
		return n, err
	}
	return &kept{store, hot, cold, bytes, func() { store.Close(); db.Close(); end() }}, err
}

func keptInSQLite() (*kept, error) {
	dir, err := os.MkdirTemp("", "benchmarks")
	if err != nil {
		return nil, err
	}
	db, err := sql.Open("sqlite3", "file:"+filepath.Join(dir, "auth.db")+
		"?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(OFF)")
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(16)
	db.SetMaxIdleConns(16)
	return cached(db, sqlstore.SQLite, "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size",
		func() { os.RemoveAll(dir) })
}

// keptInPostgres has a schema of its own, and does not wait for the disk: what is
// measured is look-ups.
func keptInPostgres() (*kept, error) {
	base := cmp.Or(os.Getenv("AUTH_TEST_POSTGRES"), "postgres://root@127.0.0.1:5432/test?sslmode=disable")
	admin, err := sql.Open("pgx", base)
	if err != nil {
		return nil, err
	}
	schema := "auth_benchmark_" + strings.ToLower(rand.Text()[:16])
	if _, err := admin.Exec("CREATE SCHEMA " + schema); err != nil {
		admin.Close()
		return nil, fmt.Errorf("%w: %w\nStart one (pg_ctlcluster 15 main start), or name it in AUTH_TEST_POSTGRES", errNoServer, err)
	}
	end := func() {
		admin.Exec("DROP SCHEMA " + schema + " CASCADE")
		admin.Close()
	}
	u, err := url.Parse(base)
	if err != nil {
		end()
		return nil, err
	}
	q := u.Query()
	q.Set("search_path", schema)
	q.Set("synchronous_commit", "off")
	u.RawQuery = q.Encode()
	db, err := sql.Open("pgx", u.String())
	if err != nil {
		end()
		return nil, err
	}
	db.SetMaxOpenConns(16)
	db.SetMaxIdleConns(16)
	return cached(db, sqlstore.PostgreSQL, "SELECT pg_total_relation_size('auth_credentials')", end)
}

// keptInRedis has a server of its own, and ends it.
func keptInRedis() (*kept, error) {
	binary, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, fmt.Errorf("%w: %w\nInstall Redis (apt-get install redis-server)", errNoServer, err)
	}
	dir, err := os.MkdirTemp("", "benchmarks")
	if err != nil {
		return nil, err
	}
	socket := filepath.Join(dir, "redis.sock")
	server := exec.Command(binary, "--port", "0", "--unixsocket", socket, "--dir", dir, "--save", "")
	if err := server.Start(); err != nil {
		return nil, err
	}
	end := func() {
		server.Process.Kill()
		server.Wait()
		os.RemoveAll(dir)
	}
	client, err := redisClient(socket, false)
	if err != nil {
		end()
		return nil, err
	}
	uncached, err := redisClient(socket, true)
	if err != nil {
		end()
		return nil, err
	}
	hot, err := redisstore.New(client, redisstore.WithTimeout(time.Minute))
	if err != nil {
		end()
		return nil, err
	}
	cold, err := redisstore.New(uncached, redisstore.WithTimeout(time.Minute))
	bytes := func() (int64, error) {
		text, err := client.Do(context.Background(), client.B().Info().Section("memory").Build()).ToString()
		if err != nil {
			return 0, err
		}
		used := regexp.MustCompile(`used_memory:(\d+)`).FindStringSubmatch(text)
		if used == nil {
			return 0, errors.New("Redis does not tell how much memory it has")
		}
		return strconv.ParseInt(used[1], 10, 64)
	}
	return &kept{hot, hot, cold, bytes, func() { client.Close(); uncached.Close(); end() }}, err
}

// redisClient waits until the server answers.
func redisClient(socket string, uncached bool) (rueidis.Client, error) {
	option, err := rueidis.ParseURL("unix://" + socket)
	if err != nil {
		return nil, err
	}
	option.DisableCache = uncached
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		client, err := rueidis.NewClient(option)
		if err == nil || time.Now().After(deadline) {
			return client, err
		}
	}
}
