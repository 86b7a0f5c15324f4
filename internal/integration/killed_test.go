package integration

import (
	"database/sql"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

// A server that restarts, or an administrator, ends the connections of the pool.
// Each can cost one call at the most, which is told as an outage.
func TestKilledConnectionsAreReplaced(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d database) {
		if d.isSQLite() {
			t.Skip("there is no server")
		}
		ctx := t.Context()
		source := d.make(t)
		admin := source.open(t)
		direct := d.over(t, admin)
		for _, m := range methods {
			db := source.open(t)
			store := d.over(t, db)
			require.NoError(t, m.call(ctx, store, newAccount(t, direct))) // it has prepared what it prepares
			a := newAccount(t, direct)
			untouched := a.state(t, direct)
			const connections = 4
			killAll(t, d, admin, db, connections)

			lost := 0
			until := func(call func() error) {
				for err := call(); err != nil; err = call() {
					lost++
					outage(t, err)
					require.LessOrEqual(t, lost, connections, m.name)
					require.Equal(t, untouched, a.state(t, direct), m.name)
				}
			}
			until(func() error { return m.call(ctx, store, a) })
			untouched = a.state(t, direct)
			until(func() error { return store.Create(ctx, record(auth.KindToken, a.userID), 100) })
			db.Close() // what is left of the killed connections may complain
		}
	})
}

// killAll opens so many connections of db at once, and ends those.
func killAll(t *testing.T, d database, admin, db *sql.DB, n int) {
	t.Helper()
	ctx := t.Context()
	db.SetMaxIdleConns(n)
	own := "SELECT pg_backend_pid()"
	end := "SELECT pg_terminate_backend(%d, 5000)" // and waits until it is gone
	if !d.isPostgres() {
		own, end = "SELECT CONNECTION_ID()", "KILL %d"
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
		run(t, admin, fmt.Sprintf(end, id))
	}
}
