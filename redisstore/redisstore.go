// Package redisstore keeps credentials in Redis 7 or Valkey, over rueidis.
//
//	client, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{"127.0.0.1:6379"}})
//	store, err := redisstore.New(client)
//
// Lookups go through server-assisted client-side caching: a credential in use costs
// no round trip, and Redis itself tells every process when it changes. Put no
// other cache in front.
//
// # What it guarantees
//
// Every change is one script, which Redis runs whole or not at all. A revocation
// holds at once in the process that makes it, and in every other as soon as Redis
// has told it; if it cannot, for 5 seconds at the most, since nothing is cached
// for longer. A connection that is lost takes its cache with it. Limits, the one
// current secret and the one winner of a rotation hold across all processes.
//
// A record stays for [WithRetention] after it has expired, and then Redis removes
// it. The digest of a revoked token or secret, some 150 bytes, stays until Purge.
//
// # What Redis can lose
//
// Redis answers before a change is on a disk or a replica. A server that dies
// without appendfsync always, or a failover to a replica that lags behind, can
// lose what was acknowledged last: tokens that were just made are unknown, and a
// token that was just revoked is good again. The options wait for nothing; where
// that matters, set appendfsync always, and min-replicas-to-write against a
// primary that is cut off. A service for which a lost revocation is too much keeps its
// credentials in a database.
//
// Keys must not be evicted: with any maxmemory-policy but noeviction Redis drops
// credentials and revocations to make room. With noeviction a full server refuses
// new credentials and still revokes.
//
// # Where it runs
//
// One primary, with or without replicas, Sentinel included. Reads must go to the
// primary: a client that sends them to replicas serves what those have not
// heard yet. A script touches an account's records, which have keys of their own:
// in Redis Cluster all of them must be in one slot, by a prefix with a hash tag,
// WithPrefix("{auth}:"), and so on one node.
//
// # How it was tested
//
// The suite in storetest runs over Redis 7.0 and Valkey 8.0. So do thousands of
// trials of each change, here and in another process; tests in which each request
// or its answer is lost, once and twice; connections that are cut after each of
// several lengths or fall silent; a server that is killed among eight writers,
// refuses to write, has no memory left, is emptied or comes up empty; a replica that
// takes over; records that other programs have spoilt; and a million lookups given
// up at random.
//
// # What it costs
//
// At a million records, with two cores for the service and the server together
// (BenchmarkStore in internal/integration):
//
//	lookup, not cached          58 us, 9.7 us with 16 in flight
//	lookup of a thousand        1.1 us, 0.5 us with 16 in flight; 0.6 us at 10,000 records
//	create                      75 us, 20 us with 16 in flight
//	revoke all of 10,000        78 ms, for which Redis answers nobody else
//	bytes a record              640, in the server's memory
package redisstore

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/redis/rueidis"

	"github.com/seed-31c5bcb2/auth"
)

// A Store is an auth.Store over Redis. It is made by [New] and safe for concurrent
// use, by several processes too. It needs no Close.
type Store struct {
	client    rueidis.Client
	prefix    string
	timeout   time.Duration
	retention time.Duration
	fences    fences
}

var _ auth.Store = (*Store)(nil)

// An Option changes a Store's defaults.
type Option func(*Store) error

// WithPrefix names what every key begins with, so that several stores can share a
// database. The default is "auth:".
func WithPrefix(prefix string) Option {
	return func(s *Store) error {
		s.prefix = prefix
		return nil
	}
}

// WithTimeout bounds each call of the store, retries and waiting for a connection
// included. The default is 2 seconds. What it bounds of Touch and Purge is each
// batch.
func WithTimeout(d time.Duration) Option {
	return func(s *Store) error {
		if d <= 0 {
			return fmt.Errorf("redisstore: WithTimeout: %v is no time", d)
		}
		s.timeout = d
		return nil
	}
}

// WithRetention says how long a record stays after it has expired, to be listed as
// such. The default is 24 hours, and an hour the least: the clocks of the service
// and of Redis may differ.
func WithRetention(d time.Duration) Option {
	return func(s *Store) error {
		if d < time.Hour {
			return fmt.Errorf("redisstore: WithRetention: %v is under an hour", d)
		}
		s.retention = d
		return nil
	}
}

// New returns a Store over client, which stays the caller's. It asks nothing of
// the server yet. The client must have its client-side caching on, as is the
// default, or each lookup is a round trip.
func New(client rueidis.Client, options ...Option) (*Store, error) {
	s := &Store{client: pinned{client}, prefix: "auth:", timeout: 2 * time.Second, retention: 24 * time.Hour}
	s.fences.init()
	var faults []error
	if v := reflect.ValueOf(client); client == nil || v.Kind() == reflect.Pointer && v.IsNil() {
		faults = append(faults, errors.New("redisstore: client is nil"))
	}
	for _, o := range options {
		if o == nil {
			faults = append(faults, errors.New("redisstore: an option is nil"))
			continue
		}
		faults = append(faults, o(s))
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	return s, nil
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

// List implements auth.Store.
func (s *Store) List(ctx context.Context, kind auth.Kind, userID string, page auth.Page) ([]auth.Credential, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	texts, err := s.run(ctx, listScript, kindDigit(kind), userID, page.After, fmt.Sprint(page.Max())).AsStrSlice()
	if err != nil {
		return nil, err
	}
	list := make([]auth.Credential, len(texts))
	for i, text := range texts {
		if list[i], err = decode(text); err != nil {
			return nil, err
		}
		if list[i].Kind != kind || list[i].UserID != userID {
			return nil, errCorrupt
		}
	}
	return list, nil
}

// run runs a script. All that differs from key to key is computed there.
func (s *Store) run(ctx context.Context, script *rueidis.Lua, args ...string) rueidis.RedisResult {
	keys := []string{s.prefix + "expiring", s.prefix + "revoked"}
	return script.Exec(ctx, s.client, keys, append([]string{s.prefix}, args...))
}
