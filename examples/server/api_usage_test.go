package main

import (
	"net/http"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestUsageCounts(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() { d.client(t).get("/api/v1/me", "Authorization", "Bearer "+d.adaToken) })
	}
	all.Wait()
	ada := d.signedIn(t, "ada") // signing in is no request by cookie yet
	ada.get("/profile")
	ada.get("/api/v1/me")
	d.signedIn(t, "grace").get("/profile")
	d.client(t).get("/api/v1/me", "Authorization", "Bearer "+d.adaToken+"x") // refused
	d.client(t).get("/")                                                     // anonymous

	res := d.client(t).get("/api/v1/usage", "Authorization", "Secret "+d.adaSecret)
	require.Equal(t, http.StatusOK, res.status, res.body)
	require.Equal(t, "no-store", res.header.Get("Cache-Control"))
	require.JSONEq(t, `{"user_id": "user-1", "requests": {"Bearer": 20, "Cookie": 2, "Secret": 1}}`, res.body)
}

func TestUsageIsForSecretsOnly(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	for name, header := range map[string][]string{
		"a session alone":       nil,
		"a token":               {"Authorization", "Bearer " + d.adaToken},
		"a token as a secret":   {"Authorization", "Secret " + d.adaToken},
		"a secret as a token":   {"Authorization", "Bearer " + d.adaSecret},
		"a secret in a browser": {"Authorization", "Secret " + d.adaSecret, "Sec-Fetch-Site", "same-origin"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			res := d.signedIn(t, "ada").get("/api/v1/usage", header...)
			requireProblem(t, res, http.StatusUnauthorized)
			require.Equal(t, `Secret realm="demo"`, res.header.Get("WWW-Authenticate"))
		})
	}
}
