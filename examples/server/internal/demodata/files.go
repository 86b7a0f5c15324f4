package demodata

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// An Environment looks up environment variables: os.LookupEnv, or a replacement in a
// test.
type Environment func(name string) (value string, set bool)

// inDataDir returns the path of a file in the user's data directory.
func inDataDir(env Environment, name string) (string, error) {
	dir, err := dataDir(env, runtime.GOOS)
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, "auth-example-server", name), nil
}

func dataDir(env Environment, system string) (string, error) {
	under, path := "HOME", ".local/share"
	switch system {
	case "darwin":
		path = "Library/Application Support"
	case "windows":
		under, path = "LOCALAPPDATA", ""
	default: // XDG Base Directory Specification: relative paths are invalid
		if dir, set := env("XDG_DATA_HOME"); set && filepath.IsAbs(dir) {
			return dir, nil
		}
	}
	dir, set := env(under)
	if !set || !filepath.IsAbs(dir) {
		return "", fmt.Errorf("no data directory, because %s is not an absolute path: set it, name a file with -store sqlite:FILE, or set AUTH_KEYS", under)
	}
	return filepath.Join(dir, filepath.FromSlash(path)), nil
}

// makeOnce creates a file that only its owner can read, unless it exists. The file
// appears complete. If two processes create it at once, both use the one that was
// first.
func makeOnce(path string, write func(temp string) error) error {
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	temp, err := os.CreateTemp(filepath.Dir(path), ".new-*") // with mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name())
	if err := errors.Join(write(temp.Name()), temp.Sync(), temp.Close()); err != nil {
		return err
	}
	// Unlike a rename, a link does not replace an existing file.
	if err := os.Link(temp.Name(), path); !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}
