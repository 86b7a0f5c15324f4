package main

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/bcrypt"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/cachestore"
)

// A heldStore holds back sessions until the channel is closed.
type heldStore struct {
	auth.Store
	mu      sync.Mutex
	hold    int // how many
	arrived sync.WaitGroup
	release chan struct{}
}

func (s *heldStore) Create(ctx context.Context, c auth.Credential, limit int) error {
	s.mu.Lock()
	held := s.hold > 0
	s.hold--
	s.mu.Unlock()
	if held {
		s.arrived.Done()
		<-s.release
	}
	return s.Store.Create(ctx, c, limit)
}

// Sign-ins that have checked the old password, when it is changed, leave no session.
func TestSignIn_duringPasswordChange(t *testing.T) {
	t.Parallel()
	const attackers = 20
	store := &heldStore{Store: auth.NewMemoryStore(), release: make(chan struct{})}
	s, srv := startWith(t, store)
	owner := newClient(t, srv)
	require.Equal(t, 303, owner.signIn("first").StatusCode)

	store.mu.Lock()
	store.hold = attackers
	store.mu.Unlock()
	store.arrived.Add(attackers)
	var signIns sync.WaitGroup
	for range attackers {
		signIns.Go(func() {
			form := url.Values{"user": {"alice"}, "password": {"first"}}.Encode()
			req, err := http.NewRequestWithContext(t.Context(), "POST", srv.URL+"/sign-in", strings.NewReader(form))
			if !assert.NoError(t, err) {
				return
			}
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			resp, err := srv.Client().Do(req)
			if !assert.NoError(t, err) {
				return
			}
			resp.Body.Close()
			assert.Equal(t, 403, resp.StatusCode)
			for _, c := range resp.Cookies() {
				assert.Empty(t, c.Value, "the cookie is cleared")
			}
		})
	}
	store.arrived.Wait() // all of them have checked the old password
	require.Equal(t, 204, owner.send("POST", "/password", "", "old", "first", "new", "second").StatusCode)
	close(store.release)
	signIns.Wait()

	require.Equal(t, 200, owner.send("GET", "/me", "").StatusCode)
	sessions, err := s.cookie.List(t.Context(), "alice", auth.Page{})
	require.NoError(t, err)
	require.Len(t, sessions, 1, "only that of the user who changed the password")
}

// Users who change their password get a new session: the old cookie may have been
// copied.
func TestChangePassword_replacesCookie(t *testing.T) {
	t.Parallel()
	_, srv := start(t)
	owner := newClient(t, srv)
	require.Equal(t, 303, owner.signIn("first").StatusCode)
	u, err := url.Parse(srv.URL)
	require.NoError(t, err)
	thief := newClient(t, srv)
	thief.Jar.SetCookies(u, owner.Jar.Cookies(u))
	require.Equal(t, 200, thief.send("GET", "/me", "").StatusCode)
	require.Equal(t, 204, owner.send("POST", "/password", "", "old", "first", "new", "second").StatusCode)
	require.Equal(t, 401, thief.send("GET", "/me", "").StatusCode)
	require.Equal(t, 200, owner.send("GET", "/me", "").StatusCode)
}

// A hookedStore calls a function before each RevokeAll.
type hookedStore struct {
	auth.Store
	hook func(auth.Kind) error
}

func (s *hookedStore) RevokeAll(ctx context.Context, kind auth.Kind, userID string, except ...string) (int, error) {
	if err := s.hook(kind); err != nil {
		return 0, err
	}
	return s.Store.RevokeAll(ctx, kind, userID, except...)
}

// A stolen session creates no tokens while the password is changed.
func TestChangePassword_revokesSessionsFirst(t *testing.T) {
	t.Parallel()
	store := &hookedStore{Store: auth.NewMemoryStore()}
	_, srv := startWith(t, store)
	owner, thief := newClient(t, srv), newClient(t, srv)
	require.Equal(t, 303, owner.signIn("first").StatusCode)
	require.Equal(t, 303, thief.signIn("first").StatusCode)
	var revoked []auth.Kind
	store.hook = func(kind auth.Kind) error {
		revoked = append(revoked, kind)
		assert.Equal(t, 401, thief.send("POST", "/tokens", "", "name", "evil", "scope", "*", "days", "365").StatusCode)
		return nil
	}
	require.Equal(t, 204, owner.send("POST", "/password", "", "old", "first", "new", "second").StatusCode)
	require.Equal(t, []auth.Kind{auth.KindSession, auth.KindToken, auth.KindSecret}, revoked)
}

// If the process dies when it has replaced the password, the user signs in with the new
// one. A thief's session and token are rejected nevertheless.
func TestChangePassword_processDies(t *testing.T) {
	t.Parallel()
	for _, step := range []auth.Kind{auth.KindSession, auth.KindToken, auth.KindSecret} {
		dead := false
		store := &hookedStore{Store: auth.NewMemoryStore(), hook: func(kind auth.Kind) error {
			if dead = dead || kind == step; dead {
				panic(http.ErrAbortHandler)
			}
			return nil
		}}
		_, srv := startWith(t, store)
		owner, thief := newClient(t, srv), newClient(t, srv)
		require.Equal(t, 303, owner.signIn("first").StatusCode)
		require.Equal(t, 303, thief.signIn("first").StatusCode)
		resp, token := thief.do("POST", "/tokens", "", "name=evil&scope=*&days=365")
		require.Equal(t, 200, resp.StatusCode)
		token = "Bearer " + strings.TrimSpace(token)
		require.Equal(t, 200, newClient(t, srv).send("GET", "/me", token).StatusCode)

		form := strings.NewReader(url.Values{"old": {"first"}, "new": {"second"}}.Encode())
		r, err := http.NewRequestWithContext(t.Context(), "POST", srv.URL+"/password", form)
		require.NoError(t, err)
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		resp, err = owner.Do(r)
		if err == nil {
			resp.Body.Close()
		}
		require.Error(t, err, "the connection breaks at step %v", step)
		require.Equal(t, 303, owner.signIn("second").StatusCode)
		require.Equal(t, 200, owner.send("GET", "/me", "").StatusCode)
		require.Equal(t, 401, thief.send("GET", "/me", "").StatusCode)
		require.Equal(t, 401, newClient(t, srv).send("GET", "/me", token).StatusCode)
	}
}

// twoProcesses returns two processes with the same users and store, and a cache each. No
// cache learns what the other process revokes.
func twoProcesses(t *testing.T) (s *service, first, second *httptest.Server) {
	t.Helper()
	store, u, keys := auth.NewMemoryStore(), newUsers(bcrypt.MinCost), auth.Keys{key()}
	_, err := u.SetPassword("alice", "first", 0)
	require.NoError(t, err)
	var servers []*httptest.Server
	for range 2 {
		cached, err := cachestore.New(store, cachestore.Config{MaxStale: 30 * time.Second})
		require.NoError(t, err)
		s, err = newService(u, cached, keys, keys)
		require.NoError(t, err)
		srv := httptest.NewTLSServer(s.routes())
		t.Cleanup(srv.Close)
		servers = append(servers, srv)
	}
	return s, servers[0], servers[1]
}

// at returns a client with the same cookies for another process.
func (c *client) at(srv *httptest.Server) *client {
	c.t.Helper()
	from, err := url.Parse(c.url)
	require.NoError(c.t, err)
	to, err := url.Parse(srv.URL)
	require.NoError(c.t, err)
	other := newClient(c.t, srv)
	other.Jar.SetCookies(to, c.Jar.Cookies(from))
	return other
}

// The cache of another process has the thief's session and token, when the password is
// changed.
func TestChangePassword_cacheOfOtherProcess(t *testing.T) {
	t.Parallel()
	_, first, second := twoProcesses(t)
	owner, thief := newClient(t, first), newClient(t, second)
	require.Equal(t, 303, owner.signIn("first").StatusCode)
	require.Equal(t, 303, thief.signIn("first").StatusCode)
	resp, token := thief.do("POST", "/tokens", "", "name=evil&scope=*&days=365")
	require.Equal(t, 200, resp.StatusCode)
	token = "Bearer " + strings.TrimSpace(token)
	require.Equal(t, 200, thief.send("GET", "/me", "").StatusCode)
	require.Equal(t, 200, newClient(t, second).send("GET", "/me", token).StatusCode)

	require.Equal(t, 204, owner.send("POST", "/password", "", "old", "first", "new", "second").StatusCode)
	require.Equal(t, 401, thief.send("GET", "/me", "").StatusCode)
	require.Equal(t, 401, newClient(t, second).send("GET", "/me", token).StatusCode)
	require.Equal(t, 200, owner.send("GET", "/me", "").StatusCode)
	require.Equal(t, 200, owner.at(second).send("GET", "/me", "").StatusCode)
}

// A session that was revoked, but is in the cache of another process, cannot delete the
// account.
func TestDeleteAccount_cacheOfOtherProcess(t *testing.T) {
	t.Parallel()
	s, first, second := twoProcesses(t)
	owner := newClient(t, first)
	require.Equal(t, 303, owner.signIn("first").StatusCode)
	thief := owner.at(second)
	require.Equal(t, 200, thief.send("GET", "/me", "").StatusCode)
	require.Equal(t, 303, owner.send("POST", "/sign-out", "").StatusCode)
	require.Equal(t, 401, thief.send("DELETE", "/account", "").StatusCode)
	_, err := s.users.CheckPassword("alice", "first")
	require.NoError(t, err)
}

// If revoking fails during the deletion of an account, the user is kept out, and a job of
// the service revokes the rest.
func TestDeleteAccount_outage(t *testing.T) {
	t.Parallel()
	var down atomic.Bool
	store := &hookedStore{Store: auth.NewMemoryStore(), hook: func(kind auth.Kind) error {
		if kind == auth.KindToken && down.Load() {
			return errors.New("outage")
		}
		return nil
	}}
	s, srv := startWith(t, store)
	c := newClient(t, srv)
	require.Equal(t, 303, c.signIn("first").StatusCode)
	resp, token := c.do("POST", "/tokens", "", "name=script&scope=*&days=365")
	require.Equal(t, 200, resp.StatusCode)
	down.Store(true)
	require.Equal(t, 503, c.send("DELETE", "/account", "").StatusCode)
	require.Equal(t, 401, newClient(t, srv).send("GET", "/me", "Bearer "+strings.TrimSpace(token)).StatusCode)
	require.Equal(t, 401, c.send("DELETE", "/account", "").StatusCode, "the user cannot repeat it")
	down.Store(false)
	require.NoError(t, s.revokeAll(t.Context(), "alice"))
	s.requireNoTokens(t)
}

// A session of the same microsecond as the change is from before it. The next one is later,
// even if the clock stands still.
func TestSetPassword_sameMicrosecond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, err := newService(newUsers(bcrypt.MinCost), auth.NewMemoryStore(), auth.Keys{key()}, nil)
		require.NoError(t, err)
		version, err := s.users.SetPassword("alice", "first", 0)
		require.NoError(t, err)
		time.Sleep(500 * time.Nanosecond) // in the middle of a microsecond
		thief := s.session(t, nil)
		require.Equal(t, 200, s.getMe(t, thief))
		_, err = s.users.SetPassword("alice", "second", version)
		require.NoError(t, err)
		require.Equal(t, 401, s.getMe(t, thief))
		require.Equal(t, 200, s.getMe(t, s.session(t, nil)))
		require.NoError(t, s.cookie.Close(t.Context()))
	})
}

// getMe returns the status of GET /me in a session.
func (s *service) getMe(t *testing.T, session *http.Cookie) int {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), "GET", "/me", nil)
	r.AddCookie(session)
	w := httptest.NewRecorder()
	s.routes().ServeHTTP(w, r)
	return w.Code
}

// A client that disconnects does not stop the revocation of sessions and tokens.
func TestRevokeAll_canceledContext(t *testing.T) {
	t.Parallel()
	s, srv := start(t)
	c := newClient(t, srv)
	require.Equal(t, 303, c.signIn("first").StatusCode)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, s.revokeAll(ctx, "alice"))
	require.Equal(t, 401, c.send("GET", "/me", "").StatusCode)
}

// bcrypt uses 72 bytes of a password and ignores the rest. A shorter one is repeated, with a
// zero byte in between.
func TestPassword_bcryptLimits(t *testing.T) {
	t.Parallel()
	_, srv := start(t)
	c := newClient(t, srv)
	require.Equal(t, 303, c.signIn("first").StatusCode)
	for _, invalid := range []string{"", strings.Repeat("x", 73), strings.Repeat("ü", 37), "second\x00", "\x00second"} {
		resp, body := c.do("POST", "/password", "", url.Values{"old": {"first"}, "new": {invalid}}.Encode())
		require.Equal(t, 400, resp.StatusCode, "%q", invalid)
		require.Equal(t, "a password must have 1 to 72 bytes, none of them zero\n", body)
		require.Equal(t, 200, c.send("GET", "/me", "").StatusCode, "nothing has changed")
	}
	for _, wrong := range []string{"first\x00", "first\x00first", "first\x00first\x00first"} {
		require.Equal(t, 403, newClient(t, srv).signIn(wrong).StatusCode, "%q", wrong)
		require.Equal(t, 403, c.send("POST", "/password", "", "old", wrong, "new", "second").StatusCode, "%q", wrong)
	}
	longest := strings.Repeat("x", 72)
	require.Equal(t, 204, c.send("POST", "/password", "", "old", "first", "new", longest).StatusCode)
	for _, wrong := range []string{"first", longest + "x", longest[1:], strings.Repeat("x", 5000)} {
		require.Equal(t, 403, newClient(t, srv).signIn(wrong).StatusCode, "%d bytes", len(wrong))
		require.Equal(t, 403, c.send("POST", "/password", "", "old", wrong, "new", "second").StatusCode)
	}
	require.Equal(t, 303, newClient(t, srv).signIn(longest).StatusCode)
}

// A change that has checked a password, which was changed in the meantime, has no
// effect. Nor has one of a user who was disabled.
func TestSetPassword_versions(t *testing.T) {
	t.Parallel()
	u := newUsers(bcrypt.MinCost)
	first, err := u.SetPassword("alice", "first", 0)
	require.NoError(t, err)
	_, err = u.SetPassword("alice", "second", first)
	require.NoError(t, err)
	_, err = u.SetPassword("alice", "evil", first)
	require.ErrorIs(t, err, errWrongPassword)
	_, err = u.CheckPassword("alice", "evil")
	require.ErrorIs(t, err, errWrongPassword)
	second, err := u.CheckPassword("alice", "second")
	require.NoError(t, err)
	require.True(t, u.IsCurrent("alice", second))
	require.False(t, u.IsCurrent("alice", first))

	u.Disable("alice")
	require.False(t, u.IsCurrent("alice", second))
	for _, version := range []int{0, first, second} {
		_, err = u.SetPassword("alice", "third", version)
		require.ErrorIs(t, err, errWrongPassword)
	}
}
