package integration

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/sqlstore"
)

// A replicated is a primary with a streaming standby.
type replicated struct {
	primary, standby *ownServer
	source                  // both, of which a connection needs the primary
	changes          *proxy // between the two
}

// startReplicated starts a primary with further options, and a standby. The standby does not
// have them: after its promotion it must not wait for a standby of its own.
func startReplicated(t *testing.T, options ...string) *replicated {
	t.Helper()
	r := &replicated{primary: startPostgres(t, options...)}
	basebackup := program(t, "pg_basebackup", "postgresql", postgresPrograms)
	r.standby = newOwnServer(t, r.primary.database)
	attributes := unprivileged(t, "postgres", r.standby.dir)
	r.changes = r.primary.behind(t)
	from := source{dsn: r.primary.with(t, "application_name", "standby")}.through(t, r.changes)
	r.standby.run(t, attributes, basebackup, "-d", from.dsn, "-D", filepath.Join(r.standby.dir, "data"), "-R", "--checkpoint=fast", "--no-sync")
	r.standby.servePostgres(t, attributes)
	r.standby.start(t)
	r.source = source{"pgx", fmt.Sprintf("postgres://root@%s,%s/postgres?sslmode=disable&connect_timeout=2&target_session_attrs=read-write",
		r.primary.host(t), r.standby.host(t))}
	db := r.primary.open(t)
	require.Eventually(t, func() bool {
		return count(t, db, "SELECT count(*) FROM pg_stat_replication WHERE application_name = 'standby' AND state = 'streaming'") == 1
	}, time.Minute, 20*time.Millisecond, "the standby does not follow")
	return r
}

func (s source) host(t testing.TB) string {
	t.Helper()
	u, err := url.Parse(s.dsn)
	require.NoError(t, err)
	return u.Host
}

func count(t testing.TB, db *sql.DB, query string) (n int) {
	t.Helper()
	require.NoError(t, db.QueryRowContext(t.Context(), query).Scan(&n))
	return n
}

// failOver kills the primary and promotes the standby.
func (r *replicated) failOver(t *testing.T) {
	t.Helper()
	r.primary.kill()
	run(t, r.standby.open(t), "SELECT pg_promote()")
}

// synchronous makes commits wait until the standby shows them.
var synchronous = []string{"synchronous_standby_names=standby", "synchronous_commit=remote_apply"}

// store returns a store with the configuration of services.
func (r *replicated) store(t *testing.T) (*sqlstore.Store, *sql.DB) {
	t.Helper()
	db := r.open(t)
	return r.primary.overWithin(t, db, 5*time.Second), db
}

// A revoker creates and revokes tokens of one user, and again after errors.
type revoker struct {
	userID  string
	revoked []auth.Credential // whose revocation has returned
	last    atomic.Int64      // when one returned, in nanoseconds since the start
}

func (r *revoker) run(ctx context.Context, store auth.Store, start time.Time) {
	for ctx.Err() == nil {
		c := record(auth.KindToken, r.userID)
		if store.Create(ctx, c, 0) == nil && store.Revoke(ctx, c.Ref()) == nil {
			r.revoked = append(r.revoked, c)
			r.last.Store(int64(time.Since(start)))
		}
	}
}

// A standby that has been promoted serves lookups and changes, to the same pool of
// connections. With remote_apply it has every revocation that has returned.
func TestStandby_promotedUnderLoad(t *testing.T) {
	t.Parallel()
	r := startReplicated(t, synchronous...)
	store, _ := r.store(t)
	u := newUser(t, store)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	start := time.Now()
	var looked atomic.Int64 // when a lookup returned
	revokers := make([]revoker, 3)
	var wg sync.WaitGroup
	for i := range revokers {
		revokers[i].userID = fmt.Sprint("user-", i)
		wg.Go(func() { revokers[i].run(ctx, store, start) })
	}
	wg.Go(func() {
		for ctx.Err() == nil {
			if _, err := store.Lookup(ctx, auth.KindToken, u.token.Digest); err == nil {
				looked.Store(int64(time.Since(start)))
			} else if errors.Is(err, auth.ErrNotFound) {
				t.Errorf("an outage must not be %v", err)
			}
		}
	})
	require.Eventually(t, func() bool { return revokers[0].last.Load() > 0 && looked.Load() > 0 }, time.Minute, time.Millisecond)

	killed := time.Now()
	r.failOver(t)
	promoted := time.Now()
	resumed := func(last *atomic.Int64) time.Duration {
		since := time.Since(start) // a call that returned before may have begun on the old primary
		require.Eventually(t, func() bool { return last.Load() > int64(since) }, 30*time.Second, time.Millisecond)
		return start.Add(time.Duration(last.Load())).Sub(killed)
	}
	t.Logf("after the primary was killed: promoted after %v, lookups after %v, changes after %v",
		promoted.Sub(killed), resumed(&looked), resumed(&revokers[0].last))
	require.Less(t, time.Since(killed), 20*time.Second)
	stop()
	wg.Wait()

	fresh, _ := r.store(t)
	for i := range revokers {
		for _, c := range revokers[i].revoked {
			require.ErrorIs(t, lookup(t, fresh, c), auth.ErrRevoked)
		}
		t.Logf("%s: %d revocations", revokers[i].userID, len(revokers[i].revoked))
	}
	require.NoError(t, lookup(t, fresh, u.token))
	requireWritable(t, fresh)
}

// Without a synchronous standby, a revocation that has returned is lost if the primary dies
// before it has reached the standby: the token is valid again.
func TestStandby_asynchronousLoses(t *testing.T) {
	t.Parallel()
	r := startReplicated(t)
	store, _ := r.store(t)
	revoked, lost := record(auth.KindToken, "alice"), record(auth.KindToken, "alice")
	require.NoError(t, store.Create(t.Context(), revoked, 0))
	require.NoError(t, store.Create(t.Context(), lost, 0))
	require.NoError(t, store.Revoke(t.Context(), revoked.Ref()))
	r.caughtUp(t)
	r.changes.hang(0, true)
	require.NoError(t, store.Revoke(t.Context(), lost.Ref()))
	require.ErrorIs(t, lookup(t, store, lost), auth.ErrRevoked)
	r.failOver(t)
	awaitRecovery(t, store)
	require.ErrorIs(t, lookup(t, store, revoked), auth.ErrRevoked)
	require.NoError(t, lookup(t, store, lost), "the documented loss")
	require.NoError(t, store.Revoke(t.Context(), lost.Ref()))
	require.ErrorIs(t, lookup(t, store, lost), auth.ErrRevoked)
}

// With a synchronous standby that hangs, the same revocation does not return.
func TestStandby_synchronousWaits(t *testing.T) {
	t.Parallel()
	r := startReplicated(t, synchronous...)
	store, _ := r.store(t)
	c := record(auth.KindToken, "alice")
	require.NoError(t, store.Create(t.Context(), c, 0))
	r.changes.hang(0, true)
	requireOutage(t, store.Revoke(t.Context(), c.Ref()))
	r.failOver(t)
	awaitRecovery(t, store)
	require.NoError(t, lookup(t, store, c), "its revocation has not returned")
	require.NoError(t, store.Revoke(t.Context(), c.Ref()))
	require.ErrorIs(t, lookup(t, store, c), auth.ErrRevoked)
}

// caughtUp waits until the standby has applied all that the primary has committed.
func (r *replicated) caughtUp(t *testing.T) {
	t.Helper()
	db := r.primary.open(t)
	require.Eventually(t, func() bool {
		return count(t, db, "SELECT count(*) FROM pg_stat_replication WHERE replay_lsn >= pg_current_wal_lsn()") == 1
	}, time.Minute, 10*time.Millisecond)
}

// The listener moves to the new primary, and hears of revocations there.
func TestStandby_listenerMoves(t *testing.T) {
	t.Parallel()
	r := startReplicated(t)
	store, _ := r.store(t)
	s := listenTo(t, r.dsn)
	first := newUser(t, store)
	require.Equal(t, "1 "+first.userID, s.next(t))
	r.caughtUp(t)
	killed := time.Now()
	r.failOver(t)
	require.Equal(t, "lost", s.next(t), "disconnected")
	require.Equal(t, "lost", s.next(t), "reconnected")
	t.Logf("listens again %v after the primary was killed", time.Since(killed))
	awaitRecovery(t, store)
	u := newUser(t, store)
	require.Equal(t, "1 "+u.userID, s.next(t))
}
