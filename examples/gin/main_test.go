package main

import (
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
