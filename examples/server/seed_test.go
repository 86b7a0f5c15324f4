package main

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

// A process that was cut off while it seeded leaves a claim: the next one waits,
// since it may yet be at it, then clears away what is there and makes it anew.
func TestSeedAfterOneThatWasCutOff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // the wait is on its clock
		s := newTestServer(t, "memory:")
		require.NoError(t, s.state.addAccount(t.Context(), &account{ID: userID(0), Name: "left over"}))
		_, _, err := s.secret.Assign(t.Context(), userID(0)) // a second one would be a conflict
		require.NoError(t, err)
		start := time.Now()
		swapped, err := s.state.swapMark(t.Context(), "", newMark(claimed, start))
		require.NoError(t, err)
		require.True(t, swapped)

		made, err := s.seed(t.Context(), false)
		require.NoError(t, err)
		require.NotEmpty(t, made.adaToken)
		require.InDelta(t, claimEnd.Seconds(), time.Since(start).Seconds(), 0.1)
		_, err = s.state.accountByName(t.Context(), "left over")
		require.ErrorIs(t, err, auth.ErrNotFound)
	})
}

// One that waits goes on with what the other has made.
func TestSeedByAnother(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newTestServer(t, "memory:")
		claim := newMark(claimed, time.Now())
		_, err := s.state.swapMark(t.Context(), "", claim)
		require.NoError(t, err)
		at := time.Now().Add(seedTime).UTC()
		time.AfterFunc(seedTime, func() { s.state.swapMark(t.Context(), claim, s.doneMark(at)) })
		made, err := s.seed(t.Context(), false)
		require.NoError(t, err)
		require.Equal(t, &seeded{at: at}, made)
	})
}

// Whose claim another has taken over prints nothing: what it made is gone.
func TestSeedThatIsOvertaken(t *testing.T) {
	t.Parallel()
	s := newTestServer(t, "memory:")
	s.state = &overtaken{s.state}
	made, err := s.seed(t.Context(), false)
	require.ErrorContains(t, err, "another process has reset the store")
	require.Nil(t, made)
}

// overtaken is a state that another process claims between two steps of ours.
type overtaken struct{ state }

func (o *overtaken) addAccount(ctx context.Context, a *account) error {
	mark, err := o.mark(ctx)
	if err != nil {
		return err
	}
	if _, err := o.swapMark(ctx, mark, newMark(claimed, time.Now().Add(time.Hour))); err != nil {
		return err
	}
	return o.state.addAccount(ctx, a)
}

// The store knows which key it is used with, across their rotation.
func TestSeedTellsOtherKeys(t *testing.T) {
	t.Parallel()
	storage := openTestStorage(t, "memory:")
	a, b, c := newKey(), newKey(), newKey()
	made, err := newServerOver(t, storage, auth.Keys{a}).seed(t.Context(), false)
	require.NoError(t, err)
	require.False(t, made.otherKeys)
	mark, err := storage.state.mark(t.Context())
	require.NoError(t, err)
	_, at, _ := readMark(mark)
	for _, start := range []struct {
		keys   auth.Keys
		others bool
	}{
		{auth.Keys{a}, false},
		{auth.Keys{b}, true},
		{auth.Keys{b, c}, true},
		{auth.Keys{a}, false}, // those did not change what is known
		{auth.Keys{a, b}, false},
		{auth.Keys{b, a}, false},
		{auth.Keys{b}, false},
		{auth.Keys{a}, true}, // cookies come from b now
		{auth.Keys{c, a}, true},
		{auth.Keys{b}, false},
	} {
		got, err := newServerOver(t, storage, start.keys).seed(t.Context(), false)
		require.NoError(t, err)
		require.Equal(t, start.others, got.otherKeys)
		require.Equal(t, at, got.at)
	}
	made, err = newServerOver(t, storage, auth.Keys{c}).seed(t.Context(), true)
	require.NoError(t, err)
	require.False(t, made.otherKeys)
	got, err := newServerOver(t, storage, auth.Keys{b}).seed(t.Context(), false)
	require.NoError(t, err)
	require.True(t, got.otherKeys)
	mark, err = storage.state.mark(t.Context())
	require.NoError(t, err)
	for _, key := range []string{string(c), inBase64(c)} {
		require.NotContains(t, mark, key)
	}
}
