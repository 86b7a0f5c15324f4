package sqlstore

import (
	"context"
	"fmt"
	"strings"
)

// tables are those that the methods use.
var tables = [...]string{"auth_credentials", "auth_user_locks"}

// explain returns err, with what to do about it if a table is missing. q is the database, or
// the connection on which a statement failed. The catalogue is asked because
// the drivers' errors have no common form; and only if err names a table, so that an outage
// makes no more calls.
func (s *Store) explain(ctx context.Context, q querier, err error) error {
	if err == nil || ctx.Err() != nil {
		return err
	}
	for _, table := range tables {
		if !strings.Contains(err.Error(), table) {
			continue
		}
		var n int
		if q.QueryRowContext(ctx, s.dialect.bind(s.dialect.countTable), table).Scan(&n) == nil && n == 0 {
			return fmt.Errorf("sqlstore: the database has no table %s: call Store.Migrate, or run the files in sqlstore/migrations/%s: %w",
				table, s.dialect.folder, err)
		}
	}
	return err
}

// checkTables returns an error if the tables are not those of the migrations, all of which
// were applied according to the database.
func (s *Store) checkTables(ctx context.Context, tx querier) error {
	for _, query := range []string{
		`SELECT COUNT(*) FROM (SELECT ` + columns + `, revoked, current_secret FROM auth_credentials WHERE 1 = 0) AS c`,
		`SELECT COUNT(*) FROM (SELECT kind, user_id, changes FROM auth_user_locks WHERE 1 = 0) AS l`,
		`SELECT COUNT(*) FROM ` + s.dialect.unrevoked + ` WHERE kind = 0 AND user_id = '' AND revoked = 0`, // the index
	} {
		var n int
		if err := tx.QueryRowContext(ctx, query).Scan(&n); err != nil {
			return fmt.Errorf("sqlstore: auth_migrations says that the tables exist, but they are missing or different. "+
				"To start without credentials, drop auth_migrations and all that sqlstore/migrations/%s creates, and call Migrate again: %w",
				s.dialect.folder, err)
		}
	}
	return nil
}
