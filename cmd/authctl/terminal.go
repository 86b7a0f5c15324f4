package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/term"
)

func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// confirm asks the operator to type a word. Without a terminal, the change is not made.
func (a *app) confirm(word, format string, args ...any) error {
	question := clean(fmt.Sprintf(format, args...))
	if a.flags.Yes {
		return nil
	}
	terminal, err := a.terminal()
	if err != nil {
		return fault(exitNotConfirmed, "%s There is no terminal to confirm this: use --yes", question)
	}
	if f, ok := terminal.(*os.File); ok && terminal != a.stdin {
		defer f.Close()
	}
	fmt.Fprintf(a.stderr, "%s This cannot be undone.\nType %s to confirm: ", question, clean(word))
	typed := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(terminal).ReadString('\n')
		typed <- strings.TrimRight(line, "\r\n")
	}()
	select {
	case line := <-typed:
		if line != word && line != clean(word) { // an operator types what is shown
			return fault(exitNotConfirmed, "not confirmed: nothing was changed")
		}
		return nil
	case <-a.ctx.Done():
		fmt.Fprintln(a.stderr)
		return &codeError{exitInterrupted, errors.New("interrupted: nothing was changed")}
	}
}

// terminal returns standard input, or the terminal behind it if standard input is a file.
func (a *app) terminal() (io.Reader, error) {
	if isTerminal(a.stdin) {
		return a.stdin, nil
	}
	name := "/dev/tty"
	if os.PathSeparator == '\\' {
		name = "CONIN$"
	}
	return os.Open(name)
}

// interruptible returns a reader of r that returns an error after a signal: a read of a pipe or
// a terminal does not return by itself.
func (a *app) interruptible(r io.Reader) io.Reader {
	reader, writer := io.Pipe()
	go func() {
		_, err := io.Copy(writer, r)
		writer.CloseWithError(err)
	}()
	context.AfterFunc(a.ctx, func() { reader.CloseWithError(context.Cause(a.ctx)) })
	return reader
}

// utf8Text returns a reader of a text without its byte order mark. Windows writes UTF-16 in
// places, in which no plaintext would be found.
func utf8Text(r io.Reader) (io.Reader, error) {
	text := bufio.NewReader(r)
	start, err := text.Peek(3)
	switch {
	case err != nil && !errors.Is(err, io.EOF):
		return nil, err
	case bytes.HasPrefix(start, []byte("\xff\xfe")), bytes.HasPrefix(start, []byte("\xfe\xff")), bytes.IndexByte(start, 0) >= 0:
		return nil, usageError(errors.New("the input is not UTF-8: convert it, for example with iconv"))
	case bytes.Equal(start, []byte("\ufeff")):
		_, err = text.Discard(len(start))
		return text, err
	}
	return text, nil
}

// A progress counts what long work has done. It prints the count to standard error: every
// second on a terminal, and every 30 seconds elsewhere, for logs.
type progress struct {
	count   atomic.Int64
	stopped chan struct{}
	done    chan struct{}
}

// start begins to report. The count is left out as long as it is zero.
func (a *app) start(what string) *progress {
	p := &progress{stopped: make(chan struct{}), done: make(chan struct{})}
	every := 30 * time.Second
	if isTerminal(a.stderr) {
		every = time.Second
	}
	go func() {
		defer close(p.done)
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				a.note("%s", p.text(what))
			case <-p.stopped:
				return
			}
		}
	}()
	return p
}

// stop returns when nothing more is printed.
func (p *progress) stop() {
	close(p.stopped)
	<-p.done
}

func (p *progress) text(what string) string {
	if n := p.count.Load(); n > 0 {
		return fmt.Sprintf("%s: %d so far", what, n)
	}
	return what
}
