package main

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// When all slots are taken, a sign-in gives up after a while. An unknown name
// does too: it waits for a slot to hash in, as a known one does.
func TestPasswordHashesAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // the wait is on its clock
		as := newAccounts(newMemoryState())
		require.NoError(t, as.state.addAccount(t.Context(), &account{"user-1", "ada", newPasswordHash("right")}))
		for range maxHashes {
			as.slots <- struct{}{}
		}
		for _, name := range []string{"ada", "nobody"} {
			start := time.Now()
			_, err := as.signIn(t.Context(), name, "right")
			require.ErrorIs(t, err, errBusy)
			require.Equal(t, 3*time.Second, time.Since(start))
		}
		<-as.slots
		a, err := as.signIn(t.Context(), "ada", "right")
		require.NoError(t, err)
		require.Equal(t, "user-1", a.ID)
		_, err = as.signIn(t.Context(), "nobody", "right")
		require.ErrorIs(t, err, errWrongPassword)
		require.Len(t, as.slots, maxHashes-1, "a slot was not given back")
	})
}

func TestPasswordCheckEndsWithItsRequest(t *testing.T) {
	t.Parallel()
	as := newAccounts(newMemoryState())
	for range maxHashes {
		as.slots <- struct{}{}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := as.signIn(ctx, "ada", "x")
	require.ErrorIs(t, err, errBusy)
}

func TestPasswordHash(t *testing.T) {
	t.Parallel()
	h, other := newPasswordHash("right"), newPasswordHash("right")
	require.True(t, h.matches("right"))
	require.False(t, h.matches("Right"))
	require.False(t, h.matches(""))
	require.NotEqual(t, h, other, "each has its own salt")

	again, err := parsePasswordHash(h.String())
	require.NoError(t, err)
	require.Equal(t, h, again)
	require.True(t, again.matches("right"))
	for _, text := range []string{"", phc, h.String() + "A", h.String()[1:], h.String()[:len(h.String())-1], phc + "$", strings.Replace(h.String(), "t=2", "t=1", 1)} {
		_, err := parsePasswordHash(text)
		require.Error(t, err, text)
	}
}
