package cachestore

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"

	"github.com/seed-31c5bcb2/auth"
)

// flights are the loads that are under way: one for each question.
type flights struct {
	mu  sync.Mutex
	all map[question]*flight
}

type flight struct {
	began  uint64
	within context.Context // what the store may take; over only after done is closed, or too late
	done   chan struct{}   // closed when the answer stands
	c      *auth.Credential
	err    error
}

// join returns the load of a question, and begins one where there is none. What
// it begins does not end with the request's context: others wait for it as well.
func (s *Store) join(ctx context.Context, q question) *flight {
	fs := &s.flights
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if f, ok := fs.all[q]; ok {
		return f
	}
	within, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.Timeout)
	f := &flight{began: s.marks.now(), within: within, done: make(chan struct{}), err: errNoReturn}
	fs.all[q] = f
	go func() {
		defer cancel()
		defer fs.land(q, f)
		s.load(q, f)
	}()
	return f
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
	delete(fs.all, q)
	fs.mu.Unlock()
	close(f.done)
}

func panicError(v any) error {
	if err, ok := v.(runtime.Error); ok {
		return fmt.Errorf("cachestore: Lookup panicked: %w\n%s", err, debug.Stack())
	}
	return fmt.Errorf("cachestore: Lookup panicked with a %T\n%s", v, debug.Stack())
}
