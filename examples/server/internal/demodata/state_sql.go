package demodata

import (
	"context"
	"database/sql"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/examples/server/internal/password"
)

// sqlState keeps tables next to those of sqlstore. Text is stored and compared as
// bytes: names are then equal only if their bytes are, whatever the collation and
// encoding of the database, and it cannot reject any text.
type sqlState struct {
	db     *sql.DB
	syntax sqlSyntax
}

var _ State = (*sqlState)(nil)

// A sqlSyntax is what differs between the databases.
type sqlSyntax struct {
	short, long string // types for up to 255 bytes, which can be a key, and for any length
	numbered    bool   // whether placeholders are $1, $2 instead of ?

	tables    string // query for the names of all tables
	wholeFile bool   // whether other programs have no tables in the same database
	dropMore  string // removes what remains without the tables, if anything
}

var (
	sqliteSyntax = sqlSyntax{
		short: "BLOB", long: "BLOB", wholeFile: true,
		tables: `SELECT name FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite\_%' ESCAPE '\' ORDER BY name`,
	}
	postgresSyntax = sqlSyntax{
		short: "BYTEA", long: "BYTEA", numbered: true,
		tables:   `SELECT table_name::text FROM information_schema.tables WHERE table_schema = current_schema() ORDER BY table_name`,
		dropMore: "DROP FUNCTION IF EXISTS auth_invalidate()",
	}
	mysqlSyntax = sqlSyntax{
		short: "VARBINARY(255)", long: "MEDIUMBLOB",
		tables: `SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE() ORDER BY table_name`,
	}
)

// demo_users counts the notes of each user, so that an UPDATE can enforce the limit
// and lock the user's row.
var sqlTables = []string{
	`CREATE TABLE IF NOT EXISTS demo_seed (name SHORT NOT NULL PRIMARY KEY, value SHORT NOT NULL)`,
	`CREATE TABLE IF NOT EXISTS demo_users (
		id SHORT NOT NULL PRIMARY KEY, name SHORT NOT NULL UNIQUE, hash SHORT NOT NULL, notes INTEGER NOT NULL)`,
	`CREATE TABLE IF NOT EXISTS demo_notes (
		user_id SHORT NOT NULL, id SHORT NOT NULL, body LONG NOT NULL, created_at BIGINT NOT NULL, PRIMARY KEY (user_id, id))`,
}

func (s *sqlState) makeTables(ctx context.Context) error {
	types := strings.NewReplacer("SHORT", s.syntax.short, "LONG", s.syntax.long)
	for _, table := range sqlTables {
		table = types.Replace(table)
		_, err := s.db.ExecContext(ctx, table)
		if err != nil { // of several concurrent ones, PostgreSQL lets only one succeed
			_, err = s.db.ExecContext(ctx, table)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// checkColumns returns an error if a table lacks a column. sqlstore checks its own.
func checkColumns(ctx context.Context, db *sql.DB) error {
	for _, query := range []string{
		`SELECT name, value FROM demo_seed WHERE 1 = 0`,
		`SELECT id, name, hash, notes FROM demo_users WHERE 1 = 0`,
		`SELECT user_id, id, body, created_at FROM demo_notes WHERE 1 = 0`,
	} {
		if _, err := db.ExecContext(ctx, query); err != nil {
			return err
		}
	}
	return nil
}

func (s *sqlState) UserByID(ctx context.Context, id string) (*User, error) {
	return scanUser(s.row(ctx, `SELECT id, name, hash FROM demo_users WHERE id = ?`, id))
}

func (s *sqlState) UserByName(ctx context.Context, name string) (*User, error) {
	return scanUser(s.row(ctx, `SELECT id, name, hash FROM demo_users WHERE name = ?`, name))
}

func scanUser(row *sql.Row) (*User, error) {
	var u User
	var hash string
	err := row.Scan(&u.ID, &u.Name, &hash)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, auth.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	u.Password, err = password.Parse(hash)
	return &u, err
}

func (s *sqlState) AddUser(ctx context.Context, u *User) error {
	_, err := s.exec(ctx, s.db, `INSERT INTO demo_users (id, name, hash, notes) VALUES (?, ?, ?, 0)`, u.ID, u.Name, u.Password.String())
	return err
}

func (s *sqlState) SetPassword(ctx context.Context, userID string, hash password.Hash) error {
	changed, err := s.exec(ctx, s.db, `UPDATE demo_users SET hash = ? WHERE id = ?`, hash.String(), userID)
	if err == nil && changed == 0 {
		return auth.ErrNotFound
	}
	return err
}

func (s *sqlState) Notes(ctx context.Context, userID string) ([]Note, error) {
	rows, err := s.db.QueryContext(ctx, s.bind(`SELECT id, body, created_at FROM demo_notes WHERE user_id = ?`), []byte(userID))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []Note
	for rows.Next() {
		var n Note
		var created int64 // in microseconds, because drivers differ in how they read times
		if err := rows.Scan(&n.ID, &n.Text, &created); err != nil {
			return nil, err
		}
		n.CreatedAt = time.UnixMicro(created).UTC()
		list = append(list, n)
	}
	sortNotes(list)
	return list, rows.Err()
}

func (s *sqlState) AddNote(ctx context.Context, userID string, n Note) error {
	return s.transact(ctx, func(tx *sql.Tx) error {
		changed, err := s.exec(ctx, tx, `UPDATE demo_users SET notes = notes + 1 WHERE id = ? AND notes < ?`, userID, MaxNotes)
		if err != nil {
			return err
		}
		if changed == 0 {
			return auth.ErrLimit
		}
		_, err = s.exec(ctx, tx, `INSERT INTO demo_notes (user_id, id, body, created_at) VALUES (?, ?, ?, ?)`,
			userID, n.ID, n.Text, n.CreatedAt.UnixMicro())
		return err
	})
}

// RemoveNote updates the user's row first, as AddNote does, which prevents deadlocks.
func (s *sqlState) RemoveNote(ctx context.Context, userID, id string) error {
	return s.transact(ctx, func(tx *sql.Tx) error {
		if _, err := s.exec(ctx, tx, `UPDATE demo_users SET notes = notes - 1 WHERE id = ?`, userID); err != nil {
			return err
		}
		removed, err := s.exec(ctx, tx, `DELETE FROM demo_notes WHERE user_id = ? AND id = ?`, userID, id)
		if err == nil && removed == 0 {
			return auth.ErrNotFound
		}
		return err
	})
}

func (s *sqlState) mark(ctx context.Context) (mark string, err error) {
	err = s.row(ctx, `SELECT value FROM demo_seed WHERE name = ?`, "mark").Scan(&mark)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return mark, err
}

// swapMark reads the mark if its INSERT fails: if there is one now, another process
// was faster; otherwise the error is an outage.
func (s *sqlState) swapMark(ctx context.Context, old, next string) (bool, error) {
	if old != "" {
		changed, err := s.exec(ctx, s.db, `UPDATE demo_seed SET value = ? WHERE name = ? AND value = ?`, next, "mark", old)
		return changed == 1, err
	}
	_, failed := s.exec(ctx, s.db, `INSERT INTO demo_seed (name, value) VALUES (?, ?)`, "mark", next)
	if failed == nil {
		return true, nil
	}
	if mark, err := s.mark(ctx); err != nil || mark == "" {
		return false, errors.Join(failed, err)
	}
	return false, nil
}

// clear removes the users first: without them, no notes can be added.
func (s *sqlState) clear(ctx context.Context) error {
	if _, err := s.exec(ctx, s.db, `DELETE FROM demo_users`); err != nil {
		return err
	}
	_, err := s.exec(ctx, s.db, `DELETE FROM demo_notes`)
	return err
}

func (s *sqlState) transact(ctx context.Context, f func(*sql.Tx) error) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := f(tx); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}

type execer interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// exec returns the number of affected rows.
func (s *sqlState) exec(ctx context.Context, q execer, query string, args ...any) (int64, error) {
	result, err := q.ExecContext(ctx, s.bind(query), asBytes(args)...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

func (s *sqlState) row(ctx context.Context, query string, args ...any) *sql.Row {
	return s.db.QueryRowContext(ctx, s.bind(query), asBytes(args)...)
}

func asBytes(args []any) []any {
	for i, arg := range args {
		if text, ok := arg.(string); ok {
			args[i] = []byte(text)
		}
	}
	return args
}

// bind converts the placeholders to the syntax of the database.
func (s *sqlState) bind(query string) string {
	for n := 1; s.syntax.numbered && strings.Contains(query, "?"); n++ {
		query = strings.Replace(query, "?", "$"+strconv.Itoa(n), 1)
	}
	return query
}
