package main

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth/examples/server/internal/demodata"
	"github.com/seed-31c5bcb2/auth/examples/server/internal/front"
)

// asProgram is the environment in which this test binary is the server.
const asProgram = "SERVER_TEST_PROGRAM=1"

func TestMain(m *testing.M) {
	if slices.Contains(os.Environ(), asProgram) {
		main()
		return
	}
	os.Exit(m.Run())
}

// program returns the server, as a process.
func program(ctx context.Context, t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	path, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = append(os.Environ(), asProgram)
	return cmd
}

// A process is a server that runs as a separate process, with its own home directory.
type process struct {
	*exec.Cmd
	stdout io.Reader
	stderr bytes.Buffer // to read after the process has ended
	intro  []string     // the lines before those for programs
	lines  []string
}

// startProcess does not wait until the process listens. Processes with the same home
// share its files.
func startProcess(t *testing.T, home string, env []string, args ...string) *process {
	t.Helper()
	ctx, cancel := context.WithDeadline(context.Background(), deadline(t))
	t.Cleanup(cancel)
	p := &process{Cmd: program(ctx, t, append([]string{"-addr", "127.0.0.1:0"}, args...)...)}
	isOurs := func(v string) bool {
		return strings.HasPrefix(v, "AUTH_KEYS=") || strings.HasPrefix(v, "XDG_DATA_HOME=")
	}
	p.Env = append(slices.DeleteFunc(p.Env, isOurs), append(env, "HOME="+home, "LOCALAPPDATA="+home)...)
	p.Stderr = &p.stderr
	var err error
	p.stdout, err = p.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, p.Start())
	t.Cleanup(func() { p.Process.Kill() }) // has no effect if it has ended
	return p
}

// deadline returns a time just before the timeout of go test, which would leave
// processes running.
func deadline(t *testing.T) time.Time {
	if end, set := t.Deadline(); set {
		return end.Add(-5 * time.Second)
	}
	return time.Now().Add(time.Hour)
}

// listening reads the output of the process until it serves requests.
func (p *process) listening(t *testing.T) *process {
	t.Helper()
	for scanner := bufio.NewScanner(p.stdout); scanner.Scan(); {
		if p.lines == nil && !strings.HasPrefix(scanner.Text(), "listening on ") {
			p.intro = append(p.intro, scanner.Text())
			continue
		}
		p.lines = append(p.lines, scanner.Text())
		if strings.HasPrefix(scanner.Text(), "keys ") {
			return p
		}
	}
	p.Wait()
	t.Fatalf("the process has ended: %s", &p.stderr)
	return nil
}

// demo returns the process as clients see it, with the credentials that it printed.
func (p *process) demo() *demo {
	seeded := &demodata.Seeded{Passwords: make(map[string]string)}
	for _, line := range p.lines {
		word, rest, _ := strings.Cut(line, " ")
		switch word {
		case "account":
			name, password, _ := strings.Cut(rest, " / ")
			seeded.Passwords[name] = password
		case "token":
			seeded.Token = rest
		case "secret":
			seeded.Secret = rest
		}
	}
	return &demo{nil, seeded, nil, strings.TrimPrefix(p.lines[0], "listening on ")}
}

// stop ends the process with a signal, as an operator does.
func (p *process) stop(t *testing.T) {
	t.Helper()
	require.NoError(t, p.Process.Signal(syscall.SIGTERM))
	ended := make(chan error, 1)
	go func() { ended <- p.Wait() }()
	select {
	case err := <-ended:
		require.NoError(t, err, "stderr: %s", &p.stderr)
	case <-time.After(10 * time.Second):
		t.Fatal("still running 10 s after SIGTERM")
	}
}

func TestRun_printsCredentials(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	p := startProcess(t, home, nil).listening(t)
	require.Equal(t, []string{
		"Open " + p.demo().url + " in a browser and sign in as ada with the password " + p.demo().Passwords["ada"],
		"This is plain HTTP, so the session cookie is neither Secure nor named __Host-session: use -tls for that.",
	}, p.intro)
	require.Len(t, p.lines, 10)
	for i, want := range []string{
		`^listening on http://127\.0\.0\.1:[1-9]\d*$`,
		`^account ada / \S{20,}$`,
		`^account grace / \S{20,}$`,
		`^token demo_pat_\w+$`,
		`^secret demo_cs_\w+$`,
		`^curl .*Bearer .*/api/v1/me$`,
		`^curl .*Bearer .*/api/v1/notes$`,
		`^curl .*Secret .*/api/v1/usage$`,
		`^store sqlite:/.*server\.db$`,
		`^keys /.*server\.db\.keys$`,
	} {
		require.Regexp(t, regexp.MustCompile(want), p.lines[i])
	}
	file := strings.TrimPrefix(p.lines[8], "store sqlite:")
	require.True(t, strings.HasPrefix(file, home), file)
	t.Run("printed commands", func(t *testing.T) { runPrinted(t, p.lines[5:8]) })
	require.Equal(t, http.StatusSeeOther, p.demo().client(t).get("/profile").status)
	requireMode(t, 0o600, file+"-wal")
	requireMode(t, 0o600, file+"-shm")
	p.stop(t)
	for _, line := range p.lines[1:5] {
		fields := strings.Fields(line)
		require.NotContains(t, p.stderr.String(), fields[len(fields)-1], "a credential in the log")
	}
	require.Empty(t, p.stderr.String(), "lines about changes and requests would scroll the credentials away")
	requireMode(t, 0o700, filepath.Dir(file))
	requireMode(t, 0o600, file)
	requireMode(t, 0o600, file+".keys")
}

func requireMode(t *testing.T, mode os.FileMode, file string) {
	t.Helper()
	info, err := os.Stat(file)
	require.NoError(t, err)
	require.Equal(t, mode, info.Mode().Perm(), file)
}

// runPrinted runs the commands in a shell.
func runPrinted(t *testing.T, commands []string) {
	if _, err := exec.LookPath("curl"); err != nil {
		require.NotEqual(t, "true", os.Getenv("CI"), "curl is not installed")
		t.Skip("curl is not installed: the printed commands are not run")
	}
	for i, want := range []string{
		`"name":"ada"`, `"text":"Buy milk"`, `"requests":{"Bearer":2,"Cookie":0,"Secret":1}`,
	} {
		cmd := exec.CommandContext(t.Context(), "sh", "-c", commands[i])
		cmd.Env = append(os.Environ(), "no_proxy=127.0.0.1")
		out, err := cmd.Output()
		require.NoError(t, err, commands[i])
		require.Contains(t, string(out), want)
	}
}

func TestMain_help(t *testing.T) {
	t.Parallel()
	var stderr strings.Builder
	cmd := program(t.Context(), t, "-h")
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err)
	require.Empty(t, stderr.String())
	for _, part := range []string{
		"sqlite:", "memory:", "postgres://", "mysql://", "socket=PATH", "redis://", "rediss://", "prefix=TEXT",
		"AUTH_KEYS", "-addr", "-store", "-reset", "-password", "-tls", "-tls-cert", "-tls-key", "-proxy", "-v\t",
	} {
		require.Contains(t, string(out), part)
	}
	for line := range strings.Lines(string(out)) {
		require.LessOrEqual(t, utf8.RuneCountInString(line), 86, line)
	}
}

func TestMain_wrongFlags(t *testing.T) {
	t.Parallel()
	for args, fault := range map[string]string{
		"sqlite:":                     `"sqlite:" is not a flag`,
		"-memory":                     "flag provided but not defined: -memory",
		"-store":                      "flag needs an argument: -store",
		"-password eve":               `-password: no user is named "eve"`,
		"-tls-cert cert.pem":          "-tls-cert and -tls-key need each other",
		"-tls-key key.pem":            "-tls-cert and -tls-key need each other",
		"-proxy notes.example.com":    "want https://NAME",
		"-proxy https://h/path":       "want https://NAME",
		"-proxy ftp://h":              "want https://NAME",
		"-proxy https://user:pass@h/": "want https://NAME",
		"-proxy https://.":            "want https://NAME",
		"-proxy https://*.h":          "want https://NAME",
		"-proxy https://h?a=b":        "without a path, a query or a fragment",
		"-proxy https://h?":           "without a path, a query or a fragment",
		"-proxy https://h/#a":         "without a path, a query or a fragment",
		"-proxy https://h:0":          "the port must be 1 to 65535",
		"-proxy https://h:65536":      "the port must be 1 to 65535",
		"-proxy https://bücher.test":  "write the name in Punycode (xn--…)",
	} {
		var stdout, stderr strings.Builder
		cmd := program(t.Context(), t, strings.Fields(args)...)
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		var exit *exec.ExitError
		require.ErrorAs(t, cmd.Run(), &exit, args)
		require.Equal(t, 2, exit.ExitCode(), args)
		require.Empty(t, stdout.String(), args)
		require.Contains(t, stderr.String(), "Usage: server", args)
		require.Contains(t, stderr.String(), "server: ", args)
		require.Contains(t, stderr.String(), fault, args)
	}
}

// If the store is unavailable, the process prints one line to stderr, and nothing to
// stdout.
func TestRun_unavailableStore(t *testing.T) {
	t.Parallel()
	p := startProcess(t, t.TempDir(), nil, "-store", "redis://u:hunter2@127.0.0.1:1/0")
	out, err := io.ReadAll(p.stdout)
	require.NoError(t, err)
	require.Empty(t, out)
	var exit *exec.ExitError
	require.ErrorAs(t, p.Wait(), &exit)
	require.Equal(t, 1, exit.ExitCode())
	require.Equal(t, "server: redis://127.0.0.1:1/0: dial tcp 127.0.0.1:1: connect: connection refused\n", p.stderr.String())
}

func TestRun_errors(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]front.Config{
		"no address":     {HostPort: "nowhere", Store: "memory:"},
		"bad port":       {HostPort: "127.0.0.1:99999", Store: "memory:"},
		"bad store":      {HostPort: "127.0.0.1:0", Store: "nowhere:"},
		"no certificate": {HostPort: "127.0.0.1:0", Store: "memory:", TLS: true, CertFile: "absent", KeyFile: "absent"},
		"bad keys":       {HostPort: "127.0.0.1:0", Store: "memory:", Env: func(string) (string, bool) { return "x", true }},
		"no home":        {HostPort: "127.0.0.1:0", Store: "sqlite:"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if cfg.Env == nil {
				cfg.Env = noEnvironment
			}
			var stdout, stderr bytes.Buffer
			require.Error(t, run(t.Context(), cfg, &stdout, &stderr))
			require.Empty(t, stdout.String())
		})
	}
}

// A start that fails, for example because the port is in use, must not print the
// credentials where they would be lost.
func TestRun_failedStartDoesNotSeed(t *testing.T) {
	t.Parallel()
	store := "sqlite:" + filepath.Join(t.TempDir(), "demo.db")
	var stdout, stderr bytes.Buffer
	require.Error(t, run(t.Context(), front.Config{HostPort: "nowhere", Store: store, Env: noEnvironment}, &stdout, &stderr))
	d := startDemoWith(t, store)
	require.NotEmpty(t, d.Token)
}

// Nor does it remove the data, even of another version.
func TestRun_failedResetKeepsData(t *testing.T) {
	t.Parallel()
	badKeys := func(string) (string, bool) { return "x", true }
	for name, cfg := range map[string]front.Config{
		"no address":     {HostPort: "nowhere", Env: noEnvironment},
		"no certificate": {HostPort: "127.0.0.1:0", TLS: true, CertFile: "absent", KeyFile: "absent", Env: noEnvironment},
		"bad keys":       {HostPort: "127.0.0.1:0", Env: badKeys},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "demo.db")
			d := startDemoWith(t, "sqlite:"+file)
			require.NoError(t, d.storage.AddNote(t.Context(), d.idOf(t, "ada"), demodata.Note{ID: "1", Text: "precious"}))
			db, err := sql.Open("sqlite3", "file:"+file)
			require.NoError(t, err)
			defer db.Close()
			_, err = db.ExecContext(t.Context(), "ALTER TABLE demo_users ADD COLUMN other TEXT")
			require.NoError(t, err)
			cfg.Store, cfg.Reset = "sqlite:"+file, true
			require.Error(t, run(t.Context(), cfg, io.Discard, io.Discard))
			var text string
			require.NoError(t, db.QueryRowContext(t.Context(), "SELECT body FROM demo_notes").Scan(&text))
			require.Equal(t, "precious", text)
		})
	}
}

func TestRun_verbose(t *testing.T) {
	t.Parallel()
	p := startProcess(t, t.TempDir(), nil, "-store", "memory:", "-v").listening(t)
	require.Equal(t, http.StatusOK, p.demo().client(t).get("/api/v1/me", "Authorization", "Bearer "+p.demo().Token).status)
	require.Equal(t, http.StatusSeeOther, p.demo().client(t).get("/profile").status)
	p.stop(t)
	require.Contains(t, p.stderr.String(), "event.reason=missing")
	require.Contains(t, p.stderr.String(), "event.type=accepted")
}
