package main

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/examples/internal/exampletest"
)

func newService(t *testing.T) *service {
	store := auth.NewMemoryStore()
	bearer, err := auth.NewBearer(store, auth.BearerConfig{})
	require.NoError(t, err)
	cookie, err := auth.NewCookie(store, auth.CookieConfig{Keys: exampletest.Keys()})
	require.NoError(t, err)
	return &service{bearer, cookie, func(_ context.Context, tenant, userID string) (string, error) {
		if tenant == "broken" {
			return "", errors.New("the database is down")
		}
		return map[string]string{"acme/alice": "admin", "acme/bob": "reader"}[tenant+"/"+userID], nil
	}}
}

func (s *service) signIn(t *testing.T, userID string, o auth.SessionOptions) (cookie string) {
	w := httptest.NewRecorder()
	_, err := s.cookie.SignIn(w, httptest.NewRequest("POST", "/", nil), userID, o)
	require.NoError(t, err)
	return strings.Split(w.Header().Get("Set-Cookie"), ";")[0]
}

func (s *service) do(method, path, header, value string) int {
	r := httptest.NewRequest(method, path, nil)
	r.Header.Set(header, value)
	w := httptest.NewRecorder()
	s.routes().ServeHTTP(w, r)
	return w.Code
}

func TestMember(t *testing.T) {
	t.Parallel()
	s := newService(t)
	for _, test := range []struct {
		user, method, path string
		want               int
	}{
		{"alice", "GET", "/tenants/acme/notes", 200},
		{"alice", "POST", "/tenants/acme/notes", 200},
		{"bob", "GET", "/tenants/acme/notes", 200},
		{"bob", "POST", "/tenants/acme/notes", 403},
		{"eve", "GET", "/tenants/acme/notes", 404},
		{"alice", "GET", "/tenants/other/notes", 404},
		{"alice", "GET", "/tenants/broken/notes", 503},
	} {
		token, _, err := s.bearer.Issue(t.Context(), test.user, auth.TokenOptions{Name: "x", Scopes: []string{auth.FullAccess}, Lifetime: auth.NoExpiry})
		require.NoError(t, err)
		require.Equal(t, test.want, s.do(test.method, test.path, "Authorization", "Bearer "+token), test)
	}
	require.Equal(t, 401, s.do("GET", "/tenants/acme/notes", "Authorization", "Bearer wrong"))
}

func TestRemove_recentSignIn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newService(t)
		alice, bob := s.signIn(t, "alice", auth.SessionOptions{}), s.signIn(t, "bob", auth.SessionOptions{})
		support := s.signIn(t, "alice", auth.SessionOptions{Actor: "grace"})
		require.Equal(t, http.StatusForbidden, s.do("DELETE", "/tenants/acme", "Cookie", bob), "a reader")
		require.Equal(t, http.StatusForbidden, s.do("DELETE", "/tenants/acme", "Cookie", support), "not alice herself")
		time.Sleep(10 * time.Minute)
		require.Equal(t, http.StatusNoContent, s.do("DELETE", "/tenants/acme", "Cookie", alice))
		time.Sleep(time.Second)
		require.Equal(t, http.StatusUnauthorized, s.do("DELETE", "/tenants/acme", "Cookie", alice))
		require.Equal(t, http.StatusNoContent, s.do("DELETE", "/tenants/acme", "Cookie", s.signIn(t, "alice", auth.SessionOptions{})))
	})
}
