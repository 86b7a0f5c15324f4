package integration

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/redisstore"
)

// With appendfsync always, a killed server keeps all changes that it has acknowledged.
func TestRedisStore_killedServer(t *testing.T) {
	t.Parallel()
	server := startRedis(t, "--appendonly", "yes", "--appendfsync", "always")
	store, _ := server.store(t, redisstore.Config{})
	killDuringWrites(t, store, server.kill, func() { server.start(t) })
}

// A call returns as soon as its context is canceled, although the server does not answer and
// the Timeout of the store is longer.
func TestRedisStore_canceledCallReturns(t *testing.T) {
	t.Parallel()
	for _, m := range methods {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			direct, _, prefix := openRedisStore(t, redisstore.Config{Timeout: patience})
			option, p := redisThroughProxy(t)
			option.ConnWriteTimeout = time.Hour
			store := redisStoreOver(t, option, redisstore.Config{Prefix: prefix, Timeout: time.Hour})
			awaitRecovery(t, store) // connected, and has made no calls at the same time
			u := newUser(t, direct)
			p.hang(0, false)
			t.Cleanup(p.resume) // before the client is closed, which waits for its answers
			ctx, cancel := context.WithCancel(t.Context())
			returned := make(chan error, 1)
			go func() { returned <- m.call(ctx, store, u) }()
			require.Eventually(t, p.hasRequest, patience, time.Millisecond)
			cancel()
			select {
			case err := <-returned:
				require.ErrorIs(t, err, context.Canceled)
			case <-time.After(patience):
				p.cut()
				t.Fatalf("the call has not returned: %v", <-returned)
			}
		})
	}
}

// A server that cannot write still answers. Credentials remain valid, and every change
// returns an outage.
func TestRedisStore_readOnlyServer(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		stop  func(t *testing.T, client rueidis.Client)
		start func(t *testing.T, client rueidis.Client)
	}{
		{"a replica", func(t *testing.T, client rueidis.Client) {
			// Its primary is absent, so it keeps its data.
			require.NoError(t, client.Do(t.Context(), client.B().Replicaof().Host("127.0.0.1").Port(1).Build()).Error())
		}, func(t *testing.T, client rueidis.Client) {
			require.NoError(t, client.Do(t.Context(), client.B().Replicaof().No().One().Build()).Error())
		}},
		{"a primary without replicas", func(t *testing.T, client rueidis.Client) {
			setRedis(t, client, "min-replicas-to-write", "1")
		}, func(t *testing.T, client rueidis.Client) {
			setRedis(t, client, "min-replicas-to-write", "0")
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			server := startRedis(t)
			store, client := server.store(t, redisstore.Config{})
			u := newUser(t, store)
			tt.stop(t, client)
			requireReadOnly(t, store, u)
			tt.start(t, client)
			requireWritable(t, store)
		})
	}
}

// A server whose memory is full accepts no new credentials, but still revokes.
func TestRedisStore_fullMemory(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	server := startRedis(t)
	store, client := server.store(t, redisstore.Config{})
	u := newUser(t, store)
	before := u.state(t, store)
	setRedis(t, client, "maxmemory", "1")
	revocations := []string{"Revoke", "Revoke a session", "RevokeAll", "Purge"}
	for _, m := range methods {
		err := m.call(ctx, store, u)
		after := u.state(t, store)
		switch {
		case m.reads:
			require.NoError(t, err, m.name)
		case slices.Contains(revocations, m.name):
			require.NoError(t, err, m.name)
			before = after
		default:
			requireOutage(t, err)
		}
		require.Equal(t, before, after, m.name)
	}
	for _, line := range []string{"previous: revoked", "token: revoked", "session: not found", "expired: revoked"} {
		require.Contains(t, before, line)
	}
	setRedis(t, client, "maxmemory", "0")
	require.NoError(t, store.Create(ctx, record(auth.KindToken, u.userID), 0))
}

// An administrator can flush the data or the scripts while services run.
func TestRedisStore_flushedServer(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	server := startRedis(t)
	store, client := server.store(t, redisstore.Config{})
	for _, m := range methods {
		u := newUser(t, store)
		require.NoError(t, client.Do(ctx, client.B().ScriptFlush().Build()).Error())
		require.NoError(t, m.call(ctx, store, u), m.name)
	}
	u := newUser(t, store)
	u.state(t, store) // cached
	require.NoError(t, client.Do(ctx, client.B().Flushall().Build()).Error())
	require.Eventually(t, func() bool {
		_, err := store.Lookup(ctx, auth.KindToken, u.token.Digest)
		return errors.Is(err, auth.ErrNotFound)
	}, 5*time.Second, time.Millisecond)
	require.NoError(t, store.Create(ctx, record(auth.KindSecret, u.userID), 0))
}

// A server without persistence is empty after a restart. No cached credential may be served
// then.
func TestRedisStore_emptyAfterRestart(t *testing.T) {
	t.Parallel()
	server := startRedis(t)
	store, _ := server.store(t, redisstore.Config{})
	u := newUser(t, store)
	u.state(t, store)
	server.kill()
	_, err := store.Lookup(context.Background(), auth.KindToken, u.token.Digest)
	if err != nil {
		requireOutage(t, err)
	}
	server.start(t)
	awaitRecovery(t, store)
	_, err = store.Lookup(t.Context(), auth.KindToken, u.token.Digest)
	require.ErrorIs(t, err, auth.ErrNotFound)
}

// A replica that has caught up has all data of its primary.
func TestRedisStore_failover(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	primary, replica := startRedis(t, "--repl-diskless-sync-delay", "0"), startRedis(t)
	store, client := primary.store(t, redisstore.Config{})
	promoted, replicaClient := replica.store(t, redisstore.Config{})
	follow := replicaClient.B().Replicaof().Host("127.0.0.1").Port(int64(primary.port)).Build()
	require.NoError(t, replicaClient.Do(ctx, follow).Error())
	require.Eventually(t, func() bool { return redisInfo(t, client, "replication", "connected_slaves") == 1 },
		20*time.Second, time.Millisecond)
	var users []*testUser
	var states []string
	for _, m := range methods {
		u := newUser(t, store)
		require.NoError(t, m.call(ctx, store, u), m.name)
		users = append(users, u)
	}
	for _, u := range users { // after the last call, which is Purge
		states = append(states, u.state(t, store))
	}
	require.Eventually(t, func() bool { // WAIT only covers writes of its own connection
		return redisInfo(t, replicaClient, "replication", "slave_repl_offset") == redisInfo(t, client, "replication", "master_repl_offset")
	}, 20*time.Second, time.Millisecond)
	primary.kill()
	require.NoError(t, replicaClient.Do(ctx, replicaClient.B().Replicaof().No().One().Build()).Error())
	for i, u := range users {
		require.Equal(t, states[i], u.state(t, promoted), methods[i].name)
	}
	requireWritable(t, promoted)
}
