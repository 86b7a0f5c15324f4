package sqlstore

import (
	"context"
	"database/sql"
	"strings"
	"time"

	"github.com/seed-31c5bcb2/auth"
)

// Revoke implements auth.Store.
func (s *Store) Revoke(ctx context.Context, ref auth.Ref) error {
	now := time.Now()
	return s.transact(ctx, func(ctx context.Context, tx *sql.Conn) error {
		if err := s.lock(ctx, tx, ref.Kind, ref.UserID); err != nil {
			return err
		}
		c, err := s.find(ctx, tx, ref)
		if err != nil {
			return err
		}
		return s.revokeWithPrevious(ctx, tx, c, now)
	})
}

// revokeBatch keeps the transactions of RevokeAll short, and their arguments below 999, the
// most that SQLite takes before 3.32.
const revokeBatch = 900

// RevokeAll implements auth.Store. It revokes the lowest IDs first, in batches of 900: after an
// error, it returns the number of those that remain revoked.
//
// The last batch begins at the lowest ID again. If it is not full, there is nothing else to
// revoke at that time, under the lock that each Rotate takes: so it has found the successors of
// all records. The number of batches has no fixed bound, but RevokeAll ends unless the user
// gets 900 records in the time that one batch takes, in which those that count a limit wait.
func (s *Store) RevokeAll(ctx context.Context, kind auth.Kind, userID string, except ...string) (int, error) {
	revoked, b := 0, revocation{store: s, kind: kind, userID: userID, now: time.Now()}
	for _, id := range except {
		b.except = append(b.except, id)
	}
	for {
		var found []any
		var n int
		err := s.transact(ctx, func(ctx context.Context, tx *sql.Conn) (err error) {
			found, n, err = b.revoke(ctx, tx)
			return err
		})
		if err != nil {
			return revoked, err
		}
		revoked += n
		switch {
		case len(found) == revokeBatch:
			b.after = found[revokeBatch-1].(string)
		case b.after == "":
			return revoked, nil
		default:
			b.after = ""
		}
	}
}

// A revocation is one call of RevokeAll.
type revocation struct {
	store  *Store
	kind   auth.Kind
	userID string
	except []any
	now    time.Time
	after  string // the last ID of the batch before, so that what is left of it is not read again
}

// where is the condition that a record is unrevoked and not excepted.
func (b *revocation) where() (where string, args []any) {
	where, args = unrevokedOf, []any{b.kind, b.userID}
	if len(b.except) > 0 {
		where += ` AND id NOT IN (` + list(len(b.except)) + `)`
	}
	return where, append(args, b.except...)
}

// revoke revokes a batch. It returns the IDs that it found, in order. Purge may have deleted
// some of them before it revoked them.
func (b *revocation) revoke(ctx context.Context, tx *sql.Conn) (ids []any, revoked int, err error) {
	if err := b.store.lock(ctx, tx, b.kind, b.userID); err != nil {
		return nil, 0, err
	}
	ids, err = b.find(ctx, tx)
	if err != nil || len(ids) == 0 {
		return nil, 0, err
	}
	if b.store.dialect.forUpdate != "" {
		// A list could be compared with each record of the user.
		where, args := b.where()
		revoked, err = b.store.revokeWhere(ctx, tx, b.kind, b.now, where+` AND id >= ? AND id <= ?`, append(args, ids[0], ids[len(ids)-1]))
		return ids, revoked, err
	}
	// The sum keeps InnoDB from locking the index of unrevoked records first, which is last for
	// Purge.
	revoked, err = b.store.revokeWhere(ctx, tx, b.kind, b.now, `kind = ? AND user_id = ? AND revoked + 0 = 0 AND id IN (`+list(len(ids))+`)`,
		append([]any{b.kind, b.userID}, ids...))
	return ids, revoked, err
}

// find returns the IDs of a batch, and locks the records if that is not done by the
// statement that changes them.
func (b *revocation) find(ctx context.Context, tx *sql.Conn) (ids []any, err error) {
	where, args := b.where()
	if b.after != "" {
		where += ` AND id > ?`
		args = append(args, b.after)
	}
	d := b.store.dialect
	rows, err := tx.QueryContext(ctx, d.bind(`SELECT id FROM `+d.unrevoked+` WHERE `+where+` ORDER BY id LIMIT ?`+d.forUpdate), append(args, revokeBatch)...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, rows.Err()
}

// list returns n placeholders.
func list(n int) string { return `?` + strings.Repeat(`, ?`, n-1) }

// lock locks the user's row until the transaction ends. Changes that touch several
// records of a user call it first, so that they run one after another.
func (s *Store) lock(ctx context.Context, tx *sql.Conn, kind auth.Kind, userID string) error {
	lock := func() (sql.Result, error) {
		return tx.ExecContext(ctx, s.dialect.bind(s.dialect.lockUser), kind, userID)
	}
	result, err := lock()
	if err != nil || s.dialect.addUser == "" {
		return err
	}
	if n, err := result.RowsAffected(); err != nil || n > 0 {
		return err
	}
	if _, err := tx.ExecContext(ctx, s.dialect.bind(s.dialect.addUser), kind, userID); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, "COMMIT"); err != nil {
		return err
	}
	if err := beginWith(ctx, tx, s.dialect.begin); err != nil {
		return err
	}
	_, err = lock()
	return err
}

// revokeWithPrevious revokes c and the record that it replaced.
func (s *Store) revokeWithPrevious(ctx context.Context, tx *sql.Conn, c auth.Credential, now time.Time) error {
	return s.withPrevious(ctx, tx, c, now, func() error { return s.revoke(ctx, tx, c.Ref(), now) })
}

// withPrevious calls change, which changes c, and revokes the record that c replaced. The
// lower ID comes first: Touch, which does not take the user's lock, locks records in that
// order, and another one could deadlock.
func (s *Store) withPrevious(ctx context.Context, tx *sql.Conn, c auth.Credential, now time.Time, change func() error) error {
	if c.Previous == "" {
		return change()
	}
	steps := [2]func() error{
		func() error { return s.revoke(ctx, tx, auth.Ref{Kind: c.Kind, UserID: c.UserID, ID: c.Previous}, now) },
		change,
	}
	if c.ID < c.Previous { // the ID of an idempotent creation, or of a clock that was behind
		steps[0], steps[1] = steps[1], steps[0]
	}
	if err := steps[0](); err != nil {
		return err
	}
	return steps[1]()
}

func (s *Store) revoke(ctx context.Context, tx *sql.Conn, ref auth.Ref, now time.Time) error {
	where, args := byRef(ref)
	_, err := s.revokeWhere(ctx, tx, ref.Kind, now, where+` AND revoked + 0 = 0`, args)
	return err
}

// revokeWhere deletes sessions, which cannot be imported again. Of tokens and
// secrets it keeps the row, for its digest, ID and owner, without the sealed plaintext.
func (s *Store) revokeWhere(ctx context.Context, tx *sql.Conn, kind auth.Kind, now time.Time, where string, args []any) (int, error) {
	if kind == auth.KindSession {
		return s.execCount(ctx, tx, `DELETE FROM auth_credentials WHERE `+where, args...)
	}
	args = append([]any{now.UnixMicro()}, args...)
	return s.execCount(ctx, tx, `UPDATE auth_credentials SET revoked = 1, expires_at = ?, sealed = NULL, current_secret = NULL
		WHERE `+where, args...)
}
