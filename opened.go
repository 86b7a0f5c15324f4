package auth

import (
	"crypto/sha256"
	"encoding/base64"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	openedShards   = 16
	openedPerShard = 1024 // of some 100 bytes each

	// maxRemembered is longer than any value that SignIn makes.
	maxRemembered = 256
)

// opened remembers which session tokens cookie values had in them. To open one takes
// two thirds of a request's time (BenchmarkChain/Cookie), and says the same each time: the
// keys of a Cookie do not change. What it does not say is whether the session is
// still good; the store is asked for that each time.
//
// Only values that a key of ours has sealed are remembered, by their SHA-256, with
// the digest of the token: neither can be used for anything. When a shard is full,
// any one of its values makes room.
type opened struct {
	shards [openedShards]struct {
		mu     sync.RWMutex
		values map[Digest]openedValue
	}
}

type openedValue struct {
	token Digest
	until int64 // in seconds since 1970: the last at which the codec would open it
}

// find returns the digest of the token in a value that was opened before.
func (o *opened) find(value Digest, now time.Time) (token Digest, ok bool) {
	shard := &o.shards[value[0]%openedShards]
	shard.mu.RLock()
	v, ok := shard.values[value]
	shard.mu.RUnlock()
	return v.token, ok && now.Unix() <= v.until
}

func (o *opened) remember(value, token Digest, until int64) {
	shard := &o.shards[value[0]%openedShards]
	shard.mu.Lock()
	defer shard.mu.Unlock()
	if shard.values == nil {
		shard.values = make(map[Digest]openedValue)
	}
	if len(shard.values) >= openedPerShard {
		for other := range shard.values { // in no order
			delete(shard.values, other)
			break
		}
	}
	shard.values[value] = openedValue{token, until}
}

// openValue returns the digest of the session token in a cookie's value, if one of
// the keys has sealed it.
func (c *Cookie) openValue(value string, now time.Time) (token Digest, ok bool) {
	key, short := valueDigest(value)
	if short {
		if token, ok = c.opened.find(key, now); ok {
			return token, true
		}
	}
	plaintext, ok := c.codecs.open(c.cookie.Name, value)
	if !ok {
		return Digest{}, false
	}
	token = digestOf(plaintext)
	if sealed, known := sealedAt(value); short && known {
		c.opened.remember(key, token, sealed+int64(c.lifetime/time.Second))
	}
	return token, true
}

// valueDigest hashes from the stack, as digestOf does.
func valueDigest(value string) (d Digest, short bool) {
	var buf [maxRemembered]byte
	if len(value) > len(buf) {
		return d, false
	}
	return sha256.Sum256(buf[:copy(buf[:], value)]), true
}

// sealedAt reads the time that securecookie puts in front of what it seals: seconds
// since 1970, and a bar.
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
