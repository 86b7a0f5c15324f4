package auth_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

// rechecked returns the response to a request during which something happens between its
// authentication and a Recheck.
func rechecked(t *testing.T, wrap func(http.Handler) http.Handler, during func(ctx context.Context), edits ...edit) *httptest.ResponseRecorder {
	t.Helper()
	ran, w := false, newRecorder()
	wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ran = true
		require.NoError(t, auth.Recheck(r.Context()))
		during(r.Context())
		if err := auth.Recheck(r.Context()); err != nil {
			auth.WriteError(w, r, err)
			return
		}
		id, _ := auth.FromContext(r.Context())
		fmt.Fprintf(w, "%s by %s", id.UserID, id.Scheme)
	})).ServeHTTP(w, request("POST", edits...))
	require.True(t, ran, "the request is authenticated first")
	return w
}

// credentialsOf returns one credential of each kind as request headers, and how to revoke it.
func (f *fixture) credentialsOf(user string) map[auth.Scheme]struct {
	edit      edit
	challenge string
	revoke    func(context.Context) error
} {
	f.t.Helper()
	plaintext, token, err := f.bearer.Issue(f.t.Context(), user, tokenOptions("x"))
	require.NoError(f.t, err)
	secret, s := f.newSecret(user)
	cookie, session := f.session(user)
	type row = struct {
		edit      edit
		challenge string
		revoke    func(context.Context) error
	}
	return map[auth.Scheme]row{
		auth.SchemeBearer: {authorization("Bearer " + plaintext), badToken, func(ctx context.Context) error { return f.bearer.Revoke(ctx, user, token.ID) }},
		auth.SchemeSecret: {authorization("Secret " + secret), plainBearer, func(ctx context.Context) error { return f.secret.Revoke(ctx, user, s.ID) }},
		auth.SchemeCookie: {withSameOrigin(cookie), plainBearer, func(ctx context.Context) error { return f.cookie.Revoke(ctx, user, session.ID) }},
	}
}

func withSameOrigin(c *http.Cookie) edit {
	return func(r *http.Request) {
		r.AddCookie(c)
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
}

func TestRecheck_revoked(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	var decisions recorder
	m := &auth.Middleware{Observe: decisions.observe}
	wrap := m.Require(f.bearer, f.secret, f.cookie)
	for scheme, c := range f.credentialsOf("ada") {
		t.Run(string(scheme), func(t *testing.T) {
			accepted(t, rechecked(t, wrap, func(context.Context) {}, c.edit), "ada", scheme)
			decisions.take()
			w := rechecked(t, wrap, func(ctx context.Context) { require.NoError(t, c.revoke(ctx)) }, c.edit)
			refused(t, w, 401, c.challenge, plainSecret)
			events := decisions.take()
			require.Equal(t, []auth.EventType{auth.EventAccepted, auth.EventRefused}, eventTypes(events))
			require.Equal(t, auth.ReasonRevoked, events[1].Reason)
			require.Equal(t, "ada", events[1].UserID)
			require.Equal(t, events[0].CredentialID, events[1].CredentialID)
			require.Equal(t, scheme, events[1].Scheme)
		})
	}
}

// An outage is not an answer: the caller must not hand anything out.
func TestRecheck_outage(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	store := reread(f)
	wrap := auth.Require(f.bearer, f.secret, f.cookie)
	for _, c := range f.credentialsOf("ada") {
		for _, fault := range []error{errors.New("reset"), auth.ErrUnavailable, auth.ErrConflict, auth.ErrInvalidCredential} {
			store.change = nil
			w := rechecked(t, wrap, func(context.Context) { store.change = func(*auth.Credential) error { return fault } }, c.edit)
			refused(t, w, 503)
		}
		store.change = nil
		w := rechecked(t, wrap, func(context.Context) { store.change = func(*auth.Credential) error { panic("store") } }, c.edit)
		refused(t, w, 500)
	}
}

func TestRecheck_expired(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, func(c *configs) { c.cookie.Lifetime, c.cookie.IdleTimeout = time.Hour, 10*time.Minute })
		o := tokenOptions("x")
		o.Lifetime = time.Minute
		plaintext, _, err := f.bearer.Issue(t.Context(), "ada", o)
		require.NoError(t, err)
		cookie := f.signIn("ada")
		wrap := auth.Require(f.bearer, f.cookie)

		token := authorization("Bearer " + plaintext)
		accepted(t, rechecked(t, wrap, func(context.Context) { time.Sleep(time.Minute - time.Nanosecond) }, token), "ada", auth.SchemeBearer)
		plaintext, _, err = f.bearer.Issue(t.Context(), "ada", o)
		require.NoError(t, err)
		token = authorization("Bearer " + plaintext)
		refused(t, rechecked(t, wrap, func(context.Context) { time.Sleep(time.Minute) }, token), 401, badToken)

		accepted(t, rechecked(t, wrap, func(context.Context) { time.Sleep(10*time.Minute - time.Second) }, withSameOrigin(cookie)), "ada", auth.SchemeCookie)
		session := withSameOrigin(f.signIn("ada"))
		w := rechecked(t, wrap, func(context.Context) {
			time.Sleep(9 * time.Minute)
			behind(wrap).get(session)
			time.Sleep(9 * time.Minute)
		}, session)
		accepted(t, w, "ada", auth.SchemeCookie)
		refused(t, rechecked(t, wrap, func(context.Context) { time.Sleep(10 * time.Minute) }, session), 401, plainBearer)

		session = withSameOrigin(f.signIn("ada"))
		w = rechecked(t, wrap, func(ctx context.Context) {
			for range 5 {
				time.Sleep(9 * time.Minute)
				require.Equal(t, 200, behind(wrap).get(session).Code)
				require.NoError(t, auth.Recheck(ctx))
			}
			time.Sleep(9 * time.Minute)
			require.Equal(t, 200, behind(wrap).get(session).Code)
			time.Sleep(6 * time.Minute)
		}, session)
		refused(t, w, 401, plainBearer)
		require.NoError(t, f.bearer.Close(t.Context()))
		require.NoError(t, f.cookie.Close(t.Context()))
	})
}

// A Recheck is not a use: it keeps no session alive, and writes nothing.
func TestRecheck_isNotAUse(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, func(c *configs) { c.cookie.IdleTimeout = 10 * time.Minute })
		session := withSameOrigin(f.signIn("ada"))
		w := rechecked(t, auth.Require(f.cookie), func(ctx context.Context) {
			for range 9 {
				time.Sleep(time.Minute)
				require.NoError(t, auth.Recheck(ctx))
			}
			time.Sleep(time.Minute)
		}, session)
		refused(t, w, 401, plainCookie)
		synctest.Wait()
		require.EqualValues(t, 1, f.store.touches.Load(), "the use of the request itself")
		require.NoError(t, f.cookie.Close(t.Context()))
	})
}

func TestRecheck_resolve(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	var answer error
	m := &auth.Middleware{Resolve: func(_ context.Context, id *auth.Identity) (any, error) { return id.UserID, answer }}
	token := authorization("Bearer " + f.token("ada"))
	during := func(err error) func(context.Context) { return func(context.Context) { answer = err } }
	for _, test := range []struct {
		err    error
		status int
		lines  []string
	}{
		{nil, 200, nil},
		{auth.ErrInvalidCredential, 401, []string{badToken}},
		{fmt.Errorf("disabled: %w", auth.ErrInvalidCredential), 401, []string{badToken}},
		{errors.New("reset"), 503, nil},
		{auth.ErrNotFound, 503, nil},
		{(*auth.Error)(nil), 500, nil},
	} {
		answer = nil
		w := rechecked(t, m.Require(f.bearer), during(test.err), token)
		if test.status == 200 {
			accepted(t, w, "ada", auth.SchemeBearer)
			continue
		}
		refused(t, w, test.status, test.lines...)
	}
	answer = nil
	w := rechecked(t, m.Require(f.bearer), func(context.Context) {
		m.Resolve = nil // the route was built before
		answer = auth.ErrInvalidCredential
	}, token)
	refused(t, w, 401, badToken)
}

func TestRecheck_lostScope(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		before, after auth.Scopes
		status        int
	}{
		{"a b", "a b", 200}, {"a b", "b a", 200}, {"a", "a b", 200}, {"a", "*", 200}, {"", "a", 200},
		{"a b", "a", 403}, {"*", "a", 403}, {"a", "", 403}, {"a", "A", 403},
	} {
		scopes := test.before
		bearer, err := auth.NewBearer(auth.LookupStore(func(context.Context, auth.Kind, auth.Digest) (*auth.Credential, error) {
			return &auth.Credential{UserID: "ada", Scopes: scopes}, nil
		}), auth.BearerConfig{})
		require.NoError(t, err)
		w := rechecked(t, auth.Require(bearer), func(context.Context) { scopes = test.after }, authorization("Bearer abc"))
		require.Equal(t, test.status, w.Code, "%q then %q", test.before, test.after)
	}
}

// A store that answers another question rejects nothing and accepts nothing.
func TestRecheck_corruptRecord(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	token := authorization("Bearer " + f.token("ada"))
	store := reread(f)
	for name, change := range map[string]func(*auth.Credential){
		"user": func(c *auth.Credential) { c.UserID = "grace" }, "ID": func(c *auth.Credential) { c.ID = "x" },
		"kind": func(c *auth.Credential) { c.Kind = auth.KindSecret }, "scopes": func(c *auth.Credential) { c.Scopes = "* a" },
	} {
		store.change = nil
		w := rechecked(t, auth.Require(f.bearer), func(context.Context) {
			store.change = func(c *auth.Credential) error {
				change(c)
				return nil
			}
		}, token)
		require.Equal(t, 503, w.Code, name)
	}
}

// A rereadStore changes the answers of Get, which Recheck calls and requests do not.
type rereadStore struct {
	auth.Store
	change func(*auth.Credential) error // nil for no change
}

func reread(f *fixture) *rereadStore {
	s := &rereadStore{Store: f.store.Store}
	f.store.Store = s
	return s
}

func (s *rereadStore) Get(ctx context.Context, ref auth.Ref) (auth.Credential, error) {
	c, err := s.Store.Get(ctx, ref)
	if s.change != nil {
		err = cmp.Or(s.change(&c), err)
	}
	return c, err
}

// Several authenticators of a scheme can have stores of their own.
func TestRecheck_severalStores(t *testing.T) {
	t.Parallel()
	f, g := newFixture(t), newFixture(t)
	store := reread(f)
	outage := func(*auth.Credential) error { return errors.New("reset") }
	wrap := auth.Require(f.bearer, g.bearer)
	plaintext, c, err := g.bearer.Issue(t.Context(), "ada", tokenOptions("x"))
	require.NoError(t, err)
	token := authorization("Bearer " + plaintext)
	accepted(t, rechecked(t, wrap, func(context.Context) {}, token), "ada", auth.SchemeBearer)
	w := rechecked(t, wrap, func(context.Context) { store.change = outage }, token)
	accepted(t, w, "ada", auth.SchemeBearer)
	store.change = nil
	w = rechecked(t, wrap, func(ctx context.Context) {
		require.NoError(t, g.bearer.Revoke(ctx, "ada", c.ID))
		store.change = outage
	}, token)
	refused(t, w, 503)
}

func TestRecheck_customAuthenticator(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	token := authorization("Bearer abc")
	for name, test := range map[string]struct {
		change func(*fakeAuthenticator)
		status int
	}{
		"the same": {func(a *fakeAuthenticator) {}, 200},
		"more scopes": {func(a *fakeAuthenticator) {
			a.identity = &auth.Identity{UserID: "ada", CredentialID: "1", Scopes: "a b"}
		}, 200},
		"fewer scopes": {func(a *fakeAuthenticator) { a.identity = &auth.Identity{UserID: "ada", CredentialID: "1"} }, 403},
		"another user": {func(a *fakeAuthenticator) {
			a.identity = &auth.Identity{UserID: "grace", CredentialID: "1", Scopes: "a"}
		}, 401},
		"another credential": {func(a *fakeAuthenticator) { a.identity = &auth.Identity{UserID: "ada", CredentialID: "2", Scopes: "a"} }, 401},
		"rejected":           {func(a *fakeAuthenticator) { a.err = auth.ErrInvalidCredential }, 401},
		"outage":             {func(a *fakeAuthenticator) { a.err = errors.New("reset") }, 503},
		"no answer":          {func(a *fakeAuthenticator) { a.identity = nil }, 500},
		"panic":              {func(a *fakeAuthenticator) { a.panics = "x" }, 500},
	} {
		a := &fakeAuthenticator{scheme: "bearer", identity: &auth.Identity{UserID: "ada", CredentialID: "1", Scopes: "a"}}
		w := rechecked(t, auth.Require(f.bearer, a), func(context.Context) { test.change(a) }, token)
		require.Equal(t, test.status, w.Code, name)
	}
}

func TestRecheck_withoutACredential(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	status := func(err error) int {
		var e *auth.Error
		require.ErrorAs(t, err, &e)
		return e.StatusCode()
	}
	require.Equal(t, 500, status(auth.Recheck(t.Context())))
	made := auth.Recheck(auth.NewContext(t.Context(), &auth.Identity{UserID: "ada", Scheme: auth.SchemeBearer}))
	require.Equal(t, 500, status(made))
	require.ErrorContains(t, made, "use Require in this test")
	h := auth.Optional(f.bearer)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		auth.WriteError(w, r, auth.Recheck(r.Context()))
	}))
	w := newRecorder()
	h.ServeHTTP(w, request("GET"))
	refused(t, w, 401, plainBearer)

	// An identity that the handler made is not one that an authenticator accepted.
	h = auth.Require(f.bearer)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		auth.WriteError(w, r, auth.Recheck(auth.NewContext(r.Context(), &auth.Identity{UserID: "grace", Scheme: auth.SchemeBearer})))
	}))
	w = newRecorder()
	h.ServeHTTP(w, request("GET", authorization("Bearer "+f.token("ada"))))
	refused(t, w, 500)
}

// The context may end before the answer: that is an outage, whose reason says so.
func TestRecheck_canceled(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	h := auth.Require(f.bearer)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithCancel(r.Context())
		require.NoError(t, auth.Recheck(ctx))
		cancel()
		var e *auth.Error
		require.ErrorAs(t, auth.Recheck(ctx), &e)
		require.Equal(t, 503, e.StatusCode())
		require.Equal(t, auth.ReasonCanceled, e.Reason)
		require.NoError(t, auth.Recheck(context.WithoutCancel(ctx)))
	}))
	w := newRecorder()
	h.ServeHTTP(w, request("GET", authorization("Bearer "+f.token("ada"))))
	require.Equal(t, 200, w.Code)
}

// After a revocation, of many requests that each create a token and then check again none
// keeps one.
func TestRecheck_race(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	cookie, session := f.session("ada")
	started := make(chan struct{}, 100)
	h := auth.Require(f.cookie)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		started <- struct{}{}
		_, c, err := f.bearer.Issue(r.Context(), "ada", tokenOptions("x"))
		assert.NoError(t, err)
		if auth.Recheck(r.Context()) != nil {
			// RevokeAll may have been first.
			if err := f.bearer.Revoke(context.WithoutCancel(r.Context()), "ada", c.ID); err != nil {
				assert.ErrorIs(t, err, auth.ErrNotFound)
			}
		}
	}))
	var requests sync.WaitGroup
	for range 100 {
		requests.Go(func() { h.ServeHTTP(newRecorder(), request("POST", withSameOrigin(cookie))) })
	}
	<-started
	assert.NoError(t, f.cookie.Revoke(t.Context(), "ada", session.ID))
	_, err := f.bearer.RevokeAll(t.Context(), "ada")
	assert.NoError(t, err)
	requests.Wait()
	left, err := f.bearer.List(t.Context(), "ada", auth.Page{})
	require.NoError(t, err)
	require.Empty(t, left)
}

// A row of an existing table may belong to another user now.
func TestRecheck_lookupStoreOtherUser(t *testing.T) {
	t.Parallel()
	user, id := "ada", "1"
	bearer, err := auth.NewBearer(auth.LookupStore(func(context.Context, auth.Kind, auth.Digest) (*auth.Credential, error) {
		return &auth.Credential{UserID: user, ID: id, Scopes: "*"}, nil
	}), auth.BearerConfig{})
	require.NoError(t, err)
	w := rechecked(t, auth.Require(bearer), func(context.Context) { user, id = "grace", "2" }, authorization("Bearer abc"))
	refused(t, w, 401, badToken)
}

// An outage may wrap ErrUnsupported, and is not taken for a LookupStore, which is looked up in.
func TestRecheck_outageThatIsUnsupported(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	store := reread(f)
	w := rechecked(t, auth.Require(f.bearer), func(context.Context) {
		store.change = func(*auth.Credential) error {
			return fmt.Errorf("%w: socket: %w", auth.ErrUnavailable, errors.ErrUnsupported)
		}
	}, authorization("Bearer "+f.token("ada")))
	refused(t, w, 503)
}

// A nilError panics if its methods are called on a nil pointer, as most do.
type nilError struct{ err error }

func (e *nilError) Error() string { return e.err.Error() }
func (e *nilError) Unwrap() error { return e.err }

// An error that panics is answered as Require answers it, so that the caller can clean up.
func TestRecheck_nilError(t *testing.T) {
	t.Parallel()
	a := &fakeAuthenticator{scheme: "Key", identity: &auth.Identity{UserID: "ada", CredentialID: "1"}}
	w := rechecked(t, auth.Require(a), func(context.Context) { a.err = (*nilError)(nil) })
	require.Equal(t, 500, w.Code)
	require.Equal(t, 500, behind(auth.Require(a)).get().Code)
}

// A handler may read its body and replace it while another goroutine rechecks.
func TestRecheck_customAuthenticatorRace(t *testing.T) {
	t.Parallel()
	a := &fakeAuthenticator{scheme: "Key", identity: &auth.Identity{UserID: "ada", CredentialID: "1"}}
	h := auth.Require(a)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var checks sync.WaitGroup
		checks.Go(func() {
			for range 100 {
				assert.NoError(t, auth.Recheck(r.Context()))
			}
		})
		_ = r.ParseForm()
		r.Body = http.MaxBytesReader(w, r.Body, 10)
		checks.Wait()
	}))
	h.ServeHTTP(newRecorder(), request("POST"))
}

// A stream may recheck while its handler returns, after which the route is shared with the
// request outside.
func TestRecheck_customAuthenticatorAfterTheHandler(t *testing.T) {
	t.Parallel()
	a := &fakeAuthenticator{scheme: "Key", identity: &auth.Identity{UserID: "ada", CredentialID: "1"}}
	var checks sync.WaitGroup
	mux := http.NewServeMux()
	mux.HandleFunc("/notes", func(w http.ResponseWriter, r *http.Request) {
		checks.Go(func() {
			for range 1000 {
				assert.NoError(t, auth.Recheck(r.Context()))
			}
		})
	})
	r := request("POST")
	auth.Require(a)(mux).ServeHTTP(newRecorder(), r)
	require.Equal(t, "/notes", r.Pattern)
	checks.Wait()
}

// A store whose cache is switched off may return itself.
func TestRevokePlaintext_storeIsUncached(t *testing.T) {
	t.Parallel()
	bearer, err := auth.NewBearer(&selfStore{auth.NewMemoryStore()}, auth.BearerConfig{})
	require.NoError(t, err)
	_, err = bearer.RevokePlaintext(t.Context(), "x")
	require.ErrorIs(t, err, auth.ErrNotFound)
}

type selfStore struct{ auth.Store }

func (s *selfStore) Uncached() auth.Store { return s }

// Who made an identity matters, not whom it names.
func TestRecheck_newContextOnACustomRoute(t *testing.T) {
	t.Parallel()
	for _, user := range []string{"ada", "grace"} {
		a := &fakeAuthenticator{scheme: "Key", identity: &auth.Identity{UserID: "ada", CredentialID: "1"}}
		h := auth.Require(a)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			auth.WriteError(w, r, auth.Recheck(auth.NewContext(r.Context(), &auth.Identity{UserID: user, CredentialID: "1", Scheme: "Key"})))
		}))
		w := newRecorder()
		h.ServeHTTP(w, request("GET"))
		require.Equal(t, 500, w.Code, user)
	}
}

// A credential that was bound to networks during the request does not pass.
func TestRecheck_networks(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	plaintext, c, err := f.bearer.Issue(t.Context(), "ada", tokenOptions("x"))
	require.NoError(t, err)
	w := rechecked(t, auth.Require(f.bearer), func(context.Context) { f.bind(c, "192.0.2.0/24") }, authorization("Bearer "+plaintext))
	require.Equal(t, 401, w.Code)
}
