// Package cachestore puts a cache in front of any auth.Store, so that a request
// with a credential that was seen within the last seconds asks no database.
//
//	store, err := cachestore.New(store, cachestore.Config{})
//
// # What it guarantees
//
//   - A revocation or rotation through this Store holds for the next request in
//     this process. One by another process holds after [Config].MaxStale at the
//     latest, 5 seconds by default; with [Config].Invalidations as soon as those
//     tell of it, and within MaxStale when they fail.
//   - A lookup that was under way while a credential was revoked does not put it
//     back, and is not what a later request gets.
//   - No entry outlives MaxStale or the credential's own expiry.
//   - An outage of the store is never cached, and never hides a revocation: known
//     credentials are served to the end of MaxStale, and then refused with a 503.
//   - Unknown credentials have a small cache of their own. However many are tried,
//     they push no known one out, and memory stays bounded.
//   - Of many requests that miss the same credential at once, one asks the store, and
//     one more if something changes meanwhile, or if that takes as long as MaxStale. It
//     goes on while anybody waits for it, and ends with the last of them.
//
// Only Lookup is cached. A token that another process imports can stay unknown
// here for MaxStale, if it was tried before.
//
// # How it was tested
//
// The suite in storetest runs over it, alone and in front of SQLite, PostgreSQL and
// MariaDB. Each promise above is attacked with the race detector on: a thousand
// misses at once, lookups under way while their credential is revoked, stores that
// hang, panic or end their goroutine, a million guesses, a source of invalidations
// that fails. Two servers on one database were watched over 10,000 revocations: with
// pgnotify 99 of 100 were refused by the other within 4 ms, and all within 15 ms;
// without it none was served for more than 5 s.
//
// # What it costs
//
// A hit allocates nothing and takes 0.07 us, also at a million records in the
// database behind, and 0.03 us on two cores (BenchmarkStore in internal/integration);
// one of auth.MemoryStore takes 0.02 us at a thousand (BenchmarkLookup). A miss costs
// the store's own lookup and 7 us. All else costs what the store behind does. An
// entry takes about half a kilobyte.
package cachestore

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/seed-31c5bcb2/auth"
)

// Config changes the defaults. The zero value has them all.
type Config struct {
	// MaxStale is how long what another process revokes may be served here: 0 is
	// 5 seconds, and 30 seconds are the most, since last uses come as late and
	// idle sessions end by them.
	MaxStale time.Duration

	// Capacity is how many known credentials are kept; 0 is 100,000. One takes
	// about half a kilobyte.
	Capacity int

	// UnknownCapacity is how many refused ones are remembered; 0 is 10,000.
	UnknownCapacity int

	// Timeout bounds each lookup in the store behind; 0 is 2 seconds. A store with
	// a shorter one of its own keeps that.
	Timeout time.Duration

	// Invalidations tells of what other processes revoke; nil leaves it to MaxStale.
	Invalidations Invalidations
}

// Invalidations is a source of news: package pgnotify is one for PostgreSQL.
type Invalidations interface {
	// Subscribe calls invalidate for each credential of a user that any process
	// has revoked, rotated or changed, until ctx ends. It calls lost whenever it
	// may have missed one: when its connection breaks, and when it stands, for the
	// first time or again. It reconnects by itself; where it returns earlier, with
	// whatever error, it is called again after a second.
	//
	// Both functions are safe for concurrent use, quick, and never block.
	Subscribe(ctx context.Context, invalidate func(kind auth.Kind, userID string), lost func()) error
}

// A Store is an auth.Store in front of another one. It is made by [New] and safe
// for concurrent use.
type Store struct {
	store auth.Store
	cfg   Config

	known   *otter.Cache[auth.Digest, entry]
	unknown *otter.Cache[question, refusal]
	marks   marks
	flights flights

	started time.Time // entries end by the monotonic clock
	end     context.CancelFunc
	ended   chan struct{} // closed when nothing runs any more
}

var _ auth.Store = (*Store)(nil)

// New returns a Store in front of store, which stays the caller's. It starts a
// goroutine only for cfg.Invalidations.
func New(store auth.Store, cfg Config) (*Store, error) {
	if err := errors.Join(notNil("the store", store), cfg.check()); err != nil {
		return nil, err
	}
	cfg.setDefaults()
	known, errKnown := otter.New(&otter.Options[auth.Digest, entry]{MaximumSize: cfg.Capacity})
	unknown, errUnknown := otter.New(&otter.Options[question, refusal]{MaximumSize: cfg.UnknownCapacity})
	if err := errors.Join(errKnown, errUnknown); err != nil {
		return nil, fmt.Errorf("cachestore: %w", err)
	}
	ctx, end := context.WithCancel(context.Background())
	s := &Store{
		store: store, cfg: cfg, known: known, unknown: unknown, marks: newMarks(),
		flights: flights{all: make(map[question]*flight)},
		started: time.Now(), end: end, ended: make(chan struct{}),
	}
	if cfg.Invalidations == nil {
		close(s.ended)
		return s, nil
	}
	go s.listen(ctx)
	return s, nil
}

// notNil also refuses a nil pointer in an interface.
func notNil(name string, v any) error {
	if r := reflect.ValueOf(v); v == nil || (r.Kind() == reflect.Pointer || r.Kind() == reflect.Func) && r.IsNil() {
		return fmt.Errorf("cachestore: %s is nil", name)
	}
	return nil
}

const mostStale = 30 * time.Second

func (c *Config) check() error {
	var faults []error
	fault := func(bad bool, format string, args ...any) {
		if bad {
			faults = append(faults, fmt.Errorf("cachestore: "+format, args...))
		}
	}
	fault(c.MaxStale < 0 || c.MaxStale > mostStale, "MaxStale: %v is not between 0 and %v", c.MaxStale, mostStale)
	fault(c.Capacity < 0, "Capacity: %d is below 0", c.Capacity)
	fault(c.UnknownCapacity < 0, "UnknownCapacity: %d is below 0", c.UnknownCapacity)
	fault(c.Timeout < 0, "Timeout: %v is below 0", c.Timeout)
	if c.Invalidations != nil {
		faults = append(faults, notNil("Invalidations", c.Invalidations))
	}
	return errors.Join(faults...)
}

func (c *Config) setDefaults() {
	if c.MaxStale == 0 {
		c.MaxStale = 5 * time.Second
	}
	if c.Capacity == 0 {
		c.Capacity = 100_000
	}
	if c.UnknownCapacity == 0 {
		c.UnknownCapacity = 10_000
	}
	if c.Timeout == 0 {
		c.Timeout = 2 * time.Second
	}
}

// Close ends the subscription to Invalidations and waits until it has. The Store
// still works, within MaxStale, and the store behind it stays open.
func (s *Store) Close() error {
	s.end()
	<-s.ended
	return nil
}

// The changes mark what they may have changed after the store has answered, and
// whatever it has answered: after an error nobody knows what was done.

// Create implements auth.Store.
func (s *Store) Create(ctx context.Context, c auth.Credential, limit int) error {
	defer s.marks.digest(c.Digest)
	return s.store.Create(ctx, c, limit)
}

// Rotate implements auth.Store.
func (s *Store) Rotate(ctx context.Context, old auth.Ref, next auth.Credential, oldUntil time.Time) error {
	defer s.marks.digest(next.Digest)
	defer s.marks.account(old.Kind, old.UserID)
	return s.store.Rotate(ctx, old, next, oldUntil)
}

// Revoke implements auth.Store.
func (s *Store) Revoke(ctx context.Context, ref auth.Ref) error {
	defer s.marks.account(ref.Kind, ref.UserID)
	return s.store.Revoke(ctx, ref)
}

// RevokeAll implements auth.Store.
func (s *Store) RevokeAll(ctx context.Context, kind auth.Kind, userID string, except ...string) (int, error) {
	defer s.marks.account(kind, userID)
	return s.store.RevokeAll(ctx, kind, userID, except...)
}

// Get implements auth.Store. It asks the store behind, as List does.
func (s *Store) Get(ctx context.Context, ref auth.Ref) (auth.Credential, error) {
	return s.store.Get(ctx, ref)
}

// List implements auth.Store.
func (s *Store) List(ctx context.Context, kind auth.Kind, userID string, page auth.Page) ([]auth.Credential, error) {
	return s.store.List(ctx, kind, userID, page)
}

// Touch implements auth.Store.
func (s *Store) Touch(ctx context.Context, uses []auth.Use) error {
	if err := s.store.Touch(ctx, uses); err != nil {
		return err
	}
	for _, u := range uses {
		s.touched(u)
	}
	return nil
}

// touched shows a use in the entry that there is. To look it up anew would refuse
// a good credential, once a minute, where the store is out or has no connection to
// spare.
func (s *Store) touched(u auth.Use) {
	s.known.ComputeIfPresent(u.Digest, func(e entry) (entry, otter.ComputeOp) {
		at := u.At.UTC().Truncate(time.Microsecond)
		if e.c.Ref() != u.Ref || !at.After(e.c.LastUsedAt) {
			return e, otter.CancelOp
		}
		c := *e.c // requests may be reading the one that is there
		c.LastUsedAt = at
		e.c = &c
		return e, otter.WriteOp
	})
}

// Purge implements auth.Store.
func (s *Store) Purge(ctx context.Context, before time.Time) (int, error) {
	defer s.unknown.InvalidateAll() // what has expired is among them
	return s.store.Purge(ctx, before)
}

// listen keeps the subscription until ctx ends.
func (s *Store) listen(ctx context.Context) {
	defer close(s.ended)
	for {
		s.subscribe(ctx)
		s.marks.all()
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Second):
		}
	}
}

// subscribe recovers: nobody else could, and the process would end. Without news
// the bound holds.
func (s *Store) subscribe(ctx context.Context) {
	defer func() { _ = recover() }()
	_ = s.cfg.Invalidations.Subscribe(ctx, s.marks.account, s.marks.all)
}
