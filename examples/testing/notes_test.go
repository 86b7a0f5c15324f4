package notes_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	notes "github.com/seed-31c5bcb2/auth/examples/testing"
)

func TestHandler(t *testing.T) {
	t.Parallel()
	ctx := auth.NewContext(t.Context(), &auth.Identity{UserID: "alice", Scopes: "notes:read"})
	ctx = auth.NewUserContext(ctx, &notes.User{Email: "alice@example.com"})
	w := httptest.NewRecorder()
	notes.Handler(w, httptest.NewRequestWithContext(ctx, "GET", "/notes", nil))
	require.Equal(t, "notes of alice (alice@example.com)\n", w.Body.String())
}

func TestHandler_missingScope(t *testing.T) {
	t.Parallel()
	ctx := auth.NewContext(t.Context(), &auth.Identity{UserID: "alice", Scopes: "notes:write"})
	w := httptest.NewRecorder()
	notes.Handler(w, httptest.NewRequestWithContext(ctx, "GET", "/notes", nil))
	require.Equal(t, http.StatusForbidden, w.Code)
}

func TestHandler_behindRequire(t *testing.T) {
	t.Parallel()
	bearer, err := auth.NewBearer(auth.NewMemoryStore(), auth.BearerConfig{})
	require.NoError(t, err)
	token, _, err := bearer.Issue(t.Context(), "alice", auth.TokenOptions{Name: "test", Scopes: []string{auth.FullAccess}, Lifetime: auth.NoExpiry})
	require.NoError(t, err)
	m := &auth.Middleware{Resolve: func(_ context.Context, id *auth.Identity) (any, error) {
		return &notes.User{Email: id.UserID + "@example.com"}, nil
	}}
	srv := httptest.NewServer(m.Require(bearer)(http.HandlerFunc(notes.Handler)))
	t.Cleanup(srv.Close)

	req, err := http.NewRequestWithContext(t.Context(), "GET", srv.URL, nil)
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Equal(t, "notes of alice (alice@example.com)\n", string(body))
}
