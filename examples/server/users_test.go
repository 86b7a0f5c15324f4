package main

import (
	"context"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth/examples/server/internal/demodata"
	"github.com/seed-31c5bcb2/auth/examples/server/internal/password"
)

var here, there = netip.MustParsePrefix("192.0.2.1/32"), netip.MustParsePrefix("192.0.2.2/32")

// If too many passwords are being hashed, signIn waits three seconds, even for an
// unknown name. Such attempts do not count as failed.
func TestUsersSignIn_waitsForSlot(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		us := newUsers(openStorage(t, "memory:"))
		ada := &demodata.User{ID: "user-1", Name: "ada", Password: password.New("right")}
		require.NoError(t, us.state.AddUser(t.Context(), ada))
		for range maxHashes {
			us.limiter.hashes <- struct{}{}
		}
		for range 2 * pairAttempts {
			for _, name := range []string{"ada", "unknown"} {
				start := time.Now()
				_, err := us.signIn(t.Context(), here, name, "right")
				require.ErrorIs(t, err, errBusy)
				require.Equal(t, 3*time.Second, time.Since(start))
			}
		}
		<-us.limiter.hashes
		u, err := us.signIn(t.Context(), here, "ada", "right")
		require.NoError(t, err)
		require.Equal(t, "user-1", u.ID)
		_, err = us.signIn(t.Context(), here, "unknown", "right")
		require.ErrorIs(t, err, errWrongPassword)
		require.Len(t, us.limiter.hashes, maxHashes-1, "a slot was not released")
	})
}

func TestUsersSignIn_canceledContext(t *testing.T) {
	t.Parallel()
	us := newUsers(openStorage(t, "memory:"))
	for range maxHashes {
		us.limiter.hashes <- struct{}{}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := us.signIn(ctx, here, "ada", "x")
	require.ErrorIs(t, err, errBusy)
}
