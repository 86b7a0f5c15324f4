// Package sqlstore keeps credentials in SQLite, PostgreSQL, MariaDB or MySQL,
// over database/sql. It imports no driver: the service opens the database with
// the one that it uses anyway.
//
//	db, err := sql.Open("pgx", url)
//	store, err := sqlstore.New(db, sqlstore.PostgreSQL)
//	err = store.Migrate(ctx)
//
// A record is found by its digest on a unique index, and all that names a record is
// compared byte by byte, whatever the collation. The tables hold no plaintext: see
// the migrations. [Store.Purge] removes what has ended; call it now and then.
//
// # What it guarantees
//
// Limits, rotations and revocations are atomic in the database, whichever process
// asks: a change is made whole or not at all, also where the answer to it is lost.
// A revocation that has returned holds for the next lookup of every process, and is as
// durable as what the database commits. Reads must go to the primary: a replica
// knows of a revocation when it has caught up.
//
// Whatever goes wrong is an error within the timeout ([WithTimeout]), never an
// answer, and over once the database is well again.
//
// # How it was tested
//
// The suite in storetest runs over SQLite by two drivers, PostgreSQL and MariaDB.
// So do tests in which each call of the driver fails, once and twice in a row;
// connections are cut after each of several lengths, reset, or fall silent; backends
// are terminated; servers are killed among eight writers, refuse to write or have no
// room; the writing process is killed after each of its calls; others hold the locks;
// and lookups are given up at random, a million for each database.
//
// # What it costs
//
// At a million records, with two cores for the service and the server together, and
// the servers as Debian configures them (BenchmarkStore in internal/integration):
//
//	                            SQLite   PostgreSQL   MariaDB
//	lookup, one after another   15 us    55 us        150 us
//	  16 in flight              8.5 us   18 us        48 us
//	lookup of a thousand        12 us    43 us        62 us
//	  16 in flight              9 us     16 us        18 us
//	create                      120 us   420 us       840 us
//	revoke all of 10,000        53 ms    130 ms       37 ms
//	bytes a record, with keys   390      420          580
//
// With SQLite a process writes one change after another: those who write queue up
// in it, and keep no connection from lookups. By ncruces/go-sqlite3; modernc.org/sqlite
// took a fifth more for a lookup. With package cachestore in front, a credential in
// use costs 0.07 us.
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

// A Store is an auth.Store over a database. It is made by [New] and safe for
// concurrent use, by several processes too.
type Store struct {
	db      *sql.DB
	dialect Dialect
	timeout time.Duration
	writer  chan struct{} // holds whose turn it is to write; nil: nobody has to wait

	mu     sync.Mutex
	lookup *sql.Stmt // prepared on first use
}

var _ auth.Store = (*Store)(nil)

// An Option changes a Store's defaults.
type Option func(*Store) error

// WithTimeout bounds each call of the store, retries of the driver and waiting for
// a connection included. The default is 2 seconds. What it bounds of Purge is each
// batch, and of Migrate nothing: that takes as long as its context.
func WithTimeout(d time.Duration) Option {
	return func(s *Store) error {
		if d <= 0 {
			return fmt.Errorf("sqlstore: WithTimeout: %v is no time", d)
		}
		s.timeout = d
		return nil
	}
}

// New returns a Store over db, which stays the caller's: the store does not close
// it, and sets none of its limits. The tables are made by [Store.Migrate], or by
// the SQL in [Migrations].
func New(db *sql.DB, d Dialect, options ...Option) (*Store, error) {
	s := &Store{db: db, dialect: d, timeout: 2 * time.Second}
	if d.oneWriter {
		s.writer = make(chan struct{}, 1)
	}
	var faults []error
	if db == nil {
		faults = append(faults, errors.New("sqlstore: db is nil"))
	}
	if d.name == "" {
		faults = append(faults, errors.New("sqlstore: the zero Dialect is none: use SQLite, PostgreSQL or MySQL"))
	}
	for _, o := range options {
		if o == nil {
			faults = append(faults, errors.New("sqlstore: an option is nil"))
			continue
		}
		faults = append(faults, o(s))
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	return s, nil
}

// Close gives back the statement that the store has prepared. The database stays
// open.
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

// never is a time that none of ours reaches: expiry can be compared without a
// special case.
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

// scan reads the columns, and revoked behind them.
func scan(row interface{ Scan(...any) error }) (c auth.Credential, revoked bool, err error) {
	var digest []byte
	var created, expires, lastUsed int64
	err = row.Scan(&c.Kind, &c.UserID, &c.ID, &c.Name, &c.Hint, &c.Scopes, &digest, &c.Sealed,
		&created, &expires, &lastUsed, &c.Superseded, &c.Previous, &revoked)
	if err != nil {
		return auth.Credential{}, false, err
	}
	if len(digest) != len(c.Digest) {
		return auth.Credential{}, false, errors.New("sqlstore: a digest in the database has another length")
	}
	copy(c.Digest[:], digest)
	c.CreatedAt, c.ExpiresAt, c.LastUsedAt = fromMicros(created, 0), fromMicros(expires, never), fromMicros(lastUsed, 0)
	return c, revoked, nil
}

func (s *Store) within(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, s.timeout)
}

// statement prepares without the lock: whoever waits for that would wait past
// the end of its own context.
func (s *Store) statement(ctx context.Context) (*sql.Stmt, error) {
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
	if s.lookup != nil { // another call was first
		stmt.Close()
		return s.lookup, nil
	}
	s.lookup = stmt
	return stmt, nil
}

// Lookup implements auth.Store.
func (s *Store) Lookup(ctx context.Context, kind auth.Kind, d auth.Digest) (*auth.Credential, error) {
	ctx, cancel := s.within(ctx)
	defer cancel()
	var c auth.Credential
	var revoked bool
	err := s.again(func() error {
		stmt, err := s.statement(ctx)
		if err == nil {
			c, revoked, err = scan(stmt.QueryRowContext(ctx, d[:]))
		}
		return err
	})
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, auth.ErrNotFound
	case err != nil:
		return nil, err
	case c.Kind != kind:
		return nil, auth.ErrNotFound
	case revoked:
		return nil, auth.ErrRevoked
	}
	return &c, nil
}

// Get implements auth.Store.
func (s *Store) Get(ctx context.Context, ref auth.Ref) (c auth.Credential, err error) {
	ctx, cancel := s.within(ctx)
	defer cancel()
	err = s.again(func() error {
		c, err = s.find(ctx, s.db, ref)
		return err
	})
	return c, err
}

// find returns a record that is not revoked, within a transaction or not.
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
	ctx, cancel := s.within(ctx)
	defer cancel()
	query := `SELECT ` + columns + `, revoked FROM auth_credentials WHERE kind = ? AND user_id = ? AND revoked = 0`
	args := []any{kind, userID}
	if page.After != "" {
		query += ` AND id < ?`
		args = append(args, page.After)
	}
	args = append(args, page.Max())
	var rows *sql.Rows
	err := s.again(func() (err error) {
		rows, err = s.db.QueryContext(ctx, s.dialect.bind(query+` ORDER BY id DESC LIMIT ?`), args...)
		return err
	})
	if err != nil {
		return nil, err
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
	// In the order of the primary key, so that two of these never wait for each
	// other.
	uses = slices.Clone(uses)
	slices.SortFunc(uses, func(a, b auth.Use) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.UserID, b.UserID), cmp.Compare(a.ID, b.ID))
	})
	return s.transact(ctx, func(ctx context.Context, tx *sql.Conn) error {
		// Nothing is prepared: a connection that turns out bad is closed at once,
		// and some drivers then panic when one of its statements is.
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

// purgeBatch keeps the locks of a purge short, and its log small.
const purgeBatch = 1000

// Purge implements auth.Store, in batches: what was removed before an error stays
// so. Accounts without credentials keep a small row.
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
	ctx, cancel := s.within(ctx)
	defer cancel()
	done, err := s.turn(ctx)
	if err != nil {
		return 0, err
	}
	defer done()
	result, err := s.db.ExecContext(ctx, s.dialect.bind(s.dialect.purge), before.UnixMicro(), purgeBatch)
	if err != nil {
		return 0, err
	}
	n, err := result.RowsAffected()
	return int(n), err
}
