package integration

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/redisstore"
	"github.com/seed-31c5bcb2/auth/storetest"
)

// documentedACL returns the commands that the documentation of redisstore says a user needs.
func documentedACL(t *testing.T) (commands []string) {
	t.Helper()
	source, err := os.ReadFile("../../redisstore/redisstore.go")
	require.NoError(t, err)
	doc, _, _ := strings.Cut(string(source), "package redisstore\n")
	commands = regexp.MustCompile(`\+[a-z|_-]+`).FindAllString(doc, -1)
	require.NotEmpty(t, commands)
	return commands
}

// limitedRedis returns a server and the address of it for a user who has only the keys and
// the channel of a prefix, and no permissions yet.
func limitedRedis(t *testing.T, prefix string) (server *redisServer, admin rueidis.Client, limited rueidis.ClientOption) {
	t.Helper()
	server = startRedis(t)
	admin = openRedis(t, server.option())
	permit(t, admin, "reset", "on", ">secret", "~"+prefix+"*", "&"+prefix+"changes")
	limited = server.option()
	limited.Username, limited.Password = "app", "secret"
	return server, admin, limited
}

func permit(t *testing.T, admin rueidis.Client, rules ...string) {
	t.Helper()
	require.NoError(t, admin.Do(t.Context(), admin.B().AclSetuser().Username("app").Rule(rules...).Build()).Error())
}

// The permissions in the documentation are enough.
func TestRedisStore_documentedACL(t *testing.T) {
	t.Parallel()
	_, admin, limited := limitedRedis(t, "acl:")
	permit(t, admin, append(documentedACL(t), "&acl:*:changes")...)
	storetest.Run(t, func(t *testing.T) auth.Store {
		return redisStoreOver(t, limited, redisstore.Config{Prefix: "acl:" + unique() + ":", Timeout: patience})
	})
}

// changesOfUsers are the methods of a store, and changes that take other paths in a script.
func changesOfUsers() []method {
	changes := slices.Clone(methods)
	changes = append(changes, updateMethod, method{"Create after an expired secret", false,
		func(ctx context.Context, store auth.Store, u *testUser) error {
			u.next.Kind = auth.KindSecret
			return store.Create(ctx, u.next, 0)
		}})
	return changes
}

// Without any one of the permissions, a call either does all of its work or changes nothing
// at all: Redis does not undo what a script has written before a command that it refuses.
func TestRedisStore_missingPermission(t *testing.T) {
	t.Parallel()
	longSeries(t)
	server, admin, limited := limitedRedis(t, "auth:")
	direct, _ := server.store(t, redisstore.Config{})
	all := documentedACL(t)
	permit(t, admin, all...)
	store := redisStoreOver(t, limited, redisstore.Config{})
	faults := 0
	for _, missing := range append(all, "&channel", "~keys") {
		for _, m := range changesOfUsers() {
			at := fmt.Sprintf("%s without %s", m.name, missing)
			require.NoError(t, admin.Do(t.Context(), admin.B().Flushall().Build()).Error())
			u := newUser(t, direct)
			expireSecret(t, direct, u, m)
			forbid(t, admin, missing)
			before := snapshot(t, admin, "auth:")
			if err := m.call(t.Context(), store, u); err != nil {
				faults++
				requireOutage(t, err)
				require.Equal(t, before, snapshot(t, admin, "auth:"), at)
			} else if !m.reads {
				require.NotEqual(t, before, snapshot(t, admin, "auth:"), at)
			}
			permit(t, admin, append([]string{"~auth:*", "&auth:changes"}, all...)...)
		}
	}
	require.Greater(t, faults, 3*len(all))
}

func forbid(t *testing.T, admin rueidis.Client, missing string) {
	t.Helper()
	switch {
	case missing == "&channel":
		permit(t, admin, "resetchannels")
	case missing == "~keys": // of the revoked records alone
		permit(t, admin, "resetkeys", "~auth:c:*", "~auth:u:*", "~auth:l:*", "~auth:expiry", "~auth:revoked")
	default:
		permit(t, admin, "-"+missing[1:])
	}
}

// expireSecret makes the secret of a user one that Create replaces.
func expireSecret(t *testing.T, store auth.Store, u *testUser, m method) {
	t.Helper()
	if m.name != "Create after an expired secret" {
		return
	}
	require.NoError(t, store.Revoke(t.Context(), u.secret.Ref()))
	u.secret = record(auth.KindSecret, u.userID)
	u.secret.ExpiresAt = time.Now().Add(-time.Hour).UTC().Truncate(time.Microsecond)
	require.NoError(t, store.Create(t.Context(), u.secret, 0))
}

// snapshot returns the contents and the lifetimes of all keys.
func snapshot(t *testing.T, client rueidis.Client, prefix string) map[string]string {
	t.Helper()
	contents := map[string]string{}
	for _, key := range redisKeys(t, client, prefix) {
		text, err := client.Do(t.Context(), client.B().Dump().Key(key).Build()).ToString()
		require.NoError(t, err)
		at, err := client.Do(t.Context(), client.B().Pexpiretime().Key(key).Build()).AsInt64()
		require.NoError(t, err)
		contents[key] = fmt.Sprint(at, text)
	}
	return contents
}

var updateMethod = method{"Update", false, func(ctx context.Context, store auth.Store, u *testUser) error {
	next := u.token
	next.Name, next.Networks = "renamed", "192.0.2.0/24"
	return store.Update(ctx, u.token, next)
}}
