package demodata

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

var inBase64 = base64.StdEncoding.EncodeToString

func TestParseKeys(t *testing.T) {
	t.Parallel()
	a, b := newKey(), append(newKey(), newKey()...)
	for text, want := range map[string]auth.Keys{
		inBase64(a):                                  {a},
		inBase64(a) + "\n":                           {a},
		inBase64(a) + "," + inBase64(b):              {a, b},
		" " + inBase64(b) + " ,\n" + inBase64(a):     {b, a},
		inBase64(a[:16]):                             nil,
		"":                                           nil,
		"\n":                                         nil,
		inBase64(a) + ",":                            nil,
		strings.TrimRight(inBase64(a), "="):          nil,
		inBase64(a)[:20]:                             nil,
		strings.Repeat("-", 44):                      nil,
		strings.Repeat("\x00", 44):                   nil,
		inBase64(a) + "," + inBase64(a)[1:]:          nil,
		inBase64(a) + ";" + inBase64(b):              nil,
		base64.RawURLEncoding.EncodeToString(a):      nil,
		strings.Repeat(inBase64([]byte("x"))+",", 3): nil,
	} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			keys, err := parseKeys("here", text)
			if want != nil {
				require.NoError(t, err)
				require.Equal(t, [][]byte(want), [][]byte(keys))
				return
			}
			require.ErrorContains(t, err, "here: key ")
			for _, part := range strings.Split(text, ",") {
				if part = strings.TrimSpace(part); part != "" {
					require.NotContains(t, err.Error(), part)
				}
			}
		})
	}
}

func TestParseKeys_reportsAllFaults(t *testing.T) {
	t.Parallel()
	_, err := parseKeys("AUTH_KEYS", "?,"+inBase64(newKey())+",eA==")
	require.ErrorContains(t, err, "AUTH_KEYS: key 1 of 3 is not base64")
	require.ErrorContains(t, err, "AUTH_KEYS: key 3 of 3 has 1 bytes")
}

func TestStorageKeys_fromEnvironment(t *testing.T) {
	t.Parallel()
	key := newKey()
	file := func() (string, error) { return filepath.Join(t.TempDir(), "none", "keys"), nil }
	env := only(map[string]string{"AUTH_KEYS": inBase64(key)})
	keys, from, err := (&Storage{env: env, keysFile: file}).Keys()
	require.NoError(t, err)
	require.Equal(t, "AUTH_KEYS", from)
	require.Equal(t, [][]byte{key}, [][]byte(keys))

	_, _, err = (&Storage{env: only(map[string]string{"AUTH_KEYS": ""}), keysFile: file}).Keys()
	require.ErrorContains(t, err, "AUTH_KEYS: key 1 of 1 has 0 bytes", "it is set, so no file is used")
}

// Processes that start at once get the same key.
func TestStorageKeys_fromFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "new", "keys")
	file := func() (string, error) { return path, nil }
	var all sync.WaitGroup
	got := make([]auth.Keys, 16)
	for i := range got {
		all.Go(func() {
			keys, from, err := (&Storage{env: only(nil), keysFile: file}).Keys()
			assert.NoError(t, err)
			assert.Equal(t, path, from)
			got[i] = keys
		})
	}
	all.Wait()
	for _, keys := range got {
		require.Len(t, keys, 1)
		require.Len(t, keys[0], 32)
		require.Equal(t, [][]byte(got[0]), [][]byte(keys))
	}
	requireMode(t, 0o600, path)
}

func TestStorageKeys_invalidFiles(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		text string
		mode os.FileMode
		want string
	}{
		"empty":            {"", 0o600, "key 1 of 1 has 0 bytes"},
		"short":            {inBase64(newKey()[:31]), 0o600, "key 1 of 1 has 31 bytes"},
		"truncated":        {inBase64(newKey())[:43], 0o600, "not base64"},
		"binary":           {"\x00\xff", 0o600, "not base64"},
		"group can read":   {inBase64(newKey()), 0o640, "mode 0640"},
		"others can read":  {inBase64(newKey()), 0o604, "mode 0604"},
		"others can write": {inBase64(newKey()), 0o602, "mode 0602"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "keys")
			require.NoError(t, os.WriteFile(path, []byte(test.text), 0o600))
			require.NoError(t, os.Chmod(path, test.mode))
			_, _, err := (&Storage{env: only(nil), keysFile: func() (string, error) { return path, nil }}).Keys()
			require.ErrorContains(t, err, path)
			require.ErrorContains(t, err, test.want)
			if test.text != "" {
				require.NotContains(t, err.Error(), test.text)
			}
			text, err := os.ReadFile(path)
			require.NoError(t, err)
			require.Equal(t, test.text, string(text), "the file is unchanged")
		})
	}
}

func TestStorageKeys_inMemory(t *testing.T) {
	t.Parallel()
	a, from, err := (&Storage{env: only(nil)}).Keys()
	require.NoError(t, err)
	require.Equal(t, "made for this process", from)
	b, _, err := (&Storage{env: only(nil)}).Keys()
	require.NoError(t, err)
	require.NotEqual(t, [][]byte(a), [][]byte(b))
}
