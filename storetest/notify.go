package storetest

import (
	"errors"
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
			for range 3 { // late calls have arrived by then
				c := t.create(record(auth.KindToken, u))
				n.await(change{func() error { return t.a.Revoke(t.Context(), c.Ref()) }, c, gone})
			}
			if late.Load() {
				t.fail("a function was called after its stop had returned")
			}
		},
	},
}
