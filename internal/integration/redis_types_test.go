package integration

import (
	"fmt"
	"strings"
	"testing"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth/redisstore"
)

// hide puts a key of another type in the place of one, which may be absent. The function that
// it returns puts the key back.
func hide(t *testing.T, client rueidis.Client, key string) (restore func()) {
	t.Helper()
	do := func(words ...string) {
		t.Helper()
		require.NoError(t, client.Do(t.Context(), client.B().Arbitrary(words...).Build()).Error())
	}
	existed := exists(t, client, key)
	if existed {
		do("RENAME", key, key+".hidden")
	}
	do("RPUSH", key, "*")
	return func() {
		t.Helper()
		do("DEL", key)
		if existed {
			do("RENAME", key+".hidden", key)
		}
	}
}

// Another program has put a key of another type in the place of an index. A change then has
// all of its effects on the records, or none.
func TestRedisStore_indexOfAnotherType(t *testing.T) {
	t.Parallel()
	server := startRedis(t)
	store, client := server.store(t, redisstore.Config{})
	faults := 0
	for _, m := range changesOfUsers() {
		prepared := func() *testUser {
			require.NoError(t, client.Do(t.Context(), client.B().Flushall().Build()).Error())
			u := newUser(t, store)
			expireSecret(t, store, u, m)
			return u
		}
		u := prepared()
		untouched := u.state(t, store)
		require.NoError(t, m.call(t.Context(), store, u), m.name)
		done := u.state(t, store)
		for _, index := range []string{"expiry", "revoked", "u:1:", "u:2:", "u:3:", "l:1:", "l:2:", "l:3:", "r:1:", "r:3:"} {
			u := prepared()
			key := "auth:" + index
			if strings.HasSuffix(index, ":") {
				key += u.userID
			}
			restore := hide(t, client, key)
			err := m.call(t.Context(), store, u)
			restore()
			u.allOrNothing(t, store.Uncached(), err, untouched, done, fmt.Sprintf("%s: %s: %v", m.name, index, err))
			if err != nil {
				faults++
			}
		}
	}
	require.Greater(t, faults, 30)
}
