package cachestore_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/cachestore"
	"github.com/seed-31c5bcb2/auth/storetest"
)

func TestStoreKeepsTheContract(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) auth.Store {
		return over(t, auth.NewMemoryStore(), cachestore.Config{MaxStale: 30 * time.Second})
	})
}

// One that is full all the time.
func TestSmallStoreKeepsTheContract(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) auth.Store {
		return over(t, auth.NewMemoryStore(), cachestore.Config{Capacity: 2, UnknownCapacity: 2})
	})
}

type silence struct{}

func (*silence) Subscribe(ctx context.Context, _ func(auth.Kind, string), _ func()) error {
	<-ctx.Done()
	return ctx.Err()
}

func TestNewReportsEveryFault(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		store auth.Store
		cfg   cachestore.Config
		want  []string
	}{
		{"no store", nil, cachestore.Config{}, []string{"store is nil"}},
		{"a store that is a nil pointer", (*auth.MemoryStore)(nil), cachestore.Config{}, []string{"store is nil"}},
		{"a store that is a nil function", auth.LookupFunc(nil), cachestore.Config{}, []string{"store is nil"}},
		{"all at once", nil, cachestore.Config{MaxStale: -1, Capacity: -1, UnknownCapacity: -1, Timeout: -1, Invalidations: (*silence)(nil)},
			[]string{"store is nil", "MaxStale", "UnknownCapacity", "Timeout", "Invalidations is nil"}},
		{"a bound by which idle sessions end", auth.NewMemoryStore(), cachestore.Config{MaxStale: time.Minute}, []string{"MaxStale"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, err := cachestore.New(tt.store, tt.cfg)
			require.Nil(t, s)
			for _, want := range tt.want {
				require.ErrorContains(t, err, want)
			}
		})
	}
}

func TestHitAllocatesNothing(t *testing.T) {
	s := over(t, auth.NewMemoryStore(), cachestore.Config{})
	c := create(t, s, record(auth.KindToken, "alice"))
	ctx := t.Context()
	require.Zero(t, testing.AllocsPerRun(200, func() {
		if _, err := s.Lookup(ctx, c.Kind, c.Digest); err != nil {
			panic(err)
		}
	}))
}
