package storetest

import (
	"errors"
	"time"

	"github.com/seed-31c5bcb2/auth"
)

// What happens to a record between Create and Purge.
var lifeCases = []testCase{
	{
		name: "revoked is gone, and stays so",
		why:  "nothing brings a revoked token or secret back: neither a use on its way to the store, nor an import of the same plaintext.",
		run: func(t *run) {
			for _, kind := range []auth.Kind{auth.KindToken, auth.KindSession, auth.KindSecret} {
				c := t.create(record(kind, user()))
				t.ok(t.store.Revoke(t.Context(), c.Ref()))
				t.gone(c)
				t.want(t.store.Revoke(t.Context(), c.Ref()), auth.ErrNotFound)
				t.ok(t.store.Touch(t.Context(), []auth.Use{{Ref: c.Ref(), Digest: c.Digest, At: now()}}))
				t.want(t.store.Rotate(t.Context(), c.Ref(), successor(c), now().Add(time.Hour)), auth.ErrNotFound)
				t.gone(c)
				if kind != auth.KindSession {
					again := record(kind, user())
					again.Digest = c.Digest
					t.want(t.store.Create(t.Context(), again, 0), auth.ErrConflict)
				}
				t.gone(c)
			}
		},
	},
	{
		name: "all revoked",
		why:  "after a change of password nothing of the account is left but what is named, and nobody else's is touched.",
		run: func(t *run) {
			u := user()
			kept, ended, old := t.create(record(auth.KindToken, u)), t.create(record(auth.KindToken, u)), t.create(record(auth.KindToken, u))
			next := t.rotate(old)
			session, stranger := t.create(record(auth.KindSession, u)), t.create(record(auth.KindToken, user()))
			n, err := t.store.RevokeAll(t.Context(), auth.KindToken, u, kept.ID, stranger.ID, "no such ID")
			t.ok(err)
			if n != 3 {
				t.fail("RevokeAll says that it ended %d, want 3", n)
			}
			for _, c := range []auth.Credential{ended, old, next} {
				t.gone(c)
			}
			for _, c := range []auth.Credential{kept, session, stranger} {
				t.same(t.lookup(c), c)
			}
			again := record(auth.KindToken, u)
			again.Digest = ended.Digest
			t.want(t.store.Create(t.Context(), again, 0), auth.ErrConflict)
		},
	},
	{
		name: "rotation with an overlap",
		why:  "old and new both work until the overlap ends, or the old one's own expiry.",
		run: func(t *run) {
			old := t.create(record(auth.KindToken, user()))
			next := successor(old)
			until := next.CreatedAt.Add(10 * time.Minute)
			t.ok(t.store.Rotate(t.Context(), old.Ref(), next, until))
			t.same(t.lookup(next), next)
			old.Superseded, old.ExpiresAt = true, until
			t.same(t.lookup(old), old)
			t.same(t.get(old), old)
			t.want(t.store.Rotate(t.Context(), old.Ref(), successor(old), until), auth.ErrConflict)

			short := t.create(record(auth.KindToken, user()))
			t.ok(t.store.Rotate(t.Context(), short.Ref(), successor(short), short.ExpiresAt.Add(time.Hour)))
			short.Superseded = true
			t.same(t.lookup(short), short)

			endless := record(auth.KindToken, user())
			endless.ExpiresAt = time.Time{}
			t.create(endless)
			t.ok(t.store.Rotate(t.Context(), endless.Ref(), successor(endless), until))
			endless.Superseded, endless.ExpiresAt = true, until
			t.same(t.lookup(endless), endless)
		},
	},
	{
		name: "rotation without an overlap",
		why:  "the old one ends at once, and cannot come back.",
		run: func(t *run) {
			for _, until := range []func(auth.Credential) time.Time{
				func(auth.Credential) time.Time { return time.Time{} },
				func(next auth.Credential) time.Time { return next.CreatedAt },
			} {
				old := t.create(record(auth.KindToken, user()))
				next := successor(old)
				next.Previous = ""
				t.ok(t.store.Rotate(t.Context(), old.Ref(), next, until(next)))
				t.gone(old)
				t.same(t.lookup(next), next)
				t.want(t.store.Rotate(t.Context(), old.Ref(), successor(old), time.Time{}), auth.ErrNotFound)
				again := record(auth.KindToken, user())
				again.Digest = old.Digest
				t.want(t.store.Create(t.Context(), again, 0), auth.ErrConflict)
			}
		},
	},
	{
		name: "rotation of an expired one",
		why:  "what has expired does not live again, nor slip in over the limit, by being rotated.",
		run: func(t *run) {
			old := record(auth.KindToken, user())
			next := successor(old)
			old.ExpiresAt = next.CreatedAt
			t.create(old)
			t.want(t.store.Rotate(t.Context(), old.Ref(), next, next.CreatedAt.Add(time.Hour)), auth.ErrNotFound)
			t.gone(next)
			t.same(t.lookup(old), old)
		},
	},
	{
		name: "fifty rotations in a row",
		why:  "at most two of one line are live: each rotation ends what the one before had left.",
		run: func(t *run) {
			line := []auth.Credential{t.create(record(auth.KindSecret, user()))}
			for range 50 {
				line = append(line, t.rotate(line[len(line)-1]))
				if live := t.all(auth.KindSecret, line[0].UserID); len(live) != 2 {
					t.fail("%d are live, want 2", len(live))
				}
			}
			for _, c := range line[:49] {
				t.gone(c)
			}
		},
	},
	{
		name: "revoking in an overlap",
		why:  "whoever ends a token ends the one that it replaced with it; the old one alone can be ended first.",
		run: func(t *run) {
			old := t.create(record(auth.KindToken, user()))
			next := t.rotate(old)
			t.ok(t.store.Revoke(t.Context(), next.Ref()))
			t.gone(next)
			t.gone(old)

			old = t.create(record(auth.KindToken, user()))
			next = t.rotate(old)
			t.ok(t.store.Revoke(t.Context(), old.Ref()))
			t.gone(old)
			t.same(t.lookup(next), next)
			t.ok(t.store.Revoke(t.Context(), next.Ref()))
			t.gone(next)
		},
	},
	{
		name: "one current secret",
		why:  "ErrConflict for a second secret of an account, unless the first was revoked; a superseded one does not count.",
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
		name: "limits",
		why:  "a limit counts an account's live records of a kind: not those of others, nor expired, superseded and revoked ones.",
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
			t.gone(third)
			next := t.rotate(first)
			t.want(add(third), auth.ErrLimit)
			t.ok(t.store.Revoke(ctx, next.Ref()))
			t.ok(add(third))
			t.want(add(record(auth.KindToken, u)), auth.ErrLimit)
			t.ok(t.store.Create(ctx, record(auth.KindToken, u), 0))
		},
	},
	{
		name: "last use goes forward",
		why:  "uses arrive late and out of order, from several processes; and they change nothing else.",
		run: func(t *run) {
			c := t.create(record(auth.KindToken, user()))
			at := c.CreatedAt.Add(time.Minute)
			use := func(at time.Time) auth.Use { return auth.Use{Ref: c.Ref(), Digest: c.Digest, At: at} }
			t.ok(t.store.Touch(t.Context(), []auth.Use{use(at)}))
			t.ok(t.store.Touch(t.Context(), []auth.Use{use(at.Add(-time.Second))}))
			c.LastUsedAt = at
			t.same(t.lookup(c), c)
			t.same(t.get(c), c)
			t.ok(t.store.Touch(t.Context(), []auth.Use{use(at.Add(2 * time.Second)), use(at.Add(time.Second))}))
			c.LastUsedAt = at.Add(2 * time.Second)
			t.same(t.lookup(c), c)
		},
	},
	{
		name: "many uses at once",
		why:  "a busy process writes the uses of a minute in one call, among them those of what was revoked meanwhile.",
		run: func(t *run) {
			u := user()
			var uses []auth.Use
			var records []auth.Credential
			for range 1000 {
				c := t.create(record(auth.KindToken, u))
				c.LastUsedAt = c.CreatedAt.Add(time.Second)
				uses = append(uses, auth.Use{Ref: c.Ref(), Digest: c.Digest, At: c.LastUsedAt})
				records = append(records, c)
			}
			t.ok(t.store.Revoke(t.Context(), records[0].Ref()))
			t.ok(t.store.Touch(t.Context(), uses))
			t.gone(records[0])
			t.same(t.get(records[1]), records[1])
			t.same(t.get(records[999]), records[999])
		},
	},
	{
		name: "purging",
		why:  "Purge removes what ended before a time, to the microsecond, and nothing that may still let somebody in, or keep somebody out.",
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
			n, err := t.store.Purge(t.Context(), at)
			t.ok(err)
			if n != 1 {
				t.fail("Purge says that it removed %d, want 1", n)
			}
			t.gone(before)
			for _, c := range []auth.Credential{exact, live, endless} {
				t.same(t.lookup(c), c)
			}
			again := record(auth.KindToken, u)
			again.Digest = revoked.Digest
			t.want(t.store.Create(t.Context(), again, 0), auth.ErrConflict)

			_, err = t.store.Purge(t.Context(), now().Add(time.Minute))
			t.ok(err)
			t.gone(exact)
			t.same(t.lookup(live), live)
			t.same(t.lookup(endless), endless)
			t.create(again)
			t.same(t.lookup(again), again)
			_, err = t.store.Lookup(t.Context(), auth.KindToken, before.Digest)
			if errors.Is(err, auth.ErrRevoked) {
				t.fail("a purged record is remembered as revoked")
			}
		},
	},
}
