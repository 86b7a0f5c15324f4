// Authctl is the operator's command line for the credentials of a service that uses package
// auth: tokens, client secrets and sessions, in SQLite, PostgreSQL, MariaDB or MySQL, or Redis.
//
//	go run github.com/seed-31c5bcb2/auth/cmd/authctl@latest --help
//	export AUTHCTL_STORE=postgres://admin:password@db.internal/service
//	authctl leaked < plaintexts.txt
//
// Results go to standard output, and everything else to standard error. The guide
// docs/guides/operators.md has an example of each command. Read cli.go first: it lists all
// commands with the files that they are in.
package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"
)

func main() {
	// A change that has begun is completed even if the output has no reader anymore: writes
	// return EPIPE.
	signal.Ignore(syscall.SIGPIPE)
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // nohup ignores it
		signals = append(signals, syscall.SIGHUP) // a connection to the operator's terminal was lost
	}
	ctx, stop := signal.NotifyContext(context.Background(), signals...)
	context.AfterFunc(ctx, stop) // a second signal terminates the process immediately
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run returns the exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	var flags cli
	a := &app{ctx: ctx, args: args, flags: &flags.globals, stdin: stdin, stderr: stderr, out: &output{w: stdout}}
	parser, err := newParser(&flags, kong.Writers(stdout, stderr))
	if err != nil {
		return a.fail(err)
	}
	command, err := parser.Parse(args)
	a.out.json = flags.JSON
	if err != nil {
		a.out.json = asksForJSON(args) // kong has not set the flags
		return a.fail(usageError(withoutArguments(err, args)))
	}
	return a.fail(a.execute(command))
}

func asksForJSON(args []string) bool {
	if end := slices.Index(args, "--"); end >= 0 {
		args = args[:end]
	}
	return slices.Contains(args, "--json")
}

// withoutArguments removes long arguments from an error of kong: one of them may be a plaintext
// or the URL of a store in the wrong place, and logs keep errors.
func withoutArguments(err error, args []string) error {
	const short = 20
	return errors.New(hide(err.Error(), args, func(arg string) bool { return len(arg) > short }))
}

// secretForm is what URLs with a password and plaintexts have, and IDs do not.
var secretForm = regexp.MustCompile(`://[^/]*@|[0-9A-Za-z]{32}`)

// hide removes arguments from a text: the whole ones, and the values of those like --name=value.
func hide(text string, args []string, suspect func(arg string) bool) string {
	for _, arg := range args {
		_, value, _ := strings.Cut(arg, "=")
		for _, part := range []string{arg, value} {
			if suspect(part) {
				quoted := strconv.Quote(part)
				text = strings.NewReplacer(part, "…", quoted[1:len(quoted)-1], "…").Replace(text)
			}
		}
	}
	return text
}

// An app is what commands run in.
type app struct {
	ctx    context.Context // done after a signal
	args   []string
	flags  *globals
	stdin  io.Reader
	stderr io.Writer
	out    *output
	store  *store // open, or nil
}

// execute runs a command. The output is complete when the store is closed.
func (a *app) execute(command *kong.Context) error {
	err := command.Run(a)
	if flushed := a.out.flush(); err == nil {
		err = flushed
	}
	if a.store != nil {
		if closed := a.store.close(); err == nil {
			err = closed
		}
	}
	return err
}
