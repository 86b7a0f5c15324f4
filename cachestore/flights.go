package cachestore

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"time"

	"github.com/seed-31c5bcb2/auth"
)

// flights are the loads that are under way: one for each question.
type flights struct {
	mu  sync.Mutex
	all map[question]*flight
}

type flight struct {
	began   uint64          // by the clock of marks
	start   time.Duration   // by that of entries
	within  context.Context // what the store may take; over only after done is closed, too late, or left by all
	cancel  context.CancelFunc
	waiting int           // who still wants the answer; guarded by flights.mu
	done    chan struct{} // closed when the answer stands
	c       *auth.Credential
	err     error
}

// answer is that of one load, which may have begun before: see Store.ask.
func (s *Store) answer(ctx context.Context, q question) (*flight, error) {
	f := s.join(ctx, q)
	defer s.flights.leave(q, f)
	return f, f.wait(ctx)
}

// join returns the load of a question, and begins one where there is none. What
// it begins does not end with the request's context: others may wait for it as well.
func (s *Store) join(ctx context.Context, q question) *flight {
	fs := &s.flights
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if f, ok := fs.all[q]; ok {
		f.waiting++
		return f
	}
	within, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.Timeout)
	f := &flight{began: s.marks.now(), start: time.Since(s.started), within: within, cancel: cancel, waiting: 1, done: make(chan struct{}), err: errNoReturn}
	fs.all[q] = f
	go func() {
		defer cancel()
		defer fs.land(q, f)
		s.load(q, f)
	}()
	return f
}

// leave gives a load up that nobody waits for any more. Without it, requests with made-up
// credentials that are cancelled at once would leave a load each behind, and good ones
// would queue up for a connection behind them.
func (fs *flights) leave(q question, f *flight) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if f.waiting--; f.waiting == 0 {
		fs.remove(q, f) // nobody is to join what is given up
		f.cancel()
	}
}

// remove is called with fs.mu held.
func (fs *flights) remove(q question, f *flight) {
	if fs.all[q] == f {
		delete(fs.all, q)
	}
}

// wait returns an error of its own if there is no answer: not all stores keep to
// their context.
func (f *flight) wait(ctx context.Context) error {
	select {
	case <-f.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-f.within.Done():
	}
	select {
	case <-f.done:
		return nil
	default:
		return fmt.Errorf("cachestore: no answer from the store: %w", f.within.Err())
	}
}

var errNoReturn = errors.New("cachestore: the store's Lookup did not return")

// land recovers: nobody else could, and the process would end. The value of a
// panic is not told: it may be anything.
func (fs *flights) land(q question, f *flight) {
	if v := recover(); v != nil {
		f.c, f.err = nil, panicError(v)
	}
	fs.mu.Lock()
	fs.remove(q, f)
	fs.mu.Unlock()
	close(f.done)
}

func panicError(v any) error {
	if err, ok := v.(runtime.Error); ok {
		return fmt.Errorf("cachestore: Lookup panicked: %w\n%s", err, debug.Stack())
	}
	return fmt.Errorf("cachestore: Lookup panicked with a %T\n%s", v, debug.Stack())
}
