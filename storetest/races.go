package storetest

import (
	"errors"
	"time"

	"github.com/seed-31c5bcb2/auth"
)

// What holds when several do it at once, in one process or many.
var raceCases = []testCase{
	{
		name: "a hundred creators at a limit",
		why:  "the limit is exact. Counting first and inserting then is not.",
		run: func(t *run) {
			u := user()
			errs := together(100, func(int) error {
				return t.store.Create(t.Context(), record(auth.KindToken, u), 7)
			})
			if n := t.count(errs, nil, auth.ErrLimit); n[0] != 7 {
				t.fail("%d were created, want 7", n[0])
			}
			if n := len(t.all(auth.KindToken, u)); n != 7 {
				t.fail("%d are there, want 7", n)
			}
		},
	},
	{
		name: "one secret at once",
		why:  "an account has one current secret, however many requests assign it.",
		run: func(t *run) {
			u := user()
			errs := together(20, func(int) error { return t.store.Create(t.Context(), record(auth.KindSecret, u), 0) })
			if n := t.count(errs, nil, auth.ErrConflict); n[0] != 1 {
				t.fail("%d were assigned, want 1", n[0])
			}
		},
	},
	{
		name: "one digest at once",
		why:  "of several imports of one plaintext, one wins.",
		run: func(t *run) {
			first := record(auth.KindToken, user())
			errs := together(20, func(int) error {
				c := record(auth.KindToken, user())
				c.Digest = first.Digest
				return t.store.Create(t.Context(), c, 0)
			})
			if n := t.count(errs, nil, auth.ErrConflict); n[0] != 1 {
				t.fail("%d were created, want 1", n[0])
			}
		},
	},
	{
		name: "fifty rotations at once, with an overlap",
		why:  "one wins. The others get ErrConflict, not a token of their own.",
		run:  func(t *run) { rotateAtOnce(t, 30*time.Minute, auth.ErrConflict, 2) },
	},
	{
		name: "fifty rotations at once, without an overlap",
		why:  "one wins. The others get ErrNotFound, not a token of their own.",
		run:  func(t *run) { rotateAtOnce(t, 0, auth.ErrNotFound, 1) },
	},
	{
		name: "revoking while rotating",
		why:  "a token that is revoked while it is rotated leaves either nothing, or the new one alone: never the old.",
		run: func(t *run) {
			for range 20 {
				old := t.create(record(auth.KindToken, user()))
				next := successor(old)
				errs := together(2, func(i int) error {
					if i == 0 {
						return t.store.Revoke(t.Context(), old.Ref())
					}
					return t.store.Rotate(t.Context(), old.Ref(), next, next.CreatedAt.Add(time.Hour))
				})
				t.count(errs, nil, auth.ErrNotFound)
				t.gone(old)
			}
		},
	},
	{
		name: "revoking all while creating and rotating",
		why:  "what was there when RevokeAll was called is gone when it returns, whatever goes on beside it.",
		run: func(t *run) {
			u := user()
			var before []auth.Credential
			for range 10 {
				before = append(before, t.create(record(auth.KindToken, u)))
			}
			errs := together(21, func(i int) error {
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
				t.fail("the second RevokeAll: %v", err)
			}
			if left := t.all(auth.KindToken, u); len(left) > 0 {
				t.fail("%d are left", len(left))
			}
			for _, c := range before {
				t.gone(c)
			}
		},
	},
	{
		name: "uses while revoking",
		why:  "a use that is on its way does not bring a record back.",
		run: func(t *run) {
			for range 20 {
				c := t.create(record(auth.KindToken, user()))
				errs := together(4, func(i int) error {
					if i == 0 {
						return t.store.Revoke(t.Context(), c.Ref())
					}
					return t.store.Touch(t.Context(), []auth.Use{{Ref: c.Ref(), Digest: c.Digest, At: now()}})
				})
				t.count(errs, nil)
				t.gone(c)
			}
		},
	},
	{
		name: "lookups while everything changes",
		why:  "a lookup finds the record that was asked for or none, whole, while others come and go.",
		run: func(t *run) {
			u := user()
			stays := t.create(record(auth.KindToken, u))
			errs := together(8, func(i int) error {
				for range 50 {
					if err := stir(t, i, u, stays); err != nil {
						return err
					}
				}
				return nil
			})
			t.count(errs, nil)
		},
	},
}

func rotateAtOnce(t *run, overlap time.Duration, lost error, live int) {
	old := t.create(record(auth.KindToken, user()))
	errs := together(50, func(int) error {
		next := successor(old)
		return t.store.Rotate(t.Context(), old.Ref(), next, next.CreatedAt.Add(overlap))
	})
	if n := t.count(errs, nil, lost); n[0] != 1 {
		t.fail("%d rotations won, want 1", n[0])
	}
	if n := len(t.all(auth.KindToken, old.UserID)); n != live {
		t.fail("%d are live, want %d", n, live)
	}
}

var errWrongRecord = errors.New("a lookup returned another record than it was asked for")

// stir looks up in half of the goroutines, and makes and ends records in the other.
func stir(t *run, i int, user string, stays auth.Credential) error {
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
