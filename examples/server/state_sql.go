package main

import (
	"context"
	"database/sql"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/seed-31c5bcb2/auth"
)

// sqlState keeps tables beside those of sqlstore. Text is kept and compared as
// bytes: no collation and no encoding of a database has a say in who is who, and
// none is asked for what it could not hold.
type sqlState struct {
	db     *sql.DB
	syntax sqlSyntax
}

var _ state = (*sqlState)(nil)

// A sqlSyntax is all that differs between the databases.
type sqlSyntax struct {
	short, long string // types of up to 255 bytes, which can be a key, and of any length
	numbered    bool   // placeholders are $1, $2, and not ?
}

var (
	sqliteSyntax   = sqlSyntax{short: "BLOB", long: "BLOB"}
	postgresSyntax = sqlSyntax{short: "BYTEA", long: "BYTEA", numbered: true}
	mysqlSyntax    = sqlSyntax{short: "VARBINARY(255)", long: "MEDIUMBLOB"}
)

// The accounts count their notes: so an UPDATE can keep the limit, and locks the
// account against others that do the same.
var sqlTables = []string{
	`CREATE TABLE IF NOT EXISTS demo_accounts (
		id SHORT NOT NULL PRIMARY KEY, name SHORT NOT NULL UNIQUE, hash SHORT NOT NULL, notes INTEGER NOT NULL)`,
	`CREATE TABLE IF NOT EXISTS demo_notes (
		account_id SHORT NOT NULL, id SHORT NOT NULL, body LONG NOT NULL, created_at BIGINT NOT NULL, PRIMARY KEY (account_id, id))`,
	`CREATE TABLE IF NOT EXISTS demo_state (name SHORT NOT NULL PRIMARY KEY, value SHORT NOT NULL)`,
}

func newSQLState(ctx context.Context, db *sql.DB, syntax sqlSyntax) (*sqlState, error) {
	types := strings.NewReplacer("SHORT", syntax.short, "LONG", syntax.long)
	for _, table := range sqlTables {
		table = types.Replace(table)
		_, err := db.ExecContext(ctx, table)
		if err != nil { // PostgreSQL has refused it to all but one that made it at once
			_, err = db.ExecContext(ctx, table)
		}
		if err != nil {
			return nil, err
		}
	}
	return &sqlState{db, syntax}, nil
}

func (s *sqlState) accountByID(ctx context.Context, id string) (*account, error) {
	return scanAccount(s.row(ctx, `SELECT id, name, hash FROM demo_accounts WHERE id = ?`, id))
}

func (s *sqlState) accountByName(ctx context.Context, name string) (*account, error) {
	return scanAccount(s.row(ctx, `SELECT id, name, hash FROM demo_accounts WHERE name = ?`, name))
}

func scanAccount(row *sql.Row) (*account, error) {
	var a account
	var hash string
	err := row.Scan(&a.ID, &a.Name, &hash)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, auth.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	a.hash, err = parsePasswordHash(hash)
	return &a, err
}

func (s *sqlState) addAccount(ctx context.Context, a *account) error {
	_, err := s.exec(ctx, s.db, `INSERT INTO demo_accounts (id, name, hash, notes) VALUES (?, ?, ?, 0)`, a.ID, a.Name, a.hash.String())
	return err
}

func (s *sqlState) notesOf(ctx context.Context, accountID string) ([]note, error) {
	rows, err := s.db.QueryContext(ctx, s.bind(`SELECT id, body, created_at FROM demo_notes WHERE account_id = ?`), []byte(accountID))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []note
	for rows.Next() {
		var n note
		var created int64 // microseconds: no driver's idea of a time matters
		if err := rows.Scan(&n.ID, &n.Text, &created); err != nil {
			return nil, err
		}
		n.CreatedAt = time.UnixMicro(created).UTC()
		list = append(list, n)
	}
	sortNotes(list)
	return list, rows.Err()
}

func (s *sqlState) addNote(ctx context.Context, accountID string, n note) error {
	return s.transact(ctx, func(tx *sql.Tx) error {
		changed, err := s.exec(ctx, tx, `UPDATE demo_accounts SET notes = notes + 1 WHERE id = ? AND notes < ?`, accountID, maxNotes)
		if err != nil {
			return err
		}
		if changed == 0 {
			return auth.ErrLimit
		}
		_, err = s.exec(ctx, tx, `INSERT INTO demo_notes (account_id, id, body, created_at) VALUES (?, ?, ?, ?)`,
			accountID, n.ID, n.Text, n.CreatedAt.UnixMicro())
		return err
	})
}

// removeNote changes the account first, as addNote does: so no two wait for each
// other in a circle.
func (s *sqlState) removeNote(ctx context.Context, accountID, id string) error {
	return s.transact(ctx, func(tx *sql.Tx) error {
		if _, err := s.exec(ctx, tx, `UPDATE demo_accounts SET notes = notes - 1 WHERE id = ?`, accountID); err != nil {
			return err
		}
		removed, err := s.exec(ctx, tx, `DELETE FROM demo_notes WHERE account_id = ? AND id = ?`, accountID, id)
		if err == nil && removed == 0 {
			return auth.ErrNotFound
		}
		return err
	})
}

func (s *sqlState) mark(ctx context.Context) (mark string, err error) {
	err = s.row(ctx, `SELECT value FROM demo_state WHERE name = ?`, "mark").Scan(&mark)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return mark, err
}

// swapMark tells an insert that came too late from an outage by looking again.
func (s *sqlState) swapMark(ctx context.Context, old, next string) (bool, error) {
	if old != "" {
		changed, err := s.exec(ctx, s.db, `UPDATE demo_state SET value = ? WHERE name = ? AND value = ?`, next, "mark", old)
		return changed == 1, err
	}
	_, failed := s.exec(ctx, s.db, `INSERT INTO demo_state (name, value) VALUES (?, ?)`, "mark", next)
	if failed == nil {
		return true, nil
	}
	if mark, err := s.mark(ctx); err != nil || mark == "" {
		return false, errors.Join(failed, err)
	}
	return false, nil
}

// clear ends with the notes: without their accounts no more are added.
func (s *sqlState) clear(ctx context.Context) error {
	if _, err := s.exec(ctx, s.db, `DELETE FROM demo_accounts`); err != nil {
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

// exec returns how many rows were changed.
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

// bind writes the placeholders as the database reads them.
func (s *sqlState) bind(query string) string {
	for n := 1; s.syntax.numbered && strings.Contains(query, "?"); n++ {
		query = strings.Replace(query, "?", "$"+strconv.Itoa(n), 1)
	}
	return query
}
