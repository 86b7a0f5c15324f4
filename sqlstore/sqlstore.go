// Package sqlstore keeps credentials in SQLite, PostgreSQL, MariaDB or MySQL,
// through database/sql. It imports no driver: the service opens the database with
// the driver of its choice.
//
//	db, err := sql.Open("pgx", url)
//	store, err := sqlstore.New(db, sqlstore.PostgreSQL, sqlstore.Config{})
//	err = store.Migrate(ctx)
//
// Lookups use a unique index on the digest. Digests, user IDs and record IDs are
// compared byte by byte, whatever the collation. The tables, which the migrations
// document, hold no plaintext. [Store.Purge] deletes expired and revoked records; call
// it periodically, for example once a day.
//
// # Guarantees
//
// Limits, rotations and revocations are atomic in the database, across processes.
// A change is made completely or not at all, even if its response is lost. Once a
// revocation has returned, the next lookup of every process sees it, and it is as
// durable as a commit of the database. Reads must go to the primary: a replica does
// not see a revocation until it has caught up.
//
// Every failure is returned as an error, and never as ErrNotFound, within
// [Config].Timeout and 0.1 s for a rollback. The store works again as soon as the database does.
//
// # How it was tested
//
// The suite in storetest runs over SQLite with two drivers, PostgreSQL and MariaDB.
// Further tests make each call of the driver fail, once and twice in a row; cut,
// reset or silence connections after various numbers of bytes; terminate backends;
// kill servers with eight writers, make them read-only or fill their disks; kill the
// writing process after each of its calls; hold locks in other sessions; and cancel
// lookups at random, a million for each database.
//
// # What it costs
//
// With a million records, two cores shared by the service and the server, and
// servers with Debian's configuration (BenchmarkStore in internal/integration):
//
//	                            SQLite   PostgreSQL   MariaDB
//	lookup                      15 us    55 us        150 us
//	  16 concurrent             8.5 us   18 us        48 us
//	lookup of 1,000 in use      12 us    43 us        62 us
//	  16 concurrent             9 us     16 us        18 us
//	create                      120 us   420 us       840 us
//	revoke all of 10,000        53 ms    130 ms       37 ms
//	bytes per record and keys   390      420          580
//
// With SQLite, a process writes one change at a time; waiting writers do not hold
// connections that lookups need. The figures are for ncruces/go-sqlite3; lookups with
// modernc.org/sqlite took a fifth longer. With package cachestore in front, looking up
// a credential in use takes 0.07 us.
package sqlstore

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/seed-31c5bcb2/auth"
)

// A Store is an auth.Store in a database. Create one with [New]. It is safe for
// concurrent use, and several processes can share a database.
type Store struct {
	db      *sql.DB
	dialect *dialect
	timeout time.Duration
	writer  chan struct{} // a semaphore; nil if the database allows several writers

	mu     sync.Mutex
	lookup *sql.Stmt // prepared by the first Lookup
}

var _ auth.Store = (*Store)(nil)

// Config holds the settings of a [Store]. The zero value is valid.
type Config struct {
	// Timeout bounds each call, including retries and waiting for a connection.
	// For Purge it bounds each batch. It does not apply to Migrate, which only its
	// context bounds. Zero means 2 seconds. It must not be negative.
	Timeout time.Duration
}

const defaultTimeout = 2 * time.Second

// New returns a Store in db, which the caller still owns: the store neither closes
// db nor changes its pool settings. New does not connect to the database. Create the
// tables with [Store.Migrate], or with the SQL in [Migrations].
//
// New returns an error that lists all faults if db is nil, d is not one of the
// dialects, or cfg is invalid.
func New(db *sql.DB, d Dialect, cfg Config) (*Store, error) {
	var faults []error
	if db == nil {
		faults = append(faults, errors.New("sqlstore: db is nil"))
	}
	dialect := dialects[d]
	if dialect == nil {
		faults = append(faults, fmt.Errorf("sqlstore: unknown dialect %q: use SQLite, PostgreSQL or MySQL", d))
	}
	if cfg.Timeout < 0 {
		faults = append(faults, fmt.Errorf("sqlstore: Timeout: %v is negative", cfg.Timeout))
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	s := &Store{db: db, dialect: dialect, timeout: cmp.Or(cfg.Timeout, defaultTimeout)}
	if dialect.oneWriter {
		s.writer = make(chan struct{}, 1)
	}
	return s, nil
}

// Close releases the statement that the store has prepared, and does not close the
// database. Call it before closing that.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lookup == nil {
		return nil
	}
	err := s.lookup.Close()
	s.lookup = nil
	return err
}

const columns = `kind, user_id, id, name, hint, scopes, digest, sealed, created_at, expires_at, last_used_at, superseded, previous`

// never is the expiry of records that do not expire, so that queries need no special
// case for them.
const never = math.MaxInt64

func micros(t time.Time, zero int64) int64 {
	if t.IsZero() {
		return zero
	}
	return t.UnixMicro()
}

func fromMicros(n, zero int64) time.Time {
	if n == zero {
		return time.Time{}
	}
	return time.UnixMicro(n).UTC()
}

// scan reads a row of columns and revoked.
func scan(row interface{ Scan(...any) error }) (c auth.Credential, revoked bool, err error) {
	var digest []byte
	var created, expires, lastUsed int64
	err = row.Scan(&c.Kind, &c.UserID, &c.ID, &c.Name, &c.Hint, &c.Scopes, &digest, &c.Sealed,
		&created, &expires, &lastUsed, &c.Superseded, &c.Previous, &revoked)
	if err != nil {
		return auth.Credential{}, false, err
	}
	if len(digest) != len(c.Digest) {
		return auth.Credential{}, false, fmt.Errorf("sqlstore: the database has a digest of %d bytes", len(digest))
	}
	copy(c.Digest[:], digest)
	c.CreatedAt, c.ExpiresAt, c.LastUsedAt = fromMicros(created, 0), fromMicros(expires, never), fromMicros(lastUsed, 0)
	return c, revoked, nil
}

// lookupStatement does not hold the mutex while it prepares the statement: callers
// that wait for a mutex cannot return when their context is done.
func (s *Store) lookupStatement(ctx context.Context) (*sql.Stmt, error) {
	s.mu.Lock()
	stmt := s.lookup
	s.mu.Unlock()
	if stmt != nil {
		return stmt, nil
	}
	stmt, err := s.db.PrepareContext(ctx, s.dialect.bind(`SELECT `+columns+`, revoked FROM auth_credentials WHERE digest = ?`))
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lookup != nil { // a concurrent call was first
		stmt.Close()
		return s.lookup, nil
	}
	s.lookup = stmt
	return stmt, nil
}

// Lookup implements auth.Store.
func (s *Store) Lookup(ctx context.Context, kind auth.Kind, d auth.Digest) (*auth.Credential, error) {
	ctx, cancel := s.withTimeout(ctx)
	defer cancel()
	var c auth.Credential
	var revoked bool
	err := s.retry(func() error {
		stmt, err := s.lookupStatement(ctx)
		if err == nil {
			c, revoked, err = scan(stmt.QueryRowContext(ctx, d[:]))
		}
		return err
	})
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, auth.ErrNotFound
	case err != nil:
		return nil, s.explain(ctx, s.db, err)
	case c.Kind != kind:
		return nil, auth.ErrNotFound
	case revoked:
		return nil, auth.ErrRevoked
	}
	return &c, nil
}

// Get implements auth.Store.
func (s *Store) Get(ctx context.Context, ref auth.Ref) (c auth.Credential, err error) {
	ctx, cancel := s.withTimeout(ctx)
	defer cancel()
	err = s.retry(func() error {
		c, err = s.find(ctx, s.db, ref)
		return err
	})
	return c, s.explain(ctx, s.db, err)
}

// find returns the record, or ErrNotFound if it is revoked. q is the database or a
// transaction.
func (s *Store) find(ctx context.Context, q execer, ref auth.Ref) (auth.Credential, error) {
	c, revoked, err := scan(q.QueryRowContext(ctx, s.dialect.bind(
		`SELECT `+columns+`, revoked FROM auth_credentials WHERE kind = ? AND user_id = ? AND id = ?`),
		ref.Kind, ref.UserID, ref.ID))
	if errors.Is(err, sql.ErrNoRows) || err == nil && revoked {
		return auth.Credential{}, auth.ErrNotFound
	}
	return c, err
}

// List implements auth.Store.
func (s *Store) List(ctx context.Context, kind auth.Kind, userID string, page auth.Page) ([]auth.Credential, error) {
	ctx, cancel := s.withTimeout(ctx)
	defer cancel()
	query := `SELECT ` + columns + `, revoked FROM auth_credentials WHERE kind = ? AND user_id = ? AND revoked = 0`
	args := []any{kind, userID}
	if page.After != "" {
		query += ` AND id < ?`
		args = append(args, page.After)
	}
	args = append(args, page.Max())
	var rows *sql.Rows
	err := s.retry(func() (err error) {
		rows, err = s.db.QueryContext(ctx, s.dialect.bind(query+` ORDER BY id DESC LIMIT ?`), args...)
		return err
	})
	if err != nil {
		return nil, s.explain(ctx, s.db, err)
	}
	defer rows.Close()
	list := []auth.Credential{}
	for rows.Next() {
		c, _, err := scan(rows)
		if err != nil {
			return nil, err
		}
		list = append(list, c)
	}
	return list, rows.Err()
}

// Touch implements auth.Store.
func (s *Store) Touch(ctx context.Context, uses []auth.Use) error {
	if len(uses) == 0 {
		return ctx.Err()
	}
	// Updates in the order of the primary key cannot deadlock with each other.
	uses = slices.Clone(uses)
	slices.SortFunc(uses, func(a, b auth.Use) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.UserID, b.UserID), cmp.Compare(a.ID, b.ID))
	})
	return s.transact(ctx, func(ctx context.Context, tx *sql.Conn) error {
		// The statement is not prepared: if a connection breaks, database/sql closes
		// it at once, and some drivers panic when a statement of a closed connection
		// is closed.
		query := s.dialect.bind(`UPDATE auth_credentials SET last_used_at = ?
			WHERE kind = ? AND user_id = ? AND id = ? AND revoked = 0 AND last_used_at < ?`)
		for _, u := range uses {
			at := u.At.UnixMicro()
			if _, err := tx.ExecContext(ctx, query, at, u.Kind, u.UserID, u.ID, at); err != nil {
				return err
			}
		}
		return nil
	})
}

// purgeBatch keeps the transactions of a purge short.
const purgeBatch = 1000

// Purge implements auth.Store. It deletes in batches: after an error, the batches
// before it remain deleted. For a user without credentials a small row remains.
func (s *Store) Purge(ctx context.Context, before time.Time) (int, error) {
	purged := 0
	for {
		n, err := s.purgeSome(ctx, before)
		purged += n
		if err != nil || n < purgeBatch {
			return purged, err
		}
	}
}

func (s *Store) purgeSome(ctx context.Context, before time.Time) (int, error) {
	ctx, cancel := s.withTimeout(ctx)
	defer cancel()
	release, err := s.acquireWriter(ctx)
	if err != nil {
		return 0, err
	}
	defer release()
	result, err := s.db.ExecContext(ctx, s.dialect.bind(s.dialect.purge), before.UnixMicro(), purgeBatch)
	if err != nil {
		return 0, s.explain(ctx, s.db, err)
	}
	n, err := result.RowsAffected()
	return int(n), err
}
