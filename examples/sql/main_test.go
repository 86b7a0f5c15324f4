package main

import (
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

func TestTokensOutliveTheProcess(t *testing.T) {
	t.Parallel()
	ctx, file := t.Context(), filepath.Join(t.TempDir(), "auth.db")
	status := func(s *service, token string) int {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		s.routes().ServeHTTP(w, r)
		return w.Code
	}

	s, err := open(ctx, file)
	require.NoError(t, err)
	token, c, err := s.bearer.Issue(ctx, "alice", auth.NewToken{Name: "script"})
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, status(s, token))
	require.NoError(t, s.close(ctx))

	s, err = open(ctx, file)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, status(s, token))
	list, err := s.bearer.List(ctx, "alice", auth.Page{})
	require.NoError(t, err)
	require.Len(t, list, 1)
	require.False(t, list[0].LastUsedAt.IsZero(), "the first process has written its last uses")
	require.NoError(t, s.bearer.Revoke(ctx, "alice", c.ID))
	require.Equal(t, http.StatusUnauthorized, status(s, token))
	purged, err := s.purge(ctx)
	require.NoError(t, err)
	require.Zero(t, purged, "it was revoked just now")
	require.NoError(t, s.close(ctx))
}
