package cachestore_test

import (
	"crypto/rand"
	"errors"
	"fmt"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/cachestore"
)

// Many guesses neither grow the heap nor evict known credentials. The test measures
// the heap, so it is not parallel.
func TestLookup_guessesEvictNoKnownCredential(t *testing.T) {
	inBubble(t, cachestore.Config{Capacity: 1000, UnknownCapacity: 1000}, func(t *testing.T, shared *backend, s *cachestore.Store) { // so that no entry expires
		var hot []auth.Credential
		for i := range 500 {
			hot = append(hot, create(t, s, record(auth.KindToken, fmt.Sprint("user-", i))))
			require.NoError(t, lookup(t, s, hot[i]))
		}
		before, misses, lookups := heap(), int64(0), int64(0)
		for i := range guesses {
			var d auth.Digest
			rand.Read(d[:])
			_, err := s.Lookup(t.Context(), auth.KindToken, d)
			if !errors.Is(err, auth.ErrNotFound) {
				t.Fatal(err)
			}
			if i%10 == 0 {
				shared.takeLookups()
				require.NoError(t, lookup(t, s, hot[i/10%len(hot)]))
				misses += shared.takeLookups()
				lookups++
			}
		}
		require.LessOrEqual(t, misses, lookups/100, "of %d lookups of known credentials", lookups)
		require.Less(t, heap(), before+4<<20)
	})
}

func TestLookup_knownCredentialsAreBounded(t *testing.T) {
	s := newStore(t, auth.LookupStore(anyToken), cachestore.Config{Capacity: 1000})
	before := heap()
	for range guesses / 5 {
		var d auth.Digest
		rand.Read(d[:])
		_, err := s.Lookup(t.Context(), auth.KindToken, d)
		require.NoError(t, err)
	}
	require.Less(t, heap(), before+4<<20)
	runtime.KeepAlive(s)
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
