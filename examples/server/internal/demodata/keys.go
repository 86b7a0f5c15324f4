package demodata

import (
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"

	"github.com/seed-31c5bcb2/auth"
)

// Keys returns the keys that encrypt session cookies and client secrets, from which
// the library derives a separate key for each use, and where they come from:
// AUTH_KEYS, or a file that the first start creates. Processes that share a store
// need the same keys. If everything is in memory, the keys are too.
func (s *Storage) Keys() (keys auth.Keys, from string, err error) {
	if text, set := s.env("AUTH_KEYS"); set {
		keys, err = parseKeys("AUTH_KEYS", text)
		return keys, "AUTH_KEYS", err
	}
	if s.keysFile == nil {
		return auth.Keys{newKey()}, "made for this process", nil
	}
	file, err := s.keysFile()
	if err != nil {
		return nil, "", err
	}
	keys, err = keysIn(file)
	return keys, file, err
}

func keysIn(file string) (auth.Keys, error) {
	err := makeOnce(file, func(temp string) error {
		return os.WriteFile(temp, []byte(base64.StdEncoding.EncodeToString(newKey())+"\n"), 0o600)
	})
	if err != nil {
		return nil, err
	}
	text, err := readPrivate(file)
	if err != nil {
		return nil, err
	}
	return parseKeys(file, text)
}

func newKey() []byte {
	key := make([]byte, 32)
	rand.Read(key)
	return key
}

// parseKeys reads keys in base64, separated by commas, newest first. Its errors say
// which keys are invalid, without their text.
func parseKeys(from, text string) (keys auth.Keys, err error) {
	var faults []error
	parts := strings.Split(text, ",")
	for i, part := range parts {
		key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(part))
		switch {
		case err != nil:
			faults = append(faults, fmt.Errorf("%s: key %d of %d is not base64", from, i+1, len(parts)))
		case len(key) < 32:
			faults = append(faults, fmt.Errorf("%s: key %d of %d has %d bytes, but needs at least 32: use openssl rand -base64 32", from, i+1, len(parts), len(key)))
		}
		keys = append(keys, key)
	}
	return keys, errors.Join(faults...)
}

// fingerprints identify the keys without revealing them, so that the store can keep
// which one is in use.
func fingerprints(keys auth.Keys) (prints []string) {
	for _, key := range keys {
		derived, err := hkdf.Key(sha256.New, key, nil, "auth example server: fingerprint", 16)
		if err != nil {
			panic(err) // only for a length of more than 255 hashes
		}
		prints = append(prints, hex.EncodeToString(derived))
	}
	return prints
}

// readPrivate reads a file that only its owner can read. Windows has no such mode:
// there the permissions of the folder apply.
func readPrivate(file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 && runtime.GOOS != "windows" {
		return "", fmt.Errorf("%s has mode %04o, so other users may have read the keys: use chmod 600, or remove the file to get new keys", file, mode)
	}
	text, err := io.ReadAll(f)
	return string(text), err
}
