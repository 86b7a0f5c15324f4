package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/examples/internal/exampletest"
)

// fixture is a service with the users alice and bob, and the staff grace and heidi.
type fixture struct {
	*service
	users map[string]*user
}

func newFixture(t *testing.T) fixture {
	t.Helper()
	users := map[string]*user{"alice": {"alice", false}, "bob": {"bob", false}, "grace": {"grace", true}, "heidi": {"heidi", true}}
	s, err := newService(auth.NewMemoryStore(), exampletest.Keys(), func(_ context.Context, id string) (*user, error) {
		if u := users[id]; u != nil {
			return u, nil
		}
		return nil, auth.ErrInvalidCredential
	})
	require.NoError(t, err)
	return fixture{s, users}
}

// signIn returns the cookies of a browser in which a user has signed in.
func (f fixture) signIn(t *testing.T, userID string) map[string]*http.Cookie {
	t.Helper()
	w := httptest.NewRecorder()
	_, err := f.cookie.SignIn(w, httptest.NewRequestWithContext(t.Context(), "POST", "/", nil), userID, auth.SessionOptions{})
	require.NoError(t, err)
	c := w.Result().Cookies()[0]
	return map[string]*http.Cookie{c.Name: c}
}

// do sends a request with the cookies of a browser, and keeps those that are set.
func (f fixture) do(t *testing.T, browser map[string]*http.Cookie, method, path string) (int, string) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, path, nil)
	for _, c := range browser {
		r.AddCookie(c)
	}
	w := httptest.NewRecorder()
	f.routes().ServeHTTP(w, r)
	for _, c := range w.Result().Cookies() {
		if browser[c.Name] = c; c.MaxAge < 0 {
			delete(browser, c.Name)
		}
	}
	return w.Code, w.Body.String()
}

func TestEnter_thenLeave(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	grace := f.signIn(t, "grace")
	status, _ := f.do(t, grace, "POST", "/support/enter/alice")
	require.Equal(t, 204, status)
	_, text := f.do(t, grace, "GET", "/notes")
	require.Equal(t, "grace reads notes of alice\n", text)
	status, _ = f.do(t, grace, "POST", "/support/leave")
	require.Equal(t, 204, status)
	_, text = f.do(t, grace, "GET", "/notes")
	require.Equal(t, "notes of grace\n", text)
}

func TestEnter_onlyStaff(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for _, tt := range []struct {
		user, account string
		want          int
	}{
		{"bob", "alice", 403},
		{"bob", "unknown", 403},
		{"grace", "heidi", 403},
		{"grace", "unknown", 404},
	} {
		browser := f.signIn(t, tt.user)
		status, _ := f.do(t, browser, "POST", "/support/enter/"+tt.account)
		require.Equal(t, tt.want, status, tt)
		require.NotContains(t, browser, "__Host-support")
	}
}

// Staff in the account of a user cannot do there what only the user may do, whichever
// cookie the session is sent in.
func TestActor_isNotTheUser(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	grace := f.signIn(t, "grace")
	f.do(t, grace, "POST", "/support/enter/alice")
	support := *grace["__Host-support"]
	for _, path := range []string{"/password", "/support/enter/bob"} {
		status, _ := f.do(t, map[string]*http.Cookie{support.Name: &support}, "POST", path)
		require.Equal(t, 401, status, path)
		renamed := support
		renamed.Name = "__Host-session"
		status, _ = f.do(t, map[string]*http.Cookie{renamed.Name: &renamed}, "POST", path)
		require.Equal(t, 401, status, "a value is valid for one name of a cookie only")
	}
}

// The sessions of staff who have left end, although they are of other users.
func TestResolve_formerStaff(t *testing.T) {
	t.Parallel()
	for name, leave := range map[string]func(f fixture){
		"disabled":      func(f fixture) { delete(f.users, "grace") },
		"another group": func(f fixture) { f.users["grace"].Staff = false },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			grace := f.signIn(t, "grace")
			f.do(t, grace, "POST", "/support/enter/alice")
			_, err := f.cookie.RevokeAll(t.Context(), "grace")
			require.NoError(t, err)
			status, _ := f.do(t, grace, "GET", "/notes")
			require.Equal(t, 200, status, "RevokeAll does not end it")
			leave(f)
			status, _ = f.do(t, grace, "GET", "/notes")
			require.Equal(t, 401, status)
		})
	}
}

func TestSignOut_both(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	grace := f.signIn(t, "grace")
	f.do(t, grace, "POST", "/support/enter/alice")
	copied := map[string]*http.Cookie{"__Host-support": grace["__Host-support"]}
	status, _ := f.do(t, grace, "POST", "/sign-out")
	require.Equal(t, 204, status)
	require.Empty(t, grace)
	status, _ = f.do(t, copied, "GET", "/notes")
	require.Equal(t, 401, status)
}
