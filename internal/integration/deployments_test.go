package integration

import (
	"crypto/rand"
	"database/sql"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/sqlstore"
	"github.com/seed-31c5bcb2/auth/storetest"
)

// only returns the database with that property.
func only(t testing.TB, is func(database) bool) database {
	t.Helper()
	for _, d := range databases {
		if is(d) {
			return d
		}
	}
	t.Fatal("no such database")
	return database{}
}

func (d database) isMySQL() bool { return d.dialect == sqlstore.MySQL }

// withAll returns a source with further parameters, of the URL or the DSN.
func (s source) withAll(t testing.TB, params map[string]string) source {
	t.Helper()
	if s.driver == "pgx" {
		u, err := url.Parse(s.dsn)
		require.NoError(t, err)
		query := u.Query()
		for k, v := range params {
			query.Set(k, v)
		}
		u.RawQuery = query.Encode()
		return source{s.driver, u.String()}
	}
	cfg, err := mysql.ParseDSN(s.dsn)
	require.NoError(t, err)
	cfg.Params = params
	return source{s.driver, cfg.FormatDSN()}
}

// A connection with autocommit off reads what was there when it was first used, until someone
// ends its transaction. The driver, the server and an administrator can each turn it off.
func TestSQLStore_autocommitOff(t *testing.T) {
	t.Parallel()
	d := only(t, database.isMySQL)
	t.Run("DSN", func(t *testing.T) {
		t.Parallel()
		source := d.make(t)
		revokeWithoutAutocommit(t, d, source.withAll(t, map[string]string{"autocommit": "0"}), source)
	})
	for name, setting := range map[string]string{"init_connect": "init_connect = 'SET autocommit = 0'", "server": "autocommit = 0"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newOwnServer(t, d)
			s.makeMariaDB(t)
			s.start(t)
			db := s.open(t)
			s.over(t, db)                                     // the tables
			run(t, db, "CREATE USER app IDENTIFIED BY 'app'") // init_connect does not apply to root
			run(t, db, "GRANT SELECT, INSERT, UPDATE, DELETE ON test.* TO app")
			run(t, db, "SET GLOBAL "+setting)
			app := source{s.driver, strings.Replace(s.dsn, "root@", "app:app@", 1)}
			revokeWithoutAutocommit(t, d, app, s.source)
		})
	}
	t.Run("contract", func(t *testing.T) {
		t.Parallel()
		storetest.RunShared(t, func(t *testing.T) (a, b auth.Store) {
			source := d.make(t).withAll(t, map[string]string{"autocommit": "0"})
			return d.over(t, source.open(t)), d.over(t, source.open(t))
		})
	})
}

// revokeWithoutAutocommit reads with every connection of a pool, revokes in another process,
// and reads again.
func revokeWithoutAutocommit(t *testing.T, d database, off, on source) {
	t.Helper()
	ctx := t.Context()
	other := d.over(t, on.open(t))
	const connections = 4
	db := off.open(t)
	db.SetMaxIdleConns(connections)
	store := d.over(t, db)
	first := record(auth.KindToken, "alice")
	require.NoError(t, other.Create(ctx, first, 0))
	conns := make([]*sql.Conn, connections)
	for i := range conns { // each takes its snapshot
		var err error
		conns[i], err = db.Conn(ctx)
		require.NoError(t, err)
		if i > 0 { // Migrate has turned autocommit on for one
			var autocommit bool
			require.NoError(t, conns[i].QueryRowContext(ctx, "SELECT @@autocommit").Scan(&autocommit))
			require.False(t, autocommit)
		}
		var n int
		require.NoError(t, conns[i].QueryRowContext(ctx, "SELECT COUNT(*) FROM auth_credentials").Scan(&n))
		require.Equal(t, 1, n)
	}
	for _, conn := range conns {
		require.NoError(t, conn.Close()) // back into the pool
	}
	second := record(auth.KindToken, "alice")
	require.NoError(t, other.Create(ctx, second, 0))
	require.NoError(t, other.Revoke(ctx, first.Ref()))
	onEachInTurn(t, db, connections, func() {
		require.ErrorIs(t, lookup(t, store, first), auth.ErrRevoked)
		require.NoError(t, lookup(t, store, second))
		_, err := store.Get(ctx, first.Ref())
		require.ErrorIs(t, err, auth.ErrNotFound)
		require.Len(t, ids(t, store, "alice"), 1)
	})
	require.NoError(t, store.Revoke(ctx, second.Ref()))
	require.ErrorIs(t, lookup(t, other, second), auth.ErrRevoked)
}

// onEachInTurn calls f with n connections of a pool in turn, while those before are in use.
func onEachInTurn(t *testing.T, db *sql.DB, n int, f func()) {
	t.Helper()
	for range n {
		f()
		conn, err := db.Conn(t.Context())
		require.NoError(t, err)
		defer conn.Close()
	}
}

// An administrator, a pooler or a migration can make the statements useless that a
// connection has prepared. No call fails.
func TestSQLStore_droppedStatements(t *testing.T) {
	t.Parallel()
	d := only(t, database.isPostgres)
	for name, query := range map[string]string{
		"DEALLOCATE ALL": "DEALLOCATE ALL", "DISCARD ALL": "DISCARD ALL",
		"another type": "ALTER TABLE auth_credentials ALTER COLUMN last_used_from TYPE VARCHAR(%d)",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			source := d.make(t)
			db := source.open(t)
			db.SetMaxIdleConns(3)
			store, direct := d.over(t, db), d.over(t, source.open(t))
			for i, m := range methods {
				u := newUser(t, direct)
				warm := newUser(t, direct)
				onEach(t, db, 3, func(conn *sql.Conn) { // the pool has used all of its connections
					require.NoError(t, conn.PingContext(t.Context()))
				})
				for range 3 {
					_ = m.call(t.Context(), store, warm)
				}
				if strings.HasPrefix(query, "ALTER") {
					run(t, db, fmt.Sprintf(query, 300+i))
				} else {
					onEach(t, db, 3, func(conn *sql.Conn) {
						_, err := conn.ExecContext(t.Context(), query)
						require.NoError(t, err)
					})
					run(t, db, "SELECT 1")
				}
				for range 4 {
					require.NoError(t, lookup(t, store, u.token), m.name)
				}
				require.NoError(t, m.call(t.Context(), store, u), m.name)
			}
		})
	}
}

// onEach calls f with n connections of a pool.
func onEach(t *testing.T, db *sql.DB, n int, f func(conn *sql.Conn)) {
	t.Helper()
	var conns []*sql.Conn
	for range n {
		conn, err := db.Conn(t.Context())
		require.NoError(t, err)
		conns = append(conns, conn)
	}
	for _, conn := range conns {
		f(conn)
		require.NoError(t, conn.Close())
	}
}

// pgx has modes for poolers, in which the server keeps no statement, and one that only
// exchanges text.
func TestSQLStore_execModes(t *testing.T) {
	t.Parallel()
	longSeries(t)
	d := only(t, database.isPostgres)
	for _, mode := range []string{"cache_describe", "describe_exec", "exec", "simple_protocol"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			storetest.Run(t, func(t *testing.T) auth.Store {
				source := d.make(t).withAll(t, map[string]string{"default_query_exec_mode": mode, "bytea_output": "escape"})
				return d.over(t, source.open(t))
			})
		})
	}
}

// The rights that the package documentation names are enough, and Migrate needs no others
// when there is nothing to do.
func TestSQLStore_leastPrivileges(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d database) {
		if d.isSQLite() {
			t.Skip("has no users")
		}
		owner, admin := d.make(t), (*sql.DB)(nil)
		admin = owner.open(t)
		d.over(t, admin)
		user := "u" + strings.ToLower(rand.Text()[:12])
		limited := source{owner.driver, strings.Replace(owner.dsn, "root@", user+":pass@", 1)}
		if d.isPostgres() {
			run(t, admin, "CREATE ROLE "+user+" LOGIN PASSWORD 'pass'")
			t.Cleanup(func() {
				run(t, admin, "DROP OWNED BY "+user)
				run(t, admin, "DROP ROLE "+user)
			})
			run(t, admin, "REVOKE CREATE ON SCHEMA public FROM "+user)
			var schema string
			require.NoError(t, admin.QueryRowContext(t.Context(), "SELECT current_schema()").Scan(&schema))
			run(t, admin, "GRANT USAGE ON SCHEMA "+schema+" TO "+user)
		} else {
			run(t, admin, "CREATE USER "+user+" IDENTIFIED BY 'pass'")
			t.Cleanup(func() { run(t, admin, "DROP USER "+user) })
		}
		run(t, admin, "GRANT SELECT, INSERT, UPDATE, DELETE ON auth_credentials TO "+user)
		run(t, admin, "GRANT SELECT, INSERT, UPDATE ON auth_user_locks TO "+user)
		run(t, admin, "GRANT SELECT ON auth_migrations TO "+user)
		requireWritable(t, d.over(t, limited.open(t)))
	})
}

// A service whose file is read-only can still call Migrate at its start.
func TestMigrate_readOnly(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d database) {
		source := d.make(t)
		d.over(t, source.open(t))
		switch {
		case d.isSQLite():
			source.dsn += "&mode=ro"
		case d.isPostgres():
			source = source.withAll(t, map[string]string{"default_transaction_read_only": "on"})
		default:
			source = source.withAll(t, map[string]string{"tx_read_only": "1"})
		}
		d.over(t, source.open(t))
	})
}

// Revoking a session deletes it, and with it the digest and the ID. Its successor cannot have
// either: the caller made a mistake.
func TestSQLStore_rotateSessionToItself(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d database) {
		ctx := t.Context()
		store, _ := d.store(t)
		previous, old := record(auth.KindSession, "alice"), record(auth.KindSession, "alice")
		old.Previous = previous.ID
		require.NoError(t, store.Create(ctx, previous, 0))
		require.NoError(t, store.Rotate(ctx, previous, old, old.CreatedAt.Add(time.Minute)))
		for name, change := range map[string]func(next *auth.Credential){
			"digest":              func(next *auth.Credential) { next.Digest = old.Digest },
			"ID":                  func(next *auth.Credential) { next.ID = old.ID },
			"digest of the first": func(next *auth.Credential) { next.Digest = previous.Digest },
			"ID of the first":     func(next *auth.Credential) { next.ID = previous.ID },
		} {
			for _, until := range []time.Time{{}, old.CreatedAt.Add(time.Minute)} {
				next := record(auth.KindSession, "alice")
				change(&next)
				require.ErrorIs(t, store.Rotate(ctx, old, next, until), auth.ErrConflict, name)
				require.NoError(t, lookup(t, store, old), name)
				require.NoError(t, lookup(t, store, previous), name)
			}
		}
		require.NoError(t, store.Rotate(ctx, old, record(auth.KindSession, "alice"), time.Time{}))
	})
}

// The record in the way of a new one is purged after the database has rejected the new one,
// and before the store looks for what is in the way.
func TestCreate_purgedConflict(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d database) {
		ctx, f, source := t.Context(), new(faults), d.make(t)
		direct, store := d.over(t, source.open(t)), d.over(t, source.openFaulty(t, f))
		u := newUser(t, direct)
		for name, create := range map[string]func(c auth.Credential) error{
			"Create without a limit": func(c auth.Credential) error { return store.Create(ctx, c, 0) },
			"Create with a limit":    func(c auth.Credential) error { return store.Create(ctx, c, 100) },
			"Rotate":                 func(c auth.Credential) error { return store.Rotate(ctx, u.token, c, c.CreatedAt.Add(time.Minute)) },
		} {
			expired := record(auth.KindToken, "bob")
			expired.ExpiresAt = expired.CreatedAt.Add(-time.Hour)
			require.NoError(t, direct.Create(ctx, expired, 0))
			c := record(auth.KindToken, u.userID)
			c.Digest = expired.Digest
			require.ErrorIs(t, create(c), auth.ErrConflict, name)
			purged := make(chan error, 1)
			f.rolledBack = func() {
				_, err := direct.Purge(ctx, time.Now().Add(-45*time.Minute))
				purged <- err
			}
			require.NoError(t, create(c), name)
			require.NoError(t, <-purged)
			require.NoError(t, lookup(t, direct, c), name)
		}
	})
}
