package pgnotify

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/seed-31c5bcb2/auth"
)

const (
	heartbeat     = 10 * time.Second       // between two checks of a connection
	minPause      = 100 * time.Millisecond // between two attempts to connect
	maxPause      = 2 * time.Second
	unclearPause  = 5 * time.Second // between two calls of lost for notifications that name no user
	reportPause   = time.Minute     // between two reports of one problem of a working connection
	fullQueue     = 0.25            // sqlstore's triggers skip their notifications above 0.5
	unknownChange = "0 "            // what sqlstore's triggers send if they cannot name the user
)

// A subscriber is a call of Subscribe.
type subscriber struct {
	source     *Source
	invalidate func(kind auth.Kind, userID string)
	lost       func()
	hook       chan struct{} // has an element while BeforeConnect runs

	unclear    throttle // of notifications that name no user
	foreign    bool     // whether a notification is to be reported that sqlstore does not send
	queueFull  bool     // at the last check
	nextReport map[error]time.Time
}

// Subscribe calls invalidate for each user whose credentials have changed, and lost
// whenever a notification may have been missed. It reconnects by itself. It blocks
// until ctx is done, and returns the cause; neither function is called afterwards.
// It returns an error at once if a function is nil.
func (s *Source) Subscribe(ctx context.Context, invalidate func(kind auth.Kind, userID string), lost func()) error {
	if invalidate == nil || lost == nil {
		return errors.New("pgnotify: Subscribe: a function is nil")
	}
	sub := &subscriber{
		source: s, invalidate: invalidate, lost: lost, hook: make(chan struct{}, 1), nextReport: make(map[error]time.Time),
	}
	for pause := minPause; ; {
		began := time.Now()
		connected, err := sub.listen(ctx)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if connected {
			sub.lost()
		}
		// A short-lived connection does not reset the pause: each one clears the cache.
		if connected && time.Since(began) >= heartbeat {
			pause = minPause
		}
		sub.report(err)
		if !sleep(ctx, jitter(pause)) {
			return context.Cause(ctx)
		}
		pause = min(2*pause, maxPause)
	}
}

// listen returns when its connection is lost, and whether there was one.
func (s *subscriber) listen(ctx context.Context) (connected bool, err error) {
	l, err := s.connect(ctx)
	if err != nil {
		return false, err
	}
	defer l.close()
	s.lost() // after LISTEN, so that there is no gap
	// After an error of these checks, it keeps listening: if the connection is broken, wait
	// returns an error.
	if err := l.checkTriggers(ctx); err != nil && ctx.Err() == nil {
		s.report(err)
	}
	s.checkQueue(ctx, l)
	for check := time.Now().Add(heartbeat); ; {
		err := l.wait(ctx, s.unclear.earlier(check))
		s.reportForeign()
		if err != nil {
			return true, err
		}
		if s.unclear.due(time.Now()) {
			s.lost()
		}
		if time.Now().Before(check) {
			continue
		}
		err = l.check(ctx)
		s.reportForeign()
		if err != nil {
			return true, err
		}
		s.checkQueue(ctx, l)
		check = time.Now().Add(heartbeat)
	}
}

var errForeign = errors.New("a notification arrived that sqlstore does not send: another role uses the channel auth_invalidations")

// receive is called for each notification as soon as it is read, even if what is awaited is
// the answer to a query. pgx would keep it in memory, without a bound, and drop it with the
// connection. receive does not call ErrorLog, which may block. It does not call lost for each
// notification that names no user: any role may send thousands of them.
func (s *subscriber) receive(payload string) {
	kind, userID, ok := parse(payload)
	if ok {
		s.invalidate(kind, userID)
		return
	}
	if payload != unknownChange {
		s.foreign = true
	}
	if s.unclear.allow(time.Now()) {
		s.lost()
	}
}

func (s *subscriber) reportForeign() {
	if s.foreign {
		s.foreign = false
		s.reportRarely(errForeign, errForeign)
	}
}

var errFullQueue = errors.New("a session that listens does not read; above half, sqlstore's triggers skip their notifications")

// checkQueue calls lost while the queue fills, and once more when it is empty again: the
// triggers may have skipped notifications until then.
func (s *subscriber) checkQueue(ctx context.Context, l *listener) {
	usage, err := l.queueUsage(ctx)
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		s.reportRarely(errNoUsage, fmt.Errorf("%w: %w", errNoUsage, err))
		return
	}
	full := usage > fullQueue
	if full {
		s.reportRarely(errFullQueue, fmt.Errorf("the server's queue of notifications is %.0f%% full: %w", 100*usage, errFullQueue))
	}
	if full || s.queueFull {
		s.lost()
	}
	s.queueFull = full
}

func (s *subscriber) report(err error) { s.source.errorLog(fmt.Errorf("pgnotify: %w", err)) }

// reportRarely reports each kind of error at most once per reportPause.
func (s *subscriber) reportRarely(kind, err error) {
	now := time.Now()
	if now.Before(s.nextReport[kind]) {
		return
	}
	s.nextReport[kind] = now.Add(reportPause)
	s.report(err)
}

// A throttle lets the first of many events through at once, and one more when
// unclearPause has passed, so that none remains without effect.
type throttle struct {
	next    time.Time // zero if there was no event
	pending bool
}

// allow reports whether an event has an effect now.
func (t *throttle) allow(now time.Time) bool {
	if now.Before(t.next) {
		t.pending = true
		return false
	}
	t.next, t.pending = now.Add(unclearPause), false
	return true
}

// due reports whether an earlier event has its effect now.
func (t *throttle) due(now time.Time) bool { return t.pending && t.allow(now) }

// earlier returns at, or the time when an event is due if that is earlier.
func (t *throttle) earlier(at time.Time) time.Time {
	if t.pending && t.next.Before(at) {
		return t.next
	}
	return at
}

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
