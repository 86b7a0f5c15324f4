package main

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

// fail uses up all attempts, and returns their number and how long to wait.
func fail(l *limiter, address netip.Prefix, name func(i int) string) (attempts int, wait time.Duration) {
	for {
		if _, wait := l.begin(address, name(attempts)); wait > 0 {
			return attempts, wait
		}
		attempts++
	}
}

func always(name string) func(int) string { return func(int) string { return name } }

func TestLimiter_pair(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter()
		attempts, wait := fail(l, here, always("ada"))
		require.Equal(t, pairAttempts, attempts)
		require.Equal(t, pairInterval, wait)
		for _, other := range []struct {
			address netip.Prefix
			name    string
		}{{there, "ada"}, {here, "grace"}, {here, ""}} {
			attempts, _ := fail(l, other.address, always(other.name))
			require.Equal(t, pairAttempts, attempts, "%s from %s", other.name, other.address)
		}
		time.Sleep(pairInterval)
		attempts, _ = fail(l, here, always("ada"))
		require.Equal(t, 1, attempts)
		time.Sleep(time.Hour)
		attempts, _ = fail(l, here, always("ada"))
		require.Equal(t, pairAttempts, attempts)
	})
}

// One address cannot try a password with many names either.
func TestLimiter_address(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter()
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
		l := newLimiter()
		for range 5 * addressAttempts {
			a, wait := l.begin(here, "ada")
			require.Zero(t, wait)
			a.forget()
		}
		attempts, _ := fail(l, here, always("ada"))
		require.Equal(t, pairAttempts, attempts)
	})
}

// The memory is bounded. An address at its limit does not make entries, which would
// push out that of its limit.
func TestLimiter_bounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter()
		for i := range 3 * maxEntries {
			l.begin(here, fmt.Sprint("name ", i))
		}
		require.Len(t, l.entries, 1+addressAttempts)
		for i := range 3 * maxEntries {
			address := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
			l.begin(netip.PrefixFrom(address, 32), strings.Repeat("long ", 1000))
			require.LessOrEqual(t, len(l.entries), maxEntries)
		}
		time.Sleep(time.Hour)
		for i := range maxEntries {
			address := netip.AddrFrom4([4]byte{11, byte(i >> 16), byte(i >> 8), byte(i)})
			l.begin(netip.PrefixFrom(address, 32), "ada")
		}
		require.LessOrEqual(t, len(l.entries), maxEntries)
	})
}

// One address cannot take all slots for hashing.
func TestLimiter_slots(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter()
		release := make(chan struct{})
		var flood sync.WaitGroup
		for i := range addressAttempts {
			a, wait := l.begin(here, strconv.Itoa(i))
			require.Zero(t, wait)
			flood.Go(func() { a.hash(t.Context(), func() { <-release }) })
		}
		synctest.Wait()
		require.Len(t, l.hashes, maxAddressHashes)
		a, wait := l.begin(there, "ada")
		require.Zero(t, wait)
		start := time.Now()
		require.NoError(t, a.hash(t.Context(), func() {}))
		require.Zero(t, time.Since(start))
		close(release)
		flood.Wait()
		require.Empty(t, l.hashes)
	})
}
