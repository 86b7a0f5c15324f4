package auth_test

import (
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

func TestFromContext(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	token, c, err := f.bearer.Issue(t.Context(), "ada", auth.TokenOptions{Name: "x", Scopes: []string{"read"}, Lifetime: time.Hour})
	require.NoError(t, err)
	cookie, session := f.session("ada")
	secret := f.issueSecret("ada")
	secrets, err := f.secret.List(t.Context(), "ada", auth.Page{})
	require.NoError(t, err)
	for _, test := range []struct {
		scheme auth.Scheme
		e      edit
		c      auth.Credential
		a      auth.Authenticator
	}{
		{auth.SchemeBearer, authorization("Bearer " + token), c, f.bearer},
		{auth.SchemeCookie, withCookie(cookie), session, f.cookie},
		{auth.SchemeSecret, authorization("Secret " + secret), secrets[0], f.secret},
	} {
		want := auth.Identity{
			UserID: "ada", Scheme: test.scheme, CredentialID: test.c.ID, Scopes: test.c.Scopes,
			AuthenticatedAt: test.c.CreatedAt, ExpiresAt: test.c.ExpiresAt,
		}
		var got auth.Identity
		auth.Require(f.bearer, f.cookie, f.secret)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			id, _ := auth.FromContext(r.Context())
			got = *id
			id.UserID = "modified"
		})).ServeHTTP(httptest.NewRecorder(), request("GET", test.e))
		require.Equal(t, want, got)
		require.Equal(t, test.scheme, test.a.Scheme())
		alone, err := test.a.Authenticate(request("GET", test.e))
		require.NoError(t, err)
		require.Equal(t, want, *alone)
		_, err = test.a.Authenticate(request("GET"))
		require.ErrorIs(t, err, auth.ErrNoCredential)
		accepted(t, f.all().get(test.e), "ada", test.scheme) // the handler modified its own copy
	}
	for _, a := range []auth.Authenticator{f.bearer, f.secret} {
		_, err := a.Authenticate(request("GET", authorization("Bearer x", "Secret x")))
		require.ErrorIs(t, err, auth.ErrMalformed)
		_, err = a.Authenticate(request("GET", authorization(string(a.Scheme())+" x")))
		require.ErrorIs(t, err, auth.ErrInvalidCredential)
	}
	_, err = f.cookie.Authenticate(request("GET", field("Cookie", cookie.Name+"=x")))
	require.ErrorIs(t, err, auth.ErrInvalidCredential)
}

// FromContext returns a copy. Changes to it affect neither inner scope checks, nor later
// requests, nor the store.
func TestFromContext_returnsACopy(t *testing.T) {
	t.Parallel()
	for name, middleware := range map[string]*auth.Middleware{
		"plain":        {},
		"with Resolve": {Resolve: func(context.Context, *auth.Identity) (any, error) { return 1, nil }},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			own := fakeAuthenticator{scheme: "mTLS", identity: &auth.Identity{UserID: "ada", Scopes: "read"}}
			escalate := func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					id, ok := auth.FromContext(r.Context())
					require.True(t, ok)
					id.UserID, id.Scopes = "root", "*"
					next.ServeHTTP(w, r)
				})
			}
			read := auth.RequireScope("read")(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				id, _ := auth.FromContext(r.Context())
				require.Equal(t, "ada", id.UserID)
				require.Equal(t, auth.Scopes("read"), id.Scopes)
			}))
			token := authorization("Bearer " + f.token("ada", "read"))
			for range 2 {
				for _, test := range []struct {
					a auth.Authenticator
					e edit
				}{{f.bearer, token}, {own, authorization()}} {
					w := httptest.NewRecorder()
					middleware.Require(test.a)(escalate(read)).ServeHTTP(w, request("GET", test.e))
					require.Equal(t, http.StatusOK, w.Code)
					w = httptest.NewRecorder()
					middleware.Require(test.a)(escalate(auth.RequireScope("write")(read))).ServeHTTP(w, request("GET", test.e))
					require.Equal(t, http.StatusForbidden, w.Code)
				}
			}
		})
	}
}

// Handlers may decide by the Scheme, so it is that of the authenticator, whatever the
// returned identity says.
func TestFromContext_schemeOfTheRoute(t *testing.T) {
	t.Parallel()
	a := fakeAuthenticator{scheme: "mTLS", identity: &auth.Identity{UserID: "ada", Scheme: auth.SchemeCookie}}
	accepted(t, behind(auth.Require(a)).get(), "ada", "mTLS")
}

func TestNewContext(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	_, ok := auth.FromContext(ctx)
	require.False(t, ok)
	_, ok = auth.User[string](ctx)
	require.False(t, ok)
	id := &auth.Identity{UserID: "ada", Scopes: "read"}
	ctx = auth.NewContext(ctx, id)
	id.UserID = "modified"
	got, ok := auth.FromContext(ctx)
	require.True(t, ok)
	require.Equal(t, "ada", got.UserID)
	ctx = auth.NewUserContext(ctx, 42)
	got, ok = auth.FromContext(ctx)
	require.True(t, ok)
	require.Equal(t, "ada", got.UserID)
	require.Equal(t, 42, auth.MustUser[int](ctx))
	_, ok = auth.User[string](ctx)
	require.False(t, ok)
	require.PanicsWithValue(t, "auth: MustUser wants a string and the context has a int", func() { auth.MustUser[string](ctx) })
	require.PanicsWithValue(t, "auth: MustUser wants a string and the context has a <nil>", func() { auth.MustUser[string](context.Background()) })

	other := auth.NewContext(ctx, &auth.Identity{UserID: "grace"})
	_, ok = auth.User[int](other)
	require.False(t, ok, "ada's user with grace's identity")
	_, ok = auth.FromContext(auth.NewContext(ctx, nil))
	require.False(t, ok)

	type key struct{}
	ctx = context.WithValue(ctx, key{}, "foreign")
	require.Equal(t, "foreign", auth.NewContext(ctx, id).Value(key{}))
	got, _ = auth.FromContext(ctx)
	require.Equal(t, "ada", got.UserID)
	//lint:ignore SA1029 the test needs a foreign key of a basic type
	ctx = context.WithValue(ctx, "identity", "foreign")
	got, _ = auth.FromContext(ctx)
	require.Equal(t, "ada", got.UserID)
}

// FromContext, User, CheckScope and Recheck work as in a handler.
func TestAuthenticateToken(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	var decisions recorder
	m := &auth.Middleware{Observe: decisions.observe, Resolve: func(_ context.Context, id *auth.Identity) (any, error) { return "user " + id.UserID, nil }}
	plaintext, c, err := f.bearer.Issue(t.Context(), "ada", auth.TokenOptions{Name: "x", Scopes: []string{"read"}, Lifetime: time.Hour})
	require.NoError(t, err)
	// The identity and the user of a request around the call must not show through.
	outer := auth.NewUserContext(auth.NewContext(context.WithValue(t.Context(), outerKey{}, "kept"), &auth.Identity{UserID: "mallory"}), 7)
	ctx, err := m.AuthenticateToken(outer, plaintext, f.bearer)
	require.NoError(t, err)
	require.Equal(t, "kept", ctx.Value(outerKey{}))
	id, ok := auth.FromContext(ctx)
	require.True(t, ok)
	require.Equal(t, &auth.Identity{
		UserID: "ada", Scheme: auth.SchemeBearer, CredentialID: c.ID, Scopes: "read", AuthenticatedAt: c.CreatedAt, ExpiresAt: c.ExpiresAt,
	}, id)
	require.Equal(t, "user ada", auth.MustUser[string](ctx))
	require.NoError(t, auth.CheckScope(ctx, "read"))
	require.ErrorIs(t, auth.CheckScope(ctx, "write"), auth.ErrInsufficientScope)
	require.Equal(t, []auth.Event{{Type: auth.EventAccepted, Scheme: auth.SchemeBearer, UserID: "ada", CredentialID: c.ID}}, decisions.take())

	require.NoError(t, auth.Recheck(ctx))
	require.NoError(t, f.bearer.Revoke(t.Context(), "ada", c.ID))
	require.ErrorIs(t, auth.Recheck(ctx), auth.ErrInvalidCredential)

	// Without a Resolve there is no user, even if ctx has one.
	ctx, err = new(auth.Middleware).AuthenticateToken(outer, f.token("grace"), f.bearer)
	require.NoError(t, err)
	_, ok = auth.User[int](ctx)
	require.False(t, ok)
}

type outerKey struct{}

func TestAuthenticateToken_recordsTheUse(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		plaintext, c, err := f.bearer.Issue(t.Context(), "ada", tokenOptions("x"))
		require.NoError(t, err)
		time.Sleep(time.Hour)
		_, err = new(auth.Middleware).AuthenticateToken(t.Context(), plaintext, f.bearer)
		require.NoError(t, err)
		require.NoError(t, f.bearer.Close(t.Context()))
		c, err = f.bearer.Get(t.Context(), "ada", c.ID)
		require.NoError(t, err)
		require.Equal(t, time.Now().Unix(), c.LastUsedAt.Unix())
	})
}

// A service that sends err.Error() to its client, as gRPC does, must not say more than a
// response: whether a token was valid once, or where the database is.
func TestAuthenticateToken_errors(t *testing.T) {
	t.Parallel()
	f := newFixture(t, prefixed)
	var decisions recorder
	m := &auth.Middleware{Realm: "Acme", Observe: decisions.observe, Resolve: func(_ context.Context, id *auth.Identity) (any, error) {
		switch id.UserID {
		case "disabled":
			return nil, auth.ErrInvalidCredential
		case "down":
			return nil, errors.New("canary: dial tcp 10.0.0.1")
		case "panic":
			panic("canary")
		case "suspended":
			return nil, fmt.Errorf("canary: %w", auth.ErrForbidden)
		case "away":
			return nil, &auth.Error{Err: auth.ErrReauthenticationRequired, MaxAge: time.Hour, Reason: auth.ReasonAge}
		case "trial":
			return nil, &auth.Error{Err: auth.ErrInsufficientScope, Scopes: []string{"paid"}}
		}
		return id.UserID, nil
	}}
	ctx := t.Context()
	revoked, c, err := f.bearer.Issue(ctx, "ada", tokenOptions("x"))
	require.NoError(t, err)
	require.NoError(t, f.bearer.Revoke(ctx, "ada", c.ID))
	bound, _ := f.boundToken("ada", "192.0.2.0/24")
	token := f.token("ada")
	for _, test := range []struct {
		name, plaintext string
		status          int
		is              error
		reason          auth.Reason // only the Observer gets it
	}{
		{"nothing", "", 401, auth.ErrNoCredential, auth.ReasonMissing},
		{"unknown", newFixture(t, prefixed).token("ada"), 401, auth.ErrInvalidCredential, auth.ReasonUnknown},
		{"revoked", revoked, 401, auth.ErrInvalidCredential, auth.ReasonRevoked},
		{"from an unknown network", bound, 401, auth.ErrInvalidCredential, auth.ReasonNetwork},
		{"of a disabled user", f.token("disabled"), 401, auth.ErrInvalidCredential, auth.ReasonDisabled},
		{"of another form", repeated("a", 32), 401, auth.ErrInvalidCredential, auth.ReasonPrefix},
		{"a client secret", f.issueSecret("ada"), 401, auth.ErrInvalidCredential, auth.ReasonPrefix},
		{"with its scheme", "Bearer " + token, 400, auth.ErrMalformed, auth.ReasonMalformed},
		{"with space around", " " + token, 400, auth.ErrMalformed, auth.ReasonMalformed},
		{"two", token + "," + token, 400, auth.ErrMalformed, auth.ReasonMalformed},
		{"too long", repeated("a", 513), 400, auth.ErrMalformed, auth.ReasonTooLong},
		{"of a user who may not", f.token("suspended"), 403, auth.ErrForbidden, auth.ReasonForbidden},
		{"of a user who signed in too long ago", f.token("away"), 401, auth.ErrReauthenticationRequired, auth.ReasonAge},
		{"of a user without a scope", f.token("trial"), 403, auth.ErrInsufficientScope, auth.ReasonScope},
		{"an outage", f.token("down"), 503, auth.ErrUnavailable, auth.ReasonUnavailable},
		{"a panic", f.token("panic"), 500, nil, auth.ReasonInternal},
	} {
		t.Run(test.name, func(t *testing.T) {
			decisions.take()
			got, err := m.AuthenticateToken(ctx, test.plaintext, f.bearer)
			require.Nil(t, got, "a caller that ignores the error gets no identity")
			var e *auth.Error
			require.ErrorAs(t, err, &e)
			require.Equal(t, test.status, e.StatusCode())
			if test.is != nil {
				require.ErrorIs(t, err, test.is)
				require.Equal(t, test.is, e.Err, "without a cause")
			}
			require.Empty(t, e.Reason)
			text := e.Err.Error()
			if test.plaintext != "" {
				text += " (Bearer)"
			}
			require.Equal(t, text, err.Error(), "without a reason")
			require.NotContains(t, text, "canary")
			events := decisions.take()
			require.Len(t, events, 1)
			require.Equal(t, auth.EventRefused, events[0].Type)
			require.Equal(t, test.reason, events[0].Reason)
			require.Empty(t, events[0].Method)

			// Over HTTP, the response is the same as that of Require.
			edits := []edit{authorization("Bearer " + test.plaintext)}
			if test.plaintext == "" {
				edits = nil
			}
			w := newRecorder()
			auth.WriteError(w, request("GET"), err)
			require.Empty(t, decisions.take(), "it has been reported")
			if test.name != "with its scheme" && test.name != "with space around" { // which Authorization has
				wrapped := behind(m.Require(f.bearer)).get(edits...)
				require.Equal(t, wrapped.Code, w.Code)
				require.Equal(t, wrapped.Header(), w.Header())
				require.Equal(t, wrapped.Body.String(), w.Body.String())
			}
		})
	}
}

// A panic of the store rejects the call, and does not end the process.
func TestAuthenticateToken_storePanics(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	token := f.token("ada")
	f.store.fail = func(string) error { panic("store") }
	_, err := new(auth.Middleware).AuthenticateToken(t.Context(), token, f.bearer)
	var e *auth.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, 500, e.StatusCode())
}

// Such mistakes are in the program, and not in the call.
func TestAuthenticateToken_panics(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	require.Panics(t, func() { new(auth.Middleware).AuthenticateToken(t.Context(), "x", nil) })
	require.Panics(t, func() { new(auth.Middleware).AuthenticateToken(t.Context(), "x", new(auth.Bearer)) })
	require.Panics(t, func() { (&auth.Middleware{Realm: "a\n"}).AuthenticateToken(t.Context(), "x", f.bearer) })
}

// Calls run at the same time as a revocation. After it, none is accepted, and no context
// passes Recheck.
func TestAuthenticateToken_race(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	m := &auth.Middleware{Resolve: func(_ context.Context, id *auth.Identity) (any, error) { return id.UserID, nil }}
	plaintext, c, err := f.bearer.Issue(t.Context(), "ada", tokenOptions("x"))
	require.NoError(t, err)
	accepted := make(chan context.Context, 101)
	call := func() {
		if ctx, err := m.AuthenticateToken(t.Context(), plaintext, f.bearer); err == nil {
			assert.Equal(t, "ada", auth.MustUser[string](ctx))
			accepted <- ctx
		} else {
			assert.ErrorIs(t, err, auth.ErrInvalidCredential)
		}
	}
	call()
	var calls sync.WaitGroup
	for range 100 {
		calls.Go(call)
	}
	require.NoError(t, f.bearer.Revoke(t.Context(), "ada", c.ID))
	calls.Wait()
	close(accepted)
	require.NotEmpty(t, accepted)
	for ctx := range accepted {
		require.ErrorIs(t, auth.Recheck(ctx), auth.ErrInvalidCredential)
	}
	_, err = m.AuthenticateToken(t.Context(), plaintext, f.bearer)
	require.ErrorIs(t, err, auth.ErrInvalidCredential)
}
