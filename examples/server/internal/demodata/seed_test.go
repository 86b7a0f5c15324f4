package demodata

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

// seedOptions returns what the server passes to Seed.
func seedOptions(t *testing.T, s *Storage, keys ...[]byte) SeedOptions {
	t.Helper()
	bearer, err := auth.NewBearer(s.Credentials, auth.BearerConfig{Prefix: "demo_pat"})
	require.NoError(t, err)
	secret, err := auth.NewSecret(s.Credentials, auth.SecretConfig{Prefix: "demo_cs", RevealKeys: keys})
	require.NoError(t, err)
	return SeedOptions{Bearer: bearer, Secret: secret, Scopes: []string{"notes:read"}, Keys: keys}
}

// A process that died while it seeded leaves a claim. The next one waits, because
// the other may still be running, then removes what is there and seeds again.
func TestSeed_afterInterruptedSeed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := openTestStorage(t, "memory:")
		o := seedOptions(t, s, newKey())
		require.NoError(t, s.AddUser(t.Context(), &User{ID: userID(0), Name: "left over"}))
		_, _, err := o.Secret.Issue(t.Context(), userID(0), auth.SecretOptions{Scopes: []string{auth.FullAccess}, Lifetime: auth.NoExpiry}) // a second one would be a conflict
		require.NoError(t, err)
		start := time.Now()
		swapped, err := s.swapMark(t.Context(), "", newMark(claimed, start))
		require.NoError(t, err)
		require.True(t, swapped)

		seeded, err := s.Seed(t.Context(), o)
		require.NoError(t, err)
		require.NotEmpty(t, seeded.Token)
		require.InDelta(t, claimEnd.Seconds(), time.Since(start).Seconds(), 0.1)
		_, err = s.UserByName(t.Context(), "left over")
		require.ErrorIs(t, err, auth.ErrNotFound)
	})
}

func TestSeed_waitsForAnotherProcess(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := openTestStorage(t, "memory:")
		o := seedOptions(t, s, newKey())
		other := &seeder{s, o, fingerprints(o.Keys)}
		claim := newMark(claimed, time.Now())
		_, err := s.swapMark(t.Context(), "", claim)
		require.NoError(t, err)
		at := time.Now().Add(seedTime).UTC()
		time.AfterFunc(seedTime, func() { s.swapMark(t.Context(), claim, other.doneMark(at)) })
		seeded, err := s.Seed(t.Context(), o)
		require.NoError(t, err)
		require.Equal(t, &Seeded{at: at}, seeded)
	})
}

// If another process has taken over the claim, what this one made is removed, so it
// must not print credentials.
func TestSeed_claimTakenOver(t *testing.T) {
	t.Parallel()
	s := openTestStorage(t, "memory:")
	s.State = &takenOver{s.State}
	seeded, err := s.Seed(t.Context(), seedOptions(t, s, newKey()))
	require.ErrorContains(t, err, "another process has reset the store")
	require.Nil(t, seeded)
}

// takenOver is a State that another process claims while users are created.
type takenOver struct{ State }

func (s *takenOver) AddUser(ctx context.Context, u *User) error {
	mark, err := s.mark(ctx)
	if err != nil {
		return err
	}
	if _, err := s.swapMark(ctx, mark, newMark(claimed, time.Now().Add(time.Hour))); err != nil {
		return err
	}
	return s.State.AddUser(ctx, u)
}

// Data that this version has not made is replaced only with Reset.
func TestSeed_otherData(t *testing.T) {
	t.Parallel()
	eachStorage(t, func(t *testing.T, s *Storage) {
		newTestUser(t, s, userID(0), "old")
		for _, mark := range []string{"", "seeded by an earlier version"} {
			if mark != "" {
				swapped, err := s.swapMark(t.Context(), "", mark)
				require.NoError(t, err)
				require.True(t, swapped)
			}
			_, err := s.Seed(t.Context(), seedOptions(t, s, newKey()))
			require.ErrorContains(t, err, "start with -reset")
			_, err = s.UserByName(t.Context(), "old")
			require.NoError(t, err)
		}
		o := seedOptions(t, s, newKey())
		o.Reset = true
		seeded, err := s.Seed(t.Context(), o)
		require.NoError(t, err)
		require.NotEmpty(t, seeded.Token)
	})
}

// The store records which key is in use, across key rotations.
func TestSeed_detectsOtherKeys(t *testing.T) {
	t.Parallel()
	s := openTestStorage(t, "memory:")
	a, b, c := newKey(), newKey(), newKey()
	seed := func(reset bool, keys ...[]byte) *Seeded {
		o := seedOptions(t, s, keys...)
		o.Reset = reset
		seeded, err := s.Seed(t.Context(), o)
		require.NoError(t, err)
		return seeded
	}
	require.False(t, seed(false, a).otherKeys)
	_, at, _ := readMark(markOf(t, s))
	for _, start := range []struct {
		keys   auth.Keys
		others bool
	}{
		{auth.Keys{a}, false},
		{auth.Keys{b}, true},
		{auth.Keys{b, c}, true},
		{auth.Keys{a}, false}, // those did not change the recorded key
		{auth.Keys{a, b}, false},
		{auth.Keys{b, a}, false},
		{auth.Keys{b}, false},
		{auth.Keys{a}, true}, // b is in use now
		{auth.Keys{c, a}, true},
		{auth.Keys{b}, false},
	} {
		seeded := seed(false, start.keys...)
		require.Equal(t, start.others, seeded.otherKeys)
		require.Equal(t, at, seeded.at)
	}
	require.False(t, seed(true, c).otherKeys)
	require.True(t, seed(false, b).otherKeys)
	for _, key := range []string{string(c), inBase64(c)} {
		require.NotContains(t, markOf(t, s), key)
	}
}

func markOf(t *testing.T, s State) string {
	t.Helper()
	mark, err := s.mark(t.Context())
	require.NoError(t, err)
	return mark
}
