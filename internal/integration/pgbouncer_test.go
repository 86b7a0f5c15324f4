package integration

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/storetest"
)

// A bouncer is a PgBouncer in front of a server of its own.
type bouncer struct {
	server *ownServer
	port   int
	roles  atomic.Int32 // that have been created
}

const maxRoles = 500

// startBouncer starts both. In transaction mode a client gets any of a role's poolSize server
// processes for each transaction, in session mode one of them until it disconnects.
func startBouncer(t *testing.T, mode string, poolSize int) *bouncer {
	t.Helper()
	path := program(t, "pgbouncer", "pgbouncer", "/usr/sbin/")
	b := &bouncer{server: startPostgres(t, "max_connections=100", "fsync=off"), port: freePort(t)}
	server, err := url.Parse(b.server.dsn)
	require.NoError(t, err)
	dir := shortDir(t)
	var users strings.Builder
	for n := range maxRoles {
		fmt.Fprintf(&users, "\"role%d\" \"\"\n", n)
	}
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
		return path
	}
	config := write("pgbouncer.ini", fmt.Sprintf(bouncerConfig, server.Port(), b.port, write("users", users.String()), mode, poolSize))
	attributes := unprivileged(t, "postgres", dir) // PgBouncer refuses to run as root
	p := newProcess(t, "pgbouncer", dir, func() *exec.Cmd {
		cmd := exec.Command(path, config)
		cmd.SysProcAttr = attributes
		return cmd
	})
	p.start(t, b.role(t, "").open(t).PingContext)
	return b
}

// In session mode, a test uses up to 17 connections of a role: two stores, and a listener.
const bouncerConfig = `[databases]
postgres = host=127.0.0.1 port=%s
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
unix_socket_dir =
auth_type = trust
auth_file = %s
pool_mode = %s
default_pool_size = %d
max_db_connections = 80
server_idle_timeout = 2
`

// role creates a role with a schema of its own, because PgBouncer refuses the parameter
// search_path, and returns its DSN with the mode.
func (b *bouncer) role(t *testing.T, execMode string) source {
	t.Helper()
	n := b.roles.Add(1) - 1
	require.Less(t, n, int32(maxRoles))
	db := b.server.open(t)
	defer db.Close()
	run(t, db, fmt.Sprintf("CREATE ROLE role%d LOGIN", n))
	run(t, db, fmt.Sprintf("CREATE SCHEMA role%[1]d AUTHORIZATION role%[1]d", n))
	s := source{"pgx", fmt.Sprintf("postgres://role%d@127.0.0.1:%d/postgres?sslmode=disable", n, b.port)}
	if execMode != "" {
		s.dsn = s.with(t, "default_query_exec_mode", execMode)
	}
	return s
}

// PgBouncer in transaction mode executes a statement in any server process, and before 1.21
// it does not know in which of them it is prepared. In these modes of pgx, each message with
// which a statement is executed contains the statement.
var unprepared = []string{"exec", "cache_describe", "simple_protocol"}

func TestPgBouncer_contract(t *testing.T) {
	t.Parallel()
	longSeries(t)
	for _, tt := range []struct {
		mode, execMode string
		poolSize       int
	}{
		{"transaction", "exec", 3},
		{"session", "", 20}, // more than all stores of a case open
	} {
		t.Run(tt.mode, func(t *testing.T) {
			t.Parallel()
			b := startBouncer(t, tt.mode, tt.poolSize)
			storetest.Run(t, func(t *testing.T) auth.Store {
				return b.server.over(t, b.role(t, tt.execMode).open(t))
			})
		})
	}
}

// Statements move between server processes: no call fails.
func TestPgBouncer_concurrentCalls(t *testing.T) {
	t.Parallel()
	b := startBouncer(t, "transaction", 3)
	for _, execMode := range unprepared {
		t.Run(execMode, func(t *testing.T) {
			t.Parallel()
			source := b.role(t, execMode)
			store := b.server.over(t, source.open(t))
			u := newUser(t, store)
			var wg sync.WaitGroup
			var lookups atomic.Int64
			done := make(chan struct{})
			repeat := func(call func() error) {
				wg.Go(func() {
					for {
						select {
						case <-done:
							return
						default:
							if err := call(); err != nil {
								t.Error(err)
								return
							}
						}
					}
				})
			}
			for range 8 {
				repeat(func() error {
					lookups.Add(1)
					return lookup(t, store, u.token)
				})
			}
			repeat(func() error { return createAndRevoke(t.Context(), store, u.userID) })
			moveBetweenServers(t, source)
			require.Eventually(t, func() bool { return lookups.Load() > 2000 || t.Failed() }, time.Minute, time.Millisecond)
			close(done)
			wg.Wait()
		})
	}
}

func createAndRevoke(ctx context.Context, store auth.Store, userID string) error {
	c := record(auth.KindToken, userID)
	if err := store.Create(ctx, c, 0); err != nil {
		return err
	}
	return store.Revoke(ctx, c.Ref())
}

// moveBetweenServers returns when one connection has been given several server processes.
func moveBetweenServers(t *testing.T, s source) {
	t.Helper()
	db := s.open(t)
	db.SetMaxOpenConns(1)
	seen := map[int]bool{}
	require.Eventually(t, func() bool {
		var pid int
		if err := db.QueryRowContext(t.Context(), "SELECT pg_backend_pid()").Scan(&pid); err == nil {
			seen[pid] = true
		}
		return len(seen) > 2
	}, time.Minute, time.Millisecond)
}

// In session mode, pgnotify works as without a pooler.
func TestPgBouncer_notifySession(t *testing.T) {
	t.Parallel()
	b := startBouncer(t, "session", 20)
	source := b.role(t, "")
	store := b.server.over(t, source.open(t))
	s := listenTo(t, source.dsn)
	for range 3 {
		u := newUser(t, store)
		require.Equal(t, "1 "+u.userID, s.next(t))
	}
	require.Empty(t, s.errs)
}

// In transaction mode, LISTEN applies to a server process that executes others' transactions
// next. The error says which mode is needed. The cache has its MaxStale until then.
func TestPgBouncer_notifyTransaction(t *testing.T) {
	t.Parallel()
	b := startBouncer(t, "transaction", 10)
	source := b.role(t, "exec")
	db := source.open(t)
	b.server.over(t, db)
	s := listenTo(t, source.dsn)
	occupy(t, db)
	require.ErrorContains(t, s.nextError(t), "a pooler that is not in session mode")
	require.Equal(t, "lost", s.next(t))
}

// occupy begins transactions until they have every server process that PgBouncer has opened,
// so that the listener, which has executed LISTEN in one of them, gets another one.
func occupy(t *testing.T, db *sql.DB) {
	t.Helper()
	idle := map[int]bool{}
	rows, err := db.QueryContext(t.Context(), "SELECT pid FROM pg_stat_activity WHERE usename = current_user")
	require.NoError(t, err)
	for rows.Next() {
		var pid int
		require.NoError(t, rows.Scan(&pid))
		idle[pid] = true
	}
	require.NoError(t, rows.Err())
	require.NoError(t, rows.Close())
	require.NotEmpty(t, idle)
	for range 8 { // the pool of db
		conn, err := db.Conn(t.Context())
		require.NoError(t, err)
		t.Cleanup(func() { conn.Close() })
		var pid int
		_, err = conn.ExecContext(t.Context(), "BEGIN")
		require.NoError(t, err)
		require.NoError(t, conn.QueryRowContext(t.Context(), "SELECT pg_backend_pid()").Scan(&pid))
		if delete(idle, pid); len(idle) == 0 {
			return
		}
	}
	t.Fatalf("%d server processes are not occupied", len(idle))
}
