package demodata

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/seed-31c5bcb2/auth/sqlstore"
)

// ownTables are the tables of this program. demo_seed is created first: a database that
// has others of them without it belongs to another program, for example one that also
// uses sqlstore.
var ownTables = []string{"demo_seed", "demo_users", "demo_notes", "auth_migrations", "auth_credentials", "auth_user_locks"}

// errOtherTables: before the first release, tables change without a migration.
var errOtherTables = errors.New("another version of this program has made its tables; " +
	"start with -reset, which removes all data in them and makes new ones, or use another -store")

// A database keeps credentials and state in tables.
type database struct {
	db    *sql.DB
	store *sqlstore.Store
	state *sqlState
}

// prepare makes the missing tables. It looks at the existing ones first, because it must
// not change the database of another program. If the tables are those of another
// version, and may be replaced, Seed does that: a start that fails earlier removes
// nothing.
func (s *Storage) prepare(ctx context.Context, d *database) error {
	own, err := d.state.ownTables(ctx)
	if err != nil {
		return err
	}
	failed := d.makeTables(ctx)
	if failed == nil || len(own) == 0 || ctx.Err() != nil || d.db.PingContext(ctx) != nil {
		return failed
	}
	if !s.replaceTables {
		return fmt.Errorf("%w: %w", errOtherTables, failed)
	}
	s.replace = d.replaceTables
	return nil
}

// replaceOther replaces the tables of another version that OpenReset has found, if any.
func (s *Storage) replaceOther(ctx context.Context) error {
	if s.replace == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, seedTime)
	defer cancel()
	err := s.replace(ctx)
	if err == nil {
		s.replace = nil
	}
	return err
}

// makeTables makes the missing tables. It returns an error if those that exist are of
// another version.
func (d *database) makeTables(ctx context.Context) error {
	if err := d.state.makeTables(ctx); err != nil {
		return err
	}
	if err := d.store.Migrate(ctx); err != nil {
		return err
	}
	if d.state.syntax.wholeFile {
		return checkSQLiteTables(ctx, d.db)
	}
	return checkColumns(ctx, d.db)
}

// replaceTables removes all tables of this program, and makes new ones, unless another
// process has done so in the meantime.
func (d *database) replaceTables(ctx context.Context) error {
	if d.makeTables(ctx) == nil {
		return nil
	}
	err := d.state.transact(ctx, func(tx *sql.Tx) error {
		for _, table := range ownTables {
			if _, err := tx.ExecContext(ctx, "DROP TABLE IF EXISTS "+table); err != nil {
				return err
			}
		}
		if d.state.syntax.dropMore == "" {
			return nil
		}
		_, err := tx.ExecContext(ctx, d.state.syntax.dropMore)
		return err
	})
	if err != nil {
		return err
	}
	return d.makeTables(ctx)
}

// ownTables returns those of our tables that exist. It returns an error if they belong
// to another program, or if all tables must be ours and others exist without them.
func (s *sqlState) ownTables(ctx context.Context) (own []string, err error) {
	all, err := s.allTables(ctx)
	if err != nil {
		return nil, err
	}
	others := all
	if !s.syntax.wholeFile {
		others = slices.DeleteFunc(slices.Clone(all), func(name string) bool { return !slices.Contains(ownTables, name) })
	}
	if len(others) > 0 && !slices.Contains(all, "demo_seed") {
		return nil, fmt.Errorf("this has tables of another program, and is not changed, with -reset either (%s); use another -store",
			strings.Join(others, ", "))
	}
	return slices.DeleteFunc(all, func(name string) bool { return !slices.Contains(ownTables, name) }), nil
}

func (s *sqlState) allTables(ctx context.Context) (names []string, err error) {
	rows, err := s.db.QueryContext(ctx, s.syntax.tables)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return names, rows.Err()
}
