package integration

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/redisstore"
)

// A redisChange is what a function of Notify was called with.
type redisChange struct {
	kind   auth.Kind
	userID string
}

// redisChanges returns what a store reports. Changes beyond a thousand are lost.
func redisChanges(t *testing.T, store *redisstore.Store) <-chan redisChange {
	t.Helper()
	changes := make(chan redisChange, 1000)
	stop, err := store.Notify(func(kind auth.Kind, userID string) {
		select {
		case changes <- redisChange{kind, userID}:
		default:
		}
	})
	require.NoError(t, err)
	t.Cleanup(stop)
	return changes
}

// awaitChange waits for a change, and skips others.
func awaitChange(t *testing.T, changes <-chan redisChange, want redisChange) {
	t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case got := <-changes:
			if got == want {
				return
			}
		case <-timeout:
			t.Fatalf("no notification of %+v", want)
		}
	}
}

// A lost connection is reported, and so is the next one. A lookup after that sees what was
// missed.
func TestRedisStore_notifyAfterLostConnection(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	here, _, prefix := openRedisStore(t, redisstore.Config{})
	option, p := redisThroughProxy(t)
	there := redisStoreOver(t, option, redisstore.Config{Prefix: prefix})
	t.Cleanup(func() { require.NoError(t, there.Close()) })
	changes := redisChanges(t, there)
	awaitChange(t, changes, redisChange{}) // connected
	for range 20 {
		c := record(auth.KindToken, "alice")
		require.NoError(t, here.Create(ctx, c, 0))
		awaitRecovery(t, there)
		require.NoError(t, lookup(t, there, c))
		p.hang(0, true) // so that the message is lost
		require.NoError(t, here.Revoke(ctx, c.Ref()))
		p.cut()
		awaitChange(t, changes, redisChange{}) // lost
		p.resume()
		awaitChange(t, changes, redisChange{})
		if _, err := there.Lookup(ctx, c.Kind, c.Digest); !errors.Is(err, auth.ErrNotFound) {
			requireOutage(t, err)
		}
	}
}

// Notify returns the error of Redis if the user may not subscribe, and can be called again.
// After Close no function is called.
func TestRedisStore_notifyRefused(t *testing.T) {
	t.Parallel()
	_, admin, limited := limitedRedis(t, "auth:")
	permit(t, admin, documentedACL(t)...)
	permit(t, admin, "resetchannels")
	store := redisStoreOver(t, limited, redisstore.Config{})
	_, err := store.Notify(func(auth.Kind, string) { t.Error("called without a subscription") })
	require.ErrorContains(t, err, "NOPERM")
	permit(t, admin, "&auth:changes")
	changes := redisChanges(t, store)
	c := record(auth.KindToken, "alice")
	require.NoError(t, store.Create(t.Context(), c, 0))
	require.NoError(t, store.Revoke(t.Context(), c.Ref()))
	awaitChange(t, changes, redisChange{auth.KindToken, "alice"})
	require.NoError(t, store.Close())
	require.NoError(t, store.Close())
	_, err = store.Notify(func(auth.Kind, string) {})
	require.Error(t, err)
	require.ErrorIs(t, lookup(t, store, c), auth.ErrRevoked, "the other methods keep working")
}

// A function that stops itself, which it must not do, delays notifications by 5 seconds, and is
// not called again.
func TestRedisStore_stopWithinNotification(t *testing.T) {
	t.Parallel()
	here, _, prefix := openRedisStore(t, redisstore.Config{})
	there := redisStoreOver(t, redisOption(t), redisstore.Config{Prefix: prefix})
	stops, calls := make(chan func(), 1), make(chan struct{}, 100)
	stop, err := there.Notify(func(kind auth.Kind, _ string) {
		if kind != 0 {
			calls <- struct{}{}
			(<-stops)()
		}
	})
	require.NoError(t, err)
	stops <- stop
	changes := redisChanges(t, there)
	for _, userID := range []string{"alice", "bob"} {
		c := record(auth.KindToken, userID)
		require.NoError(t, here.Create(t.Context(), c, 0))
		require.NoError(t, here.Revoke(t.Context(), c.Ref()))
		awaitChange(t, changes, redisChange{auth.KindToken, userID})
	}
	require.Len(t, calls, 1)
	require.NoError(t, there.Close())
}

// Close does not wait forever for a function that blocks, which it must not do.
func TestRedisStore_closeWhileNotificationBlocks(t *testing.T) {
	t.Parallel()
	store, _, _ := openRedisStore(t, redisstore.Config{})
	entered, blocked := make(chan struct{}), make(chan struct{})
	release := sync.OnceFunc(func() { close(blocked) })
	defer release()
	_, err := store.Notify(func(kind auth.Kind, _ string) {
		if kind != 0 {
			close(entered)
			<-blocked
		}
	})
	require.NoError(t, err)
	c := record(auth.KindToken, "alice")
	require.NoError(t, store.Create(t.Context(), c, 0))
	require.NoError(t, store.Revoke(t.Context(), c.Ref()))
	<-entered
	require.ErrorContains(t, store.Close(), "did not return")
	release()
	require.NoError(t, store.Close())
}
