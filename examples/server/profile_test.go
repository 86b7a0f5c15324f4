package main

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

func TestProfileWantsASignIn(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		res := d.client(t).do(method, "/profile", "")
		require.Equal(t, http.StatusSeeOther, res.status)
		require.Equal(t, "/?next=%2Fprofile", res.header.Get("Location"))
		require.Equal(t, "no-store", res.header.Get("Cache-Control"))
	}
	res := d.client(t).get("/profile", "Authorization", "Bearer "+d.adaToken)
	requireProblem(t, res, http.StatusUnauthorized)
}

func TestProfile(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	ada := d.signedIn(t, "ada")
	res := ada.get("/profile")
	require.Equal(t, http.StatusOK, res.status)
	require.Equal(t, "no-store", res.header.Get("Cache-Control"))
	for _, want := range []string{
		"<title>My Profile", "Signed in as ada", "Cookie", "Developer Settings", "Made at start",
		"demo_pat_…" + d.adaToken[len(d.adaToken)-4:], "notes:read", "notes:write", "Never",
		"demo_cs_…" + d.adaSecret[len(d.adaSecret)-4:], `action="/signout"`,
	} {
		require.Contains(t, res.body, want)
	}
	require.NotContains(t, res.body, d.adaToken)
	require.NotContains(t, res.body, d.adaSecret)
	require.NotContains(t, d.signedIn(t, "grace").get("/profile").body, "Made at start")

	require.Equal(t, http.StatusOK, ada.get("/api/v1/me", "Authorization", "Bearer "+d.adaToken).status)
	require.NoError(t, d.bearer.Close(t.Context())) // writes the last use
	tokens, err := d.bearer.List(t.Context(), "user-1", auth.Page{})
	require.NoError(t, err)
	require.Contains(t, ada.get("/profile").body, `datetime="`+machineTime(tokens[0].LastUsedAt)+`"`)
}

func TestProfileEscapesNames(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	_, _, err := d.bearer.Issue(t.Context(), "user-2", auth.NewToken{Name: "<script>alert(1)</script>"})
	require.NoError(t, err)
	body := d.signedIn(t, "grace").get("/profile").body
	require.Contains(t, body, "&lt;script&gt;")
	require.NotContains(t, body, "<script>")
}

// An account without anything gets a page as well.
func TestProfileOfAnEmptyAccount(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	require.NoError(t, d.secret.Revoke(t.Context(), "user-2"))
	body := d.signedIn(t, "grace").get("/profile").body
	require.Contains(t, body, "You have no tokens.")
	require.Contains(t, body, "You have no client secret.")
}
