package main

import (
	"net/http"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestUsage_countsRequests(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() { d.client(t).get("/api/v1/me", "Authorization", "Bearer "+d.Token) })
	}
	all.Wait()
	ada := d.signedIn(t, "ada") // signing in does not count: it has no session yet
	ada.get("/profile")
	ada.get("/api/v1/me")
	d.signedIn(t, "grace").get("/profile")
	d.client(t).get("/api/v1/me", "Authorization", "Bearer "+d.Token+"x") // rejected
	d.client(t).get("/")                                                  // anonymous

	res := d.client(t).get("/api/v1/usage", "Authorization", "Secret "+d.Secret)
	require.Equal(t, http.StatusOK, res.status, res.body)
	require.Equal(t, "no-store", res.header.Get("Cache-Control"))
	require.JSONEq(t, `{"user_id": "user-1", "requests": {"Bearer": 20, "Cookie": 2, "Secret": 1}}`, res.body)
}

func TestUsage_requiresSecret(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	for name, header := range map[string][]string{
		"session only":          nil,
		"token":                 {"Authorization", "Bearer " + d.Token},
		"token as a secret":     {"Authorization", "Secret " + d.Token},
		"secret as a token":     {"Authorization", "Bearer " + d.Secret},
		"secret from a browser": {"Authorization", "Secret " + d.Secret, "Sec-Fetch-Site", "same-origin"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			res := d.signedIn(t, "ada").get("/api/v1/usage", header...)
			requireProblem(t, res, http.StatusUnauthorized)
			require.Equal(t, `Secret realm="demo"`, res.header.Get("WWW-Authenticate"))
		})
	}
}
