package storetest_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/seed-31c5bcb2/auth"
)

type unlimited struct{ *auth.MemoryStore }

func (s *unlimited) Create(ctx context.Context, c auth.Credential, _ int) error {
	return s.MemoryStore.Create(ctx, c, 0)
}

type kindless struct{ *auth.MemoryStore }

func (s *kindless) Lookup(ctx context.Context, _ auth.Kind, d auth.Digest) (c *auth.Credential, err error) {
	for _, kind := range []auth.Kind{auth.KindToken, auth.KindSession, auth.KindSecret} {
		if c, err = s.MemoryStore.Lookup(ctx, kind, d); err == nil {
			break
		}
	}
	return c, err
}

type strict struct{ *auth.MemoryStore }

func (s *strict) Lookup(ctx context.Context, kind auth.Kind, d auth.Digest) (*auth.Credential, error) {
	c, err := s.MemoryStore.Lookup(ctx, kind, d)
	if err == nil && c.Expired(time.Now()) {
		return nil, auth.ErrNotFound
	}
	return c, err
}

type rounding struct{ *auth.MemoryStore }

func (s *rounding) Create(ctx context.Context, c auth.Credential, limit int) error {
	c.CreatedAt, c.ExpiresAt = c.CreatedAt.Truncate(time.Second), c.ExpiresAt.Truncate(time.Second)
	return s.MemoryStore.Create(ctx, c, limit)
}

type folding struct{ *auth.MemoryStore }

func (s *folding) fold(user string) string { return strings.ToLower(strings.TrimSpace(user)) }

func (s *folding) Create(ctx context.Context, c auth.Credential, limit int) error {
	c.UserID = s.fold(c.UserID)
	return s.MemoryStore.Create(ctx, c, limit)
}

func (s *folding) Get(ctx context.Context, ref auth.Ref) (auth.Credential, error) {
	ref.UserID = s.fold(ref.UserID)
	return s.MemoryStore.Get(ctx, ref)
}

func (s *folding) List(ctx context.Context, kind auth.Kind, user string, page auth.Page) ([]auth.Credential, error) {
	return s.MemoryStore.List(ctx, kind, s.fold(user), page)
}

type reversed struct{ *auth.MemoryStore }

func (s *reversed) List(ctx context.Context, kind auth.Kind, user string, page auth.Page) ([]auth.Credential, error) {
	list, err := s.MemoryStore.List(ctx, kind, user, page)
	slices.Reverse(list)
	return list, err
}

type offset struct {
	*auth.MemoryStore
	mu   sync.Mutex
	seen map[string]int
}

func (s *offset) List(ctx context.Context, kind auth.Kind, user string, page auth.Page) ([]auth.Credential, error) {
	all, err := s.MemoryStore.List(ctx, kind, user, auth.Page{Limit: 1000})
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seen == nil {
		s.seen = make(map[string]int)
	}
	if page.After == "" {
		s.seen[user] = 0
	}
	from := min(s.seen[user], len(all))
	to := min(from+page.Max(), len(all))
	s.seen[user] = to
	return all[from:to], err
}

type twoSteps struct{ *auth.MemoryStore }

func (s *twoSteps) Rotate(ctx context.Context, old, next auth.Credential, until time.Time) error {
	c, err := s.Get(ctx, old.Ref())
	if err != nil {
		return err
	}
	if c.Superseded {
		return auth.ErrConflict
	}
	time.Sleep(time.Millisecond)
	if err := s.MemoryStore.Create(ctx, next, 0); err != nil {
		return err
	}
	if err := s.MemoryStore.Rotate(ctx, old, withID(next), until); err != nil && !errors.Is(err, auth.ErrConflict) {
		return err
	}
	return nil
}

func withID(c auth.Credential) auth.Credential {
	c.ID += "-2"
	c.Digest[0] ^= 1
	return c
}

type lenient struct{ *auth.MemoryStore }

func (s *lenient) Rotate(ctx context.Context, old, next auth.Credential, until time.Time) error {
	return s.MemoryStore.Rotate(ctx, old, next, until.Add(time.Hour))
}

type reviving struct{ *auth.MemoryStore }

func (s *reviving) Rotate(ctx context.Context, old, next auth.Credential, until time.Time) error {
	if c, err := s.Get(ctx, old.Ref()); err == nil && c.Expired(next.CreatedAt) {
		return s.MemoryStore.Create(ctx, next, 0)
	}
	return s.MemoryStore.Rotate(ctx, old, next, until)
}

type forgetful struct{ *auth.MemoryStore }

func (s *forgetful) Revoke(ctx context.Context, ref auth.Ref) error {
	list, err := s.List(ctx, ref.Kind, ref.UserID, auth.Page{Limit: 1000})
	if err != nil {
		return err
	}
	except := make([]string, 0, len(list))
	for _, c := range list {
		if c.ID != ref.ID {
			except = append(except, c.ID)
		}
	}
	n, err := s.MemoryStore.RevokeAll(ctx, ref.Kind, ref.UserID, except...)
	if err == nil && n == 0 {
		return auth.ErrNotFound
	}
	return err
}

type amnesiac struct{ *auth.MemoryStore }

func (s *amnesiac) Revoke(ctx context.Context, ref auth.Ref) error {
	if err := s.MemoryStore.Revoke(ctx, ref); err != nil {
		return err
	}
	_, err := s.MemoryStore.Purge(ctx, time.Now().Add(time.Minute))
	return err
}

type thorough struct{ *auth.MemoryStore }

func (s *thorough) RevokeAll(ctx context.Context, kind auth.Kind, user string, _ ...string) (int, error) {
	return s.MemoryStore.RevokeAll(ctx, kind, user)
}

type backward struct {
	*auth.MemoryStore
	last sync.Map
}

func (s *backward) Touch(_ context.Context, uses []auth.Use) error {
	for _, u := range uses {
		s.last.Store(u.ID, u.At)
	}
	return nil
}

func (s *backward) Lookup(ctx context.Context, kind auth.Kind, d auth.Digest) (*auth.Credential, error) {
	c, err := s.MemoryStore.Lookup(ctx, kind, d)
	if err != nil {
		return nil, err
	}
	clone := *c
	if at, ok := s.last.Load(c.ID); ok {
		clone.LastUsedAt = at.(time.Time)
	}
	return &clone, nil
}

type eager struct{ *auth.MemoryStore }

func (s *eager) Purge(ctx context.Context, before time.Time) (int, error) {
	return s.MemoryStore.Purge(ctx, before.Add(time.Microsecond))
}

type canceledRevoke struct{ *auth.MemoryStore }

func (s *canceledRevoke) Revoke(ctx context.Context, ref auth.Ref) error {
	if ctx.Err() != nil {
		return auth.ErrNotFound
	}
	return s.MemoryStore.Revoke(ctx, ref)
}

type vague struct{ *auth.MemoryStore }

func (s *vague) Create(ctx context.Context, c auth.Credential, limit int) error {
	err := s.MemoryStore.Create(ctx, c, limit)
	if errors.Is(err, auth.ErrConflict) {
		return errors.New("UNIQUE constraint failed")
	}
	return err
}

type ownClock struct{ *auth.MemoryStore }

func (s *ownClock) Create(ctx context.Context, c auth.Credential, limit int) error {
	c.CreatedAt = time.Now()
	return s.MemoryStore.Create(ctx, c, limit)
}

type half struct {
	*auth.MemoryStore
	digests sync.Map
}

func (s *half) Create(ctx context.Context, c auth.Credential, limit int) error {
	s.digests.LoadOrStore([16]byte(c.Digest[:16]), c.Digest)
	return s.MemoryStore.Create(ctx, c, limit)
}

func (s *half) Lookup(ctx context.Context, kind auth.Kind, d auth.Digest) (*auth.Credential, error) {
	if whole, ok := s.digests.Load([16]byte(d[:16])); ok {
		d = whole.(auth.Digest)
	}
	return s.MemoryStore.Lookup(ctx, kind, d)
}

type canceledLookup struct{ *auth.MemoryStore }

func (s *canceledLookup) Lookup(ctx context.Context, kind auth.Kind, d auth.Digest) (*auth.Credential, error) {
	if ctx.Err() != nil {
		return nil, auth.ErrNotFound
	}
	return s.MemoryStore.Lookup(ctx, kind, d)
}

type byTime struct{ *auth.MemoryStore }

func (s *byTime) List(ctx context.Context, kind auth.Kind, user string, page auth.Page) ([]auth.Credential, error) {
	list, err := s.MemoryStore.List(ctx, kind, user, page)
	slices.SortStableFunc(list, func(a, b auth.Credential) int { return b.CreatedAt.Compare(a.CreatedAt) })
	return list, err
}

type leaving struct{ *auth.MemoryStore }

func (s *leaving) Rotate(ctx context.Context, old, next auth.Credential, until time.Time) error {
	c, err := s.Get(ctx, old.Ref())
	if err != nil || c.Previous == "" || until.After(next.CreatedAt) {
		return s.MemoryStore.Rotate(ctx, old, next, until)
	}
	previous, err := s.Get(ctx, auth.Ref{Kind: old.Kind, UserID: old.UserID, ID: c.Previous})
	if err != nil {
		return err
	}
	if err := s.MemoryStore.Rotate(ctx, old, next, until); err != nil {
		return err
	}
	previous.ID += "-left"
	previous.Digest[0] ^= 1
	return s.MemoryStore.Create(ctx, previous, 0)
}

type sparing struct{ *auth.MemoryStore }

func (s *sparing) RevokeAll(ctx context.Context, kind auth.Kind, user string, except ...string) (int, error) {
	list, err := s.List(ctx, kind, user, auth.Page{Limit: 1000})
	if err != nil {
		return 0, err
	}
	for _, c := range list {
		if c.Expired(time.Now()) {
			except = append(except, c.ID)
		}
	}
	return s.MemoryStore.RevokeAll(ctx, kind, user, except...)
}

type picky struct{ *auth.MemoryStore }

func (s *picky) Touch(ctx context.Context, uses []auth.Use) error {
	for _, u := range uses {
		if c, err := s.Get(ctx, u.Ref); err == nil && c.Expired(time.Now()) {
			return errors.New("the record has expired")
		}
	}
	return s.MemoryStore.Touch(ctx, uses)
}

type keyless struct{ *auth.MemoryStore }

func (s *keyless) Rotate(ctx context.Context, old, next auth.Credential, oldUntil time.Time) error {
	if next.Kind == auth.KindSession {
		next.Sealed = nil
	}
	return s.MemoryStore.Rotate(ctx, old, next, oldUntil)
}

// narrow has a column of 255 bytes for the key.
type narrow struct{ *auth.MemoryStore }

func (s *narrow) Rotate(ctx context.Context, old, next auth.Credential, oldUntil time.Time) error {
	next.Sealed = next.Sealed[:min(255, len(next.Sealed))]
	return s.MemoryStore.Rotate(ctx, old, next, oldUntil)
}

type unused struct{ *auth.MemoryStore }

func (s *unused) Rotate(ctx context.Context, old, next auth.Credential, oldUntil time.Time) error {
	next.LastUsedAt = time.Time{}
	return s.MemoryStore.Rotate(ctx, old, next, oldUntil)
}
