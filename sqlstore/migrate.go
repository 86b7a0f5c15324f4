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
// the others wait for it. If there is nothing to do, it only reads, and needs no right to
// create or change tables. In MySQL and
// MariaDB, where changes of tables cannot be rolled back, the next call completes an
// interrupted migration. Migrate returns an error
// if the tables are then not those of the migrations, for example because one was dropped.
// Config.Timeout does not apply.
func (s *Store) Migrate(ctx context.Context) error {
	files, err := fs.Glob(Migrations, "migrations/"+s.dialect.folder+"/*.sql")
	if err != nil {
		return err
	}
	slices.Sort(files)
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if s.dialect.autocommit != "" {
		if err := s.enableAutocommit(ctx, conn); err != nil {
			return err
		}
	}
	missing, err := s.missing(ctx, conn, files)
	if err != nil {
		return err
	}
	if len(missing) > 0 {
		err := s.dialect.migrate(ctx, conn, func(tx querier) error { return s.applyAll(ctx, tx, files) })
		if err != nil {
			return err
		}
	}
	return s.checkTables(ctx, conn)
}

// missing returns the migrations that the database has not had.
func (s *Store) missing(ctx context.Context, q querier, files []string) ([]string, error) {
	var tables int
	err := q.QueryRowContext(ctx, s.dialect.bind(s.dialect.countTable), "auth_migrations").Scan(&tables)
	if err != nil || tables == 0 {
		return files, err
	}
	var missing []string
	for _, file := range files {
		number, err := version(file)
		if err != nil {
			return nil, err
		}
		var applied int
		err = q.QueryRowContext(ctx, s.dialect.bind(`SELECT COUNT(*) FROM auth_migrations WHERE version = ?`), number).Scan(&applied)
		if err != nil {
			return nil, err
		}
		if applied == 0 {
			missing = append(missing, file)
		}
	}
	return missing, nil
}

// version returns the number at the start of a file's name.
func version(file string) (int, error) {
	number, _, _ := strings.Cut(path.Base(file), "_")
	return strconv.Atoi(number)
}

// applyAll is called while no other process migrates.
func (s *Store) applyAll(ctx context.Context, tx querier, files []string) error {
	_, err := tx.ExecContext(ctx, `CREATE TABLE IF NOT EXISTS auth_migrations (version INTEGER NOT NULL PRIMARY KEY)`)
	if err != nil {
		return err
	}
	missing, err := s.missing(ctx, tx, files)
	if err != nil {
		return err
	}
	for _, file := range missing {
		if err := s.apply(ctx, tx, file); err != nil {
			return fmt.Errorf("sqlstore: %s: %w", path.Base(file), err)
		}
	}
	return nil
}

func (s *Store) apply(ctx context.Context, tx querier, file string) error {
	number, err := version(file)
	if err != nil {
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
	_, err = tx.ExecContext(ctx, s.dialect.bind(`INSERT INTO auth_migrations (version) VALUES (?)`), number)
	return err
}
