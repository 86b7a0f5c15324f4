package integration

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"
)

// electionTime bounds how long a test waits for servers to agree. It is far longer than
// they need, because the machine may be busy.
const electionTime = 60 * time.Second

// A redisNode is one server of a cluster, or one that Sentinel watches, or a sentinel. Its
// client is for commands about that server.
type redisNode struct {
	*redisServer
	admin rueidis.Client
}

func startRedisNode(t *testing.T, options ...string) *redisNode {
	t.Helper()
	inCI(t)
	s := startRedis(t, options...)
	option := s.option()
	option.ForceSingleClient, option.DisableCache = true, true
	return &redisNode{s, openRedis(t, option)}
}

// ask sends a command to this node alone.
func (n *redisNode) ask(command ...string) rueidis.RedisResult {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return n.admin.Do(ctx, n.admin.B().Arbitrary(command...).Build())
}

// do is ask for a command that must succeed.
func (n *redisNode) do(t *testing.T, command ...string) {
	t.Helper()
	require.NoError(t, n.ask(command...).Error(), "%q", command)
}

func (n *redisNode) text(t *testing.T, command ...string) string {
	t.Helper()
	text, err := n.ask(command...).ToString()
	require.NoError(t, err, "%q", command)
	return text
}

// follows reports whether the node is a replica of the primary with that port, and connected.
func (n *redisNode) follows(port int) bool {
	info, err := n.ask("INFO", "replication").ToString()
	return err == nil && strings.Contains(info, "\nmaster_port:"+strconv.Itoa(port)+"\r") &&
		strings.Contains(info, "\nmaster_link_status:up\r")
}

// awaitReplicas waits until that many replicas have all changes that were acknowledged
// before. WAIT covers the writes of its own connection and all earlier ones.
func (n *redisNode) awaitReplicas(t *testing.T, key string, replicas int) {
	t.Helper()
	err := n.admin.Dedicated(func(c rueidis.DedicatedClient) error {
		if err := c.Do(t.Context(), c.B().Set().Key(key).Value("").Build()).Error(); err != nil {
			return err
		}
		timeout := electionTime.Milliseconds()
		reached, err := c.Do(t.Context(), c.B().Wait().Numreplicas(int64(replicas)).Timeout(timeout).Build()).AsInt64()
		if err == nil && reached < int64(replicas) {
			err = errors.New("the replicas do not catch up")
		}
		return err
	})
	require.NoError(t, err)
}
