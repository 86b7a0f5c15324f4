// Package cachestore caches lookups of an auth.Store in memory, so that a request with
// a credential that was seen in the last few seconds needs no database query.
//
//	cached, err := cachestore.New(store, cachestore.Config{})
//
// # Guarantees
//
//   - A revocation, rotation or update through this Store takes effect for the next
//     request in this process. One by another process takes effect within [Config].MaxStale, 5
//     seconds by default. With [Config].Invalidations it takes effect as soon as the
//     notification arrives, and within MaxStale if notifications fail.
//   - A lookup that began before a revocation is neither cached nor returned to requests
//     that arrive after it.
//   - No entry outlives MaxStale or the expiry of its credential.
//   - Outages of the store are never cached and never hide a revocation: known
//     credentials are served for the rest of MaxStale, then rejected with 503.
//   - Unknown credentials have a small cache of their own. Lookups of unknown
//     credentials never evict known ones, and memory stays bounded.
//   - Concurrent misses for one credential cause one lookup in the store, and one more
//     if something changes meanwhile or the first takes as long as MaxStale. The lookup
//     is canceled when no request waits for it any longer.
//
// Notify reports changes by this process at once, and those by others when Invalidations
// do, or the store behind if that is an auth.Notifier. Then a Lookup already sees them.
//
// Only Lookup is cached. A token that another process imports can remain unknown here
// for MaxStale, if it was presented before. Invalidations do not report imports.
//
// # Testing
//
// The suite in storetest runs over it, alone and in front of SQLite, PostgreSQL and
// MariaDB. Tests with the race detector attack each guarantee: a thousand concurrent
// misses, lookups in progress while their credential is revoked, stores that hang,
// panic or end their goroutine, 200,000 guesses, an Invalidations that fails. In
// 10,000 revocations with two servers on one database and pgnotify, the other server
// rejected 99 of 100 within 4 ms and all within 15 ms; without pgnotify, all within 5 s.
//
// # Cost
//
// A hit does not allocate. It takes 0.07 us, even with a million records in the
// database behind, and 0.03 us on two cores (BenchmarkStore in internal/integration);
// a hit of auth.MemoryStore takes 0.02 us with a thousand (BenchmarkLookup). A miss adds
// 7 us to the lookup in the store. All other methods cost what the store's own cost.
// An entry takes about half a kilobyte. It is removed a few seconds after it expires,
// so that memory follows the number of credentials in use, up to the capacity. The cache
// keeps no goroutine except that of Invalidations, which Close ends, and one that asks a
// store behind for its changes until it has agreed.
package cachestore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/internal/listeners"
)

// Config configures a [Store]. The zero value is valid.
type Config struct {
	// MaxStale is how long a credential that another process has revoked may still be
	// served. Zero means 5 seconds. It is at most 30 seconds, because last-used times,
	// and therefore idle timeouts of sessions, lag by as much.
	MaxStale time.Duration

	// Capacity is the number of known credentials to keep, of about half a kilobyte
	// each. Zero means 100,000.
	Capacity int

	// UnknownCapacity is the number of unknown and expired credentials to remember.
	// Zero means 10,000.
	UnknownCapacity int

	// Timeout bounds each lookup in the store. Zero means 2 seconds. A shorter timeout
	// of the store itself still applies.
	Timeout time.Duration

	// Invalidations, if not nil, reports what other processes revoke. The Store
	// subscribes to it until Close. If nil, and the store behind the cache is an
	// auth.Notifier, the Store learns of changes from that. If its Notify returns an error
	// that does not wrap errors.ErrUnsupported, it is called again after a second.
	Invalidations Invalidations
}

// Invalidations reports revocations by other processes. Package pgnotify implements it
// for PostgreSQL.
type Invalidations interface {
	// Subscribe calls invalidate whenever any process has revoked, rotated or changed
	// a user's credentials of a kind. It calls lost whenever it may have missed a
	// change: when its connection is lost, and whenever it is established, including
	// the first time. It reconnects by itself and returns when ctx is done. If it
	// returns earlier, even without an error, it is called again after a second.
	//
	// Both functions are safe for concurrent use, fast, and never block. After Close they
	// have no effect.
	Subscribe(ctx context.Context, invalidate func(kind auth.Kind, userID string), lost func()) error
}

// A Store is an auth.Store that caches another one. Use [New] to create one. It is safe
// for concurrent use.
type Store struct {
	store auth.Store
	cfg   Config

	known    *otter.Cache[auth.Digest, entry]
	unknown  *otter.Cache[key, negative]
	expiry   expiry
	versions versions
	calls    calls

	listeners listeners.List[auth.Kind] // functions of Notify
	source    source                    // of changes by other processes

	started time.Time // expiry times count from here, by the monotonic clock
}

var (
	_ auth.Store    = (*Store)(nil)
	_ auth.Scanner  = (*Store)(nil)
	_ auth.Notifier = (*Store)(nil)
)

// New returns a Store that caches store. Closing store remains up to the caller. New
// starts a goroutine if cfg.Invalidations is set. Without them, it registers a function
// with store if that is an auth.Notifier, and starts a goroutine if that failed. It
// reports all faults of its arguments in one error.
func New(store auth.Store, cfg Config) (*Store, error) {
	if err := errors.Join(checkNotNil("the store", store), cfg.check()); err != nil {
		return nil, err
	}
	cfg.setDefaults()
	s := &Store{
		store: store, cfg: cfg, versions: newVersions(), calls: calls{byKey: make(map[key]*call)}, started: time.Now(),
	}
	if err := s.makeCaches(); err != nil {
		return nil, fmt.Errorf("cachestore: %w", err)
	}
	s.subscribe()
	return s, nil
}

// checkNotNil also rejects a nil pointer or function in an interface.
func checkNotNil(name string, v any) error {
	if r := reflect.ValueOf(v); v == nil || (r.Kind() == reflect.Pointer || r.Kind() == reflect.Func) && r.IsNil() {
		return fmt.Errorf("cachestore: %s is nil", name)
	}
	return nil
}

const maxMaxStale = 30 * time.Second

func (c *Config) check() error {
	var faults []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			faults = append(faults, fmt.Errorf("cachestore: "+format, args...))
		}
	}
	check(c.MaxStale >= 0 && c.MaxStale <= maxMaxStale, "MaxStale: %v is not between 0 and %v", c.MaxStale, maxMaxStale)
	check(c.Capacity >= 0, "Capacity: %d is negative", c.Capacity)
	check(c.UnknownCapacity >= 0, "UnknownCapacity: %d is negative", c.UnknownCapacity)
	check(c.Timeout >= 0, "Timeout: %v is negative", c.Timeout)
	if c.Invalidations != nil {
		faults = append(faults, checkNotNil("Invalidations", c.Invalidations))
	}
	return errors.Join(faults...)
}

func (c *Config) setDefaults() {
	c.MaxStale = cmp.Or(c.MaxStale, 5*time.Second)
	c.Capacity = cmp.Or(c.Capacity, 100_000)
	c.UnknownCapacity = cmp.Or(c.UnknownCapacity, 10_000)
	c.Timeout = cmp.Or(c.Timeout, 2*time.Second)
}

// The methods below mark what they may have changed after the store has returned, and
// even if it has returned an error: the change may have been made nevertheless. Functions
// of Notify are called after that.

// Create implements auth.Store.
func (s *Store) Create(ctx context.Context, c auth.Credential, limit int) error {
	defer s.versions.changeDigest(c.Digest)
	if c.Kind == auth.KindSecret { // which may revoke the user's expired one
		defer s.changed(c.Kind, c.UserID)
	}
	return s.store.Create(ctx, c, limit)
}

// Update implements auth.Store.
func (s *Store) Update(ctx context.Context, old, next auth.Credential) error {
	defer s.changed(old.Kind, old.UserID)
	return s.store.Update(ctx, old, next)
}

// Rotate implements auth.Store.
func (s *Store) Rotate(ctx context.Context, old, next auth.Credential, oldUntil time.Time) error {
	defer s.changed(old.Kind, old.UserID)
	defer s.versions.changeDigest(next.Digest)
	return s.store.Rotate(ctx, old, next, oldUntil)
}

// Revoke implements auth.Store.
func (s *Store) Revoke(ctx context.Context, ref auth.Ref) error {
	defer s.changed(ref.Kind, ref.UserID)
	return s.store.Revoke(ctx, ref)
}

// RevokeAll implements auth.Store.
func (s *Store) RevokeAll(ctx context.Context, kind auth.Kind, userID string, except ...string) (int, error) {
	defer s.changed(kind, userID)
	return s.store.RevokeAll(ctx, kind, userID, except...)
}

// Uncached returns the store behind the cache, for lookups that must not be answered by it:
// auth.Recheck and RevokePlaintext. Changes go through s.
func (s *Store) Uncached() auth.Store {
	if behind, ok := s.store.(interface{ Uncached() auth.Store }); ok {
		return behind.Uncached()
	}
	return s.store
}

// Get implements auth.Store. It is not cached.
func (s *Store) Get(ctx context.Context, ref auth.Ref) (auth.Credential, error) {
	return s.store.Get(ctx, ref)
}

// List implements auth.Store. It is not cached.
func (s *Store) List(ctx context.Context, kind auth.Kind, userID string, page auth.Page) ([]auth.Credential, error) {
	return s.store.List(ctx, kind, userID, page)
}

// Touch implements auth.Store.
func (s *Store) Touch(ctx context.Context, uses []auth.Use) error {
	if err := s.store.Touch(ctx, uses); err != nil {
		return err
	}
	for _, u := range uses {
		s.touchEntry(u)
	}
	return nil
}

// touchEntry updates the entry in place. Loading it again would, once a minute, reject
// a valid credential if the store is unavailable or has no free connection.
func (s *Store) touchEntry(u auth.Use) {
	s.known.ComputeIfPresent(u.Digest, func(e entry) (entry, otter.ComputeOp) {
		at := u.At.UTC().Truncate(time.Microsecond)
		if e.c.Ref() != u.Ref || !at.After(e.c.LastUsedAt) {
			return e, otter.CancelOp
		}
		c := *e.c // requests may be reading the old one
		c.LastUsedAt, c.LastUsedFrom = at, u.From
		e.c = &c
		return e, otter.WriteOp
	})
}

// Purge implements auth.Store. Each credential is loaded again afterwards: before may be in
// the future, or the clock of this process behind.
func (s *Store) Purge(ctx context.Context, before time.Time) (int, error) {
	if before.After(time.Now()) {
		defer s.missed()
	} else {
		defer s.versions.changeAll()
	}
	return s.store.Purge(ctx, before)
}

// Scan implements auth.Scanner, if the store behind the cache does. Otherwise it returns
// an error that wraps [errors.ErrUnsupported]. It is not cached.
func (s *Store) Scan(ctx context.Context, q auth.ScanQuery) (auth.ScanPage, error) {
	scanner, ok := s.store.(auth.Scanner)
	if !ok {
		return auth.ScanPage{}, fmt.Errorf("cachestore: the store behind is not an auth.Scanner: %w", errors.ErrUnsupported)
	}
	return scanner.Scan(ctx, q)
}
