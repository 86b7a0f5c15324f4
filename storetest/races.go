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
		name: "Create_concurrentID",
		why:  "of several calls with one ID, in a form that is sent twice, one creates a record. The others get ErrConflict, and leave nothing.",
		run: func(t *run) {
			for _, kind := range kinds {
				for _, limit := range []int{0, 1, 7} {
					records := sameID(kind, 20)
					t.oneSucceeds(concurrently(len(records), func(i int) error {
						return t.store.Create(t.Context(), records[i], limit)
					}), auth.ErrConflict)
					t.known(records, 1)
					t.wantCount(kind, records[0].UserID, 1)
				}
			}
		},
	},
	{
		name: "Create_concurrentIDWithRevoke",
		why:  "a record that is revoked while the call that created it is repeated stays revoked, and no second one takes its ID.",
		run: func(t *run) {
			for n := range 20 {
				kind := []auth.Kind{auth.KindToken, auth.KindSecret}[n%2]
				records := sameID(kind, 8)
				errs := concurrently(2*len(records), func(i int) error {
					switch {
					case i < len(records):
						return t.store.Create(t.Context(), records[i], 10*(n/2%2))
					case i%2 == 0:
						return ignoreNotFound(t.store.Revoke(t.Context(), records[0].Ref()))
					}
					_, err := t.store.RevokeAll(t.Context(), kind, records[0].UserID)
					return err
				})
				if n := t.count(errs, nil, auth.ErrConflict); n[1] != len(records)-1 {
					t.fail("%d of %d calls of Create returned a conflict, want all except one", n[1], len(records))
				}
				t.want(ignoreNotFound(t.store.Revoke(t.Context(), records[0].Ref())), nil)
				t.known(records, 0)
				t.wantCount(kind, records[0].UserID, 0)
				t.idTaken(records[0])
			}
		},
	},
	{
		name: "Rotate_concurrentID",
		why:  "of rotations of several records to one ID, one succeeds. The others change nothing.",
		run: func(t *run) {
			next := sameID(auth.KindToken, 10)
			old := make([]auth.Credential, len(next))
			for i := range old {
				old[i] = t.create(record(auth.KindToken, next[i].UserID))
				next[i].Previous = old[i].ID
			}
			t.oneSucceeds(concurrently(len(old), func(i int) error {
				return t.store.Rotate(t.Context(), old[i], next[i], next[i].CreatedAt.Add(time.Hour))
			}), auth.ErrConflict)
			t.known(next, 1)
			superseded := 0
			for _, c := range old {
				if t.get(c).Superseded {
					superseded++
				}
			}
			if superseded != 1 {
				t.fail("%d records are superseded, want 1", superseded)
			}
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
					return t.store.Rotate(t.Context(), old, next, next.CreatedAt.Add(time.Hour))
				})
				t.count(errs, nil, auth.ErrNotFound)
				t.notFound(old)
			}
		},
	},
	{
		name: "RevokeAll_duringChanges",
		why:  "all records that existed when RevokeAll was called are revoked when it returns, whatever happens to them concurrently. Comparing them with what they were when they were listed lets those escape that a use or an update changed.",
		run: func(t *run) {
			for range 5 {
				u := user()
				before := make([]auth.Credential, 12)
				for i := range before {
					before[i] = t.create(record(auth.KindToken, u))
				}
				errs := concurrently(4*len(before)+1, func(i int) error { return changeDuringRevokeAll(t, before, i) })
				t.ok(errs[0])
				t.count(errs, nil)
				for _, c := range before {
					t.notFound(c)
				}
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

// sameID returns records of a new user with different digests and one ID.
func sameID(kind auth.Kind, n int) []auth.Credential {
	records := make([]auth.Credential, n)
	for i := range records {
		records[i] = record(kind, user())
		records[i].UserID, records[i].ID = records[0].UserID, records[0].ID
	}
	return records
}

// known fails unless the store finds the digests of exactly n of the records.
func (t *run) known(records []auth.Credential, n int) {
	t.Helper()
	found := 0
	for _, c := range records {
		got, err := t.store.Lookup(t.Context(), c.Kind, c.Digest)
		switch {
		case err == nil:
			found++
			t.same(*got, c)
		case !errors.Is(err, auth.ErrNotFound):
			t.fail("got the error %v, want %v", err, auth.ErrNotFound)
		}
	}
	if found != n {
		t.fail("Lookup found %d of %d records with one ID, want %d", found, len(records), n)
	}
}

// changeDuringRevokeAll calls RevokeAll if i is zero, and changes one of the records, or creates
// another, otherwise.
func changeDuringRevokeAll(t *run, before []auth.Credential, i int) error {
	if i == 0 {
		_, err := t.store.RevokeAll(t.Context(), auth.KindToken, before[0].UserID)
		return err
	}
	c := before[i%len(before)]
	switch i / len(before) {
	case 0:
		return t.store.Touch(t.Context(), []auth.Use{{Ref: c.Ref(), Digest: c.Digest, At: now().Add(time.Minute)}})
	case 1:
		return ignoreLost(t.store.Update(t.Context(), c, edited(c, 0b1111)))
	case 2:
		return t.store.Create(t.Context(), record(auth.KindToken, c.UserID), 0)
	}
	next := successor(c)
	return ignoreLost(t.store.Rotate(t.Context(), c, next, next.CreatedAt.Add(time.Hour)))
}

// ignoreLost ignores the errors of an Update or a Rotate that came after another change.
func ignoreLost(err error) error {
	if errors.Is(err, auth.ErrConflict) {
		return nil
	}
	return ignoreNotFound(err)
}

func ignoreNotFound(err error) error {
	if errors.Is(err, auth.ErrNotFound) {
		return nil
	}
	return err
}

func rotateConcurrently(t *run, overlap time.Duration, lost error, live int) {
	old := t.create(record(auth.KindToken, user()))
	t.oneSucceeds(concurrently(50, func(int) error {
		next := successor(old)
		return t.store.Rotate(t.Context(), old, next, next.CreatedAt.Add(overlap))
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
