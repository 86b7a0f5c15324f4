package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/seed-31c5bcb2/auth"
)

type importCmd struct {
	File     string   `arg:"" help:"CSV file, or - for standard input. Its first line names the columns."`
	Prefix   string   `placeholder:"acme_pat" help:"Prefix of the service's own tokens: rejects tokens that have it and a wrong checksum."`
	Name     string   `default:"imported" help:"Name of tokens whose line has none."`
	Scope    []string `sep:"," help:"Scopes of tokens whose line has none. Can be repeated."`
	FromLine int      `default:"2" help:"First line to import, for a run that was interrupted."`
	DryRun   bool     `help:"Only check the lines, without a store."`
	lifetimeFlags
}

func (importCmd) Help() string {
	return `The columns are user_id, then token (the plaintext) or sha256 (its SHA-256 in hexadecimal), and name, scopes and networks (separated by spaces), metadata (a JSON object), created_at and expires_at. Those of "authctl export" that mean nothing to a new token are ignored. The service must accept the tokens: with BearerConfig.AcceptImported, or without a Prefix.

Each line is one record. A line that is wrong is reported and skipped, and the exit code is 5. Tokens that exist already are counted and left as they are, so the same import can be run again.

Example:

    authctl import tokens.csv --scope read --lifetime 365d`
}

const (
	importWorkers = 16
	importChunk   = 512 // lines in memory
)

// An importReport counts lines. Present ones were there before, revoked ones too.
type importReport struct {
	Lines    int `json:"lines"`
	Imported int `json:"imported"`
	Present  int `json:"present"`
	Wrong    int `json:"wrong"`
	NextLine int `json:"next_line"`
}

// An importer adds lines in chunks. The lines of a chunk are added concurrently, and reported in
// order, so that everything before NextLine is done.
type importer struct {
	*app
	cmd     *importCmd
	store   auth.Store
	bearer  *auth.Bearer
	workers int
	columns columns
	report  importReport
	resumed bool // whether the last line was present, so that the next ones may be too
}

func (c *importCmd) Run(a *app) error {
	i, err := c.importer(a)
	if err != nil {
		return err
	}
	in, err := c.open(a)
	if err != nil {
		return usageError(err)
	}
	defer in.Close()
	text, err := utf8Text(i.interruptible(in))
	if err != nil {
		return err
	}
	p := a.start("checking and importing lines")
	err = i.run(newLines(text), p)
	p.stop()
	return i.finish(err)
}

func (c *importCmd) open(a *app) (io.ReadCloser, error) {
	if c.File == "-" {
		return io.NopCloser(a.stdin), nil
	}
	return os.Open(c.File)
}

func (c *importCmd) importer(a *app) (*importer, error) {
	i := &importer{app: a, cmd: c, store: dryRun{}, workers: 1}
	if !c.DryRun {
		s, err := a.open(false)
		if err != nil {
			return nil, err
		}
		if i.store = s; !s.serial {
			i.workers = importWorkers
		}
	}
	var err error
	i.bearer, err = newBearer(i.store, auth.BearerConfig{Prefix: c.Prefix, AcceptImported: true})
	return i, err
}

// dryRun is a store that has nothing and keeps nothing.
type dryRun struct{ auth.Store }

func (dryRun) Create(context.Context, auth.Credential, int) error { return nil }

func (i *importer) run(lines *lines, p *progress) error {
	head, err := lines.next()
	if errors.Is(err, io.EOF) {
		return usageError(errors.New("the file is empty: line 1 must name the columns"))
	}
	if err != nil {
		return err
	}
	if i.columns, err = parseColumns(head.text); err != nil {
		return usageError(err)
	}
	i.report.NextLine = max(i.cmd.FromLine, 2)
	for done := false; !done; {
		var chunk []line
		for len(chunk) < importChunk && !done {
			l, err := lines.next()
			switch {
			case errors.Is(err, io.EOF):
				done = true
			case err != nil:
				return err
			case l.number >= i.cmd.FromLine && strings.TrimSpace(l.text) != "":
				chunk = append(chunk, l)
			}
		}
		if err := i.add(chunk); err != nil {
			return err
		}
		p.count.Store(int64(i.report.Lines))
	}
	return nil
}

// An outcome is what became of a line.
type outcome struct {
	present bool
	wrong   error // of the line
	failed  error // of the store
}

// add imports a chunk. A signal takes effect between two chunks.
func (i *importer) add(chunk []line) error {
	if err := i.ctx.Err(); err != nil {
		return err
	}
	outcomes := make([]outcome, len(chunk))
	var group errgroup.Group
	group.SetLimit(i.workers)
	for n := range chunk {
		group.Go(func() error {
			outcomes[n] = i.addLine(chunk[n])
			return nil
		})
	}
	group.Wait()
	for n, o := range outcomes {
		if o.failed != nil {
			return o.failed
		}
		i.report.Lines++
		i.report.NextLine = chunk[n].number + 1
		i.resumed = o.present
		switch {
		case o.wrong != nil:
			i.report.Wrong++
			i.wrong(chunk[n].number, o.wrong)
		case o.present:
			i.report.Present++
		default:
			i.report.Imported++
		}
	}
	return i.out.err
}

func (i *importer) addLine(l line) outcome {
	if l.fault != nil {
		return outcome{wrong: l.fault}
	}
	t, err := i.columns.parse(l.text, i.cmd)
	if err != nil {
		return outcome{wrong: withoutValues(err)}
	}
	ctx := i.uninterrupted()
	if i.resumed { // a lookup is faster than a conflict
		if o := i.conflict(ctx, t); o.present || o.failed != nil {
			return o
		}
	}
	if t.plaintext != "" {
		_, err = i.bearer.Import(ctx, t.userID, t.plaintext, t.options)
	} else {
		_, err = i.bearer.ImportDigest(ctx, t.userID, t.digest, t.options)
	}
	switch {
	case err == nil:
		return outcome{}
	case errors.Is(err, auth.ErrUnavailable):
		return outcome{failed: err}
	case errors.Is(err, auth.ErrConflict):
		return i.conflict(ctx, t)
	}
	return outcome{wrong: withoutValues(err)}
}

// conflict finds out whether the token that exists is the same user's.
func (i *importer) conflict(ctx context.Context, t *importedToken) outcome {
	c, err := i.store.Lookup(ctx, auth.KindToken, t.digest)
	switch {
	case c != nil && (err == nil || errors.Is(err, auth.ErrRevoked)):
		if c.UserID != t.userID {
			return outcome{wrong: errors.New("the token exists already, and belongs to another user")}
		}
		return outcome{present: true}
	case errors.Is(err, auth.ErrRevoked):
		return outcome{present: true}
	case isNotFound(err):
		return outcome{wrong: errors.New("the same characters are a credential that is no token, or a token that was just revoked")}
	}
	return outcome{failed: unavailable(err)}
}

// wrong reports a line. It goes to standard output only in JSON.
func (i *importer) wrong(number int, err error) {
	text := strings.ReplaceAll(strings.ReplaceAll(err.Error(), "\n", "; "), "auth: invalid argument: ", "")
	if i.out.json {
		i.out.document(map[string]any{"line": number, "error": text})
	} else {
		i.note("line %d: %s", number, text)
	}
}

// finish writes the counts, and where to continue.
func (i *importer) finish(err error) error {
	r := &i.report
	if i.out.json {
		err = cmp.Or(err, i.out.document(r))
	} else if r.Lines > 0 {
		verb := "imported"
		if i.cmd.DryRun {
			verb = "correct"
		}
		err = cmp.Or(err, i.out.line("%d lines: %d %s, %d present, %d wrong", r.Lines, r.Imported, verb, r.Present, r.Wrong))
	}
	switch {
	case err != nil && r.NextLine > 0:
		if i.ctx.Err() != nil {
			return fault(exitInterrupted, "interrupted: continue with --from-line %d", r.NextLine)
		}
		return fmt.Errorf("stopped: continue with --from-line %d: %w", r.NextLine, err)
	case err != nil:
		return err
	case r.Wrong > 0:
		return fault(exitPartly, "%d lines are wrong and were skipped", r.Wrong)
	}
	return nothingIf(nil, r.Lines == 0, "the file has no lines to import")
}
