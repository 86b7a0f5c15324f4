package integration

import (
	"database/sql"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

// A network or an administrator closes the connections of the pool. No call fails: what only
// reads is asked again on another connection, and a transaction that could not begin begins there.
func TestSQLStore_killedConnections(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d database) {
		if d.isSQLite() {
			t.Skip("has no server")
		}
		ctx := t.Context()
		source := d.make(t)
		admin := source.open(t)
		direct := d.over(t, admin)
		for _, m := range methods {
			db := source.open(t)
			store := d.over(t, db)
			require.NoError(t, m.call(ctx, store, newUser(t, direct))) // statements are prepared from here on
			u := newUser(t, direct)
			killAll(t, d, admin, db, 4)
			require.NoError(t, m.call(ctx, store, u), m.name)
			require.NoError(t, store.Create(ctx, record(auth.KindToken, u.userID), 100), m.name)
			db.Close() // killed connections may return an error
		}
	})
}

// killAll opens n connections of db and kills them.
func killAll(t *testing.T, d database, admin, db *sql.DB, n int) {
	t.Helper()
	ctx := t.Context()
	db.SetMaxIdleConns(n)
	own := "SELECT pg_backend_pid()"
	kill := "SELECT pg_terminate_backend(%d, 5000)" // and waits until it has ended
	if !d.isPostgres() {
		own, kill = "SELECT CONNECTION_ID()", "KILL %d"
	}
	conns := make([]*sql.Conn, n)
	for i := range conns {
		var err error
		conns[i], err = db.Conn(ctx)
		require.NoError(t, err)
	}
	for _, conn := range conns {
		var id int64
		require.NoError(t, conn.QueryRowContext(ctx, own).Scan(&id))
		require.NoError(t, conn.Close()) // back into the pool
		run(t, admin, fmt.Sprintf(kill, id))
	}
}

// A connection that is cut while its server is asked, or while it answers, is not an outage
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
		db, p := source.openHanging(t)
		store := d.overWithin(t, db, patience)
		for _, m := range methods {
			require.NoError(t, m.call(t.Context(), store, newUser(t, direct)))
			for _, answers := range []bool{false, true} {
				u := newUser(t, direct)
				p.fail(0, 1, answers)
				require.NoError(t, m.call(t.Context(), store, u), "%s, answers are cut: %t", m.name, answers)
				require.True(t, p.failed(), m.name)
				p.resume()
			}
		}
	})
}
