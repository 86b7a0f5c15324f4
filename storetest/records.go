package storetest

import (
	"errors"
	"math"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/seed-31c5bcb2/auth"
)

// recordCases are about how records are stored and found.
var recordCases = []testCase{
	{
		name: "Create_keepsEveryField",
		why:  "Lookup, Get and List return every field as it was passed to Create, with times in microseconds.",
		run: func(t *run) {
			u := user()
			for _, kind := range kinds {
				c := t.create(record(kind, u))
				t.same(t.lookup(c), c)
				t.same(t.get(c), c)
				t.wantCount(kind, u, 1)
				t.same(t.all(kind, u)[0], c)
			}
		},
	},
	{
		name: "Create_longestValues",
		why:  "all values that authenticators accept are returned unchanged: nothing is truncated, folded or trimmed.",
		run: func(t *run) {
			c := record(auth.KindToken, strings.Repeat("\U0001F600", 63)+"abc")
			c.Name = strings.Repeat("\U0001F469\u200D\U0001F4BB", 23) // 253 bytes
			c.Scopes = auth.Scopes(strings.Repeat("s", 2048))
			c.Networks = auth.Networks(strings.TrimSuffix(strings.Repeat("2001:db8:1111:2222:3333:4444:5555:6666/128 ", 16), " "))
			c.Metadata = auth.Metadata(strings.TrimSuffix(strings.Repeat(strings.Repeat("k", 64)+"="+strings.Repeat("\U0001F600", 64)+"\n", 16), "\n"))
			c.ExpiresAt = c.CreatedAt.Add(math.MaxInt64).Truncate(time.Microsecond)
			c.CreatedFrom = netip.MustParseAddr("2001:db8:1111:2222:3333:4444:5555:6666")
			t.create(c)
			t.same(t.lookup(c), c)
			c = record(auth.KindSession, user())
			c.Actor = strings.Repeat("\U0001F600", 63) + "abc"
			c.Name, c.Scopes, c.ExpiresAt = "", "", time.Time{}
			t.create(c)
			t.same(t.get(c), c)
		},
	},
	{
		name: "Store_unknownRecord",
		why:  "for an unknown record methods return ErrNotFound. Any other error is treated as an outage, and no error must grant access.",
		run: func(t *run) {
			c := record(auth.KindToken, user())
			t.notFound(c)
			t.want(t.store.Revoke(t.Context(), c.Ref()), auth.ErrNotFound)
			t.want(t.store.Rotate(t.Context(), c, successor(c), time.Time{}), auth.ErrNotFound)
			n, err := t.store.RevokeAll(t.Context(), c.Kind, c.UserID)
			t.ok(err)
			if n != 0 {
				t.fail("RevokeAll returned %d for a user without records", n)
			}
			t.ok(t.store.Touch(t.Context(), nil))
			t.ok(t.store.Touch(t.Context(), []auth.Use{{Ref: c.Ref(), Digest: c.Digest, At: now()}}))
			t.notFound(c)
		},
	},
	{
		name: "Lookup_kindsAreSeparate",
		why:  "a session's token must not be accepted as a personal access token.",
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
		name: "Get_comparesUsersByteByByte",
		why:  "a user whose ID differs from another's only in case, accents or a space must not reach that user's records. By default many databases treat such texts as equal.",
		run: func(t *run) {
			names := similar(user())
			var records []auth.Credential
			for _, name := range names {
				records = append(records, t.create(record(auth.KindToken, name)))
			}
			for i, name := range names {
				list := t.all(auth.KindToken, name)
				if len(list) != 1 || list[0].ID != records[i].ID {
					t.fail("List returned %+v for %q, want its one record", list, name)
				}
			}
			stranger := records[0]
			stranger.UserID = names[1]
			_, err := t.store.Get(t.Context(), stranger.Ref())
			t.want(err, auth.ErrNotFound)
			t.want(t.store.Revoke(t.Context(), stranger.Ref()), auth.ErrNotFound)
			t.want(t.store.Update(t.Context(), stranger, stranger), auth.ErrNotFound)
			next := record(auth.KindToken, stranger.UserID)
			t.want(t.store.Rotate(t.Context(), stranger, next, time.Time{}), auth.ErrNotFound)
			if n, err := t.store.RevokeAll(t.Context(), auth.KindToken, names[1]); n != 1 || err != nil {
				t.fail("RevokeAll returned %d and the error %v, want the one of %q", n, err, names[1])
			}
			t.same(t.lookup(records[0]), records[0])
		},
	},
	{
		name: "Create_uniqueDigest",
		why:  "ErrConflict for the digest of any other record, of any kind and user: a plaintext identifies one user.",
		run: func(t *run) {
			c := t.create(record(auth.KindToken, user()))
			for _, kind := range kinds {
				other := record(kind, user())
				other.Digest = c.Digest
				t.want(t.store.Create(t.Context(), other, 0), auth.ErrConflict)
				t.wantCount(kind, other.UserID, 0)
			}
			t.same(t.lookup(c), c)
			old := t.create(record(auth.KindToken, user()))
			next := successor(old)
			next.Digest = c.Digest
			t.want(t.store.Rotate(t.Context(), old, next, now().Add(time.Hour)), auth.ErrConflict)
			t.same(t.lookup(old), old)
			t.same(t.lookup(c), c)
		},
	},
	{
		name: "Lookup_findsExpired",
		why:  "authenticators check the expiry and report it in events, and pages list expired credentials. Only Purge removes them.",
		run: func(t *run) {
			c := t.createExpired(auth.KindToken, user())
			t.same(t.lookup(c), c)
			t.same(t.get(c), c)
			t.wantCount(c.Kind, c.UserID, 1)
			t.ok(t.store.Revoke(t.Context(), c.Ref()))
			t.notFound(c)
		},
	},
	{
		name: "List_newestFirst",
		why:  "the highest ID first, 100 records to a page by default, and at most 1,000.",
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
					t.fail("pages of %d have the IDs %v, want %v", limit, got, want)
				}
			}
		},
	},
	{
		name: "List_pagesNeitherSkipNorRepeat",
		why:  "a user who pages through tokens to find one must see it, even if others are created and revoked in the meantime. The last ID of a page may be revoked by then.",
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
				t.create(record(auth.KindToken, u)) // more than are revoked, so that offsets shift
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
					t.fail("%s, which existed all the time, is in %d pages, want 1", id, n)
				}
			}
		},
	},
	{
		name: "List_afterRevokedID",
		why:  "the last token of a page may be revoked before the next page is requested.",
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
		name: "Store_sharesNoSlice",
		why:  "a caller that modifies a slice that it passed or received does not change the record, and the result of a lookup does not change during a request.",
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
		name: "Store_canceledChange",
		why:  "a canceled change is not made, and returns an error that is not mistaken for a result.",
		run: func(t *run) {
			kept := t.create(record(auth.KindToken, user()))
			c := record(auth.KindToken, kept.UserID)
			_, errAll := t.store.RevokeAll(canceled(), kept.Kind, kept.UserID)
			for _, err := range []error{
				t.store.Create(canceled(), c, 0),
				t.store.Update(canceled(), kept, renamed(kept, "other")),
				t.store.Rotate(canceled(), kept, c, time.Time{}),
				t.store.Revoke(canceled(), kept.Ref()),
				errAll,
			} {
				if err == nil || errors.Is(err, auth.ErrNotFound) || errors.Is(err, auth.ErrConflict) || errors.Is(err, auth.ErrLimit) {
					t.fail("got the error %v, want that of the context", err)
				}
			}
			t.notFound(c)
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
