package main

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/creack/pty"
	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

// hostile has what terminals obey, and what reorders text: a title, a line break, a color in one
// C1 character, a right-to-left override, and a tag.
const hostile = "a\x1b]0;title\x07\nb\u009b31mc\u202ed\U000E0041é👩\u200d💻"

const escaped = `a\u001b]0;title\u0007\u000ab\u009b31mc\u202ed`

// plant stores a token with a name that no Bearer would accept, as another program could.
func plant(t testing.TB, url string) {
	t.Helper()
	require.NoError(t, opened(t, url).Create(t.Context(), auth.Credential{
		ID: "planted", Kind: auth.KindToken, UserID: "al\u202eice", Name: hostile, Scopes: "read", Digest: digestOf("planted"),
	}, 0))
}

func TestOutput_hostileNames(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, url string) {
		plant(t, url)
		for _, args := range [][]string{
			{"token", "list"}, {"token", "list", "al\u202eice"}, {"token", "show", "planted"}, {"user", "show", "al\u202eice"},
			{"unused", "--for", "1d"}, {"token", "revoke", "planted"}, {"token", "show", "\x1b[31m"}, {"token", "list", "\u202e"},
			{"export", "--format", "jsonl"}, {"leaked", "--yes"},
		} {
			for _, flag := range []string{"", "--json"} {
				if flag != "" {
					args = append(args, flag)
				}
				r := authctlWith(t, url, "planted\n", args...)
				output := r.stdout + r.stderr
				require.NotContains(t, output, "\x1b", args)
				require.NotContains(t, output, "\u009b", args)
				require.NotContains(t, output, "\u202e", args)
			}
		}
	})
}

func TestClean(t *testing.T) {
	t.Parallel()
	require.Equal(t, escaped+`\U000e0041é👩`+"\u200d💻", clean(hostile))
	require.Equal(t, "Größe مفتاح 👩\u200d💻", clean("Größe مفتاح 👩\u200d💻"))
	require.Equal(t, `a\ufffdb`, clean("a\xffb"))
	require.Equal(t, `{"x":"\u009b\udb40\udc41"}`, escapeJSON([]byte("{\"x\":\"\u009b\U000E0041\"}")))
}

// A user cannot choose a name that looks like other fields of the credential.
func TestOutput_forgedFields(t *testing.T) {
	t.Parallel()
	url := sqliteStore(t)
	const forged = `x, expires 2020-01-01 00:00 (expired)`
	require.NoError(t, opened(t, url).Create(t.Context(), auth.Credential{
		ID: "planted", Kind: auth.KindToken, UserID: `bob  …"`, Name: forged, Metadata: "k=v, actor eve", Scopes: "read", Digest: digestOf("planted"),
	}, 0))
	want := `token planted of user "bob  …\"", name "` + forged + `", scopes read, metadata "k=v, actor eve", last used never, expires never`
	require.Equal(t, want+"\n", ok(t, url, "token", "show", "planted").stdout)
	require.Contains(t, authctl(t, url, "token", "revoke", "planted").stderr, want)
	require.Regexp(t, `planted  "bob  …\\""  `, ok(t, url, "token", "list").stdout)
	require.Equal(t, "a\u00e9-1", quote("a\u00e9-1"))
	require.Equal(t, `"a\\b"`, quote(`a\b`))
}

// The ID of a user that has other characters is typed as it is shown.
func TestConfirm_escaped(t *testing.T) {
	t.Parallel()
	url := sqliteStore(t)
	plant(t, url)
	cmd := command(t, url, "user", "revoke-all", "al\u202eice")
	tty := startInTerminal(t, cmd)
	require.Contains(t, readUntil(t, tty, "to confirm: "), `Type al\u202eice to`)
	_, err := io.WriteString(tty, `al\u202eice`+"\n")
	require.NoError(t, err)
	_, _ = io.Copy(io.Discard, tty)
	require.NoError(t, cmd.Wait())
	require.NoError(t, tty.Close())
	require.False(t, accepted(t, opened(t, url), "planted"))
}

// On a terminal, the operator types what is to be revoked.
func TestConfirm_terminal(t *testing.T) {
	t.Parallel()
	url := sqliteStore(t)
	s := opened(t, url)
	for typed, revoked := range map[string]bool{"yes\n": false, "\n": false, "bob\n": false, "alice\n": true} {
		plaintext := issue(t, url, "alice")
		cmd := command(t, url, "user", "revoke-all", "alice")
		tty := startInTerminal(t, cmd)
		screen := readUntil(t, tty, "to confirm: ")
		require.Contains(t, screen, "of user alice?")
		_, err := io.WriteString(tty, typed)
		require.NoError(t, err)
		_, _ = io.Copy(io.Discard, tty) // ends with EIO
		_ = cmd.Wait()
		require.NoError(t, tty.Close())
		require.Equal(t, !revoked, accepted(t, s, plaintext), typed)
		want := exitNotConfirmed
		if revoked {
			want = exitOK
		}
		require.Equal(t, want, cmd.ProcessState.ExitCode(), typed)
	}
}

// The plaintexts come through a pipe, and the confirmation from the terminal behind it.
func TestLeaked_terminalBehindAPipe(t *testing.T) {
	t.Parallel()
	url := sqliteStore(t)
	plaintext := issue(t, url, "alice")
	file := filepath.Join(t.TempDir(), "plaintexts")
	require.NoError(t, os.WriteFile(file, []byte(plaintext), 0o600))
	cmd := exec.CommandContext(t.Context(), "sh", "-c", `"$0" leaked < "$1"`, program(t), file)
	cmd.Env = []string{asProgram, "AUTHCTL_STORE=" + url}
	tty := startInTerminal(t, cmd)
	defer tty.Close()
	require.NotContains(t, readUntil(t, tty, "to confirm: "), plaintext)
	_, err := io.WriteString(tty, "revoke\n")
	require.NoError(t, err)
	_, _ = io.Copy(io.Discard, tty)
	require.NoError(t, cmd.Wait())
	require.False(t, accepted(t, opened(t, url), plaintext))
}

// startInTerminal starts a process in a terminal of its own.
func startInTerminal(t *testing.T, cmd *exec.Cmd) *os.File {
	t.Helper()
	tty, err := pty.Start(cmd)
	var missing *fs.PathError
	if errors.As(err, &missing) && missing.Path == "/dev/ptmx" {
		skip(t, "no terminal: "+err.Error()+"\nMount one: mount -t devpts devpts /dev/pts")
	}
	require.NoError(t, err)
	return tty
}

// readUntil returns what a process prints until it has printed text.
func readUntil(t testing.TB, r io.Reader, text string) string {
	t.Helper()
	var screen bytes.Buffer
	for b := make([]byte, 1); !strings.HasSuffix(screen.String(), text); {
		_, err := r.Read(b)
		require.NoError(t, err, screen.String())
		screen.Write(b)
	}
	return screen.String()
}

// Ctrl-C in the terminal ends a command that waits for an answer or for input.
func TestInterrupt_terminal(t *testing.T) {
	t.Parallel()
	url := sqliteStore(t)
	plaintext := issue(t, url, "alice")
	for wait, args := range map[string][]string{"to confirm: ": {"user", "revoke-all", "alice"}, "Ctrl-D.": {"leaked"}} {
		cmd := command(t, url, args...)
		tty := startInTerminal(t, cmd)
		readUntil(t, tty, wait)
		_, err := tty.Write([]byte{3})
		require.NoError(t, err)
		screen, _ := io.ReadAll(tty)
		_ = cmd.Wait()
		require.NoError(t, tty.Close())
		require.Equal(t, exitInterrupted, cmd.ProcessState.ExitCode(), args)
		require.Contains(t, string(screen), "interrupted")
	}
	require.True(t, accepted(t, opened(t, url), plaintext))
}

// Without a terminal and without --yes, nothing changes.
func TestConfirm_noTerminal(t *testing.T) {
	t.Parallel()
	url := sqliteStore(t)
	plaintext := issue(t, url, "alice")
	s := opened(t, url)
	c, err := s.Lookup(t.Context(), auth.KindToken, digestOf(plaintext))
	require.NoError(t, err)
	for _, args := range [][]string{
		{"user", "revoke-all", "alice"}, {"token", "revoke", c.ID}, {"secret", "revoke", "alice"}, {"leaked"}, {"purge", "--before", "30d"},
	} {
		r := authctlWith(t, url, plaintext+"\nrevoke\nalice\npurge\n", args...)
		require.Equal(t, exitNotConfirmed, r.code, args)
		require.Contains(t, r.stderr, "--yes")
	}
	require.True(t, accepted(t, s, plaintext))
}

// A reader that has seen enough, such as head, is no failure worth a message.
func TestBrokenPipe(t *testing.T) {
	t.Parallel()
	url := sqliteStore(t)
	s := opened(t, url)
	for i := range 1000 { // more than a pipe holds
		require.NoError(t, s.Create(t.Context(), auth.Credential{
			ID: "id" + strings.Repeat("i", i%90), Kind: auth.KindToken, UserID: "alice" + strings.Repeat("e", i/90),
			Name: strings.Repeat("x", 200), Scopes: "read", Digest: digestOf(strings.Repeat("x", i)),
		}, 0))
	}
	for _, args := range [][]string{{"token", "list"}, {"token", "list", "--json"}, {"export"}} {
		cmd := command(t, url, args...)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		stdout, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		_, err = bufio.NewReader(stdout).ReadString('\n')
		require.NoError(t, err)
		require.NoError(t, stdout.Close())
		_ = cmd.Wait()
		require.Equal(t, exitBrokenPipe, cmd.ProcessState.ExitCode(), args)
		require.Empty(t, stderr.String())
	}
}

// What has leaked is revoked even if the report cannot be written, and so is a new token whose
// plaintext cannot be written.
func TestBrokenPipe_changes(t *testing.T) {
	t.Parallel()
	url := sqliteStore(t)
	first, second := issue(t, url, "alice"), issue(t, url, "bob")
	run := func(stdin string, args ...string) int {
		cmd := command(t, url, args...)
		cmd.Stdin = strings.NewReader(stdin)
		r, w, err := os.Pipe()
		require.NoError(t, err)
		require.NoError(t, r.Close())
		cmd.Stdout = w
		require.NoError(t, cmd.Start())
		require.NoError(t, w.Close())
		_ = cmd.Wait()
		return cmd.ProcessState.ExitCode()
	}
	require.Equal(t, exitBrokenPipe, run(first+"\n"+second+"\n", "leaked", "--yes"))
	s := opened(t, url)
	require.False(t, accepted(t, s, first))
	require.False(t, accepted(t, s, second))
	require.Equal(t, exitFailure, run("", "token", "issue", "carol", "--prefix", "acme_pat", "--name", "x", "--scope", "read", "--no-expiry"))
	require.Equal(t, exitNothing, authctl(t, url, "token", "list", "carol").code)
}

// Supervisors send SIGTERM, and a terminal sends SIGHUP when its connection is lost.
func TestInterrupt_import(t *testing.T) {
	t.Parallel()
	for _, sig := range []os.Signal{syscall.SIGTERM, syscall.SIGHUP} {
		url := sqliteStore(t)
		cmd := command(t, url, "import", "-", "--scope", "read", "--no-expiry")
		stdin, stderr := start(t, cmd)
		_, err := io.WriteString(stdin, rows(0, importChunk+10))
		require.NoError(t, err)
		readUntil(t, stderr, "line 2: ") // the first chunk is in the store, and the second is not complete
		require.NoError(t, cmd.Process.Signal(sig))
		rest, _ := io.ReadAll(stderr)
		_ = cmd.Wait()
		require.Equal(t, exitInterrupted, cmd.ProcessState.ExitCode(), sig)
		require.Contains(t, string(rest), "continue with --from-line 514", sig)
	}
}

// With nohup, an import outlives the terminal.
func TestInterrupt_nohup(t *testing.T) {
	t.Parallel()
	url := sqliteStore(t)
	cmd := command(t, url, "import", "-", "--scope", "read", "--no-expiry")
	cmd.Args = append([]string{"sh", "-c", `trap "" HUP; exec "$0" "$@"`, cmd.Path}, cmd.Args[1:]...)
	cmd.Path = "/bin/sh"
	stdin, stderr := start(t, cmd)
	_, err := io.WriteString(stdin, rows(0, importChunk+10))
	require.NoError(t, err)
	readUntil(t, stderr, "line 2: ")
	require.NoError(t, cmd.Process.Signal(syscall.SIGHUP))
	_, err = io.WriteString(stdin, rows(importChunk+10, importChunk+20))
	require.NoError(t, err)
	require.NoError(t, stdin.Close())
	rest, _ := io.ReadAll(stderr)
	_ = cmd.Wait()
	require.Equal(t, exitPartly, cmd.ProcessState.ExitCode(), string(rest)) // of line 2
}

func start(t testing.TB, cmd *exec.Cmd) (io.WriteCloser, io.Reader) {
	t.Helper()
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	stderr, err := cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	return stdin, stderr
}
