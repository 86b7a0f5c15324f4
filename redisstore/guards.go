package redisstore

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-31c5bcb2/auth"
)

// guards keep a process from reading cached answers that are older than its own
// changes. Redis announces a change on the connection that has cached the key, which
// is usually not the one that made the change and received its reply first. So each
// change sets a guard before it returns, and a cached answer that does not reflect
// the change is ignored: Redis is asked again. A guard lasts as long as a cached
// answer can.
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
	removed    state = iota // revoked or purged
	superseded              // rotated, with a grace period
	created
	touched // used, at lastUsed or later
)

// guardFor is longer than an entry of the cache can live. An entry's life starts
// before its request is sent.
const guardFor = cacheFor + time.Second

const minPrune = 1024

func (g *guards) init() {
	g.started = time.Now()
	for i := range g.shards {
		g.shards[i].guards = make(map[auth.Digest]guard)
		g.shards[i].prune = minPrune
	}
}

// set guards one record. A use does not replace the guard of another change.
func (g *guards) set(d auth.Digest, state state, lastUsed time.Time) {
	now := time.Since(g.started)
	shard := &g.shards[d[0]%16]
	shard.mu.Lock()
	defer shard.mu.Unlock()
	if old, ok := shard.guards[d]; ok && old.until > now {
		lastUsed = later(lastUsed, old.lastUsed)
		if state == touched {
			state = old.state
		}
	}
	if len(shard.guards) >= shard.prune {
		shard.removeOld(now)
	}
	shard.guards[d] = guard{now + guardFor, state, lastUsed}
}

func (g *guards) setRemoved(digests []auth.Digest) {
	for _, d := range digests {
		g.set(d, removed, time.Time{})
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

// stale reports whether a cached answer is older than a change that this process has
// made.
func (g *guards) stale(d auth.Digest, c *auth.Credential, err error) bool {
	shard := &g.shards[d[0]%16]
	shard.mu.RLock()
	guard, ok := shard.guards[d]
	shard.mu.RUnlock()
	if !ok || time.Since(g.started) >= guard.until {
		return false
	}
	if guard.state == removed || err != nil {
		return (err == nil) == (guard.state == removed)
	}
	return guard.state == superseded && !c.Superseded || c.LastUsedAt.Before(guard.lastUsed)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
