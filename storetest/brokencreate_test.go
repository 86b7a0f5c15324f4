package storetest_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/seed-31c5bcb2/auth"
)

type sharing struct {
	*auth.MemoryStore
	sealed sync.Map
}

func (s *sharing) Create(ctx context.Context, c auth.Credential, limit int) error {
	s.sealed.Store(c.ID, c.Sealed)
	return s.MemoryStore.Create(ctx, c, limit)
}

func (s *sharing) Get(ctx context.Context, ref auth.Ref) (auth.Credential, error) {
	c, err := s.MemoryStore.Get(ctx, ref)
	if sealed, ok := s.sealed.Load(ref.ID); ok && err == nil {
		c.Sealed = sealed.([]byte)
	}
	return c, err
}

// at returns a time at which a broken Create checks which records have expired.
type at func(auth.Credential) time.Time

func presentTime(auth.Credential) time.Time    { return time.Now() }
func creationTime(c auth.Credential) time.Time { return c.CreatedAt }

type counting struct {
	*auth.MemoryStore
	at at
}

func (s *counting) Create(ctx context.Context, c auth.Credential, limit int) error {
	live := 0
	list, err := s.List(ctx, c.Kind, c.UserID, auth.Page{Limit: 1000})
	if err != nil {
		return err
	}
	for _, other := range list {
		if !other.Superseded && !other.Expired(s.at(c)) {
			live++
		}
	}
	if limit > 0 && live >= limit {
		return auth.ErrLimit
	}
	time.Sleep(5 * time.Millisecond) // a round trip to a busy database, in which the other process counts
	return s.MemoryStore.Create(ctx, c, 0)
}

type occupied struct{ *auth.MemoryStore }

func (s *occupied) Create(ctx context.Context, c auth.Credential, limit int) error {
	list, err := s.List(ctx, c.Kind, c.UserID, auth.Page{})
	if err != nil {
		return err
	}
	if c.Kind == auth.KindSecret && slices.ContainsFunc(list, func(c auth.Credential) bool { return !c.Superseded }) {
		return auth.ErrConflict
	}
	return s.MemoryStore.Create(ctx, c, limit)
}

type remembering struct {
	*auth.MemoryStore
	secrets sync.Map
}

func (s *remembering) Create(ctx context.Context, c auth.Credential, limit int) error {
	list, err := s.List(ctx, auth.KindSecret, c.UserID, auth.Page{})
	if err != nil {
		return err
	}
	for _, secret := range list {
		s.secrets.Store(secret.Digest, secret)
	}
	return s.MemoryStore.Create(ctx, c, limit)
}

func (s *remembering) Lookup(ctx context.Context, kind auth.Kind, d auth.Digest) (*auth.Credential, error) {
	if secret, ok := s.secrets.Load(d); ok && kind == auth.KindSecret {
		c := secret.(auth.Credential)
		return &c, nil
	}
	return s.MemoryStore.Lookup(ctx, kind, d)
}

type replacing struct {
	*auth.MemoryStore
	at at
}

func (s *replacing) Create(ctx context.Context, c auth.Credential, limit int) error {
	list, err := s.List(ctx, c.Kind, c.UserID, auth.Page{})
	if err != nil {
		return err
	}
	if c.Kind == auth.KindSecret && len(list) == 1 && list[0].Expired(s.at(c)) {
		if _, err := s.RevokeAll(ctx, c.Kind, c.UserID); err != nil {
			return err
		}
	}
	return s.MemoryStore.Create(ctx, c, limit)
}

// lagging reads expired secrets from a replica that never catches up.
type lagging struct {
	*auth.MemoryStore
	expired sync.Map // users
}

func (s *lagging) Create(ctx context.Context, c auth.Credential, limit int) error {
	if _, ok := s.expired.Load(c.UserID); ok && c.Kind == auth.KindSecret {
		if _, err := s.RevokeAll(ctx, c.Kind, c.UserID); err != nil {
			return err
		}
	}
	if c.Expired(time.Now()) {
		s.expired.Store(c.UserID, true)
	}
	return s.MemoryStore.Create(ctx, c, limit)
}

type overwriting struct{ *auth.MemoryStore }

func (s *overwriting) Create(ctx context.Context, c auth.Credential, limit int) error {
	if old, err := s.Get(ctx, c.Ref()); err == nil && old.Digest != c.Digest {
		if err := s.Revoke(ctx, c.Ref()); err != nil {
			return err
		}
	}
	return s.MemoryStore.Create(ctx, c, limit)
}

// reusing accepts the ID of a record that was revoked or has expired.
type reusing struct{ *auth.MemoryStore }

func (s *reusing) Create(ctx context.Context, c auth.Credential, limit int) error {
	old, errGet := s.Get(ctx, c.Ref())
	_, errLookup := s.Lookup(ctx, c.Kind, c.Digest)
	err := s.MemoryStore.Create(ctx, c, limit)
	free := errGet != nil || old.Expired(time.Now())
	if c.Kind != auth.KindSecret && free && errors.Is(errLookup, auth.ErrNotFound) && errors.Is(err, auth.ErrConflict) {
		return nil
	}
	return err
}

// global has one unique index on the IDs of all records, which it never removes.
type global struct {
	*auth.MemoryStore
	ids sync.Map
}

func (s *global) Create(ctx context.Context, c auth.Credential, limit int) error {
	if _, taken := s.ids.LoadOrStore(c.ID, true); taken {
		return auth.ErrConflict
	}
	return s.MemoryStore.Create(ctx, c, limit)
}

// racing looks for the ID and then inserts.
type racing struct{ *auth.MemoryStore }

func (s *racing) Create(ctx context.Context, c auth.Credential, limit int) error {
	if err := s.free(ctx, c); err != nil {
		return err
	}
	err := s.MemoryStore.Create(ctx, c, limit)
	if c.Kind != auth.KindSecret && errors.Is(err, auth.ErrConflict) {
		return nil
	}
	return err
}

func (s *racing) Rotate(ctx context.Context, old, next auth.Credential, until time.Time) error {
	if err := s.free(ctx, next); err != nil {
		return err
	}
	err := s.MemoryStore.Rotate(ctx, old, next, until)
	if _, errNext := s.Get(ctx, next.Ref()); errNext == nil && errors.Is(err, auth.ErrConflict) {
		return nil
	}
	return err
}

func (s *racing) free(ctx context.Context, c auth.Credential) error {
	_, err := s.Get(ctx, c.Ref())
	time.Sleep(time.Millisecond) // a round trip to the database
	if err == nil {
		return auth.ErrConflict
	}
	return nil
}
