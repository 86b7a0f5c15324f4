package sqlstore

import (
	"cmp"
	"context"
	"database/sql"
	"slices"
	"strings"

	"github.com/seed-31c5bcb2/auth"
)

// touchBatch is how many uses are recorded in one transaction, which is one statement if
// there is a server: the time that it takes hardly depends on how far away that is.
const touchBatch = 64

// Touch implements auth.Store. It works in batches of 64 records: after an error, the
// uses in earlier batches remain recorded.
func (s *Store) Touch(ctx context.Context, uses []auth.Use) error {
	if len(uses) == 0 {
		return ctx.Err()
	}
	for batch := range slices.Chunk(lastUses(uses), touchBatch) {
		if err := s.transact(ctx, func(ctx context.Context, tx *sql.Conn) error { return s.touch(ctx, tx, batch) }); err != nil {
			return err
		}
	}
	return nil
}

// lastUses returns the last use of each record, in the order of the primary key. All methods
// lock rows in that order, so they cannot deadlock.
func lastUses(uses []auth.Use) []auth.Use {
	uses = slices.Clone(uses)
	slices.SortStableFunc(uses, func(a, b auth.Use) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.UserID, b.UserID), cmp.Compare(a.ID, b.ID), b.At.Compare(a.At))
	})
	return slices.CompactFunc(uses, func(a, b auth.Use) bool { return a.Ref == b.Ref })
}

func (s *Store) touch(ctx context.Context, tx *sql.Conn, uses []auth.Use) error {
	// The statements are not prepared: if a connection breaks, database/sql closes
	// it at once, and some drivers panic when a statement of a closed connection
	// is closed.
	if s.dialect.touch == nil {
		for _, u := range uses {
			_, err := tx.ExecContext(ctx, `UPDATE auth_credentials SET last_used_at = ?, last_used_from = ?
				WHERE kind = ? AND user_id = ? AND id = ? AND revoked + 0 = 0 AND last_used_at < ?`,
				u.At.UnixMicro(), fromAddr(u.From), u.Kind, u.UserID, u.ID, u.At.UnixMicro())
			if err != nil {
				return err
			}
		}
		return nil
	}
	var args []any
	for _, u := range uses {
		args = append(args, u.Kind, u.UserID, u.ID, u.At.UnixMicro(), fromAddr(u.From))
	}
	_, err := tx.ExecContext(ctx, s.dialect.bind(s.dialect.touch(len(uses))), args...)
	return err
}

// touchPostgres locks the records first: an UPDATE alone would lock them in the order in which
// it finds them.
func touchPostgres(n int) string {
	const use = `(CAST(? AS SMALLINT), CAST(? AS TEXT), CAST(? AS TEXT), CAST(? AS BIGINT), CAST(? AS TEXT))`
	return `WITH used AS MATERIALIZED (SELECT u.* FROM (VALUES ` + use + strings.Repeat(`, `+use, n-1) + `) AS u (kind, user_id, id, at, origin)
			JOIN auth_credentials AS c ON c.kind = u.kind AND c.user_id = u.user_id AND c.id = u.id
			WHERE c.revoked = 0 AND c.last_used_at < u.at ORDER BY c.kind, c.user_id, c.id FOR UPDATE OF c)
		UPDATE auth_credentials AS c SET last_used_at = used.at, last_used_from = used.origin FROM used
		WHERE c.kind = used.kind AND c.user_id = used.user_id AND c.id = used.id AND c.revoked = 0 AND c.last_used_at < used.at`
}

// touchMySQL joins the uses, in their order, with the records.
func touchMySQL(n int) string {
	return `UPDATE (SELECT CAST(? AS SIGNED) AS kind, CAST(? AS BINARY) AS user_id, CAST(? AS BINARY) AS id, CAST(? AS SIGNED) AS used_at, CAST(? AS BINARY) AS origin` +
		strings.Repeat(` UNION ALL SELECT CAST(? AS SIGNED), CAST(? AS BINARY), CAST(? AS BINARY), CAST(? AS SIGNED), CAST(? AS BINARY)`, n-1) + `) AS u
		STRAIGHT_JOIN auth_credentials AS c FORCE INDEX (PRIMARY) ON c.kind = u.kind AND c.user_id = u.user_id AND c.id = u.id
		SET c.last_used_at = u.used_at, c.last_used_from = u.origin
		WHERE c.revoked = 0 AND c.last_used_at < u.used_at`
}
