package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth/examples/internal/exampletest"
	"github.com/seed-31c5bcb2/auth/examples/internal/teststores"
)

func TestRevoke_inOtherProcess(t *testing.T) {
	t.Parallel()
	url := teststores.PostgreSQL(t)
	a, err := open(t.Context(), url)
	require.NoError(t, err)
	b, err := open(t.Context(), url)
	require.NoError(t, err)
	exampletest.Revocation(t, a.bearer, a.routes(), b.routes())
	require.NoError(t, a.close(t.Context()))
	require.NoError(t, b.close(t.Context()))
}
