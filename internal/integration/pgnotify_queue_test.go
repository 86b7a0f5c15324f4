package integration

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Any role that can log in to any database of a server can fill its queue of
// notifications. Then COMMIT fails in every transaction that notifies. Revocations
// succeed nevertheless: other processes learn of them within their MaxStale.
func TestSubscribe_fullQueue(t *testing.T) {
	t.Parallel()
	longSeries(t)
	server := startPostgres(t)
	store, db := server.store(t)
	const maxStale = 3 * time.Second
	there, _ := newListeningCache(t, store, server.source, maxStale)
	s := listenTo(t, server.dsn)
	require.Less(t, revokedElsewhere(t, store, there), maxStale/2, "reported")
	for call := s.next(t); call == "lost"; call = s.next(t) { // until the revocation
	}

	empty := server.fillQueue(t, db)
	require.ErrorContains(t, s.nextError(t), "% full")
	require.Equal(t, "lost", s.next(t))
	_, err := db.ExecContext(t.Context(), "NOTIFY app")
	require.ErrorContains(t, err, "too many notifications")
	require.Less(t, revokedElsewhere(t, store, there), 2*maxStale, "not reported")
	u := newUser(t, store)
	for _, m := range methods {
		require.NoError(t, m.call(t.Context(), store, u), m.name)
		u = newUser(t, store)
	}
	late := listenTo(t, server.dsn)
	require.ErrorContains(t, late.nextError(t), "% full")

	empty()
	require.Equal(t, "1 "+newUser(t, store).userID, late.nextUser(t))
	require.Less(t, revokedElsewhere(t, store, there), maxStale/2, "reported")
}

// nextUser skips calls of lost.
func (s *subscription) nextUser(t *testing.T) string {
	t.Helper()
	for {
		if call := s.next(t); call != "lost" {
			return call
		}
	}
}

// fillQueue fills the queue of notifications as a role without privileges, over another
// database. The queue is nearly empty again when empty has returned.
func (s *ownServer) fillQueue(t *testing.T, admin *sql.DB) (empty func()) {
	t.Helper()
	s.shareSegments(t)
	run(t, admin, "CREATE ROLE anyone LOGIN")
	run(t, admin, "CREATE DATABASE anyones")
	u, err := url.Parse(s.dsn)
	require.NoError(t, err)
	u.User, u.Path = url.User("anyone"), "/anyones"
	anyone := source{s.driver, u.String()}.open(t)
	listener, err := anyone.Conn(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { listener.Close() })
	exec := func(c interface {
		ExecContext(context.Context, string, ...any) (sql.Result, error)
	}, query string) error {
		_, err := c.ExecContext(t.Context(), query)
		return err
	}
	require.NoError(t, exec(listener, "LISTEN anything"))
	require.NoError(t, exec(listener, "BEGIN"))
	require.NoError(t, exec(listener, "SELECT 1"))
	// Two of these do not fit on a page. A transaction sends equal ones once.
	const notify = `DO $$ BEGIN LOOP
		PERFORM pg_notify('anything', n || repeat('x', 4096)) FROM generate_series(1, 20000) n;
		COMMIT;
	END LOOP; END $$`
	require.ErrorContains(t, exec(anyone, notify), "too many notifications")
	var usage float64
	require.NoError(t, admin.QueryRowContext(t.Context(), "SELECT pg_notification_queue_usage()").Scan(&usage))
	require.Greater(t, usage, 0.95)
	return func() {
		require.NoError(t, exec(listener, "ROLLBACK"))
		require.NoError(t, exec(listener, "UNLISTEN *"))
		require.Eventually(t, func() bool {
			return admin.QueryRowContext(t.Context(), "SELECT pg_notification_queue_usage()").Scan(&usage) == nil && usage < 0.1
		}, 30*time.Second, 50*time.Millisecond)
	}
}

// shareSegments makes all segments of the queue one file, because a full queue has 8 GB.
// The server counts pages, and the tests read no notification that another overwrites.
// From PostgreSQL 17 on, the size of the queue can be set.
func (s *ownServer) shareSegments(t *testing.T) {
	t.Helper()
	folder := filepath.Join(s.dir, "data", "pg_notify")
	for n := range 1 << 15 {
		err := os.Symlink("shared", filepath.Join(folder, fmt.Sprintf("%04X", n)))
		if !errors.Is(err, fs.ErrExist) { // such as the first, which may be in use
			require.NoError(t, err)
		}
	}
}
