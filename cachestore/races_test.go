package cachestore_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/cachestore"
)

func TestThousandMissesAskOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		shared := newBackend()
		s := over(t, shared, cachestore.Config{})
		c := create(t, s, record(auth.KindToken, "alice"))
		shared.before = func(context.Context) error { time.Sleep(time.Second); return nil }
		errs := make(chan error, 1000)
		for range cap(errs) {
			go func() { errs <- lookup(t, s, c) }()
		}
		for range cap(errs) {
			require.NoError(t, <-errs)
		}
		require.EqualValues(t, 1, shared.asked())
	})
}

// The request that began a load goes away: nobody else is refused for that, and
// its own answer does not wait for the store.
func TestLoadOutlivesItsRequest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		shared := newBackend()
		s := over(t, shared, cachestore.Config{})
		c := create(t, s, record(auth.KindToken, "alice"))
		shared.before = aSecond
		ctx, cancel := context.WithCancel(t.Context())
		first, second := make(chan error, 1), make(chan error, 1)
		go func() {
			_, err := s.Lookup(ctx, c.Kind, c.Digest)
			first <- err
		}()
		synctest.Wait()
		go func() { second <- lookup(t, s, c) }()
		synctest.Wait()
		start := time.Now()
		cancel()
		require.ErrorIs(t, <-first, context.Canceled)
		require.Zero(t, time.Since(start))
		require.NoError(t, <-second)
		require.EqualValues(t, 1, shared.asked())
	})
}

// aSecond is how long a store takes that gives up with its context.
func aSecond(ctx context.Context) error {
	select {
	case <-time.After(time.Second):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Requests with made-up credentials that are cancelled at once, as HTTP/2 allows by the
// thousand, leave nothing behind in front of the store.
func TestLoadThatNobodyWaitsForIsGivenUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		shared := newBackend()
		s := over(t, shared, cachestore.Config{})
		c := create(t, s, record(auth.KindToken, "alice"))
		var underWay atomic.Int64
		shared.before = func(ctx context.Context) error {
			underWay.Add(1)
			defer underWay.Add(-1)
			return aSecond(ctx)
		}
		ctx, cancel := context.WithCancel(t.Context())
		errs := make(chan error, 1000)
		for i := range cap(errs) {
			d := c.Digest // two wait for each
			if i/2 > 0 {
				d = record(auth.KindToken, "nobody").Digest
			}
			go func() {
				_, err := s.Lookup(ctx, c.Kind, d)
				errs <- err
			}()
		}
		synctest.Wait()
		require.EqualValues(t, 999, underWay.Load())
		cancel()
		for range cap(errs) {
			require.ErrorIs(t, <-errs, context.Canceled)
		}
		synctest.Wait()
		require.Zero(t, underWay.Load())
		require.NoError(t, lookup(t, s, c), "a load that was given up is nobody's answer")
	})
}

// A thousand wait for one load when something of that account changes: the store is
// asked once more, and not a thousand times.
func TestChangeAmongThousandMissesAsksOnceMore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		shared := newBackend()
		s := over(t, shared, cachestore.Config{})
		c := create(t, s, record(auth.KindToken, "alice"))
		other := create(t, s, record(auth.KindToken, "alice"))
		shared.before = func(context.Context) error { time.Sleep(time.Second); return nil }
		errs := make(chan error, 1000)
		for range cap(errs) {
			go func() { errs <- lookup(t, s, c) }()
		}
		synctest.Wait()
		require.NoError(t, s.Revoke(t.Context(), other.Ref()))
		for range cap(errs) {
			require.NoError(t, <-errs)
		}
		require.EqualValues(t, 2, shared.asked())
	})
}

// A lookup has read the record and is on its way back while the credential ends:
// neither the next request, nor one that waits for that very lookup, may have it.
func TestLookupInFlightDoesNotOutliveARevocation(t *testing.T) {
	t.Parallel()
	for _, end := range ends {
		t.Run(end.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				shared := newBackend()
				s := over(t, shared, cachestore.Config{})
				c := create(t, s, record(auth.KindToken, "alice"))
				held := make(chan struct{})
				shared.after = func() { <-held }
				first, joined := make(chan error, 1), make(chan error, 1)
				go func() { first <- lookup(t, s, c) }()
				synctest.Wait()
				require.NoError(t, end.call(t.Context(), s, c))
				go func() { joined <- lookup(t, s, c) }()
				synctest.Wait()
				shared.after = nil
				close(held)
				require.ErrorIs(t, <-joined, auth.ErrNotFound)
				require.ErrorIs(t, <-first, auth.ErrNotFound) // it may have either answer; ours asks again
				require.ErrorIs(t, lookup(t, s, c), auth.ErrNotFound)
			})
		})
	}
}

// The same for one that is unknown while it is created.
func TestLookupInFlightDoesNotHideANewOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		shared := newBackend()
		s := over(t, shared, cachestore.Config{})
		c := record(auth.KindToken, "alice")
		held := make(chan struct{})
		shared.after = func() { <-held }
		joined := make(chan error, 2)
		go func() { joined <- lookup(t, s, c) }()
		synctest.Wait()
		create(t, s, c)
		go func() { joined <- lookup(t, s, c) }()
		synctest.Wait()
		shared.after = nil
		close(held)
		require.NoError(t, <-joined)
		require.NoError(t, <-joined)
		require.NoError(t, lookup(t, s, c))
	})
}

// With real threads: once Revoke has returned, no lookup that begins afterwards
// finds it, however many are under way.
func TestRevokeAmongLookups(t *testing.T) {
	t.Parallel()
	shared := newBackend()
	shared.after = runtime.Gosched
	s := over(t, shared, cachestore.Config{})
	for range 300 {
		c := create(t, s, record(auth.KindToken, "alice"))
		revoked := make(chan struct{})
		var wg sync.WaitGroup
		late := make(chan error, 4)
		for range cap(late) {
			wg.Go(func() {
				for {
					select {
					case <-revoked:
						_, err := s.Lookup(t.Context(), c.Kind, c.Digest)
						late <- err
						return
					default:
						s.Lookup(t.Context(), c.Kind, c.Digest)
					}
				}
			})
		}
		require.NoError(t, s.Revoke(t.Context(), c.Ref()))
		close(revoked)
		wg.Wait()
		for range cap(late) {
			require.ErrorIs(t, <-late, auth.ErrNotFound)
		}
	}
}

// A store that does not keep to its context, panics or ends its goroutine leaves
// no request waiting, and costs no more than that credential.
func TestBrokenStore(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		lookup func(release <-chan struct{})
	}{
		{"hangs", func(release <-chan struct{}) { <-release }},
		{"panics", func(<-chan struct{}) { panic("canary-plaintext") }},
		{"panics with nil", func(<-chan struct{}) { panic(nil) }},
		{"panics by itself", func(<-chan struct{}) { var c *auth.Credential; _ = c.Ref() }},
		{"ends its goroutine", func(<-chan struct{}) { runtime.Goexit() }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				shared, release := newBackend(), make(chan struct{})
				s := over(t, shared, cachestore.Config{})
				c, other := create(t, s, record(auth.KindToken, "alice")), create(t, s, record(auth.KindToken, "bob"))
				require.NoError(t, lookup(t, s, other))
				shared.before = func(context.Context) error { tt.lookup(release); return nil }
				for range 3 {
					start := time.Now()
					err := lookup(t, s, c)
					require.Error(t, err)
					require.NotContains(t, err.Error(), "canary")
					require.False(t, errors.Is(err, auth.ErrNotFound))
					require.LessOrEqual(t, time.Since(start), 2*time.Second)
					if time.Since(start) < time.Second {
						require.NoError(t, lookup(t, s, other))
					}
				}
				close(release)
				synctest.Wait()
				shared.before = nil
				require.NoError(t, lookup(t, s, c))
			})
		})
	}
}
