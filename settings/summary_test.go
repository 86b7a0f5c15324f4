package settings_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/settings"
)

// summary calls Summary in a handler of the service, for a request with edits.
func (u *user) summary(edits ...edit) (s *settings.Summary, err error) {
	u.t.Helper()
	page := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { s, err = u.settings.Summary(r) })
	r := httptest.NewRequest("GET", origin+"/profile?page=7&after=0", nil)
	r.AddCookie(u.cookie)
	for _, e := range edits {
		e(r)
	}
	w := httptest.NewRecorder()
	auth.Require(u.bearer, u.service.cookie, u.secret)(page).ServeHTTP(w, r)
	require.Equal(u.t, http.StatusOK, w.Code)
	return s, err
}

func TestHandler_Summary(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newService(t)
		ada := s.signIn("ada")
		other := s.signIn("bob")
		other.token("deploy")
		other.createSecret()
		got, err := ada.summary()
		require.NoError(t, err)
		require.Equal(t, &settings.Summary{Account: ada.account(), MayHaveSecret: true, Sessions: 1}, got)

		start := time.Now()
		ada.issue("short", time.Minute, auth.FullAccess)
		_, old := ada.issue("month", 30*24*time.Hour, auth.FullAccess)
		ada.token("forever")
		_, _, err = s.bearer.Rotate(t.Context(), "ada", old.ID, time.Hour)
		require.NoError(t, err)
		_, c := ada.createSecret()
		s.actAs("ada", "grace")
		time.Sleep(time.Minute)
		got, err = ada.summary()
		require.NoError(t, err)
		require.Equal(t, &settings.Summary{
			Account: ada.account(), Tokens: 2, NextExpiry: start.Add(30 * 24 * time.Hour), MayHaveSecret: true, Sessions: 2,
			Secret: &settings.SecretSummary{ID: c.ID, Hint: c.Hint, CreatedAt: start, Revealable: true},
		}, utc(got, start))

		// The form that it describes works.
		form := url.Values{"account": {got.Account}, "id": {got.Secret.ID}}
		require.NotEmpty(t, plaintext(ada.do("POST", "/secret/reveal", form.Encode(), field("Content-Type", "application/x-www-form-urlencoded")).page(http.StatusOK)))
		require.NoError(t, s.cookie.Close(t.Context()))
	})
}

// utc returns a summary whose times are in the location of start.
func utc(s *settings.Summary, start time.Time) *settings.Summary {
	s.NextExpiry = s.NextExpiry.In(start.Location())
	s.Secret.CreatedAt = s.Secret.CreatedAt.In(start.Location())
	return s
}

func TestHandler_Summary_lastUse(t *testing.T) {
	t.Parallel()
	s := newService(t)
	ada := s.signIn("ada")
	secret, _ := ada.createSecret()
	r := httptest.NewRequest("GET", origin+"/api", nil)
	r.Header.Set("Authorization", "Secret "+secret)
	fromAddr(r)
	_, err := new(auth.Middleware).Authenticate(r, s.secret)
	require.NoError(t, err)
	require.NoError(t, s.secret.Close(t.Context()))
	got, err := ada.summary()
	require.NoError(t, err)
	require.WithinDuration(t, time.Now(), got.Secret.LastUsedAt, time.Minute)
	require.Equal(t, netip.MustParseAddr("198.51.100.7"), got.Secret.LastUsedFrom)
}

// No session gets a button that the page would reject.
func TestHandler_Summary_revealable(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.signIn("ada").createSecret()
	for name, u := range map[string]*user{"limited session": s.signIn("ada", "notes:read"), "support": s.actAs("ada", "grace")} {
		got, err := u.summary()
		require.NoError(t, err, name)
		require.NotEmpty(t, got.Secret.Hint, name)
		require.False(t, got.Secret.Revealable, name)
	}
	s = newService(t, func(c *configs) { c.secret.RevealKeys = nil })
	ada := s.signIn("ada")
	ada.createSecret()
	got, err := ada.summary()
	require.NoError(t, err)
	require.False(t, got.Secret.Revealable, "only its digest is stored")
}

func TestHandler_Summary_withoutSecrets(t *testing.T) {
	t.Parallel()
	ada := newService(t, withoutSecrets).signIn("ada")
	got, err := ada.summary()
	require.NoError(t, err)
	require.False(t, got.MayHaveSecret)

	down := errors.New("down")
	may, failure := false, error(nil)
	s := newService(t, func(c *configs) {
		c.settings.Developer = func(context.Context, *auth.Identity) (bool, error) { return may, failure }
	})
	ada = s.signIn("ada")
	ada.createSecret()
	got, err = ada.summary()
	require.NoError(t, err)
	require.False(t, got.MayHaveSecret)
	require.Nil(t, got.Secret)
	failure = down
	s.events.take()
	_, err = ada.summary()
	require.ErrorIs(t, err, auth.ErrUnavailable)
	require.ErrorIs(t, s.events.take()[0].Err, down)
}

// A token or a client secret learns nothing of the others.
func TestHandler_Summary_requiresSession(t *testing.T) {
	t.Parallel()
	s := newService(t)
	h := newPopulatedUser(t, s, "ada")
	for _, credential := range []string{"Bearer " + h.token, "Secret " + h.secret} {
		got, err := h.summary(without("Cookie"), field("Authorization", credential))
		require.ErrorIs(t, err, auth.ErrForbidden)
		require.Nil(t, got)
	}
	_, err := s.settings.Summary(httptest.NewRequest("GET", origin+"/profile", nil))
	require.ErrorIs(t, err, auth.ErrForbidden)

	s.store.setFailing("List")
	_, err = h.summary()
	require.ErrorIs(t, err, auth.ErrUnavailable)
}

func TestHandler_Summary_manyRecords(t *testing.T) {
	t.Parallel()
	ada := newService(t).signIn("ada")
	ada.fill(auth.KindToken, 1001, 1001)
	ada.fill(auth.KindSession, 1000, 1000)
	got, err := ada.summary()
	require.NoError(t, err)
	require.Equal(t, []any{1000, true, 1000, true}, []any{got.Tokens, got.MoreTokens, got.Sessions, got.MoreSessions})
}

// The bar names the account, and its button ends the session of the page.
func TestConfig_account(t *testing.T) {
	t.Parallel()
	s := newService(t, func(c *configs) {
		c.settings.Middleware.Resolve = func(_ context.Context, id *auth.Identity) (any, error) { return id.UserID + "<@example.com>", nil }
		c.settings.Account = func(ctx context.Context, _ *auth.Identity) string {
			name, _ := auth.User[string](ctx)
			return name
		}
	})
	ada := newPopulatedUser(t, s, "ada")
	const name = ">ada&lt;@example.com&gt;</bdi>"
	for _, path := range []string{"/", "/sessions", "/tokens/" + ada.tokenID + "/revoke"} {
		require.Equal(t, 1, strings.Count(ada.get(path).page(http.StatusOK, name), name))
	}
	ada.get("/nothing").page(http.StatusNotFound, name)
	require.NotContains(t, s.do("GET", "/", "", field("Authorization", "Bearer "+ada.token)).page(http.StatusForbidden), `class="account"`)
	require.NotContains(t, newService(t).signIn("ada").get("/").page(http.StatusOK), `class="account"`)

	form := between(t, ada.get("/secret").page(http.StatusOK), `<form class="account"`, "</form>")
	require.Equal(t, ada.account(), hidden(form).Get("account"))
	require.Contains(t, form, `action="./sessions/`+ada.session.ID+`/end"`)
	got := ada.post("/sessions/"+ada.session.ID+"/end", hidden(form))
	require.NotContains(t, got.page(http.StatusOK, "Signed out"), name)
	require.Contains(t, got.Header().Get("Set-Cookie"), "Max-Age=0")
}

// A panic of Config.Account is an internal error, and no plaintext follows it.
func TestConfig_accountPanics(t *testing.T) {
	t.Parallel()
	s := newService(t, func(c *configs) {
		c.settings.Account = func(context.Context, *auth.Identity) string { panic("no name") }
	})
	ada := s.signIn("ada")
	s.events.take()
	ada.get("/").page(http.StatusInternalServerError, "Something went wrong")
	require.Equal(t, auth.ReasonInternal, s.events.take()[0].Reason)
	ada.get("/api/tokens").status(http.StatusOK)
}
