package settings_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// An answer is a recorded response.
type answer struct {
	t testing.TB
	*httptest.ResponseRecorder
}

// status asserts the status, and the headers of every response.
func (a *answer) status(want int) *answer {
	a.t.Helper()
	require.Equal(a.t, want, a.Code, a.Body.String())
	require.Equal(a.t, "nosniff", a.Header().Get("X-Content-Type-Options"))
	return a
}

// problem asserts a problem document.
func (a *answer) problem(status int, code string) *answer {
	a.t.Helper()
	a.status(status)
	require.Equal(a.t, "application/problem+json", a.Header().Get("Content-Type"))
	require.Equal(a.t, "no-store", a.Header().Get("Cache-Control"))
	got := a.object()
	require.Equal(a.t, code, got["code"], a.Body.String())
	require.EqualValues(a.t, status, got["status"])
	require.Equal(a.t, "about:blank", got["type"])
	require.Equal(a.t, http.StatusText(status), got["title"])
	require.NotEmpty(a.t, got["detail"])
	return a
}

// fields asserts which fields a problem names.
func (a *answer) fields(want ...string) {
	a.t.Helper()
	var got []string
	errors, _ := a.object()["errors"].([]any)
	for _, e := range errors {
		got = append(got, e.(map[string]any)["field"].(string))
		require.NotEmpty(a.t, e.(map[string]any)["detail"])
	}
	require.Equal(a.t, want, got, a.Body.String())
}

func (a *answer) object() (v map[string]any) {
	a.t.Helper()
	require.NoError(a.t, json.Unmarshal(a.Body.Bytes(), &v), a.Body.String())
	return v
}

// page asserts a page, and returns its source.
func (a *answer) page(status int, contains ...string) string {
	a.t.Helper()
	a.status(status)
	require.Equal(a.t, "text/html; charset=utf-8", a.Header().Get("Content-Type"))
	require.Equal(a.t, "no-store", a.Header().Get("Cache-Control"))
	text := a.Body.String()
	for _, want := range contains {
		require.Contains(a.t, text, want)
	}
	return text
}

// redirects asserts a redirect to a location.
func (a *answer) redirects(location string) {
	a.t.Helper()
	a.status(http.StatusSeeOther)
	require.Equal(a.t, location, a.Header().Get("Location"))
	require.Equal(a.t, "no-store", a.Header().Get("Cache-Control"))
}

// between returns the text between start and end.
func between(t testing.TB, text, start, end string) string {
	t.Helper()
	_, rest, found := strings.Cut(text, start)
	require.True(t, found, "no %q in %s", start, text)
	inside, _, found := strings.Cut(rest, end)
	require.True(t, found, "no %q in %s", end, rest)
	return inside
}
