package integration

import (
	"context"
	"crypto/rand"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/redisstore"
)

// staleFor is how long a store may serve a credential that another process has revoked, as
// the package documentation says.
const staleFor = 5 * time.Second

// A redisLoad calls stores while something happens to their servers. Each store has its own
// client, and so stands for one process with its own cache.
type redisLoad struct {
	stores []*redisstore.Store

	// lossy says that the event may lose changes that had not reached a replica.
	lossy bool

	held, revoked []auth.Credential // their states have reached the replicas before the event
	churns        []*churn
	lookups       []*atomic.Int64 // successful ones, one counter for each store
	stop          atomic.Bool
}

// newRedisLoad makes credentials, half of which are revoked, and lets each store cache
// them. replicate waits until the replicas have them.
func newRedisLoad(t *testing.T, stores []*redisstore.Store, lossy bool, replicate func()) *redisLoad {
	t.Helper()
	l := &redisLoad{stores: stores, lossy: lossy}
	for n := range 40 {
		c := record(auth.KindToken, "user-"+rand.Text())
		require.NoError(t, stores[0].Create(t.Context(), c, 0))
		for _, store := range stores {
			require.NoError(t, lookup(t, store, c))
		}
		if n%2 == 0 {
			l.held = append(l.held, c)
			continue
		}
		require.NoError(t, stores[0].Revoke(t.Context(), c.Ref()))
		for _, store := range stores {
			rejectedAfter(t, store, c)
		}
		l.revoked = append(l.revoked, c)
	}
	replicate()
	return l
}

// during runs the load while event happens, and until all lookups and changes succeed again.
func (l *redisLoad) during(t *testing.T, event func()) {
	t.Helper()
	var wg sync.WaitGroup
	defer wg.Wait()
	defer l.stop.Store(true) // also if a check below ends the test
	for i, store := range l.stores {
		counter := new(atomic.Int64)
		l.lookups = append(l.lookups, counter)
		wg.Go(func() { l.look(t, store, counter) })
		for range 2 {
			w := &churn{userID: "user-" + rand.Text(), lossy: l.lossy, stop: &l.stop}
			l.churns = append(l.churns, w)
			wg.Go(func() { w.run(t, store) })
		}
		wg.Go(func() { l.revokeElsewhere(t, store, l.stores[(i+1)%len(l.stores)]) })
	}
	l.awaitProgress(t)
	began := time.Now()
	event()
	l.awaitProgress(t)
	t.Logf("all lookups and changes succeed %v after the beginning", time.Since(began).Round(time.Millisecond))
	l.stop.Store(true)
	wg.Wait()
	l.check(t)
}

// awaitProgress waits until each process has made further changes and lookups.
func (l *redisLoad) awaitProgress(t *testing.T) {
	t.Helper()
	var counters []*atomic.Int64
	for _, w := range l.churns {
		counters = append(counters, &w.made)
	}
	counters = append(counters, l.lookups...)
	goals := make([]int64, len(counters))
	for i, counter := range counters {
		goals[i] = counter.Load() + 20
	}
	require.Eventually(t, func() bool {
		for i, counter := range counters {
			if counter.Load() < goals[i] {
				return false
			}
		}
		return true
	}, electionTime, time.Millisecond, "lookups and changes do not resume")
}

// look looks up the credentials from before the event, whose states it cannot change.
func (l *redisLoad) look(t *testing.T, store auth.Store, counter *atomic.Int64) {
	for !l.stop.Load() {
		for _, c := range l.held {
			switch _, err := store.Lookup(context.Background(), c.Kind, c.Digest); {
			case err == nil:
				counter.Add(1)
			case !isOutage(err):
				t.Errorf("a valid credential: %v", err)
				return
			}
		}
		for _, c := range l.revoked {
			if _, err := store.Lookup(context.Background(), c.Kind, c.Digest); err == nil {
				t.Error("a revoked credential is served")
				return
			}
		}
		time.Sleep(time.Millisecond) // leaves time to the servers
	}
}

// revokeElsewhere revokes credentials that another process has cached, one after another.
func (l *redisLoad) revokeElsewhere(t *testing.T, here, there *redisstore.Store) {
	ctx := context.Background()
	for ; !l.stop.Load() && !t.Failed(); time.Sleep(time.Millisecond) {
		c := record(auth.KindToken, "user-"+rand.Text())
		if here.Create(ctx, c, 0) != nil {
			continue
		}
		_, _ = there.Lookup(ctx, c.Kind, c.Digest)
		if here.Revoke(ctx, c.Ref()) == nil {
			l.requireRejected(t, here, there, c, time.Now())
		}
	}
}

// requireRejected fails if a credential that was revoked here is served there for too long,
// unless the event has lost the revocation.
func (l *redisLoad) requireRejected(t *testing.T, here, there *redisstore.Store, c auth.Credential, revoked time.Time) {
	ctx := context.Background()
	for ; !l.stop.Load(); time.Sleep(time.Millisecond) {
		began := time.Now()
		_, err := there.Lookup(ctx, c.Kind, c.Digest)
		if err != nil && !isOutage(err) {
			return
		}
		_, current := here.Uncached().Lookup(ctx, c.Kind, c.Digest)
		if l.lossy && current == nil {
			return
		}
		if late := began.Sub(revoked); err == nil && late > staleFor {
			t.Errorf("served %v after its revocation; the store that revoked it says: %v", late, current)
			return
		}
	}
}

// check requires all changes that were acknowledged, unless the event may lose them, and
// that each change is complete or has had no effect.
func (l *redisLoad) check(t *testing.T) {
	t.Helper()
	for _, store := range l.stores {
		awaitRecovery(t, store)
		for _, w := range l.churns {
			w.check(t, store)
		}
		for _, c := range l.held {
			require.NoError(t, lookup(t, store, c))
		}
		for _, c := range l.revoked {
			require.ErrorIs(t, lookup(t, store.Uncached(), c), auth.ErrRevoked)
		}
		requireWritable(t, store)
	}
}

func isOutage(err error) bool {
	return err != nil && !errors.Is(err, auth.ErrNotFound) && !errors.Is(err, auth.ErrConflict) && !errors.Is(err, auth.ErrLimit)
}
