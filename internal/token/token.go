// Package token makes the plaintexts of credentials, recognizes their form
// without a store, and hashes them. It also makes what is shown of a credential:
// its ID and its hint. All functions are safe for concurrent use.
//
// A plaintext is 32 random base62 characters (190 bits). With a prefix it is
// <prefix>_<32 random><6 checksum>, where the checksum is the CRC-32 (IEEE) of
// everything before it, in base62 with the digits 0-9A-Za-z, most significant
// first. The checksum is not for security: it lets a server reject typing errors
// and junk without a lookup, and lets secret scanners tell tokens from lookalikes.
package token

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"encoding/hex"
	"hash/crc32"
	"strings"
	"sync"
	"time"
)

const (
	alphabet    = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	randomLen   = 32
	checksumLen = 6

	idLen   = 26
	timeLen = 10       // characters of an ID
	zeros   = "000000" // 30 bits that are cut off from an ID

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
	return string(appendChecksum(b, checksum(string(b))))
}

// Digest returns the SHA-256 of a plaintext. It hashes from the stack: converting
// to []byte would allocate for more than 32 bytes, on each request, and cost a
// quarter more than the hash (BenchmarkDigest).
func Digest(plaintext string) [32]byte {
	var buf [64]byte
	if len(plaintext) > len(buf) {
		return sha256.Sum256([]byte(plaintext))
	}
	n := copy(buf[:], plaintext)
	return sha256.Sum256(buf[:n])
}

// Hint returns the prefix, if the plaintext has it, and the last four characters,
// by which users recognize a credential.
func Hint(prefix, plaintext string) string {
	hint := "…" + plaintext[len(plaintext)-4:]
	if prefix != "" && strings.HasPrefix(plaintext, prefix+"_") {
		return prefix + "_" + hint
	}
	return hint
}

var crockford = base32.NewEncoding("0123456789ABCDEFGHJKMNPQRSTVWXYZ").WithPadding(base32.NoPadding)

// ID returns a new ULID: 48 bits of milliseconds since 1970 and 80 random bits, as
// 26 characters. IDs sort by their times.
func ID(t time.Time) string {
	var raw [20]byte // 32 zero bits, 48 of time, 80 random; the zeros are cut off
	binary.BigEndian.PutUint64(raw[2:], uint64(t.UnixMilli()))
	rand.Read(raw[10:])
	return crockford.EncodeToString(raw[:])[len(zeros):]
}

// IDTime returns the time of an ID, and false if s is not one that ID makes.
func IDTime(s string) (time.Time, bool) {
	var raw [20]byte
	if len(s) != idLen {
		return time.Time{}, false
	}
	n, err := crockford.Decode(raw[:], []byte(zeros+s))
	if err != nil || n != len(raw) || raw[2] != 0 || raw[3] != 0 {
		return time.Time{}, false
	}
	return time.UnixMilli(int64(binary.BigEndian.Uint64(raw[2:]))).UTC(), true
}

// FromUUID returns the ID that has the bits of a UUID of version 7, which begins with the same 48
// bits of time (RFC 9562 section 5.7), and false if s is not one.
func FromUUID(s string) (id string, ok bool) {
	var raw [20]byte
	digits := strings.ReplaceAll(s, "-", "")
	if len(s) != 36 || len(digits) != 32 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return "", false
	}
	_, err := hex.Decode(raw[4:], []byte(digits))
	if version, variant := raw[10]>>4, raw[12]>>6; err != nil || version != 7 || variant != 0b10 {
		return "", false
	}
	return crockford.EncodeToString(raw[:])[len(zeros):], true
}

// DerivedID returns the ID that belongs to another ID and a user. It is always the same,
// and has the time of the other. Its 80 bits are a hash: a client that may choose the other
// ID, but not the user, cannot get the ID of another record.
func DerivedID(id, userID string) string {
	sum := sha256.Sum256([]byte(id + "\x00" + userID))
	return id[:timeLen] + crockford.EncodeToString(sum[:10])
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

// Shaped reports whether s has the prefix and the length of a plaintext that New
// made with it. [Intact] checks the checksum.
func Shaped(prefix, s string) bool {
	return len(s) == len(prefix)+1+randomLen+checksumLen &&
		s[:len(prefix)] == prefix && s[len(prefix)] == '_'
}

// Intact reports whether the last characters of s are the checksum of the rest. It decodes
// them: six divisions, to encode the checksum, cost as much as the checksum (BenchmarkIntact).
func Intact(s string) bool {
	if len(s) <= checksumLen {
		return false
	}
	body := len(s) - checksumLen
	var sum uint64 // six characters hold more than 32 bits
	for i := body; i < len(s); i++ {
		value := values[s[i]]
		if value == noDigit {
			return false
		}
		sum = sum*62 + uint64(value)
	}
	return sum == uint64(checksum(s[:body]))
}

// appendRandom takes one base62 character from each random byte below 248, which
// is four times 62: so all characters are equally likely.
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

// crc32 makes an indirect call, which would move a buffer from the stack to the
// heap on each request. The pool saves that allocation and a quarter of the time
// (BenchmarkIntact).
var buffers = sync.Pool{New: func() any { return new([MaxPrefix + 1 + randomLen]byte) }}

func checksum(s string) uint32 {
	buf := buffers.Get().(*[MaxPrefix + 1 + randomLen]byte)
	sum := crc32.ChecksumIEEE(append(buf[:0], s...))
	clear(buf[:]) // most of a plaintext
	buffers.Put(buf)
	return sum
}

// appendChecksum appends a checksum as Intact reads it.
func appendChecksum(b []byte, sum uint32) []byte {
	var digits [checksumLen]byte
	for i := checksumLen - 1; i >= 0; i-- {
		digits[i] = alphabet[sum%62]
		sum /= 62
	}
	return append(b, digits[:]...)
}

const noDigit = 62

// values are those of the digits, and noDigit for all other bytes.
var values = func() (v [256]byte) {
	for c := range v {
		v[c] = noDigit
	}
	for value := range len(alphabet) {
		v[alphabet[value]] = byte(value)
	}
	return v
}()
