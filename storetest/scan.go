package storetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/seed-31c5bcb2/auth"
)

// scanCases are about auth.Scanner. The database may have records of other cases, so each case
// has a range of expiries, or users, of its own.
var scanCases = []testCase{
	{
		name: "Scan_returnsEveryField",
		why:  "a scan returns the records as Get does, of all users, of one kind or of all.",
		run: func(t *run) {
			var want []auth.Credential
			for _, kind := range kinds {
				c := t.create(record(kind, user()))
				use := auth.Use{Ref: c.Ref(), Digest: c.Digest, At: c.CreatedAt.Add(time.Second), From: record(auth.KindToken, "").CreatedFrom}
				t.ok(t.store.Touch(t.Context(), []auth.Use{use}))
				t.ok(t.store.Update(t.Context(), c, renamed(c, "renamed")))
				c.Name, c.LastUsedAt, c.LastUsedFrom = "renamed", use.At, use.From
				want = append(want, c)
			}
			t.scanned(auth.ScanQuery{Limit: 1000}, want, nil)
			for i, c := range want {
				others := slices.Delete(slices.Clone(want), i, i+1)
				t.scanned(auth.ScanQuery{Limit: 1000, Kind: c.Kind}, want[i:i+1], others)
			}
		},
	},
	{
		name: "Scan_bounds",
		why:  "ExpiresFrom is inclusive and ExpiresBefore is exclusive, to the microsecond, so that two scans of adjacent ranges have each record once.",
		run: func(t *run) {
			from := ownTime()
			before := from.Add(time.Hour)
			var records []auth.Credential
			for i, at := range []time.Time{from, before} {
				for d := -1; d <= 1; d++ {
					c := record(kinds[i], user())
					c.ExpiresAt = at.Add(time.Duration(d) * time.Microsecond)
					records = append(records, t.create(c))
				}
			}
			t.scanned(auth.ScanQuery{ExpiresFrom: from, ExpiresBefore: before}, records[1:4], slices.Concat(records[:1], records[4:]))
			t.scanned(auth.ScanQuery{ExpiresFrom: from, Limit: 1000}, records[1:], records[:1])
			t.scanned(auth.ScanQuery{ExpiresBefore: before, Limit: 1000}, records[:4], records[4:])
			t.scanned(auth.ScanQuery{Kind: kinds[1], ExpiresFrom: from, ExpiresBefore: before}, records[3:4], slices.Concat(records[:3], records[4:]))
			t.scanned(auth.ScanQuery{ExpiresFrom: from, ExpiresBefore: from}, nil, records)
			t.scanned(auth.ScanQuery{ExpiresFrom: before, ExpiresBefore: from}, nil, records)
		},
	},
	{
		name: "Scan_neverExpiring",
		why:  "records that never expire are those that an operator most wants to find. They match without ExpiresBefore, and never with it.",
		run: func(t *run) {
			var endless, others []auth.Credential
			for _, kind := range kinds {
				c := record(kind, user())
				c.ExpiresAt = time.Time{}
				endless = append(endless, t.create(c))
				c = record(kind, user())
				c.ExpiresAt = ownTime()
				others = append(others, t.create(c))
			}
			t.scanned(auth.ScanQuery{Limit: 1000}, slices.Concat(endless, others), nil)
			late := time.Date(2290, 1, 1, 0, 0, 0, 0, time.UTC) // before this, ownTime
			t.scanned(auth.ScanQuery{Limit: 1000, ExpiresFrom: late}, endless, others)
			t.scanned(auth.ScanQuery{Limit: 1000, ExpiresFrom: late, Kind: kinds[0]}, endless[:1], endless[1:])
			t.scanned(auth.ScanQuery{Limit: 1000, ExpiresBefore: late}, others, endless)
			t.scanned(auth.ScanQuery{Limit: 1000, ExpiresFrom: late, ExpiresBefore: late.Add(time.Hour)}, nil, slices.Concat(endless, others))
		},
	},
	{
		name: "Scan_supersededAndExpired",
		why:  "both are records that a store still has. An expired one may be the one that its owner must replace.",
		run: func(t *run) {
			expired := t.createExpired(auth.KindToken, user())
			old := t.create(record(auth.KindToken, user()))
			next := t.rotate(old)
			old = t.get(old)
			t.scanned(auth.ScanQuery{Limit: 1000}, []auth.Credential{expired, old, next}, nil)
			t.scanned(auth.ScanQuery{Limit: 1000, Kind: auth.KindToken, ExpiresFrom: expired.ExpiresAt, ExpiresBefore: next.ExpiresAt},
				[]auth.Credential{expired, old}, []auth.Credential{next})
		},
	},
	{
		name: "Scan_leavesOutRevoked",
		why:  "a revoked record is not one of a user's credentials, and its remains are nothing to show.",
		run: func(t *run) {
			var kept, revoked []auth.Credential
			for _, kind := range kinds {
				for way, revoke := range waysToRevoke {
					t.Logf("a %v: %s", kind, way)
					k, r := revoke(t, kind)
					kept, revoked = append(kept, k...), append(revoked, r...)
				}
			}
			t.scanned(auth.ScanQuery{Limit: 1000}, kept, revoked)
			t.scanned(auth.ScanQuery{Limit: 1000, ExpiresFrom: now().Add(-time.Hour), ExpiresBefore: now().Add(24 * time.Hour)}, nil, revoked)
		},
	},
	{
		name: "Scan_pages",
		why:  "every record is in a page, whatever the size of the pages, and if all expire at the same time. No page is larger than its limit.",
		run: func(t *run) {
			from := ownTime()
			q := auth.ScanQuery{ExpiresFrom: from, ExpiresBefore: from.Add(time.Second)}
			var records []auth.Credential
			for i := range 24 {
				c := record(kinds[i%3], user())
				c.ExpiresAt = from.Add(time.Duration(max(i-16, 0)) * time.Microsecond)
				records = append(records, t.create(c))
			}
			for _, limit := range []int{1, 7, 24, 25, 1000, 0, -1, 1 << 30} {
				q.Limit = limit
				t.scanned(q, records, nil)
			}
		},
	},
	{
		name: "Scan_changesBetweenPages",
		why:  "a record that is neither rotated nor revoked is in a page, even if it is updated or used, whatever happens to others in the meantime. A record that was revoked before a page was requested is not in that page.",
		run:  scanDuringChanges,
	},
	{
		name: "Scan_badCursor",
		why:  "a cursor that was cut, mixed up or invented, or that is from another query, is an error. Beginning again, or ending, would look like a complete scan.",
		run: func(t *run) {
			from := ownTime()
			q := auth.ScanQuery{ExpiresFrom: from, ExpiresBefore: from.Add(time.Second), Limit: 1}
			for range 3 {
				c := record(auth.KindToken, user())
				c.ExpiresAt = from
				t.create(c)
			}
			page, err := t.scanner().Scan(t.Context(), q)
			t.ok(err)
			random := make([]byte, 40)
			for i := range random {
				random[i] = byte(rand.Uint32())
			}
			bad := []string{
				" ", "no cursor", "-", "%", "\x00", "\xFF\xFE", "\u00E9", "'; --", string(random), "9e999", "{}", "null",
				strings.Repeat("a", 100_000), strings.Repeat("0", 10_000), page.Next + "\x00", page.Next + " ", page.Next + "\n", "\x00" + page.Next,
			}
			refused := func(q auth.ScanQuery, cursor string) {
				t.Helper()
				q.Cursor = cursor
				page, err := t.scanner().Scan(t.Context(), q)
				if !errors.Is(err, auth.ErrInvalidArgument) {
					t.fail("Scan with the cursor %.60q returned %+v and the error %v, want ErrInvalidArgument", cursor, page, err)
				}
			}
			later, sessions := q, q
			later.ExpiresFrom, sessions.Kind = from.Add(time.Microsecond), auth.KindSession
			refused(later, page.Next)
			refused(sessions, page.Next)
			for _, cursor := range bad {
				refused(q, cursor)
			}
		},
	},
	{
		name: "Scan_canceled",
		why:  "a scan that stops early must not look like a complete one.",
		run: func(t *run) {
			c := t.create(record(auth.KindToken, user()))
			page, err := t.scanner().Scan(canceled(), auth.ScanQuery{Limit: 1000})
			if err == nil && page.Next == "" && !slices.ContainsFunc(page.Credentials, func(other auth.Credential) bool { return other.ID == c.ID }) {
				t.fail("Scan returned neither the record nor an error")
			}
		},
	},
	{
		name: "Scan_sharesNoSlice",
		why:  "the result is the caller's, who may modify it.",
		run: func(t *run) {
			c := t.create(record(auth.KindSecret, user()))
			want := slices.Clone(c.Sealed)
			for _, page := range t.scan(auth.ScanQuery{Limit: 1000, Kind: c.Kind}, func(auth.ScanPage) {}) {
				for i := range page.Sealed {
					page.Sealed[i] ^= 0xFF
				}
			}
			c.Sealed = want
			t.same(t.lookup(c), c)
			t.scanned(auth.ScanQuery{Limit: 1000}, []auth.Credential{c}, nil)
		},
	},
}

func scanDuringChanges(t *run) {
	from := ownTime()
	stay, leave, used := t.createForScan(from)
	q := auth.ScanQuery{ExpiresFrom: from, ExpiresBefore: from.Add(time.Second), Limit: 3}
	revoked := make(map[string]bool)
	rounds := 0
	got := t.scan(q, func(page auth.ScanPage) {
		for _, c := range page.Credentials {
			if revoked[c.ID] {
				t.fail("a page has %s, which was revoked before", c.ID)
			}
		}
		if rounds++; rounds > 20 { // so that the scan ends
			return
		}
		c := record(auth.KindToken, user())
		c.ExpiresAt = from.Add(time.Duration(rounds) * time.Microsecond)
		t.create(c)
		for i := range used {
			t.use(&used[i], rounds)
		}
		leave = lastFirst(leave, page)
		for i := range min(2, len(leave)) {
			t.changeFor(rounds+i, leave[i], revoked)
		}
		leave = leave[min(2, len(leave)):]
	})
	for _, c := range stay {
		if !slices.ContainsFunc(got, func(other auth.Credential) bool { return difference(c, other) == "" }) {
			t.fail("no page has %s, which did not change", c.ID)
		}
	}
	for _, c := range used {
		if !slices.ContainsFunc(got, func(other auth.Credential) bool { return c.Ref() == other.Ref() }) {
			t.fail("no page has %s, which was used and updated", c.ID)
		}
	}
}

// createForScan creates records that expire one after another: some that stay as they are, some
// that the scan changes, and some that it uses.
func (t *run) createForScan(from time.Time) (stay, leave, used []auth.Credential) {
	t.Helper()
	create := func(i, microseconds int) auth.Credential {
		c := record(kinds[i%2], user())
		c.ExpiresAt = from.Add(time.Duration(microseconds) * time.Microsecond)
		return t.create(c)
	}
	for i := range 40 {
		c := create(i, i/4)
		if i%2 == i/4%2 {
			leave = append(leave, c)
		} else {
			stay = append(stay, c)
		}
	}
	for i := range 5 {
		used = append(used, create(i, 2*i))
	}
	return stay, leave, used
}

// use uses c for the nth time, and updates its name.
func (t *run) use(c *auth.Credential, n int) {
	t.Helper()
	at := c.CreatedAt.Add(time.Duration(n) * time.Minute)
	t.ok(t.store.Touch(t.Context(), []auth.Use{{Ref: c.Ref(), Digest: c.Digest, At: at}}))
	next := renamed(*c, fmt.Sprint("used ", n))
	t.ok(t.store.Update(t.Context(), *c, next))
	c.Name = next.Name
}

// lastFirst moves the last record of the page, where the cursor points, to the front of leave, if
// it is one of them.
func lastFirst(leave []auth.Credential, page auth.ScanPage) []auth.Credential {
	if n := len(page.Credentials); n > 0 {
		last := page.Credentials[n-1].ID
		if i := slices.IndexFunc(leave, func(c auth.Credential) bool { return c.ID == last }); i > 0 {
			leave[0], leave[i] = leave[i], leave[0]
		}
	}
	return leave
}

// changeFor changes c in one of four ways, and adds it to revoked if it was revoked.
func (t *run) changeFor(i int, c auth.Credential, revoked map[string]bool) {
	t.Helper()
	switch i % 4 {
	case 0, 1:
		t.ok(t.store.Revoke(t.Context(), c.Ref()))
		revoked[c.ID] = true
	case 2:
		t.rotate(c)
	case 3:
		t.ok(t.store.Update(t.Context(), c, renamed(c, "renamed")))
		t.ok(t.store.Touch(t.Context(), []auth.Use{{Ref: c.Ref(), Digest: c.Digest, At: now()}}))
	}
}
