package redisstore

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-31c5bcb2/auth"
)

// fences keep this process from its own past. Redis tells a client of a change
// over the connection that has cached the key, which is seldom the one on which the
// change was made: its answer is often there first. So whoever changes a record
// fences it before it returns, and what the cache then says of it has to show
// the change, or Redis is asked. After as long as an entry of the cache can live
// the fence is in nobody's way.
type fences struct {
	shards  [16]fenceShard
	started time.Time
	all     atomic.Int64 // until when, since started, nothing that is cached counts
}

type fenceShard struct {
	mu     sync.RWMutex
	fences map[auth.Digest]fence
	prune  int // the size at which old ones are looked for
}

// A fence says what an answer has to show that is newer than a change.
type fence struct {
	until    time.Duration
	state    state
	lastUsed time.Time
}

type state uint8

const (
	gone       state = iota // it was revoked, or removed
	superseded              // it was rotated, with an overlap
	there                   // it was created
	touched                 // it was used, at lastUsed or later
)

// Longer than an entry can live, which counts from before the question.
const fenceFor = cacheFor + time.Second

const minPrune = 1024

func (fs *fences) init() {
	fs.started = time.Now()
	for i := range fs.shards {
		fs.shards[i].fences = make(map[auth.Digest]fence)
		fs.shards[i].prune = minPrune
	}
}

// set fences one record. A use does not take the place of more important news.
func (fs *fences) set(d auth.Digest, state state, lastUsed time.Time) {
	now := time.Since(fs.started)
	sh := &fs.shards[d[0]%16]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if old, ok := sh.fences[d]; ok && old.until > now {
		lastUsed = later(lastUsed, old.lastUsed)
		if state == touched {
			state = old.state
		}
	}
	if len(sh.fences) >= sh.prune {
		sh.drop(now)
	}
	sh.fences[d] = fence{now + fenceFor, state, lastUsed}
}

func (sh *fenceShard) drop(now time.Duration) {
	for d, f := range sh.fences {
		if f.until <= now {
			delete(sh.fences, d)
		}
	}
	sh.prune = max(minPrune, 2*len(sh.fences))
}

// setAll is for a change of which nobody knows whether it was made, and to what.
func (fs *fences) setAll() { fs.all.Store(int64(time.Since(fs.started) + fenceFor)) }

func (fs *fences) everything() bool {
	until := fs.all.Load()
	return until != 0 && int64(time.Since(fs.started)) < until
}

// hold reports whether an answer of the cache is older than a change that this
// process has made.
func (fs *fences) hold(d auth.Digest, c *auth.Credential, err error) bool {
	sh := &fs.shards[d[0]%16]
	sh.mu.RLock()
	f, ok := sh.fences[d]
	sh.mu.RUnlock()
	if !ok || time.Since(fs.started) >= f.until {
		return false
	}
	if f.state == gone || err != nil {
		return (err == nil) == (f.state == gone)
	}
	return f.state == superseded && !c.Superseded || c.LastUsedAt.Before(f.lastUsed)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
