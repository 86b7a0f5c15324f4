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
	"sync"
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

// revokeInSteps calls RevokeAll of a user with many records, and between before each step
// except the first.
func revokeInSteps(t *testing.T, client rueidis.Client, prefix string, between func(), except ...string) (revoked int) {
	t.Helper()
	steps := &scriptClient{Client: client, before: func(n int64) error {
		if n > 1 {
			between()
		}
		return nil
	}}
	store, err := redisstore.New(steps, redisstore.Config{Prefix: prefix})
	require.NoError(t, err)
	revoked, err = store.RevokeAll(t.Context(), auth.KindToken, "alice", except...)
	require.NoError(t, err)
	require.GreaterOrEqual(t, steps.count.Load(), int64(4))
	return revoked
}

// Other calls are answered between the steps of RevokeAll. When it returns, all records that
// existed at its start are revoked, in whatever order their IDs and those of newer ones are.
func TestStore_revokeAllInSteps(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	direct, client, prefix := openRedisStore(t, redisstore.Config{})
	old := createMany(t, direct, "alice", 1000, time.Hour)
	kept, last := old[10], record(auth.KindToken, "alice")
	last.ID = "z" + last.ID
	require.NoError(t, direct.Create(ctx, last, 0))
	revokeInSteps(t, client, prefix, func() {
		_, err := direct.Get(ctx, kept.Ref())
		require.NoError(t, err)
		for _, before := range []string{"!", "zz"} { // IDs below and above all others
			c := record(auth.KindToken, "alice")
			c.ID = before + c.ID
			require.NoError(t, direct.Create(ctx, c, 0))
		}
	}, kept.ID)
	left := ids(t, direct, "alice")
	for _, c := range append(old, last) {
		if c.ID != kept.ID {
			require.False(t, left[c.ID])
			require.ErrorIs(t, lookup(t, direct, c), auth.ErrRevoked)
		}
	}
	require.True(t, left[kept.ID])
	next := record(auth.KindToken, "alice")
	require.NoError(t, direct.Rotate(ctx, kept, next, time.Now().Add(time.Hour)))
}

// Between the steps of RevokeAll, records can be rotated. Neither they nor their successors
// escape, with or without a grace period, and wherever the IDs of the successors are.
func TestStore_revokeAllDuringRotations(t *testing.T) {
	t.Parallel()
	for _, id := range []string{"!", "z"} {
		for _, grace := range []time.Duration{0, time.Hour} {
			t.Run(fmt.Sprint(id, grace), func(t *testing.T) {
				t.Parallel()
				direct, client, prefix := openRedisStore(t, redisstore.Config{})
				createMany(t, direct, "alice", 500, time.Hour)
				current := record(auth.KindToken, "alice")
				current.ID = "y" + current.ID
				require.NoError(t, direct.Create(t.Context(), current, 0))
				chain := []auth.Credential{current}
				revokeInSteps(t, client, prefix, func() {
					next := record(auth.KindToken, "alice")
					next.ID, next.Previous = id+next.ID, current.ID
					err := direct.Rotate(t.Context(), current, next, next.CreatedAt.Add(grace))
					if errors.Is(err, auth.ErrNotFound) {
						return // this step revokes, or has revoked, the current one
					}
					require.NoError(t, err)
					current, chain = next, append(chain, next)
				})
				require.Greater(t, len(chain), 1)
				for _, c := range chain {
					require.ErrorIs(t, lookup(t, direct, c), auth.ErrRevoked)
				}
				require.Empty(t, ids(t, direct, "alice"))
			})
		}
	}
}

// A RevokeAll whose process dies between two steps leaves records that can be rotated.
func TestStore_revokeAllIsAbandoned(t *testing.T) {
	t.Parallel()
	direct, client, prefix := openRedisStore(t, redisstore.Config{})
	createMany(t, direct, "alice", 500, time.Hour)
	last := record(auth.KindToken, "alice")
	last.ID = "z" + last.ID
	require.NoError(t, direct.Create(t.Context(), last, 0))
	dead := errors.New("the process is dead")
	store, err := redisstore.New(&scriptClient{Client: client, before: func(n int64) error {
		if n == 3 {
			return dead
		}
		return nil
	}}, redisstore.Config{Prefix: prefix})
	require.NoError(t, err)
	_, err = store.RevokeAll(t.Context(), auth.KindToken, "alice")
	require.ErrorIs(t, err, dead)
	require.NoError(t, lookup(t, direct, last))
	next := record(auth.KindToken, "alice")
	next.Previous = last.ID
	require.NoError(t, direct.Rotate(t.Context(), last, next, time.Now().Add(time.Hour)))
}

// Two calls with different exceptions at the same time revoke all: each record is excepted by
// one call only.
func TestStore_revokeAllTwice(t *testing.T) {
	t.Parallel()
	direct, client, prefix := openRedisStore(t, redisstore.Config{})
	old := createMany(t, direct, "alice", 600, time.Hour)
	var once sync.Once
	inner := 0
	revoked := revokeInSteps(t, client, prefix, func() {
		once.Do(func() {
			var err error
			inner, err = direct.RevokeAll(t.Context(), auth.KindToken, "alice", old[1].ID)
			require.NoError(t, err)
			createMany(t, direct, "alice", 300, time.Hour)
		})
	}, old[0].ID)
	require.Equal(t, len(old)+300, inner+revoked)
	require.Empty(t, ids(t, direct, "alice"))
}

// RevokeAll returns even if others create more records between two of its steps than one of
// them revokes.
func TestStore_revokeAllDuringManyCreates(t *testing.T) {
	t.Parallel()
	const most = 12
	direct, client, prefix := openRedisStore(t, redisstore.Config{})
	created := createMany(t, direct, "alice", 250, time.Hour)
	steps := 1
	revoked := revokeInSteps(t, client, prefix, func() {
		if steps++; steps <= most {
			created = append(created, createMany(t, direct, "alice", 150, time.Hour)...)
		}
	})
	require.LessOrEqual(t, steps, most)
	require.Equal(t, len(created), revoked)
	require.Empty(t, ids(t, direct, "alice"))
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
// AUTH_TEST_USER_RECORDS records. It requires that the commands of a script, and the keys that
// it reads, are bounded: unlike the time, they do not depend on how busy the machine is.
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
		require.LessOrEqual(t, commands, 200*scripts, c.name)
		reads := redisInfo(t, client, "stats", "keyspace_hits") + redisInfo(t, client, "stats", "keyspace_misses")
		require.LessOrEqual(t, reads, int64(300*scripts), c.name) // MGET counts each key
		if c.name == "RevokeAll" || c.name == "Purge" {
			require.GreaterOrEqual(t, scripts, size/100, c.name)
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
