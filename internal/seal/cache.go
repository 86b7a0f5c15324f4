package seal

import (
	"crypto/sha256"
	"sync"
)

const (
	shards   = 16
	perShard = 1024 // of some 100 bytes each
)

// A cache keeps which session token each cookie value carries. Decrypting a value takes
// two thirds of a request's time (BenchmarkChain/Cookie) and always has the same result,
// since the keys do not change. Whether the session is valid is not cached: the store is
// asked on each request.
//
// It has only values that one of the keys encrypted: the SHA-256 of the value and the
// digest of the token, neither of which can be used to authenticate. If a shard is full,
// an arbitrary entry is evicted.
type cache struct {
	shards [shards]struct {
		mu      sync.RWMutex
		entries map[[32]byte]entry
	}
}

type entry struct {
	token  [32]byte
	sealed int64 // when the value was encrypted, in seconds since 1970
}

func (c *cache) get(value [32]byte) (e entry, ok bool) {
	shard := &c.shards[value[0]%shards]
	shard.mu.RLock()
	e, ok = shard.entries[value]
	shard.mu.RUnlock()
	return e, ok
}

func (c *cache) put(value [32]byte, e entry) {
	shard := &c.shards[value[0]%shards]
	shard.mu.Lock()
	defer shard.mu.Unlock()
	if shard.entries == nil {
		shard.entries = make(map[[32]byte]entry)
	}
	if len(shard.entries) >= perShard {
		for other := range shard.entries { // in random order
			delete(shard.entries, other)
			break
		}
	}
	shard.entries[value] = e
}

func (c *cache) len() (n int) {
	for i := range c.shards {
		c.shards[i].mu.RLock()
		n += len(c.shards[i].entries)
		c.shards[i].mu.RUnlock()
	}
	return n
}

// cacheKey hashes from the stack, as token.Digest does.
func cacheKey(value string) [32]byte {
	var buf [maxValue]byte
	return sha256.Sum256(buf[:copy(buf[:], value)])
}
