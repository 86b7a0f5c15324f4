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
func (d *dialect) scan(from interface{ Scan(...any) error }, extra ...any) (r row, err error) {
	var kind, created, expires, lastUsed int64
	var digest []byte
	var createdFrom, lastUsedFrom string
	to := append(make([]any, 0, 24),
		&kind, &r.UserID, &r.ID, &r.Name, &r.Hint, (*string)(&r.Scopes), (*string)(&r.Networks), (*string)(&r.Metadata), &digest, &r.Sealed,
		&created, &expires, &lastUsed, &createdFrom, &lastUsedFrom, &r.Actor, &r.NonPersistent, &r.Superseded, &r.Previous, &r.revoked)
	if err := from.Scan(append(to, extra...)...); err != nil {
		return row{}, err
	}
	if r.Kind = auth.Kind(kind); int64(r.Kind) != kind {
		return row{}, fmt.Errorf("sqlstore: the database has a record of kind %d", kind)
	}
	if err := d.setBytes(&r.Credential, digest); err != nil {
		return row{}, err
	}
	r.CreatedAt, r.ExpiresAt, r.LastUsedAt = fromMicros(created, 0), fromMicros(expires, never), fromMicros(lastUsed, 0)
	if r.CreatedFrom, err = toAddr(createdFrom); err == nil {
		r.LastUsedFrom, err = toAddr(lastUsedFrom)
	}
	if err != nil {
		return row{}, fmt.Errorf("sqlstore: the database has an invalid address: %w", err)
	}
	return r, nil
}

// setBytes sets the digest, and decodes the sealed plaintext.
func (d *dialect) setBytes(c *auth.Credential, digest []byte) (err error) {
	if d.hex {
		if digest, err = hex.AppendDecode(nil, digest); err != nil {
			return err
		}
		if c.Sealed != nil {
			if c.Sealed, err = hex.AppendDecode([]byte{}, c.Sealed); err != nil {
				return err
			}
		}
	}
	if len(digest) != len(c.Digest) {
		return fmt.Errorf("sqlstore: the database has a digest of %d bytes", len(digest))
	}
	copy(c.Digest[:], digest)
	return nil
}
