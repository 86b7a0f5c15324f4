package integration

import (
	"context"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

// A lookup that is given up must not leave its answer to the next one on the same
// connection (CVE-2025-47907): that would sign people in as somebody else.
func TestCanceledLookupsAnswerNobodyElse(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d database) {
		store, _ := d.store(t)
		answersNobodyElse(t, store)
	})
	t.Run("Redis", func(t *testing.T) {
		t.Parallel()
		option := redisOption(t)
		option.DisableCache = true
		store := redisStoreOver(t, option, redisPrefix(t, openRedis(t, option)))
		answersNobodyElse(t, store)
	})
	t.Run("Redis, cached", func(t *testing.T) {
		t.Parallel()
		store, _, _ := openRedisStore(t)
		answersNobodyElse(t, store)
	})
}

// answersNobodyElse gives up about half of many lookups: 2,000, or as many as
// AUTH_TEST_LOOKUPS says.
func answersNobodyElse(t *testing.T, store auth.Store) {
	t.Helper()
	const users, goroutines = 50, 8
	lookups := 2_000
	if text := os.Getenv("AUTH_TEST_LOOKUPS"); text != "" {
		var err error
		lookups, err = strconv.Atoi(text)
		require.NoError(t, err)
	}
	bearer, err := auth.NewBearer(store, auth.BearerConfig{})
	require.NoError(t, err)
	t.Cleanup(func() { bearer.Close(context.Background()) })
	var tokens [users]string
	for i := range tokens {
		tokens[i], _, err = bearer.Issue(t.Context(), fmt.Sprint("user-", i), auth.NewToken{Name: "script"})
		require.NoError(t, err)
	}

	// lookup asks the store itself: the Bearer would take a wrong record for
	// an outage.
	lookup := func(ctx context.Context, token string) (userID string, err error) {
		c, err := store.Lookup(ctx, auth.KindToken, sha256.Sum256([]byte(token)))
		if err != nil {
			return "", err
		}
		return c.UserID, nil
	}
	authenticate := func(ctx context.Context, token string) (userID string, err error) {
		r, err := http.NewRequestWithContext(ctx, "GET", "/", nil)
		if err != nil {
			return "", err
		}
		r.Header.Set("Authorization", "Bearer "+token)
		id, err := bearer.Authenticate(r)
		if err != nil {
			return "", err
		}
		return id.UserID, nil
	}
	type result struct {
		good, canceled int
		err            error
	}
	results := make(chan result, goroutines)
	for range goroutines {
		go func() {
			var r result
			patience := time.Millisecond // it adapts, so that about half are given up
			for n := range lookups / goroutines {
				i := rand.IntN(users)
				ctx, cancel := context.WithCancel(t.Context())
				timer := time.AfterFunc(rand.N(patience), cancel)
				ask := lookup
				if n%2 == 0 {
					ask = authenticate
				}
				userID, err := ask(ctx, tokens[i])
				timer.Stop()
				over := ctx.Err() != nil
				cancel()
				switch {
				case err == nil && userID != fmt.Sprint("user-", i):
					r.err = fmt.Errorf("the token of user-%d is taken for %s's", i, userID)
				case err == nil:
					r.good++
					patience = max(patience*8/9, time.Microsecond)
				case over:
					r.canceled++
					patience = min(patience*9/8+1, time.Second)
				default:
					r.err = fmt.Errorf("nobody gave it up: %w", err)
				}
			}
			results <- r
		}()
	}
	var sum result
	for range goroutines {
		r := <-results
		require.NoError(t, r.err)
		sum.good, sum.canceled = sum.good+r.good, sum.canceled+r.canceled
	}
	t.Logf("%d answered, %d given up", sum.good, sum.canceled)
	require.NotZero(t, sum.good)
	require.NotZero(t, sum.canceled)
	for i, token := range tokens {
		userID, err := lookup(t.Context(), token)
		require.NoError(t, err)
		require.Equal(t, fmt.Sprint("user-", i), userID)
	}
}
