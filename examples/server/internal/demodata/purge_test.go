package demodata

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

func TestPurgeEvery(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := openTestStorage(t, "memory:")
		bearer, err := auth.NewBearer(s.Credentials, auth.BearerConfig{})
		require.NoError(t, err)
		_, _, err = bearer.Issue(t.Context(), "user-1", auth.TokenOptions{Name: "short", Scopes: []string{auth.FullAccess}, Lifetime: time.Hour})
		require.NoError(t, err)
		_, kept, err := bearer.Issue(t.Context(), "user-1", auth.TokenOptions{Name: "long", Scopes: []string{auth.FullAccess}, Lifetime: auth.NoExpiry})
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		go s.PurgeEvery(ctx, time.Hour)

		left := func(after time.Duration) (ids []string) {
			time.Sleep(after)
			synctest.Wait()
			tokens, err := bearer.List(t.Context(), "user-1", auth.Page{})
			require.NoError(t, err)
			for _, c := range tokens {
				ids = append(ids, c.ID)
			}
			return ids
		}
		require.Len(t, left(24*time.Hour), 2, "expired for less than a day")
		require.Equal(t, []string{kept.ID}, left(3*time.Hour))
		cancel()
		synctest.Wait() // PurgeEvery must return, or synctest.Test would panic
	})
}
