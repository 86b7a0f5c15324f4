package main

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/examples/internal/teststores"
)

// at returns a client with the same cookies for another process.
func (c *client) at(p *process) *client {
	return &client{c.t, p.demo().url, c.http}
}

// A used server has printed credentials, and has a session and a note.
type used struct {
	*demo
	browser  *client
	byToken  []string
	bySecret []string
	noteID   string
}

func use(t *testing.T, p *process) *used {
	t.Helper()
	d := p.demo()
	u := &used{demo: d, browser: d.signedIn(t, "ada")}
	u.byToken = []string{"Authorization", "Bearer " + d.Token}
	u.bySecret = []string{"Authorization", "Secret " + d.Secret}
	res := u.browser.note(`{"text": "Buy milk"}`, u.byToken...)
	require.Equal(t, http.StatusCreated, res.status, res.body)
	u.noteID = res.json(t)["id"].(string)
	return u
}

// requireAll checks that a process accepts everything created through another one.
func (u *used) requireAll(t *testing.T, p *process) {
	t.Helper()
	c, stranger := u.browser.at(p), p.demo().client(t)
	require.Contains(t, stranger.get("/api/v1/me", u.byToken...).body, `"name":"ada"`)
	require.Contains(t, stranger.get("/api/v1/usage", u.bySecret...).body, `"user_id":"user-1"`)
	require.Contains(t, stranger.get("/api/v1/notes", u.byToken...).body, u.noteID)
	require.Contains(t, c.get("/profile").body, "Signed in as ada")
	require.Equal(t, http.StatusSeeOther, stranger.post("/signin", u.form("ada", "")).status)
	require.Equal(t, http.StatusSeeOther, stranger.post("/signin", u.form("grace", "")).status)
}

// requireSilent checks that a later start does not print the credentials again.
func (u *used) requireSilent(t *testing.T, p *process) {
	t.Helper()
	text := strings.Join(p.lines, "\n")
	require.Len(t, p.lines, 4, text)
	require.Regexp(t, `^listening on http://127\.0\.0\.1:\d+\n`, text)
	require.Regexp(t, `\npasswords, token and secret were printed at 20\S+Z; start with -reset to get new ones\n`, text)
	for _, secret := range []string{u.Token, u.Secret, u.Passwords["ada"], u.Passwords["grace"]} {
		require.NotContains(t, text, secret)
	}
}

func TestRestart_keepsData(t *testing.T) {
	t.Parallel()
	teststores.Each(t, func(t *testing.T, store string) {
		home := t.TempDir()
		p := startProcess(t, home, nil, "-store", store).listening(t)
		u := use(t, p)
		u.requireAll(t, p)
		p.stop(t)

		p = startProcess(t, home, nil, "-store", store).listening(t)
		u.requireSilent(t, p)
		u.requireAll(t, p)
		p.stop(t)

		p = startProcess(t, home, nil, "-store", store, "-reset").listening(t)
		u.requireGone(t, p)
		purged, err := openStorage(t, store).Credentials.Purge(t.Context(), time.Now().Add(time.Minute))
		require.NoError(t, err)
		require.Zero(t, purged, "revoked credentials were left")
		use(t, p).requireAll(t, p)
		p.stop(t)
	})
}

// requireGone checks that -reset has removed everything.
func (u *used) requireGone(t *testing.T, p *process) {
	t.Helper()
	c, stranger := u.browser.at(p), p.demo().client(t)
	requireProblem(t, stranger.get("/api/v1/me", u.byToken...), http.StatusUnauthorized)
	requireProblem(t, stranger.get("/api/v1/usage", u.bySecret...), http.StatusUnauthorized)
	require.Equal(t, http.StatusSeeOther, c.get("/profile").status)
	require.Equal(t, http.StatusForbidden, stranger.post("/signin", u.form("ada", "")).status)
	token := "Bearer " + p.demo().Token
	require.JSONEq(t, `{"notes": []}`, stranger.get("/api/v1/notes", "Authorization", token).body)
}

// A killed process has stored everything that it confirmed.
func TestRestart_afterKill(t *testing.T) {
	t.Parallel()
	teststores.Each(t, func(t *testing.T, store string) {
		home := t.TempDir()
		p := startProcess(t, home, nil, "-store", store).listening(t)
		u := use(t, p)
		require.NoError(t, p.Process.Kill())
		p.Wait()

		p = startProcess(t, home, nil, "-store", store).listening(t)
		u.requireSilent(t, p)
		u.requireAll(t, p)
		p.stop(t)
	})
}

// With other keys, only sessions are invalid. The start prints a warning.
func TestRestart_otherKeys(t *testing.T) {
	t.Parallel()
	teststores.Each(t, func(t *testing.T, store string) {
		env := func() []string { return []string{"AUTH_KEYS=" + base64.StdEncoding.EncodeToString(newKey())} }
		first := env()
		p := startProcess(t, t.TempDir(), first, "-store", store).listening(t)
		u := use(t, p)
		require.Equal(t, "keys AUTH_KEYS", p.lines[9])
		p.stop(t)

		p = startProcess(t, t.TempDir(), env(), "-store", store).listening(t)
		require.Contains(t, p.lines[2], "these are not the keys that the store is used with")
		c := u.browser.at(p)
		require.Equal(t, http.StatusSeeOther, c.get("/profile").status)
		requireProblem(t, c.get("/api/v1/me"), http.StatusUnauthorized)
		require.Contains(t, c.get("/api/v1/me", u.byToken...).body, `"name":"ada"`)
		require.Equal(t, http.StatusOK, c.get("/api/v1/usage", u.bySecret...).status)
		p.stop(t)

		// With a new key before the old one, everything remains valid.
		_, old, _ := strings.Cut(first[0], "=")
		p = startProcess(t, t.TempDir(), []string{env()[0] + "," + old}, "-store", store).listening(t)
		u.requireSilent(t, p)
		require.Equal(t, http.StatusSeeOther, c.at(p).post("/signin", u.form("ada", "")).status)
		u.requireAll(t, p)
		p.stop(t)
	})
}

// A secret can be revealed only with the keys that encrypted it.
func TestReveal_otherKeys(t *testing.T) {
	t.Parallel()
	teststores.Each(t, func(t *testing.T, store string) {
		keys := auth.Keys{newKey()}
		storage := openStorage(t, store)
		s := newTestServer(t, storage, keys)
		seeded, err := storage.Seed(t.Context(), s.seedOptions(keys, false))
		require.NoError(t, err)
		secrets, err := s.secret.List(t.Context(), "user-1", auth.Page{})
		require.NoError(t, err)
		require.Len(t, secrets, 1)
		for _, same := range []auth.Keys{keys, {newKey(), keys[0]}} {
			secret, err := newTestServer(t, openStorage(t, store), same).secret.Reveal(t.Context(), "user-1", secrets[0].ID)
			require.NoError(t, err)
			require.Equal(t, seeded.Secret, secret)
		}
		other := newTestServer(t, openStorage(t, store), auth.Keys{newKey()})
		secret, err := other.secret.Reveal(t.Context(), "user-1", secrets[0].ID)
		require.ErrorIs(t, err, auth.ErrUnavailable)
		require.Empty(t, secret)
	})
}

// Of several processes that start at once on an empty store, one seeds.
func TestRun_concurrentStarts(t *testing.T) {
	t.Parallel()
	teststores.Each(t, func(t *testing.T, store string) {
		home := t.TempDir()
		var all []*process
		for range 3 {
			all = append(all, startProcess(t, home, nil, "-store", store))
		}
		var first *process
		for _, p := range all {
			if len(p.listening(t).lines) > 4 {
				require.Nil(t, first, "two processes have seeded")
				first = p
			}
		}
		require.NotNil(t, first, "no process has seeded")
		u := use(t, first)
		for _, p := range all {
			if p != first {
				u.requireSilent(t, p)
			}
			u.requireAll(t, p)
		}
		for _, p := range all {
			p.stop(t)
		}
	})
}
