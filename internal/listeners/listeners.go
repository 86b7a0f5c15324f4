// Package listeners keeps the functions that a store calls when credentials have changed:
// those of auth.Notifier. No lock is held while they are called, so that a function that
// blocks delays neither changes by other goroutines nor the stop of another function.
package listeners

import (
	"context"
	"slices"
	"sync"
	"time"
)

// StopTimeout bounds how long the stop of a function waits for its calls. Functions never
// block, so that it passes only if one does nevertheless, or calls its own stop.
const StopTimeout = 5 * time.Second

// A List is a list of functions. The zero value is an empty list. It is safe for concurrent
// use. K is auth.Kind, which this package cannot import.
type List[K any] struct {
	mu     sync.Mutex
	all    []*listener[K] // replaced by each change
	closed bool
}

// Add adds a function, unless the list is closed. Calls that begin after Add has returned
// call it.
//
// stop removes it, and waits for calls in progress: after stop has returned, f is not
// called anymore. It may be called more than once. If a call does not end within
// StopTimeout, for example because stop was called by f itself, stop returns nevertheless.
// No other call begins meanwhile.
func (l *List[K]) Add(f func(kind K, userID string)) (stop func(), ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, false
	}
	added := &listener[K]{f: f, idle: make(chan struct{})}
	l.all = append(slices.Clip(l.all), added)
	return func() {
		l.remove(added)
		ctx, cancel := context.WithTimeout(context.Background(), StopTimeout)
		defer cancel()
		added.stop(ctx)
	}, true
}

func (l *List[K]) remove(removed *listener[K]) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = slices.DeleteFunc(slices.Clone(l.all), func(other *listener[K]) bool { return other == removed })
}

// Call calls all functions.
func (l *List[K]) Call(kind K, userID string) {
	l.mu.Lock()
	all := l.all
	l.mu.Unlock()
	for _, listener := range all {
		listener.call(kind, userID)
	}
}

// Close removes all functions and makes Add return false. It reports whether all calls in
// progress have ended before ctx. No other call begins, either way.
func (l *List[K]) Close(ctx context.Context) bool {
	l.mu.Lock()
	all := l.all
	l.all, l.closed = nil, true
	l.mu.Unlock()
	for _, listener := range all {
		listener.forbid()
	}
	ended := true
	for _, listener := range all {
		ended = listener.stop(ctx) && ended
	}
	return ended
}

// A listener is a function, and the state of its calls.
type listener[K any] struct {
	f func(kind K, userID string)

	mu      sync.Mutex
	calls   int // in progress
	stopped bool
	idle    chan struct{} // closed when it is stopped and no call is in progress
}

func (l *listener[K]) call(kind K, userID string) {
	if !l.begin() {
		return
	}
	defer l.end()
	l.f(kind, userID)
}

func (l *listener[K]) begin() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopped {
		return false
	}
	l.calls++
	return true
}

func (l *listener[K]) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.calls--; l.stopped && l.calls == 0 {
		close(l.idle)
	}
}

// forbid lets no other call begin.
func (l *listener[K]) forbid() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.stopped && l.calls == 0 {
		close(l.idle)
	}
	l.stopped = true
}

// stop reports whether the calls in progress have ended before ctx.
func (l *listener[K]) stop(ctx context.Context) bool {
	l.forbid()
	select {
	case <-l.idle:
		return true
	default:
	}
	select {
	case <-l.idle:
		return true
	case <-ctx.Done():
		return false
	}
}
