package redisstore_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth/redisstore"
)

func TestNewReportsEveryFault(t *testing.T) {
	t.Parallel()
	store, err := redisstore.New(nil, nil, redisstore.WithTimeout(0), redisstore.WithTimeout(-time.Second),
		redisstore.WithRetention(59*time.Minute))
	require.Nil(t, store)
	for _, want := range []string{"client is nil", "an option is nil", "WithTimeout: 0s", "WithTimeout: -1s", "WithRetention: 59m"} {
		require.ErrorContains(t, err, want)
	}
}
