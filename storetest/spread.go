package storetest

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/seed-31c5bcb2/auth"
)

// A spread makes its calls to two stores in turn.
type spread struct {
	a, b  auth.Store
	calls atomic.Uint64
}

func (s *spread) next() auth.Store {
	if s.calls.Add(1)%2 == 0 {
		return s.a
	}
	return s.b
}

// uncached returns the store that sees changes of other processes at once.
func uncached(s auth.Store) auth.Store {
	if cache, ok := s.(interface{ Uncached() auth.Store }); ok {
		return cache.Uncached()
	}
	return s
}

func (s *spread) Lookup(ctx context.Context, kind auth.Kind, d auth.Digest) (*auth.Credential, error) {
	return uncached(s.next()).Lookup(ctx, kind, d)
}

func (s *spread) Create(ctx context.Context, c auth.Credential, limit int) error {
	return s.next().Create(ctx, c, limit)
}

func (s *spread) Get(ctx context.Context, ref auth.Ref) (auth.Credential, error) {
	return s.next().Get(ctx, ref)
}

func (s *spread) List(ctx context.Context, kind auth.Kind, userID string, page auth.Page) ([]auth.Credential, error) {
	return s.next().List(ctx, kind, userID, page)
}

func (s *spread) Update(ctx context.Context, old, next auth.Credential) error {
	return s.next().Update(ctx, old, next)
}

func (s *spread) Rotate(ctx context.Context, old, next auth.Credential, oldUntil time.Time) error {
	return s.next().Rotate(ctx, old, next, oldUntil)
}

func (s *spread) Revoke(ctx context.Context, ref auth.Ref) error { return s.next().Revoke(ctx, ref) }

func (s *spread) RevokeAll(ctx context.Context, kind auth.Kind, userID string, except ...string) (int, error) {
	return s.next().RevokeAll(ctx, kind, userID, except...)
}

func (s *spread) Touch(ctx context.Context, uses []auth.Use) error { return s.next().Touch(ctx, uses) }

func (s *spread) Purge(ctx context.Context, before time.Time) (int, error) {
	return s.next().Purge(ctx, before)
}
