package auth_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

// During an outage every request is rejected with 503, so that clients keep their
// credentials.
func TestStore_outage(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	m := auth.Middleware{Observe: f.events.observe}
	h := behind(m.Require(f.bearer, f.cookie, f.secret))
	token, secret, cookie := f.token("ada"), f.issueSecret("ada"), f.signIn("ada")
	for _, a := range []interface{ Close(context.Context) error }{f.bearer, f.cookie, f.secret} {
		require.NoError(t, a.Close(t.Context())) // so that last uses are not written
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

// Only the errors that the Store contract gives a method have a meaning. Any other is an
// outage, even if it wraps one that another method may return.
func TestStore_errorsOfEachMethod(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	ctx := t.Context()
	_, c, err := f.bearer.Issue(ctx, "ada", tokenOptions("deploy"))
	require.NoError(t, err)
	limited, err := auth.NewBearer(f.store, auth.BearerConfig{MaxPerUser: 5})
	require.NoError(t, err)
	for name, call := range map[string]struct {
		method  string
		allowed []error
		do      func() error
	}{
		"list":       {"List", nil, func() error { _, err := f.bearer.List(ctx, "ada", auth.Page{}); return err }},
		"get":        {"Get", []error{auth.ErrNotFound}, func() error { _, err := f.bearer.Get(ctx, "ada", c.ID); return err }},
		"limited":    {"Create", []error{auth.ErrConflict, auth.ErrLimit}, func() error { _, _, err := limited.Issue(ctx, "ada", tokenOptions("x")); return err }},
		"issue":      {"Create", []error{auth.ErrConflict}, func() error { _, _, err := f.bearer.Issue(ctx, "ada", tokenOptions("x")); return err }},
		"rotate":     {"Rotate", []error{auth.ErrNotFound, auth.ErrConflict}, func() error { _, _, err := f.bearer.Rotate(ctx, "ada", c.ID, 0); return err }},
		"revoke":     {"Revoke", []error{auth.ErrNotFound}, func() error { return f.bearer.Revoke(ctx, "ada", c.ID) }},
		"revoke all": {"RevokeAll", nil, func() error { _, err := f.bearer.RevokeAll(ctx, "ada"); return err }},
		"a leak":     {"Lookup", []error{auth.ErrNotFound}, func() error { _, err := f.bearer.RevokePlaintext(ctx, "x"); return err }},
		"sign in": {"Create", []error{auth.ErrConflict}, func() error {
			_, err := f.cookie.SignIn(httptest.NewRecorder(), httptest.NewRequest("POST", "/", nil), "ada", auth.SessionOptions{})
			return err
		}},
	} {
		for _, cause := range []error{
			auth.ErrNotFound, auth.ErrConflict, auth.ErrLimit, auth.ErrInvalidCredential, auth.ErrInvalidArgument, auth.ErrMalformed,
			syscall.EOPNOTSUPP, syscall.ENOSYS, errors.ErrUnsupported,
		} {
			f.store.fail = func(method string) error {
				if method != call.method {
					return nil
				}
				return fmt.Errorf("database: %w", cause)
			}
			err := call.do()
			require.ErrorIs(t, err, cause, name)
			allowed := slices.Contains(call.allowed, cause) || cause == errors.ErrUnsupported
			require.Equal(t, !allowed, errors.Is(err, auth.ErrUnavailable), "%s: %v", name, cause)
			if !allowed {
				require.Equal(t, 503, (&auth.Error{Err: err}).StatusCode(), "%s: %v", name, cause)
			}
		}
		// An outage stays one, whatever it wraps.
		f.store.fail = func(string) error {
			return fmt.Errorf("%w: %w, %w", auth.ErrUnavailable, auth.ErrNotFound, auth.ErrLimit)
		}
		require.ErrorIs(t, call.do(), auth.ErrUnavailable, name)
		f.store.fail = nil
	}
	list, err := f.bearer.List(ctx, "ada", auth.Page{})
	require.NoError(t, err)
	require.Len(t, list, 1)
}

// An outage that wraps ErrLimit evicts no session.
func TestStore_outageIsNoLimit(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	limited, err := auth.NewCookie(f.store, auth.CookieConfig{Keys: auth.Keys{testKey(1)}, MaxPerUser: 1})
	require.NoError(t, err)
	signIn := func() error {
		_, err := limited.SignIn(httptest.NewRecorder(), httptest.NewRequest("POST", "/", nil), "ada", auth.SessionOptions{})
		return err
	}
	require.NoError(t, signIn())
	f.store.fail = func(method string) error {
		if method != "Create" {
			return nil
		}
		return fmt.Errorf("%w: %w", auth.ErrUnavailable, auth.ErrLimit)
	}
	require.ErrorIs(t, signIn(), auth.ErrUnavailable)
	sessions, err := limited.List(t.Context(), "ada", auth.Page{})
	require.NoError(t, err)
	require.Len(t, sessions, 1)
}

func TestStore_notAskedWithoutACredential(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.store.fail = func(method string) error { return errors.New("down") }
	refused(t, f.all().get(), 401, plainBearer, plainSecret)
	require.Equal(t, 200, behind(auth.Optional(f.bearer, f.cookie)).get().Code)
	require.Zero(t, f.store.lookups.Load())
}

// A client that goes away is not an outage.
func TestStore_canceledRequest(t *testing.T) {
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

// A lookup that takes longer than the request may last is an outage, which operators must see.
func TestStore_requestPastItsDeadline(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	m := auth.Middleware{Observe: f.events.observe}
	token := f.token("ada")
	f.store.fail = func(string) error { return context.DeadlineExceeded }
	f.events.take()
	ctx, cancel := context.WithDeadline(t.Context(), time.Unix(0, 0))
	defer cancel()
	behind(m.Require(f.bearer)).get(authorization("Bearer "+token), func(r *http.Request) { *r = *r.WithContext(ctx) })
	require.Equal(t, auth.ReasonUnavailable, f.events.take()[0].Reason)
}

// A record that no correct store returns is treated as an outage.
func TestStore_corruptRecords(t *testing.T) {
	t.Parallel()
	for name, wrong := range map[string]func(c *auth.Credential) *auth.Credential{
		"nothing":               func(*auth.Credential) *auth.Credential { return nil },
		"an empty record":       func(*auth.Credential) *auth.Credential { return new(auth.Credential) },
		"no owner":              func(c *auth.Credential) *auth.Credential { c.UserID = ""; return c },
		"another kind":          func(c *auth.Credential) *auth.Credential { c.Kind = auth.KindSession; return c },
		"another user's record": func(c *auth.Credential) *auth.Credential { c.Digest[31] ^= 1; c.UserID = "grace"; return c },
		"a list as scopes":      func(c *auth.Credential) *auth.Credential { c.Scopes = `["*"]`; return c },
		"wildcard and more":     func(c *auth.Credential) *auth.Credential { c.Scopes = "* read"; return c },
		"wildcard at the end":   func(c *auth.Credential) *auth.Credential { c.Scopes = "read *"; return c },
		"two spaces":            func(c *auth.Credential) *auth.Credential { c.Scopes = "read  write"; return c },
		"a space in front":      func(c *auth.Credential) *auth.Credential { c.Scopes = " *"; return c },
		"a space behind":        func(c *auth.Credential) *auth.Credential { c.Scopes = "* "; return c },
		"NUL in the scopes":     func(c *auth.Credential) *auth.Credential { c.Scopes = "*\x00"; return c },
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
	t.Run("no scopes", func(t *testing.T) {
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

// A record of another user that the store returns is never revealed, rotated or listed.
func TestStore_wrongRecordOfGetAndList(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	f := newFixture(t)
	_, ada := f.newSecret("ada")
	bob, bobRecord := f.newSecret("bob")
	store := &misdirectedStore{Store: f.store, user: "bob", id: bobRecord.ID}
	secret, err := auth.NewSecret(store, auth.SecretConfig{RevealKeys: auth.Keys{testKey(2)}})
	require.NoError(t, err)
	for _, store.id = range []string{bobRecord.ID, "absent"} {
		_, err = secret.Get(ctx, "ada", ada.ID)
		require.Error(t, err)
		_, err = secret.Reveal(ctx, "ada", ada.ID)
		require.Error(t, err)
		_, _, err = secret.Rotate(ctx, "ada", ada.ID, 0)
		require.Error(t, err)
		_, err = secret.List(ctx, "ada", auth.Page{})
		require.ErrorIs(t, err, auth.ErrUnavailable)
	}
	store.id = bobRecord.ID
	_, err = secret.Reveal(ctx, "ada", ada.ID)
	require.ErrorIs(t, err, auth.ErrUnavailable)
	accepted(t, f.all().get(authorization("Secret "+bob)), "bob", auth.SchemeSecret)

	// Another record of the same user is not the one that was asked for either.
	_, token, err := f.bearer.Issue(ctx, "ada", auth.TokenOptions{Name: "x", Scopes: []string{"read"}, Lifetime: time.Hour})
	require.NoError(t, err)
	_, other, err := f.bearer.Issue(ctx, "ada", tokenOptions("full"))
	require.NoError(t, err)
	bearer, err := auth.NewBearer(&misdirectedStore{Store: f.store, user: "ada", id: other.ID}, auth.BearerConfig{})
	require.NoError(t, err)
	_, _, err = bearer.Rotate(ctx, "ada", token.ID, 0)
	require.ErrorIs(t, err, auth.ErrUnavailable)
	_, err = f.bearer.Get(ctx, "ada", other.ID)
	require.NoError(t, err, "it was rotated in place of the other")
}

// A misdirectedStore answers Get and List with the records of another question.
type misdirectedStore struct {
	auth.Store
	user, id string
}

func (s *misdirectedStore) Get(ctx context.Context, ref auth.Ref) (auth.Credential, error) {
	return s.Store.Get(ctx, auth.Ref{Kind: ref.Kind, UserID: s.user, ID: s.id})
}

func (s *misdirectedStore) List(ctx context.Context, kind auth.Kind, _ string, page auth.Page) ([]auth.Credential, error) {
	return s.Store.List(ctx, kind, s.user, page)
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

// A LookupStore is read-only.
func TestLookupStore(t *testing.T) {
	t.Parallel()
	var rows atomic.Pointer[auth.Credential]
	lookup := auth.LookupStore(func(_ context.Context, kind auth.Kind, d auth.Digest) (*auth.Credential, error) {
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
	require.Zero(t, rows.Load().Kind, "the caller's record is not modified")
	rows.Store(&auth.Credential{ID: "7", UserID: "ada", Scopes: "*", Kind: auth.KindSession})
	require.Equal(t, 503, get())
	rows.Store(&auth.Credential{ID: "7", UserID: "ada", Scopes: "*", ExpiresAt: time.Now()})
	require.Equal(t, 401, get())
	rows.Store(&auth.Credential{})
	require.Equal(t, 503, get())

	ctx := t.Context()
	_, _, issue := b.Issue(ctx, "ada", tokenOptions("x"))
	_, list := b.List(ctx, "ada", auth.Page{})
	_, _, rotate := b.Rotate(ctx, "ada", "x", 0)
	_, all := b.RevokeAll(ctx, "ada")
	_, purge := lookup.Purge(ctx, time.Now())
	for _, err := range []error{issue, list, rotate, all, purge, b.Revoke(ctx, "ada", "x"),
		lookup.Rotate(ctx, auth.Credential{}, auth.Credential{}, time.Now()), lookup.Touch(ctx, nil)} {
		require.ErrorIs(t, err, errors.ErrUnsupported)
	}
	require.NoError(t, b.Close(ctx))
	_, err = auth.NewBearer(auth.LookupStore(nil), auth.BearerConfig{})
	require.Error(t, err)
}

// A store or a Resolve may return the error of another service that uses this package.
func TestStore_outageThatWrapsAnotherCondition(t *testing.T) {
	t.Parallel()
	for _, sentinel := range []error{auth.ErrNoCredential, auth.ErrInvalidCredential, auth.ErrMalformed, auth.ErrCrossOrigin, auth.ErrInsufficientScope} {
		down := fmt.Errorf("user service: %w", sentinel)
		check := func(m *auth.Middleware, f *fixture, e edit) {
			t.Helper()
			require.Equal(t, 503, behind(m.Require(f.cookie, f.bearer)).get(e).Code, "Require: %v", down)
			require.Equal(t, 503, behind(m.Optional(f.cookie, f.bearer)).get(e).Code, "Optional: %v", down)
		}
		f := newFixture(t)
		require.NoError(t, f.bearer.Close(t.Context())) // so that last uses are not written
		require.NoError(t, f.cookie.Close(t.Context()))
		credentials := []edit{withCookie(f.signIn("ada")), authorization("Bearer " + f.token("ada"))}
		for _, e := range credentials {
			if !errors.Is(sentinel, auth.ErrInvalidCredential) { // Resolve may return that one
				check(&auth.Middleware{Resolve: func(context.Context, *auth.Identity) (any, error) { return nil, down }}, f, e)
			}
		}
		failing(f, "Lookup", down)
		for _, e := range credentials {
			check(&auth.Middleware{}, f, e)
		}
	}
	both := errors.Join(auth.ErrInvalidCredential, auth.ErrUnavailable)
	require.Equal(t, 503, behind(auth.Require(fakeAuthenticator{scheme: "X", err: both})).get(authorization("X y")).Code)
}

// A cache may not have a record, and then fail to reach its database.
func TestStore_outageJoinedWithNotFound(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	both := errors.Join(auth.ErrNotFound, auth.ErrUnavailable)
	token, cookie := f.token("ada"), f.signIn("ada")
	failing(f, "Revoke", both)
	require.Error(t, f.cookie.SignOut(newRecorder(), request("POST", withCookie(cookie))), "the session is still valid")
	failing(f, "Lookup", both)
	require.Equal(t, 503, behind(auth.Require(f.bearer)).get(authorization("Bearer "+token)).Code)
	w := newRecorder()
	auth.WriteError(w, request("GET"), both)
	require.Equal(t, 503, w.Code)
}

func TestCredential_expired(t *testing.T) {
	t.Parallel()
	at := time.Date(2027, 1, 12, 9, 30, 0, 0, time.UTC)
	c := auth.Credential{ExpiresAt: at}
	require.False(t, c.Expired(at.Add(-1)))
	require.True(t, c.Expired(at))
	require.False(t, auth.Credential{}.Expired(at), "the zero time means never")
}

// lifecycleCalls are all calls that create, change, list or reveal credentials, by their
// names. Each returns a plaintext, if it makes one. They succeed, once, for a fixture.
func lifecycleCalls(t testing.TB, f *fixture) map[string]func(ctx context.Context) (string, error) {
	token, c, err := f.bearer.Issue(t.Context(), "ada", tokenOptions("x"))
	require.NoError(t, err)
	_, sc := f.newSecret("ada")
	cookie, session := f.session("ada")
	type calls = map[string]func(ctx context.Context) (string, error)
	return calls{
		"Bearer.Issue": func(ctx context.Context) (string, error) {
			p, _, err := f.bearer.Issue(ctx, "ada", tokenOptions("x"))
			return p, err
		},
		"Bearer.Import": func(ctx context.Context) (string, error) {
			_, err := f.bearer.Import(ctx, "ada", repeated("i", 32), importOptions("x"))
			return "", err
		},
		"Bearer.ImportDigest": func(ctx context.Context) (string, error) {
			_, err := f.bearer.ImportDigest(ctx, "ada", auth.Digest{1}, importOptions("x"))
			return "", err
		},
		"Bearer.List": func(ctx context.Context) (string, error) {
			_, err := f.bearer.List(ctx, "ada", auth.Page{})
			return "", err
		},
		"Bearer.Get": func(ctx context.Context) (string, error) { _, err := f.bearer.Get(ctx, "ada", c.ID); return "", err },
		"Bearer.Update": func(ctx context.Context) (string, error) {
			name := "y"
			_, err := f.bearer.Update(ctx, "ada", c.ID, auth.TokenUpdate{Name: &name})
			return "", err
		},
		"Bearer.Rotate": func(ctx context.Context) (string, error) {
			p, _, err := f.bearer.Rotate(ctx, "ada", c.ID, 0)
			return p, err
		},
		"Bearer.Revoke":    func(ctx context.Context) (string, error) { return "", f.bearer.Revoke(ctx, "ada", c.ID) },
		"Bearer.RevokeAll": func(ctx context.Context) (string, error) { _, err := f.bearer.RevokeAll(ctx, "ada"); return "", err },
		"Bearer.RevokePlaintext": func(ctx context.Context) (string, error) {
			_, err := f.bearer.RevokePlaintext(ctx, token)
			return "", err
		},
		"Secret.Issue": func(ctx context.Context) (string, error) {
			p, _, err := f.secret.Issue(ctx, "eve", fullSecret)
			return p, err
		},
		"Secret.Import": func(ctx context.Context) (string, error) {
			_, err := f.secret.Import(ctx, "eve", repeated("i", 32), fullSecret)
			return "", err
		},
		"Secret.List": func(ctx context.Context) (string, error) {
			_, err := f.secret.List(ctx, "ada", auth.Page{})
			return "", err
		},
		"Secret.Get":    func(ctx context.Context) (string, error) { _, err := f.secret.Get(ctx, "ada", sc.ID); return "", err },
		"Secret.Reveal": func(ctx context.Context) (string, error) { return f.secret.Reveal(ctx, "ada", sc.ID) },
		"Secret.Rotate": func(ctx context.Context) (string, error) {
			p, _, err := f.secret.Rotate(ctx, "ada", sc.ID, 0)
			return p, err
		},
		"Secret.Revoke":    func(ctx context.Context) (string, error) { return "", f.secret.Revoke(ctx, "ada", sc.ID) },
		"Secret.RevokeAll": func(ctx context.Context) (string, error) { _, err := f.secret.RevokeAll(ctx, "ada"); return "", err },
		"Secret.RevokePlaintext": func(ctx context.Context) (string, error) {
			_, err := f.secret.RevokePlaintext(ctx, token) // of the other kind: ErrNotFound
			return "", err
		},
		"Cookie.List": func(ctx context.Context) (string, error) {
			_, err := f.cookie.List(ctx, "ada", auth.Page{})
			return "", err
		},
		"Cookie.Get": func(ctx context.Context) (string, error) {
			_, err := f.cookie.Get(ctx, "ada", session.ID)
			return "", err
		},
		"Cookie.Revoke":    func(ctx context.Context) (string, error) { return "", f.cookie.Revoke(ctx, "ada", session.ID) },
		"Cookie.RevokeAll": func(ctx context.Context) (string, error) { _, err := f.cookie.RevokeAll(ctx, "ada"); return "", err },
		"Cookie.SignIn": func(ctx context.Context) (string, error) {
			_, err := f.cookie.SignIn(newRecorder(), request("POST", withCookie(cookie)).WithContext(ctx), "ada", auth.SessionOptions{})
			return "", err
		},
		"Cookie.SignOut": func(ctx context.Context) (string, error) {
			return "", f.cookie.SignOut(newRecorder(), request("POST", withCookie(cookie)).WithContext(ctx))
		},
	}
}

// lifecycleCalls has every method of the authenticators that returns an error, except those
// that decide on requests.
func TestStore_lifecycleCalls(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	calls := lifecycleCalls(t, f)
	methods := 0
	for _, a := range []any{f.bearer, f.cookie, f.secret} {
		typ := reflect.TypeOf(a)
		for i := range typ.NumMethod() {
			m := typ.Method(i)
			if n := m.Type.NumOut(); n == 0 || m.Type.Out(n-1) != reflect.TypeFor[error]() {
				continue
			}
			switch m.Name {
			case "Authenticate", "CheckOrigin", "Close":
			default:
				methods++
				require.Contains(t, calls, typ.Elem().Name()+"."+m.Name)
			}
		}
	}
	require.Len(t, calls, methods)
}

// If the store fails during a lifecycle call, the call returns the error, no plaintext, and
// no event of a change: the only event is that of the failure.
func TestStore_outageOfALifecycleCall(t *testing.T) {
	t.Parallel()
	down := errors.New("connection refused")
	for name := range lifecycleCalls(t, newFixture(t)) {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			call := lifecycleCalls(t, f)[name]
			// The nth call to the store fails, for each n.
			for n := 1; ; n++ {
				f.events.take()
				made := 0
				f.store.fail = func(string) error {
					if made++; made == n {
						return down
					}
					return nil
				}
				plaintext, err := call(t.Context())
				f.store.fail = nil
				if made < n {
					require.Greater(t, n, 1, "the call needs the store")
					return
				}
				require.ErrorIs(t, err, auth.ErrUnavailable)
				require.ErrorIs(t, err, down)
				require.Empty(t, plaintext)
				events := f.events.take()
				require.Len(t, events, 1)
				require.ErrorIs(t, events[0].Err, down)
				requireFailed(t, events[0], name, auth.ReasonUnavailable)
				if n > 10 {
					t.Fatal("too many calls to the store")
				}
			}
		})
	}
}

// ErrNotFound would mean that the token is not valid, and that the leak is harmless.
func TestLookupStore_revokePlaintext(t *testing.T) {
	t.Parallel()
	b, err := auth.NewBearer(auth.LookupStore(func(context.Context, auth.Kind, auth.Digest) (*auth.Credential, error) {
		return &auth.Credential{UserID: "ada", Scopes: "*"}, nil // the required fields
	}), auth.BearerConfig{})
	require.NoError(t, err)
	_, err = b.RevokePlaintext(t.Context(), repeated("a", 32))
	require.ErrorIs(t, err, errors.ErrUnsupported, "the token is valid, and cannot be revoked here")
}

// Every method of a LookupStore except Lookup is unsupported.
func TestLookupStore_unsupported(t *testing.T) {
	t.Parallel()
	c := auth.Credential{ID: "1", Kind: auth.KindToken, UserID: "ada", Scopes: "*", Digest: auth.Digest{1}, CreatedAt: time.Now()}
	s := auth.LookupStore(func(context.Context, auth.Kind, auth.Digest) (*auth.Credential, error) { return &c, nil })
	for name, call := range storeCalls(t.Context(), s, c) {
		if name == "Lookup" {
			require.NoError(t, call())
			continue
		}
		require.Equal(t, errors.ErrUnsupported, call(), name)
	}
}

// The zero Kind has a text, but no text stands for it.
func TestKind_text(t *testing.T) {
	t.Parallel()
	for kind, want := range map[auth.Kind]string{
		auth.KindToken: "token", auth.KindSession: "session", auth.KindSecret: "secret", 0: "none", 9: "none",
	} {
		require.Equal(t, want, kind.String())
		text, err := kind.MarshalText()
		require.NoError(t, err)
		require.Equal(t, want, string(text))
		var back auth.Kind
		if err := back.UnmarshalText(text); want != "none" {
			require.NoError(t, err)
			require.Equal(t, kind, back)
		} else {
			require.ErrorContains(t, err, `"none" is not a kind`)
		}
	}
}

func TestMetadata(t *testing.T) {
	t.Parallel()
	m := auth.Metadata("plan=\ntenant=a=b c\nteam=Zoë")
	require.Equal(t, "", m.Get("plan"))
	require.Equal(t, "a=b c", m.Get("tenant"))
	require.Equal(t, "Zoë", m.Get("team"))
	for _, absent := range []string{"", "ten", "tenant=a", "TENANT"} {
		require.Empty(t, m.Get(absent))
	}
	var keys []string
	for key := range m.All() {
		keys = append(keys, key)
		if key == "tenant" {
			break
		}
	}
	require.Equal(t, []string{"plan", "tenant"}, keys)
	require.Empty(t, auth.Metadata("").Get(""))
}
