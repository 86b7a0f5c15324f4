// Package storetest checks that an auth.Store keeps its contract. Whoever writes
// a Store runs it over the real thing:
//
//	func TestStore(t *testing.T) {
//		storetest.Run(t, func(t *testing.T) auth.Store {
//			return mystore.New(emptyDatabase(t))
//		})
//	}
//
// Run it with the race detector as well.
package storetest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-31c5bcb2/auth"
)

// Run checks the store that open returns, by one subtest a rule. Each calls open
// for a store of its own, which is empty, and closed by a t.Cleanup of open's.
// The subtests run in parallel.
func Run(t *testing.T, open func(t *testing.T) auth.Store) {
	for _, c := range slices.Concat(recordCases, lifeCases, detailCases, raceCases) {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.run(&run{T: t, store: open(t), why: c.why})
		})
	}
}

// A testCase is one rule of the contract.
type testCase struct {
	name string
	why  string // what goes wrong in a service if the rule does not hold
	run  func(t *run)
}

// A run is one case over one store. Its methods fail the test with the reason
// that the rule exists for.
type run struct {
	*testing.T
	store auth.Store
	why   string
}

func (t *run) fail(format string, args ...any) {
	t.Helper()
	t.Fatalf("%s\nThe rule: %s", fmt.Sprintf(format, args...), t.why)
}

// want fails unless err is of that kind; nil wants success.
func (t *run) want(err, want error) {
	t.Helper()
	if want == nil && err != nil || !errors.Is(err, want) {
		t.fail("got the error %v, want %v", err, want)
	}
}

func (t *run) ok(err error) {
	t.Helper()
	t.want(err, nil)
}

// now is a time as stores keep it.
func now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }

// serial numbers the records, so that their order is known within a millisecond.
var serial atomic.Int64

// record makes one up that is valid for an hour.
func record(kind auth.Kind, user string) auth.Credential {
	created := now()
	c := auth.Credential{
		ID:        fmt.Sprintf("%013d-%08d", created.UnixMilli(), serial.Add(1)),
		Kind:      kind,
		UserID:    user,
		Scopes:    "notes:read notes:write",
		CreatedAt: created,
		ExpiresAt: created.Add(time.Hour),
	}
	switch kind {
	case auth.KindToken:
		c.Name, c.Hint = "deploy", "acme_…1234"
	case auth.KindSession:
		c.Name = "Mozilla/5.0"
	case auth.KindSecret:
		c.Hint, c.Sealed, c.ExpiresAt = "…1234", []byte{0, 1, 2, 0xFF}, time.Time{}
	}
	rand.Read(c.Digest[:])
	return c
}

// user returns a name that no other case uses, should they share a database.
func user() string {
	var b [8]byte
	rand.Read(b[:])
	return "user-" + hex.EncodeToString(b[:])
}

// create keeps a record and returns it.
func (t *run) create(c auth.Credential) auth.Credential {
	t.Helper()
	t.ok(t.store.Create(t.Context(), c, 0))
	return c
}

// successor is what replaces c in a rotation with an overlap.
func successor(c auth.Credential) auth.Credential {
	next := record(c.Kind, c.UserID)
	next.Name, next.Scopes, next.Previous = c.Name, c.Scopes, c.ID
	return next
}

// rotate puts a successor in c's place, with an overlap of half an hour.
func (t *run) rotate(c auth.Credential) auth.Credential {
	t.Helper()
	next := successor(c)
	t.ok(t.store.Rotate(t.Context(), c.Ref(), next, next.CreatedAt.Add(30*time.Minute)))
	return next
}

// same fails unless the records are equal in every field.
func (t *run) same(got, want auth.Credential) {
	t.Helper()
	if d := difference(got, want); d != "" {
		t.fail("the record came back with another %s\ngot  %+v\nwant %+v", d, got, want)
	}
}

func difference(a, b auth.Credential) string {
	switch {
	case a.Ref() != b.Ref():
		return "ID, Kind or UserID"
	case a.Name != b.Name || a.Hint != b.Hint:
		return "Name or Hint"
	case a.Scopes != b.Scopes:
		return "Scopes"
	case a.Digest != b.Digest:
		return "Digest"
	case !slices.Equal(a.Sealed, b.Sealed):
		return "Sealed"
	case !a.CreatedAt.Equal(b.CreatedAt) || !a.ExpiresAt.Equal(b.ExpiresAt) || !a.LastUsedAt.Equal(b.LastUsedAt),
		a.ExpiresAt.IsZero() != b.ExpiresAt.IsZero(), a.LastUsedAt.IsZero() != b.LastUsedAt.IsZero():
		return "time"
	case a.Superseded != b.Superseded || a.Previous != b.Previous:
		return "Superseded or Previous"
	}
	return ""
}

// lookup returns what requests see of a record.
func (t *run) lookup(c auth.Credential) auth.Credential {
	t.Helper()
	got, err := t.store.Lookup(t.Context(), c.Kind, c.Digest)
	t.ok(err)
	if got == nil {
		t.fail("Lookup returned neither a record nor an error")
	}
	return *got
}

func (t *run) get(c auth.Credential) auth.Credential {
	t.Helper()
	got, err := t.store.Get(t.Context(), c.Ref())
	t.ok(err)
	return got
}

// gone fails unless no call finds the record.
func (t *run) gone(c auth.Credential) {
	t.Helper()
	ctx := t.Context()
	_, err := t.store.Lookup(ctx, c.Kind, c.Digest)
	t.want(err, auth.ErrNotFound)
	_, err = t.store.Get(ctx, c.Ref())
	t.want(err, auth.ErrNotFound)
	for _, listed := range t.all(c.Kind, c.UserID) {
		if listed.ID == c.ID {
			t.fail("List still has %s", c.ID)
		}
	}
}

// all lists a user's records over all pages.
func (t *run) all(kind auth.Kind, user string) []auth.Credential {
	t.Helper()
	return t.pages(kind, user, 0, func() {})
}

// pages lists a user's records and calls between after each page.
func (t *run) pages(kind auth.Kind, user string, limit int, between func()) []auth.Credential {
	t.Helper()
	var all []auth.Credential
	for page := (auth.Page{Limit: limit}); ; {
		list, err := t.store.List(t.Context(), kind, user, page)
		t.ok(err)
		if len(list) > page.Max() {
			t.fail("a page of %d has %d records", page.Max(), len(list))
		}
		if len(list) == 0 {
			return all
		}
		all = append(all, list...)
		page.After = list[len(list)-1].ID
		between()
	}
}

// together calls f from n goroutines at once and returns their errors.
func together(n int, f func(i int) error) []error {
	start, done := make(chan struct{}), make(chan error, n)
	for i := range n {
		go func() {
			<-start
			done <- f(i)
		}()
	}
	close(start)
	errs := make([]error, n)
	for i := range errs {
		errs[i] = <-done
	}
	return errs
}

// count returns how many of the errors are of each kind; the test fails for any other.
func (t *run) count(errs []error, kinds ...error) []int {
	t.Helper()
	counts := make([]int, len(kinds))
	for _, err := range errs {
		i := slices.IndexFunc(kinds, func(kind error) bool {
			return kind == nil && err == nil || kind != nil && errors.Is(err, kind)
		})
		if i < 0 {
			t.fail("got the error %v, want one of %v", err, kinds)
		}
		counts[i]++
	}
	return counts
}

// canceled is a context that is over.
func canceled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}
