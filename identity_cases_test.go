package auth_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

func TestIdentity(t *testing.T) {
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
			id.UserID = "spoilt"
		})).ServeHTTP(httptest.NewRecorder(), request("GET", test.e))
		require.Equal(t, want, got)
		require.Equal(t, test.scheme, test.a.Scheme())
		alone, err := test.a.Authenticate(request("GET", test.e))
		require.NoError(t, err)
		require.Equal(t, want, *alone)
		_, err = test.a.Authenticate(request("GET"))
		require.ErrorIs(t, err, auth.ErrNoCredential)
		accepted(t, f.all().get(test.e), "ada", test.scheme) // the handler spoilt its own copy
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

// Whoever reads an identity has one of his own. What is done to it is seen neither by
// a check of scopes further in, nor by the next request, nor in the store.
func TestIdentityIsNobodyElses(t *testing.T) {
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

// An identity's scheme is the one that the route was given, whatever it claims:
// handlers decide by it.
func TestSchemeIsNotClaimed(t *testing.T) {
	t.Parallel()
	a := fakeAuthenticator{scheme: "mTLS", identity: &auth.Identity{UserID: "ada", Scheme: auth.SchemeCookie}}
	accepted(t, behind(auth.Require(a)).get(), "ada", "mTLS")
}

func TestContext(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	_, ok := auth.FromContext(ctx)
	require.False(t, ok)
	_, ok = auth.User[string](ctx)
	require.False(t, ok)
	id := &auth.Identity{UserID: "ada", Scopes: "read"}
	ctx = auth.NewContext(ctx, id)
	id.UserID = "spoilt"
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
	require.False(t, ok, "ada's user beside grace's identity")
	_, ok = auth.FromContext(auth.NewContext(ctx, nil))
	require.False(t, ok)

	type key struct{}
	ctx = context.WithValue(ctx, key{}, "foreign")
	require.Equal(t, "foreign", auth.NewContext(ctx, id).Value(key{}))
	got, _ = auth.FromContext(ctx)
	require.Equal(t, "ada", got.UserID)
	//lint:ignore SA1029 a foreign key of a basic type is what is shown not to collide
	ctx = context.WithValue(ctx, "identity", "foreign")
	got, _ = auth.FromContext(ctx)
	require.Equal(t, "ada", got.UserID)
}

// What a request carries reaches the handler: its own context's end, its body,
// its path values.
func TestRequestIsHandedOn(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	mux := http.NewServeMux()
	var seen, original *http.Request
	mux.Handle("GET /notes/{id}", auth.Require(f.bearer)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { seen = r })))
	original = httptest.NewRequest("GET", "/notes/7", nil)
	original.Header.Set("Authorization", "Bearer "+f.token("ada"))
	ctx, cancel := context.WithCancelCause(t.Context())
	original = original.WithContext(ctx)
	mux.ServeHTTP(httptest.NewRecorder(), original)
	require.Equal(t, "7", seen.PathValue("id"))
	require.Equal(t, "GET /notes/{id}", seen.Pattern)
	_, ok := auth.FromContext(original.Context())
	require.False(t, ok, "the caller's request is changed")
	why := errors.New("gone")
	cancel(why)
	<-seen.Context().Done()
	require.Equal(t, why, context.Cause(seen.Context()))
}

func TestResolve(t *testing.T) {
	t.Parallel()
	type user struct{ name string }
	f := newFixture(t)
	m := auth.Middleware{Resolve: func(ctx context.Context, id *auth.Identity) (any, error) {
		if _, ok := auth.FromContext(ctx); ok {
			return nil, errors.New("the request's own context was expected")
		}
		return &user{"user " + id.UserID}, nil
	}}
	var got string
	h := m.Require(f.bearer)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { got = auth.MustUser[*user](r.Context()).name }))
	h.ServeHTTP(httptest.NewRecorder(), request("GET", authorization("Bearer "+f.token("ada"))))
	require.Equal(t, "user ada", got)
}

func TestScopesHas(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		have auth.Scopes
		need string
		want bool
	}{
		{"*", "read", true}, {"*", "*", true}, {"*", "", false}, {"*", "a b", false},
		{"", "read", false}, {"", "", false}, {"read", "read", true}, {"read", "rea", false}, {"rea", "read", false},
		{"read write", "write", true}, {"read write", "read write", false}, {"read write", "", false},
		{"read *", "write", false}, {"read *", "*", false}, {"* ", "write", false}, {"**", "write", false},
	} {
		require.Equal(t, test.want, test.have.Has(test.need), "%q has %q", test.have, test.need)
	}
	require.Equal(t, []string{"read", "write"}, auth.Scopes("read write").List())
	require.Equal(t, []string{}, auth.Scopes("").List())
	// Handing on the scopes of one credential to another grants nothing more.
	f := newFixture(t)
	for _, scopes := range []auth.Scopes{"*", "read", "read write"} {
		_, c, err := f.bearer.Issue(t.Context(), "ada", auth.TokenOptions{Name: "x", Scopes: scopes.List(), Lifetime: auth.NoExpiry})
		require.NoError(t, err)
		require.Equal(t, scopes, c.Scopes)
	}
	_, _, err := f.bearer.Issue(t.Context(), "ada", auth.TokenOptions{Name: "x", Scopes: auth.Scopes("").List(), Lifetime: auth.NoExpiry})
	require.ErrorIs(t, err, auth.ErrInvalidArgument)
}

func TestCheckScope(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	var m auth.Middleware
	check := func(wrap func(http.Handler) http.Handler, edits []edit, scopes ...string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if err := auth.CheckScope(r.Context(), scopes...); err != nil {
				auth.WriteError(w, r, err)
			}
		})).ServeHTTP(w, request("GET", edits...))
		return w
	}
	reading := []edit{authorization("Bearer " + f.token("ada", "read"))}
	none := func(h http.Handler) http.Handler { return h }
	scoped := func(needs ...string) func(http.Handler) http.Handler {
		return func(h http.Handler) http.Handler { return m.Optional(f.bearer, f.cookie)(m.RequireScope(needs...)(h)) }
	}
	any := func(needs ...string) func(http.Handler) http.Handler {
		return func(h http.Handler) http.Handler { return auth.Require(f.bearer)(auth.RequireAnyScope(needs...)(h)) }
	}
	require.Equal(t, 200, check(m.Require(f.bearer), reading, "read").Code)
	require.Equal(t, 200, check(m.Require(f.bearer), reading).Code)
	refused(t, check(m.Require(f.bearer), reading, "read", "write"), 403, `Bearer realm="api", error="insufficient_scope", scope="read write"`)
	refused(t, check(m.Optional(f.bearer), nil, "read"), 401, plainBearer)
	refused(t, check(none, nil, "read"), 500)
	require.Equal(t, 200, check(scoped("read"), reading).Code)
	refused(t, check(scoped("write"), reading), 403, `Bearer realm="api", error="insufficient_scope", scope="write"`)
	refused(t, check(scoped("write"), nil), 401, plainBearer)
	require.Equal(t, []string{"Cookie", "Authorization"}, check(scoped("write"), nil).Header().Values("Vary"))
	refused(t, check(m.RequireScope("read"), nil), 500)
	require.Equal(t, 200, check(any("write", "read"), reading).Code)
	refused(t, check(any("write", "admin"), reading), 403, `Bearer realm="api", error="insufficient_scope", scope="write admin"`)

	// In tests of handlers, and in jobs, there is no route.
	ctx := auth.NewContext(t.Context(), &auth.Identity{UserID: "ada", Scheme: auth.SchemeBearer, Scopes: "read"})
	require.NoError(t, auth.CheckScope(ctx, "read"))
	require.ErrorIs(t, auth.CheckScope(ctx, "write"), auth.ErrInsufficientScope)
	var e *auth.Error
	require.ErrorAs(t, auth.CheckScope(t.Context()), &e)
	require.Equal(t, 500, e.StatusCode())
}

// Names and forms in JSON are part of the API.
func TestIdentity_json(t *testing.T) {
	t.Parallel()
	at := time.Date(2027, 1, 12, 9, 30, 0, 0, time.UTC)
	for want, v := range map[string]any{
		`{"user_id":"ada","scheme":"Bearer","credential_id":"01","scopes":"read write","authenticated_at":"2027-01-12T09:30:00Z"}`: auth.Identity{
			UserID: "ada", Scheme: auth.SchemeBearer, CredentialID: "01", Scopes: "read write", AuthenticatedAt: at,
		},
		`{"id":"01","kind":"token","user_id":"ada","name":"deploy","hint":"acme_…Pcx3","scopes":"*","created_at":"2027-01-12T09:30:00Z","expires_at":"2027-01-12T09:30:00Z"}`: auth.Credential{
			ID: "01", Kind: auth.KindToken, UserID: "ada", Name: "deploy", Hint: "acme_…Pcx3", Scopes: auth.FullAccess,
			Digest: auth.Digest{1}, Sealed: []byte("sealed"), CreatedAt: at, ExpiresAt: at,
		},
		`{"id":"01","kind":"secret","user_id":"ada","scopes":"","last_used_at":"2027-01-12T09:30:00Z","superseded":true,"previous":"00"}`: auth.Credential{
			ID: "01", Kind: auth.KindSecret, UserID: "ada", LastUsedAt: at, Superseded: true, Previous: "00",
		},
	} {
		got, err := json.Marshal(v)
		require.NoError(t, err)
		require.JSONEq(t, want, string(got))
	}
	for _, kind := range []auth.Kind{auth.KindToken, auth.KindSession, auth.KindSecret} {
		text, err := kind.MarshalText()
		require.NoError(t, err)
		var back auth.Kind
		require.NoError(t, back.UnmarshalText(text))
		require.Equal(t, kind, back)
	}
	for _, unknown := range []string{"", "none", "Token", "tokens"} {
		require.Error(t, new(auth.Kind).UnmarshalText([]byte(unknown)))
	}
}

func TestCredential_expired(t *testing.T) {
	t.Parallel()
	at := time.Date(2027, 1, 12, 9, 30, 0, 0, time.UTC)
	c := auth.Credential{ExpiresAt: at}
	require.False(t, c.Expired(at.Add(-1)))
	require.True(t, c.Expired(at))
	require.False(t, auth.Credential{}.Expired(at), "the zero time means never")
}
