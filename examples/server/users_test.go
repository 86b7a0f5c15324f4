package main

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth/examples/server/internal/demodata"
	"github.com/seed-31c5bcb2/auth/examples/server/internal/password"
)

// If all slots are taken, signIn waits three seconds for one, even for an unknown
// name.
func TestUsersSignIn_waitsForSlot(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		us := newUsers(openStorage(t, "memory:"))
		ada := &demodata.User{ID: "user-1", Name: "ada", Password: password.New("right")}
		require.NoError(t, us.state.AddUser(t.Context(), ada))
		for range maxHashes {
			us.slots <- struct{}{}
		}
		for _, name := range []string{"ada", "unknown"} {
			start := time.Now()
			_, err := us.signIn(t.Context(), name, "right")
			require.ErrorIs(t, err, errBusy)
			require.Equal(t, 3*time.Second, time.Since(start))
		}
		<-us.slots
		u, err := us.signIn(t.Context(), "ada", "right")
		require.NoError(t, err)
		require.Equal(t, "user-1", u.ID)
		_, err = us.signIn(t.Context(), "unknown", "right")
		require.ErrorIs(t, err, errWrongPassword)
		require.Len(t, us.slots, maxHashes-1, "a slot was not released")
	})
}

func TestUsersSignIn_canceledContext(t *testing.T) {
	t.Parallel()
	us := newUsers(openStorage(t, "memory:"))
	for range maxHashes {
		us.slots <- struct{}{}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := us.signIn(ctx, "ada", "x")
	require.ErrorIs(t, err, errBusy)
}
