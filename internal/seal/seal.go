// Package seal keeps plaintexts under keys that the operator holds: session tokens
// in cookie values, and client secrets that their owner may see again.
package seal

import (
	"crypto/hkdf"
	"crypto/sha256"
)

// derive makes a 32-byte key for one purpose, so that no two uses of a key can
// be played off against each other (RFC 5869).
func derive(key []byte, purpose string) []byte {
	derived, err := hkdf.Key(sha256.New, key, nil, "github.com/seed-31c5bcb2/auth "+purpose, 32)
	if err != nil {
		panic(err) // only for a length over 255 hashes
	}
	return derived
}
