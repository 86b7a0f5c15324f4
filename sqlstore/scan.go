package sqlstore

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"slices"
	"time"

	"github.com/seed-31c5bcb2/auth"
)

// Scan implements auth.Scanner. It reads an index of kind, expiry, ID and user ID: one kind
// after another, those that expire first before others. Each page reads at most q.Limit
// records, and leaves out those that are revoked, so a page may have fewer. The cursor
// remains valid across restarts and in other processes.
func (s *Store) Scan(ctx context.Context, q auth.ScanQuery) (auth.ScanPage, error) {
	ctx, cancel := s.withTimeout(ctx)
	defer cancel()
	at, err := startScan(q)
	if err != nil {
		return auth.ScanPage{}, err
	}
	var page auth.ScanPage
	for left := q.Max(); left > 0; {
		where, args := s.scanCondition(at, q)
		rows, before, from, r := 0, len(page.Credentials), at, s.dialect.newScanner()
		start := func() { rows, page.Credentials, at = 0, page.Credentials[:before], from }
		query := s.dialect.selectRows(where + ` ORDER BY expires_at, id, user_id LIMIT ?`)
		err := s.each(ctx, query, append(args, left), r, start, func() {
			if !r.revoked {
				page.Credentials = append(page.Credentials, r.Credential)
			}
			rows++
			at.expires, at.id, at.userID, at.inside = micros(r.ExpiresAt, never), r.ID, r.UserID, true
		})
		if err != nil {
			return auth.ScanPage{}, s.explain(ctx, s.db, err)
		}
		if left -= rows; left == 0 {
			break
		}
		if q.Kind != 0 || at.kind == lastKind {
			return page, nil
		}
		at = position{kind: at.kind + 1}
	}
	page.Next = at.cursor(q)
	return page, nil
}

const firstKind, lastKind = auth.KindToken, auth.KindSecret

// scanCondition is that a record comes after the position and matches q.
func (s *Store) scanCondition(at position, q auth.ScanQuery) (where string, args []any) {
	where, args = `kind = ?`, []any{at.kind}
	switch {
	case at.inside && s.dialect.comparesRows:
		where += ` AND (expires_at, id, user_id) > (?, ?, ?)`
		args = append(args, at.expires, at.id, at.userID)
	case at.inside: // InnoDB uses the index only for this form
		where += ` AND (expires_at > ? OR expires_at = ? AND id > ? OR expires_at = ? AND id = ? AND user_id > ?)`
		args = append(args, at.expires, at.expires, at.id, at.expires, at.id, at.userID)
	case !q.ExpiresFrom.IsZero():
		where += ` AND expires_at >= ?`
		args = append(args, wholeMicros(q.ExpiresFrom))
	}
	if !q.ExpiresBefore.IsZero() {
		where += ` AND expires_at < ?`
		args = append(args, wholeMicros(q.ExpiresBefore))
	}
	return where, args
}

// wholeMicros rounds up: a record, whose times are whole microseconds, is before t if and
// only if it is before t rounded up.
func wholeMicros(t time.Time) int64 {
	n := t.UnixMicro()
	if t.Nanosecond()%1000 != 0 {
		n++
	}
	return n
}

// A position is where the next page of a scan begins: at the first record of a kind, or
// inside of its records, after one of them.
type position struct {
	kind       auth.Kind
	inside     bool
	expires    int64
	id, userID string
}

// cursorVersion is the first byte of a cursor. A cursor of another version is rejected.
const cursorVersion = 1

var errCursor = &auth.ArgumentError{Argument: "Cursor", Fault: "is not from a page of this query"}

// cursor returns the Cursor of a position. Its checksum tells a cursor that was cut or that is
// of another query. It is no protection against an attacker: a cursor grants nothing.
func (p position) cursor(q auth.ScanQuery) string {
	b := []byte{cursorVersion, byte(p.kind)}
	if p.inside {
		b = binary.BigEndian.AppendUint64(b, uint64(p.expires))
		b = binary.AppendUvarint(b, uint64(len(p.id)))
		b = append(b, p.id+p.userID...)
	}
	return base64.RawURLEncoding.EncodeToString(binary.BigEndian.AppendUint32(b, checksum(b, q)))
}

// checksum covers all of a query but its Limit, which may change from page to page.
func checksum(b []byte, q auth.ScanQuery) uint32 {
	b = append(slices.Clone(b), byte(q.Kind))
	for _, t := range []time.Time{q.ExpiresFrom, q.ExpiresBefore} {
		if t.IsZero() {
			b = append(b, 0)
			continue
		}
		b = binary.BigEndian.AppendUint64(append(b, 1), uint64(wholeMicros(t)))
	}
	return crc32.ChecksumIEEE(b)
}

func startScan(q auth.ScanQuery) (position, error) {
	if q.Cursor == "" {
		return position{kind: max(q.Kind, firstKind)}, nil
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(q.Cursor)
	if err != nil || len(b) < 6 || b[0] != cursorVersion {
		return position{}, errCursor
	}
	p := position{kind: auth.Kind(b[1])}
	if b = b[2 : len(b)-4]; len(b) > 8 {
		p.inside, p.expires = true, int64(binary.BigEndian.Uint64(b))
		n, size := binary.Uvarint(b[8:])
		b = b[8+max(size, 0):]
		n = min(n, uint64(len(b)))
		p.id, p.userID = string(b[:n]), string(b[n:])
	}
	// This compares the checksum, and rejects what the decoders ignore.
	if p.cursor(q) != q.Cursor || p.kind < firstKind || p.kind > lastKind {
		return position{}, errCursor
	}
	return p, nil
}
