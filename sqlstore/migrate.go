package sqlstore

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Migrations holds the SQL that makes the tables, for teams with a migration tool
// of their own: migrations/sqlite, migrations/postgres and migrations/mysql, a
// file a version. A line of "--;" stands between two statements. Whoever runs them
// does not call [Store.Migrate].
//
//go:embed migrations
var Migrations embed.FS

// Migrate makes the tables, or brings those of an earlier release up to date. It
// can be called at every start, and by any number of processes at once: one does
// the work, and the others wait for it. In MySQL and MariaDB, where a statement
// that changes a table cannot be undone, one that was cut off is finished by the
// next call.
func (s *Store) Migrate(ctx context.Context) error {
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	return s.dialect.migrate(ctx, conn, func(tx execer) error {
		_, err := tx.ExecContext(ctx, `CREATE TABLE IF NOT EXISTS auth_migrations (version INTEGER NOT NULL PRIMARY KEY)`)
		if err != nil {
			return err
		}
		files, err := fs.Glob(Migrations, "migrations/"+s.dialect.name+"/*.sql")
		if err != nil {
			return err
		}
		slices.Sort(files)
		for _, file := range files {
			if err := s.apply(ctx, tx, file); err != nil {
				return fmt.Errorf("sqlstore: %s: %w", path.Base(file), err)
			}
		}
		return nil
	})
}

// apply runs a migration, unless the database has had it.
func (s *Store) apply(ctx context.Context, tx execer, file string) error {
	number, _, _ := strings.Cut(path.Base(file), "_")
	version, err := strconv.Atoi(number)
	if err != nil {
		return err
	}
	var done int
	err = tx.QueryRowContext(ctx, s.dialect.bind(`SELECT COUNT(*) FROM auth_migrations WHERE version = ?`), version).Scan(&done)
	if err != nil || done > 0 {
		return err
	}
	text, err := Migrations.ReadFile(file)
	if err != nil {
		return err
	}
	for statement := range strings.SplitSeq(string(text), "\n--;\n") {
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	_, err = tx.ExecContext(ctx, s.dialect.bind(`INSERT INTO auth_migrations (version) VALUES (?)`), version)
	return err
}
