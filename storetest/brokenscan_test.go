package storetest_test

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-31c5bcb2/auth"
)

// scanning changes queries, or leaves out what keep does not return true for.
type scanning struct {
	*auth.MemoryStore
	query func(q *auth.ScanQuery)
	keep  func(c auth.Credential) bool
}

func (s *scanning) Scan(ctx context.Context, q auth.ScanQuery) (auth.ScanPage, error) {
	if s.query != nil {
		s.query(&q)
	}
	page, err := s.MemoryStore.Scan(ctx, q)
	if s.keep != nil {
		page.Credentials = slices.DeleteFunc(page.Credentials, func(c auth.Credential) bool { return !s.keep(c) })
	}
	return page, err
}

func inclusive(q *auth.ScanQuery) {
	if !q.ExpiresBefore.IsZero() {
		q.ExpiresBefore = q.ExpiresBefore.Add(time.Microsecond)
	}
}

func exclusive(q *auth.ScanQuery) {
	if !q.ExpiresFrom.IsZero() {
		q.ExpiresFrom = q.ExpiresFrom.Add(time.Microsecond)
	}
}

func wholeSeconds(q *auth.ScanQuery) {
	q.ExpiresFrom, q.ExpiresBefore = q.ExpiresFrom.Truncate(time.Second), q.ExpiresBefore.Truncate(time.Second)
}

func anyKind(q *auth.ScanQuery)      { q.Kind = 0 }
func anyLimit(q *auth.ScanQuery)     { q.Limit = 1000 }
func expires(c auth.Credential) bool { return !c.ExpiresAt.IsZero() }
func current(c auth.Credential) bool { return !c.Superseded }
func valid(c auth.Credential) bool   { return !c.Expired(time.Now()) }

// restarting begins again if the cursor is bad.
type restarting struct{ *auth.MemoryStore }

func (s *restarting) Scan(ctx context.Context, q auth.ScanQuery) (auth.ScanPage, error) {
	page, err := s.MemoryStore.Scan(ctx, q)
	if err != nil && ctx.Err() == nil {
		q.Cursor = ""
		return s.MemoryStore.Scan(ctx, q)
	}
	return page, err
}

// sorted scans in the order of the expiries. The cursor is an offset, or the last expiry.
type sorted struct {
	*auth.MemoryStore
	offset bool
}

func (s *sorted) Scan(ctx context.Context, q auth.ScanQuery) (auth.ScanPage, error) {
	all, err := s.MemoryStore.Scan(ctx, auth.ScanQuery{Kind: q.Kind, ExpiresFrom: q.ExpiresFrom, ExpiresBefore: q.ExpiresBefore, Limit: 1000})
	if err != nil {
		return all, err
	}
	slices.SortFunc(all.Credentials, func(a, b auth.Credential) int {
		return cmp.Or(a.ExpiresAt.Compare(b.ExpiresAt), cmp.Compare(a.ID, b.ID))
	})
	first := 0
	if q.Cursor != "" {
		last, err := strconv.ParseInt(q.Cursor, 10, 64)
		if err != nil {
			return auth.ScanPage{}, err
		}
		first = int(last)
		if !s.offset {
			first = slices.IndexFunc(all.Credentials, func(c auth.Credential) bool { return c.ExpiresAt.UnixMicro() > last })
		}
	}
	if first < 0 || first >= len(all.Credentials) {
		return auth.ScanPage{}, nil
	}
	page := auth.ScanPage{Credentials: all.Credentials[first:min(first+q.Max(), len(all.Credentials))]}
	page.Next = strconv.Itoa(first + len(page.Credentials))
	if !s.offset {
		page.Next = strconv.FormatInt(page.Credentials[len(page.Credentials)-1].ExpiresAt.UnixMicro(), 10)
	}
	return page, nil
}

// recentFirst scans the records that were used last before others.
type recentFirst struct{ *auth.MemoryStore }

func (s *recentFirst) Scan(ctx context.Context, q auth.ScanQuery) (auth.ScanPage, error) {
	all := q
	all.Cursor, all.Limit = "", 1000
	page, err := s.MemoryStore.Scan(ctx, all)
	if err != nil {
		return page, err
	}
	key := func(c auth.Credential) string {
		return fmt.Sprintf("%020d%s", math.MaxInt32-max(c.LastUsedAt.Unix(), 0), c.ID)
	}
	slices.SortFunc(page.Credentials, func(a, b auth.Credential) int { return cmp.Compare(key(a), key(b)) })
	page.Credentials = slices.DeleteFunc(page.Credentials, func(c auth.Credential) bool { return key(c) <= q.Cursor })
	if len(page.Credentials) > q.Max() {
		page.Credentials = page.Credentials[:q.Max()]
		page.Next = key(page.Credentials[q.Max()-1])
	}
	return page, nil
}

// resurrecting scans revoked records, too.
type resurrecting struct {
	*auth.MemoryStore
	mu      sync.Mutex
	revoked []auth.Credential
}

func (s *resurrecting) Revoke(ctx context.Context, ref auth.Ref) error {
	c, _ := s.Get(ctx, ref)
	err := s.MemoryStore.Revoke(ctx, ref)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		s.revoked = append(s.revoked, c)
	}
	return err
}

func (s *resurrecting) Scan(ctx context.Context, q auth.ScanQuery) (auth.ScanPage, error) {
	page, err := s.MemoryStore.Scan(ctx, q)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.revoked {
		if q.Matches(&c) && len(page.Credentials) < q.Max() {
			page.Credentials = append(page.Credentials, c)
		}
	}
	return page, err
}

// muted reports nothing of one method, or of one handle.
type muted struct {
	*auth.MemoryStore
	method string
	only   string // the one field whose updates are not muted
	early  bool   // reports a change before it makes it
	calls  atomic.Int32

	mu sync.Mutex
	fs []func(auth.Kind, string)
}

func (s *muted) Notify(f func(auth.Kind, string)) (func(), error) {
	s.mu.Lock()
	s.fs = append(s.fs, f)
	s.mu.Unlock()
	return s.MemoryStore.Notify(func(kind auth.Kind, user string) {
		if s.calls.Load() == 0 {
			f(kind, user)
		}
	})
}

func (s *muted) quiet(method string, kind auth.Kind, user string) (end func()) {
	if method != s.method {
		return func() {}
	}
	s.calls.Add(1)
	if s.early {
		s.mu.Lock()
		for _, f := range s.fs {
			f(kind, user)
		}
		s.mu.Unlock()
		time.Sleep(50 * time.Millisecond) // longer than a lookup
	}
	return func() { s.calls.Add(-1) }
}

func (s *muted) Create(ctx context.Context, c auth.Credential, limit int) error {
	defer s.quiet("Create", c.Kind, c.UserID)()
	return s.MemoryStore.Create(ctx, c, limit)
}

func (s *muted) Update(ctx context.Context, old, next auth.Credential) error {
	if s.only == "" || old.Name == next.Name {
		defer s.quiet("Update", old.Kind, old.UserID)()
	}
	return s.MemoryStore.Update(ctx, old, next)
}

func (s *muted) Rotate(ctx context.Context, old, next auth.Credential, until time.Time) error {
	defer s.quiet("Rotate", old.Kind, old.UserID)()
	return s.MemoryStore.Rotate(ctx, old, next, until)
}

func (s *muted) Revoke(ctx context.Context, ref auth.Ref) error {
	defer s.quiet("Revoke", ref.Kind, ref.UserID)()
	return s.MemoryStore.Revoke(ctx, ref)
}

func (s *muted) RevokeAll(ctx context.Context, kind auth.Kind, user string, except ...string) (int, error) {
	defer s.quiet("RevokeAll", kind, user)()
	return s.MemoryStore.RevokeAll(ctx, kind, user, except...)
}

// single calls the last function alone.
type single struct {
	*auth.MemoryStore
	last atomic.Pointer[func(auth.Kind, string)]
}

func (s *single) Notify(f func(auth.Kind, string)) (func(), error) {
	s.last.Store(&f)
	return s.MemoryStore.Notify(func(kind auth.Kind, user string) {
		if s.last.Load() == &f {
			f(kind, user)
		}
	})
}

// endless ignores stop.
type endless struct{ *auth.MemoryStore }

func (s *endless) Notify(f func(auth.Kind, string)) (func(), error) {
	_, err := s.MemoryStore.Notify(f)
	return func() {}, err
}

// loosening calls functions in goroutines, for which stop does not wait.
type loosening struct{ *auth.MemoryStore }

func (s *loosening) Notify(f func(auth.Kind, string)) (func(), error) {
	return s.MemoryStore.Notify(func(kind auth.Kind, user string) {
		time.AfterFunc(time.Millisecond, func() { f(kind, user) })
	})
}

// anonymous does not say whose credentials changed.
type anonymous struct{ *auth.MemoryStore }

func (s *anonymous) Notify(f func(auth.Kind, string)) (func(), error) {
	return s.MemoryStore.Notify(func(kind auth.Kind, _ string) { f(kind, "") })
}
