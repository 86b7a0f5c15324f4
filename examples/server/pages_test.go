package main

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestProfile_redirectsToSignIn(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		res := d.client(t).do(method, "/profile", "")
		require.Equal(t, http.StatusSeeOther, res.status)
		require.Equal(t, "/?next=%2Fprofile", res.header.Get("Location"))
		require.Equal(t, "no-store", res.header.Get("Cache-Control"))
	}
	res := d.client(t).get("/profile", "Authorization", "Bearer "+d.Token)
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

// The settings are mounted below the profile, with the users and scopes of this
// service.
func TestDeveloperSettings(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	ada := d.signedIn(t, "ada")
	res := ada.get(developer)
	require.Equal(t, http.StatusOK, res.status)
	for _, want := range []string{
		"Made at start", "demo_pat_…" + d.Token[len(d.Token)-4:], "notes:read", "notes:write", `<a href="/profile">My Profile</a>`,
	} {
		require.Contains(t, res.body, want)
	}
	require.Contains(t, ada.get(developer+"secret").body, "demo_cs_…"+d.Secret[len(d.Secret)-4:])
	require.Contains(t, ada.get(developer+"tokens/new").body, "create and remove notes")
	require.NotContains(t, d.signedIn(t, "grace").get(developer).body, "Made at start")
	for _, path := range []string{"", "secret", "tokens/new", "sessions", "api/tokens", "api/secret"} {
		body := ada.get(developer + path).body
		require.NotContains(t, body, d.Token)
		require.NotContains(t, body, d.Secret)
	}

	res = d.client(t).get(developer + "secret")
	require.Equal(t, http.StatusSeeOther, res.status)
	require.Equal(t, "/?next=%2Fprofile%2Fdeveloper%2Fsecret", res.header.Get("Location"))
	res = d.client(t).get(developer+"api/tokens", "Authorization", "Bearer "+d.Token)
	requireProblem(t, res, http.StatusForbidden)
	res = ada.get("/profile/developer")
	require.Equal(t, "/profile/developer/", res.header.Get("Location"))
}

// A user who signed in too long ago is asked to sign in again, and redirected back.
func TestSignInPage_promptLogin(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	ada := d.signedIn(t, "ada")
	require.Equal(t, http.StatusSeeOther, ada.get("/?next=%2Fprofile").status, "already signed in")
	res := ada.get("/?next=%2Fprofile%2Fdeveloper%2Ftokens%2Fnew&prompt=login")
	require.Equal(t, http.StatusOK, res.status)
	require.Contains(t, res.body, `name="next" value="/profile/developer/tokens/new"`)
	const reason = "requires a recent sign-in"
	require.Contains(t, res.body, reason)
	require.NotContains(t, d.client(t).get("/?prompt=login").body, reason, "not signed in")
	res = ada.post("/signin", d.form("ada", "/profile/developer/tokens/new"))
	require.Equal(t, "/profile/developer/tokens/new", res.header.Get("Location"))
	require.Equal(t, http.StatusOK, ada.get("/profile/developer/tokens/new").status)
}
