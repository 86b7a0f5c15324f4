package main

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if builtIn != "" {
		os.RemoveAll(builtIn)
	}
	os.Exit(code)
}

// builtIn is the temporary folder of the user interface that buildUI built.
var builtIn string

// builtUI returns the folder of the built user interface. That of make headless is used if it is
// newer than its sources.
func builtUI(t *testing.T) string {
	t.Helper()
	if missing := missingTool(); missing != "" {
		if os.Getenv("CI") == "true" {
			t.Fatal(missing)
		}
		t.Skip(missing)
	}
	dist, err := buildUI()
	require.NoError(t, err)
	return dist
}

// missingTool says what to install before the user interface can be built.
var missingTool = sync.OnceValue(func() string {
	if _, err := exec.LookPath("npm"); err != nil {
		return "npm is not installed (Debian: apt-get install npm)"
	}
	// Vite says so too, but less clearly.
	const supported = `const [major, minor] = process.versions.node.split("."); process.exit(major > 20 || major == 20 && minor >= 19 ? 0 : 1)`
	if err := exec.Command("node", "-e", supported).Run(); err != nil {
		return "Node.js is older than 20.19: install a newer one (https://nodejs.org)"
	}
	return ""
})

var buildUI = sync.OnceValues(func() (string, error) {
	if isNewest(filepath.Join("ui", "dist", "index.html")) {
		return filepath.Join("ui", "dist"), nil
	}
	var err error
	if builtIn, err = os.MkdirTemp("", "headless-ui-"); err != nil {
		return "", err
	}
	ui := filepath.Join(builtIn, "examples", "headless", "ui") // the sources name the documents by relative paths
	for from, to := range map[string]string{
		filepath.Join("..", "..", "settings", "openapi.json"): filepath.Join(builtIn, "settings", "openapi.json"),
		"openapi.json": filepath.Join(filepath.Dir(ui), "openapi.json"),
	} {
		if err := copyFile(from, to); err != nil {
			return "", err
		}
	}
	if err := eachSource(func(path string, _ fs.FileInfo) error { return copyFile(path, filepath.Join(filepath.Dir(ui), path)) }); err != nil {
		return "", err
	}
	for _, args := range [][]string{{"ci", "--no-audit", "--no-fund", "--prefer-offline"}, {"run", "build"}} {
		npm := exec.Command("npm", args...)
		npm.Dir = ui
		if output, err := npm.CombinedOutput(); err != nil {
			return "", fmt.Errorf("npm %s: %w\n%s", strings.Join(args, " "), err, output)
		}
	}
	return filepath.Join(ui, "dist"), nil
})

// eachSource calls f for each file from which the user interface is built.
func eachSource(f func(path string, info fs.FileInfo) error) error {
	return filepath.WalkDir("ui", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "node_modules" || d.Name() == "dist" || d.Name() == "generated"):
			return fs.SkipDir
		case d.IsDir():
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		return f(path, info)
	})
}

// isNewest reports whether a file exists and is newer than all sources.
func isNewest(path string) bool {
	built, err := os.Stat(path)
	if err != nil {
		return false
	}
	newest := time.Time{}
	see := func(_ string, info fs.FileInfo) error {
		if info.ModTime().After(newest) {
			newest = info.ModTime()
		}
		return nil
	}
	for _, document := range []string{"openapi.json", filepath.Join("..", "..", "settings", "openapi.json")} {
		info, err := os.Stat(document)
		if err != nil {
			return false
		}
		_ = see(document, info)
	}
	return eachSource(see) == nil && built.ModTime().After(newest)
}

func copyFile(from, to string) error {
	text, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return err
	}
	return os.WriteFile(to, text, 0o600)
}
