package cachestore_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/cachestore"
)

// A feed is a source that a test speaks through.
type feed struct {
	subscribed int
	invalidate func(auth.Kind, string)
	lost       func()
	fail       chan error
}

func (f *feed) Subscribe(ctx context.Context, invalidate func(auth.Kind, string), lost func()) error {
	f.subscribed++
	f.invalidate, f.lost = invalidate, lost
	select {
	case err := <-f.fail:
		if err == nil {
			panic("the source is broken")
		}
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func TestInvalidations(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		shared, news := newBackend(), &feed{fail: make(chan error)}
		s := over(t, shared, cachestore.Config{Invalidations: news})
		synctest.Wait()
		alice, bob := create(t, shared, record(auth.KindToken, "alice")), create(t, shared, record(auth.KindToken, "bob"))
		warm := func() {
			require.NoError(t, lookup(t, s, alice))
			require.NoError(t, lookup(t, s, bob))
			shared.asked()
		}
		warm()
		news.invalidate(auth.KindSession, "alice")
		news.invalidate(auth.KindToken, "alice2")
		warm()
		require.Zero(t, shared.asked())
		require.NoError(t, lookup(t, s, alice))
		require.Zero(t, shared.asked(), "of another kind, of another user")
		news.invalidate(auth.KindToken, "alice")
		require.NoError(t, lookup(t, s, alice))
		require.NoError(t, lookup(t, s, bob))
		require.EqualValues(t, 1, shared.asked())
		news.lost()
		require.NoError(t, lookup(t, s, alice))
		require.NoError(t, lookup(t, s, bob))
		require.EqualValues(t, 2, shared.asked(), "nobody knows what was missed")

		require.NoError(t, shared.Revoke(t.Context(), alice.Ref()))
		require.NoError(t, lookup(t, s, alice))
		news.invalidate(alice.Kind, alice.UserID)
		require.ErrorIs(t, lookup(t, s, alice), auth.ErrNotFound)
	})
}

// A source that gives up, or breaks, is asked again, and nothing is served that
// it might have told of.
func TestSourceThatFails(t *testing.T) {
	t.Parallel()
	for name, failure := range map[string]error{"with an error": errors.New("no such host"), "with a panic": nil} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				shared, news := newBackend(), &feed{fail: make(chan error)}
				s := over(t, shared, cachestore.Config{Invalidations: news})
				c := create(t, shared, record(auth.KindToken, "alice"))
				require.NoError(t, lookup(t, s, c))
				news.fail <- failure
				synctest.Wait()
				require.NoError(t, shared.Revoke(t.Context(), c.Ref()))
				require.ErrorIs(t, lookup(t, s, c), auth.ErrNotFound)
				time.Sleep(time.Second)
				synctest.Wait()
				require.Equal(t, 2, news.subscribed)
			})
		})
	}
}

func TestCloseEndsTheSubscription(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		shared, news := newBackend(), &feed{fail: make(chan error)}
		s, err := cachestore.New(shared, cachestore.Config{Invalidations: news})
		require.NoError(t, err)
		synctest.Wait()
		require.NoError(t, s.Close())
		require.NoError(t, s.Close())
		synctest.Wait()
		require.Equal(t, 1, news.subscribed)
		c := create(t, s, record(auth.KindToken, "alice"))
		require.NoError(t, lookup(t, s, c), "it still works")
	})
}
