package main

import (
	"net/http"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/examples/internal/exampletest"
)

func TestStore_survivesRestart(t *testing.T) {
	t.Parallel()
	ctx, file := t.Context(), filepath.Join(t.TempDir(), "auth.db")
	s, err := open(ctx, file)
	require.NoError(t, err)
	token, c, err := s.bearer.Issue(ctx, "alice", auth.TokenOptions{Name: "script", Scopes: []string{auth.FullAccess}, Lifetime: auth.NoExpiry})
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, exampletest.Status(s.routes(), token))
	require.NoError(t, s.close(ctx))

	s, err = open(ctx, file)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, exampletest.Status(s.routes(), token))
	list, err := s.bearer.List(ctx, "alice", auth.Page{})
	require.NoError(t, err)
	require.Len(t, list, 1)
	require.False(t, list[0].LastUsedAt.IsZero(), "close has written the last-used time")
	require.NoError(t, s.bearer.Revoke(ctx, "alice", c.ID))
	require.Equal(t, http.StatusUnauthorized, exampletest.Status(s.routes(), token))
	purged, err := s.purge(ctx)
	require.NoError(t, err)
	require.Zero(t, purged, "it was revoked just now")
	require.NoError(t, s.close(ctx))
}
