package auth_test

import (
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/seed-31c5bcb2/auth"

// Each internal package can be read by itself: it imports neither package auth nor another
// of them, except header and token, which import none.
func TestArchitecture_internalPackages(t *testing.T) {
	t.Parallel()
	shared := map[string]bool{module + "/internal/header": true, module + "/internal/token": true}
	var checked []string
	for _, dir := range internalPackages(t) {
		for path := range imports(t, dir) {
			if path == module || strings.HasPrefix(path, module+"/") {
				require.True(t, shared[path], "%s imports %s", dir, path)
				require.False(t, shared[module+"/"+filepath.ToSlash(dir)], "%s imports %s", dir, path)
			}
		}
		checked = append(checked, filepath.Base(dir))
	}
	require.Subset(t, checked, []string{"challenge", "header", "lastuse", "listeners", "navigation", "origin", "seal", "text", "token", "watch"})
}

// A program that imports package auth gets the standard library and securecookie.
func TestArchitecture_dependencies(t *testing.T) {
	t.Parallel()
	for _, dir := range append(internalPackages(t), ".") {
		for path := range imports(t, dir) {
			first, _, _ := strings.Cut(path, "/")
			standard := !strings.Contains(first, ".")
			ours := strings.HasPrefix(path, module+"/internal/")
			require.True(t, standard || ours || path == "github.com/gorilla/securecookie", "%s imports %s", dir, path)
		}
	}
}

// The other packages import package auth, and not each other.
func TestArchitecture_otherPackages(t *testing.T) {
	t.Parallel()
	for _, dir := range []string{"settings", "endpoint", "federate", "storetest", "sqlstore", "redisstore", "cachestore", "pgnotify", "dbsc"} {
		for path := range imports(t, dir) {
			own := path == module || strings.HasPrefix(path, module+"/"+dir+"/") || strings.HasPrefix(path, module+"/internal/")
			require.True(t, own || !strings.HasPrefix(path, module+"/"), "%s imports %s", dir, path)
		}
	}
}

// Jobs get nothing but the standard library with the client, although it is in a module with more.
func TestArchitecture_federateClient(t *testing.T) {
	t.Parallel()
	for path := range imports(t, filepath.Join("federate", "client")) {
		first, _, _ := strings.Cut(path, "/")
		require.NotContains(t, first, ".", "federate/client imports %s", path)
	}
}

// internalPackages returns the directories of this module below internal that have Go files.
func internalPackages(t *testing.T) (dirs []string) {
	t.Helper()
	entries, err := os.ReadDir("internal")
	require.NoError(t, err)
	for _, e := range entries {
		dir := filepath.Join("internal", e.Name())
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		require.NoError(t, err)
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); os.IsNotExist(err) && files != nil {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

// imports returns the imports of a package, without those of its tests.
func imports(t *testing.T, dir string) map[string]bool {
	t.Helper()
	paths := make(map[string]bool)
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	require.NoError(t, err)
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		require.NoError(t, err)
		for _, spec := range f.Imports {
			path, err := strconv.Unquote(spec.Path.Value)
			require.NoError(t, err)
			paths[path] = true
		}
	}
	require.NotEmpty(t, paths, dir)
	return paths
}
