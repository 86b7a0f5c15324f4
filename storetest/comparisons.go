package storetest

import (
	"strings"
	"time"

	"github.com/seed-31c5bcb2/auth"
)

// comparisonCases are about users, IDs and digests that many databases treat as equal by default,
// because of a collation, or because they ignore spaces at the end.
var comparisonCases = []testCase{
	{
		name: "Create_secretsOfSimilarUsers",
		why:  "each user has a secret, even if another user's ID differs only in case, accents or a space.",
		run: func(t *run) {
			var secrets []auth.Credential
			for _, u := range similar(user()) {
				secrets = append(secrets, t.create(record(auth.KindSecret, u)))
			}
			for _, c := range secrets {
				t.same(t.lookup(c), c)
				t.want(t.store.Create(t.Context(), record(c.Kind, c.UserID), 0), auth.ErrConflict)
				t.wantCount(c.Kind, c.UserID, 1)
			}
			next := t.rotate(secrets[0])
			t.same(t.lookup(next), next)
			for _, c := range secrets[1:] {
				t.same(t.lookup(c), c)
			}
		},
	},
	{
		name: "Create_replacesOnlyOwnSecret",
		why:  "a new secret revokes no expired one of a user with a similar ID.",
		run: func(t *run) {
			var expired []auth.Credential
			for _, u := range similar(user()) {
				expired = append(expired, t.createExpired(auth.KindSecret, u))
			}
			t.create(record(auth.KindSecret, expired[0].UserID))
			t.notFound(expired[0])
			for _, c := range expired[1:] {
				t.same(t.lookup(c), c)
			}
		},
	},
	{
		name: "Create_limitOfSimilarUsers",
		why:  "a limit counts the records of one user, and none of a user whose ID differs only in case, accents or a space.",
		run: func(t *run) {
			for _, kind := range []auth.Kind{auth.KindToken, auth.KindSession} {
				for _, u := range similar(user()) {
					t.ok(t.store.Create(t.Context(), record(kind, u), 1))
					t.want(t.store.Create(t.Context(), record(kind, u), 1), auth.ErrLimit)
				}
			}
		},
	},
	{
		name: "RevokeAll_ofSimilarUsers",
		why:  "a change of one user's password ends nothing of a user with a similar ID.",
		run: func(t *run) {
			var records []auth.Credential
			for _, u := range similar(user()) {
				records = append(records, t.create(record(auth.KindToken, u)))
			}
			for i, c := range records {
				n, err := t.store.RevokeAll(t.Context(), c.Kind, c.UserID)
				t.ok(err)
				if n != 1 {
					t.fail("RevokeAll returned %d for %q, want 1", n, c.UserID)
				}
				for _, later := range records[i+1:] {
					t.same(t.lookup(later), later)
				}
			}
		},
	},
	{
		name: "Get_comparesIDsByteByByte",
		why:  "an ID that differs only in case, accents or a space names another record, or none.",
		run: func(t *run) {
			c := record(auth.KindToken, user())
			c.ID = "01j" + strings.ToUpper(c.ID[13:]) + "az" // short enough for a column of 26 characters
			t.create(c)
			next := successor(c)
			for _, id := range similar(c.ID)[1:] {
				other := c
				other.ID = id
				_, err := t.store.Get(t.Context(), other.Ref())
				t.want(err, auth.ErrNotFound)
				t.want(t.store.Update(t.Context(), other, renamed(other, "other")), auth.ErrNotFound)
				t.want(t.store.Rotate(t.Context(), other, next, next.CreatedAt.Add(time.Hour)), auth.ErrNotFound)
				t.want(t.store.Revoke(t.Context(), other.Ref()), auth.ErrNotFound)
				t.ok(t.store.Touch(t.Context(), []auth.Use{{Ref: other.Ref(), Digest: record(c.Kind, "").Digest, At: now()}}))
			}
			t.same(t.lookup(c), c)
			n, err := t.store.RevokeAll(t.Context(), c.Kind, c.UserID, similar(c.ID)[1:]...)
			t.ok(err)
			if n != 1 {
				t.fail("RevokeAll returned %d, want 1: none of the excepted IDs is that of the record", n)
			}
			t.notFound(c)
		},
	},
	{
		name: "Create_similarIDs",
		why:  "records whose IDs differ only in case or a space are different records, and the revocation of one is none of the other.",
		run: func(t *run) {
			c := record(auth.KindToken, user())
			c.ID = "01j" + c.ID[13:] + "az"
			t.create(c)
			for _, id := range []string{strings.ToUpper(c.ID), c.ID + " ", " " + c.ID} {
				other := record(c.Kind, c.UserID)
				other.ID = id
				t.create(other)
				t.same(t.get(other), other)
				t.same(t.lookup(other), other)
				t.ok(t.store.Revoke(t.Context(), other.Ref()))
				t.notFound(other)
				t.same(t.get(c), c)
			}
			t.wantCount(c.Kind, c.UserID, 1)
		},
	},
	{
		name: "Lookup_comparesDigestByteByByte",
		why:  "a digest is 32 bytes, and no text: the case of letters, spaces and zero bytes at the end, and the case of its hexadecimal or base64 form, matter.",
		run: func(t *run) {
			c := record(auth.KindToken, user())
			for i := range c.Digest[:16] {
				c.Digest[i] = 'A' // the others are random
			}
			// 0x00 and 0x68 are "A" and "a" at the beginning of a group of base64.
			c.Digest[0], c.Digest[30], c.Digest[31] = 0, ' ', ' '
			t.create(c)
			for _, change := range []func(d *auth.Digest){
				func(d *auth.Digest) { d[0] = 0x68 },
				func(d *auth.Digest) { d[1] = 'a' },
				func(d *auth.Digest) { d[15] = 'a' },
				func(d *auth.Digest) { d[31] = 0 },
				func(d *auth.Digest) { d[31] = '\t' },
				func(d *auth.Digest) { d[30], d[31] = 0, 0 },
			} {
				other := record(auth.KindToken, user())
				other.Digest = c.Digest
				change(&other.Digest)
				t.digestUnknown(other)
				t.create(other)
				t.same(t.lookup(other), other)
				t.ok(t.store.Revoke(t.Context(), other.Ref()))
				t.same(t.lookup(c), c)
			}
		},
	},
}

// similar returns s, and texts that collations and padding treat as equal to it.
func similar(s string) []string {
	return []string{s, strings.ToUpper(s), s + " ", s + "\u00E9", s + "e", s + "e\u0301", s + "\u00AD", s + "\t"}
}
