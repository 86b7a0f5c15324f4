package sqlstore

import (
	"cmp"
	"context"
	"database/sql"
	"slices"
	"strings"
	"time"

	"github.com/seed-31c5bcb2/auth"
)

// purgeBatch keeps the transactions of a purge short.
const purgeBatch = 1000

// Purge implements auth.Store. It deletes in batches: after an error, the batches
// before it remain deleted. For a user without credentials a small row remains. Records that
// another transaction has locked may remain until the next Purge.
func (s *Store) Purge(ctx context.Context, before time.Time) (int, error) {
	purged := 0
	for kind := firstKind; kind <= lastKind; {
		found, deleted, err := s.purgeSome(ctx, kind, before)
		purged += deleted
		if err != nil {
			return purged, err
		}
		if found < purgeBatch {
			kind++
		}
	}
	return purged, nil
}

// purgeSome deletes a batch. It returns how many records it found, of which others may have
// been deleted or changed before it deleted them.
func (s *Store) purgeSome(ctx context.Context, kind auth.Kind, before time.Time) (found, deleted int, err error) {
	err = s.transact(ctx, func(ctx context.Context, tx *sql.Conn) error {
		if s.dialect.purge == "" {
			found, deleted, err = s.purgeInOrder(ctx, tx, kind, before)
			return err
		}
		deleted, err = s.execCount(ctx, tx, s.dialect.purge, kind, before.UnixMicro(), purgeBatch)
		found = deleted
		return err
	})
	if err != nil {
		return 0, 0, err
	}
	return found, deleted, nil
}

// purgeInOrder finds records by their expiry, and deletes them by their primary key, in the
// order in which all methods lock. A statement that found and deleted them would lock in the
// order of the expiry, and each first in the index of expiries, which is last for others.
func (s *Store) purgeInOrder(ctx context.Context, tx *sql.Conn, kind auth.Kind, before time.Time) (found, deleted int, err error) {
	type key struct{ userID, id string }
	var keys []key
	rows, err := tx.QueryContext(ctx, s.dialect.bind(`SELECT user_id, id FROM auth_credentials
		WHERE kind = ? AND expires_at < ? ORDER BY expires_at LIMIT ?`), kind, before.UnixMicro(), purgeBatch)
	if err != nil {
		return 0, 0, err
	}
	defer rows.Close()
	for rows.Next() {
		var k key
		if err := rows.Scan(&k.userID, &k.id); err != nil {
			return 0, 0, err
		}
		keys = append(keys, k)
	}
	if err := rows.Err(); err != nil || len(keys) == 0 {
		return 0, 0, err
	}
	slices.SortFunc(keys, func(a, b key) int { return cmp.Or(cmp.Compare(a.userID, b.userID), cmp.Compare(a.id, b.id)) })
	// The sum keeps the condition, which holds unless the record has changed since, from
	// being read in the index of expiries.
	args := []any{before.UnixMicro(), kind}
	for _, k := range keys {
		args = append(args, k.userID, k.id)
	}
	deleted, err = s.execCount(ctx, tx, `DELETE FROM auth_credentials WHERE expires_at + 0 < ? AND kind = ? AND (user_id = ? AND id = ?`+
		strings.Repeat(` OR user_id = ? AND id = ?`, len(keys)-1)+`)`, args...)
	return len(keys), deleted, err
}

// execCount returns the number of rows that a statement has changed.
func (s *Store) execCount(ctx context.Context, tx *sql.Conn, query string, args ...any) (int, error) {
	result, err := tx.ExecContext(ctx, s.dialect.bind(query), args...)
	if err != nil {
		return 0, err
	}
	n, err := result.RowsAffected()
	return int(n), err
}
