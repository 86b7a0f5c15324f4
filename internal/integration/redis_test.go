package integration

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/redisstore"
	"github.com/seed-31c5bcb2/auth/storetest"
)

// redisOption returns the address of the server. It skips the test if there is none.
func redisOption(t testing.TB) rueidis.ClientOption {
	t.Helper()
	option, err := rueidis.ParseURL(cmp.Or(os.Getenv("AUTH_TEST_REDIS"), "redis://127.0.0.1:6379"))
	require.NoError(t, err)
	client, err := rueidis.NewClient(option)
	if err == nil {
		client.Close()
		return option
	}
	text := fmt.Sprintf("no Redis: %v\nStart one (redis-server --daemonize yes), or set AUTH_TEST_REDIS.", err)
	if ci() {
		t.Fatal(text)
	}
	t.Skip(text)
	return option
}

func openRedis(t testing.TB, option rueidis.ClientOption) rueidis.Client {
	t.Helper()
	client, err := rueidis.NewClient(option)
	require.NoError(t, err)
	t.Cleanup(client.Close)
	return client
}

// redisPrefix returns a prefix for the test. Its keys are deleted at the end.
func redisPrefix(t testing.TB, client rueidis.Client) string {
	t.Helper()
	prefix := unique() + ":"
	t.Cleanup(func() {
		for _, key := range redisKeys(t, client, prefix) {
			require.NoError(t, client.Do(context.Background(), client.B().Unlink().Key(key).Build()).Error())
		}
	})
	return prefix
}

func redisKeys(t testing.TB, client rueidis.Client, prefix string) (keys []string) {
	t.Helper()
	for cursor := uint64(0); ; {
		reply, err := client.Do(context.Background(),
			client.B().Scan().Cursor(cursor).Match(prefix+"*").Count(1000).Build()).AsScanEntry()
		require.NoError(t, err)
		keys = append(keys, reply.Elements...)
		if cursor = reply.Cursor; cursor == 0 {
			return keys
		}
	}
}

// openRedisStore sets cfg.Prefix.
func openRedisStore(t testing.TB, cfg redisstore.Config) (store *redisstore.Store, client rueidis.Client, prefix string) {
	t.Helper()
	client = openRedis(t, redisOption(t))
	cfg.Prefix = redisPrefix(t, client)
	store, err := redisstore.New(client, cfg)
	require.NoError(t, err)
	return store, client, cfg.Prefix
}

func TestRedisStore_contract(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) auth.Store {
		store, _, _ := openRedisStore(t, redisstore.Config{Timeout: patience})
		t.Cleanup(func() { require.NoError(t, store.Close()) })
		return store
	})
}

func TestRedisStore_sharedContract(t *testing.T) {
	t.Parallel()
	storetest.RunShared(t, func(t *testing.T) (a, b auth.Store) {
		here, _, prefix := openRedisStore(t, redisstore.Config{Timeout: patience})
		there := redisStoreOver(t, redisOption(t), redisstore.Config{Prefix: prefix, Timeout: patience})
		t.Cleanup(func() {
			require.NoError(t, here.Close())
			require.NoError(t, there.Close())
		})
		return here, there
	})
}
