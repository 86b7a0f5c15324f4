package main

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/bcrypt"

	"github.com/seed-31c5bcb2/auth"
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
	hook func()
}

func (s *hookedStore) RevokeAll(ctx context.Context, kind auth.Kind, userID string, except ...string) (int, error) {
	s.hook()
	return s.Store.RevokeAll(ctx, kind, userID, except...)
}

// A stolen session that creates tokens while the password is changed leaves none.
func TestChangePassword_revokesSessionsFirst(t *testing.T) {
	t.Parallel()
	store := &hookedStore{Store: auth.NewMemoryStore()}
	_, srv := startWith(t, store)
	owner, thief := newClient(t, srv), newClient(t, srv)
	require.Equal(t, 303, owner.signIn("first").StatusCode)
	require.Equal(t, 303, thief.signIn("first").StatusCode)
	var tokens []string
	store.hook = func() {
		if resp, body := thief.do("POST", "/tokens", "", "name=evil&scope=*&days=365"); resp.StatusCode == 200 {
			tokens = append(tokens, strings.TrimSpace(body))
		}
	}
	require.Equal(t, 204, owner.send("POST", "/password", "", "old", "first", "new", "second").StatusCode)
	require.Len(t, tokens, 1, "before its session was revoked")
	for _, token := range tokens {
		require.Equal(t, 401, newClient(t, srv).send("GET", "/me", "Bearer "+token).StatusCode)
	}
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

// bcrypt uses 72 bytes of a password and ignores the rest.
func TestPassword_length(t *testing.T) {
	t.Parallel()
	_, srv := start(t)
	c := newClient(t, srv)
	require.Equal(t, 303, c.signIn("first").StatusCode)
	for _, invalid := range []string{"", strings.Repeat("x", 73), strings.Repeat("ü", 37)} {
		resp, body := c.do("POST", "/password", "", url.Values{"old": {"first"}, "new": {invalid}}.Encode())
		require.Equal(t, 400, resp.StatusCode, "%q", invalid)
		require.Equal(t, "a password must have 1 to 72 bytes\n", body)
		require.Equal(t, 200, c.send("GET", "/me", "").StatusCode, "nothing has changed")
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
