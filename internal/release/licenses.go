package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/google/licensecheck"
)

// allowed are the licenses, by SPDX identifier, that dependencies may have. Programs under any
// license may use code under these.
var allowed = []string{
	"0BSD", "Apache-2.0", "BlueOak-1.0.0", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "ISC", "MIT", "MIT-0", "MPL-2.0", "Python-2.0",
	"Unlicense", "Zlib",
}

// reviewed are modules with texts that are not recognized, and the licenses entered for them by
// hand. Check them again when such a module is updated.
var reviewed = map[string][]string{
	"github.com/go-pkgz/repeater/v2":         {"MIT"},               // the archive of v2 has no license, the one of v1 has
	"github.com/modelcontextprotocol/go-sdk": {"MIT", "Apache-2.0"}, // CC-BY-4.0 is for its documents
	"modernc.org/libc":                       {"BSD-3-Clause", "MIT"},
	"modernc.org/memory":                     {"BSD-3-Clause"},        // LICENSE-LOGO is an address
	"modernc.org/sqlite":                     {"BSD-3-Clause", "MIT"}, // SQLite itself is in the public domain
}

// unknown stands for a license that is missing or not recognized.
const unknown = "unknown"

// checkLicenses lists the licenses of what modules are built and tested with, and of the npm
// packages of lock files. It returns an error if one is not allowed.
func checkLicenses(out io.Writer, paths []string) error {
	names := make(map[string][]string) // by license
	for _, path := range paths {
		read := goLicenses
		if filepath.Base(path) == "package-lock.json" {
			read = npmLicenses
		}
		found, err := read(path)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		for name, licenses := range found {
			for _, license := range licenses {
				names[license] = append(names[license], name)
			}
		}
	}
	var err error
	for _, license := range slices.Sorted(maps.Keys(names)) {
		list := strings.Join(slices.Compact(slices.Sorted(slices.Values(names[license]))), " ")
		fmt.Fprintf(out, "%s: %s\n", license, list)
		if !slices.Contains(allowed, license) {
			err = errors.Join(err, fmt.Errorf("license %s is not allowed: %s", license, list))
		}
	}
	return err
}

// goLicenses returns the licenses of the modules from which the packages, tests and tools of the
// module in a directory are built.
func goLicenses(dir string) (map[string][]string, error) {
	const format = `{{with .Module}}{{if not .Main}}{{.Path}}{{"\t"}}{{.Dir}}{{"\t"}}{{$.Dir}}{{end}}{{end}}`
	list := exec.Command("go", "list", "-deps", "-test", "-f", format, "./...", "tool")
	list.Dir = dir
	list.Env = append(os.Environ(), "GOWORK=") // the workspace that the module is part of
	var stderr bytes.Buffer
	list.Stderr = &stderr
	text, err := list.Output()
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, &stderr)
	}
	found := make(map[string][]string)
	for line := range strings.Lines(string(text)) {
		fields := strings.Split(strings.TrimSpace(line), "\t")
		if len(fields) != 3 {
			continue // from this repository, or from the standard library
		}
		licenses, known := reviewed[fields[0]]
		if !known {
			if licenses, err = licensesFor(fields[2], fields[1]); err != nil {
				return nil, err
			}
		}
		for _, license := range licenses {
			if !slices.Contains(found[fields[0]], license) {
				found[fields[0]] = append(found[fields[0]], license)
			}
		}
	}
	return found, nil
}

// licensesFor returns the licenses in the directory of a package, or else in the nearest one
// above it in its module.
func licensesFor(dir, root string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var licenses []string
	for _, e := range entries {
		if e.IsDir() || !licenseFile.MatchString(e.Name()) {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		licenses = append(licenses, recognize(text)...)
	}
	switch {
	case licenses != nil:
		return licenses, nil
	case dir == root:
		return []string{unknown}, nil
	}
	return licensesFor(filepath.Dir(dir), root)
}

var licenseFile = regexp.MustCompile(`(?i)^(licen[cs]e|copying|unlicense)(-\w+)*(\.(md|txt|rst))?$`)

// recognize returns the licenses that most of a text consists of.
func recognize(text []byte) (licenses []string) {
	coverage := licensecheck.Scan(text)
	if coverage.Percent < 75 {
		return []string{unknown}
	}
	for _, match := range coverage.Match {
		licenses = append(licenses, match.ID)
	}
	return licenses
}

// npmLicenses returns the licenses of the packages in a lock file of npm.
func npmLicenses(file string) (map[string][]string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var lock struct {
		Packages map[string]struct{ License string }
	}
	if err := json.Unmarshal(text, &lock); err != nil {
		return nil, err
	}
	if len(lock.Packages) == 0 {
		return nil, errors.New("no packages")
	}
	found := make(map[string][]string)
	for path, p := range lock.Packages {
		if _, name, dependency := strings.Cut(path, "node_modules/"); dependency {
			found["npm:"+name] = []string{choose(p.License)}
		}
	}
	return found, nil
}

// choose returns the first allowed license of an expression such as (MIT OR CC0-1.0).
func choose(expression string) string {
	if expression == "" {
		return unknown
	}
	for license := range strings.SplitSeq(strings.Trim(expression, "()"), " OR ") {
		if slices.Contains(allowed, license) {
			return license
		}
	}
	return expression
}
