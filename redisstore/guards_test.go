package redisstore

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

// Old guards are removed when new ones are set. A process with few changes must not collect
// them for hours, and one with many must keep those that still count.
func TestGuards_removed(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		every time.Duration // between two changes
		held  int           // at most
	}{
		{"few changes", time.Second, 16 * minPrune},
		{"many changes", time.Millisecond, 16*minPrune + 2*int(guardFor/time.Millisecond)},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				g := newGuards()
				for n := range 50_000 {
					g.set(auth.Digest{byte(n), byte(n >> 8), byte(n >> 16)}, removed, time.Time{})
					require.LessOrEqual(t, g.len(), test.held)
					require.GreaterOrEqual(t, g.len(), min(n, int(guardFor/test.every)))
					time.Sleep(test.every)
				}
			})
		})
	}
}

func (g *guards) len() int {
	n := 0
	for i := range g.shards {
		n += len(g.shards[i].guards)
	}
	return n
}
