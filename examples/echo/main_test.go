package main

import (
	"testing"

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
