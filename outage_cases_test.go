package auth_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

// A store that is out lets nobody in and makes nobody throw a credential away.
func TestStoreOutage(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	m := auth.Middleware{Observe: f.events.observe}
	h := behind(m.Require(f.bearer, f.cookie, f.secret))
	token, secret, cookie := f.token("ada"), f.assign("ada"), f.signIn("ada")
	for _, a := range []interface{ Close(context.Context) error }{f.bearer, f.cookie, f.secret} {
		require.NoError(t, a.Close(t.Context())) // no last uses beside the faults
	}
	for name, down := range map[string]error{
		"refused": errors.New("dial tcp 127.0.0.1:5432: connection refused"), "reset": errors.New("connection reset by peer"),
		"end of file": io.ErrUnexpectedEOF, "time is up": context.DeadlineExceeded, "deadlock": errors.New("deadlock detected"),
		"a conflict": auth.ErrConflict, "unsupported": errors.ErrUnsupported,
	} {
		for scheme, e := range map[auth.Scheme]edit{
			auth.SchemeBearer: authorization("Bearer " + token),
			auth.SchemeSecret: authorization("Secret " + secret),
			auth.SchemeCookie: withCookie(cookie),
		} {
			t.Run(name+" "+string(scheme), func(t *testing.T) {
				f.store.fail = func(string) error { return down }
				f.events.take()
				w := h.get(e)
				refused(t, w, 503)
				require.Empty(t, w.Header().Values("Set-Cookie"))
				require.NotContains(t, w.Body.String(), down.Error())
				event := f.events.take()[0]
				require.Equal(t, auth.ReasonUnavailable, event.Reason)
				require.Equal(t, scheme, event.Scheme)
				require.ErrorIs(t, event.Err, down)
				require.Equal(t, 503, behind(auth.Optional(f.bearer, f.cookie, f.secret)).get(e).Code)
				f.store.fail = nil
				accepted(t, h.get(e), "ada", scheme)
			})
		}
	}
}

func TestNoCredentialNoStore(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.store.fail = func(method string) error { return errors.New("down") }
	refused(t, f.all().get(), 401, plainBearer, plainSecret)
	require.Equal(t, 200, behind(auth.Optional(f.bearer, f.cookie)).get().Code)
	require.Zero(t, f.store.lookups.Load())
}

// A client that goes away is no outage.
func TestCanceledRequest(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	m := auth.Middleware{Observe: f.events.observe}
	token := f.token("ada")
	f.store.fail = func(string) error { return context.Canceled }
	f.events.take()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	behind(m.Require(f.bearer)).get(authorization("Bearer "+token), func(r *http.Request) { *r = *r.WithContext(ctx) })
	require.Equal(t, auth.ReasonCanceled, f.events.take()[0].Reason)
}

// What no honest store returns, lets nobody in.
func TestStoreThatAnswersWrong(t *testing.T) {
	t.Parallel()
	for name, wrong := range map[string]func(c *auth.Credential) *auth.Credential{
		"nothing":             func(*auth.Credential) *auth.Credential { return nil },
		"an empty record":     func(*auth.Credential) *auth.Credential { return new(auth.Credential) },
		"no owner":            func(c *auth.Credential) *auth.Credential { c.UserID = ""; return c },
		"another kind":        func(c *auth.Credential) *auth.Credential { c.Kind = auth.KindSession; return c },
		"another's record":    func(c *auth.Credential) *auth.Credential { c.Digest[31] ^= 1; c.UserID = "grace"; return c },
		"a list as scopes":    func(c *auth.Credential) *auth.Credential { c.Scopes = `["*"]`; return c },
		"wildcard and more":   func(c *auth.Credential) *auth.Credential { c.Scopes = "* read"; return c },
		"wildcard at the end": func(c *auth.Credential) *auth.Credential { c.Scopes = "read *"; return c },
		"two spaces":          func(c *auth.Credential) *auth.Credential { c.Scopes = "read  write"; return c },
		"a space in front":    func(c *auth.Credential) *auth.Credential { c.Scopes = " *"; return c },
		"a space behind":      func(c *auth.Credential) *auth.Credential { c.Scopes = "* "; return c },
		"NUL in the scopes":   func(c *auth.Credential) *auth.Credential { c.Scopes = "*\x00"; return c },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			token := f.token("ada")
			swapped := &swappingStore{Store: f.store, swap: wrong}
			b, err := auth.NewBearer(swapped, auth.BearerConfig{})
			require.NoError(t, err)
			h := behind(auth.Require(b))
			refused(t, h.get(authorization("Bearer "+token)), 503)
			require.Zero(t, h.served.Load())
			_, err = b.RevokePlaintext(t.Context(), token)
			require.ErrorIs(t, err, auth.ErrUnavailable)
		})
	}
	t.Run("no scopes is none", func(t *testing.T) {
		f := newFixture(t)
		b, err := auth.NewBearer(&swappingStore{Store: f.store, swap: func(c *auth.Credential) *auth.Credential { c.Scopes = ""; return c }}, auth.BearerConfig{})
		require.NoError(t, err)
		h := behind(func(next http.Handler) http.Handler { return auth.Require(b)(auth.RequireScope("read")(next)) })
		require.Equal(t, 403, h.get(authorization("Bearer "+f.token("ada"))).Code)
	})
	t.Run("a panic", func(t *testing.T) {
		f := newFixture(t)
		token := f.token("ada")
		f.store.fail = func(string) error { panic("store") }
		refused(t, f.all().get(authorization("Bearer "+token)), 500)
	})
}

type swappingStore struct {
	auth.Store
	swap func(*auth.Credential) *auth.Credential
}

func (s *swappingStore) Lookup(ctx context.Context, kind auth.Kind, d auth.Digest) (*auth.Credential, error) {
	c, err := s.Store.Lookup(ctx, kind, d)
	if err != nil {
		return nil, err
	}
	clone := *c
	return s.swap(&clone), nil
}

// A LookupFunc is a Store over somebody else's table.
func TestLookupFunc(t *testing.T) {
	t.Parallel()
	var rows atomic.Pointer[auth.Credential]
	lookup := auth.LookupFunc(func(_ context.Context, kind auth.Kind, d auth.Digest) (*auth.Credential, error) {
		row := rows.Load()
		if row == nil {
			return nil, auth.ErrNotFound
		}
		return row, nil
	})
	b, err := auth.NewBearer(lookup, auth.BearerConfig{})
	require.NoError(t, err)
	h := behind(auth.Require(b))
	get := func() int { return h.get(authorization("Bearer short-legacy")).Code }
	require.Equal(t, 401, get())
	rows.Store(&auth.Credential{ID: "7", UserID: "ada", Scopes: "*"})
	require.Equal(t, 200, get())
	require.Zero(t, rows.Load().Kind, "the caller's record is left alone")
	rows.Store(&auth.Credential{ID: "7", UserID: "ada", Scopes: "*", Kind: auth.KindSession})
	require.Equal(t, 503, get())
	rows.Store(&auth.Credential{ID: "7", UserID: "ada", Scopes: "*", ExpiresAt: time.Now()})
	require.Equal(t, 401, get())
	rows.Store(&auth.Credential{})
	require.Equal(t, 503, get())

	ctx := t.Context()
	_, _, issue := b.Issue(ctx, "ada", auth.NewToken{Name: "x"})
	_, list := b.List(ctx, "ada", auth.Page{})
	_, _, rotate := b.Rotate(ctx, "ada", "x", 0)
	_, all := b.RevokeAll(ctx, "ada")
	_, purge := lookup.Purge(ctx, time.Now())
	for _, err := range []error{issue, list, rotate, all, purge, b.Revoke(ctx, "ada", "x"),
		lookup.Rotate(ctx, auth.Ref{}, auth.Credential{}, time.Now()), lookup.Touch(ctx, nil)} {
		require.ErrorIs(t, err, errors.ErrUnsupported)
	}
	require.NoError(t, b.Close(ctx))
	_, err = auth.NewBearer(auth.LookupFunc(nil), auth.BearerConfig{})
	require.Error(t, err)
}

// Last uses are written once a minute, and never in the way of a request.
func TestLastUse(t *testing.T) {
	t.Parallel()
	used := func(t *testing.T, f *fixture) time.Time {
		t.Helper()
		list, err := f.bearer.List(t.Context(), "ada", auth.Page{})
		require.NoError(t, err)
		return list[0].LastUsedAt
	}
	t.Run("once a minute, at 10,000 requests a second", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := newFixture(t)
			h := f.all()
			token := authorization("Bearer " + f.token("ada"))
			for second := range 180 {
				for range 50 { // of them
					require.Equal(t, 200, h.get(token).Code)
				}
				synctest.Wait()
				require.EqualValues(t, second/60+1, f.store.touches.Load(), "after %d seconds", second)
				time.Sleep(time.Second)
			}
			require.NoError(t, f.bearer.Close(t.Context()))
		})
	})
	t.Run("each of many", func(t *testing.T) {
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
	})
	t.Run("of several at different times", func(t *testing.T) {
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
			time.Sleep(time.Minute) // all that was held is due by then, without Close
			synctest.Wait()
			list, err := f.cookie.List(t.Context(), "ada", auth.Page{})
			require.NoError(t, err)
			for i, c := range list {
				require.Equal(t, last[2-i], c.LastUsedAt)
			}
			require.Less(t, f.store.touches.Load(), int64(3*6))
		})
	})
	t.Run("while the store hangs", func(t *testing.T) {
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
			require.Equal(t, before, time.Now(), "a request waited")
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			require.ErrorIs(t, f.bearer.Close(ctx), context.DeadlineExceeded)
			close(release)
			require.NoError(t, f.bearer.Close(t.Context()))
			require.False(t, used(t, f).IsZero())
		})
	})
	t.Run("while the store fails, and after", func(t *testing.T) {
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
			require.True(t, used(t, f).IsZero())
			events := f.events.take()
			require.Len(t, events, 1)
			require.Equal(t, auth.EventUseLost, events[0].Kind)
			require.ErrorContains(t, events[0].Err, "read-only")
			down.Store(false)
			time.Sleep(time.Minute)
			synctest.Wait()
			require.Equal(t, at, used(t, f), "tried again, with the time of the use")
			require.NoError(t, f.bearer.Close(t.Context()))
		})
	})
	t.Run("a store that panics", func(t *testing.T) {
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
	})
	t.Run("Close writes what is held", func(t *testing.T) {
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
			require.Equal(t, 200, h.get(withCookie(cookie)).Code, "a closed authenticator goes on to answer")
			require.NoError(t, f.cookie.Close(t.Context()))
			require.Equal(t, touches, f.store.touches.Load(), "and records nothing")
		})
	})
	t.Run("nothing to close", func(t *testing.T) {
		f := newFixture(t)
		require.NoError(t, f.bearer.Close(t.Context()))
		require.NoError(t, f.cookie.Close(t.Context()))
		require.NoError(t, f.secret.Close(t.Context()))
	})
	// A cache in front of the store hands out records that do not know of the last
	// write yet.
	t.Run("behind a stale cache", func(t *testing.T) {
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
	})
	t.Run("no goroutine and no timer stays behind an idle one", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := newFixture(t)
			require.Equal(t, 200, f.all().get(authorization("Bearer "+f.token("ada"))).Code)
			// The bubble would not end if one did: it waits for its goroutines.
			time.Sleep(2 * time.Minute)
		})
	})
}
