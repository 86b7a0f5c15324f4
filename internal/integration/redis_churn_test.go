package integration

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

// A churn creates, rotates and revokes tokens of one user until it is stopped. Outages do
// not stop it.
type churn struct {
	userID string
	lossy  bool // see redisLoad
	stop   *atomic.Bool
	made   atomic.Int64 // changes

	live, revoked []auth.Credential
	unknown       []auth.Credential // a call has returned an outage
}

func (w *churn) run(t *testing.T, store auth.Store) {
	for n := 0; !w.stop.Load() && !t.Failed(); n++ {
		c := record(auth.KindToken, w.userID)
		if !w.did(t, "Create", store.Create(context.Background(), c, 0)) {
			w.unknown = append(w.unknown, c)
			continue
		}
		switch n % 3 {
		case 0:
			w.live = append(w.live, c)
			w.require(t, store, c, true)
		case 1:
			w.revoke(t, store, c)
		case 2:
			w.rotate(t, store, c)
		}
		time.Sleep(time.Millisecond) // leaves time to the servers
	}
}

// did reports whether a change was acknowledged. Any other error than an outage is a wrong
// answer, unless earlier changes may have been lost.
func (w *churn) did(t *testing.T, name string, err error) bool {
	if err == nil {
		w.made.Add(1)
		return true
	}
	if !isOutage(err) && !w.lossy {
		t.Errorf("%s: %v", name, err)
	}
	return false
}

// rotate replaces c with a grace period, and revokes the next one and with it c.
func (w *churn) rotate(t *testing.T, store auth.Store, c auth.Credential) {
	next := record(c.Kind, c.UserID)
	next.Previous = c.ID
	if w.did(t, "Rotate", store.Rotate(context.Background(), c, next, next.CreatedAt.Add(time.Minute))) {
		w.revoke(t, store, next, c)
	} else {
		w.unknown = append(w.unknown, c, next)
	}
}

// revoke revokes the first of the credentials until an answer comes. The answer to a
// repeated call is ErrNotFound if an earlier one was complete. All of the credentials are
// revoked then.
func (w *churn) revoke(t *testing.T, store auth.Store, credentials ...auth.Credential) {
	for try := 0; !w.stop.Load(); try++ {
		err := store.Revoke(context.Background(), credentials[0].Ref())
		if w.lossy && errors.Is(err, auth.ErrNotFound) {
			break
		}
		if err == nil || try > 0 && errors.Is(err, auth.ErrNotFound) {
			w.made.Add(1)
			w.revoked = append(w.revoked, credentials...)
			for _, c := range credentials {
				w.require(t, store, c, false)
			}
			return
		}
		w.did(t, "Revoke", err)
	}
	w.unknown = append(w.unknown, credentials...)
}

// require fails if this process does not see its own change.
func (w *churn) require(t *testing.T, store auth.Store, c auth.Credential, live bool) {
	_, err := store.Lookup(context.Background(), c.Kind, c.Digest)
	if !w.lossy && !isOutage(err) && (err == nil) != live {
		t.Errorf("a lookup after the change returns %v", err)
	}
}

func (w *churn) check(t *testing.T, store auth.Store) {
	t.Helper()
	listed := ids(t, store, w.userID)
	if !w.lossy {
		for _, c := range w.live {
			require.True(t, listed[c.ID], "a created token is not listed")
		}
		for _, c := range w.revoked {
			require.False(t, listed[c.ID], "a revoked token is listed")
		}
	}
	for _, all := range [][]auth.Credential{w.live, w.revoked, w.unknown} {
		for _, c := range all {
			requireConsistent(t, store, c, listed[c.ID])
		}
	}
	require.NoError(t, store.Create(t.Context(), record(auth.KindToken, w.userID), 100_000))
}

// requireConsistent fails unless all methods say the same about a credential. A lookup may
// be answered from the cache of the process for a while.
func requireConsistent(t *testing.T, store auth.Store, c auth.Credential, live bool) {
	t.Helper()
	_, got := store.Get(t.Context(), c.Ref())
	require.Equal(t, live, got == nil, "Get: %v", got)
	for deadline := time.Now().Add(patience); ; <-time.After(time.Millisecond) {
		err := lookup(t, store, c)
		if (err == nil) == live && !isOutage(err) {
			return
		}
		if time.Now().After(deadline) {
			_, again := store.Get(t.Context(), c.Ref())
			t.Fatalf("Lookup: %v; Get has returned: %v, and now: %v", err, got, again)
		}
	}
}
