// Package lastuse records when credentials were last used, without delaying requests:
// it collects uses and writes them in batches, at most once a minute for each
// credential. A use never replaces a later one. Exact uses, and uses whose write failed,
// are not lost while the process runs.
package lastuse

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// Interval is the least time between two writes for one credential.
	Interval = time.Minute

	timeout   = 10 * time.Second
	batchSize = 256
)

// A Use is a use of one credential, which is identified by Digest.
type Use struct {
	Kind       uint8
	UserID, ID string
	Digest     [32]byte
	At         time.Time
	From       netip.Addr // zero means unknown
}

// A Recorder writes at most one use a minute for each credential. If uses are exact, or a
// write failed, the latest use is kept and written when the minute is
// over, or by Close. The goroutine that writes ends when nothing is due, so an idle
// Recorder has none. Write must be set; otherwise the zero value is ready. All methods
// are safe for concurrent use.
type Recorder struct {
	// Write stores uses. It must not panic. If it returns errors.ErrUnsupported itself,
	// and not an error that wraps it, nothing is recorded anymore.
	Write func(context.Context, []Use) error

	// Lost, if not nil, is called after a write that failed and will be retried. Close does
	// not wait for it, so it may call Close. It is not called for writes that fail after Close
	// was called, which returns the error. It must not panic.
	Lost func(error)

	closed atomic.Bool // by Close, or because the store keeps no uses

	mu       sync.Mutex
	pending  map[[32]byte]*pendingUse
	due      []*pendingUse // to be written now
	waiting  []*pendingUse // until their minute is over, earliest first
	timer    *time.Timer   // calls flushDue while something is waiting
	flushing chan struct{} // not nil while a goroutine writes, which closes it at its end
	err      error         // of the last write
}

type pendingUse struct {
	Use
	unwritten bool      // At is later than what was written
	until     time.Time // the end of its minute, once it is waiting
}

// Fresh reports whether the last recorded use is so recent that a use now need not be
// recorded.
func Fresh(last, now time.Time) bool { return now.Before(last.Add(Interval)) }

// Record records a use at u.At. A use within a minute of one that is written is dropped,
// unless exact is set, as idle timeouts require. fresh means that the caller's record has a
// use within the last minute, so the first write waits.
func (r *Recorder) Record(u Use, fresh, exact bool) {
	if r.closed.Load() {
		return
	}
	now := u.At
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed.Load() {
		return // closed in the meantime
	}
	p := r.pending[u.Digest]
	if p == nil {
		p = &pendingUse{Use: u}
		p.At = time.Time{}
		if r.pending == nil {
			r.pending = make(map[[32]byte]*pendingUse)
		}
		r.pending[u.Digest] = p
		if fresh {
			r.schedule(p, now)
		} else {
			r.due = append(r.due, p)
		}
	} else if !exact && !p.unwritten && Fresh(p.At, now) {
		return // a use within the minute is written; the caller's record comes from a cache
	}
	if now.After(p.At) {
		// Round removes the monotonic clock, which stops while a machine sleeps.
		p.At, p.From, p.unwritten = now.Round(0), u.From, true
	}
	r.startLocked()
}

// Last returns the latest use of d that may not be written yet, or the zero Use.
func (r *Recorder) Last(d [32]byte) Use {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p := r.pending[d]; p != nil {
		return p.Use
	}
	return Use{}
}

// Close writes all pending uses and returns the error of the last write that failed, or
// ctx.Err() if ctx is done first. Later uses are not recorded. If Close returned an
// error, calling it again retries. When it returns nil, nothing is written anymore.
func (r *Recorder) Close(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed.Store(true)
	if r.timer != nil {
		r.timer.Stop()
	}
	for _, p := range r.waiting {
		if p.unwritten {
			r.due = append(r.due, p)
		}
	}
	r.waiting = nil
	r.err = nil // whatever failed is due again
	r.startLocked()
	for r.flushing != nil {
		if err := r.wait(ctx, r.flushing); err != nil {
			return err
		}
	}
	return r.err
}

// wait releases the lock until done is closed.
func (r *Recorder) wait(ctx context.Context, done <-chan struct{}) error {
	r.mu.Unlock()
	defer r.mu.Lock()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-done:
		return nil
	}
}

// Of the methods below, flush and flushDue lock r.mu, write does not need it, and the others
// are called with it held.

// startLocked starts the goroutine that writes, if it is needed and does not run.
func (r *Recorder) startLocked() {
	if len(r.due) > 0 && r.flushing == nil {
		r.flushing = make(chan struct{})
		go r.flush()
	}
}

// flush ends after a write that failed, and leaves the rest to another goroutine: Lost must
// not run on one that Close waits for.
func (r *Recorder) flush() {
	var lost error
	defer func() {
		if lost != nil && r.Lost != nil {
			r.Lost(lost)
		}
	}()
	r.mu.Lock()
	defer r.mu.Unlock()
	defer func() {
		close(r.flushing)
		r.flushing = nil
		r.startLocked()
	}()
	for len(r.due) > 0 && lost == nil {
		r.flushBatch(&lost)
	}
}

var errNoReturn = errors.New("auth: Store.Touch did not return")

// flushBatch releases the lock while the store writes. Its deferred calls also run if
// the store ends the goroutine (runtime.Goexit). It sets lost to an error that Lost reports.
func (r *Recorder) flushBatch(lost *error) {
	n := min(len(r.due), batchSize)
	taken := r.due[:n:n]
	r.due = r.due[n:]
	batch := make([]Use, n)
	for i, p := range taken {
		batch[i] = p.Use
		batch[i].At = p.At.UTC().Truncate(time.Microsecond)
		p.unwritten = false
	}
	err := errNoReturn
	defer func() {
		r.requeue(taken, err)
		if !r.closed.Load() {
			*lost = err
		}
	}()
	r.mu.Unlock()
	defer r.mu.Lock()
	err = r.write(batch)
}

// requeue makes uses wait for another minute, whether they were written or not: at once
// the store would only fail again.
func (r *Recorder) requeue(taken []*pendingUse, err error) {
	if err == errors.ErrUnsupported {
		r.closed.Store(true)
		r.pending, r.due, r.waiting = nil, nil, nil
		return
	}
	if err != nil {
		r.err = err
	}
	now := time.Now()
	for _, p := range taken {
		if r.closed.Load() && p.unwritten && err == nil {
			r.due = append(r.due, p) // used again during the write, and Close waits for it
			continue
		}
		p.unwritten = p.unwritten || err != nil
		r.schedule(p, now)
	}
}

func (r *Recorder) schedule(p *pendingUse, now time.Time) {
	p.until = now.Add(Interval)
	r.waiting = append(r.waiting, p)
	if len(r.waiting) == 1 && !r.closed.Load() {
		r.timer = time.AfterFunc(Interval, r.flushDue)
	}
}

// flushDue handles the uses whose minute is over. What was used in the meantime is due;
// the rest is removed, since it is written.
func (r *Recorder) flushDue() {
	r.mu.Lock()
	defer r.mu.Unlock()
	now, n := time.Now(), 0
	for ; n < len(r.waiting) && !now.Before(r.waiting[n].until); n++ {
		if p := r.waiting[n]; p.unwritten {
			r.due = append(r.due, p)
		} else {
			delete(r.pending, p.Digest)
		}
		r.waiting[n] = nil
	}
	r.waiting = r.waiting[n:]
	if len(r.waiting) > 0 && !r.closed.Load() {
		r.timer = time.AfterFunc(r.waiting[0].until.Sub(now), r.flushDue)
	}
	r.startLocked()
}

func (r *Recorder) write(batch []Use) error {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return r.Write(ctx, batch)
}

type ignoredKey struct{}

// Ignore returns a copy of ctx in which credentials are looked up without being used.
func Ignore(ctx context.Context) context.Context { return context.WithValue(ctx, ignoredKey{}, true) }

// Ignored reports whether ctx is from Ignore.
func Ignored(ctx context.Context) bool { return ctx.Value(ignoredKey{}) != nil }
