package storetest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-31c5bcb2/auth"
)

// noticeTimeout bounds the wait for a notification.
var noticeTimeout = 10 * time.Second

// A change is made by make, and then seen by lookups of c.
type change struct {
	make func() error
	c    auth.Credential
	seen func(found *auth.Credential, err error) bool
}

func superseded(found *auth.Credential, err error) bool { return err == nil && found.Superseded }

func gone(_ *auth.Credential, err error) bool { return errors.Is(err, auth.ErrNotFound) }

// A pair is a store that makes a change and one that hears of it.
type pair struct{ by, to auth.Store }

// pairs returns the directions in which changes are reported.
func (t *run) pairs() []pair {
	if _, ok := t.store.(*spread); !ok {
		return []pair{{t.a, t.a}}
	}
	return []pair{{t.a, t.b}, {t.b, t.a}, {t.a, t.a}}
}

// notified fails unless the change of a new record of each kind is reported, in each
// direction, whether or not the listening store has looked it up before.
func (t *run) notified(kinds []auth.Kind, prepare func(by auth.Store, c auth.Credential) change) {
	t.Helper()
	for _, pair := range t.pairs() {
		n := t.listen(pair.to)
		for i, kind := range slices.Concat(kinds, kinds[:1]) {
			c := t.create(record(kind, user()))
			if i < len(kinds) {
				_, err := pair.to.Lookup(t.Context(), kind, c.Digest)
				t.ok(err)
			}
			n.await(prepare(pair.by, c))
		}
	}
}

// notices receives the notifications of one store.
type notices struct {
	t     *run
	store auth.Store
	stop  func()
	wake  chan struct{}
	calls atomic.Int64

	mu      sync.Mutex
	pending []notice
}

type notice struct {
	kind   auth.Kind
	userID string
}

// listen calls Notify. It skips the test if the store is no auth.Notifier.
func (t *run) listen(s auth.Store) *notices {
	t.Helper()
	n, err := listen(t, s, new(atomic.Bool))
	t.skipUnsupported(err)
	t.ok(err)
	t.Cleanup(n.stop)
	return n
}

func (t *run) skipUnsupported(err error) {
	t.Helper()
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skipf("the store is no auth.Notifier: %v", err)
	}
}

// listen sets late if f is called after stop has returned.
func listen(t *run, s auth.Store, late *atomic.Bool) (*notices, error) {
	notifier, ok := s.(auth.Notifier)
	if !ok {
		return nil, fmt.Errorf("%T has no Notify: %w", s, errors.ErrUnsupported)
	}
	var stopped atomic.Bool
	n := &notices{t: t, store: s, wake: make(chan struct{}, 1)}
	stop, err := notifier.Notify(func(kind auth.Kind, userID string) {
		if stopped.Load() {
			late.Store(true)
		}
		n.calls.Add(1)
		n.mu.Lock()
		n.pending = append(n.pending, notice{kind, userID})
		n.mu.Unlock()
		select {
		case n.wake <- struct{}{}:
		default:
		}
	})
	if err != nil {
		return nil, err
	}
	n.stop = func() {
		stop()
		stopped.Store(true)
	}
	return n, nil
}

// await makes a change, and fails unless a notification of it arrives, at whose time Lookup sees
// the change. It ignores those that came before, which may be of other changes.
func (n *notices) await(c change) {
	n.t.Helper()
	n.take(c.c)
	made := make(chan error, 1)
	go func() { made <- c.make() }()
	timeout := time.NewTimer(noticeTimeout)
	defer timeout.Stop()
	var last error
	for relevant := 0; ; {
		for n.take(c.c) {
			relevant++
			found, err := n.store.Lookup(n.t.Context(), c.c.Kind, c.c.Digest)
			if last = err; c.seen(found, err) {
				n.t.ok(<-made)
				return
			}
		}
		select {
		case <-n.wake:
		case <-timeout.C:
			n.t.ok(<-made)
			n.t.fail("no notification of the change of %+v arrived at whose time Lookup saw the change: %d arrived, and the last Lookup returned the error %v",
				c.c, relevant, last)
		}
	}
}

// take removes the pending notifications, and reports whether one may be about c.
func (n *notices) take(c auth.Credential) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	relevant := false
	for _, notice := range n.pending {
		relevant = relevant || notice.kind == 0 || notice.kind == c.Kind && notice.userID == c.UserID
	}
	n.pending = nil
	return relevant
}
