package storetest

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/seed-31c5bcb2/auth"
)

// ownTime returns a time, far ahead, at which no record of another case expires.
func ownTime() time.Time {
	return time.Date(2090, 1, 1, 0, 0, 0, 0, time.UTC).Add(rand.N(200 * 365 * 24 * time.Hour)).Truncate(time.Hour).Add(123457 * time.Microsecond)
}

// scanner returns the store as an auth.Scanner, in RunShared one of both in turn. It skips the
// test if the store is none.
func (t *run) scanner() auth.Scanner {
	t.Helper()
	store := t.store
	if s, ok := t.store.(*spread); ok {
		store = s.next()
	}
	scanner, ok := store.(auth.Scanner)
	if !ok {
		t.Skip("the store is not an auth.Scanner")
	}
	return supported{t, scanner}
}

// supported skips the test if Scan is unsupported.
type supported struct {
	t       *run
	scanner auth.Scanner
}

func (s supported) Scan(ctx context.Context, q auth.ScanQuery) (auth.ScanPage, error) {
	page, err := s.scanner.Scan(ctx, q)
	if errors.Is(err, errors.ErrUnsupported) {
		s.t.Skipf("the store is no auth.Scanner: Scan returned %v", err)
	}
	return page, err
}

// scan returns the records of all pages, and calls between with each page. It fails if a record
// does not match, or if a page is too long.
func (t *run) scan(q auth.ScanQuery, between func(auth.ScanPage)) []auth.Credential {
	t.Helper()
	var all []auth.Credential
	cursors := make(map[string]int)
	for {
		page, err := t.scanner().Scan(t.Context(), q)
		t.ok(err)
		if len(page.Credentials) > q.Max() {
			t.fail("a page of %d has %d records", q.Max(), len(page.Credentials))
		}
		for _, c := range page.Credentials {
			if !q.Matches(&c) {
				t.fail("Scan with the query %+v returned %+v", q, c)
			}
		}
		all = append(all, page.Credentials...)
		between(page)
		if page.Next == "" {
			return all
		}
		if cursors[page.Next]++; cursors[page.Next] > 3 {
			t.fail("Scan returned the cursor %q again and again, and so does not end", page.Next)
		}
		q.Cursor = page.Next
	}
}

// scanned fails unless a scan returns all records of want, and none of without. Others do not
// matter.
func (t *run) scanned(q auth.ScanQuery, want, without []auth.Credential) {
	t.Helper()
	got := make(map[auth.Ref]auth.Credential)
	for _, c := range t.scan(q, func(auth.ScanPage) {}) {
		got[c.Ref()] = c
	}
	for _, c := range want {
		found, ok := got[c.Ref()]
		if !ok {
			t.fail("Scan with the query %+v did not return %+v", q, c)
		}
		t.same(found, c)
	}
	for _, c := range without {
		if found, ok := got[c.Ref()]; ok {
			t.fail("Scan with the query %+v returned %+v", q, found)
		}
	}
}
