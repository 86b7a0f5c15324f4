// Package token makes the plaintext of credentials and recognises it again
// without asking anybody.
//
// A plaintext is 32 random base62 characters (190 bits). With a prefix it is
// <prefix>_<32 random><6 checksum>, where the checksum is the CRC-32 (IEEE) of
// everything before it, written in base62 with the digits 0-9A-Za-z, most
// significant first. A checksum is no security: it lets a server refuse typing
// errors and junk before it asks its store, and a scanner of leaked
// credentials tell a real one from a lookalike.
package token

import (
	"crypto/rand"
	"crypto/sha256"
	"hash/crc32"
	"strings"
	"sync"
)

const (
	alphabet    = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	randomLen   = 32
	checksumLen = 6

	// MaxPrefix keeps a whole plaintext at 55 bytes, which is the most that
	// SHA-256 takes in one block.
	MaxPrefix = 16
)

// New returns a new plaintext. The prefix is "" or one that [ValidPrefix] accepts.
func New(prefix string) string {
	if prefix == "" {
		return string(appendRandom(nil))
	}
	b := make([]byte, 0, len(prefix)+1+randomLen+checksumLen)
	b = append(b, prefix...)
	b = append(b, '_')
	b = appendRandom(b)
	sum := checksum(string(b))
	return string(append(b, sum[:]...))
}

// Digest hashes on the stack: a conversion to []byte would allocate for anything
// over 32 bytes, on each request, and cost a quarter more than the hash
// (BenchmarkDigest).
func Digest(plaintext string) [32]byte {
	var buf [64]byte
	if len(plaintext) > len(buf) {
		return sha256.Sum256([]byte(plaintext))
	}
	n := copy(buf[:], plaintext)
	return sha256.Sum256(buf[:n])
}

// ValidPrefix reports whether p can be a prefix: 1 to 16 of [A-Za-z0-9_].
func ValidPrefix(p string) bool {
	if p == "" || len(p) > MaxPrefix {
		return false
	}
	for i := range len(p) {
		if p[i] != '_' && strings.IndexByte(alphabet, p[i]) < 0 {
			return false
		}
	}
	return true
}

// Shaped reports whether s has the prefix and the length of a plaintext made
// by New with it. Whether its checksum fits, [Intact] says.
func Shaped(prefix, s string) bool {
	return len(s) == len(prefix)+1+randomLen+checksumLen &&
		s[:len(prefix)] == prefix && s[len(prefix)] == '_'
}

// Intact reports whether the last characters of s are the checksum of the rest.
func Intact(s string) bool {
	if len(s) <= checksumLen {
		return false
	}
	body := len(s) - checksumLen
	sum := checksum(s[:body])
	return s[body:] == string(sum[:])
}

// appendRandom takes one base62 character from each random byte. The bytes from
// 248 on are thrown away: 248 is four times 62, so every character is as likely.
func appendRandom(b []byte) []byte {
	var random [randomLen]byte
	for want := len(b) + randomLen; ; {
		rand.Read(random[:]) // never fails: see crypto/rand
		for _, r := range random {
			if r < 248 {
				b = append(b, alphabet[r%62])
			}
			if len(b) == want {
				return b
			}
		}
	}
}

// Behind crc32 is an indirect call, so that a buffer on the stack would be moved
// to the heap for each request. The pool saves that allocation and a quarter of
// the time (BenchmarkIntact).
var buffers = sync.Pool{New: func() any { return new([MaxPrefix + 1 + randomLen]byte) }}

func checksum(s string) (sum [checksumLen]byte) {
	buf := buffers.Get().(*[MaxPrefix + 1 + randomLen]byte)
	n := crc32.ChecksumIEEE(append(buf[:0], s...))
	clear(buf[:]) // a plaintext, nearly
	buffers.Put(buf)
	for i := checksumLen - 1; i >= 0; i-- {
		sum[i] = alphabet[n%62]
		n /= 62
	}
	return sum
}
