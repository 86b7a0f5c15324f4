package main

import (
	"net/http"
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
