package integration

import (
	"database/sql"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

// A restarted server or an administrator closes the connections of the pool. Each of them
// causes at most one call to fail, with an outage.
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
			untouched := u.state(t, direct)
			const connections = 4
			killAll(t, d, admin, db, connections)

			lost := 0
			retry := func(call func() error) {
				for err := call(); err != nil; err = call() {
					lost++
					requireOutage(t, err)
					require.LessOrEqual(t, lost, connections, m.name)
					require.Equal(t, untouched, u.state(t, direct), m.name)
				}
			}
			retry(func() error { return m.call(ctx, store, u) })
			untouched = u.state(t, direct)
			retry(func() error { return store.Create(ctx, record(auth.KindToken, u.userID), 100) })
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
