package auth

import (
	"bytes"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
)

// Keys are the secrets from which an authenticator derives its encryption keys,
// the newest first: that one alone seals, all of them open. Each is of 32 random
// bytes at least, from crypto/rand or `openssl rand 32`, kept where the database
// is not. To rotate, put a new one in front, and drop the oldest when nothing
// that it has sealed is needed any more.
//
// Keys print, log and marshal as their number only. That holds where their
// methods can be called: fmt calls none on an unexported field of a struct that
// is printed as a whole, and encoding/gob none of these.
type Keys [][]byte

const minKey = 32

// Format implements fmt.Formatter, so that no verb prints a key.
func (k Keys) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "auth.Keys(%d)", len(k)) }

// LogValue implements slog.LogValuer.
func (k Keys) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(k)) }

// MarshalJSON returns the same as Format, as a JSON string.
func (k Keys) MarshalJSON() ([]byte, error) { return fmt.Appendf(nil, "%q", fmt.Sprint(k)), nil }

// MarshalText returns the same as Format.
func (k Keys) MarshalText() ([]byte, error) { return fmt.Append(nil, k), nil }

// check returns every fault of k at once, each naming the key by its place.
func (k Keys) check(of, field string) error {
	var faults []error
	for i, key := range k {
		switch {
		case len(key) < minKey:
			faults = append(faults, configFault(of, field, "key %d has %d bytes: use %d or more random ones", i, len(key), minKey))
		case bytes.Count(key, key[:1]) == len(key):
			faults = append(faults, configFault(of, field, "key %d is one byte repeated: use %d or more random ones", i, minKey))
		}
		for j := range i {
			if bytes.Equal(k[j], key) {
				faults = append(faults, configFault(of, field, "keys %d and %d are equal: remove one", j, i))
			}
		}
	}
	return errors.Join(faults...)
}

// derive makes a 32-byte key for one purpose, so that no two uses of a key can
// be played against each other (RFC 5869).
func derive(key []byte, purpose string) []byte {
	derived, err := hkdf.Key(sha256.New, key, nil, "github.com/seed-31c5bcb2/auth "+purpose, 32)
	if err != nil {
		panic(err) // only for a length over 255 hashes
	}
	return derived
}
