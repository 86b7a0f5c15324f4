package cachestore_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/cachestore"
)

var serial atomic.Int64

// record returns a made-up credential that expires in an hour.
func record(kind auth.Kind, userID string) auth.Credential {
	now := time.Now().UTC().Truncate(time.Microsecond)
	c := auth.Credential{
		ID:        fmt.Sprintf("%013d-%08d", now.UnixMilli(), serial.Add(1)),
		Kind:      kind,
		UserID:    userID,
		Name:      "deploy",
		Scopes:    "notes:read",
		CreatedAt: now,
		ExpiresAt: now.Add(time.Hour),
	}
	rand.Read(c.Digest[:])
	return c
}

// A backend is the store behind the cache. It counts lookups and calls two hooks of the
// test: before it reads the record, and after that.
type backend struct {
	*auth.MemoryStore
	lookups atomic.Int64
	before  func(ctx context.Context) error
	after   func()
}

func newBackend() *backend { return &backend{MemoryStore: auth.NewMemoryStore()} }

func (b *backend) Lookup(ctx context.Context, kind auth.Kind, d auth.Digest) (*auth.Credential, error) {
	b.lookups.Add(1)
	if b.before != nil {
		if err := b.before(ctx); err != nil {
			return nil, err
		}
	}
	c, err := b.MemoryStore.Lookup(ctx, kind, d)
	if b.after != nil {
		b.after()
	}
	return c, err
}

// Notify makes the backend a database that other processes change.
func (b *backend) Notify(func(auth.Kind, string)) (func(), error) { return nil, errors.ErrUnsupported }

// takeLookups returns the number of lookups since it was last called.
func (b *backend) takeLookups() int64 { return b.lookups.Swap(0) }

func newStore(t testing.TB, store auth.Store, cfg cachestore.Config) *cachestore.Store {
	t.Helper()
	s, err := cachestore.New(store, cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

// inBubble runs a test of a Store with a fake clock.
func inBubble(t *testing.T, cfg cachestore.Config, test func(t *testing.T, shared *backend, s *cachestore.Store)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		shared := newBackend()
		test(t, shared, newStore(t, shared, cfg))
	})
}

// lookupConcurrently starts n lookups, and returns their errors.
func lookupConcurrently(t *testing.T, s auth.Store, c auth.Credential, n int) <-chan error {
	t.Helper()
	errs := make(chan error, n)
	for range n {
		go func() { errs <- lookup(t, s, c) }()
	}
	return errs
}

func create(t testing.TB, store auth.Store, c auth.Credential) auth.Credential {
	t.Helper()
	require.NoError(t, store.Create(t.Context(), c, 0))
	return c
}

func lookup(t testing.TB, store auth.Store, c auth.Credential) error {
	t.Helper()
	got, err := store.Lookup(t.Context(), c.Kind, c.Digest)
	if err == nil {
		require.Equal(t, c.ID, got.ID)
	}
	return err
}

// anyToken, as a LookupStore, knows every token.
func anyToken(_ context.Context, kind auth.Kind, d auth.Digest) (*auth.Credential, error) {
	c := record(kind, fmt.Sprintf("user-%x", d[:8]))
	c.Digest = d
	return &c, nil
}
