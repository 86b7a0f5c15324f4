package main

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A store that is down is named in the message, and its password is not.
func TestStore_down(t *testing.T) {
	t.Parallel()
	const password = "pass%2Fword" // "pass/word"
	address := closedPort(t)
	for _, url := range []string{
		"postgres://admin:" + password + "@" + address + "/service", "mysql://admin:" + password + "@" + address + "/service",
		"redis://admin:" + password + "@" + address, "sqlite:" + filepath.Join(t.TempDir(), "missing.db"),
	} {
		for _, args := range [][]string{{"token", "list"}, {"user", "show", "alice"}, {"user", "revoke-all", "alice", "--acting", "--yes"}, {"purge", "--before", "30d", "--yes"}, {"leaked", "--yes", "--json"}} {
			r := authctlWith(t, url, "plaintext", args...)
			require.Equal(t, exitUnavailable, r.code, r.stderr)
			requireNoPassword(t, r)
			if !strings.HasPrefix(url, "sqlite:") {
				require.Contains(t, r.stderr, address)
			}
		}
	}
}

func requireNoPassword(t testing.TB, r result) {
	t.Helper()
	for _, p := range []string{"pass%2Fword", "pass/word", "word@"} {
		require.NotContains(t, r.stdout+r.stderr, p)
	}
}

// A server that accepts connections and never answers is unavailable too.
func TestStore_hangs(t *testing.T) {
	t.Parallel()
	if testing.Short() || os.Getenv("CI") != "true" {
		t.Skip("waits ten seconds: set CI=true, and leave out -short")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	for _, scheme := range []string{"postgres", "mysql", "redis"} {
		t.Run(scheme, func(t *testing.T) {
			t.Parallel()
			r := authctl(t, scheme+"://admin:pass%2Fword@"+l.Addr().String()+"/0", "token", "list")
			require.Equal(t, exitUnavailable, r.code, r.stderr)
			requireNoPassword(t, r)
		})
	}
}

func TestStore_invalid(t *testing.T) {
	t.Parallel()
	for _, url := range []string{
		"", "memory:", "sqlite:", "pass/word", "postgres://admin:pass/word@127.0.0.1/service", "mysql://admin:pass/word@127.0.0.1/x",
		"redis://admin:pass%2Fword@127.0.0.1/service", "postgres://admin:pass%2Fword@127.0.0.1/x?sslmode=pass/word", "mysql://admin:pass%2Fword@127.0.0.1/x?timeout=1",
	} {
		r := authctl(t, url, "token", "list")
		require.Equal(t, exitUsage, r.code, "%q: %s", url, r.stderr)
		requireNoPassword(t, r)
	}
}

// A parameter that was ignored could be a prefix with a typing error, and nothing would be found.
func TestStore_redisParameters(t *testing.T) {
	t.Parallel()
	url := redisURL(t)
	issue(t, url, "alice")
	ok(t, url+"&client_name=authctl&write_timeout=5s", "token", "list", "alice")
	for _, wrong := range []string{strings.Replace(url, "prefix", "prefx", 1), strings.Replace(url, "prefix", "Prefix", 1), url + "&tls=true", url + ";x"} {
		r := authctl(t, wrong, "token", "list", "alice")
		require.Equal(t, exitUsage, r.code, r.stderr)
		require.Contains(t, r.stderr, "parameter")
	}
}

// The URL comes from the environment, from a file, or from a flag.
func TestStore_sources(t *testing.T) {
	t.Parallel()
	url := sqliteStore(t)
	issue(t, url, "alice")
	file := filepath.Join(t.TempDir(), "store")
	require.NoError(t, os.WriteFile(file, []byte(url+"\n"), 0o600))
	ok(t, "", "token", "list", "--store-file", file)
	ok(t, "", "token", "list", "--store", url)
	ok(t, "sqlite:/missing", "token", "list", "--store-file", file)
	ok(t, "sqlite:/missing", "token", "list", "--store", url)
	require.Equal(t, exitUsage, authctl(t, "", "token", "list", "--store-file", file, "--store", url).code)
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	require.Equal(t, exitUsage, authctl(t, "", "token", "list", "--store-file", file).code)
	require.Equal(t, exitUsage, authctl(t, "", "token", "list", "--store-file", file+"x").code)
}

// The error of a store without tables says how to create them.
func TestStore_withoutTables(t *testing.T) {
	t.Parallel()
	for _, s := range stores[:3] {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			url := s.make(t)
			if file, ok := strings.CutPrefix(url, "sqlite:"); ok {
				require.NoError(t, os.WriteFile(file, nil, 0o600))
			}
			r := authctl(t, url, "token", "list")
			require.Equal(t, exitUnavailable, r.code)
			require.Contains(t, r.stderr, "authctl migrate")
		})
	}
}

// An error of a driver that contained the password would be printed without it.
func TestStore_redact(t *testing.T) {
	t.Parallel()
	s := &store{url: "postgres://admin:pass%2Fword@127.0.0.1/x?sslpassword=other"}
	require.Equal(t, "… … … admin", s.redact("pass/word pass%2Fword other admin"))
	s = &store{url: "sqlite:auth.db"}
	require.Equal(t, "sqlite:auth.db", s.redact("sqlite:auth.db"))
}
