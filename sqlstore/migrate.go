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

// Migrations holds the SQL that creates the tables, for teams with their own
// migration tool: migrations/sqlite, migrations/postgres and migrations/mysql, with
// one file for each version. A line of "--;" separates statements. A service that
// runs them with its own tool must not call [Store.Migrate].
//
//go:embed migrations
var Migrations embed.FS

// Migrate creates the tables, or updates those of an earlier release. It can be
// called at every start, by any number of processes concurrently: one migrates, and
// the others wait for it. In MySQL and MariaDB, where changes of tables cannot be
// rolled back, the next call completes an interrupted migration. Migrate returns an error
// if the tables are then not those of the migrations, for example because one was dropped.
// Config.Timeout does not apply.
func (s *Store) Migrate(ctx context.Context) error {
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	return s.dialect.migrate(ctx, conn, func(tx execer) error { return s.applyAll(ctx, tx) })
}

func (s *Store) applyAll(ctx context.Context, tx execer) error {
	_, err := tx.ExecContext(ctx, `CREATE TABLE IF NOT EXISTS auth_migrations (version INTEGER NOT NULL PRIMARY KEY)`)
	if err != nil {
		return err
	}
	files, err := fs.Glob(Migrations, "migrations/"+s.dialect.folder+"/*.sql")
	if err != nil {
		return err
	}
	slices.Sort(files)
	for _, file := range files {
		if err := s.apply(ctx, tx, file); err != nil {
			return fmt.Errorf("sqlstore: %s: %w", path.Base(file), err)
		}
	}
	return s.checkTables(ctx, tx)
}

// apply runs a migration that the database has not had.
func (s *Store) apply(ctx context.Context, tx execer, file string) error {
	number, _, _ := strings.Cut(path.Base(file), "_")
	version, err := strconv.Atoi(number)
	if err != nil {
		return err
	}
	var applied int
	err = tx.QueryRowContext(ctx, s.dialect.bind(`SELECT COUNT(*) FROM auth_migrations WHERE version = ?`), version).Scan(&applied)
	if err != nil || applied > 0 {
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
