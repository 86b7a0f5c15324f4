package storetest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-31c5bcb2/auth"
)

// A run is one case over one store, or over two of one database. If one of its checks fails,
// the test prints why.
type run struct {
	*testing.T
	store auth.Store // in RunShared, a and b in turn
	a, b  auth.Store // in Run, the same one
	why   string
}

func (t *run) fail(format string, args ...any) {
	t.Helper()
	t.Fatalf("%s\nThe rule: %s", fmt.Sprintf(format, args...), t.why)
}

// want fails unless err matches want. If want is nil, err must be nil.
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

// now returns the time with the precision of stores.
func now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }

var kinds = []auth.Kind{auth.KindToken, auth.KindSession, auth.KindSecret}

// serial numbers the records, so that those of one millisecond have a known order.
var serial atomic.Int64

// record returns a new record. Tokens and sessions expire after an hour, secrets never. Its
// times have microseconds.
func record(kind auth.Kind, user string) auth.Credential {
	created := now().Truncate(time.Millisecond).Add(-457 * time.Microsecond)
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
		c.Networks, c.Metadata = "192.0.2.0/24 2001:db8::/32", "plan=pro\ntenant=Zoë & Co."
		c.CreatedFrom = netip.MustParseAddr("192.0.2.1")
	case auth.KindSession:
		c.Name = "Mozilla/5.0"
		c.Actor, c.NonPersistent, c.CreatedFrom = "support", true, netip.MustParseAddr("2001:db8::1")
	case auth.KindSecret:
		c.Hint, c.Sealed, c.ExpiresAt = "…1234", []byte{0, 1, 2, 0xFF}, time.Time{}
	}
	rand.Read(c.Digest[:])
	return c
}

// user returns a user ID that no other case uses, in case they share a database.
func user() string {
	var b [8]byte
	rand.Read(b[:])
	return "user-" + hex.EncodeToString(b[:])
}

// create stores a record without a limit and returns it.
func (t *run) create(c auth.Credential) auth.Credential {
	t.Helper()
	t.ok(t.store.Create(t.Context(), c, 0))
	return c
}

// createExpired stores a record that has expired, and returns it.
func (t *run) createExpired(kind auth.Kind, user string) auth.Credential {
	t.Helper()
	c := record(kind, user)
	c.ExpiresAt = c.CreatedAt
	return t.create(c)
}

// successor returns the record that replaces c in a rotation with a grace period.
func successor(c auth.Credential) auth.Credential {
	next := record(c.Kind, c.UserID)
	next.Name, next.Scopes, next.Networks, next.Metadata, next.Previous = c.Name, c.Scopes, c.Networks, c.Metadata, c.ID
	return next
}

// renamed returns c with another name.
func renamed(c auth.Credential, name string) auth.Credential {
	c.Name = name
	return c
}

// rotate replaces c with a successor, with a grace period of half an hour.
func (t *run) rotate(c auth.Credential) auth.Credential {
	t.Helper()
	next := successor(c)
	t.ok(t.store.Rotate(t.Context(), c, next, next.CreatedAt.Add(30*time.Minute)))
	return next
}

// same fails unless the records are equal in every field.
func (t *run) same(got, want auth.Credential) {
	t.Helper()
	if d := difference(got, want); d != "" {
		t.fail("the record has a different %s\ngot  %+v\nwant %+v", d, got, want)
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
	case a.Networks != b.Networks || a.Metadata != b.Metadata:
		return "Networks or Metadata"
	case a.Actor != b.Actor || a.NonPersistent != b.NonPersistent:
		return "Actor or NonPersistent"
	case a.CreatedFrom != b.CreatedFrom || a.LastUsedFrom != b.LastUsedFrom:
		return "address"
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

// lookup returns the record that a request with c's plaintext finds.
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

// notFound fails if any method finds the record.
func (t *run) notFound(c auth.Credential) {
	t.Helper()
	t.lookupFails(c)
	_, err := t.store.Get(t.Context(), c.Ref())
	t.want(err, auth.ErrNotFound)
	for _, listed := range t.all(c.Kind, c.UserID) {
		if listed.ID == c.ID {
			t.fail("List returned %s", c.ID)
		}
	}
}

// lookupFails fails if Lookup returns more than what may be left of c after it was revoked.
func (t *run) lookupFails(c auth.Credential) {
	t.Helper()
	got, err := t.store.Lookup(t.Context(), c.Kind, c.Digest)
	t.want(err, auth.ErrNotFound)
	switch {
	case got == nil:
	case !errors.Is(err, auth.ErrRevoked):
		t.fail("Lookup returned a record with the error %v: %+v", err, *got)
	case got.Ref() != c.Ref() || got.Digest != c.Digest:
		t.fail("Lookup returned another record with ErrRevoked\ngot  %+v\nwant %+v", *got, c)
	case difference(*got, auth.Credential{Kind: c.Kind, UserID: c.UserID, ID: c.ID, Digest: c.Digest}) != "":
		t.fail("Lookup returned more than Kind, UserID, ID and Digest with ErrRevoked: %+v", *got)
	}
}

// digestUnknown fails if the store knows the digest of c, of any kind.
func (t *run) digestUnknown(c auth.Credential) {
	t.Helper()
	for _, kind := range kinds {
		got, err := t.store.Lookup(t.Context(), kind, c.Digest)
		t.want(err, auth.ErrNotFound)
		if got != nil || errors.Is(err, auth.ErrRevoked) {
			t.fail("Lookup returned %+v and the error %v for a digest that was never stored", got, err)
		}
	}
}

// digestTaken fails if Create or Rotate accepts the digest of c for another record.
func (t *run) digestTaken(c auth.Credential) {
	t.Helper()
	for _, kind := range kinds {
		same := record(kind, user())
		same.Digest = c.Digest
		t.want(t.store.Create(t.Context(), same, 0), auth.ErrConflict)
	}
	other := t.create(record(auth.KindToken, user()))
	next := successor(other)
	next.Digest = c.Digest
	t.want(t.store.Rotate(t.Context(), other, next, now().Add(time.Hour)), auth.ErrConflict)
	t.same(t.lookup(other), other)
}

// idTaken fails if Create or Rotate accepts the ID of c for another record of its user and
// kind.
func (t *run) idTaken(c auth.Credential) {
	t.Helper()
	same := record(c.Kind, c.UserID)
	same.ID = c.ID
	t.want(t.store.Create(t.Context(), same, 0), auth.ErrConflict)
	t.digestUnknown(same)
	for _, listed := range t.all(c.Kind, c.UserID) {
		if listed.Superseded || listed.ID == c.ID || listed.Expired(now()) {
			continue
		}
		t.want(t.store.Rotate(t.Context(), listed, same, now().Add(time.Hour)), auth.ErrConflict)
		t.same(t.get(listed), listed)
		t.digestUnknown(same)
	}
}

// all lists a user's records over all pages.
func (t *run) all(kind auth.Kind, user string) []auth.Credential {
	t.Helper()
	return t.pages(kind, user, 0, func() {})
}

// wantCount fails unless the user has n records of the kind.
func (t *run) wantCount(kind auth.Kind, user string, n int) {
	t.Helper()
	if list := t.all(kind, user); len(list) != n {
		t.fail("List returned %d records, want %d: %+v", len(list), n, list)
	}
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

// concurrently calls f from n goroutines at once and returns the error of each.
func concurrently(n int, f func(i int) error) []error {
	start, errs := make(chan struct{}), make([]error, n)
	var done sync.WaitGroup
	for i := range n {
		done.Go(func() {
			<-start
			errs[i] = f(i)
		})
	}
	close(start)
	done.Wait()
	return errs
}

// count returns how many errors match each of those wanted. It fails if an error matches none.
func (t *run) count(errs []error, wanted ...error) []int {
	t.Helper()
	counts := make([]int, len(wanted))
	for _, err := range errs {
		i := slices.IndexFunc(wanted, func(want error) bool {
			return want == nil && err == nil || want != nil && errors.Is(err, want)
		})
		if i < 0 {
			t.fail("got the error %v, want one of %v", err, wanted)
		}
		counts[i]++
	}
	return counts
}

// oneSucceeds fails unless one error is nil and all others match lost.
func (t *run) oneSucceeds(errs []error, lost error) {
	t.Helper()
	if n := t.count(errs, nil, lost); n[0] != 1 {
		t.fail("%d calls succeeded, want 1", n[0])
	}
}

func canceled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}
