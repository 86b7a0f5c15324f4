package storetest

import (
	"errors"
	"slices"
	"time"

	"github.com/seed-31c5bcb2/auth"
)

// detailCases are about what a store can get wrong even if it passes recordCases and
// lifeCases.
var detailCases = []testCase{
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
			for _, kind := range []auth.Kind{auth.KindToken, auth.KindSession, auth.KindSecret} {
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
			for _, kind := range []auth.Kind{auth.KindToken, auth.KindSession, auth.KindSecret} {
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
		name: "Lookup_comparesWholeDigest",
		why:  "plaintexts whose hashes share a part are different plaintexts.",
		run: func(t *run) {
			c := t.create(record(auth.KindToken, user()))
			for _, i := range []int{0, 1, 7, 8, 15, 16, 23, 24, 31} {
				d := c.Digest
				d[i] ^= 1
				_, err := t.store.Lookup(t.Context(), c.Kind, d)
				t.want(err, auth.ErrNotFound)
				near := record(auth.KindToken, user())
				near.Digest = d
				t.create(near)
				t.same(t.lookup(near), near)
			}
			t.same(t.lookup(c), c)
		},
	},
	{
		name: "List_ordersByID",
		why:  "CreatedAt comes from several clocks and is not unique, so paging by it skips and repeats records.",
		run: func(t *run) {
			u := user()
			first, second, third := record(auth.KindToken, u), record(auth.KindToken, u), record(auth.KindToken, u)
			first.CreatedAt = first.CreatedAt.Add(time.Minute)
			third.CreatedAt = third.CreatedAt.Add(-time.Minute)
			for _, c := range []auth.Credential{second, third, first} {
				t.create(c)
			}
			if got := ids(t.all(auth.KindToken, u)); got[0] != third.ID || got[2] != first.ID {
				t.fail("the IDs %v are not in descending order", got)
			}
		},
	},
	{
		name: "List_atMostThousand",
		why:  "a limit from a URL must not make a server load all records that a user ever had.",
		run: func(t *run) {
			u := user()
			for range 1001 {
				t.create(record(auth.KindToken, u))
			}
			list, err := t.store.List(t.Context(), auth.KindToken, u, auth.Page{Limit: 1 << 30})
			t.ok(err)
			if len(list) != 1000 {
				t.fail("a page has %d records, want 1,000", len(list))
			}
		},
	},
	{
		name: "Rotate_revokesPrevious",
		why:  "a rotation without a grace period also revokes the record that the old one had replaced: rotating a leaked credential twice disables it.",
		run: func(t *run) {
			first := t.create(record(auth.KindToken, user()))
			second := t.rotate(first)
			third := successor(second)
			third.Previous = ""
			t.ok(t.store.Rotate(t.Context(), second, third, time.Time{}))
			t.notFound(first)
			t.notFound(second)
			t.wantCount(first.Kind, first.UserID, 1)
		},
	},
	{
		name: "Rotate_sharesNoSlice",
		why:  "the store keeps no slice of the caller, and does not change the result of an earlier lookup.",
		run: func(t *run) {
			old := t.create(record(auth.KindSecret, user()))
			seen, err := t.store.Lookup(t.Context(), old.Kind, old.Digest)
			t.ok(err)
			next := successor(old)
			want := next
			want.Sealed = slices.Clone(next.Sealed)
			t.ok(t.store.Rotate(t.Context(), old, next, next.CreatedAt.Add(time.Hour)))
			next.Sealed[0] ^= 0xFF
			t.same(t.get(want), want)
			t.same(*seen, old)
		},
	},
	{
		name: "RevokeAll_includesExpired",
		why:  "a process whose clock is behind could still accept or rotate an expired record that is not revoked.",
		run: func(t *run) {
			c := record(auth.KindToken, user())
			c.ExpiresAt = c.CreatedAt.Add(-time.Hour)
			t.create(c)
			n, err := t.store.RevokeAll(t.Context(), c.Kind, c.UserID)
			t.ok(err)
			if n != 1 {
				t.fail("RevokeAll returned %d, want 1", n)
			}
			t.notFound(c)
		},
	},
	{
		name: "Touch_changesNothingElse",
		why:  "writing back the whole record would undo a rotation, and one invalid use must not prevent the others.",
		run: func(t *run) {
			old := t.create(record(auth.KindToken, user()))
			next := successor(old)
			until := next.CreatedAt.Add(time.Minute)
			t.ok(t.store.Rotate(t.Context(), old, next, until))
			expired := record(auth.KindToken, user())
			expired.ExpiresAt = expired.CreatedAt.Add(-time.Hour)
			t.create(expired)
			at := now().Add(time.Second)
			other := t.create(record(auth.KindToken, user()))
			stranger := other.Ref()
			stranger.UserID = user()
			t.ok(t.store.Touch(t.Context(), []auth.Use{
				{Ref: expired.Ref(), Digest: expired.Digest, At: at},
				{Ref: old.Ref(), Digest: old.Digest, At: at},
				{Ref: stranger, Digest: other.Digest, At: at},
			}))
			old.Superseded, old.ExpiresAt, old.LastUsedAt, expired.LastUsedAt = true, until, at, at
			t.same(t.lookup(old), old)
			t.same(t.get(old), old)
			t.same(t.get(expired), expired)
			t.same(t.get(next), next)
			t.same(t.get(other), other)
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
		name: "Lookup_canceled",
		why:  "a canceled call must not return ErrNotFound, which would make the client discard its credential.",
		run: func(t *run) {
			c := t.create(record(auth.KindToken, user()))
			_, errLookup := t.store.Lookup(canceled(), c.Kind, c.Digest)
			_, errGet := t.store.Get(canceled(), c.Ref())
			for _, err := range []error{errLookup, errGet} {
				if errors.Is(err, auth.ErrNotFound) {
					t.fail("got the error %v for a record that exists", err)
				}
			}
			if list, err := t.store.List(canceled(), c.Kind, c.UserID, auth.Page{}); err == nil && len(list) == 0 {
				t.fail("List returned no records and no error")
			}
		},
	},
	{
		name: "Get_timesAreUTC",
		why:  "applications print times and compare them as text.",
		run: func(t *run) {
			c := t.create(record(auth.KindToken, user()))
			if got := t.get(c); got.CreatedAt.Location() != time.UTC || got.ExpiresAt.Location() != time.UTC {
				t.fail("got the time %v", got.CreatedAt)
			}
		},
	},
	{
		name: "Rotate_kindsAreSeparate",
		why:  "a Ref consists of kind, user and ID.",
		run: func(t *run) {
			c := t.create(record(auth.KindSession, user()))
			other := c
			other.Kind = auth.KindToken
			t.want(t.store.Rotate(t.Context(), other, record(auth.KindToken, c.UserID), time.Time{}), auth.ErrNotFound)
			t.same(t.get(c), c)
		},
	},
}

// waysToRevoke each create records of a new user and revoke some of them. They return those
// that are left, and those that are revoked.
var waysToRevoke = map[string]func(t *run, kind auth.Kind) (kept, revoked []auth.Credential){
	"Revoke": func(t *run, kind auth.Kind) (kept, revoked []auth.Credential) {
		c := t.create(record(kind, user()))
		t.ok(t.store.Revoke(t.Context(), c.Ref()))
		return nil, []auth.Credential{c}
	},
	"Revoke with the previous one": func(t *run, kind auth.Kind) (kept, revoked []auth.Credential) {
		old := t.create(record(kind, user()))
		next := t.rotate(old)
		t.ok(t.store.Revoke(t.Context(), next.Ref()))
		return nil, []auth.Credential{old, next}
	},
	"Rotate without a grace period": func(t *run, kind auth.Kind) (kept, revoked []auth.Credential) {
		old := t.create(record(kind, user()))
		next := successor(old)
		next.Previous = ""
		t.ok(t.store.Rotate(t.Context(), old, next, time.Time{}))
		return []auth.Credential{next}, []auth.Credential{old}
	},
	"Rotate twice": func(t *run, kind auth.Kind) (kept, revoked []auth.Credential) {
		first := t.create(record(kind, user()))
		third := t.rotate(t.rotate(first))
		return []auth.Credential{third}, []auth.Credential{first}
	},
	"RevokeAll": func(t *run, kind auth.Kind) (kept, revoked []auth.Credential) {
		old := t.create(record(kind, user()))
		next := t.rotate(old)
		_, err := t.store.RevokeAll(t.Context(), kind, old.UserID)
		t.ok(err)
		return nil, []auth.Credential{old, next}
	},
	"RevokeAll with an exception": func(t *run, kind auth.Kind) (kept, revoked []auth.Credential) {
		old := t.create(record(kind, user()))
		next := t.rotate(old)
		_, err := t.store.RevokeAll(t.Context(), kind, old.UserID, next.ID)
		t.ok(err)
		return []auth.Credential{next}, []auth.Credential{old}
	},
	"Create after an expired one": func(t *run, kind auth.Kind) (kept, revoked []auth.Credential) {
		expired := t.createExpired(kind, user())
		next := t.create(record(kind, expired.UserID))
		if kind != auth.KindSecret { // only secrets are replaced
			t.ok(t.store.Revoke(t.Context(), expired.Ref()))
		}
		return []auth.Credential{next}, []auth.Credential{expired}
	},
}
