package storetest

import (
	"errors"
	"time"

	"github.com/seed-31c5bcb2/auth"
)

// raceCases are about concurrent calls, in one process or several.
var raceCases = []testCase{
	{
		name: "Create_concurrentLimit",
		why:  "the limit is exact. Counting and then inserting, as two steps, is not.",
		run: func(t *run) {
			u := user()
			errs := concurrently(100, func(int) error {
				return t.store.Create(t.Context(), record(auth.KindToken, u), 7)
			})
			if n := t.count(errs, nil, auth.ErrLimit); n[0] != 7 {
				t.fail("%d calls succeeded, want 7", n[0])
			}
			t.wantCount(auth.KindToken, u, 7)
		},
	},
	{
		name: "Create_concurrentSecrets",
		why:  "a user has one current secret, however many requests create one.",
		run: func(t *run) {
			u := user()
			t.oneSucceeds(concurrently(20, func(int) error {
				return t.store.Create(t.Context(), record(auth.KindSecret, u), 0)
			}), auth.ErrConflict)
		},
	},
	{
		name: "Create_concurrentReplacements",
		why:  "one request replaces an expired secret. The others get ErrConflict, and do not revoke its successor.",
		run: func(t *run) {
			expired := t.createExpired(auth.KindSecret, user())
			t.oneSucceeds(concurrently(20, func(int) error {
				return t.store.Create(t.Context(), record(auth.KindSecret, expired.UserID), 0)
			}), auth.ErrConflict)
			t.notFound(expired)
			t.wantCount(auth.KindSecret, expired.UserID, 1)
		},
	},
	{
		name: "Create_concurrentDigest",
		why:  "of several imports of one plaintext, one succeeds.",
		run: func(t *run) {
			first := record(auth.KindToken, user())
			t.oneSucceeds(concurrently(20, func(int) error {
				c := record(auth.KindToken, user())
				c.Digest = first.Digest
				return t.store.Create(t.Context(), c, 0)
			}), auth.ErrConflict)
		},
	},
	{
		name: "Store_concurrentFirstCalls",
		why:  "the first calls for a user who has no records do not make each other fail: calls that change nothing, and are rolled back, must not leave the others in a deadlock.",
		run: func(t *run) {
			for range 20 {
				c := record(auth.KindToken, user())
				errs := concurrently(12, func(i int) error {
					if i%4 == 0 {
						return t.store.Create(t.Context(), record(auth.KindToken, c.UserID), 10)
					}
					return t.store.Revoke(t.Context(), c.Ref())
				})
				if n := t.count(errs, nil, auth.ErrNotFound); n[0] != 3 {
					t.fail("%d calls succeeded, want the 3 of Create", n[0])
				}
				t.wantCount(c.Kind, c.UserID, 3)
			}
		},
	},
	{
		name: "Rotate_concurrentWithGracePeriod",
		why:  "one call succeeds. The others get ErrConflict, not another token.",
		run:  func(t *run) { rotateConcurrently(t, 30*time.Minute, auth.ErrConflict, 2) },
	},
	{
		name: "Rotate_concurrentWithoutGracePeriod",
		why:  "one call succeeds. The others get ErrNotFound, not another token.",
		run:  func(t *run) { rotateConcurrently(t, 0, auth.ErrNotFound, 1) },
	},
	{
		name: "Revoke_duringRotate",
		why:  "a token that is revoked during a rotation leaves either nothing or the new token alone, never the old one.",
		run: func(t *run) {
			for range 20 {
				old := t.create(record(auth.KindToken, user()))
				next := successor(old)
				errs := concurrently(2, func(i int) error {
					if i == 0 {
						return t.store.Revoke(t.Context(), old.Ref())
					}
					return t.store.Rotate(t.Context(), old.Ref(), next, next.CreatedAt.Add(time.Hour))
				})
				t.count(errs, nil, auth.ErrNotFound)
				t.notFound(old)
			}
		},
	},
	{
		name: "RevokeAll_duringChanges",
		why:  "all records that existed when RevokeAll was called are revoked when it returns, whatever happens concurrently.",
		run: func(t *run) {
			u := user()
			var before []auth.Credential
			for range 10 {
				before = append(before, t.create(record(auth.KindToken, u)))
			}
			errs := concurrently(21, func(i int) error {
				switch {
				case i == 0:
					_, err := t.store.RevokeAll(t.Context(), auth.KindToken, u)
					return err
				case i <= 10:
					next := successor(before[i-1])
					return t.store.Rotate(t.Context(), before[i-1].Ref(), next, next.CreatedAt.Add(time.Hour))
				}
				return t.store.Create(t.Context(), record(auth.KindToken, u), 0)
			})
			t.count(errs, nil, auth.ErrNotFound)
			if _, err := t.store.RevokeAll(t.Context(), auth.KindToken, u); err != nil {
				t.fail("the second RevokeAll returned the error %v", err)
			}
			t.wantCount(auth.KindToken, u, 0)
			for _, c := range before {
				t.notFound(c)
			}
		},
	},
	{
		name: "Touch_duringRevoke",
		why:  "a late use does not restore a record.",
		run: func(t *run) {
			for range 20 {
				c := t.create(record(auth.KindToken, user()))
				errs := concurrently(4, func(i int) error {
					if i == 0 {
						return t.store.Revoke(t.Context(), c.Ref())
					}
					return t.store.Touch(t.Context(), []auth.Use{{Ref: c.Ref(), Digest: c.Digest, At: now()}})
				})
				t.count(errs, nil)
				t.notFound(c)
			}
		},
	},
	{
		name: "Lookup_duringChanges",
		why:  "a lookup returns the requested record, complete, or ErrNotFound, while others are created and revoked.",
		run: func(t *run) {
			u := user()
			stays := t.create(record(auth.KindToken, u))
			errs := concurrently(8, func(i int) error {
				for range 50 {
					if err := lookUpOrChange(t, i, u, stays); err != nil {
						return err
					}
				}
				return nil
			})
			t.count(errs, nil)
		},
	},
}

func rotateConcurrently(t *run, overlap time.Duration, lost error, live int) {
	old := t.create(record(auth.KindToken, user()))
	t.oneSucceeds(concurrently(50, func(int) error {
		next := successor(old)
		return t.store.Rotate(t.Context(), old.Ref(), next, next.CreatedAt.Add(overlap))
	}), lost)
	t.wantCount(auth.KindToken, old.UserID, live)
}

var errWrongRecord = errors.New("a lookup returned a record that was not requested")

// lookUpOrChange looks up a record if i is even, and creates and revokes one otherwise.
func lookUpOrChange(t *run, i int, user string, stays auth.Credential) error {
	if i%2 == 0 {
		c, err := t.store.Lookup(t.Context(), stays.Kind, stays.Digest)
		if err != nil {
			return err
		}
		if difference(*c, stays) != "" {
			return errWrongRecord
		}
		return nil
	}
	c := record(auth.KindToken, user)
	if err := t.store.Create(t.Context(), c, 0); err != nil {
		return err
	}
	got, err := t.store.Lookup(t.Context(), c.Kind, c.Digest)
	if err != nil {
		return err
	}
	if got.ID != c.ID {
		return errWrongRecord
	}
	return t.store.Revoke(t.Context(), c.Ref())
}
