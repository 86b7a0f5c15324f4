package main

import (
	"net/http"
	"os"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/examples/internal/exampletest"
)

func TestMain(m *testing.M) {
	gin.SetMode(gin.TestMode)
	os.Exit(m.Run())
}

func TestRequire_ginGroup(t *testing.T) {
	t.Parallel()
	s, err := newService(auth.NewMemoryStore(), exampletest.Keys())
	require.NoError(t, err)
	exampletest.Notes(t, s.routes(), s.bearer)
}

// mountSettings serves Developer Settings under /settings.
func mountSettings(developer http.Handler) http.Handler {
	r := gin.New()
	r.Any("/settings/*path", gin.WrapH(http.StripPrefix("/settings", developer)))
	return r
}

func TestSettings_ginMount(t *testing.T) {
	t.Parallel()
	exampletest.Settings(t, mountSettings,
		func(developer http.Handler) http.Handler {
			r := gin.New()
			r.Any("/settings/*path", gin.WrapH(developer))
			return r
		},
		func(developer http.Handler) http.Handler {
			r := gin.New()
			r.Any("/settings/*path", gin.WrapH(http.StripPrefix("/settings/", developer)))
			return r
		})
}
