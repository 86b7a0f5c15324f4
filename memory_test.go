package auth_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/storetest"
)

func TestMemoryStore_contract(t *testing.T) {
	storetest.Run(t, func(*testing.T) auth.Store { return auth.NewMemoryStore() })
}

func TestMemoryStore_duplicateID(t *testing.T) {
	t.Parallel()
	s := auth.NewMemoryStore()
	c := auth.Credential{ID: "1", Kind: auth.KindToken, UserID: "ada", Digest: auth.Digest{1}, CreatedAt: time.Now()}
	require.NoError(t, s.Create(t.Context(), c, 0))
	c.Digest[0] = 2
	require.ErrorIs(t, s.Create(t.Context(), c, 0), auth.ErrConflict)
	require.ErrorIs(t, s.Rotate(t.Context(), c.Ref(), c, time.Time{}), auth.ErrConflict)
}
