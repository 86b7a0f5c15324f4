package storetest

import (
	"time"

	"github.com/seed-31c5bcb2/auth"
)

// createCases are about which records Create accepts.
var createCases = []testCase{
	{
		name: "Create_digestStaysTaken",
		why:  "until Purge, whether the record expired or was revoked: by itself, with its successor, by a rotation or by RevokeAll.",
		run: func(t *run) {
			ctx := t.Context()
			t.digestTaken(t.createExpired(auth.KindToken, user()))
			revoked := t.create(record(auth.KindToken, user()))
			t.ok(t.store.Revoke(ctx, revoked.Ref()))
			t.digestTaken(revoked)
			first := t.create(record(auth.KindToken, user()))
			second := t.rotate(first)
			third := t.rotate(second)
			t.digestTaken(first) // revoked by the second rotation
			t.ok(t.store.Revoke(ctx, third.Ref()))
			t.digestTaken(second) // revoked with its successor
			old := t.create(record(auth.KindToken, user()))
			next := t.rotate(old)
			_, err := t.store.RevokeAll(ctx, old.Kind, old.UserID)
			t.ok(err)
			t.digestTaken(old)
			t.digestTaken(next)
		},
	},
	{
		name: "Create_idTaken",
		why:  "the ID of a record names it in every list and event, and must never reach another one.",
		run: func(t *run) {
			first := t.create(record(auth.KindToken, user()))
			second := record(auth.KindToken, first.UserID)
			second.ID = first.ID
			t.want(t.store.Create(t.Context(), second, 0), auth.ErrConflict)
			t.same(t.get(first), first)
			t.digestUnknown(second)

			old := t.create(record(auth.KindToken, first.UserID))
			second.Previous = old.ID
			t.want(t.store.Rotate(t.Context(), old, second, second.CreatedAt.Add(time.Minute)), auth.ErrConflict)
			t.same(t.get(old), old)
			t.digestUnknown(second)
		},
	},
	{
		name: "Create_idExpired",
		why:  "a record keeps its ID until it is removed, even if it has expired.",
		run: func(t *run) {
			for _, kind := range kinds {
				expired := t.createExpired(kind, user())
				t.idTaken(expired)
				t.same(t.get(expired), expired)
			}
		},
	},
	{
		name: "Create_idRevoked",
		why:  "a call that is repeated with the same ID creates nothing, even if the token has been revoked in the meantime: by itself, with its successor, by a rotation or by RevokeAll.",
		run: func(t *run) {
			for _, kind := range []auth.Kind{auth.KindToken, auth.KindSecret} {
				for way, revoke := range waysToRevoke {
					t.Logf("a %v: %s", kind, way)
					kept, revoked := revoke(t, kind)
					for _, c := range revoked {
						t.idTaken(c)
						t.notFound(c)
					}
					for _, c := range kept {
						t.same(t.get(c), c)
					}
				}
			}
		},
	},
	{
		name: "Create_idOfOthers",
		why:  "an ID belongs to one user and one kind: another user, who may know it, cannot block it.",
		run: func(t *run) {
			c := t.create(record(auth.KindToken, user()))
			t.ok(t.store.Revoke(t.Context(), c.Ref()))
			for _, kind := range kinds {
				for _, u := range []string{user(), c.UserID} {
					other := record(kind, u)
					other.ID = c.ID
					if other.Ref() != c.Ref() {
						t.create(other)
						t.same(t.get(other), other)
					}
				}
			}
			t.idTaken(c)
		},
	},
	{
		name: "Create_conflictBeforeLimit",
		why:  "a call that is repeated gets ErrConflict, which says that the record exists, even if the first call used up the limit.",
		run: func(t *run) {
			c := record(auth.KindToken, user())
			t.ok(t.store.Create(t.Context(), c, 1))
			again := record(auth.KindToken, c.UserID)
			t.want(t.store.Create(t.Context(), again, 1), auth.ErrLimit)
			again.ID = c.ID
			t.want(t.store.Create(t.Context(), again, 1), auth.ErrConflict)
			imported := record(auth.KindToken, c.UserID)
			imported.Digest = c.Digest
			t.want(t.store.Create(t.Context(), imported, 1), auth.ErrConflict)
			t.wantCount(c.Kind, c.UserID, 1)
		},
	},
	{
		name: "Create_countsLimitNow",
		why:  "an import sets CreatedAt to a time in the past, when records were still valid that have expired since, and a limit bounds the records that are valid at the same time.",
		run: func(t *run) {
			live := t.create(record(auth.KindToken, user()))
			later := record(auth.KindToken, live.UserID)
			later.CreatedAt, later.ExpiresAt = live.ExpiresAt, time.Time{}
			t.want(t.store.Create(t.Context(), later, 1), auth.ErrLimit)

			expired := record(auth.KindToken, user())
			expired.CreatedAt = expired.CreatedAt.Add(-time.Hour)
			expired.ExpiresAt = expired.CreatedAt.Add(time.Minute)
			t.create(expired)
			imported := record(auth.KindToken, expired.UserID)
			imported.CreatedAt = expired.CreatedAt
			t.ok(t.store.Create(t.Context(), imported, 1))
			t.same(t.get(imported), imported)

			old := t.create(record(auth.KindToken, user()))
			t.rotate(old)
			t.ok(t.store.Create(t.Context(), record(auth.KindToken, old.UserID), 2))
		},
	},
	{
		name: "Create_replacesExpiredSecret",
		why:  "a user whose secret has expired gets a new one in one step. The expired one is revoked as by Revoke.",
		run: func(t *run) {
			expired := t.createExpired(auth.KindSecret, user())
			imported := record(auth.KindSecret, expired.UserID)
			imported.CreatedAt = expired.CreatedAt.Add(-time.Hour) // when the old one had not expired
			t.ok(t.store.Create(t.Context(), imported, 1))
			t.same(t.lookup(imported), imported)
			t.notFound(expired)
			t.digestTaken(expired)
			t.wantCount(auth.KindSecret, expired.UserID, 1)
			t.want(t.store.Create(t.Context(), record(auth.KindSecret, expired.UserID), 0), auth.ErrConflict)
		},
	},
	{
		name: "Create_replacesOnlyExpired",
		why:  "ErrConflict for a secret that is still valid, even if it expires before the new one's CreatedAt.",
		run: func(t *run) {
			live := record(auth.KindSecret, user())
			live.ExpiresAt = live.CreatedAt.Add(time.Hour)
			t.create(live)
			later := record(auth.KindSecret, live.UserID)
			later.CreatedAt = live.ExpiresAt.Add(time.Hour)
			t.want(t.store.Create(t.Context(), later, 0), auth.ErrConflict)
			t.same(t.lookup(live), live)
			t.notFound(later)
		},
	},
	{
		name: "Create_failureKeepsExpiredSecret",
		why:  "a Create that returns an error changes nothing: the expired secret can still be listed.",
		run: func(t *run) {
			taken := t.create(record(auth.KindToken, user()))
			expired := t.createExpired(auth.KindSecret, user())
			for _, digest := range []auth.Digest{taken.Digest, expired.Digest} {
				next := record(auth.KindSecret, expired.UserID)
				next.Digest = digest
				t.want(t.store.Create(t.Context(), next, 0), auth.ErrConflict)
				t.same(t.get(expired), expired)
				t.same(t.lookup(expired), expired)
			}
			t.create(record(auth.KindSecret, expired.UserID))
			t.notFound(expired)
		},
	},
	{
		name: "Create_revokesPreviousOfExpiredSecret",
		why:  "the secret that an expired one had replaced is revoked with it, so that at most two generations are ever valid.",
		run: func(t *run) {
			first := t.create(record(auth.KindSecret, user()))
			expired := successor(first)
			expired.ExpiresAt = expired.CreatedAt
			t.ok(t.store.Rotate(t.Context(), first, expired, expired.CreatedAt.Add(time.Hour)))
			third := t.create(record(auth.KindSecret, first.UserID))
			t.notFound(first)
			t.notFound(expired)
			t.same(t.lookup(third), third)
			t.digestTaken(first)
		},
	},
	{
		name: "Create_oneCurrentSecret",
		why:  "ErrConflict for a second secret of a user until the first is revoked. Superseded secrets do not count.",
		run: func(t *run) {
			first := t.create(record(auth.KindSecret, user()))
			second := record(auth.KindSecret, first.UserID)
			t.want(t.store.Create(t.Context(), second, 0), auth.ErrConflict)
			next := t.rotate(first)
			t.want(t.store.Create(t.Context(), second, 0), auth.ErrConflict)
			t.create(record(auth.KindSecret, user()))
			t.ok(t.store.Revoke(t.Context(), next.Ref()))
			t.create(second)
		},
	},
	{
		name: "Create_limit",
		why:  "a limit counts the valid records of one user and kind, without expired, superseded and revoked ones.",
		run: func(t *run) {
			u, ctx := user(), t.Context()
			add := func(c auth.Credential) error { return t.store.Create(ctx, c, 2) }
			expired := record(auth.KindToken, u)
			expired.ExpiresAt = expired.CreatedAt
			t.ok(add(expired))
			t.create(record(auth.KindSession, u))
			t.create(record(auth.KindToken, user()))
			first, second := record(auth.KindToken, u), record(auth.KindToken, u)
			t.ok(add(first))
			t.ok(add(second))
			third := record(auth.KindToken, u)
			t.want(add(third), auth.ErrLimit)
			t.notFound(third)
			next := t.rotate(first)
			t.want(add(third), auth.ErrLimit)
			t.ok(t.store.Revoke(ctx, next.Ref()))
			t.ok(add(third))
			t.want(add(record(auth.KindToken, u)), auth.ErrLimit)
			t.ok(t.store.Create(ctx, record(auth.KindToken, u), 0))
		},
	},
}
