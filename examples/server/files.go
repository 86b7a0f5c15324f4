package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// An environment is os.LookupEnv, or what a test has in its place.
type environment func(name string) (value string, set bool)

// inDataDir names a file in the folder where this user's programs keep their data.
func inDataDir(env environment, name string) (string, error) {
	dir, err := dataDir(env, runtime.GOOS)
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, "auth-example-server", name), nil
}

func dataDir(env environment, system string) (string, error) {
	under, path := "HOME", ".local/share"
	switch system {
	case "darwin":
		path = "Library/Application Support"
	case "windows":
		under, path = "LOCALAPPDATA", ""
	default: // the XDG base directory specification: a relative path is invalid
		if dir, set := env("XDG_DATA_HOME"); set && filepath.IsAbs(dir) {
			return dir, nil
		}
	}
	dir, set := env(under)
	if !set || !filepath.IsAbs(dir) {
		return "", fmt.Errorf("there is no data directory, as %s is not set: name a file with -store sqlite:FILE, or the keys in AUTH_KEYS", under)
	}
	return filepath.Join(dir, filepath.FromSlash(path)), nil
}

// makeOnce makes a file, which nobody else can read, unless it is there. It
// appears whole, and when two processes make it at once, one of the two does.
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
	// Unlike a rename, a link does not take the place of what is there.
	if err := os.Link(temp.Name(), path); !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}
