package auth_test

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

// What a page on which people manage their credentials asks of this package.

func TestGetIsTheOwnersAlone(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	_, token, err := f.bearer.Issue(t.Context(), "ada", tokenOptions("deploy"))
	require.NoError(t, err)
	_, session := f.session("ada")

	got, err := f.bearer.Get(t.Context(), "ada", token.ID)
	require.NoError(t, err)
	require.Equal(t, token, got)
	got, err = f.cookie.Get(t.Context(), "ada", session.ID)
	require.NoError(t, err)
	require.Equal(t, session, got)

	for name, wrong := range map[string]struct{ user, token, session string }{
		"another user":      {"grace", token.ID, session.ID},
		"the other's kind":  {"ada", session.ID, token.ID},
		"an absent ID":      {"ada", "absent", "absent"},
		"an ID that is odd": {"ada", "\x00", "\xff"},
	} {
		_, err := f.bearer.Get(t.Context(), wrong.user, wrong.token)
		require.ErrorIs(t, err, auth.ErrNotFound, name)
		_, err = f.cookie.Get(t.Context(), wrong.user, wrong.session)
		require.ErrorIs(t, err, auth.ErrNotFound, name)
	}
	_, err = f.bearer.Get(t.Context(), "", token.ID)
	require.ErrorIs(t, err, auth.ErrInvalidArgument)

	f.store.fail = func(string) error { return errors.New("out") }
	_, err = f.bearer.Get(t.Context(), "ada", token.ID)
	require.ErrorIs(t, err, auth.ErrUnavailable)
}

func TestPoliciesHaveTheirDefaults(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	week := 7 * 24 * time.Hour
	require.Equal(t, auth.CookiePolicy{Name: "__Host-session", Lifetime: week}, f.cookie.Policy())
	require.Equal(t, auth.SecretPolicy{MaxOverlap: week, Revealable: true}, f.secret.Policy())

	f = newFixture(t, func(c *configs) {
		c.cookie.Name, c.cookie.Lifetime, c.cookie.IdleTimeout, c.cookie.MaxPerUser = "sid", time.Hour, time.Minute*30, 5
		c.secret = auth.SecretConfig{Prefix: "acme_cs", MaxOverlap: time.Hour}
	})
	require.Equal(t, auth.CookiePolicy{Name: "sid", Lifetime: time.Hour, IdleTimeout: time.Minute * 30, MaxPerUser: 5}, f.cookie.Policy())
	require.Equal(t, auth.SecretPolicy{Prefix: "acme_cs", MaxOverlap: time.Hour}, f.secret.Policy())
}

func TestArgumentErrorsNameEachArgument(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(c *configs) { c.bearer.MaxLifetime = time.Hour })
	_, _, err := f.bearer.Issue(t.Context(), "", auth.TokenOptions{Name: "\n"})
	require.ErrorIs(t, err, auth.ErrInvalidArgument)
	joined, ok := err.(interface{ Unwrap() []error })
	require.True(t, ok)
	var arguments []string
	for _, err := range joined.Unwrap() {
		var e *auth.ArgumentError
		require.ErrorAs(t, err, &e)
		require.Equal(t, "auth: invalid argument: "+e.Argument+": "+e.Fault, err.Error())
		arguments = append(arguments, e.Argument)
	}
	require.Equal(t, []string{"userID", "Name", "Scopes", "Lifetime"}, arguments)

	_, _, err = f.secret.Rotate(t.Context(), "ada", "id", -1)
	var e *auth.ArgumentError
	require.ErrorAs(t, err, &e)
	require.Equal(t, "overlap", e.Argument)
}

// A service that mails its users about changes can say from where they were made.
func TestChangesInAHandlerAreToldWithItsAddress(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	signedIn := withCookie(f.signIn("ada"))
	h := auth.Require(f.cookie)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := auth.NewUserContext(r.Context(), "anybody")
		_, c, err := f.bearer.Issue(ctx, "ada", tokenOptions("deploy"))
		require.NoError(t, err)
		require.NoError(t, f.bearer.Revoke(auth.NewContext(ctx, nil), "ada", c.ID))
	}))
	f.events.take()
	(&target{Handler: h}).get(signedIn)
	events := f.events.take()
	require.Len(t, events, 2)
	for _, e := range events {
		require.Equal(t, "192.0.2.1:1234", e.Remote, e.Type)
	}

	f.token("ada")
	require.Empty(t, f.events.take()[0].Remote, "outside of a request there is none")
}
