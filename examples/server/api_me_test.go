package main

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

func TestMe_token(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	res := d.client(t).get("/api/v1/me", "Authorization", "Bearer "+d.Token)
	require.Equal(t, http.StatusOK, res.status)
	require.Equal(t, "application/json", res.header.Get("Content-Type"))
	require.Equal(t, "no-store", res.header.Get("Cache-Control"))
	tokens, err := d.bearer.List(t.Context(), "user-1", auth.Page{})
	require.NoError(t, err)
	require.Equal(t, map[string]any{
		"user_id": "user-1", "name": "ada", "scheme": "Bearer", "credential_id": tokens[0].ID,
		"scopes": []any{"notes:read", "notes:write"},
	}, res.json(t))
}

func TestMe_session(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	got := d.signedIn(t, "grace").get("/api/v1/me").json(t)
	require.Equal(t, "grace", got["name"])
	require.Equal(t, "Cookie", got["scheme"])
	require.Equal(t, []any{"*"}, got["scopes"])
}

func TestMe_unauthorized(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	for name, header := range map[string][]string{
		"no credential":     nil,
		"secret":            {"Authorization", "Secret " + d.Secret},
		"secret as a token": {"Authorization", "Bearer " + d.Secret},
		"altered token":     {"Authorization", "Bearer " + d.Token + "x"},
		"token in a cookie": {"Cookie", insecureCookie + "=" + d.Token},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			res := d.client(t).get("/api/v1/me", header...)
			requireProblem(t, res, http.StatusUnauthorized)
			require.Contains(t, res.header.Get("WWW-Authenticate"), `Bearer realm="demo"`)
		})
	}
}

// A valid token of a deleted user is rejected like an unknown one.
func TestMe_deletedUser(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	token, _, err := d.bearer.Issue(t.Context(), "user-9", auth.TokenOptions{Name: "orphan", Scopes: []string{auth.FullAccess}, Lifetime: auth.NoExpiry})
	require.NoError(t, err)
	revoked, c, err := d.bearer.Issue(t.Context(), "user-1", auth.TokenOptions{Name: "revoked", Scopes: []string{auth.FullAccess}, Lifetime: auth.NoExpiry})
	require.NoError(t, err)
	require.NoError(t, d.bearer.Revoke(t.Context(), "user-1", c.ID))

	gone := d.client(t).get("/api/v1/me", "Authorization", "Bearer "+token)
	requireProblem(t, gone, http.StatusUnauthorized)
	require.Equal(t, d.client(t).get("/api/v1/me", "Authorization", "Bearer "+revoked).body, gone.body)
}
