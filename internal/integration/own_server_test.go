package integration

import (
	"database/sql"
	"fmt"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth/sqlstore"
)

// An ownServer is a database server for one test, which may fill it, kill it and start it
// again. It writes to disk before it acknowledges.
type ownServer struct {
	database
	source
	*process
	options []string // of PostgreSQL, further ones
}

// eachOwnServer runs a test with every kind of server that can be started.
func eachOwnServer(t *testing.T, test func(t *testing.T, s *ownServer)) {
	for _, d := range databases {
		if d.isSQLite() {
			continue
		}
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			s := newOwnServer(t, d)
			if d.isPostgres() {
				s.makePostgres(t)
			} else {
				s.makeMariaDB(t)
			}
			s.start(t)
			test(t, s)
		})
	}
}

func newOwnServer(t testing.TB, d database) *ownServer {
	t.Helper()
	inCI(t)
	s := &ownServer{database: d}
	s.process = newProcess(t, "server", shortDir(t), nil)
	return s
}

// startPostgres starts a server with further options, each as "name=value".
func startPostgres(t testing.TB, options ...string) *ownServer {
	t.Helper()
	s := newOwnServer(t, databases[slices.IndexFunc(databases, database.isPostgres)])
	s.options = options
	s.makePostgres(t)
	s.start(t)
	return s
}

func (s *ownServer) makePostgres(t testing.TB) {
	t.Helper()
	initdb := program(t, "initdb", "postgresql", postgresPrograms)
	attributes := unprivileged(t, "postgres", s.dir) // PostgreSQL refuses to run as root
	data := filepath.Join(s.dir, "data")
	s.run(t, attributes, initdb, "-D", data, "-A", "trust", "-U", "root", "--no-sync", "--no-locale", "-E", "UTF8")
	s.servePostgres(t, attributes)
}

const postgresPrograms = "/usr/lib/postgresql/*/bin/"

// servePostgres sets the command, and the DSN with a port of its own.
func (s *ownServer) servePostgres(t testing.TB, attributes *syscall.SysProcAttr) {
	t.Helper()
	postgres, port := program(t, "postgres", "postgresql", postgresPrograms), freePort(t)
	s.source = source{"pgx", fmt.Sprintf("postgres://root@127.0.0.1:%d/postgres?sslmode=disable", port)}
	args := []string{"-D", filepath.Join(s.dir, "data"), "-p", strconv.Itoa(port), "-k", s.dir}
	for _, option := range append([]string{"listen_addresses=127.0.0.1", "shared_buffers=16MB", "max_connections=40"}, s.options...) {
		args = append(args, "-c", option)
	}
	s.command = func() *exec.Cmd {
		cmd := exec.Command(postgres, args...)
		cmd.SysProcAttr = attributes
		return cmd
	}
}

func (s *ownServer) makeMariaDB(t testing.TB) {
	t.Helper()
	install := program(t, "mariadb-install-db", "mariadb-server", "/usr/bin/")
	server := program(t, "mariadbd", "mariadb-server", "/usr/sbin/")
	data, socket := filepath.Join(s.dir, "data"), filepath.Join(s.dir, "socket")
	u, err := user.Current()
	require.NoError(t, err)
	s.run(t, nil, install, "--no-defaults", "--datadir="+data, "--tmpdir="+s.dir, "--auth-root-authentication-method=normal",
		"--skip-test-db", "--user="+u.Username)
	s.source = source{"mysql", "root@unix(" + socket + ")/"}
	s.command = func() *exec.Cmd {
		return exec.Command(server, "--no-defaults", "--datadir="+data, "--tmpdir="+s.dir, "--socket="+socket, "--skip-networking",
			"--user="+u.Username, "--innodb-buffer-pool-size=16M", "--innodb-flush-log-at-trx-commit=1")
	}
	s.start(t)
	run(t, s.open(t), "CREATE DATABASE test")
	s.kill()
	s.source.dsn += "test"
}

// program returns the path of a program, in PATH or in the folders that the pattern, which
// ends with a slash, matches.
func program(t testing.TB, name, from, pattern string) string {
	t.Helper()
	found, _ := filepath.Glob(pattern + name)
	slices.Sort(found)
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	if len(found) > 0 {
		return found[len(found)-1]
	}
	text := fmt.Sprintf("%s is missing: install it (apt-get install %s)", name, from)
	if ci() {
		t.Fatal(text)
	}
	t.Skip(text)
	return ""
}

func (s *ownServer) run(t testing.TB, attributes *syscall.SysProcAttr, name string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir, cmd.SysProcAttr = s.dir, attributes
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
}

// start can be called again after kill.
func (s *ownServer) start(t testing.TB) {
	t.Helper()
	db, err := sql.Open(s.driver, s.dsn)
	require.NoError(t, err)
	defer db.Close()
	s.process.start(t, db.PingContext)
}

// store returns a store with its own handle, with its tables.
func (s *ownServer) store(t testing.TB) (*sqlstore.Store, *sql.DB) {
	t.Helper()
	db := s.open(t)
	return s.over(t, db), db
}
