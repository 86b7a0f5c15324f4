// Package docs_test checks the documents of this repository. It is in the root
// module because go test caches results by the files that a test reads only if
// they are in the test's module.
package docs_test

import (
	"bufio"
	"bytes"
	"fmt"
	"go/format"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

// A snippet is a fenced block of Go in one of the documents.
type snippet struct {
	document string // relative to the root
	line     int    // of its first line of code
	source   string // named in a comment before the fence; empty if there is none
	code     []string
}

func (s *snippet) whole() bool { return strings.HasPrefix(s.code[0], "package ") }

var (
	sourceComment = regexp.MustCompile(`^<!-- (examples/\S+\.go) -->$`)
	link          = regexp.MustCompile(`\]\(([^()\s]+)\)`)
)

// TestSnippets requires every Go block of the documents to be either a whole file
// that compiles in a module with only this library, or a verbatim part of the
// example that the comment before it names.
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
					requireFormatted(t, s.code)
					_, err := build(t, root, s.code)
					require.NoError(t, err)
				case s.source == "":
					t.Fatal("is not a whole file, and no comment before it names the example that it is part of")
				case !contains(strings.Split(read(t, root, s.source), "\n"), s.code):
					t.Fatalf("is not a verbatim part of %s", s.source)
				}
			})
		}
	}
}

func TestREADME(t *testing.T) {
	t.Parallel()
	text := read(t, repository(t), "README.md")
	require.LessOrEqual(t, strings.Count(text, "\n"), 200, "lines of README.md")
	for _, command := range []string{"go run ./examples/server", "go test work"} {
		require.Contains(t, text, command)
	}
}

// TestREADME_quickStart runs the program of the README and the curl line that it
// prints, and requires the response that the README shows.
func TestREADME_quickStart(t *testing.T) {
	t.Parallel()
	root := repository(t)
	text := read(t, root, "README.md")
	snippets, err := snippetsOf("README.md", text)
	require.NoError(t, err)
	require.NotEmpty(t, snippets)
	require.True(t, snippets[0].whole(), "the first Go block is a whole program")
	_, code, _ := strings.Cut(strings.Join(snippets[0].code, "\n"), "\n)\n") // without the imports
	require.Less(t, len(strings.FieldsFunc(code, func(r rune) bool { return r == '\n' })), 30, "lines of the quick start")
	program, err := build(t, root, snippets[0].code)
	require.NoError(t, err)

	line := firstLine(t, program)
	require.Regexp(t, curlLine, line)
	_, shown, found := strings.Cut(text, "```text\n$ curl ")
	require.True(t, found, "the README shows the curl line")
	shown, _, _ = strings.Cut(shown, "\n```\n")
	command, response, _ := strings.Cut(shown, "\n")
	require.Regexp(t, curlLine, "curl "+command)
	require.Equal(t, undated(response), undated(curl(t, line)))
}

// curlLine matches the line to paste. The README has dots instead of a token.
var curlLine = regexp.MustCompile(`^curl -i -H 'Authorization: Bearer acme_pat_(\w{38}|\.\.\.)' http://127\.0\.0\.1:\d+/hello$`)

// firstLine starts a program, which is killed when the test ends, and returns the
// first line that it prints.
func firstLine(t *testing.T, program string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Wait() }) // runs after t.Context is canceled
	line, err := bufio.NewReader(stdout).ReadString('\n')
	require.NoError(t, err)
	return strings.TrimSuffix(line, "\n")
}

// curl runs a line in a shell. It skips the test if there is no shell or no curl,
// except on CI.
func curl(t *testing.T, line string) string {
	t.Helper()
	for _, name := range []string{"sh", "curl"} {
		if _, err := exec.LookPath(name); err != nil && os.Getenv("CI") == "" {
			t.Skip(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-c", line)
	cmd.Env = append(os.Environ(), "no_proxy=127.0.0.1")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, "%s", &stderr)
	return string(out)
}

var dateLine = regexp.MustCompile(`(?m)^Date: .*$`)

// undated returns a response without what differs each time.
func undated(response string) string {
	response = strings.ReplaceAll(response, "\r\n", "\n")
	return dateLine.ReplaceAllString(strings.TrimSpace(response), "Date:")
}

// TestLinks requires that the files and headings that the documents link to exist.
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

// TestGuides requires each guide to be short, and to have a line in the index.
func TestGuides(t *testing.T) {
	t.Parallel()
	root := repository(t)
	guides := filepath.Join("docs", "guides")
	index := read(t, root, filepath.Join(guides, "README.md"))
	for _, document := range documents(t, root) {
		dir, name := filepath.Split(document)
		if filepath.Clean(dir) != guides {
			continue
		}
		require.Less(t, strings.Count(read(t, root, document), "\n"), 200, "lines of %s", document)
		if name != "README.md" {
			require.Regexp(t, `(?m)^\* \[[^]]+\]\(`+regexp.QuoteMeta(name)+`\): .+\?$`, index, "the question of %s, in one line of the index", document)
		}
	}
}

// TestExamples requires each example to have one line in the index. TestLinks checks the links.
func TestExamples(t *testing.T) {
	t.Parallel()
	root := repository(t)
	index := read(t, root, filepath.Join("examples", "README.md"))
	entries, err := os.ReadDir(filepath.Join(root, "examples"))
	require.NoError(t, err)
	for _, e := range entries {
		if !e.IsDir() || e.Name() == "internal" {
			continue
		}
		row := regexp.MustCompile(`(?m)^\| [A-Z].+ \| \[` + e.Name() + `\]\(` + e.Name() + `\) \| \[.+\]\(.+\.md\) \|$`)
		require.Len(t, row.FindAllString(index, -1), 1, "lines for examples/%s in examples/README.md", e.Name())
	}
}

// TestErrorCode requires the guide on errors to list the code and status of every error.
func TestErrorCode(t *testing.T) {
	t.Parallel()
	text := read(t, repository(t), "docs/guides/errors.md")
	for _, err := range []error{
		auth.CheckScope(t.Context()), // outside of Require
		auth.ErrNoCredential, auth.ErrMalformed, auth.ErrInvalidCredential, auth.ErrInsufficientScope, auth.ErrCrossOrigin,
		auth.ErrUnavailable, auth.ErrInvalidArgument, auth.ErrNotFound, auth.ErrConflict, auth.ErrLimit,
	} {
		e := &auth.Error{Err: err}
		require.Contains(t, text, fmt.Sprintf("\n| `%s` | %d | ", e.Code(), e.StatusCode()))
	}
}

var (
	testCommand = regexp.MustCompile(`(?m)^.*go test .*-(run|bench) '?(\w+\$?)'? .*(\./\S+)$`)
	testName    = regexp.MustCompile(`(?m)^func ((?:Test|Benchmark)\w*)\(`)
)

// TestCommands requires the tests that commands in CONTRIBUTING.md name to exist:
// go test -run passes if it finds none.
func TestCommands(t *testing.T) {
	t.Parallel()
	root := repository(t)
	commands := testCommand.FindAllStringSubmatch(read(t, root, "CONTRIBUTING.md"), -1)
	require.NotEmpty(t, commands)
	for _, command := range commands {
		pattern := regexp.MustCompile(command[2])
		files, err := filepath.Glob(filepath.Join(root, command[3], "*_test.go"))
		require.NoError(t, err)
		found := slices.ContainsFunc(files, func(file string) bool {
			b, err := os.ReadFile(file)
			require.NoError(t, err)
			return slices.ContainsFunc(testName.FindAllStringSubmatch(string(b), -1), func(m []string) bool {
				return pattern.MatchString(m[1])
			})
		})
		require.True(t, found, "no test is run by: %s", command[0])
	}
}

// TestSnippetsOf checks the parser of the documents, faults included.
func TestSnippetsOf(t *testing.T) {
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
}

func TestContains(t *testing.T) {
	t.Parallel()
	file := []string{"func f() {", "\tif x {", "\t\ty()", "", "\t}", "}"}
	for _, tt := range []struct {
		name string
		code []string
		want bool
	}{
		{"verbatim", []string{"\tif x {", "\t\ty()"}, true},
		{"less indented", []string{"if x {", "\ty()", "", "}"}, true},
		{"all", file, true},
		{"missing line", []string{"if x {", "", "}"}, false},
		{"other order", []string{"\ty()", "if x {"}, false},
		{"other indentation", []string{"if x {", "y()"}, false},
		{"other word", []string{"if z {"}, false},
		{"part of a line", []string{"if x"}, false},
	} {
		require.Equal(t, tt.want, contains(file, tt.code), tt.name)
	}
}

func TestBuild_undefinedFunction(t *testing.T) {
	t.Parallel()
	_, err := build(t, repository(t), []string{"package main", "", "func main() { missing() }"})
	require.Error(t, err)
}

// repository returns the root of a clone. The module's archive has no examples to
// compare with, so that tests are skipped there.
func repository(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs("..")
	require.NoError(t, err)
	if _, err := os.Stat(filepath.Join(root, "go.work")); err != nil {
		t.Skip("not a clone of the repository")
	}
	return root
}

func documents(t *testing.T, root string) []string {
	t.Helper()
	names := []string{"README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "RELEASING.md", filepath.Join("examples", "README.md")}
	for _, dir := range []string{"docs", filepath.Join("docs", "guides")} {
		found, err := filepath.Glob(filepath.Join(root, dir, "*.md"))
		require.NoError(t, err)
		require.NotEmpty(t, found, dir)
		for _, file := range found {
			names = append(names, filepath.Join(dir, filepath.Base(file)))
		}
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

// contains reports whether code is a run of lines of file, except for indentation
// that all lines of code lack.
func contains(file, code []string) bool {
	code = outdented(code)
	for i := 0; i+len(code) <= len(file); i++ {
		if strings.Join(outdented(file[i:i+len(code)]), "\n") == strings.Join(code, "\n") {
			return true
		}
	}
	return false
}

// outdented removes the tabs that all nonblank lines begin with.
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

// headings returns the anchors of a document's headings.
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

func requireFormatted(t *testing.T, code []string) {
	t.Helper()
	src := strings.Join(code, "\n") + "\n"
	formatted, err := format.Source([]byte(src))
	require.NoError(t, err)
	require.Equal(t, string(formatted), src, "is not formatted")
}

// build compiles and vets a program in a module of its own, as a new user of the
// library would, and returns its path. It downloads nothing that this module
// does not have: go.sum ensures that.
func build(t *testing.T, root string, code []string) (program string, err error) {
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
	program = filepath.Join(dir, "out")
	for _, args := range [][]string{{"build", "-o", program, "."}, {"vet", "."}} {
		cmd := exec.CommandContext(t.Context(), "go", args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=mod")
		if out, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, bytes.TrimSpace(out))
		}
	}
	return program, nil
}
