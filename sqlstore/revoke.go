package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
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

// RevokeAll implements auth.Store.
func (s *Store) RevokeAll(ctx context.Context, kind auth.Kind, userID string, except ...string) (n int, err error) {
	now := time.Now()
	where, args := `kind = ? AND user_id = ? AND revoked = 0`, []any{kind, userID}
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
		if s.dialect.lockRows != "" {
			var locked int
			query := s.dialect.bind(fmt.Sprintf(s.dialect.lockRows, where))
			if err := tx.QueryRowContext(ctx, query, args...).Scan(&locked); err != nil {
				return err
			}
		}
		n, err = s.revokeWhere(ctx, tx, kind, now, where+s.dialect.inOrder, args)
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
	_, err := s.revokeWhere(ctx, tx, ref.Kind, now, where+` AND revoked = 0`, args)
	return err
}

// revokeWhere deletes sessions, which cannot be imported again. Of tokens and
// secrets it keeps the digest, the ID and the owner, but not the sealed plaintext.
func (s *Store) revokeWhere(ctx context.Context, tx *sql.Conn, kind auth.Kind, now time.Time, where string, args []any) (int, error) {
	if kind == auth.KindSession {
		return s.execCount(ctx, tx, `DELETE FROM auth_credentials WHERE `+where, args...)
	}
	args = append([]any{now.UnixMicro()}, args...)
	return s.execCount(ctx, tx, `UPDATE auth_credentials SET revoked = 1, expires_at = ?, sealed = NULL, current_secret = NULL
		WHERE `+where, args...)
}
