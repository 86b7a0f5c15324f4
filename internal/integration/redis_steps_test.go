package integration

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/redisstore"
)

// A scriptClient calls before with the number of each script that it runs.
type scriptClient struct {
	rueidis.Client
	count  atomic.Int64
	before func(n int64) error
}

func (c *scriptClient) Do(ctx context.Context, cmd rueidis.Completed) rueidis.RedisResult {
	if strings.HasPrefix(cmd.Commands()[0], "EVALSHA") {
		if err := c.before(c.count.Add(1)); err != nil {
			return rueidis.NewErrorResult(err)
		}
	}
	return c.Client.Do(ctx, cmd)
}

// createMany creates expired or live tokens of a user.
func createMany(t *testing.T, store auth.Store, userID string, n int, lifetime time.Duration) []auth.Credential {
	t.Helper()
	records := make([]auth.Credential, n)
	errs := make(chan error, 16)
	for from := 0; from < n; from += cap(errs) {
		batch := records[from:min(n, from+cap(errs))]
		for i := range batch {
			batch[i] = record(auth.KindToken, userID)
			batch[i].ExpiresAt = batch[i].CreatedAt.Add(lifetime)
			go func() { errs <- store.Create(t.Context(), batch[i], 0) }()
		}
		for range batch {
			require.NoError(t, <-errs)
		}
	}
	return records
}

// Other calls are answered between the steps of RevokeAll. All records that existed at its start
// are revoked when it returns, and neither they nor their successors escape.
func TestStore_revokeAllInSteps(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	direct, client, prefix := openRedisStore(t, redisstore.Config{})
	old := createMany(t, direct, "alice", 1000, time.Hour)
	kept, rotated, last := old[10], old[20], record(auth.KindToken, "alice")
	last.ID = "z" + last.ID // is revoked at the end
	require.NoError(t, direct.Create(ctx, last, 0))
	var during []auth.Credential
	steps := &scriptClient{Client: client, before: func(n int64) error {
		if n == 1 {
			return nil
		}
		require.NoError(t, lookup(t, direct, last))
		require.ErrorIs(t, direct.Rotate(ctx, last, record(last.Kind, "alice"), time.Now().Add(time.Hour)), auth.ErrNotFound)
		_, err := direct.Get(ctx, kept.Ref())
		require.NoError(t, err)
		c := record(auth.KindToken, "alice")
		c.ID = "zz" + c.ID
		require.NoError(t, direct.Create(ctx, c, 0))
		during = append(during, c)
		return nil
	}}
	store, err := redisstore.New(steps, redisstore.Config{Prefix: prefix})
	require.NoError(t, err)
	n, err := store.RevokeAll(ctx, auth.KindToken, "alice", kept.ID)
	require.NoError(t, err)
	require.Equal(t, len(old), n, "all, and the last, except one")
	require.GreaterOrEqual(t, steps.count.Load(), int64(4))
	left := ids(t, direct, "alice")
	require.Len(t, left, 1+len(during))
	require.True(t, left[kept.ID])
	require.ErrorIs(t, lookup(t, direct, rotated), auth.ErrRevoked)
	require.ErrorIs(t, lookup(t, direct, last), auth.ErrRevoked)
	next := record(auth.KindToken, "alice")
	require.NoError(t, direct.Rotate(ctx, kept, next, time.Now().Add(time.Hour)), "it was excepted")
	require.NoError(t, direct.Rotate(ctx, during[0], record(auth.KindToken, "alice"), time.Time{}), "it is newer")
}

// After an error, what is revoked stays revoked, List shows the rest, and a second call
// revokes it.
func TestStore_revokeAllFailsBetweenSteps(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	direct, client, prefix := openRedisStore(t, redisstore.Config{})
	old := createMany(t, direct, "alice", 600, time.Hour)
	lost := errors.New("the connection is lost")
	store, err := redisstore.New(&scriptClient{Client: client, before: func(n int64) error {
		if n == 2 {
			return lost
		}
		return nil
	}}, redisstore.Config{Prefix: prefix})
	require.NoError(t, err)
	n, err := store.RevokeAll(ctx, auth.KindToken, "alice")
	require.ErrorIs(t, err, lost)
	require.Positive(t, n)
	left := ids(t, direct, "alice")
	require.Len(t, left, len(old)-n)
	for _, c := range old {
		_, err := direct.Uncached().Lookup(ctx, c.Kind, c.Digest)
		require.Equal(t, left[c.ID], err == nil)
	}
	again, err := store.RevokeAll(ctx, auth.KindToken, "alice")
	require.NoError(t, err)
	require.Equal(t, len(old), n+again)
	require.Empty(t, ids(t, direct, "alice"))
}

// TestStore_longestStep logs how long scripts keep Redis from serving others, for a user with
// AUTH_TEST_USER_RECORDS records, and requires that the commands of a script are bounded.
func TestStore_longestStep(t *testing.T) {
	t.Parallel()
	size := 3000
	if text := os.Getenv("AUTH_TEST_USER_RECORDS"); text != "" {
		var err error
		size, err = strconv.Atoi(text)
		require.NoError(t, err)
	}
	server := startRedis(t, "--slowlog-log-slower-than", "0", "--slowlog-max-len", "10000")
	store, client := server.store(t, redisstore.Config{Timeout: patience})
	const rich = "rich"
	calls := []struct {
		name string
		call func() error
	}{
		{"Create", func() error { return store.Create(t.Context(), record(auth.KindToken, rich), size+10) }},
		{"Create at the limit", func() error {
			if err := store.Create(t.Context(), record(auth.KindToken, rich), size); !errors.Is(err, auth.ErrLimit) {
				return fmt.Errorf("got the error %w", err)
			}
			return nil
		}},
		{"List", func() error {
			_, err := store.List(t.Context(), auth.KindToken, rich, auth.Page{Limit: 1000})
			return err
		}},
		{"Scan", func() error {
			_, err := store.Scan(t.Context(), auth.ScanQuery{Limit: 1000})
			return err
		}},
		{"RevokeAll", func() error {
			_, err := store.RevokeAll(t.Context(), auth.KindToken, rich)
			return err
		}},
		{"Create after many expired", func() error {
			createMany(t, store, rich, size, -time.Hour)
			resetStatistics(t, client)
			return store.Create(t.Context(), record(auth.KindToken, rich), 5)
		}},
		{"Purge", func() error {
			_, err := store.Purge(t.Context(), time.Now().Add(time.Minute))
			return err
		}},
	}
	createMany(t, store, rich, size, time.Hour)
	for _, c := range calls {
		resetStatistics(t, client)
		require.NoError(t, c.call(), c.name)
		scripts, commands := countCommands(t, client)
		d := scriptDurations(t, client)
		t.Logf("%-26s %d scripts, median %v, 99%% below %v, longest %v; %d commands", c.name, scripts, d[len(d)/2], d[len(d)*99/100], d[len(d)-1], commands)
		require.Less(t, commands, 3500*scripts, c.name)
		if c.name == "RevokeAll" || c.name == "Purge" {
			require.GreaterOrEqual(t, scripts, size/250, c.name)
		}
	}
}

func resetStatistics(t *testing.T, client rueidis.Client) {
	t.Helper()
	require.NoError(t, client.Do(t.Context(), client.B().ConfigResetstat().Build()).Error())
	require.NoError(t, client.Do(t.Context(), client.B().SlowlogReset().Build()).Error())
}

// countCommands returns the number of scripts, and that of all commands, in scripts too.
func countCommands(t *testing.T, client rueidis.Client) (scripts, commands int) {
	t.Helper()
	text, err := client.Do(t.Context(), client.B().Info().Section("commandstats").Build()).ToString()
	require.NoError(t, err)
	for _, m := range regexp.MustCompile(`cmdstat_(\S+):calls=(\d+)`).FindAllStringSubmatch(text, -1) {
		n, err := strconv.Atoi(m[2])
		require.NoError(t, err)
		commands += n
		if strings.HasPrefix(m[1], "eval") {
			scripts += n
		}
	}
	return scripts, commands
}

// scriptDurations returns how long each script has taken, shortest first.
func scriptDurations(t *testing.T, client rueidis.Client) (durations []time.Duration) {
	t.Helper()
	entries, err := client.Do(t.Context(), client.B().SlowlogGet().Count(10000).Build()).ToArray()
	require.NoError(t, err)
	for _, entry := range entries {
		fields, err := entry.ToArray()
		require.NoError(t, err)
		args, err := fields[3].AsStrSlice()
		require.NoError(t, err)
		micros, err := fields[2].AsInt64()
		require.NoError(t, err)
		if strings.HasPrefix(args[0], "EVAL") { // the first call of a script is an EVAL
			durations = append(durations, time.Duration(micros)*time.Microsecond)
		}
	}
	slices.Sort(durations)
	require.NotEmpty(t, durations)
	return durations
}
