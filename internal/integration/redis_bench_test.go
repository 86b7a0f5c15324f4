package integration

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

func BenchmarkRedisLookup(b *testing.B) {
	store, _, _ := openRedisStore(b)
	var digests [1024]auth.Digest
	for i := range digests {
		c := record(auth.KindToken, "alice")
		digests[i] = c.Digest
		require.NoError(b, store.Create(b.Context(), c, 0))
	}
	b.Run("hot", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			if _, err := store.Lookup(b.Context(), auth.KindToken, digests[i%len(digests)]); err != nil {
				b.Fatal(err)
			}
		}
	})
}
