package integration

import (
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/redisstore"
)

// A slotMove moves the slot of clusterPrefix to another primary, as redis-cli --cluster
// reshard does.
type slotMove struct {
	cluster  *redisCluster
	from, to *redisNode
}

// beginMove names both sides. From now on, the old one sends requests for keys that it does
// not have to the new one.
func (c *redisCluster) beginMove(t *testing.T) slotMove {
	t.Helper()
	shards := c.shards(c.nodes[0])
	m := slotMove{c, shards[0][0], shards[1][0]}
	for _, shard := range shards[1:] { // a range that has been split belongs to the same node
		if shard[0] != m.from {
			m.to = shard[0]
		}
	}
	m.to.do(t, "CLUSTER", "SETSLOT", c.slot, "IMPORTING", m.from.text(t, "CLUSTER", "MYID"))
	m.from.do(t, "CLUSTER", "SETSLOT", c.slot, "MIGRATING", m.to.text(t, "CLUSTER", "MYID"))
	return m
}

// moveKeys moves these keys from a node to another one.
func moveKeys(t *testing.T, from, to *redisNode, keys []string) {
	t.Helper()
	if len(keys) > 0 {
		from.do(t, slices.Concat([]string{"MIGRATE", "127.0.0.1", strconv.Itoa(to.port), "", "0",
			fmt.Sprint(patience.Milliseconds()), "KEYS"}, keys)...)
	}
}

// keys returns up to that many keys that the node has.
func (m slotMove) keys(t *testing.T, node *redisNode, count int) []string {
	t.Helper()
	keys, err := node.ask("CLUSTER", "GETKEYSINSLOT", m.cluster.slot, strconv.Itoa(count)).AsStrSlice()
	require.NoError(t, err)
	return keys
}

// end moves the keys, some at a time, and then the slot: first on the new side, so that it
// always has an owner.
func (m slotMove) end(t *testing.T) {
	t.Helper()
	for keys := m.keys(t, m.from, 5); len(keys) > 0; keys = m.keys(t, m.from, 5) {
		moveKeys(t, m.from, m.to, keys)
		time.Sleep(5 * time.Millisecond) // as long as larger keys would take
	}
	id := m.to.text(t, "CLUSTER", "MYID")
	m.to.do(t, "CLUSTER", "SETSLOT", m.cluster.slot, "NODE", id)
	m.from.do(t, "CLUSTER", "SETSLOT", m.cluster.slot, "NODE", id)
	m.cluster.awaitPrimary(t, m.to, nil)
}

// cancel moves the keys back. A key that both sides have is an error.
func (m slotMove) cancel(t *testing.T) {
	t.Helper()
	m.from.do(t, "CLUSTER", "SETSLOT", m.cluster.slot, "STABLE")
	moveKeys(t, m.to, m.from, m.keys(t, m.to, 1000))
	m.to.do(t, "CLUSTER", "SETSLOT", m.cluster.slot, "STABLE")
}

// The slot is moved while processes look up and change credentials.
func TestRedisStore_clusterResharding(t *testing.T) {
	t.Parallel()
	c := startRedisCluster(t)
	load := newRedisLoad(t, c.processes(t), false, func() {})
	load.during(t, func() { c.beginMove(t).end(t) })
	c.settle(t)
}

// A slotTest makes a call while some keys of a user have been moved and others have not.
type slotTest struct {
	cluster         *redisCluster
	store           *redisstore.Store
	method          method
	untouched, done string // states of the user
}

// prepare makes a user with a revoked token, so that every key exists.
func (tt *slotTest) prepare(t *testing.T) *testUser {
	t.Helper()
	u := newUser(t, tt.store)
	c := record(auth.KindToken, u.userID)
	require.NoError(t, tt.store.Create(t.Context(), c, 0))
	require.NoError(t, tt.store.Revoke(t.Context(), c.Ref()))
	return u
}

// run makes the call while only the nth key was moved, or only the nth was not. It reports
// how many keys there are.
func (tt *slotTest) run(t *testing.T, n int, left bool) int {
	t.Helper()
	u := tt.prepare(t)
	m := tt.cluster.beginMove(t)
	keys := m.keys(t, m.from, 1000)
	slices.Sort(keys)
	moved, at := keys[n:n+1], "moved: "
	if left {
		moved, at = slices.Delete(slices.Clone(keys), n, n+1), "not moved: "
	}
	moveKeys(t, m.from, m.to, moved)
	err := tt.method.call(t.Context(), tt.store, u)
	m.cancel(t)
	awaitRecovery(t, tt.store)
	u.allOrNothing(t, tt.store, err, tt.untouched, tt.done, fmt.Sprintf("%s%q: %v", at, keys[n], err))
	m.from.do(t, "FLUSHALL")
	return len(keys)
}

// While a slot is moved, some keys are on one node and the others on another. Each change is
// complete or has no effect, and no call returns a wrong answer.
func TestRedisStore_clusterSlotIsMoved(t *testing.T) {
	t.Parallel()
	c := startRedisCluster(t)
	client := openRedis(t, c.option())
	for _, m := range methods {
		t.Run(m.name, func(t *testing.T) {
			store, err := redisstore.New(client, redisstore.Config{Prefix: clusterPrefix, Timeout: 500 * time.Millisecond})
			require.NoError(t, err)
			tt := &slotTest{cluster: c, store: store, method: m}
			u := tt.prepare(t)
			tt.untouched = u.state(t, store)
			require.NoError(t, m.call(t.Context(), store, u))
			tt.done = u.state(t, store)
			c.shards(c.nodes[0])[0][0].do(t, "FLUSHALL")
			for _, left := range []bool{false, true} {
				for n, count := 0, 1; n < count; n++ {
					count = tt.run(t, n, left)
				}
			}
		})
	}
}
