package main

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/examples/internal/exampletest"
)

func TestTripped(t *testing.T) {
	t.Parallel()
	store := auth.NewMemoryStore()
	bearer, err := auth.NewBearer(store, auth.BearerConfig{Prefix: "acme_pat"})
	require.NoError(t, err)
	var alarms []auth.Event
	h := routes(bearer, tripped(func(e auth.Event) { alarms = append(alarms, e) }))
	get := func(token string) (status int, body string) {
		r := httptest.NewRequestWithContext(t.Context(), "GET", "/notes", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Code, w.Body.String()
	}
	plaintext, err := plant(t.Context(), bearer, "wiki")
	require.NoError(t, err)

	// The intruder learns nothing: the response is that to any unknown token.
	status, body := get(plaintext)
	require.Equal(t, http.StatusUnauthorized, status)
	other, err := auth.NewBearer(auth.NewMemoryStore(), auth.BearerConfig{Prefix: "acme_pat"})
	require.NoError(t, err)
	_, unknown := get(exampletest.Issue(t, other, auth.FullAccess))
	require.Equal(t, unknown, body)

	require.Len(t, alarms, 1)
	require.Equal(t, "tripwire/wiki", alarms[0].UserID)
	require.NotEmpty(t, alarms[0].CredentialID)
	require.Equal(t, "GET /notes", alarms[0].Pattern)
	require.Equal(t, "192.0.2.1", alarms[0].ClientAddr.String())

	// Other tokens raise no alarm: valid ones, and those that users have revoked.
	token, c, err := bearer.Issue(t.Context(), "alice", auth.TokenOptions{Name: "x", Scopes: []string{auth.FullAccess}, Lifetime: auth.NoExpiry})
	require.NoError(t, err)
	status, _ = get(token)
	require.Equal(t, http.StatusOK, status)
	require.NoError(t, bearer.Revoke(t.Context(), "alice", c.ID))
	get(token)
	require.Len(t, alarms, 1)

	// A purge makes the planted token unknown: plant another before.
	_, err = store.Purge(t.Context(), time.Now().Add(time.Hour))
	require.NoError(t, err)
	get(plaintext)
	require.Len(t, alarms, 1)
}
