package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
	"strings"

	"github.com/seed-31c5bcb2/auth"
)

type leakedCmd struct {
	File   string `arg:"" optional:"" help:"File with the plaintexts, one in each line. Without it, standard input. Never the plaintext itself: other users of this machine can see arguments."`
	Prefix string `placeholder:"acme_pat" help:"Find the tokens with this prefix in any text, such as a log."`
}

func (leakedCmd) Help() string {
	return `It shows whose tokens and client secrets they are before it revokes them. A plaintext that was revoked before counts as found.

Examples:

    authctl leaked < plaintexts.txt
    authctl leaked --prefix acme_pat build.log`
}

// A leak is a credential whose plaintext has leaked.
type leak struct {
	plaintext  string
	credential auth.Credential
	line       int
}

// A leakReport counts plaintexts.
type leakReport struct {
	Revoked        int `json:"revoked"`
	AlreadyRevoked int `json:"already_revoked"`
	Unknown        int `json:"unknown"`
	Failed         int `json:"failed"`
}

func (c *leakedCmd) Run(a *app) error {
	find, err := c.finder()
	if err != nil {
		return err
	}
	in, err := c.open(a)
	if err != nil {
		return usageError(err)
	}
	defer in.Close()
	if isTerminal(in) {
		a.note("Paste the plaintexts, one in each line, and end with Ctrl-D.")
	}
	var report leakReport
	leaks, err := a.findLeaks(a.interruptible(in), find, &report)
	if err != nil {
		return err
	}
	for _, l := range leaks {
		a.note("line %d: %s", l.line, describe(&l.credential))
	}
	if len(leaks) > 0 {
		if err := a.confirm("revoke", "Revoke %d credentials?", len(leaks)); err != nil {
			return err
		}
	}
	err = a.revokeLeaks(leaks, &report)
	a.note("plaintexts: %d revoked, %d revoked before, %d unknown, %d failed", report.Revoked, report.AlreadyRevoked, report.Unknown, report.Failed)
	return nothingIf(err, report.Revoked+report.AlreadyRevoked == 0, "%s", c.nothing(&report))
}

// nothing says why no plaintext is known.
func (c *leakedCmd) nothing(report *leakReport) string {
	switch {
	case report.Unknown > 0 && c.Prefix == "":
		return "no plaintext is known: is there only a plaintext in each line, and is it the right store? In any other text, --prefix finds tokens"
	case report.Unknown > 0:
		return "no plaintext is known: is it the right store?"
	case c.Prefix == "":
		return "the input has no plaintexts"
	}
	return "the input has no token that begins with " + c.Prefix + "_"
}

// finder returns what finds the plaintexts in a line.
func (c *leakedCmd) finder() (func(line string) []string, error) {
	if c.Prefix == "" {
		return func(line string) (found []string) {
			for part := range strings.SplitSeq(line, "\r") { // some programs end lines with it alone
				found = append(found, strings.TrimSpace(part))
			}
			return found
		}, nil
	}
	expression, err := tokenExpression(c.Prefix)
	if err != nil {
		return nil, err
	}
	re := regexp.MustCompile(expression)
	return func(line string) (found []string) {
		for _, match := range re.FindAllStringSubmatch(line, -1) {
			found = append(found, match[1])
		}
		return found
	}, nil
}

// open returns errors without the name of the file, which may be a plaintext by mistake.
func (c *leakedCmd) open(a *app) (io.ReadCloser, error) {
	if c.File == "" || c.File == "-" {
		if f, ok := a.stdin.(*os.File); ok {
			return f, nil
		}
		return io.NopCloser(a.stdin), nil
	}
	f, err := os.Open(c.File)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errors.New("there is no such file. Plaintexts are read from a file or standard input: other users of this machine can see arguments")
	}
	if failed := (*fs.PathError)(nil); errors.As(err, &failed) {
		return nil, fmt.Errorf("cannot open the file: %w", failed.Err)
	}
	return f, err
}

const maxLine = 1 << 20

// findLeaks looks up each plaintext. It keeps those that are to be revoked, once.
func (a *app) findLeaks(in io.Reader, find func(string) []string, report *leakReport) (leaks []leak, err error) {
	s, err := a.open(false)
	if err != nil {
		return nil, err
	}
	if in, err = utf8Text(in); err != nil {
		return nil, err
	}
	p := a.start("looking up plaintexts")
	defer p.stop()
	known := make(map[auth.Ref]bool)
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxLine)
	number := 0
	for lines.Scan() {
		number++
		for _, plaintext := range find(lines.Text()) {
			if plaintext == "" {
				continue
			}
			p.count.Add(1)
			c, err := a.findLeak(s, plaintext, number, report)
			if err != nil {
				return nil, err
			}
			if c != nil && !known[c.Ref()] {
				known[c.Ref()] = true
				leaks = append(leaks, leak{strings.Clone(plaintext), *c, number})
			}
		}
	}
	if errors.Is(lines.Err(), bufio.ErrTooLong) {
		return nil, usageError(fmt.Errorf("line %d has over %d bytes: nothing was revoked", number+1, maxLine))
	}
	return leaks, lines.Err()
}

// findLeak returns the credential that is to be revoked. It reports a plaintext that is unknown
// or was revoked before.
func (a *app) findLeak(s *store, plaintext string, line int, report *leakReport) (*auth.Credential, error) {
	c, err := a.lookup(s, plaintext)
	switch {
	case errors.Is(err, auth.ErrRevoked):
		report.AlreadyRevoked++
		return nil, a.leakFound("already_revoked", line, c)
	case isNotFound(err):
		report.Unknown++
		return nil, a.leakFound("unknown", line, nil)
	}
	return c, err
}

// lookup returns the token or secret with a plaintext, even if it has expired.
func (a *app) lookup(s *store, plaintext string) (c *auth.Credential, err error) {
	for _, kind := range []auth.Kind{auth.KindToken, auth.KindSecret} {
		c, err = s.Uncached().Lookup(a.ctx, kind, digestOf(plaintext))
		if !isNotFound(err) || errors.Is(err, auth.ErrRevoked) {
			break
		}
	}
	return c, unavailable(err)
}

// leakFound writes what became of the plaintext in a line, but not the plaintext.
func (a *app) leakFound(status string, line int, c *auth.Credential) error {
	type document struct {
		Line   int    `json:"line"`
		Status string `json:"status"`
		*record
	}
	d := document{Line: line, Status: status}
	text := status
	if c != nil {
		r := newRecord(c)
		d.record, text = &r, fmt.Sprintf("%s: %v %s of user %s", status, c.Kind, c.ID, quote(c.UserID))
	}
	if a.out.json {
		a.out.document(d)
	} else {
		a.out.line("line %d: %s", line, text)
	}
	return nil // the revocations count, even if the report cannot be written
}

// revokeLeaks continues after a failure: each plaintext that still works is a danger.
func (a *app) revokeLeaks(leaks []leak, report *leakReport) error {
	var faults []error
	for _, l := range leaks {
		status, err := "revoked", a.revokeLeak(&l)
		switch {
		case err == nil:
			report.Revoked++
		case isNotFound(err): // in the meantime, or with the one that replaced it
			status = "already_revoked"
			report.AlreadyRevoked++
		default:
			status = "failed"
			report.Failed++
			faults = append(faults, err)
		}
		a.leakFound(status, l.line, &l.credential)
	}
	if len(faults) == 0 {
		return a.out.flush()
	}
	return fmt.Errorf("%d plaintexts still work: %w", len(faults), errors.Join(faults[0], a.out.flush()))
}

func (a *app) revokeLeak(l *leak) (err error) {
	ctx := a.uninterrupted()
	if l.credential.Kind == auth.KindSecret {
		secret, err := auth.NewSecret(a.store, auth.SecretConfig{Observe: quiet})
		if err != nil {
			return err
		}
		_, err = secret.RevokePlaintext(ctx, l.plaintext)
		return err
	}
	bearer, err := auth.NewBearer(a.store, auth.BearerConfig{Observe: quiet})
	if err != nil {
		return err
	}
	_, err = bearer.RevokePlaintext(ctx, l.plaintext)
	return err
}
