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
			for _, kind := range kinds {
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
			for mask := 1; mask < 1<<len(edits); mask++ {
				old := edited(c, mask)
				t.want(t.store.Update(t.Context(), old, renamed(old, "later")), auth.ErrConflict)
				t.want(t.store.Update(t.Context(), old, old), auth.ErrConflict)
			}
			t.same(t.lookup(c), c)
		},
	},
	{
		name: "Rotate_comparesOld",
		why:  "a rotation that read the record before an update would give the new one the scopes or networks that were taken away.",
		run: func(t *run) {
			c := t.create(record(auth.KindToken, user()))
			next := successor(c)
			for mask := 1; mask < 1<<len(edits); mask++ {
				old := edited(c, mask)
				t.want(t.store.Rotate(t.Context(), old, next, next.CreatedAt.Add(time.Hour)), auth.ErrConflict)
				t.want(t.store.Rotate(t.Context(), old, next, time.Time{}), auth.ErrConflict)
			}
			t.digestUnknown(next)
			t.same(t.lookup(c), c)
			for mask := range 1 << len(edits) {
				later := edited(c, mask)
				t.ok(t.store.Update(t.Context(), c, later))
				if mask > 0 {
					t.want(t.store.Rotate(t.Context(), c, next, next.CreatedAt.Add(time.Hour)), auth.ErrConflict)
				}
				t.ok(t.store.Update(t.Context(), later, c))
			}
			t.ok(t.store.Rotate(t.Context(), c, next, next.CreatedAt.Add(time.Hour)))
			t.same(t.lookup(next), next)
		},
	},
	{
		name: "Update_combinations",
		why:  "each combination of the four fields is written, and no field that stays the same is lost.",
		run: func(t *run) {
			for _, kind := range kinds {
				c := t.create(record(kind, user()))
				for mask := range 1 << len(edits) {
					next := edited(c, mask)
					t.ok(t.store.Update(t.Context(), c, next))
					t.same(t.get(c), next)
					c = next
				}
				t.same(t.lookup(c), c)
			}
		},
	},
	{
		name: "Update_comparesByteByByte",
		why:  "texts that differ in case, a space, an accent's form, or in which field they are in are different.",
		run: func(t *run) {
			c := record(auth.KindToken, user())
			c.Name, c.Scopes, c.Networks, c.Metadata = "caf\u00E9", "Notes:read a", "2001:db8::/32", "plan=Pro"
			t.create(c)
			for _, similar := range []func(c *auth.Credential){
				func(c *auth.Credential) { c.Name = "cafe\u0301" },
				func(c *auth.Credential) { c.Name = "cafe" },
				func(c *auth.Credential) { c.Name = "Caf\u00E9" },
				func(c *auth.Credential) { c.Name += " " },
				func(c *auth.Credential) { c.Name = " " + c.Name },
				func(c *auth.Credential) { c.Name += "\x00" },
				func(c *auth.Credential) { c.Scopes = "notes:read a" },
				func(c *auth.Credential) { c.Scopes += " " },
				func(c *auth.Credential) { c.Networks = "2001:DB8::/32" },
				func(c *auth.Credential) { c.Networks += " " },
				func(c *auth.Credential) { c.Metadata = "plan=pro" },
				func(c *auth.Credential) { c.Metadata += "\n" },
				func(c *auth.Credential) { c.Name, c.Scopes = c.Name+string(c.Scopes), "" },
				func(c *auth.Credential) { c.Name, c.Scopes = "", auth.Scopes(c.Name)+c.Scopes },
				func(c *auth.Credential) { c.Networks, c.Metadata = "", auth.Metadata(c.Networks)+c.Metadata },
				func(c *auth.Credential) {
					c.Networks, c.Metadata = auth.Networks(c.Metadata), auth.Metadata(c.Networks)
				},
			} {
				old := c
				similar(&old)
				next := successor(c)
				t.want(t.store.Update(t.Context(), old, renamed(c, "later")), auth.ErrConflict)
				t.want(t.store.Rotate(t.Context(), old, next, time.Time{}), auth.ErrConflict)
			}
			t.same(t.lookup(c), c)
			next := c
			next.Name, next.Scopes, next.Metadata = "Caf\u00E9 ", "notes:read A", "plan=pro"
			t.ok(t.store.Update(t.Context(), c, next))
			t.same(t.lookup(c), next)
		},
	},
	{
		name: "Update_toTheSame",
		why:  "an Update that changes nothing succeeds. A database may report that it affected no row.",
		run: func(t *run) {
			for _, kind := range kinds {
				c := t.create(record(kind, user()))
				t.ok(t.store.Update(t.Context(), c, c))
				t.ok(t.store.Update(t.Context(), c, c))
				t.same(t.lookup(c), c)
			}
		},
	},
	{
		name: "Update_ignoresTheRestOfOld",
		why:  "what a caller read may be old or incomplete. Of old, only the Ref and the four fields count.",
		run: func(t *run) {
			c := t.create(record(auth.KindSecret, user()))
			next := t.rotate(c)
			old := auth.Credential{
				ID: next.ID, Kind: next.Kind, UserID: next.UserID,
				Name: next.Name, Scopes: next.Scopes, Networks: next.Networks, Metadata: next.Metadata,
				Superseded: true, ExpiresAt: now().Add(-time.Hour), LastUsedAt: now(), CreatedAt: now(),
			}
			t.ok(t.store.Update(t.Context(), old, renamed(old, "renamed")))
			next.Name, old.Name = "renamed", "renamed"
			t.same(t.lookup(next), next)
			third := successor(next)
			t.ok(t.store.Rotate(t.Context(), old, third, third.CreatedAt.Add(time.Hour)))
			t.notFound(c) // the previous one of the record, not of old
			next.Superseded, next.ExpiresAt = true, third.CreatedAt.Add(time.Hour)
			t.same(t.lookup(next), next)
			t.same(t.lookup(third), third)
		},
	},
	{
		name: "Update_ofSuperseded",
		why:  "ErrConflict: the change would end with the grace period, while its user believes that the new record has it.",
		run: func(t *run) {
			old := t.create(record(auth.KindToken, user()))
			next := t.rotate(old)
			before := t.get(old)
			t.want(t.store.Update(t.Context(), old, renamed(old, "late")), auth.ErrConflict)
			t.want(t.store.Update(t.Context(), before, renamed(before, "late")), auth.ErrConflict)
			t.same(t.lookup(old), before)
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
			for _, kind := range kinds {
				c := t.create(record(kind, user()))
				t.ok(t.store.Revoke(t.Context(), c.Ref()))
				t.want(t.store.Update(t.Context(), c, renamed(c, "back")), auth.ErrNotFound)
				t.want(t.store.Update(t.Context(), renamed(c, "other"), renamed(c, "back")), auth.ErrNotFound)
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

// edits each change one of the fields that Update changes, to a value that they do not have.
var edits = [...]func(c *auth.Credential){
	func(c *auth.Credential) { c.Name += "+" },
	func(c *auth.Credential) { c.Scopes += " more" },
	func(c *auth.Credential) { c.Networks += " 203.0.113.0/24" },
	func(c *auth.Credential) { c.Metadata += "\nz=1" },
}

// edited returns c with the edits that are set in mask.
func edited(c auth.Credential, mask int) auth.Credential {
	for i, edit := range edits {
		if mask&(1<<i) != 0 {
			edit(&c)
		}
	}
	return c
}
