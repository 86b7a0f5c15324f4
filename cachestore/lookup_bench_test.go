package cachestore_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/cachestore"
)

// BenchmarkLookup compares a hit with a lookup in the store behind.
func BenchmarkLookup(b *testing.B) {
	memory := auth.NewMemoryStore()
	cached, err := cachestore.New(memory, cachestore.Config{MaxStale: 30e9})
	require.NoError(b, err)
	var digests [1024]auth.Digest
	for i := range digests {
		c := record(auth.KindToken, "alice")
		digests[i] = c.Digest
		require.NoError(b, memory.Create(b.Context(), c, 0))
	}
	for name, store := range map[string]auth.Store{"memory": memory, "cached": cached} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if _, err := store.Lookup(b.Context(), auth.KindToken, digests[i%len(digests)]); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(name+", parallel", func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for i := 0; pb.Next(); i++ {
					if _, err := store.Lookup(b.Context(), auth.KindToken, digests[i%len(digests)]); err != nil {
						b.Fatal(err)
					}
				}
			})
		})
	}
}
