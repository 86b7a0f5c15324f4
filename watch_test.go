package auth_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

const every = 20 * time.Second

// A silentStore does not report changes. Its hooks see the reads of Recheck.
type silentStore struct {
	auth.Store
	gets   atomic.Int64
	mu     sync.Mutex
	before func(context.Context) error // nil for none
	after  func()
}

func (s *silentStore) Get(ctx context.Context, ref auth.Ref) (auth.Credential, error) {
	s.gets.Add(1)
	s.mu.Lock()
	before, after := s.before, s.after
	s.mu.Unlock()
	if before != nil {
		if err := before(ctx); err != nil {
			return auth.Credential{}, err
		}
	}
	c, err := s.Store.Get(ctx, ref)
	if after != nil {
		after()
	}
	return c, err
}

func (s *silentStore) hook(before func(context.Context) error, after func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before, s.after = before, after
}

// A newsStore reports what the test tells it to.
type newsStore struct {
	silentStore
	fault    func() error // of Notify; nil for none; guarded by mu
	reported func(auth.Kind, string)
	attempts atomic.Int64
	stops    atomic.Int64
}

func (s *newsStore) Notify(f func(auth.Kind, string)) (stop func(), err error) {
	s.attempts.Add(1)
	s.mu.Lock()
	fault := s.fault
	s.mu.Unlock()
	if fault != nil {
		if err := fault(); err != nil {
			return nil, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reported = f
	return func() { s.stops.Add(1) }, nil
}

func (s *newsStore) failNotify(fault func() error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = fault
}

// tell reports a change.
func (s *newsStore) tell(kind auth.Kind, userID string) {
	s.mu.Lock()
	f := s.reported
	s.mu.Unlock()
	f(kind, userID)
}

func newNews() *newsStore {
	s := new(newsStore)
	s.Store = auth.NewMemoryStore()
	return s
}

// over returns a fixture whose authenticators have the store.
func over(t *testing.T, store auth.Store, change ...func(*configs)) *fixture {
	t.Helper()
	f := &fixture{t: t, store: &spyStore{Store: store}}
	var cfg configs
	cfg.cookie.Keys = auth.Keys{testKey(1)}
	for _, c := range change {
		c(&cfg)
	}
	var errs [3]error
	f.bearer, errs[0] = auth.NewBearer(store, cfg.bearer)
	f.cookie, errs[1] = auth.NewCookie(store, cfg.cookie)
	f.secret, errs[2] = auth.NewSecret(store, cfg.secret)
	require.NoError(t, errors.Join(errs[:]...))
	t.Cleanup(func() {
		require.NoError(t, errors.Join(f.bearer.Close(context.Background()), f.cookie.Close(context.Background()), f.secret.Close(context.Background())))
	})
	return f
}

// open returns the context of a Watch in a handler behind wrap.
func open(t testing.TB, wrap func(http.Handler) http.Handler, interval time.Duration, edits ...edit) context.Context {
	t.Helper()
	var ctx context.Context
	w := newRecorder()
	wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var cancel context.CancelFunc
		ctx, cancel = auth.Watch(r.Context(), interval)
		t.Cleanup(cancel)
	})).ServeHTTP(w, request("POST", edits...))
	require.NotNil(t, ctx, "the request is authenticated: %s", w.Body)
	return ctx
}

// openToken opens a watch of a new token. revoke revokes it.
func (f *fixture) openToken(user string) (ctx context.Context, revoke func()) {
	f.t.Helper()
	plaintext, c, err := f.bearer.Issue(f.t.Context(), user, tokenOptions("x"))
	require.NoError(f.t, err)
	return open(f.t, auth.Require(f.bearer), every, authorization("Bearer "+plaintext)), func() {
		require.NoError(f.t, f.bearer.Revoke(f.t.Context(), user, c.ID))
	}
}

// hasEnded asserts that a watch ended with an Error, and returns it.
func hasEnded(t *testing.T, ctx context.Context, condition error, reason auth.Reason) *auth.Error {
	t.Helper()
	synctest.Wait()
	require.ErrorIs(t, ctx.Err(), context.Canceled, "the watch has not ended")
	var e *auth.Error
	require.ErrorAs(t, context.Cause(ctx), &e)
	require.ErrorIs(t, e, condition)
	require.Equal(t, reason, e.Reason)
	return e
}

func watched(t *testing.T, ctx context.Context) {
	t.Helper()
	synctest.Wait()
	require.NoError(t, context.Cause(ctx))
}

// A revoked credential ends its own stream: at once if the store reports it, and within the
// interval if it does not.
func TestWatch_revoked(t *testing.T) {
	t.Parallel()
	for _, scheme := range []auth.Scheme{auth.SchemeBearer, auth.SchemeCookie, auth.SchemeSecret} {
		for _, reports := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, the store reports changes: %t", scheme, reports), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					var store auth.Store = auth.NewMemoryStore()
					if !reports {
						store = &silentStore{Store: store}
					}
					f := over(t, store)
					wrap := auth.Require(f.bearer, f.secret, f.cookie)
					ada, grace := f.credentialsOf("ada")[scheme], f.credentialsOf("grace")[scheme]
					ctx, other := open(t, wrap, every, ada.edit), open(t, wrap, every, grace.edit)
					time.Sleep(10 * every)
					watched(t, ctx)
					start := time.Now()
					require.NoError(t, ada.revoke(t.Context()))
					<-ctx.Done()
					if reports {
						require.Zero(t, time.Since(start))
					} else {
						require.LessOrEqual(t, time.Since(start), every)
					}
					e := hasEnded(t, ctx, auth.ErrInvalidCredential, auth.ReasonRevoked)
					require.Equal(t, scheme, e.Scheme)
					require.Equal(t, 401, e.StatusCode())
					time.Sleep(2 * every)
					watched(t, other)
				})
			})
		}
	}
}

// The store of a token in a header of its own is listened to as well, next to another Bearer or alone.
func TestWatch_inHeader(t *testing.T) {
	t.Parallel()
	for name, more := range map[string]func() []auth.Authenticator{
		"alone":                   func() []auth.Authenticator { return nil },
		"next to another store's": func() []auth.Authenticator { return []auth.Authenticator{over(t, auth.NewMemoryStore()).bearer} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := over(t, auth.NewMemoryStore())
				plaintext, c, err := f.bearer.Issue(t.Context(), "ada", tokenOptions("x"))
				require.NoError(t, err)
				ctx := open(t, auth.Require(f.bearer.InHeader("X-API-Key"), more()...), time.Hour, field("X-API-Key", plaintext))
				time.Sleep(10 * time.Hour)
				watched(t, ctx)
				start := time.Now()
				require.NoError(t, f.bearer.Revoke(t.Context(), "ada", c.ID))
				<-ctx.Done()
				require.Zero(t, time.Since(start), "the store reports changes")
				hasEnded(t, ctx, auth.ErrInvalidCredential, auth.ReasonRevoked)
			})
		})
	}
}

// A revocation between the authentication and Watch was reported before anything listened.
func TestWatch_revokedBefore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := over(t, auth.NewMemoryStore())
		var ctx context.Context
		rechecked(t, auth.Require(f.bearer), func(r context.Context) {
			_, err := f.bearer.RevokeAll(r, "ada")
			require.NoError(t, err)
			ctx, _ = auth.Watch(r, every)
		}, authorization("Bearer "+f.token("ada")))
		start := time.Now()
		<-ctx.Done()
		require.Zero(t, time.Since(start))
		hasEnded(t, ctx, auth.ErrInvalidCredential, auth.ReasonRevoked)
	})
}

// A revocation between the first question and the subscription is not reported either.
func TestWatch_revokedWhileSubscribing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newNews()
		store.failNotify(func() error { time.Sleep(time.Second); return nil })
		f := over(t, store)
		ctx, revoke := f.openToken("ada")
		watched(t, ctx)
		revoke()
		watched(t, ctx)
		time.Sleep(time.Second)
		hasEnded(t, ctx, auth.ErrInvalidCredential, auth.ReasonRevoked)
	})
}

func TestWatch_lostScopeOrNetwork(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change    func(*auth.Credential)
		condition error
		reason    auth.Reason
	}{
		"scope":   {func(c *auth.Credential) { c.Scopes = "read" }, auth.ErrInsufficientScope, auth.ReasonScope},
		"network": {func(c *auth.Credential) { c.Networks = "192.0.2.0/24" }, auth.ErrInvalidCredential, auth.ReasonNetwork},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := over(t, auth.NewMemoryStore())
				plaintext, c, err := f.bearer.Issue(t.Context(), "ada", tokenOptions("x"))
				require.NoError(t, err)
				ctx := open(t, auth.Require(f.bearer), every, authorization("Bearer "+plaintext))
				watched(t, ctx)
				next := c
				next.Name = "renamed"
				require.NoError(t, f.store.Update(t.Context(), c, next))
				watched(t, ctx)
				last := next
				test.change(&last)
				require.NoError(t, f.store.Update(t.Context(), next, last))
				hasEnded(t, ctx, test.condition, test.reason)
			})
		})
	}
}

// A stream ends with its credential to the nanosecond, even if the store does not answer.
func TestWatch_expired(t *testing.T) {
	t.Parallel()
	outage := func(context.Context) error { return errors.New("reset") }
	hangs := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	for name, before := range map[string]func(context.Context) error{"available": nil, "outage": outage, "hanging": hangs} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				store := &silentStore{Store: auth.NewMemoryStore()}
				f := over(t, store)
				o := tokenOptions("x")
				o.Lifetime = 3*time.Minute + 7*time.Nanosecond
				plaintext, c, err := f.bearer.Issue(t.Context(), "ada", o)
				require.NoError(t, err)
				store.hook(before, nil)
				ctx := open(t, auth.Require(f.bearer), every, authorization("Bearer "+plaintext))
				<-ctx.Done()
				require.True(t, c.ExpiresAt.Equal(time.Now()), "%v and not %v", time.Now(), c.ExpiresAt)
				hasEnded(t, ctx, auth.ErrInvalidCredential, auth.ReasonExpired)
			})
		})
	}
}

// A rotation gives the old token an end, which the request did not know.
func TestWatch_rotated(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := over(t, auth.NewMemoryStore())
		plaintext, c, err := f.bearer.Issue(t.Context(), "ada", tokenOptions("x"))
		require.NoError(t, err)
		ctx := open(t, auth.Require(f.bearer), time.Hour, authorization("Bearer "+plaintext))
		watched(t, ctx)
		_, _, err = f.bearer.Rotate(t.Context(), "ada", c.ID, 5*time.Minute)
		require.NoError(t, err)
		start := time.Now()
		<-ctx.Done()
		require.Equal(t, 5*time.Minute, time.Since(start).Round(time.Millisecond))
		hasEnded(t, ctx, auth.ErrInvalidCredential, auth.ReasonExpired)
	})
}

// A stream is not a use of its session, and other requests are.
func TestWatch_idle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := over(t, auth.NewMemoryStore(), func(c *configs) { c.cookie.IdleTimeout = 10 * time.Minute })
		session := withSameOrigin(f.signIn("ada"))
		ctx := open(t, auth.Require(f.cookie), time.Hour, session)
		time.Sleep(9 * time.Minute)
		used := time.Now()
		require.Equal(t, 200, behind(auth.Require(f.cookie)).get(session).Code)
		<-ctx.Done()
		require.Equal(t, 10*time.Minute, time.Since(used).Round(time.Millisecond))
		hasEnded(t, ctx, auth.ErrInvalidCredential, auth.ReasonIdle)
	})
}

// A route may accept sessions of two Cookies, for example those of support staff under a shorter
// IdleTimeout. The one that accepted the session decides, whatever their order.
func TestWatch_idleOfSeveralCookies(t *testing.T) {
	t.Parallel()
	resolve := func(context.Context, *auth.Identity) (any, error) { return "ada", nil }
	for name, m := range map[string]*auth.Middleware{"without Resolve": {}, "with Resolve": {Resolve: resolve}} {
		for _, supportFirst := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, support first: %t", name, supportFirst), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					store := auth.NewMemoryStore()
					users := over(t, store, func(c *configs) { c.cookie.IdleTimeout = time.Hour })
					support := over(t, store, func(c *configs) { c.cookie.Name, c.cookie.IdleTimeout = "__Host-support", 2*time.Minute })
					wrap := m.Require(users.cookie, support.cookie)
					if supportFirst {
						wrap = m.Require(support.cookie, users.cookie)
					}
					own := open(t, wrap, 24*time.Hour, withSameOrigin(users.signIn("ada")))
					acting := open(t, wrap, 24*time.Hour, withSameOrigin(support.signIn("ada", auth.SessionOptions{Actor: "grace"})))
					time.Sleep(2*time.Minute - time.Nanosecond)
					watched(t, acting)
					time.Sleep(time.Nanosecond)
					hasEnded(t, acting, auth.ErrInvalidCredential, auth.ReasonIdle)
					time.Sleep(58*time.Minute - time.Nanosecond)
					watched(t, own)
					time.Sleep(time.Nanosecond)
					hasEnded(t, own, auth.ErrInvalidCredential, auth.ReasonIdle)
				})
			})
		}
	}
}

// A user that the service disables keeps no stream.
func TestWatch_resolve(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := over(t, auth.NewMemoryStore())
		var disabled atomic.Bool
		m := &auth.Middleware{Resolve: func(context.Context, *auth.Identity) (any, error) {
			if disabled.Load() {
				return nil, auth.ErrInvalidCredential
			}
			return 1, nil
		}}
		ctx := open(t, m.Require(f.bearer), every, authorization("Bearer "+f.token("ada")))
		time.Sleep(10 * every)
		watched(t, ctx)
		disabled.Store(true)
		time.Sleep(every)
		hasEnded(t, ctx, auth.ErrInvalidCredential, auth.ReasonDisabled)
	})
}

// A panic of Resolve must not end the process, not even the one that net/http recovers.
func TestWatch_panic(t *testing.T) {
	t.Parallel()
	for _, value := range []any{"canary", http.ErrAbortHandler} {
		synctest.Test(t, func(t *testing.T) {
			f := over(t, auth.NewMemoryStore())
			var panics atomic.Bool
			m := &auth.Middleware{Resolve: func(context.Context, *auth.Identity) (any, error) {
				if panics.Load() {
					panic(value)
				}
				return 1, nil
			}}
			ctx := open(t, m.Require(f.bearer), every, authorization("Bearer "+f.token("ada")))
			watched(t, ctx)
			panics.Store(true)
			time.Sleep(every)
			synctest.Wait()
			var e *auth.Error
			require.ErrorAs(t, context.Cause(ctx), &e)
			require.Equal(t, 500, e.StatusCode())
			require.NotContains(t, e.Error(), "canary")
		})
	}
}

// A Resolve that calls runtime.Goexit, for example by t.FailNow, takes no goroutine away from the
// watches of other users.
func TestWatch_goexit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newNews()
		f := over(t, store)
		var exits atomic.Bool
		m := &auth.Middleware{Resolve: func(_ context.Context, id *auth.Identity) (any, error) {
			if id.UserID == "eve" && exits.Load() {
				runtime.Goexit()
			}
			return 1, nil
		}}
		var eves []context.Context
		for range 20 {
			eves = append(eves, open(t, m.Require(f.bearer), every, authorization("Bearer "+f.token("eve"))))
		}
		plaintext, c, err := f.bearer.Issue(t.Context(), "ada", tokenOptions("x"))
		require.NoError(t, err)
		ctx := open(t, m.Require(f.bearer), time.Hour, authorization("Bearer "+plaintext))
		exits.Store(true)
		time.Sleep(2 * every)
		require.NoError(t, f.bearer.Revoke(t.Context(), "ada", c.ID))
		store.tell(auth.KindToken, "ada")
		time.Sleep(time.Millisecond)
		hasEnded(t, ctx, auth.ErrInvalidCredential, auth.ReasonRevoked)
		time.Sleep(6 * time.Minute)
		for _, ctx := range eves {
			hasEnded(t, ctx, auth.ErrUnavailable, auth.ReasonUnavailable)
		}
	})
}

// A store that reports changes may miss one without noticing.
func TestWatch_longInterval(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := over(t, newNews())
		plaintext, c, err := f.bearer.Issue(t.Context(), "ada", tokenOptions("x"))
		require.NoError(t, err)
		ctx := open(t, auth.Require(f.bearer), math.MaxInt64, authorization("Bearer "+plaintext))
		time.Sleep(time.Minute)
		require.NoError(t, f.bearer.Revoke(t.Context(), "ada", c.ID))
		time.Sleep(time.Hour)
		hasEnded(t, ctx, auth.ErrInvalidCredential, auth.ReasonRevoked)
	})
}

// The store has read the record when it is revoked, so the answer is older than the report.
func TestWatch_revokedDuringTheQuestion(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newNews()
		f := over(t, store)
		ctx, revoke := f.openToken("ada")
		watched(t, ctx)
		release := make(chan struct{})
		store.hook(nil, func() { <-release })
		store.tell(auth.KindToken, "ada")
		synctest.Wait()
		revoke()
		store.tell(auth.KindToken, "ada")
		watched(t, ctx)
		close(release)
		hasEnded(t, ctx, auth.ErrInvalidCredential, auth.ReasonRevoked)
	})
}

// A report concerns the streams of its user and kind. The store is not asked about others.
func TestWatch_asksForTheUser(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newNews()
		f := over(t, store)
		for range 3 {
			f.openToken("ada")
		}
		f.openToken("grace")
		synctest.Wait()
		for _, test := range []struct {
			kind auth.Kind
			user string
			gets int64
		}{{auth.KindToken, "ada", 3}, {auth.KindToken, "grace", 1}, {auth.KindSession, "ada", 0}, {auth.KindToken, "ad", 0}, {auth.KindToken, "", 0}} {
			store.gets.Store(0)
			store.tell(test.kind, test.user)
			synctest.Wait()
			require.Equal(t, test.gets, store.gets.Load(), "%v %q", test.kind, test.user)
		}
	})
}

// After lost news all streams ask, spread over the interval. A revoked one ends within it.
func TestWatch_lostNews(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const n = 400
		store := newNews()
		f := over(t, store)
		for range n - 1 {
			f.openToken("ada")
		}
		ctx, revoke := f.openToken("grace")
		time.Sleep(every / 10) // before the next question of all
		revoke()
		store.gets.Store(0)
		store.tell(0, "")
		synctest.Wait()
		require.LessOrEqual(t, store.gets.Load(), int64(1), "not at once")
		var most int64
		for i := range 10 {
			if i == 6 {
				require.Greater(t, store.gets.Load(), int64(n/3), "without the report, none would have asked yet")
			}
			before := store.gets.Load()
			time.Sleep(every / 10)
			synctest.Wait()
			most = max(most, store.gets.Load()-before)
		}
		require.Less(t, most, int64(n/2))
		require.GreaterOrEqual(t, store.gets.Load(), int64(n))
		hasEnded(t, ctx, auth.ErrInvalidCredential, auth.ReasonRevoked)
	})
}

// An outage shorter than 5 minutes closes no stream, and a longer one closes all: a
// revocation could not be noticed.
func TestWatch_outage(t *testing.T) {
	t.Parallel()
	fault := errors.New("reset")
	for name, before := range map[string]func(context.Context) error{
		"refuses": func(context.Context) error { return fault },
		"hangs":   func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
		"blocks":  func(context.Context) error { time.Sleep(time.Hour); return nil }, // ignores its context
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				store := newNews()
				f := over(t, store)
				var all []context.Context
				for range 20 { // more than are asked about at a time
					ctx, _ := f.openToken("ada")
					all = append(all, ctx)
				}
				synctest.Wait()
				store.hook(before, nil)
				start := time.Now()
				store.tell(auth.KindToken, "ada")
				time.Sleep(5*time.Minute - time.Nanosecond)
				for _, ctx := range all {
					watched(t, ctx)
				}
				for _, ctx := range all {
					<-ctx.Done()
					require.Equal(t, 5*time.Minute, time.Since(start))
					e := hasEnded(t, ctx, auth.ErrUnavailable, auth.ReasonUnavailable)
					require.Equal(t, 503, e.StatusCode())
				}
				time.Sleep(time.Hour)
			})
		})
	}
}

func TestWatch_outageEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newNews()
		f := over(t, store)
		ctx, revoke := f.openToken("ada")
		synctest.Wait()
		for range 3 { // the time of one outage does not count for the next
			store.hook(func(context.Context) error { return errors.New("reset") }, nil)
			store.gets.Store(0)
			store.tell(auth.KindToken, "ada")
			time.Sleep(4 * time.Minute)
			require.InDelta(t, 15, store.gets.Load(), 8, "it asks at growing intervals")
			store.hook(nil, nil)
			time.Sleep(every)
			watched(t, ctx)
		}
		store.hook(func(context.Context) error { return errors.New("reset") }, nil)
		revoke()
		store.tell(auth.KindToken, "ada")
		time.Sleep(4 * time.Minute)
		watched(t, ctx)
		store.hook(nil, nil)
		time.Sleep(every)
		hasEnded(t, ctx, auth.ErrInvalidCredential, auth.ReasonRevoked)
	})
}

// One question that hangs is given up after 10 seconds, and asked again.
func TestWatch_hangsOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newNews()
		f := over(t, store)
		ctx, revoke := f.openToken("ada")
		synctest.Wait()
		revoke()
		store.hook(func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }, nil)
		store.tell(auth.KindToken, "ada")
		synctest.Wait()
		store.hook(nil, nil)
		start := time.Now()
		<-ctx.Done()
		require.InDelta(t, 11, time.Since(start).Seconds(), 1)
		hasEnded(t, ctx, auth.ErrInvalidCredential, auth.ReasonRevoked)
	})
}

// Streams that began together drift apart, and each asks within the interval.
func TestWatch_interval(t *testing.T) {
	t.Parallel()
	for given, want := range map[time.Duration]time.Duration{0: 30 * time.Second, -1: 30 * time.Second, 1: time.Second, time.Minute: time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			store := &silentStore{Store: auth.NewMemoryStore()}
			f := over(t, store)
			for range 100 {
				open(t, auth.Require(f.bearer), given, authorization("Bearer "+f.token("ada")))
			}
			synctest.Wait()
			store.gets.Store(0)
			time.Sleep(want*3/4 - time.Nanosecond)
			synctest.Wait()
			require.Zero(t, store.gets.Load(), "%v", given)
			time.Sleep(want / 8)
			synctest.Wait()
			require.InDelta(t, 50, store.gets.Load(), 40, "%v", given)
			time.Sleep(want/8 + time.Nanosecond)
			synctest.Wait()
			require.EqualValues(t, 100, store.gets.Load(), "%v", given)
		})
	}
}

// Where Recheck can never succeed, the context has ended already.
func TestWatch_withoutACredential(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	status := func(ctx context.Context, want int) {
		t.Helper()
		ctx, cancel := auth.Watch(ctx, every)
		defer cancel()
		require.ErrorIs(t, ctx.Err(), context.Canceled)
		var e *auth.Error
		require.ErrorAs(t, context.Cause(ctx), &e)
		require.Equal(t, want, e.StatusCode())
	}
	made := &auth.Identity{UserID: "ada", Scheme: auth.SchemeBearer}
	status(t.Context(), 500)
	status(auth.NewContext(t.Context(), made), 500)
	auth.Optional(f.bearer)(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		status(r.Context(), 401)
		status(auth.NewContext(r.Context(), made), 500)
	})).ServeHTTP(newRecorder(), request("GET"))
}

type revocable struct {
	fakeAuthenticator
	revoked atomic.Bool
}

func (a *revocable) Authenticate(r *http.Request) (*auth.Identity, error) {
	if a.revoked.Load() {
		return nil, auth.ErrInvalidCredential
	}
	return a.fakeAuthenticator.Authenticate(r)
}

func TestWatch_customAuthenticator(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := &revocable{fakeAuthenticator: fakeAuthenticator{scheme: "bearer", identity: &auth.Identity{UserID: "ada", CredentialID: "1"}}}
		ctx := open(t, auth.Require(a), every, authorization("Bearer abc"))
		time.Sleep(10 * every)
		watched(t, ctx)
		a.revoked.Store(true)
		time.Sleep(every)
		hasEnded(t, ctx, auth.ErrInvalidCredential, auth.ReasonRejected)
	})
}

// A prolonging authenticator changes the expiry of its identity, and can become unavailable.
type prolonging struct {
	expires     atomic.Pointer[time.Time]
	unavailable atomic.Bool
}

func (a *prolonging) Scheme() auth.Scheme { return auth.SchemeBearer }

func (a *prolonging) Authenticate(*http.Request) (*auth.Identity, error) {
	if a.unavailable.Load() {
		return nil, errors.New("reset")
	}
	return &auth.Identity{UserID: "ada", CredentialID: "1", ExpiresAt: *a.expires.Load()}, nil
}

// The ExpiresAt of a custom authenticator ends a watch too, even if it cannot be asked then. It is
// that of the last answer.
func TestWatch_customAuthenticatorExpires(t *testing.T) {
	t.Parallel()
	for _, asked := range []bool{true, false} {
		for _, available := range []bool{true, false} {
			t.Run(fmt.Sprintf("it has answered: %t, and is available: %t", asked, available), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					early := time.Now().Add(time.Minute + 7*time.Nanosecond)
					late := early.Add(time.Minute)
					a, want := new(prolonging), early
					a.expires.Store(&early)
					ctx := open(t, auth.Require(a), every, authorization("Bearer abc"))
					if asked {
						time.Sleep(every)
						a.expires.Store(&late)
						time.Sleep(every)
						want = late
					}
					watched(t, ctx)
					a.unavailable.Store(!available)
					time.Sleep(time.Until(want) - time.Nanosecond)
					watched(t, ctx)
					time.Sleep(time.Nanosecond)
					hasEnded(t, ctx, auth.ErrInvalidCredential, auth.ReasonExpired)
				})
			})
		}
	}
}

// A LookupStore is a function, which cannot be compared.
func TestWatch_lookupStore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var revoked atomic.Bool
		f := over(t, auth.LookupStore(func(context.Context, auth.Kind, auth.Digest) (*auth.Credential, error) {
			if revoked.Load() {
				return nil, auth.ErrNotFound
			}
			return &auth.Credential{UserID: "ada", ID: "1", Scopes: "*"}, nil
		}))
		ctx := open(t, auth.Require(f.bearer), every, authorization("Bearer abc"))
		time.Sleep(2 * every)
		watched(t, ctx)
		revoked.Store(true)
		time.Sleep(every)
		hasEnded(t, ctx, auth.ErrInvalidCredential, auth.ReasonRevoked)
	})
}

// The accepting one of several authenticators is not known, so the news of both are heard.
func TestWatch_severalStores(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f, g := over(t, auth.NewMemoryStore()), over(t, auth.NewMemoryStore())
		plaintext, c, err := g.bearer.Issue(t.Context(), "ada", tokenOptions("x"))
		require.NoError(t, err)
		ctx := open(t, auth.Require(f.bearer, g.bearer), every, authorization("Bearer "+plaintext))
		time.Sleep(2 * every)
		watched(t, ctx)
		require.NoError(t, g.bearer.Revoke(t.Context(), "ada", c.ID))
		hasEnded(t, ctx, auth.ErrInvalidCredential, auth.ReasonRevoked)
	})
}

// If the store cannot be subscribed to, the interval applies and Watch tries again.
func TestWatch_notifyFails(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		fault    func() error
		attempts int64 // in a minute
	}{
		"outage":      {func() error { return errors.New("reset") }, 12},
		"panic":       {func() error { panic("canary") }, 12},
		"unsupported": {func() error { return fmt.Errorf("a cache: %w", errors.ErrUnsupported) }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				store := newNews()
				store.failNotify(test.fault)
				f := over(t, store)
				ctx, revoke := f.openToken("ada")
				time.Sleep(time.Minute - time.Second)
				synctest.Wait()
				require.Equal(t, test.attempts, store.attempts.Load())
				watched(t, ctx)
				if test.attempts > 1 {
					store.failNotify(nil)
					time.Sleep(5 * time.Second)
					revoke()
					watched(t, ctx)
					store.tell(auth.KindToken, "ada")
				} else {
					revoke()
					time.Sleep(every)
				}
				hasEnded(t, ctx, auth.ErrInvalidCredential, auth.ReasonRevoked)
			})
		})
	}
}

// Ten thousand streams cost no goroutine while nothing happens. What they had is released with
// them, by cancel or by the end of the request.
func TestWatch_goroutines(t *testing.T) { // not parallel: it counts the goroutines of all tests
	synctest.Test(t, func(t *testing.T) {
		const n = 10_000
		store := newNews()
		f := over(t, store)
		token := authorization("Bearer " + f.token("ada"))
		request, endRequest := context.WithCancel(t.Context())
		var cancels []context.CancelFunc
		h := auth.Require(f.bearer)(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			_, cancel := auth.Watch(r.Context(), every)
			cancels = append(cancels, cancel)
		}))
		synctest.Wait()
		before := ownGoroutines()
		for i := range n {
			parent := t.Context()
			if i%2 == 0 {
				parent = request
			}
			r := requestIn(parent, token)
			h.ServeHTTP(newRecorder(), r)
		}
		synctest.Wait()
		require.LessOrEqual(t, ownGoroutines()-before, 2)
		store.hook(func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }, nil)
		store.tell(auth.KindToken, "ada")
		synctest.Wait()
		require.LessOrEqual(t, ownGoroutines()-before, 10, "questions in progress")
		endRequest()
		for i, cancel := range cancels {
			if i%2 == 1 {
				cancel()
			}
		}
		synctest.Wait()
		require.LessOrEqual(t, ownGoroutines()-before, 0)
		require.EqualValues(t, 1, store.stops.Load(), "one subscription, which has ended")
		store.gets.Store(0)
		store.tell(auth.KindToken, "ada") // as a store might do late
		time.Sleep(time.Hour)
		require.Zero(t, store.gets.Load())
	})
}

func requestIn(ctx context.Context, e edit) *http.Request { return request("GET", e).WithContext(ctx) }

// ownGoroutines counts those that run watches, or end a subscription.
func ownGoroutines() (n int) {
	stacks := make([]byte, 64<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	for stack := range strings.SplitSeq(string(stacks), "\n\n") {
		if strings.Contains(stack, "/internal/watch.") {
			n++
		}
	}
	return n
}

func TestWatch_canceled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := over(t, auth.NewMemoryStore())
		cause := errors.New("shutting down")
		parent, end := context.WithCancelCause(t.Context())
		var own, inherited context.Context
		var cancel context.CancelFunc
		auth.Require(f.bearer)(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			own, cancel = auth.Watch(r.Context(), every)
			inherited, _ = auth.Watch(r.Context(), every)
		})).ServeHTTP(newRecorder(), requestIn(parent, authorization("Bearer "+f.token("ada"))))
		synctest.Wait()
		id, ok := auth.FromContext(own)
		require.True(t, ok)
		require.Equal(t, "ada", id.UserID)
		cancel()
		cancel()
		require.Equal(t, context.Canceled, context.Cause(own))
		watched(t, inherited)
		end(cause)
		require.Equal(t, cause, context.Cause(inherited))
	})
}

// Watches begin, end and are revoked on many goroutines.
func TestWatch_race(t *testing.T) {
	t.Parallel()
	f := over(t, auth.NewMemoryStore())
	var wg sync.WaitGroup
	for i := range 200 {
		user := fmt.Sprint("user-", i%5)
		plaintext, c, err := f.bearer.Issue(t.Context(), user, tokenOptions("x"))
		require.NoError(t, err)
		h := auth.Require(f.bearer)(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			ctx, cancel := auth.Watch(r.Context(), time.Hour)
			defer cancel()
			if i%2 == 0 {
				return
			}
			wg.Go(func() { _ = f.bearer.Revoke(context.WithoutCancel(r.Context()), user, c.ID) })
			<-ctx.Done() // the test hangs if the revocation is lost
			var e *auth.Error
			if !errors.As(context.Cause(ctx), &e) || e.Reason != auth.ReasonRevoked {
				t.Errorf("ended by %v", context.Cause(ctx))
			}
		}))
		wg.Go(func() { h.ServeHTTP(newRecorder(), request("GET", authorization("Bearer "+plaintext))) })
	}
	wg.Wait()
}
