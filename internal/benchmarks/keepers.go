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
	"slices"
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

// An opener makes a kept, part by part. What has been opened is closed in reverse, at
// the end or where a later part fails.
type opener struct{ opened []func() }

func (o *opener) then(end func()) { o.opened = append(o.opened, end) }

func (o *opener) close() {
	for _, end := range slices.Backward(o.opened) {
		end()
	}
}

func (k *keeper) open() (*kept, error) {
	var o opener
	made, err := k.make(&o)
	if err != nil {
		o.close()
		return nil, err
	}
	made.close = o.close
	return made, nil
}

func keptInMemory(*opener) (*kept, error) {
	store := auth.NewMemoryStore()
	bytes := func() (int64, error) {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc), nil
	}
	return &kept{behind: store, hot: store, cold: store, bytes: bytes}, nil
}

// openSQL opens a database, and a store over it with a cache in front, and one that
// forgets at once, to have each look-up miss. The query says how many bytes there are.
func (o *opener) openSQL(driver, dsn string, dialect sqlstore.Dialect, size string) (*kept, error) {
	db, err := sql.Open(driver, dsn)
	if err != nil {
		return nil, err
	}
	o.then(func() { db.Close() })
	db.SetMaxOpenConns(16)
	db.SetMaxIdleConns(16)
	store, err := sqlstore.New(db, dialect, sqlstore.WithTimeout(time.Minute))
	if err != nil {
		return nil, err
	}
	o.then(func() { store.Close() })
	if err := store.Migrate(context.Background()); err != nil {
		return nil, err
	}
	hot, err := cachestore.New(store, cachestore.Config{})
	if err != nil {
		return nil, err
	}
	cold, err := cachestore.New(store, cachestore.Config{MaxStale: 1, Capacity: population})
	if err != nil {
		return nil, err
	}
	bytes := func() (n int64, err error) {
		err = db.QueryRow(size).Scan(&n)
		return n, err
	}
	return &kept{behind: store, hot: hot, cold: cold, bytes: bytes}, nil
}

// openDir makes a directory, which is removed in the end.
func (o *opener) openDir() (string, error) {
	dir, err := os.MkdirTemp("", "benchmarks")
	if err == nil {
		o.then(func() { os.RemoveAll(dir) })
	}
	return dir, err
}

func keptInSQLite(o *opener) (*kept, error) {
	dir, err := o.openDir()
	if err != nil {
		return nil, err
	}
	dsn := "file:" + filepath.Join(dir, "auth.db") + "?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(OFF)"
	return o.openSQL("sqlite3", dsn, sqlstore.SQLite, "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size")
}

// keptInPostgres has a schema of its own, and does not wait for the disk: what is
// measured is look-ups.
func keptInPostgres(o *opener) (*kept, error) {
	base := cmp.Or(os.Getenv("AUTH_TEST_POSTGRES"), "postgres://root@127.0.0.1:5432/test?sslmode=disable")
	u, err := url.Parse(base)
	if err != nil {
		return nil, err
	}
	admin, err := sql.Open("pgx", base)
	if err != nil {
		return nil, err
	}
	o.then(func() { admin.Close() })
	schema := "auth_benchmark_" + strings.ToLower(rand.Text()[:16])
	if _, err := admin.Exec("CREATE SCHEMA " + schema); err != nil {
		return nil, fmt.Errorf("%w: %w\nStart one (pg_ctlcluster 15 main start), or name it in AUTH_TEST_POSTGRES", errNoServer, err)
	}
	o.then(func() { admin.Exec("DROP SCHEMA " + schema + " CASCADE") })
	q := u.Query()
	q.Set("search_path", schema)
	q.Set("synchronous_commit", "off")
	u.RawQuery = q.Encode()
	return o.openSQL("pgx", u.String(), sqlstore.PostgreSQL, "SELECT pg_total_relation_size('auth_credentials')")
}

// keptInRedis has a server of its own, and ends it.
func keptInRedis(o *opener) (*kept, error) {
	binary, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, fmt.Errorf("%w: %w\nInstall Redis (apt-get install redis-server)", errNoServer, err)
	}
	dir, err := o.openDir()
	if err != nil {
		return nil, err
	}
	socket := filepath.Join(dir, "redis.sock")
	server := exec.Command(binary, "--port", "0", "--unixsocket", socket, "--dir", dir, "--save", "")
	if err := server.Start(); err != nil {
		return nil, err
	}
	o.then(func() {
		server.Process.Kill()
		server.Wait()
	})
	client, err := o.openRedis(socket, false)
	if err != nil {
		return nil, err
	}
	uncached, err := o.openRedis(socket, true)
	if err != nil {
		return nil, err
	}
	hot, err := redisstore.New(client, redisstore.WithTimeout(time.Minute))
	if err != nil {
		return nil, err
	}
	cold, err := redisstore.New(uncached, redisstore.WithTimeout(time.Minute))
	if err != nil {
		return nil, err
	}
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
	return &kept{behind: hot, hot: hot, cold: cold, bytes: bytes}, nil
}

// openRedis waits until the server answers.
func (o *opener) openRedis(socket string, uncached bool) (rueidis.Client, error) {
	option, err := rueidis.ParseURL("unix://" + socket)
	if err != nil {
		return nil, err
	}
	option.DisableCache = uncached
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		client, err := rueidis.NewClient(option)
		if err == nil {
			o.then(client.Close)
			return client, nil
		}
		if time.Now().After(deadline) {
			return nil, err
		}
	}
}
