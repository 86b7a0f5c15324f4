package main

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/examples/internal/teststores"
)

// A heldStore holds new sessions back until the channel is closed.
type heldStore struct {
	auth.Store
	arrived sync.WaitGroup
	release chan struct{}
}

func (s *heldStore) Create(ctx context.Context, c auth.Credential, limit int) error {
	if c.Kind == auth.KindSession {
		s.arrived.Done()
		<-s.release
	}
	return s.Store.Create(ctx, c, limit)
}

// Sign-ins that have checked the old password, when it is changed, leave no session.
func TestSignIn_duringPasswordChange(t *testing.T) {
	t.Parallel()
	teststores.Each(t, func(t *testing.T, store string) {
		storage := openStorage(t, store)
		held := &heldStore{Store: storage.Credentials, release: make(chan struct{})}
		storage.Credentials = held
		d := startDemoOn(t, storage)
		const attackers = 4
		held.arrived.Add(attackers)
		var signIns sync.WaitGroup
		for range attackers {
			c := d.client(t)
			signIns.Go(func() {
				res, err := c.http.PostForm(d.url+"/signin", d.form("ada", ""))
				if !assert.NoError(t, err) {
					return
				}
				res.Body.Close()
				assert.Equal(t, http.StatusForbidden, res.StatusCode)
				for _, cookie := range res.Cookies() {
					assert.Empty(t, cookie.Value, "the cookie is cleared")
				}
			})
		}
		held.arrived.Wait() // all of them have checked the old password
		changed, err := d.resetPassword(t.Context(), "ada")
		require.NoError(t, err)
		close(held.release)
		signIns.Wait()

		sessions, err := d.cookie.List(t.Context(), d.idOf(t, "ada"), auth.Page{})
		require.NoError(t, err)
		require.Empty(t, sessions)
		require.Equal(t, http.StatusForbidden, d.client(t).post("/signin", d.form("ada", "")).status)
		held.arrived.Add(1)
		d.Passwords["ada"] = changed
		require.Equal(t, http.StatusOK, d.signedIn(t, "ada").get("/profile").status)
	})
}

// A lost password does not cost the data: -password replaces it, and ends the user's
// sessions only.
func TestRun_password(t *testing.T) {
	t.Parallel()
	teststores.Each(t, func(t *testing.T, store string) {
		home := t.TempDir()
		p := startProcess(t, home, nil, "-store", store, "-password", "ada").listening(t)
		require.Len(t, p.lines, 10, "the first start makes a new password anyway")
		u := use(t, p)
		u.requireAll(t, p)
		grace := u.signedIn(t, "grace")
		p.stop(t)

		p = startProcess(t, home, nil, "-store", store, "-password", "ada").listening(t)
		require.Len(t, p.lines, 5)
		changed := p.demo().Passwords["ada"]
		require.NotEmpty(t, changed)
		require.NotContains(t, p.demo().Passwords, "grace")
		require.Equal(t, "Open "+p.demo().url+" in a browser and sign in as ada with the password "+changed, p.intro[0])
		require.Equal(t, http.StatusSeeOther, u.browser.at(p).get("/profile").status, "the session has ended")
		require.Equal(t, http.StatusOK, grace.at(p).get("/profile").status)
		require.Equal(t, http.StatusForbidden, p.demo().client(t).post("/signin", u.form("ada", "")).status)
		u.Passwords["ada"] = changed
		u.browser = p.demo().signedIn(t, "ada")
		u.requireAll(t, p)
		p.stop(t)
		require.NotContains(t, p.stderr.String(), changed)

		p = startProcess(t, home, nil, "-store", store).listening(t)
		u.requireSilent(t, p)
		require.Contains(t, p.intro[0], "If you have lost a password, start with -password ada to get a new one.")
		u.requireAll(t, p)
		p.stop(t)
	})
}

// A long password is wrong, like any other that is wrong.
func TestSignIn_longPassword(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	for _, n := range []int{73, 10_000} {
		form := d.form("ada", "")
		form.Set("password", d.Passwords["ada"]+strings.Repeat("x", n))
		require.Equal(t, http.StatusForbidden, d.client(t).post("/signin", form).status)
	}
}
