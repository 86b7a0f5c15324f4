package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/examples/internal/exampletest"
)

func TestRequire_echoGroup(t *testing.T) {
	t.Parallel()
	s, err := newService(auth.NewMemoryStore(), exampletest.Keys())
	require.NoError(t, err)
	exampletest.Notes(t, s.routes(), s.bearer)
}

// mountSettings serves Developer Settings under /settings.
func mountSettings(developer http.Handler) http.Handler {
	e := echo.New()
	pages := echo.WrapHandler(http.StripPrefix("/settings", developer))
	e.Any("/settings", pages) // redirects to /settings/
	e.Any("/settings/*", pages)
	return e
}

func TestSettings_echoMount(t *testing.T) {
	t.Parallel()
	exampletest.Settings(t, mountSettings,
		func(developer http.Handler) http.Handler {
			e := echo.New()
			e.Any("/settings/*", echo.WrapHandler(developer))
			return e
		},
		func(developer http.Handler) http.Handler {
			e := echo.New()
			e.Any("/settings/*", echo.WrapHandler(http.StripPrefix("/settings/", developer)))
			return e
		})
}

func do(h http.Handler, method, path, header, value string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, nil)
	r.Header.Set(header, value)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// The error that a handler returns has the response that RequireScope would write.
func TestAnswer_asRequireScope(t *testing.T) {
	t.Parallel()
	s, err := newService(auth.NewMemoryStore(), exampletest.Keys())
	require.NoError(t, err)
	reader := "Bearer " + exampletest.Issue(t, s.bearer, "notes:read")
	remover := "Bearer " + exampletest.Issue(t, s.bearer, "notes:remove")
	want := httptest.NewRecorder()
	r := httptest.NewRequest("DELETE", "/notes/bob", nil)
	r.Header.Set("Authorization", reader)
	auth.Require(s.bearer, s.cookie)(auth.RequireScope("notes:remove")(http.NotFoundHandler())).ServeHTTP(want, r)

	got := do(s.routes(), "DELETE", "/notes/bob", "Authorization", reader)
	require.Equal(t, http.StatusForbidden, got.Code)
	require.Equal(t, want.Header(), got.Header(), "challenge, no-store, Vary and type")
	require.Equal(t, want.Body.String(), got.Body.String())
	require.Equal(t, http.StatusNoContent, do(s.routes(), "DELETE", "/notes/alice", "Authorization", reader).Code)
	require.Equal(t, http.StatusNoContent, do(s.routes(), "DELETE", "/notes/bob", "Authorization", remover).Code)
}

func TestAnswer_revoke(t *testing.T) {
	t.Parallel()
	s, err := newService(auth.NewMemoryStore(), exampletest.Keys())
	require.NoError(t, err)
	w := httptest.NewRecorder()
	_, err = s.cookie.SignIn(w, httptest.NewRequest("POST", "/", nil), "eve", auth.SessionOptions{})
	require.NoError(t, err)
	cookie := strings.Split(w.Header().Get("Set-Cookie"), ";")[0]
	_, c, err := s.bearer.Issue(t.Context(), "alice", auth.TokenOptions{Name: "x", Scopes: []string{auth.FullAccess}, Lifetime: auth.NoExpiry})
	require.NoError(t, err)
	w = do(s.routes(), "DELETE", "/tokens/"+c.ID, "Cookie", cookie)
	require.Equal(t, http.StatusNotFound, w.Code, "another user's token")
	require.Contains(t, w.Body.String(), `"code":"not_found"`)
	_, err = s.bearer.Get(t.Context(), "alice", c.ID)
	require.NoError(t, err)
}

func TestAnswer(t *testing.T) {
	t.Parallel()
	const problem, echos = "application/problem+json", "application/json"
	database := errors.New("password=hunter2")
	for _, test := range []struct {
		name    string
		err     error
		status  int
		typ     string
		noStore bool
	}{
		{"an *Error", &auth.Error{Err: auth.ErrForbidden, Reason: auth.ReasonActor}, 403, problem, true},
		{"a scope check outside of Require", auth.CheckScope(context.Background(), "x"), 500, problem, true},
		{"a condition", auth.ErrConflict, 409, problem, true},
		{"a wrapped condition", fmt.Errorf("rotating: %w", auth.ErrNotFound), 404, problem, true},
		{"an outage", fmt.Errorf("%w: %w", auth.ErrUnavailable, database), 503, problem, true},
		{"an error of the service", database, 500, echos, false},
		{"an error of echo", echo.ErrNotFound, 404, echos, false},
		{"an error of echo with a condition inside", echo.NewHTTPError(410, "gone").SetInternal(auth.ErrNotFound), 410, echos, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			e := echo.New()
			e.HTTPErrorHandler = answer(e.DefaultHTTPErrorHandler)
			e.GET("/", func(echo.Context) error { return test.err })
			w := do(e, "GET", "/", "Accept", "*/*")
			require.Equal(t, test.status, w.Code)
			require.Contains(t, w.Header().Get("Content-Type"), test.typ)
			require.Equal(t, test.noStore, w.Header().Get("Cache-Control") == "no-store")
			require.NotContains(t, w.Body.String(), "hunter2", "internal text")
			require.NotContains(t, w.Body.String(), "actor", "the reason")
		})
	}
}

// An error after the response has begun must not be appended to it.
func TestAnswer_committed(t *testing.T) {
	t.Parallel()
	e := echo.New()
	e.HTTPErrorHandler = answer(e.DefaultHTTPErrorHandler)
	e.GET("/", func(c echo.Context) error {
		return errors.Join(c.String(http.StatusOK, "notes"), auth.ErrUnavailable)
	})
	w := do(e, "GET", "/", "Accept", "*/*")
	require.Equal(t, http.StatusOK, w.Code)
	require.Equal(t, "notes", w.Body.String())
}

func TestAnswer_observer(t *testing.T) {
	t.Parallel()
	s, err := newService(auth.NewMemoryStore(), exampletest.Keys())
	require.NoError(t, err)
	var events []auth.Event
	m := &auth.Middleware{Observe: func(_ context.Context, e auth.Event) { events = append(events, e) }}
	e := echo.New()
	e.HTTPErrorHandler = answer(e.DefaultHTTPErrorHandler)
	e.DELETE("/notes/:id", s.remove, echo.WrapMiddleware(m.Require(s.bearer)))
	do(e, "DELETE", "/notes/bob", "Authorization", "Bearer "+exampletest.Issue(t, s.bearer, "notes:read"))
	require.Len(t, events, 2)
	require.Equal(t, auth.EventRefused, events[1].Type)
	require.Equal(t, auth.ReasonScope, events[1].Reason)
	require.Equal(t, "alice", events[1].UserID)
}
