package cachestore_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/cachestore"
)

// notices records the calls of a function of Notify, as "1 alice".
type notices struct {
	mu   sync.Mutex
	seen []string
}

func (n *notices) add(kind auth.Kind, userID string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.seen = append(n.seen, fmt.Sprint(int(kind), " ", userID))
}

// take returns the calls since it was last called.
func (n *notices) take() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	seen := n.seen
	n.seen = nil
	return seen
}

func notify(t *testing.T, s *cachestore.Store) (n *notices, stop func()) {
	t.Helper()
	n = &notices{}
	stop, err := s.Notify(n.add)
	require.NoError(t, err)
	return n, stop
}

// One subscription feeds all functions. Each is called after the cache knows of the
// change, whether this process made it or another.
func TestNotify_overInvalidations(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		shared, source := newBackend(), &feed{fail: make(chan error)}
		s := newStore(t, shared, cachestore.Config{Invalidations: source})
		synctest.Wait()
		c := create(t, s, record(auth.KindToken, "alice"))
		first, stop := notify(t, s)
		second, _ := notify(t, s)
		var sees error
		_, err := s.Notify(func(auth.Kind, string) { sees = lookup(t, s, c) })
		require.NoError(t, err)

		require.NoError(t, lookup(t, s, c))
		require.NoError(t, shared.Revoke(t.Context(), c.Ref()))
		require.NoError(t, lookup(t, s, c))
		source.invalidate(auth.KindToken, "alice")
		require.ErrorIs(t, sees, auth.ErrRevoked)
		require.Equal(t, []string{"1 alice"}, first.take())
		require.Equal(t, []string{"1 alice"}, second.take())
		c = create(t, s, record(auth.KindToken, "bob"))
		require.NoError(t, lookup(t, s, c))
		require.NoError(t, shared.Revoke(t.Context(), c.Ref()))
		source.lost()
		require.ErrorIs(t, sees, auth.ErrRevoked)
		source.invalidate(0, "")
		require.Equal(t, []string{"0 ", "0 "}, first.take())
		require.Equal(t, []string{"0 ", "0 "}, second.take())

		stop()
		stop()
		source.invalidate(auth.KindSession, "alice")
		require.Empty(t, first.take())
		require.Equal(t, []string{"2 alice"}, second.take())
		require.Equal(t, 1, source.subscribed)
		source.fail <- errors.New("no such host")
		synctest.Wait()
		require.Equal(t, []string{"0 "}, second.take(), "the subscription has ended")
	})
}

// Changes through the Store are reported even if the connection to the database is lost, and
// uses are not.
func TestNotify_ownChanges(t *testing.T) {
	t.Parallel()
	s := newStore(t, newBackend(), cachestore.Config{Invalidations: &quietSource{}})
	var c, next auth.Credential
	var sees error
	_, err := s.Notify(func(auth.Kind, string) { _, sees = s.Lookup(t.Context(), c.Kind, c.Digest) })
	require.NoError(t, err)
	n, _ := notify(t, s)
	tests := []struct {
		name   string
		change func() error
		want   []string
		gone   bool
	}{
		{"Touch", func() error {
			return s.Touch(t.Context(), []auth.Use{{Ref: c.Ref(), Digest: c.Digest, At: c.CreatedAt.Add(time.Second)}})
		}, nil, false},
		{"Create a secret", func() error { return s.Create(t.Context(), record(auth.KindSecret, "alice"), 0) }, []string{"3 alice"}, false},
		{"Update", func() error { next = c; next.Name = "renamed"; return s.Update(t.Context(), c, next) }, []string{"1 alice"}, false},
		{"Rotate", func() error { return s.Rotate(t.Context(), c, record(c.Kind, c.UserID), time.Time{}) }, []string{"1 alice"}, true},
		{"Revoke", func() error { return s.Revoke(t.Context(), c.Ref()) }, []string{"1 alice"}, true},
		{"RevokeAll", func() error { _, err := s.RevokeAll(t.Context(), c.Kind, c.UserID); return err }, []string{"1 alice"}, true},
		{"Purge", func() error { _, err := s.Purge(t.Context(), time.Now().Add(-time.Hour)); return err }, nil, false},
		{"Purge with a time ahead", func() error { _, err := s.Purge(t.Context(), time.Now().Add(2*time.Hour)); return err }, []string{"0 "}, true},
	}
	for _, tt := range tests {
		c = create(t, s, record(auth.KindToken, "alice"))
		require.NoError(t, lookup(t, s, c))
		sees = nil
		require.NoError(t, tt.change(), tt.name)
		require.Equal(t, tt.want, n.take(), tt.name)
		require.Equal(t, tt.gone, errors.Is(sees, auth.ErrNotFound), tt.name)
	}
}

// A store behind the cache that is a Notifier takes the place of Invalidations.
func TestNotify_overANotifier(t *testing.T) {
	t.Parallel()
	shared := auth.NewMemoryStore()
	s := newStore(t, shared, cachestore.Config{})
	c := create(t, shared, record(auth.KindToken, "alice"))
	require.NoError(t, lookup(t, s, c))
	n, _ := notify(t, s)
	require.NoError(t, shared.Revoke(t.Context(), c.Ref()))
	require.Equal(t, []string{"1 alice"}, n.take())
	require.ErrorIs(t, lookup(t, s, c), auth.ErrNotFound, "before MaxStale")
	require.NoError(t, s.Close())
	require.NoError(t, shared.Create(t.Context(), record(auth.KindSecret, "alice"), 0))
	_, err := shared.RevokeAll(t.Context(), auth.KindSecret, "alice")
	require.NoError(t, err)
	require.Empty(t, n.take())
}

// An unready store is a Notifier that cannot at first, as redisstore while Redis loads its data.
type unready struct {
	*auth.MemoryStore
	mu       sync.Mutex
	attempts int
	fail     func() error
}

func (s *unready) Notify(f func(auth.Kind, string)) (func(), error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.attempts++
	if err := s.fail(); err != nil {
		return nil, err
	}
	return s.MemoryStore.Notify(f)
}

// A Notifier behind the cache is asked again once a second, so that the cache learns of changes
// even if no function listens.
func TestNotify_notifierRecovers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		err := auth.ErrUnavailable
		shared := &unready{MemoryStore: auth.NewMemoryStore(), fail: func() error { return err }}
		s := newStore(t, shared, cachestore.Config{MaxStale: 30 * time.Second})
		_, failed := s.Notify(func(auth.Kind, string) {})
		require.ErrorIs(t, failed, err)
		time.Sleep(10*time.Second + time.Millisecond)
		shared.mu.Lock()
		require.Equal(t, 12, shared.attempts)
		err = nil
		shared.mu.Unlock()
		c := create(t, shared, record(auth.KindToken, "alice"))
		require.NoError(t, lookup(t, s, c))
		time.Sleep(time.Second)
		require.NoError(t, lookup(t, s, c))
		require.NoError(t, shared.Revoke(t.Context(), c.Ref()))
		require.ErrorIs(t, lookup(t, s, c), auth.ErrNotFound, "before MaxStale")
		time.Sleep(time.Hour)
		require.Equal(t, 13, shared.attempts)
	})
}

// The attempts end with Close, and with an answer that will not change.
func TestNotify_notifierStaysUnready(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		answer func(attempt int) error
		want   int
	}{
		"unavailable": {func(int) error { return auth.ErrUnavailable }, 4},
		"unsupported": {func(attempt int) error {
			if attempt == 3 {
				return errors.ErrUnsupported
			}
			return auth.ErrUnavailable
		}, 3},
		"a panic": {func(attempt int) error {
			if attempt == 2 {
				panic("canary")
			}
			return auth.ErrUnavailable
		}, 2},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				shared := &unready{MemoryStore: auth.NewMemoryStore()}
				shared.fail = func() error { return tt.answer(shared.attempts) }
				s := newStore(t, shared, cachestore.Config{})
				time.Sleep(3*time.Second + time.Millisecond)
				require.NoError(t, s.Close())
				time.Sleep(time.Hour)
				require.Equal(t, tt.want, shared.attempts)
			})
		})
	}
}

func TestNotify_unsupported(t *testing.T) {
	t.Parallel()
	for name, store := range map[string]auth.Store{
		"no Notifier": auth.LookupStore(anyToken), "a Notifier that cannot": newBackend(), "a cache": newStore(t, newBackend(), cachestore.Config{}),
	} {
		_, err := newStore(t, store, cachestore.Config{}).Notify(func(auth.Kind, string) {})
		require.ErrorIs(t, err, errors.ErrUnsupported, name)
	}
	s := newStore(t, auth.NewMemoryStore(), cachestore.Config{})
	_, err := s.Notify(nil)
	require.Error(t, err)
	require.NoError(t, s.Close())
	_, err = s.Notify(func(auth.Kind, string) {})
	require.Error(t, err)
}

// A function that panics affects neither the change nor other functions.
func TestNotify_panic(t *testing.T) {
	t.Parallel()
	s := newStore(t, newBackend(), cachestore.Config{Invalidations: &quietSource{}})
	_, err := s.Notify(func(auth.Kind, string) { panic("canary") })
	require.NoError(t, err)
	n, _ := notify(t, s)
	c := create(t, s, record(auth.KindToken, "alice"))
	require.NoError(t, s.Revoke(t.Context(), c.Ref()))
	require.Equal(t, []string{"1 alice"}, n.take())
}

// After stop has returned, the function is not called, whatever happens at that moment.
func TestNotify_stopDuringChanges(t *testing.T) {
	t.Parallel()
	s := newStore(t, newBackend(), cachestore.Config{Invalidations: &quietSource{}})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for ctx.Err() == nil {
				s.RevokeAll(ctx, auth.KindToken, "alice")
			}
		})
	}
	var late, calls atomic.Int64
	for i := 0; i < 1000 || calls.Load() == 0; i++ {
		var stopped atomic.Bool
		stop, err := s.Notify(func(auth.Kind, string) {
			calls.Add(1)
			if stopped.Load() {
				late.Add(1)
			}
		})
		require.NoError(t, err)
		stop()
		stopped.Store(true)
	}
	cancel()
	wg.Wait()
	require.Zero(t, late.Load())
}

// A function that stops itself, which it must not do, delays its own change by 5 seconds, and
// neither others nor Close.
func TestNotify_stopWithinFunction(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t, newBackend(), cachestore.Config{Invalidations: &quietSource{}})
		alice, bob := create(t, s, record(auth.KindToken, "alice")), create(t, s, record(auth.KindToken, "bob"))
		calls, stops := 0, make(chan func(), 1)
		stop, err := s.Notify(func(auth.Kind, string) {
			calls++
			(<-stops)()
		})
		require.NoError(t, err)
		stops <- stop
		n, _ := notify(t, s)
		start, revoked := time.Now(), make(chan error, 1)
		go func() { revoked <- s.Revoke(t.Context(), alice.Ref()) }()
		synctest.Wait()
		require.NoError(t, s.Revoke(t.Context(), bob.Ref()))
		require.Zero(t, time.Since(start))
		require.Equal(t, []string{"1 bob"}, n.take())
		require.NoError(t, <-revoked)
		require.Equal(t, 5*time.Second, time.Since(start))
		require.Equal(t, []string{"1 alice"}, n.take())
		require.Equal(t, 1, calls)
	})
}
