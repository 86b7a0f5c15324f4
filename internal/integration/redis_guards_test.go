package integration

import (
	"context"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/redisstore"
)

// A delayingClient returns the reply to a script only when it may. So it processes the
// replies to two changes in another order than Redis made them.
type delayingClient struct {
	rueidis.Client
	made, reply chan struct{} // for the next script, if not nil
}

func (c *delayingClient) Do(ctx context.Context, cmd rueidis.Completed) rueidis.RedisResult {
	made, reply := c.made, c.reply
	isScript := cmd.Commands()[0] == "EVALSHA"
	if isScript {
		c.made, c.reply = nil, nil
	}
	result := c.Client.Do(ctx, cmd)
	if isScript && made != nil {
		close(made)
		<-reply
	}
	return result
}

// A process rejects a credential that it has revoked, even if it processes the reply to an
// earlier change after the one to the revocation.
func TestRedisStore_delayedReply(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	client := &delayingClient{Client: openRedis(t, redisOption(t))}
	prefix := redisPrefix(t, openRedis(t, redisOption(t)))
	store, err := redisstore.New(client, redisstore.Config{Prefix: prefix, Timeout: patience})
	require.NoError(t, err)
	for n := range 600 {
		old, c := record(auth.KindToken, "alice"), record(auth.KindToken, "alice")
		require.NoError(t, store.Create(ctx, old, 0))
		made, reply, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
		client.made, client.reply = made, reply
		go func() {
			if n%2 == 0 {
				done <- store.Create(ctx, c, 0)
				return
			}
			done <- store.Rotate(ctx, old, c, c.CreatedAt.Add(time.Hour))
		}()
		<-made
		require.NoError(t, lookup(t, store, c)) // from now on the client caches it
		require.NoError(t, store.Revoke(ctx, c.Ref()))
		close(reply)
		require.NoError(t, <-done)
		require.ErrorIs(t, lookup(t, store, c), auth.ErrNotFound)
	}
}

// Two Stores over one client share its cache, so each knows what the other has changed.
func TestRedisStore_twoOverOneClient(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	here, client, prefix := openRedisStore(t, redisstore.Config{})
	for range 1500 {
		there, err := redisstore.New(client, redisstore.Config{Prefix: prefix})
		require.NoError(t, err)
		c := record(auth.KindToken, "alice")
		require.NoError(t, here.Create(ctx, c, 0))
		require.NoError(t, lookup(t, there, c))
		require.NoError(t, here.Revoke(ctx, c.Ref()))
		require.ErrorIs(t, lookup(t, there, c), auth.ErrNotFound)
	}
}

// A lookup that has waited for its answer for longer than a cached one is valid does not use
// it: the credential can have been revoked meanwhile.
func TestRedisStore_lateAnswer(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	late := &lateClient{Client: openRedis(t, redisOption(t)), ask: make(chan struct{}), answer: make(chan struct{})}
	prefix := redisPrefix(t, openRedis(t, redisOption(t)))
	store, err := redisstore.New(late, redisstore.Config{Prefix: prefix, Timeout: 20 * time.Second})
	require.NoError(t, err)
	c := record(auth.KindToken, "alice")
	require.NoError(t, store.Create(ctx, c, 0))
	found := make(chan error, 1)
	go func() {
		_, err := store.Lookup(ctx, c.Kind, c.Digest)
		found <- err
	}()
	<-late.ask
	require.NoError(t, store.Revoke(ctx, c.Ref()))
	<-time.After(6500 * time.Millisecond) // the guard of the revocation ends after 6 seconds
	close(late.answer)
	require.ErrorIs(t, <-found, auth.ErrNotFound)
}

// A lateClient has an answer for a lookup, and returns it later.
type lateClient struct {
	rueidis.Client
	ask, answer chan struct{}
}

func (c *lateClient) DoCache(ctx context.Context, cmd rueidis.Cacheable, ttl time.Duration) rueidis.RedisResult {
	result := c.Client.DoCache(ctx, cmd, ttl)
	close(c.ask)
	<-c.answer
	return result
}
