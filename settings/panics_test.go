package settings_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

// A panickingStore panics in selected methods.
type panickingStore struct {
	auth.Store
	value any
}

func (s *panickingStore) List(ctx context.Context, kind auth.Kind, userID string, page auth.Page) ([]auth.Credential, error) {
	if s.value != nil {
		panic(s.value)
	}
	return s.Store.List(ctx, kind, userID, page)
}

func (s *panickingStore) RevokeAll(context.Context, auth.Kind, string, ...string) (int, error) {
	panic(s.value)
}

// A panic is an internal error of one request, reported without its value, which may be a
// credential.
func TestPanic_ofTheStore(t *testing.T) {
	t.Parallel()
	s := newService(t)
	h := newPopulatedUser(t, s, "ada")
	s.store.Store = &panickingStore{s.store.Store, "canary " + h.token}
	for _, e := range []endpoint{{"GET", "/"}, {"GET", "/api/tokens"}, {"POST", "/tokens/revoke"}, {"DELETE", "/api/tokens"}} {
		s.events.take()
		body, contentType := filled(e, h.secretID)
		got := h.do(e.method, e.path, body, field("Content-Type", contentType))
		require.Equal(t, http.StatusInternalServerError, got.Code, e)
		require.NotContains(t, got.Body.String(), "canary")
		if e.method != "GET" {
			require.Regexp(t, unknownChange, got.Body.String(), e)
		}
		refusal := s.events.refusal(t)
		require.Equal(t, auth.ReasonInternal, refusal.Reason)
		require.Equal(t, h.session.ID, refusal.CredentialID)
		require.ErrorContains(t, refusal.Err, "panicked with a string")
		require.NotContains(t, refusal.Err.Error(), h.token)
	}
}

// http.ErrAbortHandler ends the connection, as net/http documents.
func TestPanic_abort(t *testing.T) {
	t.Parallel()
	s := newService(t)
	ada := s.signIn("ada")
	s.store.Store = &panickingStore{s.store.Store, http.ErrAbortHandler}
	require.PanicsWithValue(t, http.ErrAbortHandler, func() { ada.get("/") })
}

// A panic of Config.Developer is an outage of it. The token that the page shows is not lost.
func TestPanic_ofDeveloper(t *testing.T) {
	t.Parallel()
	s := newService(t, func(c *configs) {
		c.settings.Developer = func(context.Context, *auth.Identity) (bool, error) { panic("directory") }
	})
	ada := s.signIn("ada")
	s.events.take()
	ada.get("/secret").page(http.StatusServiceUnavailable)
	refusal := s.events.refusal(t)
	require.Equal(t, auth.ReasonUnavailable, refusal.Reason)
	require.ErrorContains(t, refusal.Err, "Config.Developer panicked")
	form := newToken(ada.get("/tokens/new").page(http.StatusOK))
	ada.post("/tokens", form).page(http.StatusOK, "acme_pat_")
}

// The functions of the service get an identity of their own: one that they change, for example to
// look the user up, gives the request no other user and no other access.
func TestConfig_functionsChangeTheIdentity(t *testing.T) {
	t.Parallel()
	changeTo := func(id *auth.Identity) { id.UserID, id.Scopes, id.Actor = "grace", auth.FullAccess, "" }
	s := newService(t, func(c *configs) {
		c.settings.Developer = func(_ context.Context, id *auth.Identity) (bool, error) { changeTo(id); return true, nil }
		c.settings.Account = func(_ context.Context, id *auth.Identity) string { changeTo(id); return "account" }
		c.settings.BeforeIssue = func(_ context.Context, id *auth.Identity, _ *auth.TokenOptions) error { changeTo(id); return nil }
		c.settings.BeforeUpdate = func(_ context.Context, id *auth.Identity, _ auth.Credential, _ *auth.TokenUpdate) error {
			changeTo(id)
			return nil
		}
	})
	grace := newPopulatedUser(t, s, "grace")
	limited := s.signIn("ada", "notes:read")
	limited.json("POST", "/api/secret/reveal", `{"id": "`+grace.secretID+`"}`).problem(http.StatusForbidden, "insufficient_scope")
	require.NotContains(t, limited.get("/").page(http.StatusOK), grace.tokenID)
	limited.get("/secret").page(http.StatusOK, "no client secret")
	limited.json("POST", "/api/tokens", tokenBody(validName, `["*"]`, validExpiry)).problem(http.StatusForbidden, "insufficient_scope")
	id, _ := limited.createToken(tokenBody(validName, `["notes:read"]`, validExpiry))
	limited.patch(id, `{"scopes": ["*"]}`).problem(http.StatusForbidden, "insufficient_scope")
	summary, err := limited.summary()
	require.NoError(t, err)
	require.Equal(t, []any{1, limited.account()}, []any{summary.Tokens, summary.Account})
	require.Nil(t, summary.Secret)
	grace.untouched()
}

// Pages that do not need the answer of Config.Developer still work, and its error is reported
// once.
func TestAccess_developerErrorIsReported(t *testing.T) {
	t.Parallel()
	s := newService(t, func(c *configs) {
		c.settings.Developer = func(context.Context, *auth.Identity) (bool, error) { return true, errDisk }
	})
	ada := s.signIn("ada")
	s.events.take()
	require.NotContains(t, ada.get("/").page(http.StatusOK), "Client secret")
	require.ErrorIs(t, s.events.refusal(t).Err, errDisk)
}

// Config.Developer can take a while. It is asked before the session is checked for the last
// time.
func TestRelease_revokedDuringDeveloper(t *testing.T) {
	t.Parallel()
	var s *service
	revoke := false
	s = newService(t, func(c *configs) {
		c.settings.Developer = func(ctx context.Context, id *auth.Identity) (bool, error) {
			if revoke {
				_, err := s.cookie.RevokeAll(ctx, id.UserID)
				return true, err
			}
			return true, nil
		}
	})
	ada := s.signIn("ada")
	form := newToken(ada.get("/tokens/new").page(http.StatusOK))
	revoke = true
	require.NotContains(t, ada.post("/tokens", form).page(http.StatusUnauthorized), "acme_pat_")
	require.Empty(t, ada.tokens())

	// The API has no navigation, and does not ask.
	ada = s.signIn("ada")
	ada.json("POST", "/api/tokens", tokenBody(validName, validScopes, validExpiry)).status(http.StatusCreated)
}

// Over a LookupStore, whose records are managed elsewhere, nothing can be listed.
func TestOutage_unsupportedStore(t *testing.T) {
	t.Parallel()
	s := newService(t)
	ada := s.signIn("ada")
	s.store.with = errors.ErrUnsupported
	s.store.setFailing("List")
	ada.get("/").page(http.StatusNotImplemented, "does not support that")
	ada.get("/api/tokens").problem(http.StatusNotImplemented, "unsupported")
}

// A middleware around the handler, for example against CSRF, may have read the form.
func TestPage_formReadOutside(t *testing.T) {
	t.Parallel()
	s := newService(t)
	inner := s.Handler
	s.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.PostFormValue("csrf")
		inner.ServeHTTP(w, r)
	})
	ada := s.signIn("ada")
	form := newToken(ada.get("/tokens/new").page(http.StatusOK))
	ada.post("/tokens", form).page(http.StatusOK, "acme_pat_")
	require.Len(t, ada.tokens(), 1)
	form.Add("name", "another")
	ada.post("/tokens", form).page(http.StatusBadRequest)
}

// A body of unknown length may turn out to be empty.
func TestAPI_emptyBodyOfUnknownLength(t *testing.T) {
	t.Parallel()
	ada := newService(t).signIn("ada")
	ada.do("POST", "/api/secret", "", func(r *http.Request) { r.ContentLength = -1 }).status(http.StatusCreated)
}

// Rotating a token that has itself replaced one revokes that one, and the page says so.
func TestRotatePage_namesTheOneThatEnds(t *testing.T) {
	t.Parallel()
	ada := newService(t).signIn("ada")
	_, first := ada.token("deploy")
	require.NotContains(t, ada.get("/tokens/"+first.ID+"/rotate").page(http.StatusOK), "that it replaced")
	_, second, err := ada.bearer.Rotate(t.Context(), "ada", first.ID, time.Hour)
	require.NoError(t, err)
	ada.get("/tokens/"+second.ID+"/rotate").page(http.StatusOK, "The one that it replaced, "+first.Hint, "stops working immediately")
}

// The confirmation does not claim that there is nothing to revoke if it has not read all records.
func TestRevokePage_manyExpired(t *testing.T) {
	t.Parallel()
	s := newService(t)
	ada := s.signIn("ada")
	ada.token("deploy")
	s.store.Store = &expiredStore{s.store.Store}
	text := ada.get("/tokens/revoke").page(http.StatusOK)
	require.Contains(t, text[strings.Index(text, `class="names"`):], "and others")
}

// An expiredStore has more expired tokens in front of each record than a page reads.
type expiredStore struct{ auth.Store }

func (s *expiredStore) List(_ context.Context, kind auth.Kind, userID string, page auth.Page) ([]auth.Credential, error) {
	list := make([]auth.Credential, page.Max())
	for i := range list {
		list[i] = auth.Credential{ID: page.After + "0", Kind: kind, UserID: userID, ExpiresAt: time.Unix(1, 0)}
	}
	return list, nil
}
