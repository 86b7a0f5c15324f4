package auth_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

func TestError_text(t *testing.T) {
	t.Parallel()
	require.Equal(t, "auth: invalid credential (Bearer, expired)", (&auth.Error{Scheme: "Bearer", Reason: auth.ReasonExpired, Err: auth.ErrInvalidCredential}).Error())
	require.Equal(t, "auth: no credential", (&auth.Error{Err: auth.ErrNoCredential}).Error())
	require.Equal(t, "auth: rejected", (&auth.Error{}).Error())
	require.Equal(t, "token session secret none", auth.KindToken.String()+" "+auth.KindSession.String()+" "+auth.KindSecret.String()+" "+auth.Kind(0).String())
}

// WriteError writes the status, the code and the detail of the Error.
func TestError_codes(t *testing.T) {
	t.Parallel()
	for err, want := range map[error]struct {
		status int
		code   string
	}{
		auth.ErrNoCredential:             {401, "missing_credential"},
		auth.ErrInvalidCredential:        {401, "invalid_credential"},
		auth.ErrReauthenticationRequired: {401, "insufficient_user_authentication"},
		auth.ErrMalformed:                {400, "malformed_request"},
		auth.ErrInvalidArgument:          {400, "invalid_argument"},
		auth.ErrInsufficientScope:        {403, "insufficient_scope"},
		auth.ErrForbidden:                {403, "forbidden"},
		auth.ErrCrossOrigin:              {403, "cross_origin"},
		auth.ErrNotFound:                 {404, "not_found"},
		auth.ErrRevoked:                  {404, "not_found"},
		auth.ErrConflict:                 {409, "conflict"},
		auth.ErrLimit:                    {409, "limit_reached"},
		errors.ErrUnsupported:            {501, "unsupported"},
		auth.ErrUnavailable:              {503, "unavailable"},
		errors.New("canary"):             {503, "unavailable"},
		// An error that also wraps an outage is an outage.
		errors.Join(auth.ErrInvalidCredential, auth.ErrUnavailable): {503, "unavailable"},
	} {
		e := &auth.Error{Err: err}
		require.Equal(t, want.status, e.StatusCode(), err)
		require.Equal(t, want.code, e.Code(), err)
		require.NotContains(t, e.Detail(), "canary")
		w := newRecorder()
		auth.WriteError(w, request("GET"), e)
		var problem struct {
			Status       int
			Code, Detail string
		}
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &problem))
		require.Equal(t, want.status, problem.Status)
		require.Equal(t, want.code, problem.Code)
		require.Equal(t, e.Detail(), problem.Detail)
	}
	bug := behind(auth.Require(fakeAuthenticator{scheme: "X", panics: "canary"})).get(authorization("X a"))
	require.Equal(t, 500, bug.Code)
	require.JSONEq(t, `{"type":"about:blank","title":"Internal Server Error","status":500,"code":"internal","detail":"An internal error occurred."}`, bug.Body.String())
}

// A 503 has many causes: the lookup of a credential, Resolve after a successful lookup, or a
// call in a handler. Its text is true for all of them.
func TestError_detailOfAnOutage(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	failing(f, "Create", errors.New("disk full"))
	issue := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _, err := f.bearer.Issue(r.Context(), "ada", tokenOptions("x"))
		auth.WriteError(w, r, err)
	})
	resolve := func(context.Context, *auth.Identity) (any, error) { return nil, errors.New("disk full") }
	for name, h := range map[string]http.Handler{
		"Issue":   issue,
		"Resolve": (&auth.Middleware{Resolve: resolve}).Require(fakeAuthenticator{scheme: "X", identity: &auth.Identity{UserID: "ada"}})(issue),
		"lookup":  auth.Require(fakeAuthenticator{scheme: "X", err: errors.New("disk full")})(issue),
	} {
		w := newRecorder()
		h.ServeHTTP(w, request("POST", authorization("X a")))
		require.JSONEq(t, `{"type":"about:blank","title":"Service Unavailable","status":503,"code":"unavailable",
			"detail":"The service is temporarily unavailable. This does not mean that the credential is invalid. Please try again."}`, w.Body.String(), name)
	}
}

func TestArgumentError(t *testing.T) {
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
