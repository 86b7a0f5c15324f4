package limiter

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

var here, there = netip.MustParsePrefix("192.0.2.1/32"), netip.MustParsePrefix("192.0.2.2/32")

// fail uses up all attempts, and returns their number and how long to wait.
func fail(l *Limiter, address netip.Prefix, name func(i int) string) (attempts int, wait time.Duration) {
	for {
		if _, wait := l.Begin(address, name(attempts)); wait > 0 {
			return attempts, wait
		}
		attempts++
	}
}

func always(name string) func(int) string { return func(int) string { return name } }

func TestLimiter_pair(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := New()
		attempts, wait := fail(l, here, always("ada"))
		require.Equal(t, PairAttempts, attempts)
		require.Equal(t, pairInterval, wait)
		for _, other := range []struct {
			address netip.Prefix
			name    string
		}{{there, "ada"}, {here, "grace"}, {here, ""}} {
			attempts, _ := fail(l, other.address, always(other.name))
			require.Equal(t, PairAttempts, attempts, "%s from %s", other.name, other.address)
		}
		time.Sleep(pairInterval)
		attempts, _ = fail(l, here, always("ada"))
		require.Equal(t, 1, attempts)
		time.Sleep(time.Hour)
		attempts, _ = fail(l, here, always("ada"))
		require.Equal(t, PairAttempts, attempts)
	})
}

// One address cannot try a password with many names either.
func TestLimiter_address(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := New()
		attempts, wait := fail(l, here, strconv.Itoa)
		require.Equal(t, addressAttempts, attempts)
		require.Equal(t, addressInterval, wait)
		attempts, _ = fail(l, there, strconv.Itoa)
		require.Equal(t, addressAttempts, attempts)
	})
}

// Attempts that succeed do not count. Those in progress do.
func TestLimiter_forget(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := New()
		for range 5 * addressAttempts {
			a, wait := l.Begin(here, "ada")
			require.Zero(t, wait)
			a.Forget()
		}
		attempts, _ := fail(l, here, always("ada"))
		require.Equal(t, PairAttempts, attempts)
	})
}

// The memory is bounded. An address at its limit does not make entries, which would
// push out that of its limit.
func TestLimiter_bounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := New()
		for i := range 3 * maxEntries {
			l.Begin(here, fmt.Sprint("name ", i))
		}
		require.Len(t, l.entries, 2+addressAttempts)
		for i := range 3 * maxEntries {
			address := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
			l.Begin(netip.PrefixFrom(address, 32), strings.Repeat("long ", 1000))
			require.LessOrEqual(t, len(l.entries), maxEntries)
		}
		time.Sleep(time.Hour)
		for i := range maxEntries {
			address := netip.AddrFrom4([4]byte{11, byte(i >> 16), byte(i >> 8), byte(i)})
			l.Begin(netip.PrefixFrom(address, 32), "ada")
		}
		require.LessOrEqual(t, len(l.entries), maxEntries)
	})
}

// One customer has up to 65,536 prefixes of 64 bits (RFC 6177).
func TestLimiter_network(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := New()
		guesses := 0
		for i := range 256 {
			n, _ := fail(l, subnet(i), always("ada"))
			guesses += n
		}
		require.Equal(t, networkAttempts, guesses)
		_, wait := l.Begin(subnet(256), "grace")
		require.Equal(t, networkInterval, wait)
		attempts, _ := fail(l, netip.MustParsePrefix("2001:db8:1::/64"), always("ada"))
		require.Equal(t, PairAttempts, attempts)
		for range 3 * networkAttempts {
			a, wait := l.Begin(there, "ada")
			require.Zero(t, wait)
			a.Forget()
		}
	})
}

// subnet returns a /64 in 2001:db8::/48.
func subnet(i int) netip.Prefix { return netip.MustParsePrefix(fmt.Sprintf("2001:db8:0:%x::/64", i)) }

// A flood from many networks cannot keep out a user in another one, even if all of its
// attempts came first.
func TestLimiter_floodFromManyNetworks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := New()
		var flood sync.WaitGroup
		for i := range 500 {
			address := netip.MustParsePrefix(fmt.Sprintf("10.0.%d.%d/32", i/250, i%250))
			l.Begin(address, "failed before")
			a, wait := l.Begin(address, "ada")
			require.Zero(t, wait)
			flood.Go(func() { a.Hash(t.Context(), func() { time.Sleep(100 * time.Millisecond) }) })
		}
		synctest.Wait()
		a, wait := l.Begin(here, "ada")
		require.Zero(t, wait)
		start := time.Now()
		require.NoError(t, a.Hash(t.Context(), func() {}))
		require.LessOrEqual(t, time.Since(start), 100*time.Millisecond)
		flood.Wait()
		require.Equal(t, MaxHashes, l.free)
		require.Empty(t, l.waiting)
	})
}

// One network cannot take all slots for hashing: neither one address nor many.
func TestLimiter_slots(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := New()
		release := make(chan struct{})
		var flood sync.WaitGroup
		for i := range networkAttempts {
			a, wait := l.Begin(subnet(i), strconv.Itoa(i))
			require.Zero(t, wait)
			flood.Go(func() { a.Hash(t.Context(), func() { <-release }) })
		}
		synctest.Wait()
		require.Equal(t, MaxHashes-maxNetworkHashes, l.free)
		a, wait := l.Begin(there, "ada")
		require.Zero(t, wait)
		start := time.Now()
		require.NoError(t, a.Hash(t.Context(), func() {}))
		require.Zero(t, time.Since(start))
		close(release)
		flood.Wait()
		require.Equal(t, MaxHashes, l.free)
	})
}
