package demodata

import (
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
	for scheme, database := range map[string]string{
		"postgres": "demo?connect_timeout=1", "mysql": "demo?readTimeout=1s", "redis": "0",
	} {
		t.Run(scheme, func(t *testing.T) {
			t.Parallel()
			start := time.Now()
			store := fmt.Sprintf("%s://u:%s@%s/%s", scheme, testPassword, silentAddress(t), database)
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
