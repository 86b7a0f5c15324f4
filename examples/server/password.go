package main

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"strings"

	"golang.org/x/crypto/argon2"
)

type passwordHash struct {
	salt [16]byte
	key  [32]byte
}

func newPasswordHash(password string) (h passwordHash) {
	rand.Read(h.salt[:])
	h.key = h.derive(password)
	return h
}

// derive is Argon2id with the parameters that OWASP gives as the least.
func (h *passwordHash) derive(password string) [32]byte {
	return [32]byte(argon2.IDKey([]byte(password), h.salt[:], 2, 19*1024, 1, 32))
}

func (h *passwordHash) matches(password string) bool {
	key := h.derive(password)
	return subtle.ConstantTimeCompare(key[:], h.key[:]) == 1
}

// phc begins a hash of these parameters in the format of the Password Hashing
// Competition, which other programs read too. Whoever changes the parameters
// writes new hashes with new ones, and goes on reading these.
const phc = "$argon2id$v=19$m=19456,t=2,p=1$"

var phcEncoding = base64.RawStdEncoding.Strict()

// String is what the state keeps.
func (h *passwordHash) String() string {
	return phc + phcEncoding.EncodeToString(h.salt[:]) + "$" + phcEncoding.EncodeToString(h.key[:])
}

func parsePasswordHash(text string) (h passwordHash, err error) {
	rest, ours := strings.CutPrefix(text, phc)
	salt, key, _ := strings.Cut(rest, "$")
	s, errSalt := phcEncoding.DecodeString(salt)
	k, errKey := phcEncoding.DecodeString(key)
	if !ours || errSalt != nil || errKey != nil || len(s) != len(h.salt) || len(k) != len(h.key) {
		return h, errors.New("a password hash is none of ours")
	}
	return passwordHash{[16]byte(s), [32]byte(k)}, nil
}
