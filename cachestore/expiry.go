package cachestore

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/seed-31c5bcb2/auth"
)

// An expiry removes entries that have expired, so that memory does not grow up to the
// capacity. It decides nothing: Lookup compares the time of each entry itself.
type expiry struct {
	now       clock
	scheduled atomic.Bool // whether cleanUp is
}

// A clock is the otter.Clock of the caches. It stands still until an entry is added, so
// that a hit does not read the time twice; and it does not tick, so that otter keeps no
// goroutine: it removes expired entries when others are added.
type clock struct{ nanos atomic.Int64 } // since Store.started

func (c *clock) NowNano() int64                      { return c.nanos.Load() }
func (c *clock) Tick(time.Duration) <-chan time.Time { return nil }

// advance never goes back.
func (c *clock) advance(to time.Duration) {
	for {
		now := c.nanos.Load()
		if int64(to) <= now || c.nanos.CompareAndSwap(now, int64(to)) {
			return
		}
	}
}

// makeCaches sets the caches.
func (s *Store) makeCaches() (err error) {
	var errUnknown error
	s.known, err = otter.New(&otter.Options[auth.Digest, entry]{
		MaximumSize: s.cfg.Capacity,
		Clock:       &s.expiry.now,
		ExpiryCalculator: otter.ExpiryWritingFunc(func(e otter.Entry[auth.Digest, entry]) time.Duration {
			return lifetime(e.Value.expires, e.SnapshotAtNano)
		}),
	})
	s.unknown, errUnknown = otter.New(&otter.Options[key, negative]{
		MaximumSize: s.cfg.UnknownCapacity,
		Clock:       &s.expiry.now,
		ExpiryCalculator: otter.ExpiryWritingFunc(func(e otter.Entry[key, negative]) time.Duration {
			return lifetime(e.Value.expires, e.SnapshotAtNano)
		}),
	})
	return errors.Join(err, errUnknown)
}

// lifetime is how long an entry that is added now stays. Otter takes nothing below 1.
func lifetime(expires time.Duration, now int64) time.Duration {
	return max(expires-time.Duration(now), 1)
}

// added must be called before an entry is added.
func (s *Store) added() {
	s.expiry.now.advance(time.Since(s.started))
	if s.expiry.scheduled.CompareAndSwap(false, true) {
		time.AfterFunc(s.cfg.MaxStale+wheelSlack, s.cleanUp)
	}
}

// wheelSlack is how much later than asked otter removes an entry.
const wheelSlack = 3 * time.Second

// cleanUp removes the entries that have expired when no more are added. It is called
// again as long as there are entries.
func (s *Store) cleanUp() {
	s.expiry.scheduled.Store(false)
	s.expiry.now.advance(time.Since(s.started))
	s.known.CleanUp()
	s.unknown.CleanUp()
	if s.known.EstimatedSize()+s.unknown.EstimatedSize() > 0 {
		s.added()
	}
}
