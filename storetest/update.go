package storetest

import (
	"time"

	"github.com/seed-31c5bcb2/auth"
)

// updateCases are about Update, and about what it and the other changes do to each other.
var updateCases = []testCase{
	{
		name: "Update_changesFourFields",
		why:  "Update sets Name, Scopes, Networks and Metadata, to nothing too, and ignores the rest of next: it gives no record a longer life, another owner or another digest.",
		run: func(t *run) {
			for _, kind := range []auth.Kind{auth.KindToken, auth.KindSession, auth.KindSecret} {
				c := t.create(record(kind, user()))
				next := successor(record(kind, user())) // another record in every field
				next.Superseded, next.ExpiresAt, next.LastUsedAt = true, now().Add(24*time.Hour), now()
				next.Name, next.Scopes, next.Networks, next.Metadata = "renamed", "notes:read", "198.51.100.0/24", "tenant=other"
				t.ok(t.store.Update(t.Context(), c, next))
				c.Name, c.Scopes, c.Networks, c.Metadata = next.Name, next.Scopes, next.Networks, next.Metadata
				t.same(t.lookup(c), c)
				t.same(t.get(c), c)
				t.digestUnknown(next)
				bare := c
				bare.Name, bare.Scopes, bare.Networks, bare.Metadata = "", "", "", ""
				t.ok(t.store.Update(t.Context(), c, bare))
				t.same(t.lookup(c), bare)
				t.same(t.all(kind, c.UserID)[0], bare)
			}
		},
	},
	{
		name: "Update_comparesOld",
		why:  "a change that was decided on other settings than the present ones is refused: it could give back networks or scopes that were taken away meanwhile.",
		run: func(t *run) {
			c := t.create(record(auth.KindToken, user()))
			for _, edit := range []func(c *auth.Credential){
				func(c *auth.Credential) { c.Name += " " },
				func(c *auth.Credential) { c.Scopes = "notes:read" },
				func(c *auth.Credential) { c.Networks = "" },
				func(c *auth.Credential) { c.Metadata = "plan=pro" },
			} {
				old := c
				edit(&old)
				t.want(t.store.Update(t.Context(), old, renamed(old, "later")), auth.ErrConflict)
				next := successor(c)
				t.want(t.store.Rotate(t.Context(), old, next, next.CreatedAt.Add(time.Hour)), auth.ErrConflict)
				t.want(t.store.Rotate(t.Context(), old, next, time.Time{}), auth.ErrConflict)
				t.digestUnknown(next)
				t.same(t.lookup(c), c)
			}
		},
	},
	{
		name: "Update_ofSuperseded",
		why:  "ErrConflict: the change would end with the grace period, while its user believes that the new record has it.",
		run: func(t *run) {
			old := t.create(record(auth.KindToken, user()))
			next := t.rotate(old)
			t.want(t.store.Update(t.Context(), old, renamed(old, "late")), auth.ErrConflict)
			t.same(t.lookup(next), next)
		},
	},
	{
		name: "Update_afterTouch",
		why:  "an Update that read the record before a use keeps the use.",
		run: func(t *run) {
			c := t.create(record(auth.KindToken, user()))
			use := auth.Use{Ref: c.Ref(), Digest: c.Digest, At: c.CreatedAt.Add(time.Minute), From: c.CreatedFrom}
			t.ok(t.store.Touch(t.Context(), []auth.Use{use}))
			t.ok(t.store.Update(t.Context(), c, renamed(c, "renamed")))
			c.Name, c.LastUsedAt, c.LastUsedFrom = "renamed", use.At, use.From
			t.same(t.lookup(c), c)
		},
	},
	{
		name: "Update_revoked",
		why:  "ErrNotFound: no call brings a revoked record back.",
		run: func(t *run) {
			for _, kind := range []auth.Kind{auth.KindToken, auth.KindSession, auth.KindSecret} {
				c := t.create(record(kind, user()))
				t.ok(t.store.Revoke(t.Context(), c.Ref()))
				t.want(t.store.Update(t.Context(), c, renamed(c, "back")), auth.ErrNotFound)
				t.notFound(c)
			}
		},
	},
	{
		name: "Update_expired",
		why:  "an expired record can be renamed, and stays expired.",
		run: func(t *run) {
			c := t.createExpired(auth.KindToken, user())
			t.ok(t.store.Update(t.Context(), c, renamed(c, "old")))
			t.same(t.lookup(c), renamed(c, "old"))
		},
	},
}
