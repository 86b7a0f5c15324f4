// Package seal encrypts plaintexts with keys that the operator holds: session tokens in
// cookie values, and client secrets that users may see again. What it returns for one
// purpose, cookie or record cannot be opened as another. All types are safe for
// concurrent use.
package seal

import (
	"crypto/hkdf"
	"crypto/sha256"
)

// derive returns a 32-byte key for one purpose (HKDF, RFC 5869), so that one purpose
// cannot be used to attack another.
func derive(key []byte, purpose string) []byte {
	derived, err := hkdf.Key(sha256.New, key, nil, "github.com/seed-31c5bcb2/auth "+purpose, 32)
	if err != nil {
		panic(err) // impossible: only for a length over 255 hashes
	}
	return derived
}
