package integration

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

// record makes one up that is valid for an hour.
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

// An account has records of every sort, and one more that is not there yet.
type account struct {
	userID                 string
	previous, token, other auth.Credential // token has replaced previous, which is in its overlap
	expired                auth.Credential
	session, secret        auth.Credential
	next                   auth.Credential
}

func newAccount(t *testing.T, store auth.Store) *account {
	t.Helper()
	userID := "user-" + rand.Text()
	a := &account{
		userID:   userID,
		previous: record(auth.KindToken, userID),
		token:    record(auth.KindToken, userID),
		other:    record(auth.KindToken, userID),
		expired:  record(auth.KindToken, userID),
		session:  record(auth.KindSession, userID),
		secret:   record(auth.KindSecret, userID),
		next:     record(auth.KindToken, userID),
	}
	a.token.Previous = a.previous.ID
	a.expired.ExpiresAt = a.expired.CreatedAt.Add(-30 * time.Minute)
	a.secret.ExpiresAt, a.secret.Sealed = time.Time{}, []byte("sealed")
	ctx := t.Context()
	for _, c := range []auth.Credential{a.previous, a.other, a.expired, a.session, a.secret} {
		require.NoError(t, store.Create(ctx, c, 0))
	}
	require.NoError(t, store.Rotate(ctx, a.previous.Ref(), a.token, a.token.CreatedAt.Add(30*time.Minute)))
	return a
}

// state says what of the account is there, as text without anything that is
// another in another account.
func (a *account) state(t *testing.T, store auth.Store) string {
	t.Helper()
	ctx := t.Context()
	listed := map[string]bool{}
	for kind := auth.KindToken; kind <= auth.KindSecret; kind++ {
		list, err := store.List(ctx, kind, a.userID, auth.Page{})
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
		{"previous", a.previous}, {"token", a.token}, {"other", a.other}, {"expired", a.expired},
		{"session", a.session}, {"secret", a.secret}, {"next", a.next},
	} {
		got, err := store.Lookup(ctx, r.c.Kind, r.c.Digest)
		switch {
		case errors.Is(err, auth.ErrRevoked):
			fmt.Fprintf(&b, "%s: revoked", r.name)
		case errors.Is(err, auth.ErrNotFound):
			fmt.Fprintf(&b, "%s: not there", r.name)
		default:
			require.NoError(t, err)
			require.Equal(t, r.c.Ref(), got.Ref())
			fmt.Fprintf(&b, "%s: superseded %t, used %t, expires in %v, replaced one %t", r.name, got.Superseded,
				!got.LastUsedAt.IsZero(), expiry(got), got.Previous != "")
		}
		fmt.Fprintf(&b, ", listed %t\n", listed[r.c.ID])
	}
	return b.String()
}

// expiry is rounded, so that a few milliseconds between two records do not show.
func expiry(c *auth.Credential) time.Duration {
	if c.ExpiresAt.IsZero() {
		return 0
	}
	return c.ExpiresAt.Sub(c.CreatedAt).Round(5 * time.Minute)
}

// A method is one call of a store over an account.
type method struct {
	name  string
	reads bool
	call  func(ctx context.Context, store auth.Store, a *account) error
}

var methods = []method{
	{"Create with a limit", false, func(ctx context.Context, store auth.Store, a *account) error {
		return store.Create(ctx, a.next, 10)
	}},
	{"Create without one", false, func(ctx context.Context, store auth.Store, a *account) error {
		return store.Create(ctx, a.next, 0)
	}},
	{"Lookup", true, func(ctx context.Context, store auth.Store, a *account) error {
		c, err := store.Lookup(ctx, auth.KindToken, a.token.Digest)
		if err == nil && c.ID != a.token.ID {
			return auth.ErrNotFound
		}
		return err
	}},
	{"Get", true, func(ctx context.Context, store auth.Store, a *account) error {
		c, err := store.Get(ctx, a.token.Ref())
		if err == nil && c.ID != a.token.ID {
			return auth.ErrNotFound
		}
		return err
	}},
	{"List", true, func(ctx context.Context, store auth.Store, a *account) error {
		list, err := store.List(ctx, auth.KindToken, a.userID, auth.Page{})
		if err == nil && len(list) < 4 {
			return auth.ErrNotFound // a part of the list, and no error
		}
		return err
	}},
	{"Rotate with an overlap", false, func(ctx context.Context, store auth.Store, a *account) error {
		a.next.Previous = a.token.ID
		return store.Rotate(ctx, a.token.Ref(), a.next, a.next.CreatedAt.Add(15*time.Minute))
	}},
	{"Rotate a secret", false, func(ctx context.Context, store auth.Store, a *account) error {
		a.next.Kind, a.next.Previous = auth.KindSecret, a.secret.ID
		return store.Rotate(ctx, a.secret.Ref(), a.next, a.next.CreatedAt.Add(15*time.Minute))
	}},
	{"Rotate a secret at once", false, func(ctx context.Context, store auth.Store, a *account) error {
		a.next.Kind = auth.KindSecret
		return store.Rotate(ctx, a.secret.Ref(), a.next, time.Time{})
	}},
	{"Revoke", false, func(ctx context.Context, store auth.Store, a *account) error {
		return store.Revoke(ctx, a.token.Ref())
	}},
	{"Revoke a session", false, func(ctx context.Context, store auth.Store, a *account) error {
		return store.Revoke(ctx, a.session.Ref())
	}},
	{"RevokeAll", false, func(ctx context.Context, store auth.Store, a *account) error {
		_, err := store.RevokeAll(ctx, auth.KindToken, a.userID, a.other.ID)
		return err
	}},
	{"Touch", false, func(ctx context.Context, store auth.Store, a *account) error {
		now := time.Now()
		return store.Touch(ctx, []auth.Use{
			{Ref: a.token.Ref(), Digest: a.token.Digest, At: now},
			{Ref: a.other.Ref(), Digest: a.other.Digest, At: now},
			{Ref: a.session.Ref(), Digest: a.session.Digest, At: now},
		})
	}},
	{"Purge", false, func(ctx context.Context, store auth.Store, a *account) error {
		_, err := store.Purge(ctx, a.expired.CreatedAt.Add(-time.Minute))
		return err
	}},
}

// outage fails unless err is what a caller answers with 503.
func outage(t *testing.T, err error) {
	t.Helper()
	require.Error(t, err)
	for _, known := range []error{auth.ErrNotFound, auth.ErrConflict, auth.ErrLimit} {
		require.NotErrorIs(t, err, known)
	}
}

// allOrNothing returns the account's state after a call that has returned err: what
// it is with the whole change, or what it was, if err tells of an outage.
func (a *account) allOrNothing(t *testing.T, store auth.Store, err error, untouched, done, at string) string {
	t.Helper()
	state := a.state(t, store)
	if err == nil {
		require.Equal(t, done, state, at)
		return state
	}
	outage(t, err)
	require.Contains(t, []string{untouched, done}, state, at)
	return state
}

// triesEachInTurn skips a test under -short that makes a call for each fault that there
// is, one after another. There is nothing in them for the race detector.
func triesEachInTurn(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("it tries each fault in turn: not with -short")
	}
}

// recoversSoon asks until a store answers again, and pauses between: PostgreSQL starts a
// process for each connection, which takes a busy machine its time.
func recoversSoon(t *testing.T, store auth.Store) {
	t.Helper()
	start := time.Now()
	for {
		_, err := store.Lookup(t.Context(), auth.KindToken, record(auth.KindToken, "nobody").Digest)
		if errors.Is(err, auth.ErrNotFound) {
			return
		}
		outage(t, err)
		require.Less(t, time.Since(start), 15*time.Second, "it does not recover: %v", err)
		time.Sleep(20 * time.Millisecond)
	}
}

// ids has those of all the tokens that a user has.
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
