package seal_test

import (
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth/internal/seal"
	"github.com/seed-31c5bcb2/auth/internal/token"
)

func cached(c *seal.Cookies) int { n, _ := c.Cached(); return n }

// Only values that opened are cached, and no other value opens because of them.
func TestCached(t *testing.T) {
	t.Parallel()
	c := newCookies(key(1))
	value := sealed(t, c, "x")
	require.Zero(t, cached(c))
	for range 3 {
		require.True(t, opens(c, value))
		require.Equal(t, 1, cached(c))
	}
	for _, mutated := range mutations(value) {
		if mutated != value {
			require.False(t, opens(c, mutated))
		}
	}
	require.Equal(t, 1, cached(c), "rejected values are not cached")
	stranger := newCookies(key(9))
	require.False(t, opens(stranger, value), "under another key")
	require.Zero(t, cached(stranger))
}

// Values that are longer than any of SignIn are neither made nor opened.
func TestCached_longValue(t *testing.T) {
	t.Parallel()
	_, err := newCookies(key(1)).Seal(strings.Repeat("a", 256))
	require.Error(t, err)
}

// A cached value expires as if it were opened each time.
func TestCached_expires(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCookies(key(1))
		value := sealed(t, c, "x")
		require.True(t, opens(c, value))
		time.Sleep(time.Hour)
		require.True(t, opens(c, value))
		time.Sleep(time.Second)
		digest, verdict := c.Open(value, time.Now())
		require.Equal(t, seal.Expired, verdict)
		require.Equal(t, token.Digest("x"), digest)
	})
}

// A machine whose clock is set back rejects what it has cached, and accepts it again later.
func TestCached_clockSetBack(t *testing.T) {
	t.Parallel()
	c := newCookies(key(1))
	value, now := sealed(t, c, "x"), time.Now()
	for _, test := range []struct {
		at   time.Time
		want seal.Verdict
	}{
		{now, seal.Valid}, {now.Add(-time.Hour), seal.Ahead}, {now.Add(30 * time.Minute), seal.Valid}, {now.Add(2 * time.Hour), seal.Expired}, {now, seal.Valid},
	} {
		_, verdict := c.Open(value, test.at)
		require.Equal(t, test.want, verdict, "%v", test.at.Sub(now))
	}
	require.Equal(t, 1, cached(c))
}

// A value that is too old when it is first seen takes no place in the cache.
func TestCached_onlyValidValues(t *testing.T) {
	t.Parallel()
	c := newCookies(key(1))
	value := sealed(t, c, "x")
	for _, at := range []time.Time{time.Now().Add(2 * time.Hour), time.Now().Add(-time.Hour)} {
		c.Open(value, at)
		require.Zero(t, cached(c))
	}
}

func TestCached_isBounded(t *testing.T) {
	t.Parallel()
	c := newCookies(key(1))
	_, most := c.Cached()
	require.Equal(t, 16*1024, most)
	for i := range most + 1000 {
		if i%16 == 0 {
			require.False(t, opens(c, "AAAA"+strings.Repeat("B", i%64)+"AAAA"))
		}
		require.True(t, opens(c, sealed(t, c, "x")))
	}
	n := cached(c)
	require.LessOrEqual(t, n, most)
	require.Greater(t, n, most*9/10)
}

func TestCached_concurrently(t *testing.T) {
	t.Parallel()
	c := newCookies(key(1))
	shared := sealed(t, c, "shared")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 100 {
				plaintext := token.New("")
				own, err := c.Seal(plaintext)
				for range 3 {
					mine, v1 := c.Open(own, time.Now())
					ours, v2 := c.Open(shared, time.Now())
					if err != nil || v1 != seal.Valid || v2 != seal.Valid || mine != token.Digest(plaintext) || ours != token.Digest("shared") {
						t.Errorf("opened to another token (%v)", err)
					}
				}
			}
		})
	}
	wg.Wait()
	require.Equal(t, 801, cached(c))
}
