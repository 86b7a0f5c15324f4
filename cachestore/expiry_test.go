package cachestore_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/cachestore"
)

// Entries that are not served anymore are removed: while others are added, and when no
// request comes anymore.
func TestLookup_expiredEntriesAreRemoved(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]error{"known": nil, "unknown": auth.ErrRevoked} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var answers []weak.Pointer[auth.Credential]
			store := auth.LookupStore(func(_ context.Context, kind auth.Kind, d auth.Digest) (*auth.Credential, error) {
				c := record(kind, "alice")
				c.Digest = d
				answers = append(answers, weak.Make(&c))
				return &c, answer
			})
			synctest.Test(t, func(t *testing.T) {
				s := newStore(t, store, cachestore.Config{UnknownCapacity: 100_000})
				lookUp := func(n int) {
					for range n {
						c := record(auth.KindToken, "alice")
						_, err := s.Lookup(t.Context(), c.Kind, c.Digest)
						require.ErrorIs(t, err, answer)
					}
					synctest.Wait()
				}
				kept := func() (n int) {
					runtime.GC()
					for _, a := range answers {
						if a.Value() != nil {
							n++
						}
					}
					return n
				}
				lookUp(2000)
				require.Greater(t, kept(), 1900, "while they are served")
				for range 20 {
					time.Sleep(time.Second)
					lookUp(1)
				}
				require.Less(t, kept(), 100, "after others were added")
				lookUp(2000)
				time.Sleep(20 * time.Second)
				synctest.Wait()
				require.Less(t, kept(), 100, "when idle")
			})
		})
	}
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
