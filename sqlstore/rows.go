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
const columns = `kind, user_id, id, name, hint, scopes, networks, metadata, digest, sealed,
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

// scan reads the columns that d.selected names, and those of extra.
//
// database/sql copies into string and int64 without reflection and without parsing
// numbers, so no field has another type where it can have one of these.
func (d *dialect) scan(from interface{ Scan(...any) error }, extra ...any) (*row, error) {
	r := new(row)
	raw := new(struct { // one allocation
		kind, created, expires, lastUsed int64
		digest                           []byte
		createdFrom, lastUsedFrom        string
	})
	to := append(make([]any, 0, 24),
		&raw.kind, &r.UserID, &r.ID, &r.Name, &r.Hint, (*string)(&r.Scopes), (*string)(&r.Networks), (*string)(&r.Metadata),
		&raw.digest, &r.Sealed, &raw.created, &raw.expires, &raw.lastUsed, &raw.createdFrom, &raw.lastUsedFrom,
		&r.Actor, &r.NonPersistent, &r.Superseded, &r.Previous, &r.revoked)
	if err := from.Scan(append(to, extra...)...); err != nil {
		return nil, err
	}
	if r.Kind = auth.Kind(raw.kind); int64(r.Kind) != raw.kind {
		return nil, fmt.Errorf("sqlstore: the database has a record of kind %d", raw.kind)
	}
	if err := d.setBytes(&r.Credential, raw.digest); err != nil {
		return nil, err
	}
	r.CreatedAt, r.ExpiresAt, r.LastUsedAt = fromMicros(raw.created, 0), fromMicros(raw.expires, never), fromMicros(raw.lastUsed, 0)
	var err error
	if r.CreatedFrom, err = toAddr(raw.createdFrom); err == nil {
		r.LastUsedFrom, err = toAddr(raw.lastUsedFrom)
	}
	if err != nil {
		return nil, fmt.Errorf("sqlstore: the database has an invalid address: %w", err)
	}
	return r, nil
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
