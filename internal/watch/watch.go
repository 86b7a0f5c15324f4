// Package watch asks repeatedly whether credentials are still valid, for auth.Watch. The
// watches of a store share a group, which runs the asks on a bounded number of goroutines and
// has none while no ask is due: an idle watch costs a timer.
package watch

import (
	"math/rand/v2"
	"time"
)

const (
	// MaxOutage is how long an answer may be missing before the watch ends.
	MaxOutage = 5 * time.Minute

	maxAsks    = 8 // of a group at a time
	firstRetry = time.Second
	maxRetry   = 30 * time.Second
)

// A Watched is what is asked about.
type Watched interface {
	// Ask returns whether the credential is valid now. It may block for a bounded time, and
	// must not panic.
	Ask() Answer
	// Expired is called when the credential has expired, at most once and without an Ask.
	Expired()
	// Unanswered is called after MaxOutage without an answer. err is the error of the last
	// Ask, or nil if none has returned.
	Unanswered(err error)
	// Rejected is called with the error of an Ask.
	Rejected(err error)
}

// An Answer is the result of an Ask.
type Answer struct {
	Err     error
	Unknown bool      // Err is an outage, which says nothing about the credential
	Expires time.Time // zero means never
	AskBy   time.Time // when the answer may change by itself; zero means never
}

// A Subject says which notifications concern a watch.
type Subject struct {
	Kind   uint8
	UserID string
}

// Options describe a watch.
type Options struct {
	Subject Subject
	Every   time.Duration // between two asks, at most
	Expires time.Time     // zero means never
}

type state uint8

const (
	idle   state = iota // the timer is set to askAt
	queued              // for an ask
	asking
)

// A Watch is one of a group. Its fields after group are guarded by group.mu.
type Watch struct {
	watched Watched
	subject Subject
	every   time.Duration
	group   *group

	timer      *time.Timer
	state      state
	urgent     bool // queued because of a notification
	again      bool // a notification has come during the ask, whose answer may be older
	ended      bool
	askAt      time.Time
	expires    time.Time
	unanswered time.Time // when the first ask without an answer was due; zero if there is none
	lastErr    error     // of that ask
	retry      time.Duration
}

// begin makes the first ask due. The caller holds g.mu.
func (g *group) begin(w *Watch) {
	w.timer = time.AfterFunc(time.Hour, w.tick)
	g.due(w, false)
}

// due queues an ask that begins later than the call. The caller holds g.mu.
func (g *group) due(w *Watch, urgent bool) {
	switch {
	case w.state == asking:
		w.again = true
		return
	case w.state == queued && (w.urgent || !urgent):
		return
	}
	now := time.Now()
	w.state, w.urgent = queued, urgent
	if w.unanswered.IsZero() {
		w.unanswered = now
	}
	g.enqueue(w, urgent)
	w.arm(now)
}

// arm sets the timer to what happens next. The caller holds group.mu.
func (w *Watch) arm(now time.Time) {
	var next time.Time
	if w.state == idle {
		next = w.askAt
	}
	if !w.unanswered.IsZero() {
		next = earlier(next, w.unanswered.Add(MaxOutage))
	}
	w.timer.Reset(earlier(next, w.expires).Sub(now))
}

// tick is called by the timer. It calls no store, so that a watch ends in time even if the
// store does not answer.
func (w *Watch) tick() {
	g := w.group
	g.mu.Lock()
	now, err := time.Now(), w.lastErr
	expired := reached(w.expires, now)
	ended := expired || !w.unanswered.IsZero() && reached(w.unanswered.Add(MaxOutage), now)
	switch {
	case w.ended:
		g.mu.Unlock()
		return
	case !ended:
		if w.state == idle && reached(w.askAt, now) {
			g.due(w, false)
		} else {
			w.arm(now)
		}
		g.mu.Unlock()
		return
	}
	g.mu.Unlock()
	switch {
	case !w.Remove():
	case expired:
		w.watched.Expired()
	default:
		w.watched.Unanswered(err)
	}
}

// settle takes the answer to an ask.
func (w *Watch) settle(a Answer) {
	if a.Err != nil && !a.Unknown {
		if w.Remove() {
			w.watched.Rejected(a.Err)
		}
		return
	}
	g := w.group
	g.mu.Lock()
	defer g.mu.Unlock()
	if w.ended {
		return
	}
	now := time.Now()
	w.state, w.lastErr = idle, a.Err
	if a.Unknown {
		w.retry = min(max(2*w.retry, firstRetry), maxRetry, w.every)
		w.askAt = now.Add(spread(w.retry))
	} else {
		w.retry, w.unanswered, w.expires = 0, time.Time{}, a.Expires
		w.askAt = earlier(now.Add(spread(w.every)), a.AskBy)
		if w.again {
			g.due(w, true)
			return
		}
	}
	w.arm(now)
}

// missed makes an ask due within the interval. The caller holds group.mu.
func (w *Watch) missed(now time.Time) {
	switch w.state {
	case asking:
		w.again = true
	case idle:
		w.askAt = earlier(w.askAt, now.Add(rand.N(w.every)))
		w.arm(now)
	}
}

// Remove ends the watch without a call. It returns false if it has ended before. It does not
// wait for an Ask in progress, whose answer is ignored.
func (w *Watch) Remove() bool { return w.group.registry.remove(w) }

// spread returns a duration of d or up to a quarter less, so that watches that began together
// do not ask together.
func spread(d time.Duration) time.Duration { return d - rand.N(d/4+1) }

func reached(t, now time.Time) bool { return !t.IsZero() && !now.Before(t) }

// earlier returns the earlier one. Zero means never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
