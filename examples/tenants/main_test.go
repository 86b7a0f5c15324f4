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

	"github.com/stretchr/testify/assert"
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
	return &service{bearer, cookie, roles, make(chan string)}
}

func roles(_ context.Context, tenant, userID string) (string, error) {
	if tenant == "broken" {
		return "", errors.New("the database is down")
	}
	return map[string]string{"acme/alice": "admin", "beta/alice": "admin", "acme/bob": "reader"}[tenant+"/"+userID], nil
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

// issue returns a token that is bound to a tenant, unless that is empty, and its ID.
func (s *service) issue(t *testing.T, userID, tenant string) (token, id string) {
	t.Helper()
	o := auth.TokenOptions{Name: "x", Scopes: []string{auth.FullAccess}, Lifetime: auth.NoExpiry}
	if tenant != "" {
		o.Metadata = map[string]string{"tenant": tenant}
	}
	token, c, err := s.bearer.Issue(t.Context(), userID, o)
	require.NoError(t, err)
	return token, c.ID
}

// A token works only in its tenant, even if its user is a member of others.
func TestRole_boundToken(t *testing.T) {
	t.Parallel()
	s := newService(t)
	acme, _ := s.issue(t, "alice", "acme")
	require.Equal(t, 200, s.do("GET", "/tenants/acme/notes", "Authorization", "Bearer "+acme))
	require.Equal(t, 404, s.do("GET", "/tenants/beta/notes", "Authorization", "Bearer "+acme))
	unbound, _ := s.issue(t, "alice", "")
	require.Equal(t, 404, s.do("GET", "/tenants/acme/notes", "Authorization", "Bearer "+unbound))
}

// A token that was rotated does not stay in the tenant that its successor has left.
func TestMove_gracePeriod(t *testing.T) {
	t.Parallel()
	s := newService(t)
	older, id := s.issue(t, "alice", "acme")
	newer, c, err := s.bearer.Rotate(t.Context(), "alice", id, time.Hour)
	require.NoError(t, err)
	require.Equal(t, 200, s.do("GET", "/tenants/acme/notes", "Authorization", "Bearer "+older))
	require.NoError(t, s.move(t.Context(), "alice", c.ID, "beta"))
	require.Equal(t, 401, s.do("GET", "/tenants/acme/notes", "Authorization", "Bearer "+older))
	require.Equal(t, 404, s.do("GET", "/tenants/acme/notes", "Authorization", "Bearer "+newer))
	require.Equal(t, 200, s.do("GET", "/tenants/beta/notes", "Authorization", "Bearer "+newer))
	require.NoError(t, s.move(t.Context(), "alice", c.ID, "acme"), "the previous one is gone")
}

// A stream ends when its token is moved or its user leaves the tenant, although the
// credential stays valid.
func TestEvents_end(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(t *testing.T, s *service, id string){
		"moved": func(t *testing.T, s *service, id string) {
			require.NoError(t, s.move(t.Context(), "alice", id, "beta"))
		},
		"removed": func(_ *testing.T, s *service, _ string) { s.roles = noRoles },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newService(t)
				token, id := s.issue(t, "alice", "acme")
				ctx, disconnect := context.WithCancel(t.Context())
				r := httptest.NewRequestWithContext(ctx, "GET", "/tenants/acme/events", nil)
				r.Header.Set("Authorization", "Bearer "+token)
				w, ended := httptest.NewRecorder(), make(chan struct{})
				go func() {
					defer close(ended)
					s.routes().ServeHTTP(w, r)
				}()
				s.news <- "first"
				synctest.Wait()
				end(t, s, id)
				s.news <- "second"
				synctest.Wait()
				assert.Equal(t, "data: first\n\n", w.Body.String())
				select {
				case <-ended:
				default:
					t.Error("the stream is open")
				}
				disconnect()
				<-ended
			})
		})
	}
}

func noRoles(context.Context, string, string) (string, error) { return "", nil }

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
		token, _ := s.issue(t, test.user, strings.Split(test.path, "/")[2])
		require.Equal(t, test.want, s.do(test.method, test.path, "Authorization", "Bearer "+token), test)
		session := s.signIn(t, test.user, auth.SessionOptions{})
		require.Equal(t, test.want, s.do(test.method, test.path, "Cookie", session), test)
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
