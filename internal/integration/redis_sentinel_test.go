package integration

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/redisstore"
)

// A redisSentinel has a primary with two replicas, which three sentinels watch.
type redisSentinel struct {
	primary   *redisNode // the one at the start
	replicas  []*redisNode
	sentinels []*redisNode
	proxy     *proxy // between the primary and all others
}

func startRedisSentinel(t *testing.T) *redisSentinel {
	t.Helper()
	s := &redisSentinel{primary: startRedisNode(t, "--repl-diskless-sync-delay", "0")}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s.proxy = newProxy(l, "tcp", address(s.primary.port))
	t.Cleanup(func() {
		s.proxy.resume()
		l.Close()
	})
	port := strconv.Itoa(s.port())
	for range 2 {
		replica := startRedisNode(t, "--repl-diskless-sync-delay", "0", "--replicaof", "127.0.0.1", port)
		require.Eventually(t, func() bool { return replica.follows(s.port()) }, electionTime, 20*time.Millisecond)
		s.replicas = append(s.replicas, replica)
	}
	for range 3 {
		// Sentinel writes to its file. No sentinel acts because the machine is busy: tests
		// lower the timeout when they need it.
		file := filepath.Join(t.TempDir(), "sentinel.conf")
		text := "sentinel monitor auth 127.0.0.1 " + port + " 2\nsentinel down-after-milliseconds auth " + patientNodes + "\n" +
			"sentinel failover-timeout auth 10000\n"
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		s.sentinels = append(s.sentinels, startRedisNode(t, file, "--sentinel"))
	}
	require.Eventually(t, func() bool {
		for _, sentinel := range s.sentinels {
			known, err := sentinel.ask("SENTINEL", "MASTER", "auth").AsStrMap()
			if err != nil || known["num-slaves"] != "2" || known["num-other-sentinels"] != "2" {
				return false
			}
		}
		return true
	}, electionTime, 20*time.Millisecond, "the sentinels do not meet")
	return s
}

// port is that of the primary as all others know it.
func (s *redisSentinel) port() int { return s.proxy.listener.Addr().(*net.TCPAddr).Port }

func (s *redisSentinel) option() rueidis.ClientOption {
	option := rueidis.ClientOption{ConnWriteTimeout: 2 * time.Second, Sentinel: rueidis.SentinelOption{MasterSet: "auth"}}
	for _, sentinel := range s.sentinels {
		option.InitAddress = append(option.InitAddress, address(sentinel.port))
	}
	return option
}

// declareDownAfter sets how soon the sentinels act.
func (s *redisSentinel) declareDownAfter(t *testing.T, milliseconds string) {
	t.Helper()
	for _, sentinel := range s.sentinels {
		sentinel.do(t, "SENTINEL", "SET", "auth", "down-after-milliseconds", milliseconds)
	}
}

// awaitFailover waits until all sentinels name another primary.
func (s *redisSentinel) awaitFailover(t *testing.T) {
	t.Helper()
	old := strconv.Itoa(s.port())
	require.Eventually(t, func() bool {
		for _, sentinel := range s.sentinels {
			primary, err := sentinel.ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "auth").AsStrSlice()
			if err != nil || len(primary) != 2 || primary[1] == old {
				return false
			}
		}
		return true
	}, electionTime, 20*time.Millisecond, "no replica takes over")
}

// awaitDemotion waits until the former primary is a replica. Until then a process may still
// use it, and later lose what it has changed there.
func (s *redisSentinel) awaitDemotion(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool {
		info, err := s.primary.ask("INFO", "replication").ToString()
		return err == nil && strings.Contains(info, "\nrole:slave\r")
	}, electionTime, 20*time.Millisecond, "the former primary stays one")
}

// Sentinel promotes a replica while processes look up and change credentials. Changes that
// had not reached the replica can be lost, even if the primary was not down.
func TestRedisStore_sentinelFailover(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		failover func(t *testing.T, s *redisSentinel)
	}{
		{"on command", func(t *testing.T, s *redisSentinel) {
			s.sentinels[0].do(t, "SENTINEL", "FAILOVER", "auth")
			s.awaitDemotion(t)
		}},
		{"killed primary", func(t *testing.T, s *redisSentinel) {
			s.declareDownAfter(t, "1000")
			s.primary.kill()
			s.proxy.cut()
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := startRedisSentinel(t)
			var stores []*redisstore.Store
			for range 2 {
				stores = append(stores, redisStoreOver(t, s.option(), redisstore.Config{}))
			}
			load := newRedisLoad(t, stores, true, func() { s.primary.awaitReplicas(t, "fence", 2) })
			load.during(t, func() {
				tt.failover(t, s)
				s.awaitFailover(t)
				s.declareDownAfter(t, patientNodes)
			})
		})
	}
}

// A primary that is cut off from its replicas and sentinels, but not from a process, still
// answers it. With min-replicas-to-write it rejects changes, but it does not know of the
// revocations that the new primary has acknowledged.
func TestRedisStore_sentinelCutOffPrimary(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := startRedisSentinel(t)
	inside, client := s.primary.store(t, redisstore.Config{})
	outside := redisStoreOver(t, s.option(), redisstore.Config{})
	c := record(auth.KindToken, "alice")
	require.NoError(t, outside.Create(ctx, c, 0))
	s.primary.awaitReplicas(t, "fence", 2)
	setRedis(t, client, "min-replicas-to-write", "1", "min-replicas-max-lag", "1")

	s.declareDownAfter(t, "1000")
	s.proxy.hang(0, false)
	s.proxy.cut()
	s.awaitFailover(t)
	require.Eventually(t, func() bool { return outside.Revoke(ctx, c.Ref()) == nil }, electionTime, time.Millisecond)
	require.ErrorIs(t, lookup(t, outside, c), auth.ErrRevoked)
	require.NoError(t, lookup(t, inside.Uncached(), c), "the old primary answers")
	for _, m := range methods {
		if !m.reads {
			u := &testUser{userID: "alice", token: c, next: record(auth.KindToken, "alice")}
			requireOutage(t, m.call(ctx, inside, u))
		}
	}

	s.proxy.resume() // Sentinel makes it a replica
	require.Eventually(t, func() bool {
		_, err := inside.Lookup(ctx, c.Kind, c.Digest)
		return err != nil && !isOutage(err)
	}, electionTime, 20*time.Millisecond, fmt.Sprintf("the old primary on port %d stays cut off", s.primary.port))
}
