package cachestore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/seed-31c5bcb2/auth"
)

// A source is where the Store learns of changes by other processes: Invalidations, or
// the store behind if that is an auth.Notifier, or nothing.
type source struct {
	cancel context.CancelFunc
	done   chan struct{} // closed when the subscription to Invalidations has ended

	mu     sync.Mutex
	stop   func() // of the store behind; nil without one
	closed bool
}

// listeners are the functions of Notify.
type listeners struct {
	mu     sync.RWMutex
	all    []*listener
	closed bool
}

type listener struct {
	f func(kind auth.Kind, userID string)
}

// call calls all functions. It holds the lock meanwhile, so that no function is called
// after its stop has returned.
func (l *listeners) call(kind auth.Kind, userID string) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	for _, listener := range l.all {
		listener.call(kind, userID)
	}
}

// call recovers a panic, which would fail a revocation that was made, or keep the other
// functions from being called.
func (l *listener) call(kind auth.Kind, userID string) {
	defer func() { _ = recover() }()
	l.f(kind, userID)
}

var errClosed = errors.New("cachestore: the Store is closed")

// Notify implements auth.Notifier. f is called for changes through this Store as soon as
// the store behind it has returned, and for those by other processes when Invalidations,
// or the store behind if that is an auth.Notifier, reports them. If changes may have been
// missed, f is called with a zero kind. Without either source, Notify returns an error
// that wraps [errors.ErrUnsupported]. f must not call stop. After Close, f is not called
// anymore, and Notify returns an error.
func (s *Store) Notify(f func(kind auth.Kind, userID string)) (stop func(), err error) {
	if f == nil {
		return nil, errors.New("cachestore: Notify: the function is nil")
	}
	if err := s.subscribeBehind(); err != nil {
		return nil, err
	}
	added := &listener{f}
	l := &s.listeners
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, errClosed
	}
	l.all = append(l.all, added)
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.all = slices.DeleteFunc(l.all, func(other *listener) bool { return other == added })
	}, nil
}

// changed marks what was changed, and calls the functions of Notify afterwards, so that
// a Lookup already sees the change.
func (s *Store) changed(kind auth.Kind, userID string) {
	if kind == 0 {
		s.missed()
		return
	}
	s.versions.changeUser(kind, userID)
	s.listeners.call(kind, userID)
}

// missed is called if any credential may have been changed.
func (s *Store) missed() {
	s.versions.changeAll()
	s.listeners.call(0, "")
}

// subscribe keeps a subscription to the source of changes, if there is one, until Close.
func (s *Store) subscribe() {
	var ctx context.Context
	ctx, s.source.cancel = context.WithCancel(context.Background())
	s.source.done = make(chan struct{})
	if s.cfg.Invalidations == nil {
		close(s.source.done)
		_ = s.subscribeBehind() // without it, MaxStale applies
		return
	}
	go func() {
		defer close(s.source.done)
		for ctx.Err() == nil {
			s.receive(ctx)
			s.missed()
			select {
			case <-ctx.Done():
			case <-time.After(time.Second):
			}
		}
	}()
}

// receive recovers panics of Invalidations, which would end the process. Without
// notifications, MaxStale applies.
func (s *Store) receive(ctx context.Context) {
	defer func() { _ = recover() }()
	unlessClosed := func(f func()) {
		if ctx.Err() == nil {
			f()
		}
	}
	_ = s.cfg.Invalidations.Subscribe(ctx, func(kind auth.Kind, userID string) {
		unlessClosed(func() { s.changed(kind, userID) })
	}, func() { unlessClosed(s.missed) })
}

// subscribeBehind asks the store behind for its changes, if there are no Invalidations
// and it was not asked before. A call that failed is repeated by each Notify.
func (s *Store) subscribeBehind() error {
	if s.cfg.Invalidations != nil {
		return nil
	}
	s.source.mu.Lock()
	defer s.source.mu.Unlock()
	switch notifier, ok := s.store.(auth.Notifier); {
	case s.source.closed:
		return errClosed
	case s.source.stop != nil:
		return nil
	case !ok:
		return fmt.Errorf("cachestore: without Invalidations, changes by other processes are unknown: %w", errors.ErrUnsupported)
	default:
		stop, err := notifier.Notify(s.changed)
		if err != nil {
			return fmt.Errorf("cachestore: the store behind: %w", err)
		}
		s.source.stop = stop
		s.versions.changeAll() // what changed before was not reported
		return nil
	}
}

// closeTimeout bounds how long Close waits for Invalidations.
const closeTimeout = 5 * time.Second

// Close ends the subscription to Invalidations and returns when it has ended. If
// Subscribe ignores its context, Close returns an error after 5 seconds. Either way, what
// it reports afterwards has no effect, and the functions of Notify are not called anymore.
// The Store keeps working, within MaxStale, and the store behind it stays open. Close may
// be called more than once.
func (s *Store) Close() error {
	s.source.cancel()
	s.source.mu.Lock()
	stop := s.source.stop
	s.source.stop, s.source.closed = nil, true
	s.source.mu.Unlock()
	if stop != nil {
		stop()
	}
	s.listeners.mu.Lock()
	s.listeners.all, s.listeners.closed = nil, true
	s.listeners.mu.Unlock()
	timeout := time.NewTimer(closeTimeout)
	defer timeout.Stop()
	select {
	case <-s.source.done:
		return nil
	case <-timeout.C:
		return fmt.Errorf("cachestore: Close: Subscribe of the Invalidations, a %T, did not return within %v", s.cfg.Invalidations, closeTimeout)
	}
}
