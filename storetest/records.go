package storetest

import (
	"errors"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/seed-31c5bcb2/auth"
)

// What is kept, and how it is found again.
var recordCases = []testCase{
	{
		name: "what is created is found, whole",
		why:  "Lookup, Get and List return every field as Create got it, times to the microsecond.",
		run: func(t *run) {
			u := user()
			for _, kind := range []auth.Kind{auth.KindToken, auth.KindSession, auth.KindSecret} {
				c := t.create(record(kind, u))
				t.same(t.lookup(c), c)
				t.same(t.get(c), c)
				list := t.all(kind, u)
				if len(list) != 1 {
					t.fail("List has %d records, want the one of its kind", len(list))
				}
				t.same(list[0], c)
			}
		},
	},
	{
		name: "the longest and oddest values",
		why:  "whatever the authenticators accept comes back unchanged: nothing is cut, folded or trimmed.",
		run: func(t *run) {
			c := record(auth.KindToken, strings.Repeat("\U0001F600", 63)+"abc")
			c.Name = strings.Repeat("\U0001F469\u200D\U0001F4BB", 23) // 253 bytes
			c.Scopes = auth.Scopes(strings.Repeat("s", 2048))
			c.ExpiresAt = c.CreatedAt.Add(math.MaxInt64).Truncate(time.Microsecond)
			t.create(c)
			t.same(t.lookup(c), c)
			c = record(auth.KindSession, user())
			c.Name, c.Scopes, c.ExpiresAt = "", "", time.Time{}
			t.create(c)
			t.same(t.get(c), c)
		},
	},
	{
		name: "no record",
		why:  "ErrNotFound is the answer to what is not there. Any other error is an outage, and none lets somebody in.",
		run: func(t *run) {
			c := record(auth.KindToken, user())
			t.gone(c)
			t.want(t.store.Revoke(t.Context(), c.Ref()), auth.ErrNotFound)
			t.want(t.store.Rotate(t.Context(), c.Ref(), successor(c), time.Time{}), auth.ErrNotFound)
			n, err := t.store.RevokeAll(t.Context(), c.Kind, c.UserID)
			t.ok(err)
			if n != 0 {
				t.fail("RevokeAll ended %d of none", n)
			}
			t.ok(t.store.Touch(t.Context(), nil))
			t.ok(t.store.Touch(t.Context(), []auth.Use{{Ref: c.Ref(), Digest: c.Digest, At: now()}}))
			t.gone(c)
		},
	},
	{
		name: "kinds are apart",
		why:  "a session's token presented as a personal access token opens nothing.",
		run: func(t *run) {
			c := t.create(record(auth.KindSession, user()))
			for _, kind := range []auth.Kind{auth.KindToken, auth.KindSecret, 0} {
				_, err := t.store.Lookup(t.Context(), kind, c.Digest)
				t.want(err, auth.ErrNotFound)
			}
			ref := c.Ref()
			ref.Kind = auth.KindToken
			_, err := t.store.Get(t.Context(), ref)
			t.want(err, auth.ErrNotFound)
			t.want(t.store.Revoke(t.Context(), ref), auth.ErrNotFound)
			t.same(t.lookup(c), c)
		},
	},
	{
		name: "users are apart, byte by byte",
		why:  "whoever can choose a name like another's, but for case, accents or a space, does not reach that one's records. Databases compare text so by default.",
		run: func(t *run) {
			u := user()
			names := []string{u, strings.ToUpper(u), u + " ", u + "é", u + "e", u + "e\u0301", u + "\u00AD"}
			var records []auth.Credential
			for _, name := range names {
				records = append(records, t.create(record(auth.KindToken, name)))
			}
			for i, name := range names {
				list := t.all(auth.KindToken, name)
				if len(list) != 1 || list[0].ID != records[i].ID {
					t.fail("%q has the records %+v, want its one", name, list)
				}
			}
			stranger := auth.Ref{Kind: auth.KindToken, UserID: names[1], ID: records[0].ID}
			_, err := t.store.Get(t.Context(), stranger)
			t.want(err, auth.ErrNotFound)
			t.want(t.store.Revoke(t.Context(), stranger), auth.ErrNotFound)
			next := record(auth.KindToken, stranger.UserID)
			t.want(t.store.Rotate(t.Context(), stranger, next, time.Time{}), auth.ErrNotFound)
			if n, err := t.store.RevokeAll(t.Context(), auth.KindToken, names[1]); n != 1 || err != nil {
				t.fail("RevokeAll ended %d (%v), want the one of %q", n, err, names[1])
			}
			t.same(t.lookup(records[0]), records[0])
		},
	},
	{
		name: "one digest, one record",
		why:  "ErrConflict for a digest that a record of any kind or user has: a plaintext names one account.",
		run: func(t *run) {
			c := t.create(record(auth.KindToken, user()))
			for _, kind := range []auth.Kind{auth.KindToken, auth.KindSession, auth.KindSecret} {
				other := record(kind, user())
				other.Digest = c.Digest
				t.want(t.store.Create(t.Context(), other, 0), auth.ErrConflict)
				if list := t.all(kind, other.UserID); len(list) != 0 {
					t.fail("a refused Create left %+v", list)
				}
			}
			t.same(t.lookup(c), c)
			old := t.create(record(auth.KindToken, user()))
			next := successor(old)
			next.Digest = c.Digest
			t.want(t.store.Rotate(t.Context(), old.Ref(), next, now().Add(time.Hour)), auth.ErrConflict)
			t.same(t.lookup(old), old)
			t.same(t.lookup(c), c)
		},
	},
	{
		name: "expired ones are kept",
		why:  "authenticators check expiry and say so in events; a page shows what has expired. Only Purge removes it.",
		run: func(t *run) {
			c := record(auth.KindToken, user())
			c.ExpiresAt = c.CreatedAt
			t.create(c)
			t.same(t.lookup(c), c)
			t.same(t.get(c), c)
			if list := t.all(c.Kind, c.UserID); len(list) != 1 {
				t.fail("List has %d records, want the expired one", len(list))
			}
			t.ok(t.store.Revoke(t.Context(), c.Ref()))
			t.gone(c)
		},
	},
	{
		name: "lists are in order",
		why:  "the newest first, by ID; 100 to a page unless asked otherwise, and never over 1,000.",
		run: func(t *run) {
			u := user()
			var want []string
			for range 103 {
				want = append(want, t.create(record(auth.KindToken, u)).ID)
			}
			slices.Reverse(want)
			first, err := t.store.List(t.Context(), auth.KindToken, u, auth.Page{})
			t.ok(err)
			if len(first) != 100 {
				t.fail("the first page has %d records, want 100", len(first))
			}
			for _, limit := range []int{0, -1, 1, 7, 103, 104, 5000} {
				if got := ids(t.pages(auth.KindToken, u, limit, func() {})); !slices.Equal(got, want) {
					t.fail("pages of %d come to %v, want %v", limit, got, want)
				}
			}
		},
	},
	{
		name: "pages neither skip nor repeat",
		why:  "whoever pages through tokens to revoke one sees it, though others are made and end meanwhile; the last ID seen may be gone.",
		run: func(t *run) {
			u := user()
			stay := make(map[string]int)
			var leave []auth.Credential
			for i := range 60 {
				c := t.create(record(auth.KindToken, u))
				if i%3 == 0 {
					leave = append(leave, c)
				} else {
					stay[c.ID] = 0
				}
			}
			all := t.pages(auth.KindToken, u, 4, func() {
				t.create(record(auth.KindToken, u))
				t.create(record(auth.KindToken, u)) // more than leave, so that counting from the front goes wrong
				if last := len(leave) - 1; last >= 0 {
					t.ok(t.store.Revoke(t.Context(), leave[last].Ref()))
					leave = leave[:last]
				}
			})
			for _, id := range ids(all) {
				if n, ok := stay[id]; ok {
					stay[id] = n + 1
				}
			}
			for id, n := range stay {
				if n != 1 {
					t.fail("%s was there all the time and in %d pages", id, n)
				}
			}
		},
	},
	{
		name: "a page after an ID that is gone",
		why:  "the last token of a page may have been revoked before the next page is asked for.",
		run: func(t *run) {
			u := user()
			var records []auth.Credential
			for range 5 {
				records = append(records, t.create(record(auth.KindToken, u)))
			}
			t.ok(t.store.Revoke(t.Context(), records[2].Ref()))
			list, err := t.store.List(t.Context(), auth.KindToken, u, auth.Page{After: records[2].ID})
			t.ok(err)
			if got, want := ids(list), []string{records[1].ID, records[0].ID}; !slices.Equal(got, want) {
				t.fail("got %v, want %v", got, want)
			}
		},
	},
	{
		name: "no slice is shared",
		why:  "a caller that writes to what it passed or got does not change the record, and a record that was looked up does not change under a request.",
		run: func(t *run) {
			c := record(auth.KindSecret, user())
			sealed := slices.Clone(c.Sealed)
			t.create(c)
			c.Sealed[0] ^= 0xFF
			want := c
			want.Sealed = sealed
			t.same(t.get(c), want)
			t.get(c).Sealed[0] ^= 0xFF
			t.all(c.Kind, c.UserID)[0].Sealed[0] ^= 0xFF
			t.same(t.get(c), want)

			seen, err := t.store.Lookup(t.Context(), c.Kind, c.Digest)
			t.ok(err)
			t.ok(t.store.Touch(t.Context(), []auth.Use{{Ref: c.Ref(), Digest: c.Digest, At: now()}}))
			t.ok(t.store.Revoke(t.Context(), c.Ref()))
			t.same(*seen, want)
		},
	},
	{
		name: "a context that is over",
		why:  "a change that was given up is not made, and says so with an error that nobody takes for an answer.",
		run: func(t *run) {
			kept := t.create(record(auth.KindToken, user()))
			c := record(auth.KindToken, kept.UserID)
			_, errAll := t.store.RevokeAll(canceled(), kept.Kind, kept.UserID)
			for _, err := range []error{
				t.store.Create(canceled(), c, 0),
				t.store.Rotate(canceled(), kept.Ref(), c, time.Time{}),
				t.store.Revoke(canceled(), kept.Ref()),
				errAll,
			} {
				if err == nil || errors.Is(err, auth.ErrNotFound) || errors.Is(err, auth.ErrConflict) || errors.Is(err, auth.ErrLimit) {
					t.fail("got the error %v, want one that tells of the context", err)
				}
			}
			t.gone(c)
			t.same(t.lookup(kept), kept)
		},
	},
}

func ids(list []auth.Credential) []string {
	ids := make([]string, len(list))
	for i, c := range list {
		ids[i] = c.ID
	}
	return ids
}
