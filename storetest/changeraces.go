package storetest

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/seed-31c5bcb2/auth"
)

// changeRaceCases are about Update, Rotate, Touch, Revoke and RevokeAll of one record at the
// same time.
var changeRaceCases = []testCase{
	{
		name: "Update_concurrent",
		why:  "of several updates that read the same record, one succeeds. The others get ErrConflict, and write nothing.",
		run: func(t *run) {
			for _, kind := range kinds {
				c := t.create(record(kind, user()))
				next := make([]auth.Credential, 10)
				for i := range next {
					next[i] = edited(renamed(c, fmt.Sprint("name ", i)), i)
				}
				errs := concurrently(len(next), func(i int) error { return t.store.Update(t.Context(), c, next[i]) })
				t.oneSucceeds(errs, auth.ErrConflict)
				for i, err := range errs {
					if err == nil {
						t.same(t.lookup(c), next[i])
					}
				}
			}
		},
	},
	{
		name: "Update_concurrentFields",
		why:  "two updates of different fields that read the same record conflict as well: each was decided on the other's old value.",
		run: func(t *run) {
			for range 5 {
				c := t.create(record(auth.KindToken, user()))
				errs := concurrently(len(edits), func(i int) error { return t.store.Update(t.Context(), c, edited(c, 1<<i)) })
				t.oneSucceeds(errs, auth.ErrConflict)
				for i, err := range errs {
					if err == nil {
						t.same(t.get(c), edited(c, 1<<i))
					}
				}
			}
		},
	},
	{
		name: "Update_duringRotate",
		why:  "of an Update and a Rotate that read the same record, one fails: a new record never has scopes or networks that an update took away.",
		run: func(t *run) {
			for i := range 20 {
				updateDuringRotate(t, kinds[i%3], time.Duration(i/3%2)*time.Hour)
			}
		},
	},
	{
		name: "Update_duringTouch",
		why:  "neither loses the other, however many of both arrive.",
		run: func(t *run) {
			c := t.create(record(auth.KindToken, user()))
			at := c.CreatedAt.Add(time.Minute)
			errs := concurrently(5, func(i int) error {
				for n := range 20 {
					switch i {
					case 0:
						if err := t.store.Update(t.Context(), edited(c, n%16), edited(c, (n+1)%16)); err != nil {
							return err
						}
					default:
						use := auth.Use{Ref: c.Ref(), Digest: c.Digest, At: at.Add(time.Duration(4*n+i) * time.Second), From: address(4*n + i)}
						if err := t.store.Touch(t.Context(), []auth.Use{use}); err != nil {
							return err
						}
					}
				}
				return nil
			})
			t.count(errs, nil)
			c = edited(c, 20%16)
			c.LastUsedAt, c.LastUsedFrom = at.Add(80*time.Second), address(80)
			t.same(t.lookup(c), c)
			t.same(t.get(c), c)
		},
	},
	{
		name: "Rotate_duringTouch",
		why:  "a use does not undo the end of the old record, nor is it one of the new record.",
		run: func(t *run) {
			for range 20 {
				old := t.create(record(auth.KindToken, user()))
				next := successor(old)
				until := next.CreatedAt.Add(time.Minute)
				use := auth.Use{Ref: old.Ref(), Digest: old.Digest, At: next.CreatedAt.Add(time.Second), From: address(1)}
				errs := concurrently(4, func(i int) error {
					if i == 0 {
						return t.store.Rotate(t.Context(), old, next, until)
					}
					return t.store.Touch(t.Context(), []auth.Use{use})
				})
				t.count(errs, nil)
				old.Superseded, old.ExpiresAt, old.LastUsedAt, old.LastUsedFrom = true, until, use.At, use.From
				t.same(t.lookup(old), old)
				t.same(t.lookup(next), next)
			}
		},
	},
	{
		name: "Update_duringRevoke",
		why:  "an update does not bring a record back: neither after Revoke nor after RevokeAll.",
		run: func(t *run) {
			for i := range 20 {
				c := t.create(record(kinds[i%3], user()))
				errs := concurrently(4, func(n int) error {
					switch {
					case n > 0:
						return ignoreNotFound(t.store.Update(t.Context(), c, edited(c, n)))
					case i%2 == 0:
						return t.store.Revoke(t.Context(), c.Ref())
					}
					_, err := t.store.RevokeAll(t.Context(), c.Kind, c.UserID)
					return err
				})
				t.ok(errs[0])
				t.count(errs, nil, auth.ErrConflict)
				t.notFound(c)
			}
		},
	},
	{
		name: "Touch_concurrent",
		why:  "processes write overlapping batches of uses, in different orders. They do not fail each other, and of each record the latest use stays.",
		run: func(t *run) {
			var records []auth.Credential
			u := user()
			for range 20 {
				records = append(records, t.create(record(auth.KindToken, u)))
			}
			errs := concurrently(8, func(i int) error {
				uses := make([]auth.Use, len(records))
				for n := range uses {
					c := records[(n*(2*i+1)+i)%len(records)]
					if i%2 == 0 {
						c = records[n]
					}
					uses[n] = auth.Use{Ref: c.Ref(), Digest: c.Digest, At: c.CreatedAt.Add(time.Duration(i+1) * time.Second), From: address(i)}
				}
				for range 5 {
					if err := t.store.Touch(t.Context(), uses); err != nil {
						return err
					}
				}
				return nil
			})
			t.count(errs, nil)
			for _, c := range records {
				got := t.get(c)
				if i := int(got.LastUsedAt.Sub(c.CreatedAt)/time.Second) - 1; i < 6 || got.LastUsedFrom != address(i) {
					t.fail("the last use of a record is %v from %v", got.LastUsedAt, got.LastUsedFrom)
				}
			}
		},
	},
	{
		name: "RevokeAll_duringTouch",
		why:  "the uses that a busy process writes do not make a revocation fail, nor slip a record through.",
		run: func(t *run) {
			for range 5 {
				var uses []auth.Use
				var records []auth.Credential
				u := user()
				for range 10 {
					c := t.create(record(auth.KindToken, u))
					records = append(records, c)
					uses = append(uses, auth.Use{Ref: c.Ref(), Digest: c.Digest, At: c.CreatedAt.Add(time.Minute)})
				}
				errs := concurrently(6, func(i int) error {
					if i > 0 {
						return t.store.Touch(t.Context(), uses)
					}
					n, err := t.store.RevokeAll(t.Context(), auth.KindToken, u)
					if err == nil && n != len(records) {
						err = fmt.Errorf("RevokeAll returned %d, want %d", n, len(records))
					}
					return err
				})
				t.count(errs, nil)
				for _, c := range records {
					t.notFound(c)
				}
			}
		},
	},
	{
		name: "RevokeAll_duringRotations",
		why:  "each is one step: a rotation came before, and its new record is revoked too, or after, and found nothing to rotate. Otherwise a thief who rotates a stolen token in time keeps it.",
		run: func(t *run) {
			for range 5 {
				u := user()
				old := make([]auth.Credential, 5)
				for i := range old {
					old[i] = t.create(record(auth.KindToken, u))
				}
				errs := concurrently(len(old)+1, func(i int) error {
					if i == len(old) {
						_, err := t.store.RevokeAll(t.Context(), auth.KindToken, u)
						return err
					}
					next := successor(old[i])
					return ignoreNotFound(t.store.Rotate(t.Context(), old[i], next, next.CreatedAt.Add(time.Duration(i%2)*time.Hour)))
				})
				t.count(errs, nil)
				t.wantCount(auth.KindToken, u, 0)
			}
		},
	},
	{
		name: "Revoke_concurrent",
		why:  "of several calls one revokes the record, and RevokeAll counts those that it revoked itself. Then an event says once who revoked it.",
		run: func(t *run) {
			for range 5 {
				c := t.create(record(auth.KindToken, user()))
				var counted int
				errs := concurrently(6, func(i int) error {
					if i > 0 {
						return t.store.Revoke(t.Context(), c.Ref())
					}
					n, err := t.store.RevokeAll(t.Context(), c.Kind, c.UserID)
					counted = n
					return err
				})
				t.ok(errs[0])
				if n := t.count(errs[1:], nil, auth.ErrNotFound); n[0]+counted != 1 {
					t.fail("%d calls of Revoke succeeded, and RevokeAll returned %d", n[0], counted)
				}
				t.notFound(c)
			}
		},
	},
}

// updateDuringRotate makes both changes to a new record. Overlap is the rotation's grace period.
func updateDuringRotate(t *run, kind auth.Kind, overlap time.Duration) {
	c := t.create(record(kind, user()))
	changed, next := edited(c, 0b0110), successor(c)
	errs := concurrently(2, func(i int) error {
		if i == 0 {
			return t.store.Update(t.Context(), c, changed)
		}
		return t.store.Rotate(t.Context(), c, next, next.CreatedAt.Add(overlap))
	})
	switch updated, rotated := errs[0], errs[1]; {
	case updated == nil && rotated == nil:
		t.fail("both succeeded")
	case updated == nil:
		t.want(rotated, auth.ErrConflict)
		t.same(t.lookup(c), changed)
		t.digestUnknown(next)
	case overlap == 0:
		t.ok(rotated)
		t.want(updated, auth.ErrNotFound)
		t.notFound(c)
		t.same(t.lookup(next), next)
	default:
		t.ok(rotated)
		t.want(updated, auth.ErrConflict)
		t.same(t.lookup(next), next)
		c.Superseded, c.ExpiresAt = true, earlier(c.ExpiresAt, next.CreatedAt.Add(overlap))
		t.same(t.lookup(c), c)
	}
}

// earlier returns the earlier of two expiries. The zero time is never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}

// address returns the address of a client, another for each n.
func address(n int) netip.Addr {
	return netip.AddrFrom4([4]byte{198, 51, 100, byte(n)})
}
