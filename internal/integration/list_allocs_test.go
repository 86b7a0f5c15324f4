//go:build !race

// The race detector itself allocates.

package integration

import (
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

// A list allocates its records once, and little more than their texts.
func TestList_allocations(t *testing.T) {
	const n = 1000
	for _, d := range databases {
		t.Run(d.name, func(t *testing.T) {
			store, db := d.store(t)
			insert(t, db, d.isPostgres(), tokensOf("ada", n))
			list := func() {
				found, err := store.List(t.Context(), auth.KindToken, "ada", auth.Page{Limit: n})
				require.NoError(t, err)
				require.Len(t, found, n)
			}
			list() // opens the connection
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			list()
			runtime.ReadMemStats(&after)
			require.Less(t, (after.TotalAlloc-before.TotalAlloc)/n, uint64(1000), "bytes for each record")
		})
	}
}
