package demodata

import (
	"context"
	"database/sql"
	"errors"
	"maps"
	"regexp"
	"strings"

	"github.com/seed-31c5bcb2/auth/sqlstore"
)

// errOtherTables: before the first release, tables change without a migration.
var errOtherTables = errors.New("another version of this program has made its tables; " +
	"start with -reset, which removes all data in them and makes new ones, or name another file with -store sqlite:FILE")

// hasOtherTables reports whether a database has tables of this program, but not those
// that this version makes.
func hasOtherTables(ctx context.Context, db *sql.DB) (bool, error) {
	tables, err := tablesIn(ctx, db)
	if err != nil || len(tables) == 0 {
		return false, err
	}
	fresh, err := sql.Open("sqlite3", "file::memory:")
	if err != nil {
		return false, err
	}
	defer fresh.Close()
	fresh.SetMaxOpenConns(1) // each connection has a database of its own
	store, err := sqlstore.New(fresh, sqlstore.SQLite, sqlstore.Config{})
	if err != nil {
		return false, err
	}
	defer store.Close()
	if err := store.Migrate(ctx); err != nil {
		return false, err
	}
	if _, err := newSQLState(ctx, fresh, sqliteSyntax); err != nil {
		return false, err
	}
	want, err := tablesIn(ctx, fresh)
	return err == nil && !maps.Equal(want, tables), err
}

var sqlComment = regexp.MustCompile(`--[^\n]*`)

// tablesIn returns the statements that created the tables and indexes of this program,
// by name, without comments.
func tablesIn(ctx context.Context, db *sql.DB) (map[string]string, error) {
	rows, err := db.QueryContext(ctx, `SELECT type, name, COALESCE(sql, '') FROM sqlite_master
		WHERE tbl_name LIKE 'auth\_%' ESCAPE '\' OR tbl_name LIKE 'demo\_%' ESCAPE '\'`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	tables := make(map[string]string)
	for rows.Next() {
		var kind, name, text string
		if err := rows.Scan(&kind, &name, &text); err != nil {
			return nil, err
		}
		tables[kind+" "+name] = strings.Join(strings.Fields(sqlComment.ReplaceAllString(text, "")), " ")
	}
	return tables, rows.Err()
}

// dropTables removes all tables of this program.
func dropTables(ctx context.Context, file string) error {
	db, err := openSQLiteFile(file)
	if err != nil {
		return err
	}
	defer db.Close()
	tables, err := tablesIn(ctx, db)
	if err != nil {
		return err
	}
	for name := range tables {
		if table, isTable := strings.CutPrefix(name, "table "); isTable {
			if _, err := db.ExecContext(ctx, `DROP TABLE "`+strings.ReplaceAll(table, `"`, `""`)+`"`); err != nil {
				return err
			}
		}
	}
	return nil
}
