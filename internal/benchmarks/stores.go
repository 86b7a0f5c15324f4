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

// errNoServer means that a store cannot be measured because its server is missing.
var errNoServer = errors.New("no server")

func stores() []storeKind {
	return []storeKind{
		{"memory", openMemory},
		{"cachestore over SQLite", openSQLite},
		{"cachestore over PostgreSQL", openPostgres},
		{"redisstore", openRedisStore},
	}
}

// An opener opens the parts of an emptyStore. They are closed in reverse order, at the end
// or if a later part cannot be opened.
type opener struct{ closers []func() }

func (o *opener) onClose(f func()) { o.closers = append(o.closers, f) }

func (o *opener) close() {
	for _, f := range slices.Backward(o.closers) {
		f()
	}
}

func (k *storeKind) open() (*emptyStore, error) {
	var o opener
	s, err := k.make(&o)
	if err != nil {
		o.close()
		return nil, err
	}
	s.close = o.close
	return s, nil
}

func openMemory(*opener) (*emptyStore, error) {
	store := auth.NewMemoryStore()
	bytes := func() (int64, error) {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc), nil
	}
	return &emptyStore{behind: store, hot: store, cold: store, bytes: bytes}, nil
}

// openSQL opens a database with two caches: cold is one whose entries expire at once, so that
// each lookup misses. The query size returns the number of bytes.
func (o *opener) openSQL(driver, dsn string, dialect sqlstore.Dialect, size string) (*emptyStore, error) {
	db, err := sql.Open(driver, dsn)
	if err != nil {
		return nil, err
	}
	o.onClose(func() { db.Close() })
	db.SetMaxOpenConns(16)
	db.SetMaxIdleConns(16)
	store, err := sqlstore.New(db, dialect, sqlstore.Config{Timeout: time.Minute})
	if err != nil {
		return nil, err
	}
	o.onClose(func() { store.Close() })
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
	return &emptyStore{behind: store, hot: hot, cold: cold, bytes: bytes}, nil
}

// openDir creates a directory, which close removes.
func (o *opener) openDir() (string, error) {
	dir, err := os.MkdirTemp("", "benchmarks")
	if err == nil {
		o.onClose(func() { os.RemoveAll(dir) })
	}
	return dir, err
}

func openSQLite(o *opener) (*emptyStore, error) {
	dir, err := o.openDir()
	if err != nil {
		return nil, err
	}
	dsn := "file:" + filepath.Join(dir, "auth.db") + "?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(OFF)"
	return o.openSQL("sqlite3", dsn, sqlstore.SQLite, "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size")
}

// openPostgres creates a schema, which close drops. Commits do not wait for the disk,
// because only lookups are measured.
func openPostgres(o *opener) (*emptyStore, error) {
	base := cmp.Or(os.Getenv("AUTH_TEST_POSTGRES"), "postgres://root@127.0.0.1:5432/test?sslmode=disable")
	u, err := url.Parse(base)
	if err != nil {
		return nil, err
	}
	admin, err := sql.Open("pgx", base)
	if err != nil {
		return nil, err
	}
	o.onClose(func() { admin.Close() })
	schema := "auth_benchmark_" + strings.ToLower(rand.Text()[:16])
	if _, err := admin.Exec("CREATE SCHEMA " + schema); err != nil {
		return nil, fmt.Errorf("%w: %w\nStart one (pg_ctlcluster 15 main start), or set AUTH_TEST_POSTGRES", errNoServer, err)
	}
	o.onClose(func() { admin.Exec("DROP SCHEMA " + schema + " CASCADE") })
	q := u.Query()
	q.Set("search_path", schema)
	q.Set("synchronous_commit", "off")
	u.RawQuery = q.Encode()
	return o.openSQL("pgx", u.String(), sqlstore.PostgreSQL, "SELECT pg_total_relation_size('auth_credentials')")
}

// openRedisStore starts a server, which close stops.
func openRedisStore(o *opener) (*emptyStore, error) {
	socket, err := o.startRedis()
	if err != nil {
		return nil, err
	}
	client, err := o.openRedis(socket, false)
	if err != nil {
		return nil, err
	}
	uncached, err := o.openRedis(socket, true)
	if err != nil {
		return nil, err
	}
	hot, err := redisstore.New(client, redisstore.Config{Timeout: time.Minute})
	if err != nil {
		return nil, err
	}
	cold, err := redisstore.New(uncached, redisstore.Config{Timeout: time.Minute})
	if err != nil {
		return nil, err
	}
	return &emptyStore{behind: hot, hot: hot, cold: cold, bytes: func() (int64, error) { return redisMemory(client) }}, nil
}

// startRedis returns the socket of a server.
func (o *opener) startRedis() (socket string, err error) {
	binary, err := exec.LookPath("redis-server")
	if err != nil {
		return "", fmt.Errorf("%w: %w\nInstall Redis (apt-get install redis-server)", errNoServer, err)
	}
	dir, err := o.openDir()
	if err != nil {
		return "", err
	}
	socket = filepath.Join(dir, "redis.sock")
	server := exec.Command(binary, "--port", "0", "--unixsocket", socket, "--dir", dir, "--save", "")
	if err := server.Start(); err != nil {
		return "", err
	}
	o.onClose(func() {
		server.Process.Kill()
		server.Wait()
	})
	return socket, nil
}

func redisMemory(client rueidis.Client) (int64, error) {
	text, err := client.Do(context.Background(), client.B().Info().Section("memory").Build()).ToString()
	if err != nil {
		return 0, err
	}
	used := regexp.MustCompile(`used_memory:(\d+)`).FindStringSubmatch(text)
	if used == nil {
		return 0, errors.New("the server's INFO has no used_memory")
	}
	return strconv.ParseInt(used[1], 10, 64)
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
			o.onClose(client.Close)
			return client, nil
		}
		if time.Now().After(deadline) {
			return nil, err
		}
	}
}
