package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth/examples/internal/exampletest"
	"github.com/seed-31c5bcb2/auth/examples/internal/teststores"
)

func TestRevoke_inOtherProcess(t *testing.T) {
	t.Parallel()
	url, prefix := teststores.RedisPrefix(t)
	a, err := open(url, prefix)
	require.NoError(t, err)
	b, err := open(url, prefix)
	require.NoError(t, err)
	exampletest.Revocation(t, a.bearer, a.routes(), b.routes())
	purged, err := a.store.Purge(t.Context(), time.Now().Add(time.Minute))
	require.NoError(t, err)
	require.Equal(t, 1, purged)
	require.NoError(t, a.close(t.Context()))
	require.NoError(t, b.close(t.Context()))
}
