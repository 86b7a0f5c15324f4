package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"strconv"
	"strings"
	"time"
)

// A Dialect names the database that a [Store] uses. Its value is the name of its
// folder in [Migrations]. The zero value is invalid.
type Dialect string

// The dialects.
const (
	// SQLite is SQLite 3.24 or later, with any driver. Open it with WAL and a busy
	// timeout of some seconds. With ncruces/go-sqlite3 the permissions of the WAL
	// file depend on the umask, so others may be able to read it, unless the URI has
	// modeof=FILE with the path of the database, in which a space is written as %20.
	// The permissions of FILE-shm always depend on the umask.
	SQLite Dialect = "sqlite"

	// PostgreSQL is PostgreSQL 12 or later.
	PostgreSQL Dialect = "postgres"

	// MySQL is MariaDB 10.5 or later and MySQL 8.0 or later, with InnoDB. The tests run
	// over MariaDB.
	MySQL Dialect = "mysql"
)

// A dialect holds all differences between the databases, except for the migrations.
type dialect struct {
	folder string // of the migrations

	numbered bool // placeholders are $1, $2, not ?

	// selected are the columns as scan reads them, and hex tells that the bytes among them are
	// in hexadecimal.
	selected string
	listed   string // without those that are the same in all records of a list
	hex      bool

	// driverPrepares is set if lookups are not to be prepared by the store. The statements of
	// pgx's own cache can be replaced when the server has dropped them or a table was altered,
	// and need no server that keeps them: its default_query_exec_mode says so. Those of
	// database/sql would fail on that connection until it is closed.
	driverPrepares bool

	// autocommit is the variable that tells whether a statement outside of a transaction is one
	// of its own, if the database has that: see errSnapshot.
	autocommit string

	// remote is set if there is a server, whose connections can break.
	remote bool

	// oneWriter is set for a database that allows one writer at a time and has no
	// queue: waiting connections retry from time to time, regardless of how long
	// others have been waiting.
	oneWriter bool

	// lockUser changes the user's row, and so locks it until the transaction ends. It
	// also inserts the row, unless there is addUser. In SQLite this locks the whole
	// database, with a write as the first statement: a transaction that reads first can
	// fail when it writes.
	lockUser string

	// addUser inserts the user's row, in a transaction of its own. It is for InnoDB: if a
	// transaction that inserts the row is rolled back, for example because it found
	// nothing to revoke, those that wait for the row all lock the gap, and deadlock.
	addUser string

	// forUpdate is the end of a query in the order of the primary key, which locks the records
	// in that order. It is empty if statements that change records of given keys lock them in
	// that order, or if all writers take turns.
	forUpdate string

	// touch records a last use of each of n records, of which the primary keys are in order. Its
	// arguments are for each its kind, user ID, ID, time and address. If it is nil, there is no
	// round trip to save.
	touch func(n int) string

	// purge deletes up to a number of records of a kind that expired before a time. It waits
	// for no lock, so it cannot be part of a deadlock. If empty, purgeInOrder does it.
	purge string

	// unrevoked is the table in statements that read the unrevoked records of a user. It names
	// the index, because the primary key has the same columns and leads through the revoked
	// ones as well. PostgreSQL has no such clause, and prefers the smaller index.
	unrevoked string

	// comparesRows is set if the database uses an index for a comparison of rows.
	comparesRows bool

	// countTable counts the tables of a name that statements find.
	countTable string

	// begin starts a write transaction in which each statement sees what was
	// committed before it started. Counting under the user's lock needs that.
	begin []string

	// migrate calls f while no other process migrates the same database.
	migrate func(ctx context.Context, conn *sql.Conn, f func(querier) error) error
}

var dialects = map[Dialect]*dialect{
	SQLite: {
		folder:    "sqlite",
		oneWriter: true,
		lockUser: `INSERT INTO auth_user_locks (kind, user_id, changes) VALUES (?, ?, 1)
			ON CONFLICT (kind, user_id) DO UPDATE SET changes = changes + 1`,
		selected: columns,
		listed:   otherColumns,
		purge: `DELETE FROM auth_credentials WHERE (kind, user_id, id) IN
			(SELECT kind, user_id, id FROM auth_credentials WHERE kind = ? AND expires_at < ? LIMIT ?)`,
		unrevoked:    `auth_credentials INDEXED BY auth_credentials_unrevoked`,
		comparesRows: true,
		begin:        []string{"BEGIN IMMEDIATE"},
		countTable:   `SELECT COUNT(*) FROM pragma_table_info(?)`,
		migrate:      migrateIn("BEGIN IMMEDIATE"),
	},
	PostgreSQL: {
		folder:   "postgres",
		remote:   true,
		numbered: true,
		lockUser: `INSERT INTO auth_user_locks (kind, user_id, changes) VALUES (?, ?, 1)
			ON CONFLICT (kind, user_id) DO UPDATE SET changes = auth_user_locks.changes + 1`,
		// The text of a bytea depends on bytea_output, and drivers that receive text read only
		// one of its formats.
		selected:       hexBytes.Replace(columns),
		listed:         hexBytes.Replace(otherColumns),
		hex:            true,
		driverPrepares: true,
		forUpdate:      ` FOR UPDATE`,
		touch:          touchPostgres,
		// A plan could execute a subquery with a limit again for each row, but not this one.
		purge: `WITH old AS MATERIALIZED (SELECT kind, user_id, id FROM auth_credentials
				WHERE kind = ? AND expires_at < ? LIMIT ? FOR UPDATE SKIP LOCKED)
			DELETE FROM auth_credentials AS c USING old WHERE c.kind = old.kind AND c.user_id = old.user_id AND c.id = old.id`,
		unrevoked:    `auth_credentials`,
		comparesRows: true,
		begin:        []string{"BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"},
		countTable:   `SELECT COUNT(to_regclass(?))`,
		// The lock's number is "auth" in ASCII.
		migrate: migrateIn("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE", "SELECT pg_advisory_xact_lock(1635087464)"),
	},
	MySQL: {
		folder:   "mysql",
		remote:   true,
		lockUser: `UPDATE auth_user_locks SET changes = changes + 1 WHERE kind = ? AND user_id = ?`,
		addUser: `INSERT INTO auth_user_locks (kind, user_id, changes) VALUES (?, ?, 0)
			ON DUPLICATE KEY UPDATE changes = changes`,
		selected:   columns,
		listed:     otherColumns,
		unrevoked:  `auth_credentials FORCE INDEX (auth_credentials_unrevoked)`,
		autocommit: "@@autocommit",
		touch:      touchMySQL,
		begin:      []string{"SET TRANSACTION ISOLATION LEVEL READ COMMITTED", "START TRANSACTION READ WRITE"},
		countTable: `SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = ?`,
		migrate:    migrateMySQL,
	},
}

var hexBytes = strings.NewReplacer("digest", "encode(digest, 'hex')", "sealed", "encode(sealed, 'hex')")

// A querier is a database or a connection, which may be in a transaction.
type querier interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// selectRows selects the records where a condition holds, as scan reads them.
func (d *dialect) selectRows(where string) string {
	return d.bind(`SELECT ` + d.selected + `, revoked FROM auth_credentials WHERE ` + where)
}

// selectUnrevoked selects the unrevoked records of a user.
func (d *dialect) selectUnrevoked(where string) string {
	return d.bind(`SELECT ` + d.listed + ` FROM ` + d.unrevoked + ` WHERE ` + unrevokedOf + where)
}

// unrevokedOf is the condition that dialect.unrevoked is for. Its arguments are the kind and
// the user ID.
const unrevokedOf = `kind = ? AND user_id = ? AND revoked = 0`

// selectOne also selects @@autocommit, if the database has that.
func (d *dialect) selectOne(where string) string {
	extra := ""
	if d.autocommit != "" {
		extra = ", " + d.autocommit
	}
	return d.bind(`SELECT ` + d.selected + `, revoked` + extra + ` FROM auth_credentials WHERE ` + where)
}

// migrateIn migrates in one transaction, which the statements begin.
func migrateIn(begin ...string) func(context.Context, *sql.Conn, func(querier) error) error {
	return func(ctx context.Context, conn *sql.Conn, f func(querier) error) error {
		if err := beginWith(ctx, conn, begin); err != nil {
			return err
		}
		return finish(ctx, conn, f(conn))
	}
}

// migrateMySQL holds a named lock instead of a transaction: each statement that
// changes a table commits implicitly, so an interrupted migration can run again.
func migrateMySQL(ctx context.Context, conn *sql.Conn, f func(querier) error) error {
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
	_, errRelease := conn.ExecContext(ctx, "DO RELEASE_LOCK(CONCAT(?, '/', MD5(DATABASE())))", lock)
	return joinOther(err, errRelease)
}

// bind rewrites the placeholders for the database. No query in this package has a
// question mark in a string.
func (d *dialect) bind(query string) string {
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
