package storetest

import (
	"errors"
	"time"

	"github.com/seed-31c5bcb2/auth"
)

// purgeCases are about what Purge removes and what it keeps.
var purgeCases = []testCase{
	{
		name: "Purge_expired",
		why:  "Purge removes records that expired or were revoked before a time, to the microsecond, and no record that can still grant access or keep a digest from being imported.",
		run: func(t *run) {
			at := now().Add(-time.Hour)
			u := user()
			make := func(expires time.Time) auth.Credential {
				c := record(auth.KindToken, u)
				c.ExpiresAt = expires
				return t.create(c)
			}
			before, exact, live, endless := make(at.Add(-time.Microsecond)), make(at), make(now().Add(time.Hour)), make(time.Time{})
			revoked := make(time.Time{})
			t.ok(t.store.Revoke(t.Context(), revoked.Ref()))
			t.purge(at, 1)
			t.notFound(before)
			for _, c := range []auth.Credential{exact, live, endless} {
				t.same(t.lookup(c), c)
			}
			imported := record(auth.KindToken, u)
			imported.Digest = revoked.Digest
			t.want(t.store.Create(t.Context(), imported, 0), auth.ErrConflict)

			t.purge(now().Add(time.Minute), 2)
			t.notFound(exact)
			t.same(t.lookup(live), live)
			t.same(t.lookup(endless), endless)
			t.create(imported)
			t.same(t.lookup(imported), imported)
			_, err := t.store.Lookup(t.Context(), auth.KindToken, before.Digest)
			if errors.Is(err, auth.ErrRevoked) {
				t.fail("Lookup returned ErrRevoked for a purged record")
			}
		},
	},
	{
		name: "Purge_freesID",
		why:  "Purge removes all of a record, so that revoked records do not accumulate, and only of those that were revoked before the given time.",
		run: func(t *run) {
			for _, kind := range []auth.Kind{auth.KindToken, auth.KindSecret} {
				for way, revoke := range waysToRevoke {
					t.Logf("a %v: %s", kind, way)
					_, revoked := revoke(t, kind)
					t.purge(now().Add(-time.Hour), 0)
					for _, c := range revoked {
						t.idTaken(c)
					}
					t.purge(now().Add(time.Minute), len(revoked))
					_, err := t.store.RevokeAll(t.Context(), kind, revoked[0].UserID) // a user has one current secret
					t.ok(err)
					again := record(kind, revoked[0].UserID)
					again.ID = revoked[0].ID
					t.create(again)
					t.same(t.lookup(again), again)
					t.same(t.get(again), again)
					t.ok(t.store.Revoke(t.Context(), again.Ref()))
					t.idTaken(again)
					_, err = t.store.Purge(t.Context(), now().Add(time.Minute))
					t.ok(err)
				}
			}
		},
	},
	{
		name: "Purge_revoked",
		why:  "revoked records are purged by the time of their revocation, whatever their expiry was, and are part of the count.",
		run: func(t *run) {
			c := record(auth.KindToken, user())
			c.ExpiresAt = now().Add(-2 * time.Hour)
			t.create(c)
			t.ok(t.store.Revoke(t.Context(), c.Ref()))
			session := record(auth.KindSession, user())
			session.ExpiresAt = now().Add(-2 * time.Hour)
			t.create(session)
			t.purge(now().Add(-time.Hour), 1)
			t.notFound(session)
			imported := record(auth.KindToken, user())
			imported.Digest = c.Digest
			t.want(t.store.Create(t.Context(), imported, 0), auth.ErrConflict)
			t.purge(now().Add(time.Minute), 1)
		},
	},
	{
		name: "Purge_keepsSuperseded",
		why:  "a superseded record is valid until the end of its grace period, and an excepted or expired neighbour does not change that.",
		run: func(t *run) {
			for _, kind := range kinds {
				old := t.create(record(kind, user()))
				next := t.rotate(old)
				old = t.get(old)
				t.purge(now().Add(time.Minute), 0)
				t.same(t.lookup(old), old)
				t.same(t.lookup(next), next)
				t.purge(old.ExpiresAt, 0)
				t.same(t.lookup(old), old)
				t.purge(old.ExpiresAt.Add(time.Microsecond), 1)
				t.notFound(old)
				t.same(t.lookup(next), next)
				t.ok(t.store.Revoke(t.Context(), next.Ref()))
				_, err := t.store.Purge(t.Context(), now().Add(time.Minute))
				t.ok(err)
			}
		},
	},
	{
		name: "Purge_keepsReusedDigest",
		why:  "a plaintext that is imported again after Purge is a new record, which the end of the earlier one does not concern. An index that still names the earlier one would remove a live token.",
		run: func(t *run) {
			for _, kind := range []auth.Kind{auth.KindToken, auth.KindSecret} {
				for _, revoke := range []bool{false, true} {
					earlier := t.createExpired(kind, user())
					if revoke {
						t.ok(t.store.Revoke(t.Context(), earlier.Ref()))
					}
					t.purge(now().Add(time.Minute), 1)
					for _, sameRecord := range []bool{false, true} {
						c := record(kind, user())
						if sameRecord {
							c = record(kind, earlier.UserID)
							c.ID = earlier.ID
						}
						c.Digest, c.ExpiresAt = earlier.Digest, time.Time{}
						t.create(c)
						t.purge(now().Add(time.Minute), 0)
						t.same(t.lookup(c), c)
						t.same(t.get(c), c)
						t.wantCount(kind, c.UserID, 1)
						t.ok(t.store.Revoke(t.Context(), c.Ref()))
						t.purge(now().Add(-time.Minute), 0)
						t.digestTaken(c)
						_, err := t.store.Purge(t.Context(), now().Add(time.Minute))
						t.ok(err)
					}
				}
			}
		},
	},
	{
		name: "Purge_afterRotate",
		why:  "Purge goes by the present expiry of a record, not by that with which it was created: a rotation shortens it.",
		run: func(t *run) {
			old := record(auth.KindToken, user())
			old.ExpiresAt = time.Time{}
			t.create(old)
			next := successor(old)
			next.ExpiresAt = time.Time{}
			until := next.CreatedAt.Add(time.Minute)
			t.ok(t.store.Rotate(t.Context(), old, next, until))
			t.purge(until, 0)
			t.purge(until.Add(time.Microsecond), 1)
			t.notFound(old)
			t.purge(now().Add(24*time.Hour), 0)
			t.same(t.lookup(next), next)
		},
	},
}

// purge fails unless Purge removes n records.
func (t *run) purge(before time.Time, n int) {
	t.Helper()
	purged, err := t.store.Purge(t.Context(), before)
	t.ok(err)
	if purged != n {
		t.fail("Purge returned %d, want %d", purged, n)
	}
}
