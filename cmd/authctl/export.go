package main

import (
	"bytes"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"time"

	"github.com/seed-31c5bcb2/auth"
)

type exportCmd struct {
	Format string `enum:"csv,jsonl" default:"csv" help:"The format: ${enum}. With --json it is jsonl."`
	Kind   string `enum:"token,secret,session,all" default:"all" help:"Which credentials: ${enum}."`
	SHA256 bool   `name:"sha256" help:"Add the SHA-256 of each plaintext, with which \"authctl import\" adds the tokens to another store."`
}

func (exportCmd) Help() string {
	return `Credentials that change meanwhile may be in it twice.

Example:

    authctl export --kind token > tokens.csv`
}

// exportColumns are those of import, and more.
var exportColumns = []string{
	"kind", "id", "user_id", "name", "hint", "scopes", "networks", "metadata",
	"created_at", "expires_at", "last_used_at", "superseded", "sha256",
}

func (c *exportCmd) Run(a *app) error {
	if a.out.json {
		c.Format = "jsonl"
	}
	q := auth.ScanQuery{}
	if c.Kind != "all" {
		if err := q.Kind.UnmarshalText([]byte(c.Kind)); err != nil {
			return usageError(err)
		}
	}
	columns := exportColumns
	if !c.SHA256 {
		columns = columns[:len(columns)-1]
	}
	e := &exporter{out: a.out, terminal: isTerminal(a.out.w)}
	if c.Format == "csv" {
		if err := e.write(columns); err != nil {
			return err
		}
	}
	return a.scan(q, func(credential *auth.Credential) error {
		r := newRecord(credential)
		if c.SHA256 {
			r.SHA256 = hex.EncodeToString(credential.Digest[:])
		}
		if c.Format == "jsonl" {
			return a.out.document(r)
		}
		return e.write(r.cells()[:len(columns)])
	})
}

// cells are in the order of exportColumns.
func (r *record) cells() []string {
	metadata := ""
	if r.Metadata != nil {
		text, _ := json.Marshal(r.Metadata) // a map of strings
		metadata = string(text)
	}
	return []string{
		r.Kind.String(), r.ID, r.UserID, r.Name, r.Hint, string(r.Scopes), string(r.Networks), metadata,
		stamp(r.CreatedAt), stamp(r.ExpiresAt), stamp(r.LastUsedAt), strconv.FormatBool(r.Superseded), r.SHA256,
	}
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

// An exporter writes CSV. A file has names as they are, and a terminal has them cleaned.
type exporter struct {
	out      *output
	terminal bool
	line     bytes.Buffer
}

func (e *exporter) write(cells []string) error {
	e.line.Reset()
	w := csv.NewWriter(&e.line)
	w.Write(cells) // never fails: the line is in memory
	w.Flush()
	if e.terminal {
		return e.out.line("%s", bytes.TrimRight(e.line.Bytes(), "\n"))
	}
	e.out.buf.Write(e.line.Bytes())
	return e.out.flushOver(32 << 10)
}
