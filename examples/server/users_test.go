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
	"github.com/seed-31c5bcb2/auth/examples/server/internal/limiter"
	"github.com/seed-31c5bcb2/auth/examples/server/internal/password"
)

var here = netip.MustParsePrefix("192.0.2.1/32")

// useUp uses up all attempts, and returns their number.
func useUp(l *limiter.Limiter, address netip.Prefix, name string) (attempts int) {
	for {
		if _, wait := l.Begin(address, name); wait > 0 {
			return attempts
		}
		attempts++
	}
}

// occupy hashes as many passwords as can be hashed at once, until release is called.
func occupy(t *testing.T, l *limiter.Limiter) (release func()) {
	t.Helper()
	ended, begun := make(chan struct{}), make(chan struct{})
	var all sync.WaitGroup
	for i := range limiter.MaxHashes {
		a, wait := l.Begin(netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 51, 100, byte(i)}), 32), "")
		require.Zero(t, wait)
		all.Go(func() {
			assert.NoError(t, a.Hash(t.Context(), func() {
				begun <- struct{}{}
				<-ended
			}))
		})
		<-begun
	}
	return func() {
		close(ended)
		all.Wait()
	}
}

// If too many passwords are being hashed, signIn waits three seconds, even for an
// unknown name.
func TestUsersSignIn_waitsForSlot(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		us := newUsers(openStorage(t, "memory:"))
		ada := &demodata.User{ID: "user-1", Name: "ada", Password: password.New("right")}
		require.NoError(t, us.state.AddUser(t.Context(), ada))
		release := occupy(t, us.limiter)
		for range 2 * limiter.PairAttempts {
			for _, name := range []string{"ada", "unknown"} {
				start := time.Now()
				_, err := us.signIn(t.Context(), here, name, "right")
				require.ErrorIs(t, err, limiter.ErrBusy)
				require.Equal(t, 3*time.Second, time.Since(start))
			}
		}
		release()
		u, err := us.signIn(t.Context(), here, "ada", "right")
		require.NoError(t, err)
		require.Equal(t, "user-1", u.ID)
		_, err = us.signIn(t.Context(), here, "unknown", "right")
		require.ErrorIs(t, err, errWrongPassword)
		occupy(t, us.limiter)() // all slots were released
	})
}

func TestUsersSignIn_canceledContext(t *testing.T) {
	t.Parallel()
	us := newUsers(openStorage(t, "memory:"))
	defer occupy(t, us.limiter)()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := us.signIn(ctx, here, "ada", "x")
	require.ErrorIs(t, err, limiter.ErrBusy)
}

// Attempts that wait in vain, and those whose client hangs up, count: otherwise they
// could keep others waiting without a limit.
func TestUsersSignIn_vainAttemptsCount(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		us := newUsers(openStorage(t, "memory:"))
		defer occupy(t, us.limiter)() // others are hashing
		var all sync.WaitGroup
		for i := range limiter.PairAttempts {
			all.Go(func() {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if i%2 == 0 {
					cancel()
				}
				_, err := us.signIn(ctx, here, "ada", "guess")
				assert.ErrorIs(t, err, limiter.ErrBusy)
			})
		}
		all.Wait()
		require.Zero(t, useUp(us.limiter, here, "ada"))
	})
}
