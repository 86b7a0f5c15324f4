package cachestore_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/cachestore"
	"github.com/seed-31c5bcb2/auth/storetest"
)

func TestStore_contract(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) auth.Store {
		return newStore(t, auth.NewMemoryStore(), cachestore.Config{MaxStale: 30 * time.Second})
	})
}

// With a capacity of 2, nearly every lookup evicts an entry.
func TestStore_contractWhenFull(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) auth.Store {
		return newStore(t, auth.NewMemoryStore(), cachestore.Config{Capacity: 2, UnknownCapacity: 2})
	})
}

// A quietSource is an Invalidations that never reports anything.
type quietSource struct{}

func (*quietSource) Subscribe(ctx context.Context, _ func(auth.Kind, string), _ func()) error {
	<-ctx.Done()
	return ctx.Err()
}

func TestNew_reportsEveryFault(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		store auth.Store
		cfg   cachestore.Config
		want  []string
	}{
		{"no store", nil, cachestore.Config{}, []string{"store is nil"}},
		{"a nil pointer as store", (*auth.MemoryStore)(nil), cachestore.Config{}, []string{"store is nil"}},
		{"a nil function as store", auth.LookupStore(nil), cachestore.Config{}, []string{"store is nil"}},
		{"every fault", nil, cachestore.Config{MaxStale: -1, Capacity: -1, UnknownCapacity: -1, Timeout: -1, Invalidations: (*quietSource)(nil)},
			[]string{"store is nil", "MaxStale", " Capacity", "UnknownCapacity", "Timeout", "Invalidations is nil"}},
		{"a MaxStale above the maximum", auth.NewMemoryStore(), cachestore.Config{MaxStale: time.Minute}, []string{"MaxStale"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, err := cachestore.New(tt.store, tt.cfg)
			require.Nil(t, s)
			for _, want := range tt.want {
				require.ErrorContains(t, err, want)
			}
		})
	}
}

func TestLookup_hitDoesNotAllocate(t *testing.T) {
	s := newStore(t, auth.NewMemoryStore(), cachestore.Config{})
	c := create(t, s, record(auth.KindToken, "alice"))
	ctx := t.Context()
	require.Zero(t, testing.AllocsPerRun(200, func() {
		if _, err := s.Lookup(ctx, c.Kind, c.Digest); err != nil {
			panic(err)
		}
	}))
}

// A feed is an Invalidations that a test controls.
type feed struct {
	subscribed int
	invalidate func(auth.Kind, string)
	lost       func()
	fail       chan error
}

func (f *feed) Subscribe(ctx context.Context, invalidate func(auth.Kind, string), lost func()) error {
	f.subscribed++
	f.invalidate, f.lost = invalidate, lost
	select {
	case err := <-f.fail:
		if err == nil {
			panic("the feed is broken")
		}
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func TestInvalidations_affectOneUserAndKind(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		shared, source := newBackend(), &feed{fail: make(chan error)}
		s := newStore(t, shared, cachestore.Config{Invalidations: source})
		synctest.Wait()
		alice, bob := create(t, shared, record(auth.KindToken, "alice")), create(t, shared, record(auth.KindToken, "bob"))
		require.NoError(t, lookup(t, s, alice))
		require.NoError(t, lookup(t, s, bob))
		require.EqualValues(t, 2, shared.takeLookups())
		source.invalidate(auth.KindSession, "alice")
		source.invalidate(auth.KindToken, "alice2")
		require.NoError(t, lookup(t, s, alice))
		require.NoError(t, lookup(t, s, bob))
		require.Zero(t, shared.takeLookups(), "another kind, another user")
		source.invalidate(auth.KindToken, "alice")
		require.NoError(t, lookup(t, s, alice))
		require.NoError(t, lookup(t, s, bob))
		require.EqualValues(t, 1, shared.takeLookups())
		source.lost()
		require.NoError(t, lookup(t, s, alice))
		require.NoError(t, lookup(t, s, bob))
		require.EqualValues(t, 2, shared.takeLookups(), "any revocation may have been missed")

		require.NoError(t, shared.Revoke(t.Context(), alice.Ref()))
		require.NoError(t, lookup(t, s, alice))
		source.invalidate(alice.Kind, alice.UserID)
		require.ErrorIs(t, lookup(t, s, alice), auth.ErrNotFound)
	})
}

// If Subscribe returns or panics, it is called again, and the cache is cleared, because
// a revocation may have been missed.
func TestInvalidations_subscribeFails(t *testing.T) {
	t.Parallel()
	for name, failure := range map[string]error{"with an error": errors.New("no such host"), "with a panic": nil} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				shared, source := newBackend(), &feed{fail: make(chan error)}
				s := newStore(t, shared, cachestore.Config{Invalidations: source})
				c := create(t, shared, record(auth.KindToken, "alice"))
				require.NoError(t, lookup(t, s, c))
				source.fail <- failure
				synctest.Wait()
				require.NoError(t, shared.Revoke(t.Context(), c.Ref()))
				require.ErrorIs(t, lookup(t, s, c), auth.ErrNotFound)
				time.Sleep(time.Second)
				synctest.Wait()
				require.Equal(t, 2, source.subscribed)
			})
		})
	}
}

func TestClose_endsTheSubscription(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		shared, source := newBackend(), &feed{fail: make(chan error)}
		s, err := cachestore.New(shared, cachestore.Config{Invalidations: source})
		require.NoError(t, err)
		synctest.Wait()
		require.NoError(t, s.Close())
		require.NoError(t, s.Close())
		synctest.Wait()
		require.Equal(t, 1, source.subscribed)
		c := create(t, s, record(auth.KindToken, "alice"))
		require.NoError(t, lookup(t, s, c), "the Store still works")
	})
}
