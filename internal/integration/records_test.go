package integration

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

// record returns a made-up credential that expires in an hour.
func record(kind auth.Kind, userID string) auth.Credential {
	now := time.Now().UTC().Truncate(time.Microsecond)
	c := auth.Credential{
		ID:        fmt.Sprintf("%013d%s", now.UnixMilli(), rand.Text()[:13]),
		Kind:      kind,
		UserID:    userID,
		Name:      "deploy",
		Scopes:    "notes:read",
		CreatedAt: now,
		ExpiresAt: now.Add(time.Hour),
	}
	rand.Read(c.Digest[:])
	return c
}

// A testUser has records of every kind, and next, which is not in the store yet.
type testUser struct {
	userID                 string
	previous, token, other auth.Credential // token has replaced previous, which is in its grace period
	expired                auth.Credential
	session, secret        auth.Credential
	next                   auth.Credential
}

func newUser(t *testing.T, store auth.Store) *testUser {
	t.Helper()
	userID := "user-" + rand.Text()
	u := &testUser{
		userID:   userID,
		previous: record(auth.KindToken, userID),
		token:    record(auth.KindToken, userID),
		other:    record(auth.KindToken, userID),
		expired:  record(auth.KindToken, userID),
		session:  record(auth.KindSession, userID),
		secret:   record(auth.KindSecret, userID),
		next:     record(auth.KindToken, userID),
	}
	u.token.Previous = u.previous.ID
	u.expired.ExpiresAt = u.expired.CreatedAt.Add(-30 * time.Minute)
	u.secret.ExpiresAt, u.secret.Sealed = time.Time{}, []byte("sealed")
	ctx := t.Context()
	for _, c := range []auth.Credential{u.previous, u.other, u.expired, u.session, u.secret} {
		require.NoError(t, store.Create(ctx, c, 0))
	}
	require.NoError(t, store.Rotate(ctx, u.previous, u.token, u.token.CreatedAt.Add(30*time.Minute)))
	return u
}

// state describes the records of the user. It is the same for all users with the same
// records.
func (u *testUser) state(t *testing.T, store auth.Store) string {
	t.Helper()
	ctx := t.Context()
	listed := map[string]bool{}
	for kind := auth.KindToken; kind <= auth.KindSecret; kind++ {
		list, err := store.List(ctx, kind, u.userID, auth.Page{})
		require.NoError(t, err)
		for _, c := range list {
			listed[c.ID] = true
		}
	}
	var b strings.Builder
	for _, r := range []struct {
		name string
		c    auth.Credential
	}{
		{"previous", u.previous}, {"token", u.token}, {"other", u.other}, {"expired", u.expired},
		{"session", u.session}, {"secret", u.secret}, {"next", u.next},
	} {
		got, err := store.Lookup(ctx, r.c.Kind, r.c.Digest)
		switch {
		case errors.Is(err, auth.ErrRevoked):
			fmt.Fprintf(&b, "%s: revoked", r.name)
		case errors.Is(err, auth.ErrNotFound):
			fmt.Fprintf(&b, "%s: not found", r.name)
		default:
			require.NoError(t, err)
			require.Equal(t, r.c.Ref(), got.Ref())
			fmt.Fprintf(&b, "%s: named %s, superseded %t, used %t, expires in %v, has previous %t", r.name, got.Name, got.Superseded,
				!got.LastUsedAt.IsZero(), expiry(got), got.Previous != "")
		}
		fmt.Fprintf(&b, ", listed %t\n", listed[r.c.ID])
	}
	return b.String()
}

// expiry is rounded, so that a few milliseconds between two records do not matter.
func expiry(c *auth.Credential) time.Duration {
	if c.ExpiresAt.IsZero() {
		return 0
	}
	return c.ExpiresAt.Sub(c.CreatedAt).Round(5 * time.Minute)
}

// A method is one call of a store for a user.
type method struct {
	name  string
	reads bool
	call  func(ctx context.Context, store auth.Store, u *testUser) error
}

var methods = []method{
	{"Create with a limit", false, func(ctx context.Context, store auth.Store, u *testUser) error {
		return store.Create(ctx, u.next, 10)
	}},
	{"Create without a limit", false, func(ctx context.Context, store auth.Store, u *testUser) error {
		return store.Create(ctx, u.next, 0)
	}},
	{"Lookup", true, func(ctx context.Context, store auth.Store, u *testUser) error {
		c, err := store.Lookup(ctx, auth.KindToken, u.token.Digest)
		if err == nil && c.ID != u.token.ID {
			return auth.ErrNotFound
		}
		return err
	}},
	{"Get", true, func(ctx context.Context, store auth.Store, u *testUser) error {
		c, err := store.Get(ctx, u.token.Ref())
		if err == nil && c.ID != u.token.ID {
			return auth.ErrNotFound
		}
		return err
	}},
	{"List", true, func(ctx context.Context, store auth.Store, u *testUser) error {
		list, err := store.List(ctx, auth.KindToken, u.userID, auth.Page{})
		if err == nil && len(list) < 4 {
			return auth.ErrNotFound // a partial list must not be returned
		}
		return errors.Join(err, listedOnce(list))
	}},
	{"Scan", true, func(ctx context.Context, store auth.Store, u *testUser) error {
		at := u.session.ExpiresAt
		page, err := store.(auth.Scanner).Scan(ctx, auth.ScanQuery{Kind: auth.KindSession, ExpiresFrom: at, ExpiresBefore: at.Add(time.Microsecond)})
		if err == nil && len(page.Credentials) == 0 {
			return auth.ErrNotFound // a partial page must not be returned
		}
		return errors.Join(err, listedOnce(page.Credentials))
	}},
	{"Update", false, func(ctx context.Context, store auth.Store, u *testUser) error {
		next := u.token
		next.Name = "updated"
		return store.Update(ctx, u.token, next)
	}},
	{"Rotate with a grace period", false, func(ctx context.Context, store auth.Store, u *testUser) error {
		u.next.Previous = u.token.ID
		return store.Rotate(ctx, u.token, u.next, u.next.CreatedAt.Add(15*time.Minute))
	}},
	{"Rotate a secret", false, func(ctx context.Context, store auth.Store, u *testUser) error {
		u.next.Kind, u.next.Previous = auth.KindSecret, u.secret.ID
		return store.Rotate(ctx, u.secret, u.next, u.next.CreatedAt.Add(15*time.Minute))
	}},
	{"Rotate a secret without a grace period", false, func(ctx context.Context, store auth.Store, u *testUser) error {
		u.next.Kind = auth.KindSecret
		return store.Rotate(ctx, u.secret, u.next, time.Time{})
	}},
	{"Revoke", false, func(ctx context.Context, store auth.Store, u *testUser) error {
		return store.Revoke(ctx, u.token.Ref())
	}},
	{"Revoke a session", false, func(ctx context.Context, store auth.Store, u *testUser) error {
		return store.Revoke(ctx, u.session.Ref())
	}},
	{"RevokeAll", false, func(ctx context.Context, store auth.Store, u *testUser) error {
		_, err := store.RevokeAll(ctx, auth.KindToken, u.userID, u.other.ID)
		return err
	}},
	{"Touch", false, func(ctx context.Context, store auth.Store, u *testUser) error {
		now := time.Now()
		return store.Touch(ctx, []auth.Use{
			{Ref: u.token.Ref(), Digest: u.token.Digest, At: now},
			{Ref: u.other.Ref(), Digest: u.other.Digest, At: now},
			{Ref: u.session.Ref(), Digest: u.session.Digest, At: now},
		})
	}},
	{"Purge", false, func(ctx context.Context, store auth.Store, u *testUser) error {
		_, err := store.Purge(ctx, u.expired.CreatedAt.Add(-time.Minute))
		return err
	}},
}

// states returns the states of a user before and after a call. The call is made to store,
// and direct reads the states.
func (m method) states(t *testing.T, store, direct auth.Store) (untouched, done string) {
	t.Helper()
	u := newUser(t, direct)
	untouched = u.state(t, direct)
	require.NoError(t, m.call(t.Context(), store, u))
	done = u.state(t, direct)
	require.Equal(t, m.reads, untouched == done)
	return untouched, done
}

// requireOutage fails unless err is one that callers answer with 503.
func requireOutage(t *testing.T, err error) {
	t.Helper()
	require.Error(t, err)
	for _, known := range []error{auth.ErrNotFound, auth.ErrConflict, auth.ErrLimit} {
		require.NotErrorIs(t, err, known)
	}
}

// allOrNothing returns the state after a call that has returned err. The change is
// complete; after an outage, it may have had no effect instead.
func (u *testUser) allOrNothing(t *testing.T, store auth.Store, err error, untouched, done, at string) string {
	t.Helper()
	state := u.state(t, store)
	if err == nil {
		require.Equal(t, done, state, at)
		return state
	}
	requireOutage(t, err)
	require.Contains(t, []string{untouched, done}, state, at)
	return state
}

// listedOnce returns an error if a list has a record twice, as it would after reading it again.
func listedOnce(list []auth.Credential) error {
	seen := make(map[auth.Ref]bool)
	for i := range list {
		ref := list[i].Ref()
		if seen[ref] {
			return fmt.Errorf("%v is listed twice", ref)
		}
		seen[ref] = true
	}
	return nil
}

// inCI skips a test except in .ci/run: one that starts databases of its own, or takes long in another
// way. Benchmarks are never skipped.
func inCI(t testing.TB) {
	t.Helper()
	if _, test := t.(*testing.T); test && !ci() {
		t.Skip("takes long: set CI=true")
	}
}

func ci() bool { return os.Getenv("CI") == "true" }

// longSeries is inCI for tests that try each fault in turn, or the whole contract in each mode of a
// server. With -short, which the race detector uses, these are not worth their time.
func longSeries(t *testing.T) {
	t.Helper()
	inCI(t)
	if testing.Short() {
		t.Skip("a long series: leave out -short")
	}
}

// awaitRecovery calls the store until it answers again. It pauses in between, because
// PostgreSQL starts a process for each connection, which is slow on a busy machine.
func awaitRecovery(t *testing.T, store auth.Store) {
	t.Helper()
	start := time.Now()
	for {
		_, err := store.Lookup(t.Context(), auth.KindToken, record(auth.KindToken, "absent").Digest)
		if errors.Is(err, auth.ErrNotFound) {
			return
		}
		requireOutage(t, err)
		require.Less(t, time.Since(start), 15*time.Second, "the store does not recover: %v", err)
		time.Sleep(20 * time.Millisecond)
	}
}

// ids returns the IDs of all tokens of a user.
func ids(t *testing.T, store auth.Store, userID string) map[string]bool {
	t.Helper()
	all, page := map[string]bool{}, auth.Page{}
	for {
		list, err := store.List(t.Context(), auth.KindToken, userID, page)
		require.NoError(t, err)
		if len(list) == 0 {
			return all
		}
		for _, c := range list {
			all[c.ID] = true
		}
		page.After = list[len(list)-1].ID
	}
}
