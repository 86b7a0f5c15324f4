package integration

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/redisstore"
	"github.com/seed-31c5bcb2/auth/storetest"
)

// clusterPrefix has a hash tag, so that all keys are in one slot.
const clusterPrefix = "{auth}:"

// With patientNodes, no replica takes over because the machine is busy. Tests in which one
// must do so set a shorter cluster-node-timeout. So does the start, which takes as long.
const patientNodes = "30000"

// A redisCluster has three primaries with a replica each.
type redisCluster struct {
	nodes []*redisNode
	slot  string // that of clusterPrefix
}

func startRedisCluster(t *testing.T) *redisCluster {
	t.Helper()
	c := &redisCluster{}
	var busPorts []string
	for range 6 {
		bus := strconv.Itoa(freePort(t))
		busPorts = append(busPorts, bus)
		c.nodes = append(c.nodes, startRedisNode(t, "--cluster-enabled", "yes", "--cluster-port", bus,
			"--cluster-announce-ip", "127.0.0.1", "--cluster-node-timeout", "1000", "--cluster-replica-validity-factor", "0",
			"--cluster-allow-replica-migration", "no", "--repl-diskless-sync-delay", "0"))
	}
	for i, node := range c.nodes {
		node.do(t, "CLUSTER", "SET-CONFIG-EPOCH", strconv.Itoa(i+1))
		for j, known := range c.nodes[:i] {
			node.do(t, "CLUSTER", "MEET", "127.0.0.1", strconv.Itoa(known.port), busPorts[j])
		}
	}
	for i, node := range c.nodes[:3] {
		node.do(t, "CLUSTER", "ADDSLOTSRANGE", strconv.Itoa(16384*i/3), strconv.Itoa(16384*(i+1)/3-1))
	}
	for i, node := range c.nodes[3:] {
		primary := c.nodes[i].text(t, "CLUSTER", "MYID")
		require.Eventually(t, func() bool { return node.ask("CLUSTER", "REPLICATE", primary).Error() == nil },
			electionTime, 20*time.Millisecond, "the nodes do not meet")
	}
	slot, err := c.nodes[0].ask("CLUSTER", "KEYSLOT", clusterPrefix).AsInt64()
	require.NoError(t, err)
	c.slot = strconv.FormatInt(slot, 10)
	c.settle(t)
	c.setTimeout(t, patientNodes, nil)
	return c
}

// shards returns the primary and then the replica of each range of slots, as the node says.
// The one of clusterPrefix comes first.
func (c *redisCluster) shards(node *redisNode) (shards [][]*redisNode) {
	ranges, _ := node.ask("CLUSTER", "SLOTS").ToArray()
	slot, _ := strconv.ParseInt(c.slot, 10, 64)
	for _, r := range ranges {
		fields, _ := r.ToArray()
		from, _ := fields[0].AsInt64()
		to, _ := fields[1].AsInt64()
		var shard []*redisNode
		for _, f := range fields[2:] {
			address, _ := f.ToArray()
			port, _ := address[1].AsInt64()
			for _, n := range c.nodes {
				if int64(n.port) == port {
					shard = append(shard, n)
				}
			}
		}
		if shards = append(shards, shard); from <= slot && slot <= to {
			shards[0], shards[len(shards)-1] = shard, shards[0]
		}
	}
	return shards
}

// settle waits until all nodes agree, and each replica has the data of its primary.
func (c *redisCluster) settle(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool {
		first := c.shards(c.nodes[0])
		for _, node := range c.nodes {
			state, err := node.ask("CLUSTER", "INFO").ToString()
			if err != nil || !strings.Contains(state, "cluster_state:ok") || !strings.Contains(state, "cluster_known_nodes:6") {
				return false
			}
			shards := c.shards(node)
			if fmt.Sprint(shards) != fmt.Sprint(first) {
				return false
			}
			for _, shard := range shards {
				if len(shard) != 2 || !shard[1].follows(shard[0].port) {
					return false
				}
			}
		}
		return len(first) >= 3
	}, electionTime, 50*time.Millisecond, "the cluster does not settle")
}

// awaitPrimary waits until all nodes except one know that node as the primary of the slot.
func (c *redisCluster) awaitPrimary(t *testing.T, primary, except *redisNode) {
	t.Helper()
	require.Eventually(t, func() bool {
		for _, node := range c.nodes {
			if node == except {
				continue
			}
			if shards := c.shards(node); len(shards) == 0 || shards[0][0] != primary {
				return false
			}
		}
		return true
	}, electionTime, 20*time.Millisecond, "the replica does not take over")
}

// setTimeout sets the cluster-node-timeout of all nodes except that one.
func (c *redisCluster) setTimeout(t *testing.T, milliseconds string, except *redisNode) {
	t.Helper()
	for _, node := range c.nodes {
		if node != except {
			node.do(t, "CONFIG", "SET", "cluster-node-timeout", milliseconds)
		}
	}
}

// option has the addresses of all nodes, as a service has.
func (c *redisCluster) option() rueidis.ClientOption {
	option := rueidis.ClientOption{ConnWriteTimeout: 2 * time.Second}
	for _, node := range c.nodes {
		option.InitAddress = append(option.InitAddress, fmt.Sprint("127.0.0.1:", node.port))
	}
	return option
}

// processes returns stores with a client each.
func (c *redisCluster) processes(t *testing.T) (stores []*redisstore.Store) {
	t.Helper()
	for range 2 {
		stores = append(stores, redisStoreOver(t, c.option(), redisstore.Config{Prefix: clusterPrefix}))
	}
	return stores
}

// The contract holds in a cluster. Each store has its keys in another slot.
func TestRedisStore_clusterContract(t *testing.T) {
	t.Parallel()
	client := openRedis(t, startRedisCluster(t).option())
	storetest.Run(t, func(t *testing.T) auth.Store {
		store, err := redisstore.New(client, redisstore.Config{Prefix: "{" + unique() + "}:", Timeout: patience})
		require.NoError(t, err)
		return store
	})
}

// A replica takes over while processes look up and change credentials. A failover on which
// both nodes agree loses nothing. Otherwise the changes that had not reached the replica can
// be lost.
func TestRedisStore_clusterFailover(t *testing.T) {
	t.Parallel()
	c := startRedisCluster(t)
	stores := c.processes(t)
	tests := []struct {
		name     string
		lossy    bool
		failover func(t *testing.T, primary, replica *redisNode)
	}{
		{"agreed", false, func(t *testing.T, _, replica *redisNode) { replica.do(t, "CLUSTER", "FAILOVER") }},
		{"forced", true, func(t *testing.T, _, replica *redisNode) { replica.do(t, "CLUSTER", "FAILOVER", "FORCE") }},
		{"without a vote", true, func(t *testing.T, _, replica *redisNode) { replica.do(t, "CLUSTER", "FAILOVER", "TAKEOVER") }},
		{"killed primary", true, func(t *testing.T, primary, _ *redisNode) {
			c.setTimeout(t, "1000", nil)
			primary.kill()
		}},
	}
	for _, tt := range tests {
		if testing.Short() && tt.name != "agreed" && tt.name != "killed primary" {
			continue
		}
		t.Run(tt.name, func(t *testing.T) {
			shard := c.shards(c.nodes[0])[0]
			primary, replica := shard[0], shard[1]
			load := newRedisLoad(t, stores, tt.lossy, func() { primary.awaitReplicas(t, clusterPrefix+"fence", 1) })
			load.during(t, func() {
				tt.failover(t, primary, replica)
				c.awaitPrimary(t, replica, primary)
				c.setTimeout(t, patientNodes, primary)
			})
			if tt.name == "killed primary" {
				primary.start(t)
				c.setTimeout(t, patientNodes, nil)
			}
			c.settle(t)
		})
	}
}
