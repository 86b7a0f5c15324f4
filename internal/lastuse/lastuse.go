// Package lastuse records when credentials were last used, off the request path.
package lastuse

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// Interval is how often the last use of one credential is written at most.
	Interval = time.Minute

	timeout   = 10 * time.Second
	batchSize = 256
)

// A Use is one credential's last use.
type Use struct {
	Kind       uint8
	UserID, ID string
	Digest     [32]byte
	At         time.Time
}

// A Recorder writes at most one use a minute for each credential. If every use
// counts, or a write failed, the latest use in between is kept and written when
// the minute is over, or by Close. A goroutine writes, and ends when nothing is
// due: none stays behind an idle authenticator.
type Recorder struct {
	// Write stores uses. It does not panic. errors.ErrUnsupported itself, and not
	// an error that wraps it, ends the recording.
	Write func(context.Context, []Use) error

	off atomic.Bool // closed, or the store keeps no uses

	mu       sync.Mutex
	pending  map[[32]byte]*pendingUse
	due      []*pendingUse // to be written now
	waiting  []*pendingUse // to be looked at again, the earliest first
	timer    *time.Timer   // runs while something is waiting
	flushing chan struct{} // not nil while a goroutine writes; closed at its end
	err      error         // of the last write
}

type pendingUse struct {
	Use
	unwritten bool      // At is later than what the store has
	again     time.Time // when it is looked at again, once it is waiting
}

// Fresh reports whether a credential that was used at last needs no record of a
// use now.
func Fresh(last, now time.Time) bool { return now.Before(last.Add(Interval)) }

// Record notes a use at u.At. If exact, every use counts, as an idle timeout needs
// it; otherwise a use within a minute of a recorded one costs nothing. fresh says
// that the store's own record is less than a minute old.
func (r *Recorder) Record(u Use, fresh, exact bool) {
	if r.off.Load() {
		return
	}
	now := u.At
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.off.Load() {
		return // closed meanwhile: nobody waits for what came now
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
			r.wait(p, now)
		} else {
			r.due = append(r.due, p)
		}
	} else if !exact && !p.unwritten && (p.again.IsZero() || now.Before(p.again)) {
		return // written within the minute, and the caller has a cached record
	}
	if now.After(p.At) {
		// Without the monotonic clock, which stands still while a machine sleeps.
		p.At, p.unwritten = now.Round(0), true
	}
	r.startLocked()
}

// Last returns the last use of d that the store may not know of yet.
func (r *Recorder) Last(d [32]byte) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	if h := r.pending[d]; h != nil {
		return h.At
	}
	return time.Time{}
}

// Close writes all that is held, and returns what stood in the way. Uses that
// come later are not recorded. A second call does the same with what is left.
func (r *Recorder) Close(ctx context.Context) error {
	r.mu.Lock()
	r.off.Store(true)
	if r.timer != nil {
		r.timer.Stop()
	}
	for _, h := range r.waiting {
		if h.unwritten {
			r.due = append(r.due, h)
		}
	}
	r.waiting = nil
	r.err = nil // what failed so far is due again
	r.startLocked()
	done := r.flushing
	r.mu.Unlock()
	if done == nil {
		return nil
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-done:
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.err
	}
}

// startLocked starts the goroutine that writes, unless there is one or nothing to do.
func (r *Recorder) startLocked() {
	if len(r.due) > 0 && r.flushing == nil {
		r.flushing = make(chan struct{})
		go r.flush()
	}
}

func (r *Recorder) flush() {
	r.mu.Lock()
	defer r.mu.Unlock()
	defer func() {
		close(r.flushing)
		r.flushing = nil
	}()
	for len(r.due) > 0 {
		r.flushBatch()
	}
}

var errNoReturn = errors.New("auth: Store.Touch did not return")

// flushBatch gives up the lock while the store writes. What it defers puts things
// right also after a call that ends the goroutine (runtime.Goexit).
func (r *Recorder) flushBatch() {
	n := min(len(r.due), batchSize)
	taken := r.due[:n:n]
	r.due = r.due[n:]
	batch := make([]Use, n)
	for i, h := range taken {
		batch[i] = h.Use
		batch[i].At = h.At.UTC().Truncate(time.Microsecond)
		h.unwritten = false
	}
	err := errNoReturn
	defer func() { r.settle(taken, err) }()
	r.mu.Unlock()
	defer r.mu.Lock()
	err = r.write(batch)
}

// settle puts what was written, or could not be, back to wait: a use that
// failed is tried again in a minute, not at once, when the store is as ill.
func (r *Recorder) settle(taken []*pendingUse, err error) {
	if err == errors.ErrUnsupported {
		r.off.Store(true)
		r.pending, r.due, r.waiting = nil, nil, nil
		return
	}
	if err != nil {
		r.err = err
	}
	now := time.Now()
	for _, h := range taken {
		if r.off.Load() && h.unwritten && err == nil {
			r.due = append(r.due, h) // used once more meanwhile, and closing waits for it
			continue
		}
		h.unwritten = h.unwritten || err != nil
		r.wait(h, now)
	}
}

func (r *Recorder) wait(h *pendingUse, now time.Time) {
	h.again = now.Add(Interval)
	r.waiting = append(r.waiting, h)
	if len(r.waiting) == 1 && !r.off.Load() {
		r.timer = time.AfterFunc(Interval, r.tick)
	}
}

// tick takes up those whose minute is over: what was used meanwhile is due, the
// rest is forgotten, since the store has it.
func (r *Recorder) tick() {
	r.mu.Lock()
	defer r.mu.Unlock()
	now, n := time.Now(), 0
	for ; n < len(r.waiting) && !now.Before(r.waiting[n].again); n++ {
		if h := r.waiting[n]; h.unwritten {
			r.due = append(r.due, h)
		} else {
			delete(r.pending, h.Digest)
		}
		r.waiting[n] = nil
	}
	r.waiting = r.waiting[n:]
	if len(r.waiting) > 0 && !r.off.Load() {
		r.timer = time.AfterFunc(r.waiting[0].again.Sub(now), r.tick)
	}
	r.startLocked()
}

func (r *Recorder) write(batch []Use) error {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return r.Write(ctx, batch)
}
