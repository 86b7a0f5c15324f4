package integration

import (
	"context"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A process is a server program that a test starts, kills and starts again.
type process struct {
	label   string // in messages, and of its log
	dir     string // of its files
	command func() *exec.Cmd

	cmd    *exec.Cmd
	exited chan struct{}
}

// newProcess returns a process that does not run yet. At the end of the test it is killed,
// and its log is shown if the test has failed.
func newProcess(t testing.TB, label, dir string, command func() *exec.Cmd) *process {
	p := &process{label: label, dir: dir, command: command}
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("the end of the log of %s:\n%s", p.label, p.tail())
		}
	})
	return p
}

// start starts the program if it is not running, and waits until ready returns no error.
// It starts the program again if it exits before that: a killed server may leave processes
// that take a moment to exit, and cannot start until they have. start can be called again
// after kill.
func (p *process) start(t testing.TB, ready func(ctx context.Context) error) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; {
		if p.hasExited() {
			p.launch(t)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		err := ready(ctx)
		cancel()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s does not start: %v", p.label, err)
		}
		<-time.After(50 * time.Millisecond)
	}
}

// launch starts the program in a process group of its own, so that kill includes its
// helpers.
func (p *process) launch(t testing.TB) {
	t.Helper()
	log, err := os.OpenFile(p.log(), os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600)
	require.NoError(t, err)
	defer log.Close()
	cmd, exited := p.command(), make(chan struct{})
	cmd.Stdout, cmd.Stderr = log, log
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	require.NoError(t, cmd.Start())
	p.cmd, p.exited = cmd, exited
	go func() {
		_ = cmd.Wait()
		close(exited)
	}()
}

func (p *process) log() string { return filepath.Join(p.dir, p.label+".log") }

// tail returns the last lines of the log.
func (p *process) tail() string {
	text, err := os.ReadFile(p.log())
	if err != nil {
		return err.Error()
	}
	lines := strings.SplitAfter(string(text), "\n")
	return strings.Join(lines[max(0, len(lines)-60):], "")
}

func (p *process) hasExited() bool {
	if p.exited == nil {
		return true
	}
	select {
	case <-p.exited:
		return true
	default:
		return false
	}
}

// signal sends a signal to the program alone. SIGSTOP makes it hang until SIGCONT.
func (p *process) signal(t testing.TB, s syscall.Signal) {
	t.Helper()
	require.NoError(t, p.cmd.Process.Signal(s))
}

// kill kills the program as a crash does, and waits until it has exited.
func (p *process) kill() {
	if p.hasExited() {
		return
	}
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	<-p.exited
}

// shortDir creates a directory. The path of t.TempDir is too long for a socket, and
// inaccessible to other users.
func shortDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "auth")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	require.NoError(t, os.Chmod(dir, 0o755))
	return dir
}

// unprivileged returns the attributes of a process that runs as the user, to whom it gives
// the directory, if the tests run as root: some servers refuse that.
func unprivileged(t testing.TB, name, dir string) *syscall.SysProcAttr {
	t.Helper()
	if os.Getuid() != 0 {
		return &syscall.SysProcAttr{}
	}
	u, err := user.Lookup(name)
	require.NoError(t, err)
	uid, err := strconv.Atoi(u.Uid)
	require.NoError(t, err)
	gid, err := strconv.Atoi(u.Gid)
	require.NoError(t, err)
	require.NoError(t, os.Chown(dir, uid, gid))
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
}

var ports struct {
	sync.Mutex
	given map[int]bool // to a test of this process
}

// freePort returns a port below those that Linux gives to outgoing connections, so that none
// takes it before the server does, and while the server is killed.
func freePort(t testing.TB) int {
	t.Helper()
	ports.Lock()
	defer ports.Unlock()
	for range 1000 {
		port := 10_000 + rand.N(22_000)
		if ports.given[port] {
			continue
		}
		l, err := net.Listen("tcp", address(port))
		if err != nil {
			continue
		}
		l.Close()
		if ports.given == nil {
			ports.given = make(map[int]bool)
		}
		ports.given[port] = true
		return port
	}
	t.Fatal("no free port")
	return 0
}

func freePorts(t testing.TB, n int) []int {
	t.Helper()
	list := make([]int, n)
	for i := range list {
		list[i] = freePort(t)
	}
	return list
}

func address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
