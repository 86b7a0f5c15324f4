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
	ctx, cancel := s.withTimeout(ctx)
	defer cancel()
	inserted := false
	err := s.transact(ctx, func(ctx context.Context, tx *sql.Conn) error {
		if limit > 0 {
			if err := s.checkLimit(ctx, tx, c, limit); err != nil {
				return err
			}
		}
		err := s.insert(ctx, tx, c)
		inserted = err == nil
		return err
	})
	if inserted {
		return err
	}
	return s.conflict(ctx, c, "", err)
}

// checkLimit counts under the account's lock: at this level of isolation two
// transactions would otherwise both count before either inserts.
func (s *Store) checkLimit(ctx context.Context, tx *sql.Conn, c auth.Credential, limit int) error {
	if err := s.lock(ctx, tx, c.Kind, c.UserID); err != nil {
		return err
	}
	var live int
	err := tx.QueryRowContext(ctx, s.dialect.bind(`SELECT COUNT(*) FROM auth_credentials
		WHERE kind = ? AND user_id = ? AND revoked = 0 AND superseded = 0 AND expires_at > ?`),
		c.Kind, c.UserID, c.CreatedAt.UnixMicro()).Scan(&live)
	if err == nil && live >= limit {
		return auth.ErrLimit
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

// conflict tells an insert that met another record from an outage, by looking for
// that record: the drivers' own errors for it cannot be imported here. It is asked
// where nothing was inserted, so that what it finds is not c itself, whose COMMIT
// got no answer. The secret that c was to replace is current again by then, and in
// nobody's way.
func (s *Store) conflict(ctx context.Context, c auth.Credential, replaced string, failed error) error {
	if failed == nil || errors.Is(failed, auth.ErrLimit) || errors.Is(failed, auth.ErrNotFound) || errors.Is(failed, auth.ErrConflict) {
		return failed
	}
	if ctx.Err() != nil {
		return failed
	}
	var taken int
	err := s.db.QueryRowContext(ctx, s.dialect.bind(`SELECT COUNT(*) FROM auth_credentials
		WHERE digest = ? OR kind = ? AND user_id = ? AND id = ? OR ? = 3 AND current_secret = ? AND id <> ?`),
		c.Digest[:], c.Kind, c.UserID, c.ID, int(c.Kind), c.UserID, replaced).Scan(&taken)
	if err == nil && taken > 0 {
		return auth.ErrConflict
	}
	return errors.Join(failed, err)
}

// Rotate implements auth.Store.
func (s *Store) Rotate(ctx context.Context, old auth.Ref, next auth.Credential, oldUntil time.Time) error {
	ctx, cancel := s.withTimeout(ctx)
	defer cancel()
	inserted := false
	err := s.transact(ctx, func(ctx context.Context, tx *sql.Conn) error {
		if err := s.lock(ctx, tx, old.Kind, old.UserID); err != nil {
			return err
		}
		c, err := s.find(ctx, tx, old)
		switch {
		case err != nil:
			return err
		case !c.ExpiresAt.IsZero() && !next.CreatedAt.Before(c.ExpiresAt):
			return auth.ErrNotFound
		case c.Superseded:
			return auth.ErrConflict
		}
		if err := s.end(ctx, tx, c, next.CreatedAt, oldUntil); err != nil {
			return err
		}
		if err := s.revokePrevious(ctx, tx, c, next.CreatedAt); err != nil {
			return err
		}
		err = s.insert(ctx, tx, next)
		inserted = err == nil
		return err
	})
	if inserted {
		return err
	}
	return s.conflict(ctx, next, old.ID, err)
}

// end supersedes what was rotated until a time, or revokes it if that is not
// after now.
func (s *Store) end(ctx context.Context, tx *sql.Conn, c auth.Credential, now, until time.Time) error {
	if !until.After(now) {
		_, err := s.revoke(ctx, tx, c.Ref(), now)
		return err
	}
	if !c.ExpiresAt.IsZero() && c.ExpiresAt.Before(until) {
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
		if _, err := s.revoke(ctx, tx, ref, now); err != nil {
			return err
		}
		return s.revokePrevious(ctx, tx, c, now)
	})
}

// RevokeAll implements auth.Store.
func (s *Store) RevokeAll(ctx context.Context, kind auth.Kind, userID string, except ...string) (n int, err error) {
	now := time.Now()
	err = s.transact(ctx, func(ctx context.Context, tx *sql.Conn) error {
		if err := s.lock(ctx, tx, kind, userID); err != nil {
			return err
		}
		where, args := ` WHERE kind = ? AND user_id = ? AND revoked = 0`, []any{kind, userID}
		if len(except) > 0 {
			where += ` AND id NOT IN (?` + strings.Repeat(`, ?`, len(except)-1) + `)`
			for _, id := range except {
				args = append(args, id)
			}
		}
		n, err = s.revokeWhere(ctx, tx, kind, now, where, args)
		return err
	})
	if err != nil {
		return 0, err
	}
	return n, nil
}

// The methods below run in a transaction that holds the account's lock, so that
// changes of one account come one after the other and never wait for each other
// in a circle.

func (s *Store) lock(ctx context.Context, tx *sql.Conn, kind auth.Kind, userID string) error {
	_, err := tx.ExecContext(ctx, s.dialect.bind(s.dialect.lockUser), kind, userID)
	return err
}

func (s *Store) revokePrevious(ctx context.Context, tx *sql.Conn, c auth.Credential, now time.Time) error {
	if c.Previous == "" {
		return nil
	}
	_, err := s.revoke(ctx, tx, auth.Ref{Kind: c.Kind, UserID: c.UserID, ID: c.Previous}, now)
	return err
}

func (s *Store) revoke(ctx context.Context, tx *sql.Conn, ref auth.Ref, now time.Time) (int, error) {
	return s.revokeWhere(ctx, tx, ref.Kind, now, ` WHERE kind = ? AND user_id = ? AND id = ? AND revoked = 0`,
		[]any{ref.Kind, ref.UserID, ref.ID})
}

// revokeWhere keeps the digests of tokens and secrets, and nothing that was sealed.
// Sessions go: nobody can import one.
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
