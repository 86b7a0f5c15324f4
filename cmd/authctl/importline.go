package main

import (
	"bufio"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/seed-31c5bcb2/auth"
)

// maxRecord is more than any correct line has.
const maxRecord = 64 << 10

// lines reads a file line by line. No field has a line break, so a quote that is not closed
// spoils one line, and not the rest of the file.
type lines struct {
	r      *bufio.Reader
	number int
}

type line struct {
	number int
	text   string
	fault  error
}

func newLines(r io.Reader) *lines { return &lines{r: bufio.NewReaderSize(r, maxRecord)} }

// next returns io.EOF after the last line.
func (l *lines) next() (line, error) {
	text, err := l.r.ReadSlice('\n')
	if len(text) == 0 && err != nil {
		return line{}, err
	}
	l.number++
	got := line{number: l.number}
	if errors.Is(err, bufio.ErrBufferFull) {
		got.fault = fmt.Errorf("the line has over %d bytes", maxRecord)
		for errors.Is(err, bufio.ErrBufferFull) {
			_, err = l.r.ReadSlice('\n')
		}
		text = []byte("-") // not an empty line
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return line{}, err
	}
	got.text = strings.TrimRight(string(text), "\r\n")
	return got, nil
}

// columns are the indexes of the columns by name.
type columns struct {
	index map[string]int
	count int
}

var (
	importColumns  = []string{"user_id", "token", "sha256", "name", "scopes", "networks", "metadata", "created_at", "expires_at", "kind"}
	ignoredColumns = []string{"id", "hint", "last_used_at", "superseded"}
)

// parseColumns does not print a name that it does not know: without a head, it is a credential.
func parseColumns(head string) (columns, error) {
	names, err := parseRecord(head)
	if err != nil {
		return columns{}, fmt.Errorf("line 1 must name the columns: %w", err)
	}
	c := columns{index: make(map[string]int), count: len(names)}
	for i, name := range names {
		name = strings.TrimSpace(name)
		_, repeated := c.index[name]
		if repeated || !slices.Contains(importColumns, name) && !slices.Contains(ignoredColumns, name) {
			return c, fmt.Errorf("line 1 must name the columns: column %d is unknown or repeated, and they are %s", i+1, strings.Join(importColumns, ", "))
		}
		c.index[name] = i
	}
	_, user := c.index["user_id"]
	_, plaintext := c.index["token"]
	_, digest := c.index["sha256"]
	if !user || !plaintext && !digest {
		return c, errors.New("line 1 must name the columns: user_id is required, and so is token or sha256")
	}
	return c, nil
}

func parseRecord(text string) ([]string, error) {
	fields, err := csv.NewReader(strings.NewReader(text)).Read()
	if failed := (*csv.ParseError)(nil); errors.As(err, &failed) {
		return nil, failed.Err
	}
	return fields, err
}

// An importedToken is what a line says.
type importedToken struct {
	userID    string
	plaintext string // empty if only the digest is known
	digest    auth.Digest
	options   auth.ImportOptions
}

func digestOf(plaintext string) auth.Digest { return sha256.Sum256([]byte(plaintext)) }

func (c *columns) parse(text string, defaults *importCmd) (*importedToken, error) {
	fields, err := parseRecord(text)
	if err != nil {
		return nil, err
	}
	if len(fields) != c.count {
		return nil, fmt.Errorf("the line has %d fields, and line 1 has %d", len(fields), c.count)
	}
	field := func(name string) string {
		if i, ok := c.index[name]; ok {
			return fields[i]
		}
		return ""
	}
	if kind := field("kind"); kind != "" && kind != auth.KindToken.String() {
		return nil, errors.New("kind: only tokens can be imported")
	}
	t := &importedToken{userID: field("user_id"), plaintext: field("token")}
	t.options.Name = field("name")
	if t.options.Name == "" {
		t.options.Name = defaults.Name
	}
	if t.options.Scopes = strings.Fields(field("scopes")); len(t.options.Scopes) == 0 {
		t.options.Scopes = defaults.Scope
	}
	return t, errors.Join(
		t.setDigest(field("sha256")), t.setTimes(field("created_at"), field("expires_at"), defaults),
		t.setNetworks(field("networks")), t.setMetadata(field("metadata")))
}

func (t *importedToken) setDigest(text string) error {
	switch {
	case (t.plaintext == "") == (text == ""):
		return errors.New("exactly one of token and sha256 must not be empty")
	case text == "":
		t.digest = digestOf(t.plaintext)
		return nil
	}
	sum, err := hex.DecodeString(text)
	if err != nil || len(sum) != len(t.digest) {
		return errors.New("sha256: must be 64 hexadecimal digits")
	}
	t.digest = auth.Digest(sum)
	return nil
}

func (t *importedToken) setTimes(created, expires string, defaults *importCmd) (err error) {
	if created != "" {
		if t.options.CreatedAt, err = parseTime(created); err != nil {
			return fmt.Errorf("created_at: %w", err)
		}
	}
	if expires != "" {
		if t.options.ExpiresAt, err = parseTime(expires); err != nil {
			return fmt.Errorf("expires_at: %w", err)
		}
		return nil
	}
	if t.options.Lifetime = defaults.lifetime(); t.options.Lifetime == 0 {
		return errors.New("expires_at: is empty: use --lifetime or --no-expiry")
	}
	return nil
}

func (t *importedToken) setNetworks(text string) error {
	for _, network := range strings.Fields(text) {
		prefix, err := netip.ParsePrefix(network)
		if err != nil {
			return errors.New("networks: must be networks such as 10.0.0.0/8, separated by spaces")
		}
		t.options.Networks = append(t.options.Networks, prefix)
	}
	return nil
}

func (t *importedToken) setMetadata(text string) error {
	if text == "" {
		return nil
	}
	if json.Unmarshal([]byte(text), &t.options.Metadata) != nil {
		return errors.New("metadata: must be a JSON object of strings")
	}
	return nil
}

var quoted = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)

// withoutValues removes the values that an error quotes: if the columns are shifted, one of
// them is the plaintext.
func withoutValues(err error) error {
	return errors.New(quoted.ReplaceAllString(err.Error(), "\"…\""))
}
