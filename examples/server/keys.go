package main

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

// loadKeys returns the keys for cookies and for secrets that can be seen again,
// for which the library derives keys of their own, and where they come from:
// AUTH_KEYS, or a file, which the first start makes. Processes that share a store
// need the same. In memory nothing outlives the process, nor do they.
func loadKeys(env environment, keysFile func() (string, error)) (keys auth.Keys, from string, err error) {
	if text, set := env("AUTH_KEYS"); set {
		keys, err = parseKeys("AUTH_KEYS", text)
		return keys, "AUTH_KEYS", err
	}
	if keysFile == nil {
		return auth.Keys{newKey()}, "made for this process", nil
	}
	file, err := keysFile()
	if err != nil {
		return nil, "", err
	}
	err = makeOnce(file, func(temp string) error {
		return os.WriteFile(temp, []byte(base64.StdEncoding.EncodeToString(newKey())+"\n"), 0o600)
	})
	if err != nil {
		return nil, "", err
	}
	text, err := readPrivate(file)
	if err != nil {
		return nil, "", err
	}
	keys, err = parseKeys(file, text)
	return keys, file, err
}

func newKey() []byte {
	key := make([]byte, 32)
	rand.Read(key)
	return key
}

// parseKeys reads keys in base64 with commas between them, the newest first. An
// error says which is wrong, and no more of it.
func parseKeys(from, text string) (keys auth.Keys, err error) {
	var faults []error
	parts := strings.Split(text, ",")
	for i, part := range parts {
		key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(part))
		switch {
		case err != nil:
			faults = append(faults, fmt.Errorf("%s: key %d of %d is not in base64", from, i+1, len(parts)))
		case len(key) < 32:
			faults = append(faults, fmt.Errorf("%s: key %d of %d has %d bytes, and needs 32 or more: openssl rand -base64 32 makes one", from, i+1, len(parts), len(key)))
		}
		keys = append(keys, key)
	}
	return keys, errors.Join(faults...)
}

// fingerprints names each key in a way that leads nobody back to it, so that the
// store can keep which one it is used with.
func fingerprints(keys auth.Keys) (prints []string) {
	for _, key := range keys {
		derived, err := hkdf.Key(sha256.New, key, nil, "auth example server: fingerprint", 16)
		if err != nil {
			panic(err) // only for a length over 255 hashes
		}
		prints = append(prints, hex.EncodeToString(derived))
	}
	return prints
}

// readPrivate reads a file that only its owner can read. Windows has no such mode:
// there the folder's permissions decide.
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
		return "", fmt.Errorf("%s has mode %04o, so that others can read the keys: chmod 600 it, or remove it to get new ones if others may have read it", file, mode)
	}
	text, err := io.ReadAll(f)
	return string(text), err
}
