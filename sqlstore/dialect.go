package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"strconv"
	"strings"
	"time"
)

// A Dialect says which database a Store talks to. All that differs between them
// is in this file and in the migrations.
type Dialect struct {
	name string // of the folder with its migrations

	numbered bool // placeholders are $1, $2, and not ?

	// oneWriter is for a database that lets one write at a time and keeps no queue:
	// whoever waits tries again now and then, however long others have waited.
	oneWriter bool

	// lockAccount makes or changes the account's row, and so locks it until the
	// transaction ends. In SQLite that locks the whole database, to begin with a
	// write: a transaction that reads first can fail when it comes to write.
	lockAccount string

	// purge removes up to a number of records that expired before a time.
	purge string

	// begin starts a transaction for writing, in which a statement sees what was
	// committed before it began: counting under the account's lock needs that.
	begin []string

	// migrate runs f while no other process migrates the same database.
	migrate func(ctx context.Context, conn *sql.Conn, f func(execer) error) error
}

// The dialects.
var (
	// SQLite is any driver for SQLite 3.24 or later. Open it with WAL and a
	// busy timeout of some seconds. With ncruces/go-sqlite3 the log beside the file
	// is readable to others, as the umask has it, unless modeof=FILE names the file
	// itself in the URI, where a space is %20; of FILE-shm the umask alone decides.
	SQLite = Dialect{
		name:      "sqlite",
		oneWriter: true,
		lockAccount: `INSERT INTO auth_accounts (kind, user_id, changes) VALUES (?, ?, 1)
			ON CONFLICT (kind, user_id) DO UPDATE SET changes = changes + 1`,
		purge: `DELETE FROM auth_credentials WHERE (kind, user_id, id) IN
			(SELECT kind, user_id, id FROM auth_credentials WHERE expires_at < ? LIMIT ?)`,
		begin: []string{"BEGIN IMMEDIATE"},
		migrate: func(ctx context.Context, conn *sql.Conn, f func(execer) error) error {
			if err := begin(ctx, conn, "BEGIN IMMEDIATE"); err != nil {
				return err
			}
			return finish(ctx, conn, f(conn))
		},
	}

	// PostgreSQL is PostgreSQL 12 or later.
	PostgreSQL = Dialect{
		name:     "postgres",
		numbered: true,
		lockAccount: `INSERT INTO auth_accounts (kind, user_id, changes) VALUES (?, ?, 1)
			ON CONFLICT (kind, user_id) DO UPDATE SET changes = auth_accounts.changes + 1`,
		purge: `DELETE FROM auth_credentials WHERE (kind, user_id, id) IN
			(SELECT kind, user_id, id FROM auth_credentials WHERE expires_at < ? LIMIT ? FOR UPDATE SKIP LOCKED)`,
		begin: []string{"BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"},
		migrate: func(ctx context.Context, conn *sql.Conn, f func(execer) error) error {
			// The number is this table's own: "auth" in ASCII.
			err := begin(ctx, conn, "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE", "SELECT pg_advisory_xact_lock(1635087464)")
			if err != nil {
				return err
			}
			return finish(ctx, conn, f(conn))
		},
	}

	// MySQL is MariaDB 10.5 or later and MySQL 8.0 or later, with InnoDB.
	MySQL = Dialect{
		name: "mysql",
		lockAccount: `INSERT INTO auth_accounts (kind, user_id, changes) VALUES (?, ?, 1)
			ON DUPLICATE KEY UPDATE changes = changes + 1`,
		purge:   `DELETE FROM auth_credentials WHERE expires_at < ? LIMIT ?`,
		begin:   []string{"SET TRANSACTION ISOLATION LEVEL READ COMMITTED", "START TRANSACTION READ WRITE"},
		migrate: migrateMySQL,
	}
)

type execer interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// migrateMySQL takes a lock by name: each statement that changes a table commits
// by itself there, so the migrations can be run again where one was cut off.
func migrateMySQL(ctx context.Context, conn *sql.Conn, f func(execer) error) error {
	const lock = "github.com/seed-31c5bcb2/auth"
	var got sql.NullInt64
	if err := conn.QueryRowContext(ctx, "SELECT GET_LOCK(CONCAT(?, '/', MD5(DATABASE())), 60)", lock).Scan(&got); err != nil {
		return err
	}
	if got.Int64 != 1 {
		return errors.New("sqlstore: another process has been migrating this database for a minute")
	}
	err := f(conn)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_, undo := conn.ExecContext(ctx, "DO RELEASE_LOCK(CONCAT(?, '/', MD5(DATABASE())))", lock)
	return errors.Join(err, undo)
}

// bind writes the placeholders as the database reads them. No statement here has
// a question mark in a string.
func (d *Dialect) bind(query string) string {
	if !d.numbered {
		return query
	}
	var b strings.Builder
	n := 0
	for part := range strings.SplitSeq(query, "?") {
		if n > 0 {
			b.WriteString("$" + strconv.Itoa(n))
		}
		b.WriteString(part)
		n++
	}
	return b.String()
}
