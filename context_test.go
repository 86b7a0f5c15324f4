package auth_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

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
