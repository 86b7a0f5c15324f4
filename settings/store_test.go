package settings_test

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

type recorder struct {
	mu     sync.Mutex
	events []auth.Event
}

func (o *recorder) observe(_ context.Context, e auth.Event) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.events = append(o.events, e)
}

// take returns the events since the last call, without accepted requests.
func (o *recorder) take() []auth.Event {
	o.mu.Lock()
	defer o.mu.Unlock()
	var events []auth.Event
	for _, e := range o.events {
		if e.Type != auth.EventAccepted {
			events = append(events, e)
		}
	}
	o.events = nil
	return events
}

// refusal returns the only rejected request since the last call.
func (o *recorder) refusal(t testing.TB) auth.Event {
	t.Helper()
	refused := slices.DeleteFunc(o.take(), func(e auth.Event) bool { return e.Type != auth.EventRefused })
	require.Len(t, refused, 1)
	return refused[0]
}

// A faultyStore returns an error from selected methods.
type faultyStore struct {
	auth.Store
	mu   sync.Mutex
	fail map[string]bool // by method
	with error           // if nil, errDisk

	after func(method string) error // see service.after
}

var errDisk = errors.New("disk: no space left for user ada")

func (s *faultyStore) failing(method string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case !s.fail[method]:
		return nil
	case s.with != nil:
		return s.with
	}
	return errDisk
}

func (s *faultyStore) setFailing(methods ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = make(map[string]bool)
	for _, m := range methods {
		s.fail[m] = true
	}
}

// done returns the error of a call that has succeeded.
func (s *faultyStore) done(method string) error {
	s.mu.Lock()
	after := s.after
	s.mu.Unlock()
	if after == nil {
		return nil
	}
	return after(method)
}

func (s *faultyStore) Create(ctx context.Context, c auth.Credential, limit int) error {
	if err := s.failing("Create"); err != nil {
		return err
	}
	if err := s.Store.Create(ctx, c, limit); err != nil {
		return err
	}
	return s.done("Create")
}

func (s *faultyStore) Get(ctx context.Context, ref auth.Ref) (auth.Credential, error) {
	if err := cmp.Or(s.failing("Get"), s.failing("Get "+ref.ID)); err != nil {
		return auth.Credential{}, err
	}
	c, err := s.Store.Get(ctx, ref)
	if err == nil {
		err = s.done("Get " + ref.Kind.String())
	}
	return c, err
}

func (s *faultyStore) List(ctx context.Context, kind auth.Kind, userID string, page auth.Page) ([]auth.Credential, error) {
	if err := s.failing("List"); err != nil {
		return nil, err
	}
	return s.Store.List(ctx, kind, userID, page)
}

func (s *faultyStore) Update(ctx context.Context, old, next auth.Credential) error {
	if err := s.failing("Update"); err != nil {
		return err
	}
	return s.Store.Update(ctx, old, next)
}

func (s *faultyStore) Rotate(ctx context.Context, old, next auth.Credential, oldUntil time.Time) error {
	if err := s.failing("Rotate"); err != nil {
		return err
	}
	if err := s.Store.Rotate(ctx, old, next, oldUntil); err != nil {
		return err
	}
	return s.done("Rotate")
}

func (s *faultyStore) Touch(ctx context.Context, uses []auth.Use) error {
	if err := s.failing("Touch"); err != nil {
		return err
	}
	return s.Store.Touch(ctx, uses)
}

func (s *faultyStore) Revoke(ctx context.Context, ref auth.Ref) error {
	if err := s.failing("Revoke"); err != nil {
		return err
	}
	return s.Store.Revoke(ctx, ref)
}

func (s *faultyStore) RevokeAll(ctx context.Context, kind auth.Kind, userID string, except ...string) (int, error) {
	if err := s.failing("RevokeAll"); err != nil {
		return 0, err
	}
	return s.Store.RevokeAll(ctx, kind, userID, except...)
}
