package sqlstore

import (
	"encoding/hex"
	"fmt"
	"math"
	"net/netip"
	"strings"
	"time"

	"github.com/seed-31c5bcb2/auth"
)

// columns are those of a record, in the order in which values and scan have them.
const columns = `kind, user_id, ` + otherColumns

const otherColumns = `id, name, hint, scopes, networks, metadata, digest, sealed,
	created_at, expires_at, last_used_at, created_from, last_used_from, actor, non_persistent, superseded, previous`

// placeholders has one for each of the columns.
var placeholders = "?" + strings.Repeat(", ?", strings.Count(columns, ","))

// values are those of the columns.
func values(c *auth.Credential) []any {
	return []any{
		c.Kind, c.UserID, c.ID, c.Name, c.Hint, string(c.Scopes), string(c.Networks), string(c.Metadata), c.Digest[:], c.Sealed,
		c.CreatedAt.UnixMicro(), micros(c.ExpiresAt, never), micros(c.LastUsedAt, 0), fromAddr(c.CreatedFrom), fromAddr(c.LastUsedFrom),
		c.Actor, toInt(c.NonPersistent), toInt(c.Superseded), c.Previous,
	}
}

// never is the expiry of records that do not expire, so that queries need no special
// case for them.
const never = math.MaxInt64

func micros(t time.Time, zero int64) int64 {
	if t.IsZero() {
		return zero
	}
	return t.UnixMicro()
}

func fromMicros(n, zero int64) time.Time {
	if n == zero {
		return time.Time{}
	}
	return time.UnixMicro(n).UTC()
}

// fromAddr does not use Addr.String alone, which is "invalid IP" for the zero Addr.
func fromAddr(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

func toAddr(text string) (netip.Addr, error) {
	if text == "" {
		return netip.Addr{}, nil
	}
	return netip.ParseAddr(text)
}

func toInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// A row is a record as the database has it.
type row struct {
	auth.Credential
	revoked bool
}

// A scanner reads rows, one after the other, with the same destinations: most of the cost of a
// list is that of allocations.
//
// database/sql copies into string and int64 without reflection and without parsing
// numbers, so no field has another type where it can have one of these.
type scanner struct {
	row                              // the last one, of which only Sealed is not shared with the next
	dialect                          *dialect
	kind, created, expires, lastUsed int64
	digest                           []byte
	createdFrom, lastUsedFrom        string
	to                               []any
}

// newScanner returns a scanner of the columns that d.selected names, and those of extra.
func (d *dialect) newScanner(extra ...any) *scanner {
	s := &scanner{dialect: d}
	s.to = append(make([]any, 0, 24),
		&s.kind, &s.UserID, &s.ID, &s.Name, &s.Hint, (*string)(&s.Scopes), (*string)(&s.Networks), (*string)(&s.Metadata),
		&s.digest, &s.Sealed, &s.created, &s.expires, &s.lastUsed, &s.createdFrom, &s.lastUsedFrom,
		&s.Actor, &s.NonPersistent, &s.Superseded, &s.Previous, &s.revoked)
	s.to = append(s.to, extra...)
	return s
}

// newListScanner returns a scanner of the columns that d.listed names. The others are known.
func (d *dialect) newListScanner(kind auth.Kind, userID string) *scanner {
	s := d.newScanner()
	s.kind, s.UserID = int64(kind), userID
	s.to = s.to[2 : len(s.to)-1]
	return s
}

// scan reads the columns of one row that d.selected names, and those of extra.
func (d *dialect) scan(from interface{ Scan(...any) error }, extra ...any) (*row, error) {
	s := d.newScanner(extra...)
	if err := s.scan(from); err != nil {
		return nil, err
	}
	return &s.row, nil
}

// scan reads the next row.
func (s *scanner) scan(from interface{ Scan(...any) error }) error {
	if err := from.Scan(s.to...); err != nil {
		return err
	}
	if s.Kind = auth.Kind(s.kind); int64(s.Kind) != s.kind {
		return fmt.Errorf("sqlstore: the database has a record of kind %d", s.kind)
	}
	if err := s.dialect.setBytes(&s.Credential, s.digest); err != nil {
		return err
	}
	s.CreatedAt, s.ExpiresAt, s.LastUsedAt = fromMicros(s.created, 0), fromMicros(s.expires, never), fromMicros(s.lastUsed, 0)
	var err error
	if s.CreatedFrom, err = toAddr(s.createdFrom); err == nil {
		s.LastUsedFrom, err = toAddr(s.lastUsedFrom)
	}
	if err != nil {
		return fmt.Errorf("sqlstore: the database has an invalid address: %w", err)
	}
	return nil
}

// setBytes sets the digest, and decodes the sealed plaintext.
func (d *dialect) setBytes(c *auth.Credential, digest []byte) error {
	size := len(digest)
	if d.hex {
		size = hex.DecodedLen(size)
	}
	if size != len(c.Digest) {
		return fmt.Errorf("sqlstore: the database has a digest of %d bytes", size)
	}
	if !d.hex {
		copy(c.Digest[:], digest)
		return nil
	}
	if _, err := hex.Decode(c.Digest[:], digest); err != nil || c.Sealed == nil {
		return err
	}
	n, err := hex.Decode(c.Sealed, c.Sealed) // writes behind what it reads
	c.Sealed = c.Sealed[:n]
	return err
}
