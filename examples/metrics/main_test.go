package main

import (
	"bytes"
	"expvar"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/examples/internal/exampletest"
)

func TestObserver_countsEvents(t *testing.T) {
	t.Parallel()
	counts, logged := new(expvar.Map), new(bytes.Buffer)
	s, err := newService(counts, slog.New(slog.NewTextHandler(logged, nil)))
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
	srv.Close() // no more events are logged

	got := map[string]string{}
	counts.Do(func(kv expvar.KeyValue) { got[kv.Key] = kv.Value.String() })
	require.Equal(t, map[string]string{
		"type=issued scheme=Bearer reason=":         "1",
		"type=accepted scheme=Bearer reason=":       "2",
		"type=refused scheme= reason=missing":       "1",
		"type=refused scheme=Bearer reason=prefix":  "1",
		"type=revoked scheme=Bearer reason=revoked": "1",
		"type=refused scheme=Bearer reason=revoked": "1",
	}, got)
	require.Contains(t, logged.String(), "event.credential_id="+c.ID)
	require.NotContains(t, logged.String(), token)
}
