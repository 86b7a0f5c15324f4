// Package redisstore keeps credentials in Redis 7 or Valkey, with the client rueidis.
//
//	client, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{"127.0.0.1:6379"}})
//	store, err := redisstore.New(client, redisstore.Config{})
//
// Lookups use server-assisted client-side caching: looking up a credential in use takes
// no round trip, and Redis notifies every process when the credential changes. Do not
// put another cache in front.
//
// # Guarantees
//
// Every change is one script. It reads, checks that it may make all of its writes, and then
// makes them, so it is done completely or not at all. RevokeAll of more than 100 records, and
// Purge and Touch, take several scripts, of which the earlier ones remain after an error:
// call RevokeAll again then. The last script of RevokeAll revokes all that is left of the
// user's records at once, so neither a record nor one that has replaced it meanwhile escapes.
//
// The keys with the prefix belong to the store. A program that can write them can issue
// credentials. A corrupt record authenticates no request, and does not stop Purge; List and
// Scan return an error instead of it. If another program makes an index a key of another
// type, changes that need it return an error, but a change of one script still has all of its
// effects on the records, or none.
//
// A revocation takes effect immediately in the process that makes it, through every Store
// over the same rueidis.Client value and Prefix, and in every other process when the
// notification of Redis arrives; without one, within 5 seconds, the longest that an
// answer is cached. When a connection is lost, its cache is discarded. Limits, the one
// current secret of a user and the one winner of concurrent rotations hold across all
// processes.
//
// Redis removes a record [Config].Retention after it has expired. The digest, the ID and the
// owner of a revoked token or secret stay until Purge, and Redis never removes them by
// itself: call Purge periodically.
//
// # What Redis can lose
//
// Redis acknowledges a change before it has reached a disk or a replica. A server that
// crashes without appendfsync always, or a failover to a replica that lags behind, can
// lose the latest acknowledged changes: newly issued tokens are then unknown, and newly
// revoked tokens are valid again. Without appendonly, a crash loses everything since the last
// snapshot. The store does not wait for replication. If that matters, set appendonly yes and
// appendfsync always, and min-replicas-to-write to guard against an isolated primary. A service that cannot tolerate a lost revocation should keep its
// credentials in a database.
//
// A primary that a partition has cut off still answers reads, even with
// min-replicas-to-write, which stops its changes only. A process on its side of the
// partition accepts what has been revoked on the other side until it reaches the new
// primary: there is no bound on that. In Redis Cluster a cut-off primary stops answering
// after cluster-node-timeout.
//
// Keys must not be evicted: with any maxmemory-policy except noeviction, Redis drops
// credentials and revocations to free memory. With noeviction, a full server rejects
// new credentials and still revokes.
//
// # Permissions
//
// A user of Redis needs these commands, the keys with the prefix, and one channel: replace
// auth: by Config.Prefix in both. Without one of them, calls that need it return an error and
// change nothing. Only [Store.Notify] needs the commands of the last line:
//
//	ACL SETUSER app on >password ~auth:* &auth:changes
//	  +client|tracking +client|caching +ping +multi +exec +pttl
//	  +eval +evalsha +eval_ro +evalsha_ro +get +mget +exists +set +setrange +del
//	  +zadd +zrem +zcount +zrange +zrangebylex +zrevrangebylex +zrangebyscore
//	  +zrandmember +hset +hdel +hexists +persist +pexpireat +spublish
//	  +ssubscribe +sunsubscribe +unsubscribe +punsubscribe +discard
//
// In Redis Cluster, the client also needs CLUSTER SHARDS and CLUSTER SLOTS, without which it
// takes the node for a single server, and ASKING, while a slot moves. With Sentinel, it needs
// ROLE. These are not tested.
//
// # Supported setups
//
// The store needs one primary, with or without replicas; Sentinel works. Reads must go
// to the primary: a client that reads from replicas serves outdated answers. A script
// accesses all records of a user, each of which has its own key. In Redis Cluster, all
// keys must be in one slot, and so on one node: use a Prefix with a hash tag, such as
// "{auth}:". New refuses another one. While the slot moves to another node, every method
// except Lookup returns an error and changes nothing, because half of the keys would look
// absent: nothing can be created, listed or revoked until the move is complete.
//
// # How it was tested
//
// The suite in storetest runs over Redis 7.0: over one server, with the permissions above
// and no others, and over Redis Cluster. Further tests repeat each change thousands of
// times, and check it here and in another process; take away each permission in turn; lose
// each request or its response, once and twice; cut or silence connections after various
// numbers of bytes; kill a server with eight writers; make a server reject writes, run out
// of memory, be emptied or restart empty; corrupt records; put keys of another type in the
// place of indexes; cancel each call while the server hangs; and cancel thousands of lookups
// at random. Under a load of lookups and changes, replicas of a cluster and of
// Sentinel take over, on command and after a kill, a primary is cut off, and a slot moves;
// each method is also called while any one key is on the other node.
//
// # What it costs
//
// With 100,000 records, Redis 7.0.15, and two cores of an Intel Xeon that the service, the
// server and other programs share, the lowest of several measurements (BenchmarkStore in
// internal/integration):
//
//	lookup, not cached          32 us; 16 concurrent: 6.0 us
//	lookup of 1,000 in use      1.9 us; 16 concurrent: 2.9 us
//	create                      110 us; 16 concurrent: 63 us
//	RevokeAll of 10,000         0.20 s
//	Purge of 10,000             0.19 s
//	bytes per record            750, in the server's memory
//
// RevokeAll and Purge work in scripts of up to 100 records, which take about 2 ms each, and
// List and Scan in scripts of up to 250, about 1 ms, for a user with 100,000 records
// (TestStore_longestStep). Redis serves no other request meanwhile. RevokeAll with 1,000
// exceptions takes about 3 ms for each script. While others create records as fast as it
// revokes them, its scripts grow, up to 1,000 records.
//
// The client keeps answers until its cache is full, even those that have expired: 128 MiB for
// each connection by default. To use less, set rueidis.ClientOption.CacheSizeEachConn to about
// a kilobyte for each credential in use.
package redisstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/internal/listeners"
)

// A Store is an auth.Store in Redis. Create one with [New]. It is safe for concurrent
// use, and several processes can share a server. It needs Close only if Notify was called.
type Store struct {
	client       rueidis.Client
	prefix       string
	timeout      time.Duration
	retention    time.Duration
	guards       *guards
	listeners    listeners.List[auth.Kind] // functions of Notify
	subscription subscription
}

var _ auth.Store = (*Store)(nil)

// Config holds the settings of a [Store]. The zero value is valid.
type Config struct {
	// Prefix is prepended to every key. Stores with different prefixes can share a
	// database. If empty, it is "auth:". For Redis Cluster it must have exactly one hash
	// tag, such as "{auth}:".
	Prefix string

	// Timeout bounds each call, including retries and waiting for a connection. For
	// RevokeAll, Touch and Purge it bounds each step. Zero means 2 seconds. It must not be
	// negative. If the client has to open a connection and the server accepts it without
	// answering, its Dialer.Timeout applies too, 5 seconds by default: set it to the same.
	Timeout time.Duration

	// Retention is how long an expired record is kept, and so listed as expired.
	// Zero means 26 hours, which is also the minimum: as long as an
	// [auth.TokenOptions].Idempotency can be used, the first token must keep its ID.
	Retention time.Duration
}

const (
	defaultPrefix    = "auth:"
	defaultTimeout   = 2 * time.Second
	defaultRetention = 26 * time.Hour
	minRetention     = 26 * time.Hour
)

// New returns a Store that uses client, which the caller still owns and closes. New
// does not connect to the server. Client-side caching, which rueidis enables by default,
// must be enabled; otherwise each lookup takes a round trip.
//
// New returns an error that lists all faults if client is nil or cfg is invalid.
func New(client rueidis.Client, cfg Config) (*Store, error) {
	var faults []error
	if v := reflect.ValueOf(client); client == nil || v.Kind() == reflect.Pointer && v.IsNil() {
		faults = append(faults, errors.New("redisstore: client is nil"))
	} else if prefix := cmp.Or(cfg.Prefix, defaultPrefix); client.Mode() == rueidis.ClientModeCluster && !hasTag(prefix) {
		faults = append(faults, fmt.Errorf("redisstore: Prefix: %q needs one hash tag, such as {auth}:, for Redis Cluster", prefix))
	}
	if cfg.Timeout < 0 {
		faults = append(faults, fmt.Errorf("redisstore: Timeout: %v is negative", cfg.Timeout))
	}
	if cfg.Retention != 0 && cfg.Retention < minRetention {
		faults = append(faults, fmt.Errorf("redisstore: Retention: %v is less than %v", cfg.Retention, minRetention))
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	prefix := cmp.Or(cfg.Prefix, defaultPrefix)
	return &Store{
		client:    pinned{client},
		prefix:    prefix,
		timeout:   cmp.Or(cfg.Timeout, defaultTimeout),
		retention: cmp.Or(cfg.Retention, defaultRetention),
		guards:    guardsOf(client, prefix),
	}, nil
}

// hasTag reports whether a prefix has exactly one hash tag, which puts all keys in one slot
// of a cluster.
func hasTag(prefix string) bool {
	_, rest, opened := strings.Cut(prefix, "{")
	tag, rest, closed := strings.Cut(rest, "}")
	return opened && closed && tag != "" && !strings.ContainsAny(tag, "{}") && !strings.ContainsAny(rest, "{}")
}

// Get implements auth.Store.
func (s *Store) Get(ctx context.Context, ref auth.Ref) (auth.Credential, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	text, err := s.run(ctx, getScript, kindDigit(ref.Kind), ref.UserID, ref.ID).ToString()
	if rueidis.IsRedisNil(err) {
		return auth.Credential{}, auth.ErrNotFound
	}
	if err != nil {
		return auth.Credential{}, err
	}
	c, err := decode(text)
	if err == nil && c.Ref() != ref {
		return auth.Credential{}, errCorrupt
	}
	return c, err
}

// run runs a script, which computes the keys that depend on its arguments.
func (s *Store) run(ctx context.Context, script *rueidis.Lua, args ...string) rueidis.RedisResult {
	keys := []string{s.prefix + "expiry", s.prefix + "revoked"}
	return script.Exec(ctx, s.client, keys, append([]string{s.prefix}, args...))
}
