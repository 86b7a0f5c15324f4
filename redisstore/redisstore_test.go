package redisstore_test

import (
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth/redisstore"
)

// client is a client that New must not call.
type client struct{ rueidis.Client }

func (client) Mode() rueidis.ClientMode { return rueidis.ClientModeStandalone }

// cluster is a client of a cluster.
type cluster struct{ client }

func (cluster) Mode() rueidis.ClientMode { return rueidis.ClientModeCluster }

func TestNew_clusterWithTag(t *testing.T) {
	t.Parallel()
	for _, prefix := range []string{"{auth}:", "{a}", "service:{auth}:"} {
		_, err := redisstore.New(cluster{}, redisstore.Config{Prefix: prefix})
		require.NoError(t, err, prefix)
	}
}

func TestNew(t *testing.T) {
	t.Parallel()
	for _, cfg := range []redisstore.Config{{}, {Prefix: "p:", Timeout: time.Nanosecond, Retention: 26 * time.Hour}} {
		store, err := redisstore.New(client{}, cfg)
		require.NoError(t, err)
		require.NotNil(t, store)
	}
}

func TestNew_reportsEveryFault(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		client rueidis.Client
		cfg    redisstore.Config
		faults []string // parts of the error
	}{
		{"no client", nil, redisstore.Config{}, []string{"client is nil"}},
		{"a nil pointer", (*client)(nil), redisstore.Config{}, []string{"client is nil"}},
		{"a negative timeout", client{}, redisstore.Config{Timeout: -time.Second}, []string{"Timeout: -1s"}},
		{"a cluster without a hash tag", cluster{}, redisstore.Config{}, []string{"Prefix: \"auth:\" needs one hash tag"}},
		{"a cluster and an empty tag", cluster{}, redisstore.Config{Prefix: "{}auth:"}, []string{"needs one hash tag"}},
		{"a cluster and an open tag", cluster{}, redisstore.Config{Prefix: "{auth:"}, []string{"needs one hash tag"}},
		{"a cluster and two tags", cluster{}, redisstore.Config{Prefix: "{a}{b}:"}, []string{"needs one hash tag"}},
		{"a cluster and nested tags", cluster{}, redisstore.Config{Prefix: "{{a}}:"}, []string{"needs one hash tag"}},
		{"a short retention", client{}, redisstore.Config{Retention: 26*time.Hour - 1}, []string{"Retention: 25h59m59.999999999s"}},
		{"a negative retention", client{}, redisstore.Config{Retention: -1}, []string{"Retention: -1ns"}},
		{
			"all at once", nil, redisstore.Config{Timeout: -1, Retention: 1},
			[]string{"client is nil", "Timeout: -1ns", "Retention: 1ns"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			store, err := redisstore.New(tt.client, tt.cfg)
			require.Nil(t, store)
			for _, fault := range tt.faults {
				require.ErrorContains(t, err, fault)
			}
		})
	}
}
