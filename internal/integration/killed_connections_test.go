package integration

import (
	"database/sql"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

// A restarted server or an administrator closes the idle connections of the pool, and a
// network cuts them. The drivers notice that when they use them. No call may fail: another
// connection works.
func TestSQLStore_killedConnections(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d database) {
		if d.isSQLite() {
			t.Skip("has no server")
		}
		source := d.make(t)
		admin := source.open(t)
		direct := d.over(t, admin)
		t.Run("killed", func(t *testing.T) {
			callAfter(t, direct, func() (*sql.DB, func()) {
				db := source.open(t)
				return db, func() { killAll(t, d, admin, db, idleConnections) }
			}, d)
		})
		t.Run("cut", func(t *testing.T) {
			callAfter(t, direct, func() (*sql.DB, func()) {
				db, proxy := source.openHanging(t)
				return db, func() {
					openAll(t, db, idleConnections)
					proxy.cut()
				}
			}, d)
		})
	})
}

const idleConnections = 4

// callAfter calls each method after the idle connections of a pool were closed.
func callAfter(t *testing.T, direct auth.Store, open func() (db *sql.DB, closeIdle func()), d database) {
	t.Helper()
	ctx := t.Context()
	for _, m := range methods {
		db, closeIdle := open()
		store := d.over(t, db)
		require.NoError(t, m.call(ctx, store, newUser(t, direct)), m.name) // statements are prepared from here on
		u := newUser(t, direct)
		closeIdle()
		require.NoError(t, m.call(ctx, store, u), m.name)
		db.Close() // closed connections may return an error
	}
}

// A connection that is cut while its server is asked, or while it answers, is no outage
// either, as long as nothing may have been changed: when a record is read, and when a
// transaction begins. Drivers do not know that, and return the error of the network.
func TestSQLStore_cutConnections(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d database) {
		if d.isSQLite() {
			t.Skip("has no server")
		}
		source := d.make(t)
		direct := d.over(t, source.open(t))
		db, proxy := source.openHanging(t)
		store := d.over(t, db)
		for _, m := range methods {
			for _, answers := range []bool{false, true} {
				for cuts := 1; cuts <= 2; cuts++ {
					require.NoError(t, m.call(t.Context(), store, newUser(t, direct)), m.name)
					openAll(t, db, idleConnections)
					u := newUser(t, direct)
					proxy.fail(0, cuts, answers)
					require.NoError(t, m.call(t.Context(), store, u), "%s, %d cuts, answers %t", m.name, cuts, answers)
					require.True(t, proxy.failed(), m.name)
				}
			}
		}
	})
}

// openAll makes n idle connections. It uses each of them twice: pgx pings one that was idle
// for a second, or was never used again, before it is.
func openAll(t *testing.T, db *sql.DB, n int) {
	t.Helper()
	db.SetMaxIdleConns(n)
	for range 2 {
		takeAll(t, db, n, func(*sql.Conn) {})
	}
}

// takeAll calls use with n connections of the pool, and puts them back.
func takeAll(t *testing.T, db *sql.DB, n int, use func(*sql.Conn)) {
	t.Helper()
	conns := make([]*sql.Conn, n)
	for i := range conns {
		var err error
		conns[i], err = db.Conn(t.Context())
		require.NoError(t, err)
	}
	for _, conn := range conns {
		use(conn)
		require.NoError(t, conn.Close())
	}
}

// killAll opens n connections of db and kills them.
func killAll(t *testing.T, d database, admin, db *sql.DB, n int) {
	t.Helper()
	own := "SELECT pg_backend_pid()"
	kill := "SELECT pg_terminate_backend(%d, 5000)" // and waits until it has ended
	if !d.isPostgres() {
		own, kill = "SELECT CONNECTION_ID()", "KILL %d"
	}
	openAll(t, db, n)
	var ids []int64
	takeAll(t, db, n, func(conn *sql.Conn) {
		var id int64
		require.NoError(t, conn.QueryRowContext(t.Context(), own).Scan(&id))
		ids = append(ids, id)
	})
	for _, id := range ids {
		run(t, admin, fmt.Sprintf(kill, id))
	}
}
