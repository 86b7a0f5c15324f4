package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

func TestRoutes(t *testing.T) {
	t.Parallel()
	store := auth.NewMemoryStore()
	bearer, err := auth.NewBearer(store, auth.BearerConfig{})
	require.NoError(t, err)
	cookie, err := auth.NewCookie(store, auth.CookieConfig{Keys: auth.Keys{[]byte("0123456789abcdef0123456789abcdef")}})
	require.NoError(t, err)
	token, _, err := bearer.Issue(t.Context(), "alice", auth.TokenOptions{Name: "x", Scopes: []string{auth.FullAccess}, Lifetime: auth.NoExpiry})
	require.NoError(t, err)
	signedIn := httptest.NewRecorder()
	_, err = cookie.SignIn(signedIn, httptest.NewRequest("POST", "/", nil), "bob", auth.SessionOptions{})
	require.NoError(t, err)
	session := strings.Split(signedIn.Header().Get("Set-Cookie"), ";")[0]
	for _, test := range []struct {
		name   string
		header http.Header
		want   int
		body   string
	}{
		{"X-API-Key", http.Header{"X-Api-Key": {token}}, 200, "notes of alice\n"},
		{"Authorization", http.Header{"Authorization": {"Bearer " + token}}, 200, "notes of alice\n"},
		{"a cookie", http.Header{"Cookie": {session}}, 200, "notes of bob\n"},
		{"a bad key and a good cookie", http.Header{"X-Api-Key": {"wrong"}, "Cookie": {session}}, 401, ""},
		{"both headers", http.Header{"X-Api-Key": {token}, "Authorization": {"Bearer " + token}}, 400, ""},
		{"none", nil, 401, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "/notes", nil)
			for name, values := range test.header {
				r.Header[name] = values
			}
			w := httptest.NewRecorder()
			routes(bearer, cookie).ServeHTTP(w, r)
			require.Equal(t, test.want, w.Code)
			if test.want == 200 {
				require.Equal(t, test.body, w.Body.String())
			}
		})
	}
}
