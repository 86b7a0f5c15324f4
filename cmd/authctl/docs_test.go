package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/stretchr/testify/require"
)

func guide(t testing.TB) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "guides", "operators.md"))
	require.NoError(t, err)
	return string(text)
}

func parser(t testing.TB) *kong.Kong {
	t.Helper()
	p, err := newParser(new(cli), kong.Exit(func(int) { t.Fatal("exit") }))
	require.NoError(t, err)
	return p
}

// examples returns the arguments of each command line in a text.
func examples(text string) (lines [][]string) {
	redirection := regexp.MustCompile(` +[<>|#].*`)
	for _, match := range regexp.MustCompile(`(?m)^ *authctl (.*)$`).FindAllStringSubmatch(text, -1) {
		lines = append(lines, strings.Fields(redirection.ReplaceAllString(match[1], "")))
	}
	return lines
}

// shellBlocks returns what the guide has in fenced blocks.
func shellBlocks(text string) (blocks string) {
	for _, match := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(text, -1) {
		blocks += match[1]
	}
	return blocks
}

// Every command line of the guide parses, and every command is in it.
func TestGuide(t *testing.T) {
	t.Parallel()
	seen := make(map[string]bool)
	for _, args := range examples(shellBlocks(guide(t))) {
		command, err := parser(t).Parse(args)
		require.NoError(t, err, args)
		seen[command.Selected().Path()] = true
	}
	for _, leaf := range parser(t).Model.Leaves(true) {
		require.True(t, seen[leaf.Path()], leaf.Path())
	}
	for _, line := range strings.Split(description, "\n") {
		if code, text, ok := strings.Cut(strings.TrimSpace(line), " "); ok && strings.Trim(code, "0123456789") == "" {
			require.Contains(t, guide(t), "| "+code+" | "+strings.TrimSpace(text)+" |")
		}
	}
}

// The help of every command has an example of that command.
func TestHelp(t *testing.T) {
	t.Parallel()
	for _, leaf := range parser(t).Model.Leaves(true) {
		lines := examples(leaf.Detail)
		require.NotEmpty(t, lines, leaf.Path())
		for _, args := range lines {
			command, err := parser(t).Parse(args)
			require.NoError(t, err, args)
			require.Equal(t, leaf.Path(), command.Selected().Path())
		}
		r := ok(t, "", append(strings.Fields(strings.TrimPrefix(leaf.FullPath(), "authctl ")), "--help")...)
		require.Contains(t, r.stdout, "Example")
	}
	r := ok(t, "", "--help")
	require.Contains(t, r.stdout, "    4    the store is unavailable")
	require.Empty(t, r.stderr)
}
