package demodata

import (
	"context"
	"database/sql"
	"errors"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/seed-31c5bcb2/auth/sqlstore"
)

// checkSQLiteTables returns an error unless our tables in a file are those that this
// version makes.
func checkSQLiteTables(ctx context.Context, db *sql.DB) error {
	got, err := sqliteTables(ctx, db)
	if err != nil {
		return err
	}
	want, err := freshSQLiteTables(ctx)
	if err == nil && !maps.Equal(want, got) {
		err = errors.New("their definitions differ")
	}
	return err
}

// lookAtSQLite reads the tables of a file before anything is written to it, not even
// the journal mode. Missing tables are no error, because another process may be making
// them.
func (s *Storage) lookAtSQLite(ctx context.Context, file string) error {
	db, err := openSQLiteFile(file, "query_only(true)")
	if err != nil {
		return err
	}
	defer db.Close()
	if _, err := (&sqlState{db, sqliteSyntax}).ownTables(ctx); err != nil || s.replaceTables {
		return err
	}
	got, err := sqliteTables(ctx, db)
	if err != nil {
		return err
	}
	want, err := freshSQLiteTables(ctx)
	if err != nil {
		return err
	}
	for name, text := range got {
		if want[name] != text {
			return errOtherTables
		}
	}
	return nil
}

// freshSQLiteTables returns the tables that this version makes, as sqliteTables does.
func freshSQLiteTables(ctx context.Context) (map[string]string, error) {
	db, err := sql.Open("sqlite3", "file::memory:")
	if err != nil {
		return nil, err
	}
	defer db.Close()
	db.SetMaxOpenConns(1) // each connection has a database of its own
	store, err := sqlstore.New(db, sqlstore.SQLite, sqlstore.Config{})
	if err != nil {
		return nil, err
	}
	defer store.Close()
	if err := errors.Join((&sqlState{db, sqliteSyntax}).makeTables(ctx), store.Migrate(ctx)); err != nil {
		return nil, err
	}
	return sqliteTables(ctx, db)
}

var sqlComment = regexp.MustCompile(`--[^\n]*`)

// sqliteTables returns the statements that created the tables of this program and their
// indexes, by name, without comments.
func sqliteTables(ctx context.Context, db *sql.DB) (map[string]string, error) {
	rows, err := db.QueryContext(ctx, `SELECT type, name, tbl_name, COALESCE(sql, '') FROM sqlite_master`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	tables := make(map[string]string)
	for rows.Next() {
		var kind, name, table, text string
		if err := rows.Scan(&kind, &name, &table, &text); err != nil {
			return nil, err
		}
		if slices.Contains(ownTables, table) {
			tables[kind+" "+name] = strings.Join(strings.Fields(sqlComment.ReplaceAllString(text, "")), " ")
		}
	}
	return tables, rows.Err()
}
