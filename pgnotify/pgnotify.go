// Package pgnotify is a [cachestore.Invalidations] for PostgreSQL: over LISTEN and
// NOTIFY, it tells a cache which credentials other processes have revoked.
//
//	store, err := sqlstore.New(db, sqlstore.PostgreSQL, sqlstore.Config{})
//	revocations, err := pgnotify.New(url, pgnotify.Config{})
//	cached, err := cachestore.New(store, cachestore.Config{Invalidations: revocations})
//
// Notifications are sent by triggers, which the second migration of sqlstore for
// PostgreSQL creates. Every statement that revokes, rotates or deletes a credential
// fires them, including SQL that is typed by hand and changes that logical replication
// applies. Last uses do not. After DISABLE TRIGGER, which pg_restore --disable-triggers
// executes too, ENABLE TRIGGER leaves out replication: use ENABLE ALWAYS TRIGGER.
//
// # Guarantees
//
// A revocation or other change reaches the cache milliseconds after PostgreSQL has
// committed it. Whenever a notification may have been missed, the cache is cleared: when
// the connection is lost, and when it has been established again. A connection that
// fails silently is detected within 12 seconds. Until then, and while there is no
// connection, the cache's MaxStale applies, as it does without this package.
//
// # Requirements
//
// PostgreSQL 12 or later, and one connection to the primary for each cache that
// subscribes. The role that listens needs no privileges except CONNECT. Roles that change
// credentials need EXECUTE on pg_notify and pg_notification_queue_usage, which PUBLIC has
// unless it was revoked. A transaction that has changed credentials cannot be prepared
// for a two-phase commit: PostgreSQL rejects PREPARE TRANSACTION after NOTIFY.
//
// A standby rejects LISTEN. If the URL has several hosts, the primary is looked for,
// unless the URL has another target_session_attrs than any. After a failover, the next
// connection finds the new primary. A former primary that stays reachable and writable
// keeps its listeners.
//
// Through PgBouncer, use session mode, or connect directly. In transaction and
// statement mode LISTEN succeeds, but no notification arrives. This is detected only when
// a heartbeat is answered by a different server process, so not on an idle pooler.
//
// # Other roles
//
// Revoke CONNECT on all databases of the server from roles that you do not trust, and
// from PUBLIC. Such a role can make caches useless and revocations fail, as follows. It
// cannot make a revoked credential valid for longer than the cache's MaxStale.
//
// Any role that may connect to the database may notify the channel. A notification that
// names no user clears the cache at most once in five seconds, in which a cache loads
// its credentials again anyway. One that names a user has its effect at once: each
// credential in use of that user, and of other users who share a slot of the cache by
// their hash, is loaded again. Tens of thousands of made-up users therefore clear the
// whole cache, as often as they are sent.
//
// Transactions that notify, on any channel and in any database of the server, take one
// lock of the server when they commit, and hold it until the commit is done. A role that
// notifies in bulk, with tens of thousands of long notifications in each transaction,
// holds it for seconds. Revocations, rotations and updates wait for it meanwhile, and
// fail if they reach sqlstore's Timeout, even if the queue below is nearly empty. A
// change that failed is to be repeated. Lookups do not take the lock.
//
// All databases of a server share one queue of notifications, 8 GB by default. Any role
// that can log in to any of them can fill it, with a session that listens in an open
// transaction. When it is full, every transaction that notifies fails. Therefore
// sqlstore's triggers skip their notifications while it is more than half full:
// revocations succeed, and reach caches within MaxStale. The usage is checked every 10
// seconds. Above a quarter, it is reported to ErrorLog and the cache is cleared at each
// check; a queue that fills and empties between two checks is not noticed. PostgreSQL's log
// names the process that prevents the queue from being emptied.
//
// # Testing
//
// Tested with PostgreSQL 15: every way in which sqlstore, or SQL typed by hand,
// revokes or changes a credential; user IDs of any form; terminated backends; silent
// and absent servers; a full queue; databases without the triggers; PgBouncer 1.18 in
// both modes. Tests of delays and timeouts use a fake clock. For two servers on one
// database with this package between them, see cachestore.
//
// # Cost
//
// PostgreSQL sends one notification per user and transaction that revokes. The
// triggers add 45 ms to the 80 ms that it takes to revoke all of 10,000 records, a few
// microseconds to a single revocation, and nothing to other statements. Commits that
// notify wait for each other, in all databases of the server. Lookups never wait there.
//
// [cachestore.Invalidations]: https://pkg.go.dev/github.com/seed-31c5bcb2/auth/cachestore#Invalidations
package pgnotify

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// A Source is a cachestore.Invalidations. Use [New] to create one. It is safe for
// concurrent use. Each call of Subscribe uses a connection of its own.
type Source struct {
	conn          *pgx.ConnConfig
	errorLog      func(error)
	beforeConnect func(context.Context, *pgx.ConnConfig) error
}

// Config configures a [Source]. The zero value is valid.
type Config struct {
	// ErrorLog, if not nil, is called when a connection is lost or cannot be
	// established, when the database's triggers are missing or disabled, when a
	// pooler is not in session mode, and at most once a minute each when the queue of
	// notifications fills and when a notification arrives that sqlstore does not send.
	// The cache keeps working in all of these cases, within its MaxStale. The errors
	// contain no password, unless those of BeforeConnect do. ErrorLog may be called by
	// several goroutines at once, and delays the subscription until it returns.
	ErrorLog func(error)

	// BeforeConnect, if not nil, is called before each attempt to connect, and may
	// change the configuration, for example set a password that is valid for 15
	// minutes. The configuration is a copy of that of the URL, made by pgx.ParseConfig.
	// Its OnNotification is replaced. If BeforeConnect returns an error, panics, or has
	// not returned within 10 seconds, the attempt fails and is repeated. Each subscription
	// calls it once at a time, and does not call it again before it has returned.
	BeforeConnect func(ctx context.Context, config *pgx.ConnConfig) error
}

// New returns a Source for the database at url, "postgres://user@host/database" or
// libpq's other form, "host=... user=...". It does not connect. It returns an error if
// url is empty or invalid, or has pool_* settings, which belong to pgxpool. Errors
// contain no value from url, which may include a password.
func New(url string, cfg Config) (*Source, error) {
	conn, err := parseURL(url)
	if err != nil {
		return nil, err
	}
	s := &Source{conn: conn, errorLog: cfg.ErrorLog, beforeConnect: cfg.BeforeConnect}
	if s.errorLog == nil {
		s.errorLog = func(error) {}
	}
	return s, nil
}

func parseURL(url string) (*pgx.ConnConfig, error) {
	if url == "" {
		return nil, errors.New("pgnotify: the URL is empty")
	}
	conn, err := pgx.ParseConfig(url)
	if err != nil {
		// err may contain the password.
		return nil, errors.New("pgnotify: the URL is invalid")
	}
	if err := checkParams(conn.RuntimeParams); err != nil {
		return nil, err
	}
	setDefaults(conn)
	return conn, nil
}

// checkParams rejects the settings of pgxpool. pgx passes them on to the server,
// which would refuse every connection.
func checkParams(params map[string]string) error {
	var faults []error
	for _, name := range slices.Sorted(maps.Keys(params)) {
		if strings.HasPrefix(name, "pool_") {
			faults = append(faults, fmt.Errorf("pgnotify: the URL sets %s, which has no effect: there is no pool", name))
		}
	}
	return errors.Join(faults...)
}
