package main

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

func TestPurge(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // the hours pass on its clock
		s := newTestServer(t, "memory:")
		_, _, err := s.bearer.Issue(t.Context(), "user-1", auth.NewToken{Name: "short", Lifetime: time.Hour})
		require.NoError(t, err)
		_, kept, err := s.bearer.Issue(t.Context(), "user-1", auth.NewToken{Name: "long"})
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		go s.purgeEvery(ctx, time.Hour)

		left := func(after time.Duration) (ids []string) {
			time.Sleep(after)
			synctest.Wait()
			tokens, err := s.bearer.List(t.Context(), "user-1", auth.Page{})
			require.NoError(t, err)
			for _, c := range tokens {
				ids = append(ids, c.ID)
			}
			return ids
		}
		require.Len(t, left(24*time.Hour), 2, "expired for less than a day")
		require.Equal(t, []string{kept.ID}, left(3*time.Hour))
		cancel()
		synctest.Wait() // the goroutine ends, else Test would not
	})
}
