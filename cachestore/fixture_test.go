package cachestore_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/cachestore"
)

var serial atomic.Int64

// record makes one up that is valid for an hour.
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

// A backend is the store behind the cache. It counts lookups, and a test may get
// in between: before the records are read, and when the answer is on its way.
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

// asked returns how many lookups came since the last call.
func (b *backend) asked() int64 { return b.lookups.Swap(0) }

func over(t testing.TB, store auth.Store, cfg cachestore.Config) *cachestore.Store {
	t.Helper()
	s, err := cachestore.New(store, cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
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

// anybody knows every token.
func anybody(_ context.Context, kind auth.Kind, d auth.Digest) (*auth.Credential, error) {
	c := record(kind, fmt.Sprintf("user-%x", d[:8]))
	c.Digest = d
	return &c, nil
}
