package keycache_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth/internal/keycache"
)

var config = keycache.Config{Name: "the keys", Lifetime: time.Hour, Stale: 2 * time.Hour, Pause: time.Minute, FailedPause: time.Second}

// Whatever is asked for, by however many, there is one fetch in each pause.
func TestFind_fetchesSeldom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		fetches := 0
		c := keycache.New(config, func(context.Context) (map[string]int, error) {
			time.Sleep(time.Second)
			fetches++
			return map[string]int{"a": fetches}, nil
		})
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() {
				key, found, err := c.Find(t.Context(), "a")
				_, junk, junkErr := c.Find(t.Context(), "b")
				if key != 1 || !found || err != nil || junk || junkErr != nil {
					t.Errorf("key %d, found %t, errors %v and %v", key, found, err, junkErr)
				}
			})
		}
		all.Wait()
		require.Equal(t, 1, fetches)
		time.Sleep(time.Minute)
		_, found, err := c.Find(t.Context(), "b")
		require.NoError(t, err)
		require.False(t, found)
		require.Equal(t, 2, fetches)
	})
}

// Keys outlive failed fetches until they are stale, and not the news that there are none.
func TestFind_failures(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		failed := errors.New("failed")
		keys, err := map[string]int{"a": 1}, error(nil)
		c := keycache.New(config, func(context.Context) (map[string]int, error) { return keys, err })
		find := func(want bool, wantErr error) {
			t.Helper()
			_, found, err := c.Find(t.Context(), "a")
			require.Equal(t, want, found)
			require.ErrorIs(t, err, wantErr)
		}
		find(true, nil)
		keys, err = nil, failed
		time.Sleep(2*time.Hour - time.Nanosecond)
		find(true, nil)
		time.Sleep(time.Nanosecond)
		find(false, failed)
		keys, err = map[string]int{"a": 1}, nil
		time.Sleep(time.Second)
		find(true, nil)
		keys, err = map[string]int{}, failed
		time.Sleep(time.Hour)
		find(false, failed)
	})
}

// A caller that goes away does not end the fetch, which another one gets.
func TestFind_canceled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := keycache.New(config, func(ctx context.Context) (map[string]int, error) {
			time.Sleep(5 * time.Second)
			return map[string]int{"a": 1}, ctx.Err()
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, _, err := c.Find(ctx, "a")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		_, found, err := c.Find(t.Context(), "a")
		require.NoError(t, err)
		require.True(t, found)
	})
}
