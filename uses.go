package auth

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// useInterval is how often a credential's last use is written at the most.
	useInterval = time.Minute
	useTimeout  = 10 * time.Second
	useBatch    = 256
)

// uses records when credentials were last used, off the request path. Of each
// credential it writes one use a minute. Where each counts, or the store could not
// take one, the last that comes in between is held, and written when the minute is over
// or by close. A write is done by a goroutine that ends when nothing is due: none stays
// behind an idle authenticator.
type uses struct {
	store Store
	lost  func(context.Context, error) // told of writes that failed

	off atomic.Bool // closed, or the store keeps no uses

	mu       sync.Mutex
	held     map[Digest]*heldUse
	due      []*heldUse    // to be written now
	waiting  []*heldUse    // to be looked at again, the earliest first
	timer    *time.Timer   // runs while something is waiting
	flushing chan struct{} // not nil while a goroutine writes; closed at its end
	err      error         // of the last write
}

type heldUse struct {
	Use
	unwritten bool      // At is later than what the store has
	again     time.Time // when it is looked at again, once it is waiting
}

// record notes that c was used. With exact each use counts, as an idle timeout
// needs it; otherwise a use within a minute of a recorded one costs nothing.
func (u *uses) record(c *Credential, now time.Time, exact bool) {
	fresh := now.Before(c.LastUsedAt.Add(useInterval))
	if fresh && !exact || u.off.Load() {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.off.Load() {
		return // closed meanwhile: nobody waits for what came now
	}
	h := u.held[c.Digest]
	if h == nil {
		h = &heldUse{Use: Use{Ref: c.Ref(), Digest: c.Digest}}
		if u.held == nil {
			u.held = make(map[Digest]*heldUse)
		}
		u.held[c.Digest] = h
		if fresh {
			u.wait(h, now)
		} else {
			u.due = append(u.due, h)
		}
	} else if !exact && !h.unwritten && (h.again.IsZero() || now.Before(h.again)) {
		return // written within the minute, and c is a cached record that does not know
	}
	if now.After(h.At) {
		// Without the monotonic clock, which stands still while a machine sleeps.
		h.At, h.unwritten = now.Round(0), true
	}
	u.startLocked()
}

// last returns the last use of d that the store may not know of yet.
func (u *uses) last(d Digest) time.Time {
	u.mu.Lock()
	defer u.mu.Unlock()
	if h := u.held[d]; h != nil {
		return h.At
	}
	return time.Time{}
}

// close writes all that is held, and returns what stood in the way. Uses that
// come later are not recorded. A second call does the same with what is left.
func (u *uses) close(ctx context.Context) error {
	u.mu.Lock()
	u.off.Store(true)
	if u.timer != nil {
		u.timer.Stop()
	}
	for _, h := range u.waiting {
		if h.unwritten {
			u.due = append(u.due, h)
		}
	}
	u.waiting = nil
	u.err = nil // what failed so far is due again
	u.startLocked()
	done := u.flushing
	u.mu.Unlock()
	if done == nil {
		return nil
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-done:
		u.mu.Lock()
		defer u.mu.Unlock()
		return u.err
	}
}

// startLocked starts the goroutine that writes, unless there is one or nothing to do.
func (u *uses) startLocked() {
	if len(u.due) > 0 && u.flushing == nil {
		u.flushing = make(chan struct{})
		go u.flush()
	}
}

func (u *uses) flush() {
	u.mu.Lock()
	defer u.mu.Unlock()
	defer func() {
		close(u.flushing)
		u.flushing = nil
	}()
	for len(u.due) > 0 {
		u.flushBatch()
	}
}

var errNoReturn = errors.New("auth: Store.Touch did not return")

// flushBatch gives up the lock while the store writes. What it defers puts things
// right also after a call that ends the goroutine (runtime.Goexit).
func (u *uses) flushBatch() {
	n := min(len(u.due), useBatch)
	taken := u.due[:n:n]
	u.due = u.due[n:]
	batch := make([]Use, n)
	for i, h := range taken {
		batch[i] = h.Use
		batch[i].At = h.At.UTC().Truncate(time.Microsecond)
		h.unwritten = false
	}
	err := errNoReturn
	defer func() { u.settle(taken, err) }()
	u.mu.Unlock()
	defer u.mu.Lock()
	err = u.write(batch)
}

// settle puts what was written, or could not be, back to wait: a use that
// failed is tried again in a minute, not at once, when the store is as ill.
func (u *uses) settle(taken []*heldUse, err error) {
	if err == errors.ErrUnsupported {
		u.off.Store(true)
		u.held, u.due, u.waiting = nil, nil, nil
		return
	}
	if err != nil {
		u.err = err
	}
	now := time.Now()
	for _, h := range taken {
		if u.off.Load() && h.unwritten && err == nil {
			u.due = append(u.due, h) // used once more meanwhile, and closing waits for it
			continue
		}
		h.unwritten = h.unwritten || err != nil
		u.wait(h, now)
	}
}

func (u *uses) wait(h *heldUse, now time.Time) {
	h.again = now.Add(useInterval)
	u.waiting = append(u.waiting, h)
	if len(u.waiting) == 1 && !u.off.Load() {
		u.timer = time.AfterFunc(useInterval, u.tick)
	}
}

// tick takes up those whose minute is over: what was used meanwhile is due, the
// rest is forgotten, since the store has it.
func (u *uses) tick() {
	u.mu.Lock()
	defer u.mu.Unlock()
	now, n := time.Now(), 0
	for ; n < len(u.waiting) && !now.Before(u.waiting[n].again); n++ {
		if h := u.waiting[n]; h.unwritten {
			u.due = append(u.due, h)
		} else {
			delete(u.held, h.Digest)
		}
		u.waiting[n] = nil
	}
	u.waiting = u.waiting[n:]
	if len(u.waiting) > 0 && !u.off.Load() {
		u.timer = time.AfterFunc(u.waiting[0].again.Sub(now), u.tick)
	}
	u.startLocked()
}

// write is the one call of the store here. It returns the very
// errors.ErrUnsupported only for a store that keeps no uses: network errors can
// be one as well, by errors.Is.
func (u *uses) write(batch []Use) error {
	ctx, cancel := context.WithTimeout(context.Background(), useTimeout)
	defer cancel()
	err := u.touch(ctx, batch)
	if err != nil && err != errors.ErrUnsupported {
		u.tellLost(ctx, err)
	}
	return err
}

// touch recovers: nobody else could, and the process would end.
func (u *uses) touch(ctx context.Context, batch []Use) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = panicError("Store.Touch", v)
		}
	}()
	err = u.store.Touch(ctx, batch)
	if err != nil && isNil(err) {
		return errNilError
	}
	return err
}

// tellLost recovers for the same reason.
func (u *uses) tellLost(ctx context.Context, err error) {
	defer func() { _ = recover() }()
	u.lost(ctx, err)
}
