package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

func TestRevocationReachesTheOtherProcess(t *testing.T) {
	t.Parallel()
	ctx, url := t.Context(), database(t)
	start := func() *service {
		s, err := open(ctx, url)
		require.NoError(t, err)
		return s
	}
	here, there := start(), start()
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
	require.Eventually(t, func() bool { return status(there, token) == http.StatusUnauthorized }, 6*time.Second, time.Millisecond)
	require.NoError(t, here.close(ctx))
	require.NoError(t, there.close(ctx))
}

// database makes a schema of the test's own, and removes it.
func database(t *testing.T) string {
	t.Helper()
	base := cmp.Or(os.Getenv("AUTH_TEST_POSTGRES"), "postgres://root@127.0.0.1:5432/test?sslmode=disable")
	db, err := sql.Open("pgx", base)
	require.NoError(t, err)
	t.Cleanup(func() { db.Close() })
	schema := "auth_test_" + strings.ToLower(rand.Text())
	if _, err := db.ExecContext(t.Context(), "CREATE SCHEMA "+schema); err != nil {
		text := fmt.Sprintf("no PostgreSQL: %v\nStart one (pg_ctlcluster 15 main start), or name it in AUTH_TEST_POSTGRES.", err)
		if os.Getenv("CI") == "true" {
			t.Fatal(text)
		}
		t.Skip(text)
	}
	t.Cleanup(func() {
		_, err := db.ExecContext(context.Background(), "DROP SCHEMA "+schema+" CASCADE")
		require.NoError(t, err)
	})
	u, err := url.Parse(base)
	require.NoError(t, err)
	query := u.Query()
	query.Set("search_path", schema)
	u.RawQuery = query.Encode()
	return u.String()
}
