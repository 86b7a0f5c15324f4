package integration

import (
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/sqlstore"
)

// Logical replication applies changes with this setting, under which most triggers do not
// fire. So do superusers, to load data without triggers.
func TestSubscribe_replicationRole(t *testing.T) {
	t.Parallel()
	store, db, source := openPostgres(t)
	s := listenTo(t, source.dsn)
	u := newUser(t, store)
	require.Equal(t, "1 "+u.userID, s.next(t))
	asReplica := func(statement string) {
		run(t, db, "BEGIN; SET LOCAL session_replication_role = replica; "+statement+"; COMMIT")
	}
	asReplica("UPDATE auth_credentials SET revoked = 1 WHERE kind = 2 AND user_id = '" + u.userID + "'")
	require.Equal(t, "2 "+u.userID, s.next(t))
	asReplica("DELETE FROM auth_credentials WHERE kind = 3 AND user_id = '" + u.userID + "'")
	require.Equal(t, "3 "+u.userID, s.next(t))
	asReplica("TRUNCATE auth_credentials")
	require.Equal(t, "lost", s.next(t))
	require.Empty(t, s.errs)
}

// A subscriber's caches learn what is revoked in the database that it replicates.
func TestSubscribe_logicalReplication(t *testing.T) {
	t.Parallel()
	server := startPostgres(t, "wal_level=logical")
	store, db := server.store(t)
	run(t, db, "CREATE DATABASE subscriber")
	u, err := url.Parse(server.dsn)
	require.NoError(t, err)
	u.Path = "/subscriber"
	subscriber := source{server.driver, u.String()}
	there := subscriber.open(t)
	replica, err := sqlstore.New(there, sqlstore.PostgreSQL, sqlstore.Config{})
	require.NoError(t, err)
	t.Cleanup(func() { replica.Close() })
	require.NoError(t, replica.Migrate(t.Context()))
	run(t, db, "CREATE PUBLICATION credentials FOR TABLE auth_credentials")
	// CREATE SUBSCRIPTION cannot create it: both databases are on one server.
	run(t, db, "SELECT pg_create_logical_replication_slot('credentials', 'pgoutput')")
	run(t, there, "CREATE SUBSCRIPTION credentials CONNECTION '"+server.dsn+"' PUBLICATION credentials WITH (create_slot = false, copy_data = false)")

	s := listenTo(t, subscriber.dsn)
	c := record(auth.KindToken, unique())
	require.NoError(t, store.Create(t.Context(), c, 0))
	require.NoError(t, store.Revoke(t.Context(), c.Ref()))
	require.Equal(t, "1 "+c.UserID, s.nextUser(t))
	require.ErrorIs(t, lookup(t, replica, c), auth.ErrRevoked)
	run(t, db, "TRUNCATE auth_credentials")
	require.Equal(t, "lost", s.next(t))
}
