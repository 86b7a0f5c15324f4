package integration

import (
	"cmp"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth/sqlstore"
)

// An ownServer is a database server for one test, which may fill it, kill it and start it
// again. It writes to disk before it acknowledges.
type ownServer struct {
	database
	source
	dir     string
	command func() *exec.Cmd
	cmd     *exec.Cmd
	exited  chan struct{}
}

// eachOwnServer runs a test with every kind of server that can be started.
func eachOwnServer(t *testing.T, test func(t *testing.T, s *ownServer)) {
	for _, d := range databases {
		if d.isSQLite() {
			continue
		}
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			// The path of t.TempDir is too long for a socket, and inaccessible to other users.
			dir, err := os.MkdirTemp("", "auth")
			require.NoError(t, err)
			t.Cleanup(func() { os.RemoveAll(dir) })
			require.NoError(t, os.Chmod(dir, 0o755))
			s := &ownServer{database: d, dir: dir}
			if d.isPostgres() {
				s.makePostgres(t)
			} else {
				s.makeMariaDB(t)
			}
			s.start(t)
			t.Cleanup(s.kill)
			test(t, s)
		})
	}
}

func (s *ownServer) makePostgres(t *testing.T) {
	t.Helper()
	initdb := program(t, "initdb", "postgresql", "/usr/lib/postgresql/*/bin/initdb")
	// PostgreSQL refuses to run as root.
	attributes := &syscall.SysProcAttr{}
	if os.Getuid() == 0 {
		u, err := user.Lookup("postgres")
		require.NoError(t, err)
		uid, err := strconv.Atoi(u.Uid)
		require.NoError(t, err)
		gid, err := strconv.Atoi(u.Gid)
		require.NoError(t, err)
		require.NoError(t, os.Chown(s.dir, uid, gid))
		attributes.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
	data := filepath.Join(s.dir, "data")
	s.run(t, attributes, initdb, "-D", data, "-A", "trust", "-U", "root", "--no-sync", "--no-locale", "-E", "UTF8")
	port := freePort(t)
	s.source = source{"pgx", fmt.Sprintf("postgres://root@127.0.0.1:%d/postgres?sslmode=disable", port)}
	s.command = func() *exec.Cmd {
		cmd := exec.Command(filepath.Join(filepath.Dir(initdb), "postgres"), "-D", data, "-p", strconv.Itoa(port), "-k", s.dir,
			"-c", "listen_addresses=127.0.0.1", "-c", "shared_buffers=16MB", "-c", "max_connections=40")
		cmd.SysProcAttr = attributes
		return cmd
	}
}

func (s *ownServer) makeMariaDB(t *testing.T) {
	t.Helper()
	install := program(t, "mariadb-install-db", "mariadb-server", "/usr/bin/mysql_install_db")
	server := program(t, "mariadbd", "mariadb-server", "/usr/sbin/mariadbd")
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

// program returns the path of a program, in PATH or matching the pattern.
func program(t *testing.T, name, from, pattern string) string {
	t.Helper()
	found, _ := filepath.Glob(pattern)
	slices.Sort(found)
	path, err := exec.LookPath(name)
	if err == nil || len(found) > 0 {
		return cmp.Or(path, found[max(len(found)-1, 0)])
	}
	text := fmt.Sprintf("%s is missing: install it (apt-get install %s)", name, from)
	if os.Getenv("CI") == "true" {
		t.Fatal(text)
	}
	t.Skip(text)
	return ""
}

func (s *ownServer) run(t *testing.T, attributes *syscall.SysProcAttr, name string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir, cmd.SysProcAttr = s.dir, attributes
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
}

// start can be called again after kill. A killed server may leave processes that take a
// moment to exit, and cannot start until they have.
func (s *ownServer) start(t *testing.T) {
	t.Helper()
	log, err := os.OpenFile(filepath.Join(s.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600)
	require.NoError(t, err)
	defer log.Close()
	db, err := sql.Open(s.driver, s.dsn)
	require.NoError(t, err)
	defer db.Close()
	require.Eventually(t, func() bool {
		if s.hasExited() {
			s.cmd = s.command()
			s.cmd.Stdout, s.cmd.Stderr = log, log
			if err := s.cmd.Start(); err != nil {
				t.Error(err)
				return false
			}
			cmd, exited := s.cmd, make(chan struct{})
			s.exited = exited
			go func() {
				cmd.Wait()
				close(exited)
			}()
		}
		return db.PingContext(t.Context()) == nil
	}, 30*time.Second, 50*time.Millisecond, "the server does not start")
}

func (s *ownServer) hasExited() bool {
	if s.exited == nil {
		return true
	}
	select {
	case <-s.exited:
		return true
	default:
		return false
	}
}

func (s *ownServer) kill() {
	_ = s.cmd.Process.Kill()
	<-s.exited
}

// store returns a store with its own handle, with its tables.
func (s *ownServer) store(t *testing.T) (*sqlstore.Store, *sql.DB) {
	t.Helper()
	db := s.open(t)
	return s.over(t, db), db
}
