// Package pgnotify is a [cachestore.Invalidations] for PostgreSQL: over LISTEN and
// NOTIFY, it tells a cache which credentials other processes have revoked.
//
//	store, err := sqlstore.New(db, sqlstore.PostgreSQL, sqlstore.Config{})
//	revocations, err := pgnotify.New(url, pgnotify.Config{})
//	cached, err := cachestore.New(store, cachestore.Config{Invalidations: revocations})
//
// Notifications are sent by triggers, which the second migration of sqlstore for
// PostgreSQL creates. Every statement that revokes, rotates or deletes a credential
// fires them, including SQL that is typed by hand. Last uses do not.
//
// # Guarantees
//
// A revocation reaches the cache milliseconds after PostgreSQL has committed it.
// Whenever a notification may have been missed, the cache is cleared: when the
// connection is lost, and when it has been established again. A connection that
// fails silently is detected within 12 seconds. Until then, and while there is no
// connection, the cache's MaxStale applies, as it does without this package.
//
// # Requirements
//
// PostgreSQL 12 or later, and one connection to the primary for each cache that
// subscribes. A standby sends no notifications, and PgBouncer forwards them in
// session mode only. Transaction and statement mode are detected only when a heartbeat is
// answered by a different server process, so not on an idle pooler. The role needs
// no privileges except CONNECT.
//
// # Testing
//
// Tested with PostgreSQL 15: every way in which sqlstore, or SQL typed by hand,
// revokes or changes a credential; user IDs of any form; terminated backends; silent
// and absent servers; databases without the triggers; PgBouncer 1.18 in both modes,
// manually. Tests of delays and timeouts use a fake clock. For two servers on one
// database with this package between them, see cachestore.
//
// # Cost
//
// PostgreSQL sends one notification per user and transaction that revokes. The
// triggers add 45 ms to the 80 ms that it takes to revoke all of 10,000 records, a few
// microseconds to a single revocation, and nothing to other statements. Transactions
// that notify take one lock, which all databases of the server share, while they
// commit: revocations wait for each other there, requests never do.
//
// [cachestore.Invalidations]: https://pkg.go.dev/github.com/seed-31c5bcb2/auth/cachestore#Invalidations
package pgnotify

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/seed-31c5bcb2/auth"
)

// A Source is a cachestore.Invalidations. Use [New] to create one. It is safe for
// concurrent use. Each call of Subscribe uses a connection of its own.
type Source struct {
	conn     *pgx.ConnConfig
	errorLog func(error)
}

// Config configures a [Source]. The zero value is valid.
type Config struct {
	// ErrorLog, if not nil, is called when a connection is lost or cannot be
	// established, when the database's triggers are missing or disabled, and when a
	// pooler is not in session mode. The cache keeps working in all of these cases,
	// within its MaxStale. The errors contain no password. ErrorLog may be called by
	// several goroutines at once, and delays the subscription until it returns.
	ErrorLog func(error)
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
	s := &Source{conn: conn, errorLog: cfg.ErrorLog}
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

// setDefaults does not change what the URL or the environment sets, such as
// PGCONNECT_TIMEOUT.
func setDefaults(conn *pgx.ConnConfig) {
	if conn.ConnectTimeout == 0 {
		conn.ConnectTimeout = answerTimeout // for each host in the URL
	}
	if conn.RuntimeParams["application_name"] == "" {
		conn.RuntimeParams["application_name"] = "pgnotify"
	}
}

const (
	heartbeat     = 10 * time.Second // between two checks of a quiet connection
	answerTimeout = 2 * time.Second
	minPause      = 100 * time.Millisecond // between two attempts to connect
	maxPause      = 2 * time.Second
)

// Subscribe calls invalidate for each user whose credentials have changed, and lost
// whenever a notification may have been missed. It reconnects by itself. It blocks
// until ctx is done, and returns the cause; neither function is called afterwards.
// It returns an error at once if a function is nil.
func (s *Source) Subscribe(ctx context.Context, invalidate func(kind auth.Kind, userID string), lost func()) error {
	if invalidate == nil || lost == nil {
		return errors.New("pgnotify: Subscribe: a function is nil")
	}
	for pause := minPause; ; {
		began := time.Now()
		connected, err := s.listen(ctx, invalidate, lost)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if connected {
			lost()
		}
		// A short-lived connection does not reset the pause: each one clears the cache.
		if connected && time.Since(began) >= heartbeat {
			pause = minPause
		}
		s.report(err)
		if !sleep(ctx, jitter(pause)) {
			return context.Cause(ctx)
		}
		pause = min(2*pause, maxPause)
	}
}

// listen returns when its connection is lost, and whether there was one.
func (s *Source) listen(ctx context.Context, invalidate func(auth.Kind, string), lost func()) (connected bool, err error) {
	l, err := s.connect(ctx)
	if err != nil {
		return false, err
	}
	defer l.close()
	lost() // after LISTEN, so that there is no gap
	if err := l.checkTriggers(ctx); err != nil && ctx.Err() == nil {
		s.report(err) // and keep listening: if the connection is broken, next returns an error
	}
	for {
		n, err := l.next(ctx)
		if err != nil {
			return true, err
		}
		if n == nil {
			continue
		}
		kind, userID, ok := parse(n.Payload)
		if !ok {
			lost()
			continue
		}
		invalidate(kind, userID)
	}
}

func (s *Source) report(err error) { s.errorLog(fmt.Errorf("pgnotify: %w", err)) }

// jitter spreads the reconnections of many processes.
func jitter(d time.Duration) time.Duration { return d/2 + rand.N(d/2) }

// sleep returns false if ctx is done first.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
