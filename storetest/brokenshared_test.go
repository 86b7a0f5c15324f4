package storetest_test

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/seed-31c5bcb2/auth"
)

// locking makes changes in two steps, under a lock that other processes do not have.
type locking struct {
	*auth.MemoryStore
	mu sync.Mutex
}

func (s *locking) Create(ctx context.Context, c auth.Credential, limit int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return (&counting{s.MemoryStore, presentTime}).Create(ctx, c, limit)
}

func (s *locking) Update(ctx context.Context, old, next auth.Credential) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return (&stale{s.MemoryStore}).Update(ctx, old, next)
}

// remembrance caches what Get returned, and hears of its own changes only.
type remembrance struct {
	*auth.MemoryStore
	records sync.Map
}

func (s *remembrance) Get(ctx context.Context, ref auth.Ref) (auth.Credential, error) {
	if c, ok := s.records.Load(ref); ok {
		return c.(auth.Credential), nil
	}
	c, err := s.MemoryStore.Get(ctx, ref)
	if err == nil {
		s.records.Store(ref, c)
	}
	return c, err
}

func (s *remembrance) Revoke(ctx context.Context, ref auth.Ref) error {
	defer s.records.Delete(ref)
	return s.MemoryStore.Revoke(ctx, ref)
}

func (s *remembrance) RevokeAll(ctx context.Context, kind auth.Kind, user string, except ...string) (int, error) {
	defer s.records.Clear()
	return s.MemoryStore.RevokeAll(ctx, kind, user, except...)
}

// unsaid caches what Lookup returned, without a method Uncached.
type unsaid struct {
	*auth.MemoryStore
	records sync.Map
}

func (s *unsaid) Lookup(ctx context.Context, kind auth.Kind, d auth.Digest) (*auth.Credential, error) {
	if c, ok := s.records.Load(d); ok && c.(*auth.Credential).Kind == kind {
		return c.(*auth.Credential), nil
	}
	c, err := s.MemoryStore.Lookup(ctx, kind, d)
	if err == nil {
		s.records.Store(d, c)
	}
	return c, err
}

// buffering has Uncached, but removes nothing from its cache.
type buffering struct{ unsaid }

func (s *buffering) Uncached() auth.Store { return s.MemoryStore }

// solitary hears of its own changes only.
type solitary struct {
	*auth.MemoryStore
	own atomic.Int32
}

func (s *solitary) Notify(f func(auth.Kind, string)) (func(), error) {
	return s.MemoryStore.Notify(func(kind auth.Kind, user string) {
		if s.own.Load() > 0 {
			f(kind, user)
		}
	})
}

func (s *solitary) RevokeAll(ctx context.Context, kind auth.Kind, user string, except ...string) (int, error) {
	s.own.Add(1)
	defer s.own.Add(-1)
	return s.MemoryStore.RevokeAll(ctx, kind, user, except...)
}

// sleepy writes uses later.
type sleepy struct {
	*auth.MemoryStore
	mu   sync.Mutex
	uses []auth.Use
}

func (s *sleepy) Touch(_ context.Context, uses []auth.Use) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.uses = append(s.uses, uses...)
	return nil
}

func (s *sleepy) Get(ctx context.Context, ref auth.Ref) (auth.Credential, error) {
	s.mu.Lock()
	uses := s.uses
	s.uses = nil
	s.mu.Unlock()
	if err := s.MemoryStore.Touch(ctx, uses); err != nil {
		return auth.Credential{}, err
	}
	return s.MemoryStore.Get(ctx, ref)
}

// two makes two handles of one store.
func two(handle func(s *auth.MemoryStore) auth.Store) func() (a, b auth.Store) {
	return func() (a, b auth.Store) {
		s := auth.NewMemoryStore()
		return handle(s), handle(s)
	}
}

var brokenHandles = map[string]struct {
	rule string
	make func() (a, b auth.Store)
}{
	"Create counts under a lock of the process":   {"Create_concurrentLimit", two(func(s *auth.MemoryStore) auth.Store { return &locking{MemoryStore: s} })},
	"Update compares under a lock of the process": {"Update_concurrent", two(func(s *auth.MemoryStore) auth.Store { return &locking{MemoryStore: s} })},
	"Get caches":                                      {"Revoke_seenByOther", two(func(s *auth.MemoryStore) auth.Store { return &remembrance{MemoryStore: s} })},
	"Get caches what RevokeAll ended":                 {"RevokeAll_seenByOther", two(func(s *auth.MemoryStore) auth.Store { return &remembrance{MemoryStore: s} })},
	"Lookup caches without Uncached":                  {"Update_seenByOther", two(func(s *auth.MemoryStore) auth.Store { return &unsaid{MemoryStore: s} })},
	"Lookup returns what the process itself changed":  {"Lookup_ownChanges", two(func(s *auth.MemoryStore) auth.Store { return &buffering{unsaid{MemoryStore: s}} })},
	"Lookup is still cached after a notification":     {"Notify_ofRevoke", two(func(s *auth.MemoryStore) auth.Store { return &buffering{unsaid{MemoryStore: s}} })},
	"Notify reports changes of the same process only": {"Notify_ofRevokeAll", two(func(s *auth.MemoryStore) auth.Store { return &solitary{MemoryStore: s} })},
	"Touch writes when the process reads":             {"Touch_seenByOther", two(func(s *auth.MemoryStore) auth.Store { return &sleepy{MemoryStore: s} })},
}
