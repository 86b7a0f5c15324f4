package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"syscall"

	"github.com/seed-31c5bcb2/auth"
)

// Exit codes. The description in cli.go documents them.
const (
	exitOK           = 0
	exitFailure      = 1
	exitUsage        = 2
	exitNothing      = 3
	exitUnavailable  = 4
	exitPartly       = 5
	exitNotConfirmed = 6
	exitInterrupted  = 130
	exitBrokenPipe   = 141
)

// A codeError has its exit code. If err is nil, nothing is printed.
type codeError struct {
	code int
	err  error
}

func (e *codeError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e *codeError) Unwrap() error { return e.err }

func usageError(err error) error { return &codeError{exitUsage, err} }

func fault(code int, format string, args ...any) error {
	return &codeError{code, fmt.Errorf(format, args...)}
}

// unavailable marks an error of a method of the store itself. The contract of auth.Store says
// that any error that it does not name is an outage.
func unavailable(err error) error {
	if err == nil || errors.Is(err, auth.ErrUnavailable) || errors.Is(err, auth.ErrNotFound) || errors.Is(err, auth.ErrInvalidArgument) {
		return err
	}
	return fmt.Errorf("%w: %w", auth.ErrUnavailable, err)
}

// exitCode returns the exit code for an error. An outage that wraps another condition is an
// outage.
func (a *app) exitCode(err error) int {
	var coded *codeError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &coded):
		return coded.code
	case errors.Is(err, syscall.EPIPE) && a.out.err != nil:
		return exitBrokenPipe
	case a.ctx.Err() != nil:
		return exitInterrupted
	case errors.Is(err, auth.ErrUnavailable):
		return exitUnavailable
	case errors.Is(err, auth.ErrInvalidArgument):
		return exitUsage
	case errors.Is(err, auth.ErrNotFound):
		return exitNothing
	}
	return exitFailure
}

// fail prints an error and returns the exit code.
func (a *app) fail(err error) int {
	code := a.exitCode(err)
	if code == exitOK || code == exitBrokenPipe {
		return code
	}
	text := a.explain(err, code)
	switch {
	case text == "":
	case a.out.json:
		line, _ := json.Marshal(map[string]any{"error": text, "exit_code": code})
		fmt.Fprintf(a.stderr, "%s\n", escapeJSON(line))
	default:
		fmt.Fprintf(a.stderr, "authctl: %s\n", clean(text))
	}
	return code
}

var lineBreaks = regexp.MustCompile(`\s*\n\s*`)

// explain returns the text of an error on one line, without the password of the store, and
// without arguments that look like a secret in the wrong place.
func (a *app) explain(err error, code int) string {
	text := hide(err.Error(), a.args, secretForm.MatchString)
	text = lineBreaks.ReplaceAllString(text, " ") // pgx reports one line for each address
	if a.store != nil {
		text = a.store.redact(text)
	}
	switch code {
	case exitInterrupted:
		var coded *codeError
		if !errors.As(err, &coded) {
			return "interrupted"
		}
	case exitUsage:
		return text + " (see authctl --help)"
	case exitUnavailable:
		return a.where() + text + hintFor(text)
	}
	return text
}

func (a *app) where() string {
	if a.store == nil {
		return ""
	}
	return a.store.name + ": "
}

// hintFor recognizes what the databases say about a table that does not exist.
func hintFor(text string) string {
	if !strings.Contains(text, "auth_credentials") {
		return ""
	}
	for _, missing := range []string{"no such table", "does not exist", "doesn't exist"} {
		if strings.Contains(text, missing) {
			return ": the store has no tables yet, which \"authctl migrate\" creates"
		}
	}
	return ""
}

// note prints a line for the operator to standard error.
func (a *app) note(format string, args ...any) {
	fmt.Fprintf(a.stderr, "%s\n", clean(fmt.Sprintf(format, args...)))
}
