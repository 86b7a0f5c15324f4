package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/seed-31c5bcb2/auth"
)

// An output is standard output: JSON, or text for people. Like bufio.Writer it keeps the first
// error, so that a change that has begun is completed.
type output struct {
	w     io.Writer
	json  bool
	buf   bytes.Buffer
	table *tabwriter.Writer
	rows  int
	err   error
}

// blockRows is how many rows are aligned with each other, and held in memory.
const blockRows = 200

// document writes v as one line of JSON.
func (o *output) document(v any) error {
	line, err := json.Marshal(v)
	if err != nil {
		return err
	}
	o.buf.WriteString(escapeJSON(line) + "\n")
	return o.flushOver(32 << 10)
}

// line writes a line of text.
func (o *output) line(format string, args ...any) error {
	o.buf.WriteString(clean(fmt.Sprintf(format, args...)) + "\n")
	return o.flushOver(32 << 10)
}

// row writes a row of a table, whose head is written before the first one.
func (o *output) row(head string, cells ...string) error {
	if o.table == nil {
		o.table = tabwriter.NewWriter(&o.buf, 0, 0, 2, ' ', tabwriter.StripEscape)
		fmt.Fprintln(o.table, head)
	}
	for i, cell := range cells {
		cells[i] = clean(cell)
	}
	fmt.Fprintln(o.table, strings.Join(cells, "\t"))
	if o.rows++; o.rows%blockRows == 0 {
		return o.flush()
	}
	return o.err
}

func (o *output) flushOver(size int) error {
	if o.buf.Len() > size {
		return o.flush()
	}
	return o.err
}

func (o *output) flush() error {
	if o.table != nil {
		o.table.Flush()
	}
	if o.err == nil && o.buf.Len() > 0 {
		_, o.err = o.buf.WriteTo(o.w)
	}
	o.buf.Reset()
	return o.err
}

// A record is a credential in JSON, with what its own JSON leaves out because it is for users.
type record struct {
	auth.Credential
	Metadata map[string]string `json:"metadata,omitempty"`
	SHA256   string            `json:"sha256,omitempty"`
	Bound    bool              `json:"bound,omitempty"` // a session that is bound to its device
}

func newRecord(c *auth.Credential) record {
	r := record{Credential: *c, Bound: c.Bound()}
	for key, value := range c.Metadata.All() {
		if r.Metadata == nil {
			r.Metadata = make(map[string]string)
		}
		r.Metadata[key] = value
	}
	return r
}

const credentialHead = "KIND\tID\tUSER\tHINT\tCREATED\tLAST USED\tEXPIRES\tSCOPES\tACTOR\tNAME"

// credential writes an item of a list.
func (o *output) credential(c *auth.Credential) error {
	if o.json {
		return o.document(newRecord(c))
	}
	return o.row(credentialHead, c.Kind.String(), c.ID, quote(c.UserID), c.Hint,
		date(c.CreatedAt, "unknown"), date(c.LastUsedAt, "not yet"), expiry(c), string(c.Scopes), quote(c.Actor), c.Name)
}

// details writes one credential, a line for each field that it has.
func (o *output) details(c *auth.Credential) error {
	if o.json {
		return o.document(newRecord(c))
	}
	return o.line("%s", describe(c))
}

func describe(c *auth.Credential) string {
	text := fmt.Sprintf("%v %s of user %s", c.Kind, c.ID, quote(c.UserID))
	add := func(name, value string) {
		if value != "" {
			text += ", " + name + " " + value
		}
	}
	add("name", quote(c.Name))
	add("hint", c.Hint)
	add("scopes", string(c.Scopes))
	add("networks", string(c.Networks))
	for key, value := range c.Metadata.All() {
		add("metadata", quote(key+"="+value))
	}
	add("actor", quote(c.Actor))
	if c.Bound() {
		add("bound", "to its device")
	}
	add("created", date(c.CreatedAt, ""))
	add("last used", date(c.LastUsedAt, "never"))
	if c.LastUsedFrom.IsValid() {
		add("from", c.LastUsedFrom.String())
	}
	add("expires", expiry(c))
	return text
}

// quote shows where a value of a user ends, which could otherwise continue with a field of its
// own, such as another expiry.
func quote(value string) string {
	if !strings.ContainsAny(value, ` ,"\`) {
		return value
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(value) + `"`
}

func date(t time.Time, zero string) string {
	if t.IsZero() {
		return zero
	}
	return t.UTC().Format("2006-01-02 15:04")
}

func expiry(c *auth.Credential) string {
	text := date(c.ExpiresAt, "never")
	if c.Expired(time.Now()) {
		return text + " (expired)"
	}
	return text
}

// clean replaces the characters of names and IDs by which a terminal could be controlled or
// text reordered (CVE-2021-42574) with their escapes. Emoji need their zero width joiners.
func clean(text string) string {
	if strings.IndexFunc(text, disruptive) < 0 && utf8.ValidString(text) {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		switch {
		case r > 0xffff && disruptive(r):
			fmt.Fprintf(&b, `\U%08x`, r)
		case disruptive(r):
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

func disruptive(r rune) bool {
	const zwnj, zwj = '\u200c', '\u200d'
	return !unicode.IsPrint(r) && r != zwnj && r != zwj || r == utf8.RuneError
}

// escapeJSON does to JSON what clean does to text. encoding/json writes the C1 control
// characters and the marks of text direction as they are.
func escapeJSON(line []byte) string {
	var b strings.Builder
	for _, r := range string(line) {
		switch high, low := utf16.EncodeRune(r); {
		case !disruptive(r):
			b.WriteRune(r)
		case high == utf8.RuneError:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
		}
	}
	return b.String()
}
