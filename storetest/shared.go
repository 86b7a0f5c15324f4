package storetest

import (
	"errors"
	"slices"
	"time"

	"github.com/seed-31c5bcb2/auth"
)

// sharedCases are about what a store sees of the changes that another one over the same
// database has made, in both directions. The stores have read the records before, and so may
// have cached them.
var sharedCases = []testCase{
	{
		name: "Create_seenByOther",
		why:  "a credential that one process issues works at once in every other, and counts there: its digest, its ID, the limit and the current secret.",
		run:  func(t *run) { t.bothWays(createSeen) },
	},
	{
		name: "Update_seenByOther",
		why:  "a process that updates or rotates a record that another one has updated meanwhile gets ErrConflict.",
		run: func(t *run) {
			t.bothWays(func(t *run, by, other auth.Store) {
				for _, kind := range kinds {
					old := t.createKnown(record(kind, user()))
					c := edited(old, 0b1111)
					t.ok(by.Update(t.Context(), old, c))
					t.sees(other, c)
					t.want(other.Update(t.Context(), old, renamed(old, "late")), auth.ErrConflict)
					next := successor(old)
					t.want(other.Rotate(t.Context(), old, next, next.CreatedAt.Add(time.Hour)), auth.ErrConflict)
					t.ok(other.Update(t.Context(), c, old))
					t.sees(by, old)
				}
			})
		},
	},
	{
		name: "Rotate_seenByOther",
		why:  "the new record works at once in every process, and the old one cannot be rotated or updated again.",
		run: func(t *run) {
			t.bothWays(func(t *run, by, other auth.Store) {
				for _, kind := range kinds {
					old := t.createKnown(record(kind, user()))
					next := successor(old)
					until := next.CreatedAt.Add(time.Minute)
					t.ok(by.Rotate(t.Context(), old, next, until))
					t.sees(other, next)
					t.want(other.Rotate(t.Context(), old, successor(old), until), auth.ErrConflict)
					t.want(other.Update(t.Context(), old, renamed(old, "late")), auth.ErrConflict)
					old.Superseded, old.ExpiresAt = true, until
					t.sees(other, old)
					third := successor(next)
					third.Previous = ""
					t.ok(other.Rotate(t.Context(), next, third, time.Time{}))
					t.sees(by, third)
					t.seesNo(by, old)
					t.seesNo(by, next)
					t.want(by.Rotate(t.Context(), next, successor(next), until), auth.ErrNotFound)
				}
			})
		},
	},
	{
		name: "Revoke_seenByOther",
		why:  "a revoked record is revoked in every process: it is not listed, and cannot be revoked, updated, rotated or imported again.",
		run: func(t *run) {
			t.bothWays(func(t *run, by, other auth.Store) {
				for _, kind := range kinds {
					c := t.createKnown(record(kind, user()))
					t.ok(by.Revoke(t.Context(), c.Ref()))
					t.revokedFor(other, c)
				}
			})
		},
	},
	{
		name: "RevokeAll_seenByOther",
		why:  "after a change of password in one process no process returns the old credentials.",
		run: func(t *run) {
			t.bothWays(func(t *run, by, other auth.Store) {
				for _, kind := range kinds {
					old := t.createKnown(record(kind, user()))
					next := successor(old)
					t.ok(other.Rotate(t.Context(), old, next, next.CreatedAt.Add(time.Minute)))
					n, err := by.RevokeAll(t.Context(), kind, old.UserID)
					t.ok(err)
					if n != 2 {
						t.fail("RevokeAll returned %d, want 2", n)
					}
					t.revokedFor(other, old)
					t.revokedFor(other, next)
					n, err = other.RevokeAll(t.Context(), kind, old.UserID)
					t.ok(err)
					if n != 0 {
						t.fail("the second RevokeAll returned %d, want 0", n)
					}
				}
			})
		},
	},
	{
		name: "Touch_seenByOther",
		why:  "the latest use of all processes is the one that users see, and an earlier one that arrives late from another process does not replace it.",
		run: func(t *run) {
			t.bothWays(func(t *run, by, other auth.Store) {
				c := t.createKnown(record(auth.KindToken, user()))
				at := c.CreatedAt.Add(time.Minute)
				t.ok(by.Touch(t.Context(), []auth.Use{{Ref: c.Ref(), Digest: c.Digest, At: at, From: address(1)}}))
				c.LastUsedAt, c.LastUsedFrom = at, address(1)
				t.sees(other, c)
				t.ok(other.Touch(t.Context(), []auth.Use{{Ref: c.Ref(), Digest: c.Digest, At: at.Add(-time.Second), From: address(2)}}))
				t.sees(by, c)
				t.sees(other, c)
				t.ok(other.Update(t.Context(), c, renamed(c, "renamed")))
				t.sees(by, renamed(c, "renamed"))
			})
		},
	},
	{
		name: "Purge_seenByOther",
		why:  "a digest and an ID that Purge freed in one process are free in every other.",
		run: func(t *run) {
			t.bothWays(func(t *run, by, other auth.Store) {
				revoked, expired := t.createKnown(record(auth.KindToken, user())), t.createExpired(auth.KindToken, user())
				t.ok(other.Revoke(t.Context(), revoked.Ref()))
				t.sees(other, expired)
				_, err := by.Purge(t.Context(), now().Add(time.Minute))
				t.ok(err)
				for _, c := range []auth.Credential{revoked, expired} {
					t.seesNo(other, c)
					t.ok(other.Create(t.Context(), c, 1))
					t.sees(by, c)
				}
			})
		},
	},
	{
		name: "Lookup_ownChanges",
		why:  "a store whose Lookup may return what was there a moment ago never does so after a change of its own, whatever the other one did meanwhile.",
		run: func(t *run) {
			t.bothWays(func(t *run, by, other auth.Store) {
				for _, kind := range kinds {
					c := t.createKnown(record(kind, user()))
					t.ok(other.Update(t.Context(), c, renamed(c, "first")))
					t.ok(by.Update(t.Context(), renamed(c, "first"), renamed(c, "second")))
					found, err := by.Lookup(t.Context(), kind, c.Digest)
					t.ok(err)
					t.same(*found, renamed(c, "second"))
					t.ok(other.Update(t.Context(), renamed(c, "second"), c))
					t.ok(by.Revoke(t.Context(), c.Ref()))
					_, err = by.Lookup(t.Context(), kind, c.Digest)
					t.want(err, auth.ErrNotFound)
				}
			})
		},
	},
}

// bothWays calls f for both directions.
func (t *run) bothWays(f func(t *run, by, other auth.Store)) {
	f(t, t.a, t.b)
	f(t, t.b, t.a)
}

// createKnown creates a record that both stores have looked for before, and read since.
func (t *run) createKnown(c auth.Credential) auth.Credential {
	t.Helper()
	t.unread(c)
	t.create(c)
	for _, s := range []auth.Store{t.a, t.b} {
		t.sees(s, c)
		if _, err := s.Lookup(t.Context(), c.Kind, c.Digest); !errors.Is(err, auth.ErrNotFound) { // which a cache may say
			t.ok(err)
		}
	}
	return c
}

// unread fails if a store knows c.
func (t *run) unread(c auth.Credential) {
	t.Helper()
	for _, s := range []auth.Store{t.a, t.b} {
		t.seesNo(s, c)
	}
}

// sees fails unless s returns the record from all methods.
func (t *run) sees(s auth.Store, c auth.Credential) {
	t.Helper()
	got, err := s.Get(t.Context(), c.Ref())
	t.ok(err)
	t.same(got, c)
	found, err := uncached(s).Lookup(t.Context(), c.Kind, c.Digest)
	t.ok(err)
	t.same(*found, c)
	list, err := s.List(t.Context(), c.Kind, c.UserID, auth.Page{})
	t.ok(err)
	i := slices.IndexFunc(list, func(other auth.Credential) bool { return other.ID == c.ID })
	if i < 0 {
		t.fail("List did not return %+v", c)
	}
	t.same(list[i], c)
}

// seesNo fails if s returns the record from any method.
func (t *run) seesNo(s auth.Store, c auth.Credential) {
	t.Helper()
	_, err := s.Get(t.Context(), c.Ref())
	t.want(err, auth.ErrNotFound)
	_, err = uncached(s).Lookup(t.Context(), c.Kind, c.Digest)
	t.want(err, auth.ErrNotFound)
	list, err := s.List(t.Context(), c.Kind, c.UserID, auth.Page{})
	t.ok(err)
	if slices.ContainsFunc(list, func(other auth.Credential) bool { return other.ID == c.ID }) {
		t.fail("List returned %+v", c)
	}
}

// revokedFor fails unless every method of s treats c as revoked.
func (t *run) revokedFor(s auth.Store, c auth.Credential) {
	t.Helper()
	ctx := t.Context()
	t.seesNo(s, c)
	t.want(s.Revoke(ctx, c.Ref()), auth.ErrNotFound)
	t.want(s.Update(ctx, c, renamed(c, "back")), auth.ErrNotFound)
	next := successor(c)
	t.want(s.Rotate(ctx, c, next, next.CreatedAt.Add(time.Hour)), auth.ErrNotFound)
	t.ok(s.Touch(ctx, []auth.Use{{Ref: c.Ref(), Digest: c.Digest, At: now()}}))
	if c.Kind != auth.KindSession {
		again := record(c.Kind, user())
		again.Digest = c.Digest
		t.want(s.Create(ctx, again, 0), auth.ErrConflict)
		again = record(c.Kind, c.UserID)
		again.ID = c.ID
		t.want(s.Create(ctx, again, 0), auth.ErrConflict)
	}
	t.seesNo(s, c)
}

func createSeen(t *run, by, other auth.Store) {
	ctx := t.Context()
	for _, kind := range kinds {
		c := record(kind, user())
		t.unread(c)
		t.ok(by.Create(ctx, c, 1))
		t.sees(other, c)
		again := record(kind, user())
		again.Digest = c.Digest
		t.want(other.Create(ctx, again, 0), auth.ErrConflict)
		again = record(kind, c.UserID)
		again.ID = c.ID
		t.want(other.Create(ctx, again, 1), auth.ErrConflict)
		full := auth.ErrLimit
		if kind == auth.KindSecret {
			full = auth.ErrConflict
		}
		t.want(other.Create(ctx, record(kind, c.UserID), 1), full)
		t.ok(other.Revoke(ctx, c.Ref()))
		t.ok(by.Create(ctx, record(kind, c.UserID), 1))
	}
	expired := record(auth.KindSecret, user())
	expired.ExpiresAt = expired.CreatedAt
	t.ok(other.Create(ctx, expired, 0))
	next := record(auth.KindSecret, expired.UserID)
	t.ok(by.Create(ctx, next, 0))
	t.seesNo(other, expired)
	t.sees(other, next)
}
