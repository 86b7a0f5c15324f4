package integration

import (
	"context"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/redisstore"
)

// A canceled lookup must not leave its answer to the next one on the same connection
// (CVE-2025-47907), which would authenticate users as each other.
func TestLookup_canceledDoesNotAnswerAnother(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d database) {
		store, _ := d.store(t)
		cancelLookups(t, store)
	})
	t.Run("Redis", func(t *testing.T) {
		t.Parallel()
		option := redisOption(t)
		option.DisableCache = true
		store := redisStoreOver(t, option, redisstore.Config{Prefix: redisPrefix(t, openRedis(t, option))})
		cancelLookups(t, store)
	})
	t.Run("Redis, cached", func(t *testing.T) {
		t.Parallel()
		store, _, _ := openRedisStore(t, redisstore.Config{})
		cancelLookups(t, store)
	})
}

// cancelLookups cancels about half of many lookups: 2,000, or AUTH_TEST_LOOKUPS.
func cancelLookups(t *testing.T, store auth.Store) {
	t.Helper()
	const goroutines = 8
	lookups := 2_000
	if text := os.Getenv("AUTH_TEST_LOOKUPS"); text != "" {
		var err error
		lookups, err = strconv.Atoi(text)
		require.NoError(t, err)
	}
	c := &canceler{store: store, bearer: newBearer(t, store)}
	for i := range c.tokens {
		var err error
		c.tokens[i], _, err = c.bearer.Issue(t.Context(), userName(i),
			auth.TokenOptions{Name: "script", Scopes: []string{auth.FullAccess}, Lifetime: auth.NoExpiry})
		require.NoError(t, err)
	}
	counts := make(chan lookupCounts, goroutines)
	for range goroutines {
		go func() { counts <- c.run(t.Context(), lookups/goroutines) }()
	}
	var sum lookupCounts
	for range goroutines {
		n := <-counts
		require.NoError(t, n.err)
		sum.answered, sum.canceled = sum.answered+n.answered, sum.canceled+n.canceled
	}
	t.Logf("%d answered, %d canceled", sum.answered, sum.canceled)
	require.NotZero(t, sum.answered)
	require.NotZero(t, sum.canceled)
	for i, token := range c.tokens {
		userID, err := c.lookup(t.Context(), token)
		require.NoError(t, err)
		require.Equal(t, userName(i), userID)
	}
}

// A canceler looks up tokens of many users and cancels some of the lookups.
type canceler struct {
	store  auth.Store
	bearer *auth.Bearer
	tokens [50]string
}

func userName(i int) string { return fmt.Sprint("user-", i) }

// lookup calls the store itself: the Bearer would treat a wrong record as an outage.
func (c *canceler) lookup(ctx context.Context, token string) (userID string, err error) {
	found, err := c.store.Lookup(ctx, auth.KindToken, sha256.Sum256([]byte(token)))
	if err != nil {
		return "", err
	}
	return found.UserID, nil
}

func (c *canceler) authenticate(ctx context.Context, token string) (userID string, err error) {
	id, err := c.bearer.Authenticate(bearerRequest(token).WithContext(ctx))
	if err != nil {
		return "", err
	}
	return id.UserID, nil
}

type lookupCounts struct {
	answered, canceled int
	err                error
}

// run makes n lookups. It adapts its timeout so that about half of them are canceled.
func (c *canceler) run(ctx context.Context, n int) (counts lookupCounts) {
	timeout := time.Millisecond
	for n := range n {
		i := rand.IntN(len(c.tokens))
		call := c.lookup
		if n%2 == 0 {
			call = c.authenticate
		}
		userID, canceled, err := cancelAfter(ctx, rand.N(timeout), func(ctx context.Context) (string, error) { return call(ctx, c.tokens[i]) })
		switch {
		case err == nil && userID != userName(i):
			counts.err = fmt.Errorf("the token of %s authenticates %s", userName(i), userID)
		case err == nil:
			counts.answered++
			timeout = max(timeout*8/9, time.Microsecond)
		case canceled:
			counts.canceled++
			timeout = min(timeout*9/8+1, time.Second)
		default:
			counts.err = fmt.Errorf("not canceled: %w", err)
		}
	}
	return counts
}

// cancelAfter cancels the context of a call after d, and reports whether it has done so
// before the call returned.
func cancelAfter(ctx context.Context, d time.Duration, call func(context.Context) (string, error)) (userID string, canceled bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	timer := time.AfterFunc(d, cancel)
	userID, err = call(ctx)
	timer.Stop()
	return userID, ctx.Err() != nil, err
}
