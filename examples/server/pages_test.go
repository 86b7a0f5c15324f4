package main

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
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
		"1 token<", "1 session<", "<code>demo_cs_…" + d.Secret[len(d.Secret)-4:], "Not used yet", ">Reveal</button>",
	} {
		require.Contains(t, res.body, want)
	}
	require.NotContains(t, res.body, d.Secret)

	id := d.idOf(t, "ada")
	_, _, err := d.bearer.Issue(t.Context(), id, auth.TokenOptions{Name: "Deploy", Scopes: []string{readNotes}, Lifetime: 48 * time.Hour})
	require.NoError(t, err)
	d.client(t).get("/api/v1/usage", "Authorization", "Secret "+d.Secret)
	require.NoError(t, d.secret.Close(t.Context()))
	d.signedIn(t, "ada")
	res = ada.get("/profile")
	for _, want := range []string{
		"2 tokens", "expires on <time datetime=", day(time.Now().Add(48 * time.Hour)), "2 sessions", "Last used on", "from <code>127.0.0.1</code>",
	} {
		require.Contains(t, res.body, want)
	}
	_, err = d.secret.RevokeAll(t.Context(), d.idOf(t, "grace"))
	require.NoError(t, err)
	require.Contains(t, d.signedIn(t, "grace").get("/profile").body, "Create a secret")
}

// downStore cannot list credentials.
type downStore struct{ auth.Store }

func (downStore) List(context.Context, auth.Kind, string, auth.Page) ([]auth.Credential, error) {
	return nil, errors.New("down")
}

// The profile does not need the summary of the settings.
func TestProfile_withoutSummary(t *testing.T) {
	t.Parallel()
	storage := openStorage(t, "memory:")
	d := startDemoOn(t, storage)
	storage.Credentials = downStore{storage.Credentials}
	down := newTestServer(t, storage, auth.Keys{newKey()})
	t.Cleanup(func() { require.NoError(t, down.close()) })
	d.server.developer = down.developer
	res := d.signedIn(t, "ada").get("/profile")
	require.Equal(t, http.StatusOK, res.status)
	require.Contains(t, res.body, "Signed in as ada")
	require.Contains(t, res.body, "temporarily unavailable")
	require.Contains(t, res.body, `href="/profile/developer/secret"`)
}

func TestCount(t *testing.T) {
	t.Parallel()
	for want, got := range map[string]string{
		"None": count(0, false, "token"), "1 token": count(1, false, "token"), "2 tokens": count(2, false, "token"),
		"more than 1000 tokens": count(1000, true, "token"),
	} {
		require.Equal(t, want, got)
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
