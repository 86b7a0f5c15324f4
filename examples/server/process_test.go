package main

import (
	"bufio"
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// start builds the program, runs it, and returns the eight lines that it prints.
func start(t *testing.T) (cmd *exec.Cmd, lines []string, stderr *bytes.Buffer) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	binary := filepath.Join(t.TempDir(), "server")
	out, err := exec.CommandContext(ctx, "go", "build", "-o", binary, ".").CombinedOutput()
	require.NoError(t, err, "%s", out)

	cmd, stderr = exec.CommandContext(ctx, binary, "-addr", "127.0.0.1:0"), new(bytes.Buffer)
	cmd.Stderr = stderr
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { cmd.Process.Kill() }) // no effect once it has ended
	for scanner := bufio.NewScanner(stdout); len(lines) < 8 && scanner.Scan(); {
		lines = append(lines, scanner.Text())
	}
	require.Len(t, lines, 8, "stderr: %s", stderr)
	return cmd, lines, stderr
}

func TestProcess(t *testing.T) {
	t.Parallel()
	cmd, lines, stderr := start(t)
	for i, want := range []string{
		`^listening on http://127\.0\.0\.1:[1-9]\d*$`,
		`^account ada / \S{20,}$`,
		`^account grace / \S{20,}$`,
		`^token demo_pat_\w+$`,
		`^secret demo_cs_\w+$`,
		`^curl .*Bearer .*/api/v1/me$`,
		`^curl .*Bearer .*/api/v1/notes$`,
		`^curl .*Secret .*/api/v1/usage$`,
	} {
		require.Regexp(t, regexp.MustCompile(want), lines[i])
	}
	t.Run("printed commands", func(t *testing.T) { runPrinted(t, lines[5:]) })

	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		require.NoError(t, err, "stderr: %s", stderr)
	case <-time.After(10 * time.Second):
		t.Fatal("still running 10 s after SIGTERM")
	}
	for _, line := range lines[1:5] {
		fields := strings.Fields(line)
		require.NotContains(t, stderr.String(), fields[len(fields)-1], "a credential in the log")
	}
	require.Contains(t, stderr.String(), "event.kind=issued")
}

// runPrinted pastes the commands into a shell.
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

func TestRunReportsWhatFails(t *testing.T) {
	t.Parallel()
	for name, addr := range map[string]string{"no address": "nowhere", "bad port": "127.0.0.1:99999"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var stdout, stderr bytes.Buffer
			require.Error(t, run(t.Context(), addr, &stdout, &stderr))
			require.Empty(t, stdout.String())
		})
	}
}
