package main

import (
	"context"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth/examples/server/internal/demodata"
	"github.com/seed-31c5bcb2/auth/examples/server/internal/password"
)

var here, there = netip.MustParsePrefix("192.0.2.1/32"), netip.MustParsePrefix("192.0.2.2/32")

// If too many passwords are being hashed, signIn waits three seconds, even for an
// unknown name.
func TestUsersSignIn_waitsForSlot(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		us := newUsers(openStorage(t, "memory:"))
		ada := &demodata.User{ID: "user-1", Name: "ada", Password: password.New("right")}
		require.NoError(t, us.state.AddUser(t.Context(), ada))
		us.limiter.free = 0
		for range 2 * pairAttempts {
			for _, name := range []string{"ada", "unknown"} {
				start := time.Now()
				_, err := us.signIn(t.Context(), here, name, "right")
				require.ErrorIs(t, err, errBusy)
				require.Equal(t, 3*time.Second, time.Since(start))
			}
		}
		us.limiter.free = 1
		u, err := us.signIn(t.Context(), here, "ada", "right")
		require.NoError(t, err)
		require.Equal(t, "user-1", u.ID)
		_, err = us.signIn(t.Context(), here, "unknown", "right")
		require.ErrorIs(t, err, errWrongPassword)
		require.Equal(t, 1, us.limiter.free, "a slot was not released")
	})
}

func TestUsersSignIn_canceledContext(t *testing.T) {
	t.Parallel()
	us := newUsers(openStorage(t, "memory:"))
	us.limiter.free = 0
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := us.signIn(ctx, here, "ada", "x")
	require.ErrorIs(t, err, errBusy)
}

// Attempts that wait in vain, and those whose client hangs up, count: otherwise they
// could keep others waiting without a limit.
func TestUsersSignIn_vainAttemptsCount(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		us := newUsers(openStorage(t, "memory:"))
		us.limiter.free = 0 // others are hashing
		var all sync.WaitGroup
		for i := range pairAttempts {
			all.Go(func() {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if i%2 == 0 {
					cancel()
				}
				_, err := us.signIn(ctx, here, "ada", "guess")
				assert.ErrorIs(t, err, errBusy)
			})
		}
		all.Wait()
		require.Empty(t, us.limiter.waiting)
		attempts, _ := fail(us.limiter, here, always("ada"))
		require.Zero(t, attempts)
	})
}
