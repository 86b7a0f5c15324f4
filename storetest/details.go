package storetest

import (
	"errors"
	"time"

	"github.com/seed-31c5bcb2/auth"
)

// taken fails unless nobody can have the digest of c again, by Create or Rotate.
func (t *run) taken(c auth.Credential) {
	t.Helper()
	for _, kind := range []auth.Kind{auth.KindToken, auth.KindSession, auth.KindSecret} {
		again := record(kind, user())
		again.Digest = c.Digest
		t.want(t.store.Create(t.Context(), again, 0), auth.ErrConflict)
	}
	other := t.create(record(auth.KindToken, user()))
	next := successor(other)
	next.Digest = c.Digest
	t.want(t.store.Rotate(t.Context(), other.Ref(), next, now().Add(time.Hour)), auth.ErrConflict)
	t.same(t.lookup(other), other)
}

// What stores get wrong where the plain rules hold.
var detailCases = []testCase{
	{
		name: "a digest stays taken",
		why:  "until Purge, however its record ended: expired, revoked by itself, with its successor, by a rotation or all at once.",
		run: func(t *run) {
			ctx := t.Context()
			expired := record(auth.KindToken, user())
			expired.ExpiresAt = expired.CreatedAt
			t.taken(t.create(expired))
			revoked := t.create(record(auth.KindToken, user()))
			t.ok(t.store.Revoke(ctx, revoked.Ref()))
			t.taken(revoked)
			first := t.create(record(auth.KindToken, user()))
			second := t.rotate(first)
			third := t.rotate(second)
			t.taken(first) // ended by the second rotation
			t.ok(t.store.Revoke(ctx, third.Ref()))
			t.taken(second) // ended with its successor
			old := t.create(record(auth.KindToken, user()))
			next := t.rotate(old)
			_, err := t.store.RevokeAll(ctx, old.Kind, old.UserID)
			t.ok(err)
			t.taken(old)
			t.taken(next)
		},
	},
	{
		name: "the limit counts at CreatedAt",
		why:  "the clock that counts is the caller's: superseded ones do not, and what has expired by then does not.",
		run: func(t *run) {
			u := user()
			soon := record(auth.KindToken, u)
			soon.ExpiresAt = soon.CreatedAt.Add(time.Minute)
			t.ok(t.store.Create(t.Context(), soon, 1))
			later := record(auth.KindToken, u)
			later.CreatedAt, later.ExpiresAt = soon.ExpiresAt, time.Time{}
			t.ok(t.store.Create(t.Context(), later, 1))
			earlier := record(auth.KindToken, user())
			earlier.CreatedAt = earlier.CreatedAt.Add(-time.Hour)
			earlier.ExpiresAt = earlier.CreatedAt.Add(time.Minute)
			t.create(earlier)
			second := record(auth.KindToken, earlier.UserID)
			second.CreatedAt = earlier.CreatedAt
			t.want(t.store.Create(t.Context(), second, 1), auth.ErrLimit)

			old := t.create(record(auth.KindToken, user()))
			t.rotate(old)
			t.ok(t.store.Create(t.Context(), record(auth.KindToken, old.UserID), 2))
		},
	},
	{
		name: "an expired secret is a current one",
		why:  "only revoking or superseding makes room for another.",
		run: func(t *run) {
			c := record(auth.KindSecret, user())
			c.ExpiresAt = c.CreatedAt
			t.create(c)
			t.want(t.store.Create(t.Context(), record(auth.KindSecret, c.UserID), 0), auth.ErrConflict)
		},
	},
	{
		name: "all of the digest",
		why:  "a plaintext whose hash begins like another's is another plaintext.",
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
		name: "lists go by ID",
		why:  "CreatedAt is of several clocks, and not unique: paging by it skips and repeats.",
		run: func(t *run) {
			u := user()
			first, second, third := record(auth.KindToken, u), record(auth.KindToken, u), record(auth.KindToken, u)
			first.CreatedAt = first.CreatedAt.Add(time.Minute)
			third.CreatedAt = third.CreatedAt.Add(-time.Minute)
			for _, c := range []auth.Credential{second, third, first} {
				t.create(c)
			}
			if got := ids(t.all(auth.KindToken, u)); got[0] != third.ID || got[2] != first.ID {
				t.fail("%v is not in the order of IDs", got)
			}
		},
	},
	{
		name: "no page over a thousand",
		why:  "a limit out of a URL must not make a server load an account's whole past.",
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
		name: "a rotation without an overlap within an overlap",
		why:  "what the old one had replaced ends as well: a leaked credential that was rotated twice is out.",
		run: func(t *run) {
			first := t.create(record(auth.KindToken, user()))
			second := t.rotate(first)
			third := successor(second)
			third.Previous = ""
			t.ok(t.store.Rotate(t.Context(), second.Ref(), third, time.Time{}))
			t.gone(first)
			t.gone(second)
			if n := len(t.all(first.Kind, first.UserID)); n != 1 {
				t.fail("%d are left, want 1", n)
			}
		},
	},
	{
		name: "a rotation shares nothing",
		why:  "neither the caller's slice, nor a record that a request is looking at.",
		run: func(t *run) {
			old := t.create(record(auth.KindSecret, user()))
			seen, err := t.store.Lookup(t.Context(), old.Kind, old.Digest)
			t.ok(err)
			next := successor(old)
			want := next
			want.Sealed = append([]byte(nil), next.Sealed...)
			t.ok(t.store.Rotate(t.Context(), old.Ref(), next, next.CreatedAt.Add(time.Hour)))
			next.Sealed[0] ^= 0xFF
			t.same(t.get(want), want)
			t.same(*seen, old)
		},
	},
	{
		name: "all revoked: expired and superseded ones count",
		why:  "an expired one that is left is rotated or shown again by a service with another clock.",
		run: func(t *run) {
			c := record(auth.KindToken, user())
			c.ExpiresAt = c.CreatedAt.Add(-time.Hour)
			t.create(c)
			n, err := t.store.RevokeAll(t.Context(), c.Kind, c.UserID)
			t.ok(err)
			if n != 1 {
				t.fail("RevokeAll ended %d, want the expired one", n)
			}
			t.gone(c)
		},
	},
	{
		name: "a use changes nothing else",
		why:  "writing the whole record back undoes a rotation; and one bad use must not stop the others.",
		run: func(t *run) {
			old := t.create(record(auth.KindToken, user()))
			next := successor(old)
			until := next.CreatedAt.Add(time.Minute)
			t.ok(t.store.Rotate(t.Context(), old.Ref(), next, until))
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
		name: "purging by what ended when",
		why:  "a revoked one stays by the time of its revocation, whatever its expiry was; and Purge reports all that it removed.",
		run: func(t *run) {
			c := record(auth.KindToken, user())
			c.ExpiresAt = now().Add(-2 * time.Hour)
			t.create(c)
			t.ok(t.store.Revoke(t.Context(), c.Ref()))
			session := record(auth.KindSession, user())
			session.ExpiresAt = now().Add(-2 * time.Hour)
			t.create(session)
			n, err := t.store.Purge(t.Context(), now().Add(-time.Hour))
			t.ok(err)
			if n != 1 {
				t.fail("Purge removed %d, want the session", n)
			}
			t.gone(session)
			again := record(auth.KindToken, user())
			again.Digest = c.Digest
			t.want(t.store.Create(t.Context(), again, 0), auth.ErrConflict)
			n, err = t.store.Purge(t.Context(), now().Add(time.Minute))
			t.ok(err)
			if n != 1 {
				t.fail("Purge removed %d, want the revoked one", n)
			}
		},
	},
	{
		name: "a question whose context is over",
		why:  "whoever is not asked has not said no: ErrNotFound would tell a client to throw its credential away.",
		run: func(t *run) {
			c := t.create(record(auth.KindToken, user()))
			_, errLookup := t.store.Lookup(canceled(), c.Kind, c.Digest)
			_, errGet := t.store.Get(canceled(), c.Ref())
			for _, err := range []error{errLookup, errGet} {
				if errors.Is(err, auth.ErrNotFound) {
					t.fail("got %v for a record that is there", err)
				}
			}
			if list, err := t.store.List(canceled(), c.Kind, c.UserID, auth.Page{}); err == nil && len(list) == 0 {
				t.fail("List says there is none")
			}
		},
	},
	{
		name: "times are UTC",
		why:  "they are shown, and compared as text, by people's own code.",
		run: func(t *run) {
			c := t.create(record(auth.KindToken, user()))
			if got := t.get(c); got.CreatedAt.Location() != time.UTC || got.ExpiresAt.Location() != time.UTC {
				t.fail("got %v", got.CreatedAt)
			}
		},
	},
	{
		name: "a rotation keeps to its kind",
		why:  "a Ref names kind, user and ID.",
		run: func(t *run) {
			c := t.create(record(auth.KindSession, user()))
			ref := c.Ref()
			ref.Kind = auth.KindToken
			t.want(t.store.Rotate(t.Context(), ref, record(auth.KindToken, c.UserID), time.Time{}), auth.ErrNotFound)
			t.same(t.get(c), c)
		},
	},
}
