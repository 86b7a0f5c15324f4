package auth

import (
	"crypto/aes"
	"crypto/cipher"
	"errors"
)

// A vault seals plaintexts so that their owner can see them again, and opens
// them: AES-256-GCM, one AEAD a key, the newest first. An empty one seals
// nothing.
type vault []cipher.AEAD

func newVault(keys Keys) vault {
	v := make(vault, len(keys))
	for i, key := range keys {
		block, err := aes.NewCipher(derive(key, "reveal AES-256-GCM"))
		if err != nil {
			panic(err) // only for a key of another length
		}
		if v[i], err = cipher.NewGCMWithRandomNonce(block); err != nil {
			panic(err) // only for another block size
		}
	}
	return v
}

func (v vault) seal(c Credential, plaintext string) []byte {
	if len(v) == 0 {
		return nil
	}
	return v[0].Seal(nil, nil, []byte(plaintext), boundTo(c))
}

// open returns a plaintext whose digest is c's, or nothing: a record that was
// swapped for another one in the database does not open.
func (v vault) open(c Credential) (string, error) {
	if len(c.Sealed) == 0 {
		return "", ErrNotFound
	}
	for _, aead := range v {
		plaintext, err := aead.Open(nil, nil, c.Sealed, boundTo(c))
		if err == nil && digestOf(string(plaintext)) == c.Digest {
			return string(plaintext), nil
		}
	}
	return "", unavailable(errors.New("no reveal key opens this secret"))
}

// boundTo is what a sealed plaintext belongs to. No UserID has a NUL.
func boundTo(c Credential) []byte { return []byte(c.UserID + "\x00" + c.ID) }
