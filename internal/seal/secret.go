package seal

import (
	"crypto/aes"
	"crypto/cipher"

	"github.com/seed-31c5bcb2/auth/internal/token"
)

// Secrets seals client secrets so that their owner can see them again, under
// AES-256-GCM with one key each, the newest first. An empty one seals nothing.
type Secrets []cipher.AEAD

// NewSecrets returns Secrets of which the first key seals, and all of them open.
func NewSecrets(keys [][]byte) Secrets {
	s := make(Secrets, len(keys))
	for i, key := range keys {
		block, err := aes.NewCipher(derive(key, "reveal AES-256-GCM"))
		if err != nil {
			panic(err) // only for a key of another length
		}
		if s[i], err = cipher.NewGCMWithRandomNonce(block); err != nil {
			panic(err) // only for another block size
		}
	}
	return s
}

// Seal binds a plaintext to the record that it is kept in. Without keys it
// returns nil.
func (s Secrets) Seal(plaintext, userID, id string) []byte {
	if len(s) == 0 {
		return nil
	}
	return s[0].Seal(nil, nil, []byte(plaintext), additionalData(userID, id))
}

// Open returns the plaintext, if one of the keys sealed it for that record and it
// has that digest: one that was moved to another record does not open.
func (s Secrets) Open(sealed []byte, userID, id string, digest [32]byte) (plaintext string, ok bool) {
	for _, aead := range s {
		opened, err := aead.Open(nil, nil, sealed, additionalData(userID, id))
		if err == nil && token.Digest(string(opened)) == digest {
			return string(opened), true
		}
	}
	return "", false
}

// No user ID holds a NUL.
func additionalData(userID, id string) []byte { return []byte(userID + "\x00" + id) }
