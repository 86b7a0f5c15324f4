package demodata

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// only returns an environment with only these variables.
func only(vars map[string]string) Environment {
	return func(name string) (string, bool) {
		value, set := vars[name]
		return value, set
	}
}

func TestDataDir(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("the paths of this table are not absolute there")
	}
	for name, test := range map[string]struct {
		system string
		vars   map[string]string
		want   string // empty if an error is expected
	}{
		"Linux":                {"linux", map[string]string{"HOME": "/home/ada"}, "/home/ada/.local/share"},
		"XDG":                  {"linux", map[string]string{"HOME": "/home/ada", "XDG_DATA_HOME": "/data"}, "/data"},
		"XDG only":             {"freebsd", map[string]string{"XDG_DATA_HOME": "/data"}, "/data"},
		"relative XDG":         {"linux", map[string]string{"HOME": "/home/ada", "XDG_DATA_HOME": "data"}, "/home/ada/.local/share"},
		"empty XDG":            {"linux", map[string]string{"HOME": "/home/ada", "XDG_DATA_HOME": ""}, "/home/ada/.local/share"},
		"no home":              {"linux", nil, ""},
		"empty home":           {"linux", map[string]string{"HOME": ""}, ""},
		"relative home":        {"linux", map[string]string{"HOME": "ada"}, ""},
		"macOS":                {"darwin", map[string]string{"HOME": "/Users/ada", "XDG_DATA_HOME": "/data"}, "/Users/ada/Library/Application Support"},
		"Windows":              {"windows", map[string]string{"HOME": "/home/ada", "LOCALAPPDATA": "/local"}, "/local"},
		"Windows, no variable": {"windows", map[string]string{"HOME": "/home/ada"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, err := dataDir(only(test.vars), test.system)
			require.Equal(t, test.want, dir)
			require.Equal(t, test.want == "", err != nil, "%v", err)
		})
	}
}

// Of several concurrent calls, one creates the file. All find it complete.
func TestMakeOnce_concurrent(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "a", "b")
	path := filepath.Join(dir, "file")
	var all sync.WaitGroup
	var next atomic.Int64
	texts := make([]string, 16)
	for i := range texts {
		all.Go(func() {
			err := makeOnce(path, func(temp string) error {
				return os.WriteFile(temp, fmt.Appendf(nil, "the text of %2d", next.Add(1)), 0o600)
			})
			assert.NoError(t, err)
			text, err := os.ReadFile(path)
			assert.NoError(t, err)
			texts[i] = string(text)
		})
	}
	all.Wait()
	for _, text := range texts {
		require.Len(t, text, len("the text of 12"))
		require.Equal(t, texts[0], text)
	}
	requireMode(t, 0o700, dir)
	requireMode(t, 0o600, path)
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 1, "no temporary file is left")
}

func TestMakeOnce_errors(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	full := errors.New("disk full")
	require.ErrorIs(t, makeOnce(filepath.Join(dir, "file"), func(string) error { return full }), full)
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, entries)

	file := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	require.Error(t, makeOnce(filepath.Join(file, "below"), func(string) error { return nil }))
	require.NoError(t, makeOnce(file, func(string) error { return full }), "the file exists")
	require.ErrorIs(t, makeOnce(filepath.Join(dir, "other"), func(string) error { return fs.ErrExist }), fs.ErrExist)
}

func requireMode(t *testing.T, mode os.FileMode, file string) {
	t.Helper()
	info, err := os.Stat(file)
	require.NoError(t, err)
	require.Equal(t, mode, info.Mode().Perm(), file)
}
