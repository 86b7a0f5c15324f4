package seal

import (
	"crypto/sha256"
	"encoding/base64"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	shards   = 16
	perShard = 1024 // of some 100 bytes each

	// maxCacheable is longer than any value that SignIn makes, in bytes.
	maxCacheable = 256
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
	token [32]byte
	until int64 // the last second, since 1970, in which the value opens
}

func (c *cache) get(value [32]byte, now time.Time) (token [32]byte, ok bool) {
	shard := &c.shards[value[0]%shards]
	shard.mu.RLock()
	e, ok := shard.entries[value]
	shard.mu.RUnlock()
	return e.token, ok && now.Unix() <= e.until
}

func (c *cache) put(value, token [32]byte, until int64) {
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
	shard.entries[value] = entry{token, until}
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
func cacheKey(value string) (key [32]byte, cacheable bool) {
	var buf [maxCacheable]byte
	if len(value) > len(buf) {
		return key, false
	}
	return sha256.Sum256(buf[:copy(buf[:], value)]), true
}

// sealedAt reads the time that securecookie puts before what it encrypts: seconds since
// 1970, and a vertical bar.
func sealedAt(value string) (int64, bool) {
	const first = 16 // characters, for twelve bytes
	var head [12]byte
	if len(value) < first {
		return 0, false
	}
	if _, err := base64.URLEncoding.Decode(head[:], []byte(value[:first])); err != nil {
		return 0, false
	}
	seconds, _, found := strings.Cut(string(head[:]), "|")
	at, err := strconv.ParseInt(seconds, 10, 64)
	return at, found && err == nil
}
