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

// notifyCases are about auth.Notifier. In RunShared each store must hear of the changes of both.
var notifyCases = []testCase{
	{
		name: "Notify_ofRevoke",
		why:  "a stream whose credential is revoked ends when its process hears of it, also if that process never looked the record up.",
		run: func(t *run) {
			t.notified(kinds, func(by auth.Store, c auth.Credential) change {
				return change{func() error { return by.Revoke(t.Context(), c.Ref()) }, c, gone}
			})
		},
	},
	{
		name: "Notify_ofRevokeWithPrevious",
		why:  "the record that a revoked one had replaced ends with it.",
		run: func(t *run) {
			for _, pair := range t.pairs() {
				n := t.listen(pair.to)
				for _, kind := range kinds {
					c := t.create(record(kind, user()))
					next := successor(c)
					n.await(change{func() error { return pair.by.Rotate(t.Context(), c, next, next.CreatedAt.Add(time.Minute)) }, c, superseded})
					n.await(change{func() error { return pair.by.Revoke(t.Context(), next.Ref()) }, c, gone})
				}
			}
		},
	},
	{
		name: "Notify_ofRevokeAll",
		why:  "after a change of password all of a user's streams end.",
		run: func(t *run) {
			t.notified(kinds, func(by auth.Store, c auth.Credential) change {
				return change{func() error {
					_, err := by.RevokeAll(t.Context(), c.Kind, c.UserID, "no such ID")
					return err
				}, c, gone}
			})
		},
	},
	{
		name: "Notify_ofUpdate",
		why:  "a credential that lost a scope or a network must not keep it in another process.",
		run: func(t *run) {
			t.notified(kinds, func(by auth.Store, c auth.Credential) change {
				next := c
				next.Name, next.Scopes, next.Networks, next.Metadata = "renamed", "notes:read", "192.0.2.7/32", "plan=free"
				return change{func() error { return by.Update(t.Context(), c, next) }, c, func(found *auth.Credential, err error) bool {
					return err == nil && difference(*found, next) == ""
				}}
			})
		},
	},
	{
		name: "Notify_ofUpdateOfOneField",
		why:  "each of the four fields matters by itself. A database's trigger must name them all.",
		run: func(t *run) {
			for _, edit := range edits {
				t.notified(kinds[:1], func(by auth.Store, c auth.Credential) change {
					next := c
					edit(&next)
					return change{func() error { return by.Update(t.Context(), c, next) }, c, func(found *auth.Credential, err error) bool {
						return err == nil && difference(*found, next) == ""
					}}
				})
			}
		},
	},
	{
		name: "Notify_ofRotate",
		why:  "the old record ends at the end of its grace period, which may be much earlier than its own expiry.",
		run: func(t *run) {
			t.notified(kinds, func(by auth.Store, c auth.Credential) change {
				next := successor(c)
				return change{func() error { return by.Rotate(t.Context(), c, next, next.CreatedAt.Add(time.Minute)) }, c, superseded}
			})
		},
	},
	{
		name: "Notify_ofRotateWithoutGracePeriod",
		why:  "the old record is revoked.",
		run: func(t *run) {
			t.notified(kinds, func(by auth.Store, c auth.Credential) change {
				next := successor(c)
				next.Previous = ""
				return change{func() error { return by.Rotate(t.Context(), c, next, time.Time{}) }, c, gone}
			})
		},
	},
	{
		name: "Notify_ofCreate",
		why:  "a Create that replaces an expired secret revokes it.",
		run: func(t *run) {
			for _, pair := range t.pairs() {
				expired := t.createExpired(auth.KindSecret, user())
				n := t.listen(pair.to)
				n.await(change{func() error {
					return pair.by.Create(t.Context(), record(auth.KindSecret, expired.UserID), 0)
				}, expired, gone})
			}
		},
	},
	{
		name: "Notify_afterTouch",
		why:  "a use by another process must not hide a later change, as it can if the server tells each process only once that a record changed.",
		run: func(t *run) {
			t.notified(kinds, func(by auth.Store, c auth.Credential) change {
				use := auth.Use{Ref: c.Ref(), Digest: c.Digest, At: c.CreatedAt.Add(time.Minute), From: c.CreatedFrom}
				t.ok(by.Touch(t.Context(), []auth.Use{use}))
				return change{func() error { return by.Revoke(t.Context(), c.Ref()) }, c, gone}
			})
		},
	},
	{
		name: "Notify_severalFunctions",
		why:  "each middleware of a process listens for itself. Each function is called, and one that stops does not stop the others.",
		run: func(t *run) {
			for _, pair := range t.pairs() {
				c := t.create(record(auth.KindToken, user()))
				stopped, first, second := t.listen(pair.to), t.listen(pair.to), t.listen(pair.to)
				stopped.stop()
				stopped.stop()
				before := stopped.calls.Load()
				first.await(change{func() error { return pair.by.Update(t.Context(), c, renamed(c, "renamed")) }, c,
					func(found *auth.Credential, err error) bool { return err == nil && found.Name == "renamed" }})
				second.await(change{func() error { return pair.by.Revoke(t.Context(), c.Ref()) }, c, gone})
				if stopped.calls.Load() != before {
					t.fail("a function was called after its stop had returned")
				}
			}
		},
	},
	{
		name: "Notify_stopDuringChanges",
		why:  "after stop has returned, f is not called, even by a change that was being made: stop waits for calls of f.",
		run: func(t *run) {
			u := user()
			var late atomic.Bool
			errs := concurrently(8, func(i int) error {
				for range 10 {
					c := record(auth.KindToken, u)
					if err := t.store.Create(t.Context(), c, 0); err != nil {
						return err
					}
					listener := []auth.Store{t.a, t.b}[i%2]
					n, err := listen(t, listener, &late)
					if err != nil {
						return err
					}
					if err := t.store.Revoke(t.Context(), c.Ref()); err != nil {
						return err
					}
					n.stop()
				}
				return nil
			})
			t.skipUnsupported(errors.Join(errs...))
			t.count(errs, nil)
			n := t.listen(t.b)
			c := t.create(record(auth.KindToken, u))
			n.await(change{func() error { return t.a.Revoke(t.Context(), c.Ref()) }, c, gone})
			if late.Load() {
				t.fail("a function was called after its stop had returned")
			}
		},
	},
}

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
