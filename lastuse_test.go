package auth_test

import (
	"context"
	"errors"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

func TestLastUsedAt_onceAMinute(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		h := f.all()
		token := authorization("Bearer " + f.token("ada"))
		for second := range 180 {
			for range 50 { // of 10,000
				require.Equal(t, 200, h.get(token).Code)
			}
			synctest.Wait()
			require.EqualValues(t, second/60+1, f.store.touches.Load(), "after %d seconds", second)
			time.Sleep(time.Second)
		}
		require.NoError(t, f.bearer.Close(t.Context()))
	})
}

func TestLastUsedAt_eachOfMany(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		h := f.all()
		for range 1000 {
			require.Equal(t, 200, h.get(authorization("Bearer "+f.token("ada"))).Code)
		}
		require.NoError(t, f.bearer.Close(t.Context()))
		list, err := f.bearer.List(t.Context(), "ada", auth.Page{Limit: 1000})
		require.NoError(t, err)
		for _, c := range list {
			require.False(t, c.LastUsedAt.IsZero())
		}
	})
}

func TestLastUsedAt_exactUses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, func(c *configs) { c.cookie.IdleTimeout = time.Hour })
		h := f.all()
		var cookies []edit
		for range 3 {
			cookies = append(cookies, withCookie(f.signIn("ada")))
			time.Sleep(20 * time.Second)
		}
		last := make([]time.Time, 3)
		for i := range 30 {
			require.Equal(t, 200, h.get(cookies[i%3]).Code)
			last[i%3] = time.Now().UTC()
			time.Sleep(7 * time.Second)
		}
		time.Sleep(time.Minute) // all pending uses are due by then, without Close
		synctest.Wait()
		list, err := f.cookie.List(t.Context(), "ada", auth.Page{})
		require.NoError(t, err)
		for i, c := range list {
			require.Equal(t, last[2-i], c.LastUsedAt)
		}
		require.Less(t, f.store.touches.Load(), int64(3*6))
	})
}

func TestLastUsedAt_storeHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		release := make(chan struct{})
		f.store.fail = func(method string) error {
			if method == "Touch" {
				<-release
			}
			return nil
		}
		h := f.all()
		token := authorization("Bearer " + f.token("ada"))
		before := time.Now()
		for range 100 {
			require.Equal(t, 200, h.get(token).Code)
		}
		require.Equal(t, before, time.Now(), "no request waits for the store")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, f.bearer.Close(ctx), context.DeadlineExceeded)
		close(release)
		require.NoError(t, f.bearer.Close(t.Context()))
		require.False(t, usedAt(t, f).IsZero())
	})
}

func TestLastUsedAt_storeFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		var down atomic.Bool
		down.Store(true)
		f.store.fail = func(method string) error {
			if method == "Touch" && down.Load() {
				return errors.New("read-only")
			}
			return nil
		}
		token := authorization("Bearer " + f.token("ada"))
		f.events.take()
		require.Equal(t, 200, f.all().get(token).Code)
		at := time.Now().UTC()
		synctest.Wait()
		require.True(t, usedAt(t, f).IsZero())
		events := f.events.take()
		require.Len(t, events, 1)
		require.Equal(t, auth.EventUseLost, events[0].Type)
		require.ErrorContains(t, events[0].Err, "read-only")
		down.Store(false)
		time.Sleep(time.Minute)
		synctest.Wait()
		require.Equal(t, at, usedAt(t, f), "retried, with the time of the use")
		require.NoError(t, f.bearer.Close(t.Context()))
	})
}

func TestLastUsedAt_storePanics(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		f.store.fail = func(method string) error {
			if method == "Touch" {
				panic("bug")
			}
			return nil
		}
		require.Equal(t, 200, f.all().get(authorization("Bearer "+f.token("ada"))).Code)
		require.ErrorContains(t, f.bearer.Close(t.Context()), "panicked")
	})
}

func TestClose_writesPendingUses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, func(c *configs) { c.cookie.IdleTimeout = time.Hour })
		h := f.all()
		cookie := f.signIn("ada")
		require.Equal(t, 200, h.get(withCookie(cookie)).Code)
		time.Sleep(30 * time.Second)
		require.Equal(t, 200, h.get(withCookie(cookie)).Code)
		at := time.Now().UTC()
		require.NoError(t, f.cookie.Close(t.Context()))
		list, err := f.cookie.List(t.Context(), "ada", auth.Page{})
		require.NoError(t, err)
		require.Equal(t, at, list[0].LastUsedAt)
		touches := f.store.touches.Load()
		time.Sleep(time.Hour - time.Nanosecond)
		require.Equal(t, 200, h.get(withCookie(cookie)).Code, "a closed authenticator still authenticates")
		require.NoError(t, f.cookie.Close(t.Context()))
		require.Equal(t, touches, f.store.touches.Load(), "but records nothing")
	})
}

func TestClose_nothingPending(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	require.NoError(t, f.bearer.Close(t.Context()))
	require.NoError(t, f.cookie.Close(t.Context()))
	require.NoError(t, f.secret.Close(t.Context()))
}

// A cache in front of the store returns records without the last write.
func TestLastUsedAt_staleCache(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		token := f.token("ada")
		stale := &swappingStore{Store: f.store, swap: func(c *auth.Credential) *auth.Credential { c.LastUsedAt = time.Time{}; return c }}
		b, err := auth.NewBearer(stale, auth.BearerConfig{})
		require.NoError(t, err)
		h := behind(auth.Require(b))
		for range 119 {
			require.Equal(t, 200, h.get(authorization("Bearer "+token)).Code)
			time.Sleep(time.Second)
		}
		synctest.Wait()
		require.EqualValues(t, 2, f.store.touches.Load())
		require.NoError(t, b.Close(t.Context()))
	})
}

func TestLastUsedAt_idle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		require.Equal(t, 200, f.all().get(authorization("Bearer "+f.token("ada"))).Code)
		// The bubble ends only if no goroutine and no timer is left.
		time.Sleep(2 * time.Minute)
	})
}

// usedAt returns when ada's newest token was last used, by the store.
func usedAt(t *testing.T, f *fixture) time.Time {
	t.Helper()
	list, err := f.bearer.List(t.Context(), "ada", auth.Page{})
	require.NoError(t, err)
	return list[0].LastUsedAt
}

// A panic of the Observer on the goroutine that writes would end the process.
func TestObserver_panicsOnALostUse(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, func(c *configs) {
			c.bearer.Observe = func(_ context.Context, e auth.Event) {
				if e.Type == auth.EventUseLost {
					panic("metrics: unknown label")
				}
			}
		})
		failing(f, "Touch", errors.New("read-only"))
		require.Equal(t, 200, f.all().get(authorization("Bearer "+f.token("ada"))).Code)
		synctest.Wait()
		require.Error(t, f.bearer.Close(t.Context()))
	})
}

// An Observer may shut the service down when uses cannot be written.
func TestClose_calledByTheObserver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var f *fixture
		closed := make(map[auth.Scheme]error)
		observe := func(_ context.Context, e auth.Event) {
			if e.Type != auth.EventUseLost {
				return
			}
			closers := map[auth.Scheme]interface{ Close(context.Context) error }{"Bearer": f.bearer, "Cookie": f.cookie, "Secret": f.secret}
			closed[e.Scheme] = closers[e.Scheme].Close(context.Background())
		}
		f = newFixture(t, func(c *configs) { c.bearer.Observe, c.cookie.Observe, c.secret.Observe = observe, observe, observe })
		h, reset := f.all(), errors.New("reset")
		for scheme, e := range map[auth.Scheme]edit{
			"Bearer": authorization("Bearer " + f.token("ada")), "Cookie": withCookie(f.signIn("ada")), "Secret": authorization("Secret " + f.issueSecret("ada")),
		} {
			failing(f, "Touch", reset)
			require.Equal(t, 200, h.get(e).Code)
			synctest.Wait()
			require.ErrorIs(t, closed[scheme], reset, scheme)
			f.store.fail = nil
		}
		for _, c := range []interface{ Close(context.Context) error }{f.bearer, f.cookie, f.secret} {
			require.NoError(t, c.Close(t.Context()))
		}
		require.False(t, usedAt(t, f).IsZero())
	})
}

func TestLastUsedAt_storeReturnsANilPointer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		failing(f, "Touch", (*net.OpError)(nil))
		require.Equal(t, 200, f.all().get(authorization("Bearer "+f.token("ada"))).Code)
		synctest.Wait() // errors.Is must not be called on it
		f.bearer.Close(t.Context())
	})
}

// syscall.EOPNOTSUPP is an errors.ErrUnsupported too, but does not mean that the store keeps
// no uses.
func TestLastUsedAt_unsupportedBySystem(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		failing(f, "Touch", &net.OpError{Op: "write", Err: os.NewSyscallError("sendmsg", syscall.EOPNOTSUPP)})
		token := authorization("Bearer " + f.token("ada"))
		f.events.take()
		require.Equal(t, 200, f.all().get(token).Code)
		synctest.Wait()
		require.Equal(t, []auth.EventType{auth.EventUseLost}, eventTypes(f.events.take()))
		f.bearer.Close(t.Context())
	})
}

func TestLastUsedAt_writtenByAnotherProcess(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, exact)
		other, err := auth.NewCookie(f.store, auth.CookieConfig{Keys: auth.Keys{testKey(1)}, IdleTimeout: time.Hour})
		require.NoError(t, err)
		c := withCookie(f.signIn("ada"))
		f.all().get(c)
		time.Sleep(10 * time.Second)
		behind(auth.Require(other)).get(c)
		synctest.Wait()
		require.EqualValues(t, 1, f.store.touches.Load(), "the store has a use of 10 seconds ago")
		time.Sleep(61 * time.Second)
		synctest.Wait()
		require.EqualValues(t, 2, f.store.touches.Load())
	})
}

// Uses during an outage are recorded, and in the end the last one is written.
func TestLastUsedAt_outage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		h, token := f.all(), authorization("Bearer "+f.token("ada"))
		f.store.fail = func(m string) error {
			if m == "Touch" {
				return errors.New("reset")
			}
			return nil
		}
		for range 50 * 60 {
			h.get(token)
			time.Sleep(time.Second)
		}
		h.get(token)
		end := time.Now()
		synctest.Wait()
		f.store.fail = nil
		require.NoError(t, f.bearer.Close(t.Context()))
		list, err := f.bearer.List(t.Context(), "ada", auth.Page{})
		require.NoError(t, err)
		require.Equal(t, end.UTC().Truncate(time.Microsecond), list[0].LastUsedAt)
		require.LessOrEqual(t, f.store.touches.Load(), int64(51+1))
	})
}

func TestLastUsedAt_deadline(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	s := &deadlineStore{Store: f.store}
	b, err := auth.NewBearer(s, auth.BearerConfig{})
	require.NoError(t, err)
	behind(auth.Require(b)).get(authorization("Bearer " + f.token("ada")))
	require.NoError(t, b.Close(t.Context()))
	require.False(t, s.missing.Load())
}

func TestLastUsedAt_cookieWithoutIdleTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		h, c := f.all(), withCookie(f.signIn("ada"))
		for range 2 {
			h.get(c)
			time.Sleep(10 * time.Second)
		}
		time.Sleep(3 * time.Minute)
		require.EqualValues(t, 1, f.store.touches.Load())
	})
}

type deadlineStore struct {
	auth.Store
	missing atomic.Bool
}

func (s *deadlineStore) Touch(ctx context.Context, u []auth.Use) error {
	if _, ok := ctx.Deadline(); !ok {
		s.missing.Store(true)
	}
	return nil
}

// exact makes every use of a session count.
func exact(c *configs) { c.cookie.IdleTimeout = time.Hour }
