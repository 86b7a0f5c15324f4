package storetest

import (
	"net/netip"
	"time"

	"github.com/seed-31c5bcb2/auth"
)

// lifeCases are about what happens to a record between Create and Purge.
var lifeCases = []testCase{
	{
		name: "Revoke_isPermanent",
		why:  "nothing makes a revoked token or secret valid again: neither a late use, nor an import of the same plaintext.",
		run: func(t *run) {
			for _, kind := range kinds {
				c := t.create(record(kind, user()))
				t.ok(t.store.Revoke(t.Context(), c.Ref()))
				t.notFound(c)
				t.want(t.store.Revoke(t.Context(), c.Ref()), auth.ErrNotFound)
				t.ok(t.store.Touch(t.Context(), []auth.Use{{Ref: c.Ref(), Digest: c.Digest, At: now()}}))
				t.want(t.store.Rotate(t.Context(), c, successor(c), now().Add(time.Hour)), auth.ErrNotFound)
				t.notFound(c)
				if kind != auth.KindSession {
					imported := record(kind, user())
					imported.Digest = c.Digest
					t.want(t.store.Create(t.Context(), imported, 0), auth.ErrConflict)
				}
				t.notFound(c)
			}
		},
	},
	{
		name: "RevokeAll_except",
		why:  "after a change of password only the excepted records of the user remain. Other users' records are not affected.",
		run: func(t *run) {
			u := user()
			kept, revoked, old := t.create(record(auth.KindToken, u)), t.create(record(auth.KindToken, u)), t.create(record(auth.KindToken, u))
			next := t.rotate(old)
			session, stranger := t.create(record(auth.KindSession, u)), t.create(record(auth.KindToken, user()))
			n, err := t.store.RevokeAll(t.Context(), auth.KindToken, u, kept.ID, stranger.ID, "no such ID")
			t.ok(err)
			if n != 3 {
				t.fail("RevokeAll returned %d, want 3", n)
			}
			for _, c := range []auth.Credential{revoked, old, next} {
				t.notFound(c)
			}
			for _, c := range []auth.Credential{kept, session, stranger} {
				t.same(t.lookup(c), c)
			}
			imported := record(auth.KindToken, u)
			imported.Digest = revoked.Digest
			t.want(t.store.Create(t.Context(), imported, 0), auth.ErrConflict)
		},
	},
	{
		name: "Rotate_gracePeriod",
		why:  "old and new both work until the grace period ends or the old one expires, whichever is first.",
		run: func(t *run) {
			old := t.create(record(auth.KindToken, user()))
			next := successor(old)
			until := next.CreatedAt.Add(10 * time.Minute)
			t.ok(t.store.Rotate(t.Context(), old, next, until))
			t.same(t.lookup(next), next)
			old.Superseded, old.ExpiresAt = true, until
			t.same(t.lookup(old), old)
			t.same(t.get(old), old)
			t.want(t.store.Rotate(t.Context(), old, successor(old), until), auth.ErrConflict)

			short := t.create(record(auth.KindToken, user()))
			t.ok(t.store.Rotate(t.Context(), short, successor(short), short.ExpiresAt.Add(time.Hour)))
			short.Superseded = true
			t.same(t.lookup(short), short)

			endless := record(auth.KindToken, user())
			endless.ExpiresAt = time.Time{}
			t.create(endless)
			t.ok(t.store.Rotate(t.Context(), endless, successor(endless), until))
			endless.Superseded, endless.ExpiresAt = true, until
			t.same(t.lookup(endless), endless)
		},
	},
	{
		name: "Rotate_boundSession",
		why:  "a session that is bound to a device keeps the key of the device, and its sign-in and last use of before. A key that is lost or cut off ends the session.",
		run: func(t *run) {
			old := record(auth.KindSession, user())
			old.CreatedAt = old.CreatedAt.Add(-10 * time.Minute)
			t.create(old)
			next := successor(old)
			next.CreatedAt, next.ExpiresAt, next.CreatedFrom = old.CreatedAt, old.ExpiresAt, old.CreatedFrom
			next.LastUsedAt, next.LastUsedFrom = now().Add(-time.Second), netip.MustParseAddr("192.0.2.9")
			next.Sealed = make([]byte, 1024) // no key is longer
			for i := range next.Sealed {
				next.Sealed[i] = byte(i)
			}
			until := now().Add(10 * time.Second)
			t.ok(t.store.Rotate(t.Context(), old, next, until))
			old.Superseded, old.ExpiresAt = true, until
			for _, c := range []auth.Credential{old, next} {
				t.same(t.lookup(c), c)
				t.same(t.get(c), c)
			}
			list := t.all(auth.KindSession, old.UserID)
			if len(list) != 2 {
				t.fail("List returned %d records, want 2", len(list))
			}
			t.same(list[0], next)
			t.same(list[1], old)
			use := auth.Use{Ref: next.Ref(), Digest: next.Digest, At: now(), From: netip.MustParseAddr("192.0.2.10")}
			t.ok(t.store.Touch(t.Context(), []auth.Use{use}))
			next.LastUsedAt, next.LastUsedFrom = use.At, use.From
			t.same(t.get(next), next)
			t.ok(t.store.Revoke(t.Context(), next.Ref()))
			t.notFound(old)
			t.notFound(next)
		},
	},
	{
		name: "Rotate_withoutGracePeriod",
		why:  "the old record is revoked immediately, and for good.",
		run: func(t *run) {
			for _, until := range []func(auth.Credential) time.Time{
				func(auth.Credential) time.Time { return time.Time{} },
				func(next auth.Credential) time.Time { return next.CreatedAt },
			} {
				old := t.create(record(auth.KindToken, user()))
				next := successor(old)
				next.Previous = ""
				t.ok(t.store.Rotate(t.Context(), old, next, until(next)))
				t.notFound(old)
				t.same(t.lookup(next), next)
				t.want(t.store.Rotate(t.Context(), old, successor(old), time.Time{}), auth.ErrNotFound)
				imported := record(auth.KindToken, user())
				imported.Digest = old.Digest
				t.want(t.store.Create(t.Context(), imported, 0), auth.ErrConflict)
			}
		},
	},
	{
		name: "Rotate_expired",
		why:  "a rotation must not make an expired record valid again, nor bypass the limit.",
		run: func(t *run) {
			old := record(auth.KindToken, user())
			next := successor(old)
			old.ExpiresAt = next.CreatedAt
			t.create(old)
			t.want(t.store.Rotate(t.Context(), old, next, next.CreatedAt.Add(time.Hour)), auth.ErrNotFound)
			t.notFound(next)
			t.same(t.lookup(old), old)
		},
	},
	{
		name: "Rotate_atMostTwoGenerations",
		why:  "at most two generations are valid: each rotation revokes the record that the one before it had superseded.",
		run: func(t *run) {
			generations := []auth.Credential{t.create(record(auth.KindSecret, user()))}
			for range 50 {
				generations = append(generations, t.rotate(generations[len(generations)-1]))
				t.wantCount(auth.KindSecret, generations[0].UserID, 2)
			}
			for _, c := range generations[:49] {
				t.notFound(c)
			}
		},
	},
	{
		name: "Revoke_inGracePeriod",
		why:  "revoking a token also revokes the one that it replaced. The old one can be revoked alone first.",
		run: func(t *run) {
			old := t.create(record(auth.KindToken, user()))
			next := t.rotate(old)
			t.ok(t.store.Revoke(t.Context(), next.Ref()))
			t.notFound(next)
			t.notFound(old)

			old = t.create(record(auth.KindToken, user()))
			next = t.rotate(old)
			t.ok(t.store.Revoke(t.Context(), old.Ref()))
			t.notFound(old)
			t.same(t.lookup(next), next)
			t.ok(t.store.Revoke(t.Context(), next.Ref()))
			t.notFound(next)
		},
	},
	{
		name: "Touch_onlyForward",
		why:  "uses arrive late and out of order, from several processes. The time and the address of the latest use stay together. Nothing else changes.",
		run: func(t *run) {
			c := t.create(record(auth.KindToken, user()))
			at := c.CreatedAt.Add(time.Minute)
			first, second := netip.MustParseAddr("198.51.100.7"), netip.MustParseAddr("2001:db8:ffff:ffff:ffff:ffff:ffff:ffff")
			touch := func(uses ...auth.Use) {
				for i := range uses {
					uses[i].Ref, uses[i].Digest = c.Ref(), c.Digest
				}
				t.ok(t.store.Touch(t.Context(), uses))
			}
			touch(auth.Use{At: at, From: first})
			touch(auth.Use{At: at.Add(-time.Second), From: second})
			touch(auth.Use{At: at, From: second})
			c.LastUsedAt, c.LastUsedFrom = at, first
			t.same(t.lookup(c), c)
			t.same(t.get(c), c)
			touch(auth.Use{At: at.Add(2 * time.Second), From: second}, auth.Use{At: at.Add(time.Second), From: first})
			c.LastUsedAt, c.LastUsedFrom = at.Add(2*time.Second), second
			t.same(t.lookup(c), c)
			t.same(t.all(c.Kind, c.UserID)[0], c)
			touch(auth.Use{At: at.Add(3 * time.Second)})
			c.LastUsedAt, c.LastUsedFrom = at.Add(3*time.Second), netip.Addr{}
			t.same(t.lookup(c), c)
		},
	},
}
