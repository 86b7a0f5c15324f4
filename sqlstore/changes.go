package sqlstore

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
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
	current, err := s.dialect.scan(tx.QueryRowContext(ctx, s.dialect.selectRows(`current_secret = ?`), userID))
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil
	case err != nil:
		return err
	case !current.Expired(now):
		return auth.ErrConflict
	}
	return s.revokeWithPrevious(ctx, tx, current.Credential, now)
}

func (s *Store) checkLimit(ctx context.Context, tx *sql.Conn, c auth.Credential, limit int, now time.Time) error {
	if limit <= 0 {
		return nil
	}
	var live int
	// The sum keeps the database from reading the unexpired records of all users in the index
	// of expiries.
	err := tx.QueryRowContext(ctx, s.dialect.bind(`SELECT COUNT(*) FROM `+s.dialect.unrevoked+`
		WHERE `+unrevokedOf+` AND superseded = 0 AND expires_at + 0 > ?`),
		c.Kind, c.UserID, now.UnixMicro()).Scan(&live)
	if err == nil && live >= limit {
		return auth.ErrLimit
	}
	return err
}

// Update implements auth.Store.
func (s *Store) Update(ctx context.Context, old, next auth.Credential) error {
	return s.transact(ctx, func(ctx context.Context, tx *sql.Conn) error {
		c, err := s.findUnchanged(ctx, tx, old, time.Time{})
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, s.dialect.bind(`UPDATE auth_credentials SET name = ?, scopes = ?, networks = ?, metadata = ?
			WHERE kind = ? AND user_id = ? AND id = ?`),
			next.Name, string(next.Scopes), string(next.Networks), string(next.Metadata), c.Kind, c.UserID, c.ID)
		return err
	})
}

// findUnchanged returns the record after it has locked the user. It returns ErrNotFound if
// there is none, if it is revoked or if it has expired by now; and ErrConflict if it is superseded
// or if another Update came first.
func (s *Store) findUnchanged(ctx context.Context, tx *sql.Conn, old auth.Credential, now time.Time) (auth.Credential, error) {
	if err := s.lock(ctx, tx, old.Kind, old.UserID); err != nil {
		return auth.Credential{}, err
	}
	c, err := s.find(ctx, tx, old.Ref())
	switch {
	case err != nil:
		return auth.Credential{}, err
	case c.Expired(now):
		return auth.Credential{}, auth.ErrNotFound
	case c.Superseded, c.Name != old.Name, c.Scopes != old.Scopes, c.Networks != old.Networks, c.Metadata != old.Metadata:
		return auth.Credential{}, auth.ErrConflict
	}
	return c, nil
}

// Rotate implements auth.Store.
func (s *Store) Rotate(ctx context.Context, old, next auth.Credential, oldUntil time.Time) error {
	return s.insertAfter(ctx, next, func(ctx context.Context, tx *sql.Conn) error {
		c, err := s.findUnchanged(ctx, tx, old, next.CreatedAt)
		if err != nil {
			return err
		}
		if c.Kind == auth.KindSession {
			// Revoking a session deletes it, so next could take its digest or its ID.
			if taken, err := s.taken(ctx, tx, next); err != nil || taken {
				return cmp.Or(err, auth.ErrConflict)
			}
		}
		return s.supersede(ctx, tx, c, next.CreatedAt, oldUntil)
	})
}

// insertAfter calls prepare and then inserts c, in one transaction.
func (s *Store) insertAfter(ctx context.Context, c auth.Credential, prepare func(context.Context, *sql.Conn) error) error {
	ctx, cancel := s.withTimeout(ctx)
	defer cancel()
	for attempt := 1; ; attempt++ {
		rejected, err := s.tryInsertAfter(ctx, c, prepare)
		if !rejected && !errors.Is(err, auth.ErrLimit) || ctx.Err() != nil {
			return err
		}
		// The table is read because the drivers' errors have no common form.
		var taken bool
		errTaken := s.read(ctx, func(q querier) (err error) {
			taken, err = s.taken(ctx, q, c)
			return err
		})
		switch {
		case errTaken == nil && taken:
			return auth.ErrConflict
		case errTaken != nil || !rejected || attempt > 1:
			return joinOther(err, errTaken)
		}
		// Purge may have removed the record that was in the way; or it is a current secret that
		// another writer has committed in spite of the user's lock, as Galera allows.
	}
}

// tryInsertAfter also reports whether c could not be inserted. After another error, for
// example of COMMIT, the record in the way may be c.
func (s *Store) tryInsertAfter(ctx context.Context, c auth.Credential, prepare func(context.Context, *sql.Conn) error) (rejected bool, err error) {
	err = s.transact(ctx, func(ctx context.Context, tx *sql.Conn) error {
		rejected = false
		err := prepare(ctx, tx)
		if err == nil {
			err = s.insert(ctx, tx, c)
			rejected = err != nil
		}
		return err
	})
	return rejected && err != nil, err
}

func (s *Store) insert(ctx context.Context, tx *sql.Conn, c auth.Credential) error {
	var current sql.NullString
	if c.Kind == auth.KindSecret && !c.Superseded {
		current = sql.NullString{String: c.UserID, Valid: true}
	}
	_, err := tx.ExecContext(ctx, s.dialect.bind(`INSERT INTO auth_credentials (`+columns+`, revoked, current_secret)
		VALUES (`+placeholders+`, 0, ?)`), append(values(&c), current)...)
	return err
}

// taken reports whether a record has the digest or the ID of c. It does not look for the
// user's current secret: that is the one that c replaces, or one that the next attempt finds.
func (s *Store) taken(ctx context.Context, q querier, c auth.Credential) (bool, error) {
	var n int
	// For an OR, a database may read the whole table.
	err := q.QueryRowContext(ctx, s.dialect.bind(`SELECT COUNT(*) FROM (
		SELECT 1 FROM auth_credentials WHERE digest = ? UNION ALL
		SELECT 1 FROM auth_credentials WHERE kind = ? AND user_id = ? AND id = ?) AS found`),
		c.Digest[:], c.Kind, c.UserID, c.ID).Scan(&n)
	return n > 0, err
}

// supersede makes c expire at until, or revokes it if until is not after now. It revokes
// the record that c replaced.
func (s *Store) supersede(ctx context.Context, tx *sql.Conn, c auth.Credential, now, until time.Time) error {
	if !until.After(now) {
		return s.revokeWithPrevious(ctx, tx, c, now)
	}
	if c.Expired(until) {
		until = c.ExpiresAt
	}
	return s.withPrevious(ctx, tx, c, now, func() error {
		_, err := tx.ExecContext(ctx, s.dialect.bind(`UPDATE auth_credentials SET superseded = 1, expires_at = ?, current_secret = NULL
			WHERE kind = ? AND user_id = ? AND id = ?`), until.UnixMicro(), c.Kind, c.UserID, c.ID)
		return err
	})
}
