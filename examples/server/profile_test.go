package main

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
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
		"<title>My Profile", "Signed in as ada", "Cookie", "Developer Settings", `action="/signout"`,
		`href="/profile/developer/"`, `href="/profile/developer/secret"`, `href="/profile/developer/sessions"`,
	} {
		require.Contains(t, res.body, want)
	}
}

// The settings are under the profile, with this service's accounts and scopes.
func TestDeveloperSettings(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	ada := d.signedIn(t, "ada")
	res := ada.get(developer)
	require.Equal(t, http.StatusOK, res.status)
	for _, want := range []string{
		"Made at start", "demo_pat_…" + d.adaToken[len(d.adaToken)-4:], "notes:read", "notes:write", `<a href="/profile">My Profile</a>`,
	} {
		require.Contains(t, res.body, want)
	}
	require.Contains(t, ada.get(developer+"secret").body, "demo_cs_…"+d.adaSecret[len(d.adaSecret)-4:])
	require.Contains(t, ada.get(developer+"tokens/new").body, "create and remove notes")
	require.NotContains(t, d.signedIn(t, "grace").get(developer).body, "Made at start")
	for _, path := range []string{"", "secret", "tokens/new", "sessions", "api/tokens", "api/secret"} {
		body := ada.get(developer + path).body
		require.NotContains(t, body, d.adaToken)
		require.NotContains(t, body, d.adaSecret)
	}

	res = d.client(t).get(developer + "secret")
	require.Equal(t, http.StatusSeeOther, res.status)
	require.Equal(t, "/?next=%2Fprofile%2Fdeveloper%2Fsecret", res.header.Get("Location"))
	res = d.client(t).get(developer+"api/tokens", "Authorization", "Bearer "+d.adaToken)
	requireProblem(t, res, http.StatusForbidden)
	res = ada.get("/profile/developer")
	require.Equal(t, "/profile/developer/", res.header.Get("Location"))
}

// Who signed in too long ago signs in anew, and comes back.
func TestSignInAgain(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	ada := d.signedIn(t, "ada")
	require.Equal(t, http.StatusSeeOther, ada.get("/?next=%2Fprofile").status, "who is signed in need not sign in")
	res := ada.get("/?next=%2Fprofile%2Fdeveloper%2Ftokens%2Fnew&prompt=login")
	require.Equal(t, http.StatusOK, res.status)
	require.Contains(t, res.body, `name="next" value="/profile/developer/tokens/new"`)
	res = ada.post("/signin", d.form("ada", "/profile/developer/tokens/new"))
	require.Equal(t, "/profile/developer/tokens/new", res.header.Get("Location"))
	require.Equal(t, http.StatusOK, ada.get("/profile/developer/tokens/new").status)
}
