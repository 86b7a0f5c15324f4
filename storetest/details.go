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
		name: "Store_overThousand",
		why:  "a user may have more records than a page or a statement holds: a page of a list or a scan has at most 1,000, and Touch, RevokeAll and Purge reach all.",
		run:  overThousand,
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
			t.ok(t.store.Touch(t.Context(), []auth.Use{{Ref: c.Ref(), Digest: c.Digest, At: now()}}))
			for _, got := range []auth.Credential{t.get(c), t.lookup(c), t.all(c.Kind, c.UserID)[0]} {
				for _, at := range []time.Time{got.CreatedAt, got.ExpiresAt, got.LastUsedAt} {
					if at.Location() != time.UTC {
						t.fail("got the time %v", at)
					}
				}
			}
		},
	},
	{
		name: "Rotate_storesNext",
		why:  "the new record is next in every field. It has not been used yet, whatever the old one was, and a session's successor may have another actor.",
		run: func(t *run) {
			for _, kind := range kinds {
				for _, overlap := range []time.Duration{0, time.Hour} {
					old := t.create(record(kind, user()))
					t.ok(t.store.Touch(t.Context(), []auth.Use{{Ref: old.Ref(), Digest: old.Digest, At: now(), From: address(1)}}))
					next := successor(old)
					next.Name, next.Hint, next.Scopes, next.Networks, next.Metadata = "other", "other_\u20265678", "*", "198.51.100.0/24", "a=b"
					next.Actor, next.NonPersistent, next.CreatedFrom = "other", !old.NonPersistent, address(2)
					next.ExpiresAt, next.Sealed = next.CreatedAt.Add(2*time.Hour), []byte{9, 0}
					t.ok(t.store.Rotate(t.Context(), old, next, next.CreatedAt.Add(overlap)))
					t.same(t.lookup(next), next)
					t.same(t.get(next), next)
				}
			}
		},
	},
	{
		name: "Lookup_revoked",
		why:  "Lookup may return a record with ErrRevoked, for events that name its owner. It has the Kind, UserID, ID and Digest, and nothing else.",
		run: func(t *run) {
			for _, kind := range kinds {
				for way, revoke := range waysToRevoke {
					t.Logf("a %v: %s", kind, way)
					_, revoked := revoke(t, kind)
					for _, c := range revoked {
						t.lookupFails(c)
						for _, other := range kinds {
							if other == kind {
								continue
							}
							if found, err := t.store.Lookup(t.Context(), other, c.Digest); found != nil || errors.Is(err, auth.ErrRevoked) || !errors.Is(err, auth.ErrNotFound) {
								t.fail("Lookup of a %v returned %+v and the error %v for a revoked %v", other, found, err, kind)
							}
						}
					}
				}
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
			t.want(t.store.Update(t.Context(), other, renamed(other, "other")), auth.ErrNotFound)
			t.ok(t.store.Touch(t.Context(), []auth.Use{{Ref: other.Ref(), Digest: other.Digest, At: now()}}))
			t.same(t.get(c), c)
		},
	},
}

func overThousand(t *run) {
	const n = 1001
	u := user()
	records, uses := make([]auth.Credential, n), make([]auth.Use, n)
	for i := range records {
		c := record(auth.KindToken, u)
		records[i] = c
		uses[i] = auth.Use{Ref: c.Ref(), Digest: c.Digest, At: c.CreatedAt.Add(time.Second), From: address(i % 256)}
	}
	t.createAll(records)
	list, err := t.store.List(t.Context(), auth.KindToken, u, auth.Page{Limit: 1 << 30})
	t.ok(err)
	if len(list) != 1000 {
		t.fail("a page has %d records, want 1,000", len(list))
	}
	gone := records[0]
	t.ok(t.store.Revoke(t.Context(), gone.Ref()))
	t.ok(t.store.Touch(t.Context(), uses))
	t.notFound(gone)
	for _, i := range []int{1, 500, n - 1} {
		records[i].LastUsedAt, records[i].LastUsedFrom = uses[i].At, uses[i].From
		t.same(t.get(records[i]), records[i])
	}
	t.create(record(auth.KindToken, u)) // 1,001 again
	revoked, err := t.store.RevokeAll(t.Context(), auth.KindToken, u)
	t.ok(err)
	if revoked != n {
		t.fail("RevokeAll returned %d, want 1,001", revoked)
	}
	t.wantCount(auth.KindToken, u, 0)
	t.notFound(records[1])
	t.notFound(records[n-1])
	t.purge(now().Add(time.Minute), n+1)
	t.create(records[1])
}

// createAll stores many records, eight at a time.
func (t *run) createAll(records []auth.Credential) {
	t.Helper()
	const writers = 8
	t.count(concurrently(writers, func(w int) error {
		for i := w; i < len(records); i += writers {
			if err := t.store.Create(t.Context(), records[i], 0); err != nil {
				return err
			}
		}
		return nil
	}), nil)
}
