package main

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/seed-31c5bcb2/auth"
)

// A notice is one mail about one expiry.
type notice struct {
	id    string
	ref   auth.Ref
	dueAt int64 // when it is to be sent, or the claim ends, in microseconds since 1970
}

// noticeID identifies the notice of a number of days before the expiry of c, in every process
// and at all times. If c is extended, it gets notices of other IDs.
func noticeID(c *auth.Credential, days int) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %q %q %d %d", c.Kind, c.UserID, c.ID, c.ExpiresAt.UnixMicro(), days))
	return hex.EncodeToString(sum[:16])
}

// schema works in SQLite and PostgreSQL, like all statements of the outbox. Times are
// microseconds since 1970. due_at is NULL once the notice needs nothing more.
var schema = []string{
	`CREATE TABLE IF NOT EXISTS expiry_notices (
	id            TEXT PRIMARY KEY,
	kind          SMALLINT NOT NULL,
	user_id       TEXT NOT NULL,
	credential_id TEXT NOT NULL,
	expires_at    BIGINT NOT NULL,
	days          SMALLINT NOT NULL,
	due_at        BIGINT,
	outcome       TEXT NOT NULL DEFAULT ''
)`,
	`CREATE INDEX IF NOT EXISTS expiry_notices_due ON expiry_notices (due_at)`,
	`CREATE INDEX IF NOT EXISTS expiry_notices_expires ON expiry_notices (expires_at)`,
}

// An outbox is the table of notices.
type outbox struct{ db *sql.DB }

func newOutbox(ctx context.Context, db *sql.DB) (*outbox, error) {
	for _, statement := range schema {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			return nil, err
		}
	}
	return &outbox{db}, nil
}

// add does nothing if the outbox has the notice, even one that was sent.
func (o *outbox) add(ctx context.Context, c *auth.Credential, days int, now time.Time) error {
	_, err := o.db.ExecContext(ctx, `INSERT INTO expiry_notices (id, kind, user_id, credential_id, expires_at, days, due_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (id) DO NOTHING`,
		noticeID(c, days), int(c.Kind), c.UserID, c.ID, c.ExpiresAt.UnixMicro(), days, now.UnixMicro())
	return err
}

// pending returns up to 100 notices that were due at a time, those that waited longest first. A
// process whose clock is behind that of the scan waits: it would take a notice for too early.
func (o *outbox) pending(ctx context.Context, now time.Time) (list []notice, err error) {
	rows, err := o.db.QueryContext(ctx, `SELECT id, kind, user_id, credential_id, due_at
		FROM expiry_notices WHERE due_at <= $1 ORDER BY due_at LIMIT 100`, now.UnixMicro())
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var n notice
		if err := rows.Scan(&n.id, &n.ref.Kind, &n.ref.UserID, &n.ref.ID, &n.dueAt); err != nil {
			return nil, err
		}
		list = append(list, n)
	}
	return list, rows.Err()
}

// claim makes a notice due later, and reports false if another process has done so: then
// due_at is not the one that was read. It needs no lock while the mail is sent.
func (o *outbox) claim(ctx context.Context, n notice, until time.Time) (bool, error) {
	result, err := o.db.ExecContext(ctx, `UPDATE expiry_notices SET due_at = $1 WHERE id = $2 AND due_at = $3`,
		until.UnixMicro(), n.id, n.dueAt)
	if err != nil {
		return false, err
	}
	rows, err := result.RowsAffected()
	return rows == 1, err
}

// finish records what became of a notice. The row stays, so that no scan adds it again.
func (o *outbox) finish(ctx context.Context, n notice, outcome string) error {
	_, err := o.db.ExecContext(ctx, `UPDATE expiry_notices SET due_at = NULL, outcome = $1 WHERE id = $2`, outcome, n.id)
	return err
}

// purge removes the notices of expiries before the given time. No scan finds these again.
func (o *outbox) purge(ctx context.Context, before time.Time) error {
	_, err := o.db.ExecContext(ctx, `DELETE FROM expiry_notices WHERE expires_at < $1`, before.UnixMicro())
	return err
}
