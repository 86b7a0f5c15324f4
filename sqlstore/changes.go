package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"time"

	"github.com/seed-31c5bcb2/auth"
)

// Create implements auth.Store.
func (s *Store) Create(ctx context.Context, c auth.Credential, limit int) error {
	return s.insertAfter(ctx, c, func(ctx context.Context, tx *sql.Conn) error {
		if limit <= 0 && c.Kind != auth.KindSecret {
			return nil
		}
		// Without the lock two transactions could both count before either inserts,
		// at this isolation level.
		if err := s.lock(ctx, tx, c.Kind, c.UserID); err != nil {
			return err
		}
		now := time.Now()
		if c.Kind == auth.KindSecret {
			if err := s.revokeExpiredSecret(ctx, tx, c.UserID, now); err != nil {
				return err
			}
		}
		return s.checkLimit(ctx, tx, c, limit, now)
	})
}

// revokeExpiredSecret revokes the user's current secret if it has expired, and
// returns ErrConflict if it has not.
func (s *Store) revokeExpiredSecret(ctx context.Context, tx *sql.Conn, userID string, now time.Time) error {
	current, _, err := scan(tx.QueryRowContext(ctx, s.dialect.bind(
		`SELECT `+columns+`, revoked FROM auth_credentials WHERE current_secret = ?`), userID))
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil
	case err != nil:
		return err
	case !current.Expired(now):
		return auth.ErrConflict
	}
	return s.revokeWithPrevious(ctx, tx, current, now)
}

func (s *Store) checkLimit(ctx context.Context, tx *sql.Conn, c auth.Credential, limit int, now time.Time) error {
	if limit <= 0 {
		return nil
	}
	var live int
	err := tx.QueryRowContext(ctx, s.dialect.bind(`SELECT COUNT(*) FROM auth_credentials
		WHERE kind = ? AND user_id = ? AND revoked = 0 AND superseded = 0 AND expires_at > ?`),
		c.Kind, c.UserID, now.UnixMicro()).Scan(&live)
	if err == nil && live >= limit {
		return auth.ErrLimit
	}
	return err
}

// Rotate implements auth.Store.
func (s *Store) Rotate(ctx context.Context, old auth.Ref, next auth.Credential, oldUntil time.Time) error {
	return s.insertAfter(ctx, next, func(ctx context.Context, tx *sql.Conn) error {
		if err := s.lock(ctx, tx, old.Kind, old.UserID); err != nil {
			return err
		}
		c, err := s.find(ctx, tx, old)
		switch {
		case err != nil:
			return err
		case c.Expired(next.CreatedAt):
			return auth.ErrNotFound
		case c.Superseded:
			return auth.ErrConflict
		}
		return s.supersede(ctx, tx, c, next.CreatedAt, oldUntil)
	})
}

// insertAfter calls prepare and then inserts c, in one transaction.
func (s *Store) insertAfter(ctx context.Context, c auth.Credential, prepare func(context.Context, *sql.Conn) error) error {
	ctx, cancel := s.withTimeout(ctx)
	defer cancel()
	var rejected bool // after another error, for example of COMMIT, the record in the way may be c
	err := s.transact(ctx, func(ctx context.Context, tx *sql.Conn) error {
		err := prepare(ctx, tx)
		if err == nil {
			err = s.insert(ctx, tx, c)
			rejected = err != nil
		}
		return err
	})
	if rejected || errors.Is(err, auth.ErrLimit) {
		return s.conflictOr(ctx, c, err)
	}
	return err
}

func (s *Store) insert(ctx context.Context, tx *sql.Conn, c auth.Credential) error {
	var current sql.NullString
	if c.Kind == auth.KindSecret && !c.Superseded {
		current = sql.NullString{String: c.UserID, Valid: true}
	}
	_, err := tx.ExecContext(ctx, s.dialect.bind(`INSERT INTO auth_credentials (`+columns+`, revoked, current_secret)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?)`),
		c.Kind, c.UserID, c.ID, c.Name, c.Hint, string(c.Scopes), c.Digest[:], c.Sealed,
		c.CreatedAt.UnixMicro(), micros(c.ExpiresAt, never), micros(c.LastUsedAt, 0), toInt(c.Superseded), c.Previous, current)
	return err
}

// conflictOr returns ErrConflict if a record has the digest or the ID of c, which
// could not be inserted, and failed otherwise. It reads the table because recognizing
// the drivers' errors would take importing the drivers.
func (s *Store) conflictOr(ctx context.Context, c auth.Credential, failed error) error {
	if ctx.Err() != nil {
		return failed
	}
	var taken int
	err := s.db.QueryRowContext(ctx, s.dialect.bind(`SELECT COUNT(*) FROM auth_credentials
		WHERE digest = ? OR kind = ? AND user_id = ? AND id = ?`),
		c.Digest[:], c.Kind, c.UserID, c.ID).Scan(&taken)
	if err == nil && taken > 0 {
		return auth.ErrConflict
	}
	return joinOther(failed, err)
}

// supersede makes c expire at until, or revokes it if until is not after now.
func (s *Store) supersede(ctx context.Context, tx *sql.Conn, c auth.Credential, now, until time.Time) error {
	if !until.After(now) {
		return s.revokeWithPrevious(ctx, tx, c, now)
	}
	if err := s.revokePrevious(ctx, tx, c, now); err != nil {
		return err
	}
	if c.Expired(until) {
		until = c.ExpiresAt
	}
	_, err := tx.ExecContext(ctx, s.dialect.bind(`UPDATE auth_credentials SET superseded = 1, expires_at = ?, current_secret = NULL
		WHERE kind = ? AND user_id = ? AND id = ?`), until.UnixMicro(), c.Kind, c.UserID, c.ID)
	return err
}

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

// RevokeAll implements auth.Store.
func (s *Store) RevokeAll(ctx context.Context, kind auth.Kind, userID string, except ...string) (n int, err error) {
	now := time.Now()
	where, args := ` WHERE kind = ? AND user_id = ? AND revoked = 0`, []any{kind, userID}
	if len(except) > 0 {
		where += ` AND id NOT IN (?` + strings.Repeat(`, ?`, len(except)-1) + `)`
		for _, id := range except {
			args = append(args, id)
		}
	}
	err = s.transact(ctx, func(ctx context.Context, tx *sql.Conn) error {
		if err := s.lock(ctx, tx, kind, userID); err != nil {
			return err
		}
		n, err = s.revokeWhere(ctx, tx, kind, now, where, args)
		return err
	})
	if err != nil {
		return 0, err
	}
	return n, nil
}

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

// revokeWithPrevious revokes c and the record that it replaced. That one comes
// first: Touch, which does not take the user's lock, locks records by ascending ID,
// and another order could deadlock.
func (s *Store) revokeWithPrevious(ctx context.Context, tx *sql.Conn, c auth.Credential, now time.Time) error {
	if err := s.revokePrevious(ctx, tx, c, now); err != nil {
		return err
	}
	return s.revoke(ctx, tx, c.Ref(), now)
}

func (s *Store) revokePrevious(ctx context.Context, tx *sql.Conn, c auth.Credential, now time.Time) error {
	if c.Previous == "" {
		return nil
	}
	return s.revoke(ctx, tx, auth.Ref{Kind: c.Kind, UserID: c.UserID, ID: c.Previous}, now)
}

func (s *Store) revoke(ctx context.Context, tx *sql.Conn, ref auth.Ref, now time.Time) error {
	_, err := s.revokeWhere(ctx, tx, ref.Kind, now, ` WHERE kind = ? AND user_id = ? AND id = ? AND revoked = 0`,
		[]any{ref.Kind, ref.UserID, ref.ID})
	return err
}

// revokeWhere deletes sessions, which cannot be imported again. Of tokens and
// secrets it keeps the digest and the ID, but not the sealed plaintext.
func (s *Store) revokeWhere(ctx context.Context, tx *sql.Conn, kind auth.Kind, now time.Time, where string, args []any) (int, error) {
	query := `DELETE FROM auth_credentials` + where
	if kind != auth.KindSession {
		query = `UPDATE auth_credentials SET revoked = 1, expires_at = ?, sealed = NULL, current_secret = NULL` + where
		args = append([]any{now.UnixMicro()}, args...)
	}
	result, err := tx.ExecContext(ctx, s.dialect.bind(query), args...)
	if err != nil {
		return 0, err
	}
	n, err := result.RowsAffected()
	return int(n), err
}

func toInt(b bool) int {
	if b {
		return 1
	}
	return 0
}
