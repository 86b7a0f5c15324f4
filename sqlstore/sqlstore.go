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
// Limits, rotations, updates and revocations are atomic in the database, across processes.
// A change is made completely or not at all, even if its response is lost; RevokeAll, Touch
// and Purge work in batches, of which each is. Once a revocation has returned, the next lookup of every process sees it, and it is as
// durable as a commit of the database. Reads must go to the primary: a replica does
// not see a revocation until it has caught up.
//
// Every failure is returned as an error, and never as ErrNotFound, within
// [Config].Timeout and 0.1 s for a rollback. The store works again as soon as the database
// does. A connection that breaks while a record is read, or while a transaction begins, is
// no failure: another one is tried.
//
// The guarantees do not depend on the default isolation level: changes are made under READ
// COMMITTED and a lock of the user. All methods lock records in the order of the primary
// key, so they do not deadlock with each other. If the database rolls a transaction back to
// resolve a deadlock or a serialization failure (SQLSTATE 40001 or 40P01; MySQL's errors 1213,
// 1205 and 3101), the store executes it again, after a random pause, until the timeout.
//
// A Store is an auth.Scanner, but no auth.Notifier: see cachestore and pgnotify. A revoked
// token or secret keeps its row, except for the sealed plaintext, until Purge. The row of a
// user in auth_user_locks stays.
//
// # What it needs
//
// Migrate creates tables, and in PostgreSQL a function and triggers. If there is nothing to
// create it only reads. Everything else needs these rights, and in PostgreSQL USAGE on the
// schema:
//
//	GRANT SELECT, INSERT, UPDATE, DELETE ON auth_credentials TO app;
//	GRANT SELECT, INSERT, UPDATE ON auth_user_locks TO app;
//	GRANT SELECT ON auth_migrations TO app; -- for Migrate, if it has created the tables
//
// The triggers of PostgreSQL need EXECUTE on pg_notify and pg_notification_queue_usage, which
// PUBLIC has by default.
//
// No setting of the server is required. With PostgreSQL, lookups are not prepared by the
// store but by the driver: pgx caches the statement, and prepares it again after DEALLOCATE
// ALL, DISCARD ALL or a change of the table, without a failed call. lib/pq has no such cache,
// and needs two round trips for a lookup.
//
// If autocommit is off, a connection to MySQL or MariaDB keeps reading its first snapshot. So
// each lookup also reads @@autocommit, at no cost, and is repeated with autocommit on if it was
// off. A lookup without a result has no row to read it from: one in a second is checked, and
// all are once a connection was found with autocommit off. If only some connections of a pool
// have it off, a new record can stay unknown until a lookup finds an old one through them, or
// one of the checks happens to use them. A revoked record is never returned. An open
// transaction that the service leaves in the pool is committed when autocommit is turned on.
//
// # Deployments
//
// PgBouncer: in transaction mode, pgx must not keep statements in the server. Add
// default_query_exec_mode=exec to the URL; cache_describe and simple_protocol work too. In
// session mode it needs nothing.
//
// A standby of PostgreSQL: name both hosts in the URL, with target_session_attrs=read-write, so
// that connections go to the primary, and to the new one after a failover. A failover loses
// what the standby did not have, revocations included, unless synchronous_standby_names is set.
// With synchronous_commit=remote_apply, a revocation that has returned also holds for those
// that read from the standby. A revocation that was interrupted while it waited for the
// standby may be made although an error was returned.
//
// MariaDB Galera: use one node for reads and writes, and another only after it has failed. Galera
// checks conflicts when a transaction commits, and reports them as deadlocks, which are
// retried. With several writers, limits and the comparison of Update and Rotate do not hold:
// the user's lock is a lock of one node. A lookup at another node may precede a revocation,
// unless wsrep_sync_wait includes 1 there; the tests use 15. Run three nodes or an arbitrator: if one of two
// crashes, the other rejects every call, which is an outage, until wsrep_provider_options
// is set to pc.bootstrap=YES on it.
//
// # How it was tested
//
// The suite in storetest runs over SQLite with two drivers, PostgreSQL and MariaDB, with each
// mode of pgx, under SERIALIZABLE and REPEATABLE READ, and with autocommit off.
// Further tests make each call of the driver fail, once and twice in a row, or report a
// rollback; cut, reset or silence connections after various numbers of bytes; terminate backends;
// kill servers with eight writers, make them read-only or fill their disks; kill the
// writing process after each of its calls; hold locks in other sessions; drop prepared
// statements; record uses while records are revoked and purged; and cancel
// lookups at random, a million for each database.
//
// # What it costs
//
// With a million records, two cores shared by the service and the server, and
// servers with Debian's configuration (BenchmarkStore in internal/integration):
//
//	                            SQLite   PostgreSQL   MariaDB
//	lookup                      29 us    121 us       358 us
//	  16 concurrent             12 us    31 us        138 us
//	lookup of 1,000 in use      25 us    81 us        213 us
//	  16 concurrent             10 us    29 us        73 us
//	touch of 64                 3.2 ms   4.9 ms       8.9 ms
//	create                      228 us   673 us       1.8 ms
//	revoke all of 10,000        93 ms    207 ms       188 ms
//	purge of 10,000             446 ms   75 ms        2.6 s
//	bytes per record and keys   379      566          645
//
// docs/scale.md has PostgreSQL with up to ten million records. With SQLite, a process writes one
// change at a time; waiting writers do not hold connections that lookups need. The figures are
// for ncruces/go-sqlite3; lookups with modernc.org/sqlite took half as long again. With package cachestore in front, looking up
// a credential in use takes 0.07 us.
package sqlstore

import (
	"cmp"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
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

	lookupQuery string

	mu     sync.Mutex
	lookup *sql.Stmt // prepared by the first Lookup, unless the driver prepares

	autocommitOff atomic.Bool  // a connection was found to have autocommit off
	missChecked   atomic.Int64 // when a lookup that found nothing was last checked for that, in nanoseconds since 1970
}

var (
	_ auth.Store   = (*Store)(nil)
	_ auth.Scanner = (*Store)(nil)
)

// Config holds the settings of a [Store]. The zero value is valid.
type Config struct {
	// Timeout bounds each call, including retries and waiting for a connection. For
	// RevokeAll, Touch and Purge it bounds each batch. It does not apply to Migrate, which
	// only its context bounds. Zero means 2 seconds. It must not be negative.
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
	s := &Store{db: db, dialect: dialect, timeout: cmp.Or(cfg.Timeout, defaultTimeout), lookupQuery: dialect.selectOne(`digest = ?`)}
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
