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

// calls are the lookups in progress in the store behind: at most one per key.
type calls struct {
	mu    sync.Mutex
	byKey map[key]*call
}

type call struct {
	version uint64          // when it began
	start   time.Duration   // when it began, since Store.started
	ctx     context.Context // of the lookup; ends after done is closed, by the timeout, or without waiters
	cancel  context.CancelFunc
	waiters int           // guarded by calls.mu
	done    chan struct{} // closed when c and err are set
	c       *auth.Credential
	err     error
}

// do returns the call for k when it is done. It may have begun earlier: see Store.load.
func (s *Store) do(ctx context.Context, k key) (*call, error) {
	c := s.join(ctx, k)
	defer s.calls.leave(k, c)
	return c, c.wait(ctx)
}

// join returns the call for k, and starts one if there is none. A call does not end
// with the context of the request that started it: other requests may wait for it.
func (s *Store) join(ctx context.Context, k key) *call {
	s.calls.mu.Lock()
	defer s.calls.mu.Unlock()
	if c, ok := s.calls.byKey[k]; ok {
		c.waiters++
		return c
	}
	c := &call{version: s.versions.now(), start: time.Since(s.started), waiters: 1, done: make(chan struct{}), err: errNoReturn}
	c.ctx, c.cancel = context.WithTimeout(context.WithoutCancel(ctx), s.cfg.Timeout)
	s.calls.byKey[k] = c
	go func() {
		defer c.cancel()
		defer s.calls.finish(k, c)
		s.fetch(k, c)
	}()
	return c
}

// leave cancels a call that has no waiters left. Otherwise, canceled requests with
// made-up credentials would each leave a lookup behind, and valid requests would have to
// queue for a connection behind those.
func (cs *calls) leave(k key, c *call) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if c.waiters--; c.waiters == 0 {
		cs.remove(k, c) // a canceled call must not be joined
		c.cancel()
	}
}

// remove must be called with cs.mu held.
func (cs *calls) remove(k key, c *call) {
	if cs.byKey[k] == c {
		delete(cs.byKey, k)
	}
}

// wait returns an error if the call is not done in time. It does not rely on the store
// to observe its context.
func (c *call) wait(ctx context.Context) error {
	select {
	case <-c.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-c.ctx.Done():
	}
	select {
	case <-c.done:
		return nil
	default:
		return fmt.Errorf("cachestore: no answer from the store: %w", c.ctx.Err())
	}
}

var errNoReturn = errors.New("cachestore: the store's Lookup did not return")

// finish recovers a panic of the store, which would end the process.
func (cs *calls) finish(k key, c *call) {
	if v := recover(); v != nil {
		c.c, c.err = nil, panicError(v)
	}
	cs.mu.Lock()
	cs.remove(k, c)
	cs.mu.Unlock()
	close(c.done)
}

// panicError contains the value of runtime errors only: any other may be a credential.
func panicError(v any) error {
	if err, ok := v.(runtime.Error); ok {
		return fmt.Errorf("cachestore: Lookup panicked: %w\n%s", err, debug.Stack())
	}
	return fmt.Errorf("cachestore: Lookup panicked with a %T\n%s", v, debug.Stack())
}
