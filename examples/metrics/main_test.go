package main

import (
	"bytes"
	"context"
	"errors"
	"expvar"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/examples/internal/exampletest"
)

func TestObserver_countsEvents(t *testing.T) {
	t.Parallel()
	counts, logged := new(expvar.Map), new(bytes.Buffer)
	store := &failingStore{Store: auth.NewMemoryStore()}
	s, err := newService(store, counts, slog.New(slog.NewTextHandler(logged, nil)))
	require.NoError(t, err)
	srv := httptest.NewServer(s.routes)
	t.Cleanup(srv.Close)
	token, c, err := s.bearer.Issue(t.Context(), "alice", auth.TokenOptions{Name: "script", Scopes: []string{auth.FullAccess}, Lifetime: auth.NoExpiry})
	require.NoError(t, err)

	get := func(authorization string) int {
		resp, _ := exampletest.Send(t, http.DefaultClient, "GET", srv.URL, "Authorization", authorization)
		return resp.StatusCode
	}
	require.Equal(t, 200, get("Bearer "+token))
	require.Equal(t, 200, get("Bearer "+token))
	require.Equal(t, 401, get(""))
	require.Equal(t, 401, get("Bearer wrong-prefix"))
	require.NoError(t, s.bearer.Revoke(t.Context(), "alice", c.ID))
	require.Equal(t, 401, get("Bearer "+token))
	options := auth.TokenOptions{Name: "script", Scopes: []string{auth.FullAccess}, Lifetime: time.Second}
	_, _, err = s.bearer.Issue(t.Context(), "alice", options)
	require.ErrorIs(t, err, auth.ErrInvalidArgument)
	store.err = errors.New("disk full")
	options.Lifetime = auth.NoExpiry
	_, _, err = s.bearer.Issue(t.Context(), "alice", options)
	require.ErrorIs(t, err, auth.ErrUnavailable)
	srv.Close() // no more events are logged

	got := map[string]string{}
	counts.Do(func(kv expvar.KeyValue) { got[kv.Key] = kv.Value.String() })
	require.Equal(t, map[string]string{
		"type=issued operation=issue scheme=Bearer reason=":                 "1",
		"type=accepted operation= scheme=Bearer reason=":                    "2",
		"type=refused operation= scheme= reason=missing":                    "1",
		"type=refused operation= scheme=Bearer reason=prefix":               "1",
		"type=revoked operation=revoke scheme=Bearer reason=revoked":        "1",
		"type=refused operation= scheme=Bearer reason=revoked":              "1",
		"type=failed operation=issue scheme=Bearer reason=invalid_argument": "1",
		"type=failed operation=issue scheme=Bearer reason=unavailable":      "1",
	}, got)
	require.Contains(t, logged.String(), "event.credential_id="+c.ID)
	require.Contains(t, logged.String(), "level=ERROR msg=auth event.type=failed event.operation=issue")
	require.Contains(t, logged.String(), "disk full")
	require.NotContains(t, logged.String(), token)
}

// A failingStore cannot create records while err is set.
type failingStore struct {
	auth.Store
	err error
}

func (s *failingStore) Create(ctx context.Context, c auth.Credential, limit int) error {
	if s.err != nil {
		return s.err
	}
	return s.Store.Create(ctx, c, limit)
}
