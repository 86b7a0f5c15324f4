package main

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
	"golang.org/x/mod/module"
	"golang.org/x/mod/zip"
)

const source = `package demo

type Config struct {
	Name   string
	hidden int
}

type Store interface {
	Get(key string) (value []byte, err error)
}

type base struct{}

func (base) Promoted() {}

type T struct{ base }

func (*T) Pointer(n int)  {}
func (t T) private()      {}

type Alias = Config

const Limit int = 3

var Err error

func New[K comparable](cfg Config, keys ...K) (t *T, err error) { return nil, nil }
`

const listed = `demo: const Limit int = 3
demo: func New[K comparable](Config, ...K) (*T, error)
demo: method (*T) Pointer(int)
demo: method (T) Promoted()
demo: type Alias = Config
demo: type Config struct
demo: type Config struct, Name string
demo: type Store interface
demo: type Store interface, Get(string) ([]byte, error)
demo: type T struct
demo: var Err error
`

func TestCheckAPI(t *testing.T) {
	t.Parallel()
	dir := writeModule(t, map[string]string{
		"demo.go": source, "internal/hidden/hidden.go": "package hidden\n\nfunc F() {}\n", "cmd/main.go": "package main\n\nfunc main() {}\n",
	})
	file := filepath.Join(dir, "api.txt")
	require.Error(t, checkAPI(file, dir, false), "no file")
	require.NoError(t, checkAPI(file, dir, true))
	require.NoError(t, checkAPI(file, dir, false))
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, apiHeader+listed, string(text))

	write(t, dir, "demo.go", source+"\nfunc (T) Added() {}\n")
	err = checkAPI(file, dir, false)
	require.ErrorContains(t, err, "\n+ demo: method (T) Added()\n")
	require.NotContains(t, err.Error(), "\n- ")

	write(t, dir, "demo.go", "package demo\n\nfunc F() { undefined() }\n")
	require.ErrorContains(t, checkAPI(file, dir, true), "undefined")
}

func TestCheckChanges(t *testing.T) {
	t.Parallel()
	old := writeModule(t, map[string]string{"demo.go": source})
	added := writeModule(t, map[string]string{"demo.go": source + "\nfunc (T) Added() {}\n"})
	for _, tt := range []struct{ name, version, old, new, printed, fault string }{
		{"nothing", "v1.2.3", old, old, "", ""},
		{"compatible", "v1.2.3", old, added, "Compatible changes:\n- T.Added: added\n", ""},
		{"incompatible before v1", "v0.2.3", added, old, "must be a new minor version", ""},
		{"incompatible as of v1", "v1.2.3", added, old, "Incompatible changes:\n- T.Added: removed\n", "not compatible with v1.2.3"},
	} {
		var out bytes.Buffer
		err := checkChanges(&out, tt.version, tt.old, tt.new)
		require.Contains(t, out.String(), tt.printed, tt.name)
		if tt.fault == "" {
			require.NoError(t, err, tt.name)
		} else {
			require.ErrorContains(t, err, tt.fault, tt.name)
		}
	}
}

func TestPack(t *testing.T) {
	t.Parallel()
	dir := writeModule(t, map[string]string{"demo.go": source, "nested/go.mod": "module example.com/Demo/nested\n"})
	write(t, dir, "go.mod", "module example.com/Demo\n\ngo 1.26.0\n\nreplace example.com/x => ../x\n")
	to := t.TempDir()
	require.NoError(t, pack(to, "v0.1.0", []string{dir}))
	versions := filepath.Join(to, "example.com", "!demo", "@v")
	for _, name := range []string{"list", "v0.1.0.info", "v0.1.0.mod"} {
		require.FileExists(t, filepath.Join(versions, name))
	}
	checked, err := zip.CheckZip(module.Version{Path: "example.com/Demo", Version: "v0.1.0"}, filepath.Join(versions, "v0.1.0.zip"))
	require.NoError(t, err)
	require.ElementsMatch(t, []string{"example.com/Demo@v0.1.0/go.mod", "example.com/Demo@v0.1.0/demo.go"}, checked.Valid)
	text, err := os.ReadFile(filepath.Join(versions, "v0.1.0.mod"))
	require.NoError(t, err)
	require.Equal(t, "module example.com/Demo\n\ngo 1.26.0\n", string(text))
}

func TestCheckLicenses(t *testing.T) {
	t.Parallel()
	mit, err := os.ReadFile(filepath.Join("..", "..", "LICENSE"))
	require.NoError(t, err)
	for _, tt := range []struct {
		name, file, text string
		want             []string
	}{
		{"recognized", "LICENSE", string(mit), []string{"MIT"}},
		{"not recognized", "LICENSE.md", "Ask me first.", []string{unknown}},
		{"mostly other text", "COPYING", string(mit) + string(bytes.Repeat([]byte("Ask me first. "), 200)), []string{unknown}},
		{"not a license", "license.go", string(mit), []string{unknown}},
	} {
		root := t.TempDir()
		dir := filepath.Join(root, "a", "b")
		require.NoError(t, os.MkdirAll(dir, 0o755))
		write(t, root, tt.file, tt.text)
		got, err := licensesFor(dir, root)
		require.NoError(t, err, tt.name)
		require.Equal(t, tt.want, got, tt.name)
	}

	lock := filepath.Join(t.TempDir(), "package-lock.json")
	check := func(expression string) (string, error) {
		write(t, filepath.Dir(lock), "package-lock.json", `{"packages": {"": {}, "node_modules/a": {"license": "`+expression+`"}}}`)
		var out bytes.Buffer
		err := checkLicenses(&out, []string{lock})
		return out.String(), err
	}
	printed, err := check("(GPL-3.0-only OR MIT)")
	require.NoError(t, err)
	require.Equal(t, "MIT: npm:a\n", printed)
	_, err = check("GPL-3.0-only")
	require.ErrorContains(t, err, "license GPL-3.0-only is not allowed: npm:a")
	_, err = check("")
	require.ErrorContains(t, err, "license unknown is not allowed: npm:a")
}

// TestDependabot requires each module of the repository to get updates.
func TestDependabot(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..")
	var want []string
	require.NoError(t, filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if e.Name() == "node_modules" {
			return filepath.SkipDir
		}
		if e.Name() == "go.mod" {
			dir, _ := filepath.Rel(root, filepath.Dir(path))
			want = append(want, filepath.ToSlash(filepath.Join("/", dir)))
		}
		return err
	}))
	var config struct {
		Updates []struct {
			Ecosystem   string `yaml:"package-ecosystem"`
			Directories []string
		}
	}
	decode(t, filepath.Join(root, ".github", "dependabot.yml"), &config)
	require.Equal(t, "gomod", config.Updates[0].Ecosystem)
	require.ElementsMatch(t, want, config.Updates[0].Directories)
}

// TestIssueForms requires each form to be valid YAML with the keys that GitHub requires.
func TestIssueForms(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join("..", "..", ".github", "ISSUE_TEMPLATE", "*.yml"))
	require.NoError(t, err)
	require.Len(t, files, 3)
	for _, file := range files {
		var form map[string]any
		decode(t, file, &form)
		if filepath.Base(file) == "config.yml" {
			require.NotEmpty(t, form["contact_links"])
			continue
		}
		for _, key := range []string{"name", "description", "body"} {
			require.NotEmpty(t, form[key], "%s: %s", file, key)
		}
	}
}

func decode(t *testing.T, file string, to any) {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	require.NoError(t, yaml.Unmarshal(text, to), file)
}

// TestGoLicenses requires dependencies of tests and tools to be listed.
func TestGoLicenses(t *testing.T) {
	t.Parallel()
	found, err := goLicenses(".")
	require.NoError(t, err)
	require.Equal(t, []string{"MIT"}, found["github.com/rhysd/actionlint"])
	require.Contains(t, found["github.com/stretchr/testify"], "MIT")
	require.NotContains(t, found, "github.com/seed-31c5bcb2/auth/internal/release")
}

func writeModule(t *testing.T, files map[string]string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	write(t, dir, "go.mod", "module example.com/Demo\n\ngo 1.26.0\n")
	for name, text := range files {
		require.NoError(t, os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755))
		write(t, dir, name, text)
	}
	return dir
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
}
