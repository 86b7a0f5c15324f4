package cachestore_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/cachestore"
)

// Close is bounded, even if a function blocks, which it must not do. The store behind may wait
// for that function too.
func TestClose_functionBlocks(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]cachestore.Config{"over Invalidations": {Invalidations: &feed{}}, "over a Notifier": {}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				shared := auth.NewMemoryStore()
				source, _ := cfg.Invalidations.(*feed)
				if source != nil {
					source.fail = make(chan error)
				}
				s, err := cachestore.New(shared, cfg)
				require.NoError(t, err)
				synctest.Wait()
				release := make(chan struct{})
				_, err = s.Notify(func(auth.Kind, string) { <-release })
				require.NoError(t, err)
				c := create(t, shared, record(auth.KindToken, "alice"))
				go func() {
					shared.Revoke(t.Context(), c.Ref())
					if source != nil {
						source.invalidate(c.Kind, c.UserID)
					}
				}()
				synctest.Wait()
				start := time.Now()
				require.ErrorContains(t, s.Close(), "a function of Notify did not return")
				require.Equal(t, 5*time.Second, time.Since(start))
				close(release)
				synctest.Wait()
				require.NoError(t, s.Close())
			})
		})
	}
}

// A mute store is a Notifier that fails once, and then does not answer.
type mute struct {
	*auth.MemoryStore
	attempts atomic.Int64
	release  chan struct{}
}

func (s *mute) Notify(func(auth.Kind, string)) (func(), error) {
	if s.attempts.Add(1) > 1 {
		<-s.release
	}
	return nil, auth.ErrUnavailable
}

// Close is bounded, even if Notify of the store behind does not return.
func TestClose_notifierDoesNotReturn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		shared := &mute{MemoryStore: auth.NewMemoryStore(), release: make(chan struct{})}
		s, err := cachestore.New(shared, cachestore.Config{})
		require.NoError(t, err)
		time.Sleep(2 * time.Second)
		start := time.Now()
		require.ErrorContains(t, s.Close(), "mute")
		require.Equal(t, 5*time.Second, time.Since(start))
		close(shared.release)
		synctest.Wait()
		require.NoError(t, s.Close())
	})
}

// A stubborn is an Invalidations that ignores its context.
type stubborn struct {
	feed
	release chan struct{}
}

func (s *stubborn) Subscribe(_ context.Context, invalidate func(auth.Kind, string), lost func()) error {
	s.invalidate, s.lost = invalidate, lost
	<-s.release
	return nil
}

// Close is bounded, and what the Invalidations report afterwards has no effect.
func TestClose_subscribeIgnoresItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		shared, source := newBackend(), &stubborn{release: make(chan struct{})}
		s, err := cachestore.New(shared, cachestore.Config{Invalidations: source})
		require.NoError(t, err)
		synctest.Wait()
		n, _ := notify(t, s)
		start := time.Now()
		require.ErrorContains(t, s.Close(), "stubborn")
		require.Equal(t, 5*time.Second, time.Since(start))
		c := create(t, s, record(auth.KindToken, "alice"))
		require.NoError(t, lookup(t, s, c))
		shared.takeLookups()
		source.invalidate(c.Kind, c.UserID)
		source.lost()
		require.NoError(t, lookup(t, s, c))
		require.Zero(t, shared.takeLookups())
		require.Empty(t, n.take())
		close(source.release)
		synctest.Wait()
		require.Empty(t, n.take())
		require.NoError(t, s.Close())
	})
}
