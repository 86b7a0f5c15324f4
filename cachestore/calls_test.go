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

func TestLookup_concurrentMissesAskOnce(t *testing.T) {
	t.Parallel()
	inBubble(t, cachestore.Config{}, func(t *testing.T, shared *backend, s *cachestore.Store) {
		c := create(t, s, record(auth.KindToken, "alice"))
		shared.before = func(context.Context) error { time.Sleep(time.Second); return nil }
		errs := lookupConcurrently(t, s, c, 1000)
		for range cap(errs) {
			require.NoError(t, <-errs)
		}
		require.EqualValues(t, 1, shared.takeLookups())
	})
}

// The request that started a call is canceled. It returns at once, and the other request
// that waits for the call gets the answer.
func TestLookup_callOutlivesItsRequest(t *testing.T) {
	t.Parallel()
	inBubble(t, cachestore.Config{}, func(t *testing.T, shared *backend, s *cachestore.Store) {
		c := create(t, s, record(auth.KindToken, "alice"))
		shared.before = takeASecond
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
		require.EqualValues(t, 1, shared.takeLookups())
	})
}

// takeASecond is a backend hook that observes its context.
func takeASecond(ctx context.Context) error {
	select {
	case <-time.After(time.Second):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Canceled requests with made-up credentials, which HTTP/2 allows by the thousand, leave no
// lookup in progress.
func TestLookup_callWithoutWaitersIsCanceled(t *testing.T) {
	t.Parallel()
	inBubble(t, cachestore.Config{}, func(t *testing.T, shared *backend, s *cachestore.Store) {
		c := create(t, s, record(auth.KindToken, "alice"))
		var inProgress atomic.Int64
		shared.before = func(ctx context.Context) error {
			inProgress.Add(1)
			defer inProgress.Add(-1)
			return takeASecond(ctx)
		}
		ctx, cancel := context.WithCancel(t.Context())
		errs := make(chan error, 1000)
		for i := range cap(errs) {
			d := c.Digest // the first two wait for one call
			if i/2 > 0 {
				d = record(auth.KindToken, "bob").Digest
			}
			go func() {
				_, err := s.Lookup(ctx, c.Kind, d)
				errs <- err
			}()
		}
		synctest.Wait()
		require.EqualValues(t, 999, inProgress.Load())
		cancel()
		for range cap(errs) {
			require.ErrorIs(t, <-errs, context.Canceled)
		}
		synctest.Wait()
		require.Zero(t, inProgress.Load())
		require.NoError(t, lookup(t, s, c), "no request gets the answer of a canceled call")
	})
}

// A thousand requests wait for one call when a credential of its user changes: the store is
// called once more, not a thousand times.
func TestLookup_changeDuringMissesAsksOnceMore(t *testing.T) {
	t.Parallel()
	inBubble(t, cachestore.Config{}, func(t *testing.T, shared *backend, s *cachestore.Store) {
		c := create(t, s, record(auth.KindToken, "alice"))
		other := create(t, s, record(auth.KindToken, "alice"))
		shared.before = func(context.Context) error { time.Sleep(time.Second); return nil }
		errs := lookupConcurrently(t, s, c, 1000)
		synctest.Wait()
		require.NoError(t, s.Revoke(t.Context(), other.Ref()))
		for range cap(errs) {
			require.NoError(t, <-errs)
		}
		require.EqualValues(t, 2, shared.takeLookups())
	})
}

// A credential is revoked after the store has read its record and before it returns. The
// record is not served, neither to the next request nor to one that waits for that call.
func TestLookup_revokedDuringTheCall(t *testing.T) {
	t.Parallel()
	for _, r := range revocations {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, cachestore.Config{}, func(t *testing.T, shared *backend, s *cachestore.Store) {
				c := create(t, s, record(auth.KindToken, "alice"))
				release := make(chan struct{})
				shared.after = func() { <-release }
				first, joined := make(chan error, 1), make(chan error, 1)
				go func() { first <- lookup(t, s, c) }()
				synctest.Wait()
				require.NoError(t, r.revoke(t.Context(), s, c))
				go func() { joined <- lookup(t, s, c) }()
				synctest.Wait()
				shared.after = nil
				close(release)
				require.ErrorIs(t, <-joined, auth.ErrNotFound)
				require.ErrorIs(t, <-first, auth.ErrNotFound) // either answer would be correct; this one loads again
				require.ErrorIs(t, lookup(t, s, c), auth.ErrNotFound)
			})
		})
	}
}

func TestLookup_createdDuringTheCall(t *testing.T) {
	t.Parallel()
	inBubble(t, cachestore.Config{}, func(t *testing.T, shared *backend, s *cachestore.Store) {
		c := record(auth.KindToken, "alice")
		release := make(chan struct{})
		shared.after = func() { <-release }
		joined := make(chan error, 2)
		go func() { joined <- lookup(t, s, c) }()
		synctest.Wait()
		create(t, s, c)
		go func() { joined <- lookup(t, s, c) }()
		synctest.Wait()
		shared.after = nil
		close(release)
		require.NoError(t, <-joined)
		require.NoError(t, <-joined)
		require.NoError(t, lookup(t, s, c))
	})
}

// With real threads, no lookup that begins after Revoke has returned finds the credential.
func TestRevoke_duringLookups(t *testing.T) {
	t.Parallel()
	shared := newBackend()
	shared.after = runtime.Gosched
	s := newStore(t, shared, cachestore.Config{})
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

// A store that ignores its context, panics or ends its goroutine blocks no request, and
// affects no other credential.
func TestLookup_brokenStore(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		lookup func(release <-chan struct{})
	}{
		{"hangs", func(release <-chan struct{}) { <-release }},
		{"panics", func(<-chan struct{}) { panic("canary-plaintext") }},
		{"panics with nil", func(<-chan struct{}) { panic(nil) }},
		{"panics with a runtime error", func(<-chan struct{}) { var c *auth.Credential; _ = c.Ref() }},
		{"ends its goroutine", func(<-chan struct{}) { runtime.Goexit() }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				shared, release := newBackend(), make(chan struct{})
				s := newStore(t, shared, cachestore.Config{})
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
