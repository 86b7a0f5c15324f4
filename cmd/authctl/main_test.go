package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

// asProgram is the environment in which this test binary is the program. The tests start it as a
// process.
const asProgram = "AUTHCTL_TEST_PROGRAM=1"

func TestMain(m *testing.M) {
	if slices.Contains(os.Environ(), asProgram) {
		main()
		return
	}
	// Programs inherit that a signal is ignored, as it is if these tests run with nohup.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	os.Exit(m.Run())
}

// program returns the path of the program.
func program(t testing.TB) string {
	t.Helper()
	path, err := os.Executable()
	require.NoError(t, err)
	return path
}

// A result is what a process has written, and its exit code.
type result struct {
	stdout, stderr string
	code           int
}

// command returns a process that has no terminal, and no environment but what it needs.
func command(t testing.TB, url string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program(t), args...)
	cmd.Env = []string{asProgram, "HOME=" + t.TempDir(), "PATH=" + os.Getenv("PATH"), "GORACE=" + os.Getenv("GORACE")}
	if url != "" {
		cmd.Env = append(cmd.Env, "AUTHCTL_STORE="+url)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return cmd
}

// authctl runs the program over a store.
func authctl(t testing.TB, url string, args ...string) result {
	t.Helper()
	return authctlWith(t, url, "", args...)
}

func authctlWith(t testing.TB, url, stdin string, args ...string) result {
	t.Helper()
	cmd := command(t, url, args...)
	cmd.Stdin = strings.NewReader(stdin)
	return finish(t, cmd)
}

func finish(t testing.TB, cmd *exec.Cmd) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if failed := (*exec.ExitError)(nil); !errors.As(err, &failed) {
		require.NoError(t, err)
	}
	return result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// ok requires success.
func ok(t testing.TB, url string, args ...string) result {
	t.Helper()
	r := authctl(t, url, args...)
	require.Equal(t, exitOK, r.code, "%v: %s", args, r.stderr)
	return r
}

// issue returns the plaintext of a new token of a user.
func issue(t testing.TB, url, user string) string {
	t.Helper()
	r := ok(t, url, "token", "issue", user, "--prefix", "acme_pat", "--name", "deploy", "--scope", "read", "--lifetime", "90d")
	return strings.TrimSuffix(r.stdout, "\n")
}

// opened returns the store, as the service has it.
func opened(t testing.TB, url string) *store {
	t.Helper()
	s := &store{url: url}
	require.NoError(t, s.open(context.Background(), url, false))
	t.Cleanup(func() { require.NoError(t, s.close()) })
	return s
}

// accepted reports whether a service accepts a token.
func accepted(t testing.TB, s *store, plaintext string) bool {
	t.Helper()
	_, err := s.Uncached().Lookup(t.Context(), auth.KindToken, digestOf(plaintext))
	if !errors.Is(err, auth.ErrNotFound) {
		require.NoError(t, err)
	}
	return err == nil
}
