// Package password hashes passwords with Argon2id.
package password

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"strings"

	"golang.org/x/crypto/argon2"
)

// A Hash is a salted hash of one password. No password matches the zero value.
type Hash struct {
	salt [16]byte
	key  [32]byte
}

// New hashes a password with a new random salt.
func New(password string) (h Hash) {
	rand.Read(h.salt[:])
	h.key = h.derive(password)
	return h
}

// derive uses the minimum parameters that OWASP recommends for Argon2id. Each call
// needs 19 MiB of memory.
func (h Hash) derive(password string) [32]byte {
	return [32]byte(argon2.IDKey([]byte(password), h.salt[:], 2, 19*1024, 1, 32))
}

// Matches reports whether h is a hash of the password. It takes the same time for
// every password.
func (h Hash) Matches(password string) bool {
	key := h.derive(password)
	return subtle.ConstantTimeCompare(key[:], h.key[:]) == 1
}

// phc is the start of a hash in the Password Hashing Competition string format,
// which other programs can read too. If the parameters of derive change, Parse must
// still accept this prefix.
const phc = "$argon2id$v=19$m=19456,t=2,p=1$"

var encoding = base64.RawStdEncoding.Strict()

// String returns the hash in the PHC string format.
func (h Hash) String() string {
	return phc + encoding.EncodeToString(h.salt[:]) + "$" + encoding.EncodeToString(h.key[:])
}

// Parse reads what String returns. Its errors do not contain the text.
func Parse(text string) (h Hash, err error) {
	rest, hasPrefix := strings.CutPrefix(text, phc)
	salt, key, _ := strings.Cut(rest, "$")
	s, errSalt := encoding.DecodeString(salt)
	k, errKey := encoding.DecodeString(key)
	if !hasPrefix || errSalt != nil || errKey != nil || len(s) != len(h.salt) || len(k) != len(h.key) {
		return h, errors.New("invalid password hash")
	}
	return Hash{[16]byte(s), [32]byte(k)}, nil
}
