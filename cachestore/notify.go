package cachestore

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/internal/listeners"
)

// A source is where the Store learns of changes by other processes: Invalidations, or
// the store behind if that is an auth.Notifier, or nothing.
type source struct {
	cancel context.CancelFunc
	done   chan struct{} // closed when the goroutine that subscribes has ended

	start  sync.Mutex // held during Notify of the store behind, which may block
	mu     sync.Mutex
	stop   func() // of the store behind; nil without one
	closed bool
}

var errClosed = errors.New("cachestore: the Store is closed")

// Notify implements auth.Notifier. f is called for changes through this Store as soon as
// the store behind it has returned, and for those by other processes when Invalidations,
// or the store behind if that is an auth.Notifier, reports them. If changes may have been
// missed, f is called with a zero kind. Without either source, Notify returns an error
// that wraps [errors.ErrUnsupported]. A panic of f is recovered. After Close, f is not called
// anymore, and Notify returns an error.
func (s *Store) Notify(f func(kind auth.Kind, userID string)) (stop func(), err error) {
	if f == nil {
		return nil, errors.New("cachestore: Notify: the function is nil")
	}
	if err := s.subscribeBehind(); err != nil {
		return nil, err
	}
	stop, ok := s.listeners.Add(func(kind auth.Kind, userID string) {
		// A panic would fail a revocation that was made, or keep the other functions from
		// being called.
		defer func() { _ = recover() }()
		f(kind, userID)
	})
	if !ok {
		return nil, errClosed
	}
	return stop, nil
}

// changed marks what was changed, and calls the functions of Notify afterwards, so that
// a Lookup already sees the change.
func (s *Store) changed(kind auth.Kind, userID string) {
	if kind == 0 {
		s.missed()
		return
	}
	s.versions.changeUser(kind, userID)
	s.listeners.Call(kind, userID)
}

// missed is called if any credential may have been changed.
func (s *Store) missed() {
	s.versions.changeAll()
	s.listeners.Call(0, "")
}

// subscribe keeps a subscription to the source of changes, if there is one, until Close.
func (s *Store) subscribe() {
	var ctx context.Context
	ctx, s.source.cancel = context.WithCancel(context.Background())
	s.source.done = make(chan struct{})
	attempt := func() (again bool) {
		s.receive(ctx)
		s.missed()
		return true
	}
	if s.cfg.Invalidations == nil {
		if !temporary(s.subscribeBehind()) {
			close(s.source.done)
			return
		}
		attempt = s.retryBehind
	}
	go func() {
		defer close(s.source.done)
		again := s.cfg.Invalidations == nil || attempt()
		for again && pause(ctx) {
			again = attempt()
		}
	}()
}

// pause returns false if ctx ends first.
func pause(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(time.Second):
		return true
	}
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

// retryBehind reports whether to try again. It recovers a panic of the store's Notify,
// which would end the process.
func (s *Store) retryBehind() (again bool) {
	defer func() { _ = recover() }()
	return temporary(s.subscribeBehind())
}

// temporary reports whether subscribeBehind may succeed later. Until then, MaxStale applies.
func temporary(err error) bool {
	return err != nil && !errors.Is(err, errors.ErrUnsupported) && !errors.Is(err, errClosed)
}

// subscribeBehind asks the store behind for its changes, if there are no Invalidations
// and it has not agreed before.
func (s *Store) subscribeBehind() error {
	if s.cfg.Invalidations != nil {
		return nil
	}
	notifier, ok := s.store.(auth.Notifier)
	if !ok {
		return fmt.Errorf("cachestore: without Invalidations, changes by other processes are unknown: %w", errors.ErrUnsupported)
	}
	s.source.start.Lock()
	defer s.source.start.Unlock()
	if done, err := s.source.state(); done || err != nil {
		return err
	}
	stop, err := notifier.Notify(s.changed)
	if err != nil {
		return fmt.Errorf("cachestore: the store behind: %w", err)
	}
	if !s.source.set(stop) {
		stop()
		return errClosed
	}
	s.versions.changeAll() // what changed before was not reported
	return nil
}

// state returns whether the store behind reports its changes, or an error after Close.
func (src *source) state() (subscribed bool, err error) {
	src.mu.Lock()
	defer src.mu.Unlock()
	if src.closed {
		return false, errClosed
	}
	return src.stop != nil, nil
}

// set reports whether stop will be called by Close.
func (src *source) set(stop func()) bool {
	src.mu.Lock()
	defer src.mu.Unlock()
	if !src.closed {
		src.stop = stop
	}
	return !src.closed
}

// close returns a channel that is closed when the source has ended.
func (src *source) close() <-chan struct{} {
	src.cancel()
	src.mu.Lock()
	defer src.mu.Unlock()
	stop := src.stop
	src.stop, src.closed = nil, true
	if stop == nil {
		return src.done
	}
	ended := make(chan struct{})
	go func() { // stop may block
		defer close(ended)
		stop()
		<-src.done
	}()
	return ended
}

// closeTimeout bounds how long Close waits.
const closeTimeout = listeners.StopTimeout

// Close ends the subscription to Invalidations or to the store behind, and returns when it
// has ended. It returns an error after 5 seconds, for example if Subscribe ignores its
// context or a function of Notify blocks. Either way, what is reported afterwards has no
// effect, and no call of a function of Notify begins. The Store keeps working, within
// MaxStale, and the store behind it stays open. Close may be called more than once.
func (s *Store) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	ended := s.source.close()
	if !s.listeners.Close(ctx) {
		return fmt.Errorf("cachestore: Close: a function of Notify did not return within %v", closeTimeout)
	}
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
	}
	if s.cfg.Invalidations == nil {
		return fmt.Errorf("cachestore: Close: Notify of the store behind, a %T, or its stop, did not return within %v", s.store, closeTimeout)
	}
	return fmt.Errorf("cachestore: Close: Subscribe of the Invalidations, a %T, did not return within %v", s.cfg.Invalidations, closeTimeout)
}
