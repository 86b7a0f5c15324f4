package integration

import (
	"context"
	"database/sql"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/cachestore"
	"github.com/seed-31c5bcb2/auth/pgnotify"
	"github.com/seed-31c5bcb2/auth/sqlstore"
)

// A lost connection is reported and replaced, and whatever was revoked in the meantime
// counts as lost.
func TestSubscribe_reconnects(t *testing.T) {
	t.Parallel()
	store, db, source := openPostgres(t)
	s := listenTo(t, source.dsn)
	for range 3 {
		start := time.Now()
		killed, err := db.ExecContext(t.Context(), "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = '"+s.name+"'")
		require.NoError(t, err)
		n, err := killed.RowsAffected()
		require.NoError(t, err)
		require.EqualValues(t, 1, n)
		require.Equal(t, "lost", s.next(t), "disconnected")
		require.Error(t, s.nextError(t))
		require.Equal(t, "lost", s.next(t), "reconnected")
		require.Less(t, time.Since(start), 15*time.Second)
		u := newUser(t, store)
		require.Equal(t, "1 "+u.userID, s.next(t))
	}
}

// The network loses all packets without closing the connection. The heartbeat detects it.
func TestSubscribe_silentConnection(t *testing.T) {
	t.Parallel()
	inCI(t)
	store, _, source := openPostgres(t)
	p := source.behind(t)
	s := listenTo(t, source.through(t, p).dsn)
	first := newUser(t, store)
	require.Equal(t, "1 "+first.userID, s.next(t))
	p.hang(0, true)
	u := newUser(t, store) // not reported
	start := time.Now()
	require.ErrorIs(t, s.nextError(t), context.DeadlineExceeded)
	require.Equal(t, "lost", s.next(t))
	t.Logf("detected after %v", time.Since(start))
	p.resume()
	for call := s.next(t); call != "lost"; call = s.next(t) {
		require.Equal(t, "1 "+u.userID, call)
	}
	b := newUser(t, store)
	require.Equal(t, "1 "+b.userID, s.next(t))
}

// A connection without notifications stays open: each new connection clears the cache.
func TestSubscribe_quietConnectionStays(t *testing.T) {
	t.Parallel()
	inCI(t)
	store, db, source := openPostgres(t)
	s := listenTo(t, source.dsn)
	since := func() (at time.Time) {
		row := db.QueryRowContext(t.Context(), "SELECT backend_start FROM pg_stat_activity WHERE application_name = $1", s.name)
		require.NoError(t, row.Scan(&at))
		return at
	}
	began := since()
	select {
	case call := <-s.calls:
		t.Fatal("unexpected call: " + call)
	case err := <-s.errs:
		t.Fatal(err)
	case <-time.After(12 * time.Second): // more than a heartbeat
	}
	require.Equal(t, began, since())
	u := newUser(t, store)
	require.Equal(t, "1 "+u.userID, s.next(t))
	require.Equal(t, began, since())
}

func TestSubscribe_closesItsConnection(t *testing.T) {
	t.Parallel()
	_, db, source := openPostgres(t)
	var name string
	t.Run("subscribed", func(t *testing.T) {
		name = listenTo(t, source.dsn).name
		require.Equal(t, 1, connections(t, db, name))
	})
	require.Eventually(t, func() bool { return connections(t, db, name) == 0 }, 15*time.Second, 10*time.Millisecond)
}

func connections(t *testing.T, db *sql.DB, name string) (n int) {
	t.Helper()
	row := db.QueryRowContext(context.Background(), "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1", name)
	require.NoError(t, row.Scan(&n))
	return n
}

// A database without the triggers is reported, because revocations would otherwise take
// effect late without anyone noticing. Migrate adds the triggers.
func TestSubscribe_withoutTriggers(t *testing.T) {
	t.Parallel()
	source := postgresDatabase(t)
	db := source.open(t)
	first, err := sqlstore.Migrations.ReadFile("migrations/postgres/0001_credentials.sql")
	require.NoError(t, err)
	for statement := range strings.SplitSeq(string(first), "\n--;\n") {
		run(t, db, statement)
	}
	run(t, db, "CREATE TABLE auth_migrations (version INTEGER NOT NULL PRIMARY KEY)")
	run(t, db, "INSERT INTO auth_migrations VALUES (1)")
	store, err := sqlstore.New(db, sqlstore.PostgreSQL, sqlstore.Config{})
	require.NoError(t, err)
	defer store.Close()
	u := newUser(t, store)

	s := listenTo(t, source.dsn)
	require.ErrorContains(t, s.nextError(t), "migrations")
	require.NoError(t, store.Migrate(t.Context()))
	require.NoError(t, store.Revoke(t.Context(), u.other.Ref()))
	require.Equal(t, "1 "+u.userID, s.next(t))
}

// Bulk loads often disable triggers.
func TestSubscribe_disabledTriggers(t *testing.T) {
	t.Parallel()
	store, db, source := openPostgres(t)
	run(t, db, "ALTER TABLE auth_credentials DISABLE TRIGGER USER")
	require.ErrorContains(t, listenTo(t, source.dsn).nextError(t), "disabled")
	run(t, db, "ALTER TABLE auth_credentials ENABLE TRIGGER USER")
	s := listenTo(t, source.dsn)
	u := newUser(t, store)
	require.Equal(t, "1 "+u.userID, s.next(t), "the triggers have been checked")
	require.Empty(t, s.errs)
}

// newListeningCache returns a cache of store that listens already. As soon as it listens, it
// forgets what it has, one part after the other: a test that began earlier could take that
// for a notification.
func newListeningCache(t *testing.T, store auth.Store, source source, maxStale time.Duration) (cached *cachestore.Store, name string) {
	t.Helper()
	name = unique()
	revocations, err := pgnotify.New(source.with(t, "application_name", name), pgnotify.Config{})
	require.NoError(t, err)
	listening := &listening{Invalidations: revocations, yes: make(chan struct{})}
	cached, err = cachestore.New(store, cachestore.Config{Invalidations: listening, MaxStale: maxStale})
	require.NoError(t, err)
	t.Cleanup(func() { cached.Close() })
	select {
	case <-listening.yes:
	case <-time.After(15 * time.Second):
		t.Fatal("not listening after 15 s")
	}
	return cached, name
}

// listening closes yes when its first connection listens.
type listening struct {
	cachestore.Invalidations
	first sync.Once
	yes   chan struct{}
}

func (l *listening) Subscribe(ctx context.Context, invalidate func(kind auth.Kind, userID string), lost func()) error {
	return l.Invalidations.Subscribe(ctx, invalidate, func() {
		lost()
		l.first.Do(func() { close(l.yes) })
	})
}

// revokedElsewhere revokes a credential here, and returns how long it is served there.
func revokedElsewhere(t *testing.T, here, there auth.Store) time.Duration {
	t.Helper()
	c := record(auth.KindToken, unique())
	require.NoError(t, here.Create(t.Context(), c, 0))
	_, err := there.Lookup(t.Context(), c.Kind, c.Digest)
	require.NoError(t, err)
	require.NoError(t, here.Revoke(t.Context(), c.Ref()))
	return rejectedAfter(t, there, c)
}

// A credential that one process revokes is rejected by another long before MaxStale.
func TestSubscribe_revocationReachesOtherCaches(t *testing.T) {
	t.Parallel()
	store, db, source := openPostgres(t)
	here, _ := newListeningCache(t, store, source, 0)
	there, name := newListeningCache(t, store, source, 0)
	var delays []time.Duration
	for range 500 {
		delays = append(delays, revokedElsewhere(t, here, there))
	}
	slices.Sort(delays)
	t.Logf("rejected after: median %v, 99th percentile %v, maximum %v", delays[len(delays)/2], delays[len(delays)*99/100], delays[len(delays)-1])
	run(t, db, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = '"+name+"'")
	revokedElsewhere(t, here, there) // not reported
}

// Until a silent connection is detected, MaxStale applies.
func TestSubscribe_lostNotificationIsWithinMaxStale(t *testing.T) {
	t.Parallel()
	store, _, source := openPostgres(t)
	p := source.behind(t)
	const maxStale = 3 * time.Second
	there, _ := newListeningCache(t, store, source.through(t, p), maxStale)
	require.Less(t, revokedElsewhere(t, store, there), maxStale/2, "reported")
	p.hang(0, true)
	start := time.Now() // before the lookup, from which MaxStale counts
	after := revokedElsewhere(t, store, there)
	require.Greater(t, time.Since(start), maxStale/2, "not reported")
	require.Less(t, after, 2*maxStale)
}
