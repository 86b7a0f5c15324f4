package seal

import (
	"crypto/aes"
	"crypto/cipher"

	"github.com/seed-31c5bcb2/auth/internal/token"
)

// Secrets encrypts client secrets, so that users can see them again, with AES-256-GCM and
// random nonces. It has one AEAD for each key, newest first. An empty Secrets encrypts
// nothing.
type Secrets []cipher.AEAD

// NewSecrets returns Secrets that encrypt with the first key, and decrypt with all of them.
func NewSecrets(keys [][]byte) Secrets {
	s := make(Secrets, len(keys))
	for i, key := range keys {
		block, err := aes.NewCipher(derive(key, "reveal AES-256-GCM"))
		if err != nil {
			panic(err) // impossible: the key has 32 bytes
		}
		if s[i], err = cipher.NewGCMWithRandomNonce(block); err != nil {
			panic(err) // impossible: AES has the block size of GCM
		}
	}
	return s
}

// Seal encrypts a plaintext and binds it to its record. Without keys it returns nil.
func (s Secrets) Seal(plaintext, userID, id string) []byte {
	if len(s) == 0 {
		return nil
	}
	return s[0].Seal(nil, nil, []byte(plaintext), additionalData(userID, id))
}

// Open decrypts a plaintext. It reports false unless one of the keys encrypted it for this
// record, and it has this digest: what was moved to another record does not open.
func (s Secrets) Open(sealed []byte, userID, id string, digest [32]byte) (plaintext string, ok bool) {
	for _, aead := range s {
		opened, err := aead.Open(nil, nil, sealed, additionalData(userID, id))
		if err == nil && token.Digest(string(opened)) == digest {
			return string(opened), true
		}
	}
	return "", false
}

// additionalData is unambiguous, since user IDs have no NUL.
func additionalData(userID, id string) []byte { return []byte(userID + "\x00" + id) }
