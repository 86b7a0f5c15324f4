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
)

// With appendfsync always a server that is killed has what it has acknowledged.
func TestRedisThatIsKilled(t *testing.T) {
	t.Parallel()
	server := startRedis(t, "--appendonly", "yes", "--appendfsync", "always")
	store, _ := server.store(t)
	killAmongWriters(t, store, server.kill, func() { server.start(t) })
}

// A server can refuse to write and still answer. Then nobody is kept out who has
// a credential, and no change is told as made.
func TestRedisThatDoesNotWrite(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		stop  func(t *testing.T, client rueidis.Client)
		start func(t *testing.T, client rueidis.Client)
	}{
		{"a replica", func(t *testing.T, client rueidis.Client) {
			// Of a primary that is not there: it has all that it had.
			require.NoError(t, client.Do(t.Context(), client.B().Replicaof().Host("127.0.0.1").Port(1).Build()).Error())
		}, func(t *testing.T, client rueidis.Client) {
			require.NoError(t, client.Do(t.Context(), client.B().Replicaof().No().One().Build()).Error())
		}},
		{"a primary that is cut off", func(t *testing.T, client rueidis.Client) {
			setRedis(t, client, "min-replicas-to-write", "1")
		}, func(t *testing.T, client rueidis.Client) {
			setRedis(t, client, "min-replicas-to-write", "0")
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			server := startRedis(t)
			store, client := server.store(t)
			a := newAccount(t, store)
			tt.stop(t, client)
			writesNothing(t, store, a)
			tt.start(t, client)
			writesAll(t, store)
		})
	}
}

// A server whose memory is full takes no more credentials, and still ends those
// that it has.
func TestRedisWhoseMemoryIsFull(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	server := startRedis(t)
	store, client := server.store(t)
	a := newAccount(t, store)
	before := a.state(t, store)
	setRedis(t, client, "maxmemory", "1")
	ends := []string{"Revoke", "Revoke a session", "RevokeAll", "Purge"}
	for _, m := range methods {
		err := m.call(ctx, store, a)
		after := a.state(t, store)
		switch {
		case m.reads:
			require.NoError(t, err, m.name)
		case slices.Contains(ends, m.name):
			require.NoError(t, err, m.name)
			before = after
		default:
			outage(t, err)
		}
		require.Equal(t, before, after, m.name)
	}
	for _, line := range []string{"previous: revoked", "token: revoked", "session: not there", "expired: revoked"} {
		require.Contains(t, before, line)
	}
	setRedis(t, client, "maxmemory", "0")
	require.NoError(t, store.Create(ctx, record(auth.KindToken, a.userID), 0))
}

// An administrator may empty a server, or its scripts, while services run.
func TestRedisThatIsFlushed(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	server := startRedis(t)
	store, client := server.store(t)
	for _, m := range methods {
		a := newAccount(t, store)
		require.NoError(t, client.Do(ctx, client.B().ScriptFlush().Build()).Error())
		require.NoError(t, m.call(ctx, store, a), m.name)
	}
	a := newAccount(t, store)
	a.state(t, store) // cached
	require.NoError(t, client.Do(ctx, client.B().Flushall().Build()).Error())
	require.Eventually(t, func() bool {
		_, err := store.Lookup(ctx, auth.KindToken, a.token.Digest)
		return errors.Is(err, auth.ErrNotFound)
	}, 5*time.Second, time.Millisecond)
	require.NoError(t, store.Create(ctx, record(auth.KindSecret, a.userID), 0))
}

// A server that comes up again with nothing, as one without persistence does,
// knows nobody. It must not be asked through a cache of what it was.
func TestRedisThatForgets(t *testing.T) {
	t.Parallel()
	server := startRedis(t)
	store, _ := server.store(t)
	a := newAccount(t, store)
	a.state(t, store)
	server.kill()
	_, err := store.Lookup(context.Background(), auth.KindToken, a.token.Digest)
	if err != nil {
		outage(t, err)
	}
	server.start(t)
	recoversSoon(t, store)
	_, err = store.Lookup(t.Context(), auth.KindToken, a.token.Digest)
	require.ErrorIs(t, err, auth.ErrNotFound)
}

// A replica that has caught up knows all that its primary knew.
func TestRedisReplicaTakesOver(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	primary, replica := startRedis(t, "--repl-diskless-sync-delay", "0"), startRedis(t)
	store, client := primary.store(t)
	heir, heirs := replica.store(t)
	follow := heirs.B().Replicaof().Host("127.0.0.1").Port(int64(primary.port)).Build()
	require.NoError(t, heirs.Do(ctx, follow).Error())
	require.Eventually(t, func() bool { return redisInfo(t, client, "replication", "connected_slaves") == 1 },
		20*time.Second, time.Millisecond)
	var accounts []*account
	var states []string
	for _, m := range methods {
		a := newAccount(t, store)
		require.NoError(t, m.call(ctx, store, a), m.name)
		accounts = append(accounts, a)
	}
	for _, a := range accounts { // the last call was a purge
		states = append(states, a.state(t, store))
	}
	require.Eventually(t, func() bool { // WAIT counts what its own connection has written
		return redisInfo(t, heirs, "replication", "slave_repl_offset") == redisInfo(t, client, "replication", "master_repl_offset")
	}, 20*time.Second, time.Millisecond)
	primary.kill()
	require.NoError(t, heirs.Do(ctx, heirs.B().Replicaof().No().One().Build()).Error())
	for i, a := range accounts {
		require.Equal(t, states[i], a.state(t, heir), methods[i].name)
	}
	writesAll(t, heir)
}
