// Package docs_test checks the documents of this repository. It is in the root
// module because go test caches by the files that a test reads only if they are
// in its own module.
package docs_test

import (
	"bytes"
	"fmt"
	"go/format"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	_ "github.com/seed-31c5bcb2/auth" // a result is good for one version of it
)

// A snippet is a fenced block of Go in one of the documents.
type snippet struct {
	document string // relative to the root
	line     int    // of its first line of code
	source   string // named in a comment before the fence; "" if none is
	code     []string
}

func (s *snippet) whole() bool { return strings.HasPrefix(s.code[0], "package ") }

var (
	sourceComment = regexp.MustCompile(`^<!-- (examples/\S+\.go) -->$`)
	link          = regexp.MustCompile(`\]\(([^()\s]+)\)`)
)

// TestSnippets holds every Go block of the documents to be either a whole file,
// which compiles in a module that has only this library, or a part of the
// example that the comment before it names, word for word.
func TestSnippets(t *testing.T) {
	t.Parallel()
	root := repository(t)
	for _, document := range documents(t, root) {
		snippets, err := snippetsOf(document, read(t, root, document))
		require.NoError(t, err)
		for _, s := range snippets {
			t.Run(fmt.Sprintf("%s:%d", s.document, s.line), func(t *testing.T) {
				t.Parallel()
				switch {
				case s.whole():
					compile(t, root, s.code)
				case s.source == "":
					t.Fatal("is no whole file, and no comment before it names the example that it is a part of")
				case !contains(strings.Split(read(t, root, s.source), "\n"), s.code):
					t.Fatalf("is not in %s as it stands here", s.source)
				}
			})
		}
	}
}

func TestREADME(t *testing.T) {
	t.Parallel()
	root := repository(t)
	text := read(t, root, "README.md")
	require.Less(t, strings.Count(text, "\n"), 250, "lines of README.md")
	snippets, err := snippetsOf("README.md", text)
	require.NoError(t, err)
	require.NotEmpty(t, snippets)
	require.True(t, snippets[0].whole(), "the first Go block is a whole program")
	require.Less(t, len(snippets[0].code), 30, "lines of the quick start")
	for _, command := range []string{"go run ./examples/server", "go test work"} {
		require.Contains(t, text, command)
	}
}

// TestLinks looks for the files that the documents link to, and for headings.
func TestLinks(t *testing.T) {
	t.Parallel()
	root := repository(t)
	for _, document := range documents(t, root) {
		for _, found := range link.FindAllStringSubmatch(read(t, root, document), -1) {
			target, err := url.Parse(found[1])
			require.NoError(t, err, "%s: %s", document, found[1])
			if target.Scheme != "" {
				continue
			}
			file := document
			if target.Path != "" {
				file = filepath.Join(filepath.Dir(document), target.Path)
			}
			_, err = os.Stat(filepath.Join(root, file))
			require.NoError(t, err, "%s links to %s", document, found[1])
			if target.Fragment != "" {
				require.Contains(t, headings(read(t, root, file)), target.Fragment, "%s links to %s", document, found[1])
			}
		}
	}
}

// TestSnippetsCanFail holds the checks above to notice what is wrong.
func TestSnippetsCanFail(t *testing.T) {
	t.Parallel()
	fenced := func(lines ...string) string { return "text\n" + strings.Join(lines, "\n") + "\n" }
	for _, tt := range []struct{ name, text, fault string }{
		{"fence without a language", fenced("```", "x := 1", "```"), "no language"},
		{"fence that does not end", fenced("```go", "x := 1"), "does not end"},
		{"empty block", fenced("```go", "```"), "empty"},
		{"indented fence", fenced("  ```go", "x := 1", "  ```"), "indented"},
	} {
		_, err := snippetsOf("x.md", tt.text)
		require.ErrorContains(t, err, tt.fault, tt.name)
	}

	found, err := snippetsOf("x.md", fenced("<!-- examples/a/main.go -->", "```go", "x := 1", "```", "```go", "y := 1", "```"))
	require.NoError(t, err)
	require.Equal(t, []snippet{
		{"x.md", 4, "examples/a/main.go", []string{"x := 1"}},
		{"x.md", 7, "", []string{"y := 1"}},
	}, found)

	file := []string{"func f() {", "\tif x {", "\t\ty()", "", "\t}", "}"}
	for _, tt := range []struct {
		name string
		code []string
		want bool
	}{
		{"as it is", []string{"\tif x {", "\t\ty()"}, true},
		{"less indented", []string{"if x {", "\ty()", "", "}"}, true},
		{"all", file, true},
		{"a line left out", []string{"if x {", "", "}"}, false},
		{"another order", []string{"\ty()", "if x {"}, false},
		{"another indentation", []string{"if x {", "y()"}, false},
		{"another word", []string{"if z {"}, false},
		{"part of a line", []string{"if x"}, false},
	} {
		require.Equal(t, tt.want, contains(file, tt.code), tt.name)
	}
	require.Error(t, build(t, repository(t), []string{"package main", "", "func main() { missing() }"}))
}

// repository returns the root of a clone. The module's archive has no examples,
// and so nothing to check against.
func repository(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs("..")
	require.NoError(t, err)
	if _, err := os.Stat(filepath.Join(root, "go.work")); err != nil {
		t.Skip("this is no clone of the repository")
	}
	return root
}

func documents(t *testing.T, root string) []string {
	t.Helper()
	names := []string{"README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"}
	docs, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	require.NoError(t, err)
	for _, doc := range docs {
		names = append(names, filepath.Join("docs", filepath.Base(doc)))
	}
	return names
}

func read(t *testing.T, root, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, name))
	require.NoError(t, err)
	return string(b)
}

func snippetsOf(document, text string) (found []snippet, err error) {
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); i++ {
		language, fence := strings.CutPrefix(strings.TrimSpace(lines[i]), "```")
		if !fence {
			continue
		}
		fault := func(what string) error { return fmt.Errorf("%s:%d: a block %s", document, i+1, what) }
		start, end := i+1, i+1
		for end < len(lines) && lines[end] != "```" {
			end++
		}
		switch {
		case lines[i][0] != '`':
			return nil, fault("is indented")
		case language == "":
			return nil, fault("has no language")
		case end == len(lines):
			return nil, fault("does not end")
		case start == end:
			return nil, fault("is empty")
		}
		if language == "go" {
			s := snippet{document: document, line: start + 1, code: lines[start:end]}
			if i > 0 {
				if m := sourceComment.FindStringSubmatch(lines[i-1]); m != nil {
					s.source = m[1]
				}
			}
			found = append(found, s)
		}
		i = end
	}
	return found, nil
}

// contains reports whether code is a run of lines of file, but for an
// indentation that all of its lines lack.
func contains(file, code []string) bool {
	code = outdented(code)
	for i := 0; i+len(code) <= len(file); i++ {
		if strings.Join(outdented(file[i:i+len(code)]), "\n") == strings.Join(code, "\n") {
			return true
		}
	}
	return false
}

// outdented takes away the tabs that all lines begin with; blank ones have none.
func outdented(lines []string) []string {
	common := -1
	for _, line := range lines {
		tabs := len(line) - len(strings.TrimLeft(line, "\t"))
		if line != "" && (common < 0 || tabs < common) {
			common = tabs
		}
	}
	out := make([]string, len(lines))
	for i, line := range lines {
		if line != "" {
			out[i] = line[common:]
		}
	}
	return out
}

// headings returns the anchors that a document has.
func headings(text string) (anchors []string) {
	for line := range strings.SplitSeq(text, "\n") {
		title := strings.TrimLeft(line, "#")
		if title == line || !strings.HasPrefix(title, " ") {
			continue
		}
		anchors = append(anchors, strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-', r == '_', 'a' <= r && r <= 'z', '0' <= r && r <= '9':
				return r
			}
			return -1
		}, strings.ToLower(title[1:])))
	}
	return anchors
}

func compile(t *testing.T, root string, code []string) {
	t.Helper()
	src := []byte(strings.Join(code, "\n") + "\n")
	formatted, err := format.Source(src)
	require.NoError(t, err)
	require.Equal(t, string(formatted), string(src), "is not formatted")
	require.NoError(t, build(t, root, code))
}

// build compiles a program as somebody would who has just begun with it. What it
// downloads is what this module has: go.sum says so.
func build(t *testing.T, root string, code []string) error {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod": "module quickstart\n\ngo 1.25.1\n\nrequire github.com/seed-31c5bcb2/auth v0.1.0\n\n" +
			"replace github.com/seed-31c5bcb2/auth => " + filepath.ToSlash(root) + "\n",
		"go.sum":  read(t, root, "go.sum"),
		"main.go": strings.Join(code, "\n") + "\n",
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	for _, args := range [][]string{{"build", "-o", filepath.Join(dir, "out"), "."}, {"vet", "."}} {
		cmd := exec.CommandContext(t.Context(), "go", args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=mod")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, bytes.TrimSpace(out))
		}
	}
	return nil
}
