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
