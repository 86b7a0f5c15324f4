package redisstore

import (
	"reflect"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
	"weak"

	"github.com/redis/rueidis"

	"github.com/seed-31c5bcb2/auth"
)

// guards keep a process from reading cached answers that are older than its own
// changes. Redis announces a change on the connection that has cached the key, which
// is usually not the one that made the change and received its reply first. So each
// change sets a guard before it returns, and a cached answer that does not reflect
// the change is ignored: Redis is asked again. A guard lasts as long as a cached
// answer can. All Stores over one client and prefix share their guards, as they share
// the cache of the client.
type guards struct {
	shards  [16]guardShard
	started time.Time
	all     atomic.Int64 // the time since started until which no cached answer is valid
}

type guardShard struct {
	mu     sync.RWMutex
	guards map[auth.Digest]guard
	prune  int // the size at which old guards are removed
}

// A guard describes the change that an answer must reflect.
type guard struct {
	until    time.Duration
	state    state
	lastUsed time.Time
}

type state uint8

const (
	touched state = iota // used, at lastUsed or later
	removed              // revoked or purged
	created
	changed // in another way, or in several: no cached answer is valid
)

// guardFor is longer than an answer is used after it was requested (see isFresh).
const guardFor = cacheFor + time.Second

// minPrune is small, so that a process with few changes holds few old guards.
const minPrune = 64

// shared has the guards of all Stores in use.
var shared = struct {
	mu     sync.Mutex
	guards map[cacheKey]weak.Pointer[guards]
}{guards: make(map[cacheKey]weak.Pointer[guards])}

// A cacheKey names the records that a client caches under a prefix.
type cacheKey struct {
	client rueidis.Client
	prefix string
}

// guardsOf returns the guards for a client and prefix.
func guardsOf(client rueidis.Client, prefix string) *guards {
	if !reflect.ValueOf(client).Comparable() {
		return newGuards()
	}
	key := cacheKey{client, prefix}
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if g := shared.guards[key].Value(); g != nil {
		return g
	}
	g := newGuards()
	shared.guards[key] = weak.Make(g)
	runtime.AddCleanup(g, release, key)
	return g
}

// release forgets guards that no Store uses, and with them the client.
func release(key cacheKey) {
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.guards[key].Value() == nil {
		delete(shared.guards, key)
	}
}

func newGuards() *guards {
	g := &guards{started: time.Now()}
	for i := range g.shards {
		g.shards[i].guards = make(map[auth.Digest]guard)
		g.shards[i].prune = minPrune
	}
	return g
}

// set guards one record. A use does not replace the guard of another change. The
// replies to two other changes can arrive in another order than Redis made them, so
// after them only Redis knows.
func (g *guards) set(d auth.Digest, state state, lastUsed time.Time) {
	now := time.Since(g.started)
	shard := &g.shards[d[0]%16]
	shard.mu.Lock()
	defer shard.mu.Unlock()
	if old, ok := shard.guards[d]; ok && old.until > now {
		lastUsed = later(lastUsed, old.lastUsed)
		switch {
		case state == touched:
			state = old.state
		case old.state != touched && (old.state != removed || state != removed):
			state = changed
		}
	}
	if len(shard.guards) >= shard.prune {
		shard.removeOld(now)
	}
	shard.guards[d] = guard{now + guardFor, state, lastUsed}
}

func (g *guards) setEach(digests []auth.Digest, state state) {
	for _, d := range digests {
		g.set(d, state, time.Time{})
	}
}

func (s *guardShard) removeOld(now time.Duration) {
	for d, g := range s.guards {
		if g.until <= now {
			delete(s.guards, d)
		}
	}
	s.prune = max(minPrune, 2*len(s.guards))
}

// setAll guards all records. It is for a change that may have been made, to records
// that are not known.
func (g *guards) setAll() { g.all.Store(int64(time.Since(g.started) + guardFor)) }

func (g *guards) guardsAll() bool {
	until := g.all.Load()
	return until != 0 && int64(time.Since(g.started)) < until
}

// stale reports whether a cached answer may be older than a change that this process
// has made.
func (g *guards) stale(d auth.Digest, c *auth.Credential, err error) bool {
	shard := &g.shards[d[0]%16]
	shard.mu.RLock()
	guard, ok := shard.guards[d]
	shard.mu.RUnlock()
	if !ok || time.Since(g.started) >= guard.until {
		return false
	}
	switch {
	case guard.state == changed:
		return true
	case guard.state == removed:
		return err == nil
	case err != nil:
		return true
	}
	return c.LastUsedAt.Before(guard.lastUsed)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
