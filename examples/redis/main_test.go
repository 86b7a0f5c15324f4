package main

import (
	"cmp"
	"crypto/rand"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

func TestTokensAreGoodInEveryProcess(t *testing.T) {
	t.Parallel()
	ctx, prefix := t.Context(), "auth_test_"+rand.Text()+":"
	here, there := start(t, prefix), start(t, prefix)
	status := func(s *service, token string) int {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		s.routes().ServeHTTP(w, r)
		return w.Code
	}
	token, c, err := here.bearer.Issue(ctx, "alice", auth.NewToken{Name: "script"})
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, status(here, token))
	require.Equal(t, http.StatusOK, status(there, token))
	require.NoError(t, here.bearer.Revoke(ctx, "alice", c.ID))
	require.Equal(t, http.StatusUnauthorized, status(here, token))
	require.Eventually(t, func() bool { return status(there, token) == http.StatusUnauthorized }, 5*time.Second, time.Millisecond)
	purged, err := here.store.Purge(ctx, time.Now().Add(time.Minute)) // and nothing is left of it
	require.NoError(t, err)
	require.Equal(t, 1, purged)
	require.NoError(t, here.close(ctx))
	require.NoError(t, there.close(ctx))
}

func start(t *testing.T, prefix string) *service {
	t.Helper()
	s, err := open(cmp.Or(os.Getenv("AUTH_TEST_REDIS"), "redis://127.0.0.1:6379"), prefix)
	if err == nil {
		return s
	}
	text := fmt.Sprintf("no Redis: %v\nStart one (redis-server --daemonize yes), or name it in AUTH_TEST_REDIS.", err)
	if os.Getenv("CI") == "true" {
		t.Fatal(text)
	}
	t.Skip(text)
	return nil
}
