package integration

import (
	"context"
	"database/sql"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/cachestore"
	"github.com/seed-31c5bcb2/auth/pgnotify"
	"github.com/seed-31c5bcb2/auth/sqlstore"
)

// A connection that breaks is told of and made again, and what was revoked
// meanwhile counts as lost.
func TestPostgresListenerComesBack(t *testing.T) {
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
		require.Equal(t, "lost", s.next(t), "it broke")
		require.Error(t, s.nextError(t))
		require.Equal(t, "lost", s.next(t), "it stands")
		require.Less(t, time.Since(start), 15*time.Second)
		a := newAccount(t, store)
		require.Equal(t, "1 "+a.userID, s.next(t))
	}
}

// A network that loses packets tells nobody. The listener looks for itself.
func TestPostgresListenerNoticesSilence(t *testing.T) {
	t.Parallel()
	store, _, source := openPostgres(t)
	p := source.behind(t)
	s := listenTo(t, source.through(t, p).dsn)
	heard := newAccount(t, store)
	require.Equal(t, "1 "+heard.userID, s.next(t))
	p.hang(0, true)
	a := newAccount(t, store) // which nobody hears of
	start := time.Now()
	require.ErrorIs(t, s.nextError(t), context.DeadlineExceeded)
	require.Equal(t, "lost", s.next(t))
	t.Logf("noticed after %v", time.Since(start))
	p.resume()
	for said := s.next(t); said != "lost"; said = s.next(t) {
		require.Equal(t, "1 "+a.userID, said)
	}
	b := newAccount(t, store)
	require.Equal(t, "1 "+b.userID, s.next(t))
}

// One that has nothing to hear stays as it is: each new connection would cost the
// cache all that it has.
func TestPostgresListenerIsPatient(t *testing.T) {
	t.Parallel()
	store, db, source := openPostgres(t)
	s := listenTo(t, source.dsn)
	since := func() (at time.Time) {
		row := db.QueryRowContext(t.Context(), "SELECT backend_start FROM pg_stat_activity WHERE application_name = $1", s.name)
		require.NoError(t, row.Scan(&at))
		return at
	}
	began := since()
	select {
	case said := <-s.said:
		t.Fatal("it was told: " + said)
	case err := <-s.errs:
		t.Fatal(err)
	case <-time.After(12 * time.Second): // more than a heartbeat
	}
	require.Equal(t, began, since())
	a := newAccount(t, store)
	require.Equal(t, "1 "+a.userID, s.next(t))
	require.Equal(t, began, since())
}

// Nothing is left of a subscription that has ended.
func TestPostgresListenerLeavesNoConnection(t *testing.T) {
	t.Parallel()
	_, db, source := openPostgres(t)
	var name string
	t.Run("while it listens", func(t *testing.T) {
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

// A database of an earlier release gets its triggers by Migrate. One without them
// is reported: revocations would otherwise only come late, and nobody would know.
func TestPostgresWithoutTriggers(t *testing.T) {
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
	a := newAccount(t, store)

	s := listenTo(t, source.dsn)
	require.ErrorContains(t, s.nextError(t), "migrations")
	require.NoError(t, store.Migrate(t.Context()))
	require.NoError(t, store.Revoke(t.Context(), a.other.Ref()))
	require.Equal(t, "1 "+a.userID, s.next(t))
}

// Whoever loads rows in bulk may forget to enable them again.
func TestPostgresWithTriggersDisabled(t *testing.T) {
	t.Parallel()
	store, db, source := openPostgres(t)
	run(t, db, "ALTER TABLE auth_credentials DISABLE TRIGGER USER")
	require.ErrorContains(t, listenTo(t, source.dsn).nextError(t), "disabled")
	run(t, db, "ALTER TABLE auth_credentials ENABLE TRIGGER USER")
	s := listenTo(t, source.dsn)
	a := newAccount(t, store)
	require.Equal(t, "1 "+a.userID, s.next(t), "it has looked before it heard")
	require.Empty(t, s.errs)
}

// listening returns a cache in front of store that has been told that it listens.
func listening(t *testing.T, store auth.Store, db *sql.DB, source source, maxStale time.Duration) (cached *cachestore.Store, name string) {
	t.Helper()
	name = unique()
	revocations, err := pgnotify.New(source.with(t, "application_name", name), pgnotify.Config{})
	require.NoError(t, err)
	cached, err = cachestore.New(store, cachestore.Config{Invalidations: revocations, MaxStale: maxStale})
	require.NoError(t, err)
	t.Cleanup(func() { cached.Close() })
	require.Eventually(t, func() bool { return connections(t, db, name) == 1 }, 15*time.Second, 10*time.Millisecond)
	return cached, name
}

// revokedElsewhere returns how long a credential is served there that was revoked
// here.
func revokedElsewhere(t *testing.T, here, there auth.Store) time.Duration {
	t.Helper()
	c := record(auth.KindToken, unique())
	require.NoError(t, here.Create(t.Context(), c, 0))
	_, err := there.Lookup(t.Context(), c.Kind, c.Digest)
	require.NoError(t, err)
	require.NoError(t, here.Revoke(t.Context(), c.Ref()))
	return refusedAfter(t, there, c)
}

// A revocation in one process is refused in another long before the cache's bound.
func TestPostgresRevocationReachesOtherCaches(t *testing.T) {
	t.Parallel()
	store, db, source := openPostgres(t)
	here, _ := listening(t, store, db, source, 0)
	there, name := listening(t, store, db, source, 0)
	var delays []time.Duration
	for range 500 {
		delays = append(delays, revokedElsewhere(t, here, there))
	}
	slices.Sort(delays)
	t.Logf("refused after %v in the middle, 99 of 100 within %v, %v at the most", delays[len(delays)/2], delays[len(delays)*99/100], delays[len(delays)-1])
	run(t, db, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = '"+name+"'")
	revokedElsewhere(t, here, there) // of which nobody tells it
}

// Until a silent connection is noticed, the cache's bound holds.
func TestPostgresRevocationThatIsNotTold(t *testing.T) {
	t.Parallel()
	store, db, source := openPostgres(t)
	p := source.behind(t)
	const maxStale = 3 * time.Second
	there, _ := listening(t, store, db, source.through(t, p), maxStale)
	require.Less(t, revokedElsewhere(t, store, there), maxStale/2, "it is told")
	p.hang(0, true)
	start := time.Now() // and not the revocation: the bound counts from when it was looked up
	after := revokedElsewhere(t, store, there)
	require.Greater(t, time.Since(start), maxStale/2, "it is not told")
	require.Less(t, after, 2*maxStale)
}
