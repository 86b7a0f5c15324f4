package cachestore_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/cachestore"
)

// Entries that are not served anymore are removed: while others are added, and when no
// request comes anymore. No goroutine is left in the bubble.
//
// The tests measure the heap, so they are not parallel.
func TestLookup_expiredEntriesAreRemoved(t *testing.T) {
	tests := []struct {
		name  string
		store func() auth.Store
	}{
		{"known", func() auth.Store { return auth.LookupStore(anyToken) }},
		{"unknown", func() auth.Store { return auth.NewMemoryStore() }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBubbleOver(t, tt.store(), cachestore.Config{UnknownCapacity: 100_000}, func(t *testing.T, s *cachestore.Store) {
				fill := func(n int) {
					for range n {
						c := record(auth.KindToken, "alice")
						_, _ = s.Lookup(t.Context(), c.Kind, c.Digest)
					}
					synctest.Wait()
				}
				fill(100)
				time.Sleep(time.Minute)
				before := heap()
				fill(20_000)
				require.Greater(t, heap(), before+2<<20, "while they are served")
				for range 20 {
					time.Sleep(time.Second)
					fill(1)
				}
				require.Less(t, heap(), before+1<<20, "after others were added")
				fill(20_000)
				time.Sleep(20 * time.Second)
				synctest.Wait()
				require.Less(t, heap(), before+1<<20, "when idle")
			})
		})
	}
}

func inBubbleOver(t *testing.T, store auth.Store, cfg cachestore.Config, test func(t *testing.T, s *cachestore.Store)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(t, newStore(t, store, cfg)) })
}

// A Store that is dropped without Close leaves no goroutine.
func TestNew_keepsNoGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := cachestore.New(newBackend(), cachestore.Config{})
		require.NoError(t, err)
		for i := range 1000 {
			c := create(t, s, record(auth.KindToken, fmt.Sprint(i)))
			require.NoError(t, lookup(t, s, c))
		}
		synctest.Wait()
		stacks := make([]byte, 1<<20)
		stacks = stacks[:runtime.Stack(stacks, true)]
		require.NotContains(t, string(stacks), "otter")
		require.False(t, strings.Contains(string(stacks), "cachestore.(*Store)"))
	})
}

// Purge with a time ahead removes credentials that have not expired.
func TestPurge_withATimeAhead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t, newBackend(), cachestore.Config{})
		c := create(t, s, record(auth.KindToken, "alice"))
		require.NoError(t, lookup(t, s, c))
		n, err := s.Purge(t.Context(), time.Now().Add(2*time.Hour))
		require.NoError(t, err)
		require.Equal(t, 1, n)
		require.ErrorIs(t, lookup(t, s, c), auth.ErrNotFound)
	})
}
