// Package pgnotify tells package cachestore what other processes revoke in
// PostgreSQL, over LISTEN and NOTIFY:
//
//	store, err := sqlstore.New(db, sqlstore.PostgreSQL)
//	revocations, err := pgnotify.New(url)
//	cached, err := cachestore.New(store, cachestore.Config{Invalidations: revocations})
//
// The triggers that notify are made by sqlstore's second migration for PostgreSQL.
// Whatever revokes, rotates or deletes a credential fires them, SQL that somebody
// types included. Last uses do not.
//
// # What it guarantees
//
// A revocation is told as soon as PostgreSQL has committed it, which takes
// milliseconds. The cache is emptied of what it has whenever one may have been
// missed: when the connection breaks, and when it stands again. A connection that is
// silently gone is noticed within 12 seconds; until then, and while there is none,
// the cache's own bound holds, as it does without this package.
//
// # What it needs
//
// PostgreSQL 12 or later, and a connection of its own for each cache that
// subscribes, straight to the primary: PgBouncer passes notifications on only in
// its session mode, and a standby sends none. Another mode is reported as soon as
// a heartbeat meets another of the pooler's connections, which takes some load. Any
// role that may connect may listen.
//
// # How it was tested
//
// Against PostgreSQL 15: every way in which sqlstore, or a person by hand, ends or
// changes a credential; user IDs of any kind; backends that are terminated, servers
// that are silent or not there; databases without the triggers; PgBouncer 1.18 in
// both modes, by hand. Each pause and wait by a clock that the tests turn. Two servers
// on one database, with this package between them: see cachestore.
//
// # What it costs
//
// A notification for each account and transaction that revokes. The triggers cost
// revoking all of 10,000 records 45 ms on top of 80, one by one some microseconds,
// and nothing else anything. PostgreSQL takes one lock in all of its databases for
// transactions that notify, while they commit: revocations wait for each other
// there, and requests never do.
package pgnotify

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/seed-31c5bcb2/auth"
)

// A Source is a cachestore.Invalidations. It is made by [New] and safe for
// concurrent use; each Subscribe has a connection of its own.
type Source struct {
	cfg      *pgx.ConnConfig
	errorLog func(error)
}

// An Option changes a Source's defaults.
type Option func(*Source) error

// WithErrorLog names a function that hears of each connection that broke or could
// not be made, of a database whose triggers are missing or disabled, and of a pooler
// that is not in session mode. The default ignores them: the cache works on, within
// its bound. The errors hold no password. It may be called by several goroutines at
// once.
func WithErrorLog(f func(error)) Option {
	return func(s *Source) error {
		if f == nil {
			return errors.New("pgnotify: WithErrorLog: the function is nil")
		}
		s.errorLog = f
		return nil
	}
}

// New reads a URL, "postgres://user@host/database", or the other form that
// libpq has, "host=... user=...". It connects nowhere yet.
func New(url string, options ...Option) (*Source, error) {
	s := &Source{errorLog: func(error) {}}
	var faults []error
	if url == "" {
		faults = append(faults, errors.New("pgnotify: the URL is empty"))
	}
	var err error
	if s.cfg, err = pgx.ParseConfig(url); err != nil {
		// What it says can hold the password.
		faults = append(faults, errors.New("pgnotify: the URL cannot be read"))
	}
	for _, o := range options {
		if o == nil {
			faults = append(faults, errors.New("pgnotify: an option is nil"))
			continue
		}
		faults = append(faults, o(s))
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	s.setDefaults()
	return s, nil
}

// setDefaults leaves alone what the URL says, or PGCONNECT_TIMEOUT and the like.
func (s *Source) setDefaults() {
	if s.cfg.ConnectTimeout == 0 {
		s.cfg.ConnectTimeout = patience // for each host that the URL names
	}
	if s.cfg.RuntimeParams["application_name"] == "" {
		s.cfg.RuntimeParams["application_name"] = "pgnotify"
	}
}

const (
	heartbeat = 10 * time.Second // between two signs of life
	patience  = 2 * time.Second  // for each answer
	shortest  = 100 * time.Millisecond
	longest   = 2 * time.Second // between two attempts to connect
)

// Subscribe calls invalidate for each account whose credentials have changed, until
// ctx ends, and then returns the reason. It calls lost when something may have been
// missed. It connects again by itself. Neither function is called after it has returned.
func (s *Source) Subscribe(ctx context.Context, invalidate func(kind auth.Kind, userID string), lost func()) error {
	if invalidate == nil || lost == nil {
		return errors.New("pgnotify: Subscribe: a function is nil")
	}
	for pause := shortest; ; {
		began := time.Now()
		stood, err := s.listen(ctx, invalidate, lost)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if stood {
			lost()
		}
		// One that broke at once is as good as none: each empties the cache.
		if stood && time.Since(began) >= heartbeat {
			pause = shortest
		}
		s.report(err)
		if !sleep(ctx, jitter(pause)) {
			return context.Cause(ctx)
		}
		pause = min(2*pause, longest)
	}
}

// listen returns when its connection has broken, and whether it had stood.
func (s *Source) listen(ctx context.Context, invalidate func(auth.Kind, string), lost func()) (stood bool, err error) {
	l, err := s.connect(ctx)
	if err != nil {
		return false, err
	}
	defer l.close()
	lost() // after LISTEN, so that nothing falls between
	if err := l.checkTriggers(ctx); err != nil && ctx.Err() == nil {
		s.report(err) // and listen on: where the connection is to blame, that shows
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

// parse reads what a trigger has sent: a kind, a space and a user ID.
func parse(payload string) (kind auth.Kind, userID string, ok bool) {
	digit, userID, ok := strings.Cut(payload, " ")
	if !ok || len(digit) != 1 || digit < "1" || digit > "3" || userID == "" {
		return 0, "", false
	}
	return auth.Kind(digit[0] - '0'), userID, true
}

// jitter keeps many processes from coming back at the same instant.
func jitter(d time.Duration) time.Duration { return d/2 + rand.N(d/2) }

func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
