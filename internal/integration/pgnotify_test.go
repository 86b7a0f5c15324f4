package integration

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/cachestore"
	"github.com/seed-31c5bcb2/auth/pgnotify"
	"github.com/seed-31c5bcb2/auth/sqlstore"
)

var _ cachestore.Invalidations = (*pgnotify.Source)(nil)

// A subscription records the calls that a Source makes.
type subscription struct {
	calls chan string // "1 alice", or "lost"
	errs  chan error
	name  string // of its connection
}

func listenTo(t *testing.T, dsn string) *subscription {
	t.Helper()
	s := &subscription{calls: make(chan string, 1000), errs: make(chan error, 1000), name: unique()}
	source, err := pgnotify.New(source{dsn: dsn}.with(t, "application_name", s.name), pgnotify.Config{ErrorLog: func(err error) { s.errs <- err }})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() {
		result <- source.Subscribe(ctx, func(kind auth.Kind, userID string) {
			s.calls <- fmt.Sprint(int(kind), " ", userID)
		}, func() { s.calls <- "lost" })
	}()
	t.Cleanup(func() {
		cancel()
		require.ErrorIs(t, <-result, context.Canceled)
	})
	require.Equal(t, "lost", s.next(t), "connected")
	return s
}

func (s *subscription) next(t *testing.T) string {
	t.Helper()
	select {
	case call := <-s.calls:
		return call
	case <-time.After(10 * time.Second):
		t.Fatal("no call")
		return ""
	}
}

func (s *subscription) nextError(t *testing.T) error {
	t.Helper()
	select {
	case err := <-s.errs:
		return err
	case <-time.After(20 * time.Second): // more than a heartbeat and its timeout
		t.Fatal("no error")
		return nil
	}
}

// openPostgres creates a database for the test, because all schemas of a database share
// their notifications.
func openPostgres(t *testing.T) (*sqlstore.Store, *sql.DB, source) {
	t.Helper()
	source := postgresDatabase(t)
	db := source.open(t)
	store, err := sqlstore.New(db, sqlstore.PostgreSQL, sqlstore.Config{})
	require.NoError(t, err)
	t.Cleanup(func() { store.Close() })
	require.NoError(t, store.Migrate(t.Context()))
	return store, db, source
}

func postgresDatabase(t *testing.T) source {
	t.Helper()
	base := postgres(t)
	admin, name := base.open(t), unique()
	run(t, admin, "CREATE DATABASE "+name)
	t.Cleanup(func() { run(t, admin, "DROP DATABASE "+name+" WITH (FORCE)") })
	u, err := url.Parse(base.dsn)
	require.NoError(t, err)
	query := u.Query()
	query.Del("search_path")
	u.Path, u.RawQuery = "/"+name, query.Encode()
	return source{base.driver, u.String()}
}

// with returns the URL with a setting changed.
func (s source) with(t *testing.T, name, value string) string {
	t.Helper()
	u, err := url.Parse(s.dsn)
	require.NoError(t, err)
	query := u.Query()
	query.Set(name, value)
	u.RawQuery = query.Encode()
	return u.String()
}

// through returns the source with the address of a proxy.
func (s source) through(t *testing.T, p *proxy) source {
	t.Helper()
	u, err := url.Parse(s.dsn)
	require.NoError(t, err)
	query := u.Query()
	query.Del("host") // of a socket
	u.Host, u.RawQuery = p.address(), query.Encode()
	return source{s.driver, u.String()}
}

// A changeTest changes records of a user in PostgreSQL.
type changeTest struct {
	name  string
	call  func(ctx context.Context, u *testUser) error
	kinds []string // that are reported
}

// changesOfMethods calls the methods of a store, and Purge for an older record: deleting
// one that expired less than an hour ago is reported.
func changesOfMethods(store auth.Store) (tests []changeTest) {
	kinds := map[string][]string{
		"Update": {"1"}, "Rotate with a grace period": {"1"}, "Rotate a secret": {"3"}, "Rotate a secret without a grace period": {"3"},
		"Revoke": {"1"}, "Revoke a session": {"2"}, "RevokeAll": {"1"},
	}
	for _, m := range methods {
		if m.name == "Purge" {
			continue
		}
		tests = append(tests, changeTest{m.name, func(ctx context.Context, u *testUser) error { return m.call(ctx, store, u) }, kinds[m.name]})
	}
	revokeAll := func(kind auth.Kind) func(context.Context, *testUser) error {
		return func(ctx context.Context, u *testUser) error {
			_, err := store.RevokeAll(ctx, kind, u.userID)
			return err
		}
	}
	return append(tests, []changeTest{
		{"RevokeAll sessions", revokeAll(auth.KindSession), []string{"2"}},
		{"RevokeAll secrets", revokeAll(auth.KindSecret), []string{"3"}},
		{"Purge of a record that expired an hour ago", func(ctx context.Context, u *testUser) error {
			old := record(auth.KindSession, u.userID)
			old.ExpiresAt = old.CreatedAt.Add(-2 * time.Hour)
			if err := store.Create(ctx, old, 0); err != nil {
				return err
			}
			n, err := store.Purge(ctx, old.ExpiresAt.Add(time.Minute))
			if err == nil && n != 1 {
				err = fmt.Errorf("%d records were purged", n)
			}
			return err
		}, nil},
	}...)
}

// changesByHand are SQL statements.
func changesByHand(db *sql.DB) []changeTest {
	exec := func(query string) func(context.Context, *testUser) error {
		return func(ctx context.Context, u *testUser) error {
			_, err := db.ExecContext(ctx, strings.ReplaceAll(query, "$user", u.userID))
			return err
		}
	}
	return []changeTest{
		{"UPDATE scopes", exec("UPDATE auth_credentials SET scopes = '' WHERE kind = 1 AND user_id = '$user'"), []string{"1"}},
		{"UPDATE expires_at", exec("UPDATE auth_credentials SET expires_at = 1 WHERE kind = 2 AND user_id = '$user'"), []string{"2"}},
		{"DELETE", exec("DELETE FROM auth_credentials WHERE user_id = '$user'"), []string{"1", "2", "3"}},
		{"UPDATE user_id", exec("UPDATE auth_credentials SET user_id = user_id || '-' WHERE kind = 2 AND user_id = '$user'"), []string{"2", "2-"}},
		{"UPDATE without a change", exec("UPDATE auth_credentials SET revoked = revoked, scopes = scopes, sealed = sealed, expires_at = expires_at WHERE user_id = '$user'"), nil},
	}
}

// Everything that invalidates or changes a credential is reported, and nothing else.
func TestSubscribe_reportsEveryRevocation(t *testing.T) {
	t.Parallel()
	store, db, source := openPostgres(t)
	s := listenTo(t, source.dsn)
	for _, tt := range append(changesOfMethods(store), changesByHand(db)...) {
		t.Run(tt.name, func(t *testing.T) {
			u := newUser(t, store) // by a rotation
			require.Equal(t, "1 "+u.userID, s.next(t))
			require.NoError(t, tt.call(t.Context(), u))
			// The next revocation is reported after those of tt.call.
			last := newUser(t, store)
			var reported []string
			for call := s.next(t); call != "1 "+last.userID; call = s.next(t) {
				reported = append(reported, strings.Replace(call, " "+u.userID, "", 1))
			}
			slices.Sort(reported)
			require.Equal(t, tt.kinds, reported)
		})
	}
	t.Run("TRUNCATE", func(t *testing.T) {
		run(t, db, "TRUNCATE auth_credentials")
		require.Equal(t, "lost", s.next(t))
	})
	t.Run("a user ID that does not fit into a notification", func(t *testing.T) {
		run(t, db, "INSERT INTO auth_credentials (kind, user_id, id, name, hint, scopes, networks, metadata, digest, created_at, expires_at,"+
			" last_used_at, created_from, last_used_from, actor, non_persistent, superseded, revoked, previous)"+
			" VALUES (1, repeat('x', 9000), 'x', '', '', '', '', '', '', 0, 0, 0, '', '', '', 0, 0, 0, '')")
		run(t, db, "UPDATE auth_credentials SET revoked = 1")
		require.Equal(t, "lost", s.next(t))
	})
	require.Empty(t, s.errs)
}

// A change of any column is reported, except of those that a use changes. Columns that are
// added later must be named in the trigger.
func TestSubscribe_reportsEveryColumn(t *testing.T) {
	t.Parallel()
	store, db, source := openPostgres(t)
	s := listenTo(t, source.dsn)
	changes := map[string]string{"smallint": "9", "bigint": "9", "text": "'changed'", "bytea": `'\x09'`}
	columns := make(map[string]string)
	rows, err := db.QueryContext(t.Context(), "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = 'auth_credentials'")
	require.NoError(t, err)
	for rows.Next() {
		var name, kind string
		require.NoError(t, rows.Scan(&name, &kind))
		columns[name] = kind
	}
	require.NoError(t, rows.Err())
	require.Contains(t, columns, "digest")
	for name, kind := range columns {
		t.Run(name, func(t *testing.T) {
			require.Contains(t, changes, kind)
			c := record(auth.KindSession, unique())
			require.NoError(t, store.Create(t.Context(), c, 0))
			run(t, db, "UPDATE auth_credentials SET "+name+" = "+changes[kind]+" WHERE user_id = '"+c.UserID+"'")
			if name == "last_used_at" || name == "last_used_from" {
				last := newUser(t, store)
				require.Equal(t, "1 "+last.userID, s.next(t), "not reported")
				return
			}
			require.Contains(t, []string{"2 " + c.UserID, "2 changed", "lost"}, s.next(t))
			if name == "user_id" || name == "kind" {
				s.next(t) // of the other owner
			}
			run(t, db, "DELETE FROM auth_credentials WHERE true")
			marker := newUser(t, store)
			for s.next(t) != "1 "+marker.userID { // until the deletion was reported
			}
		})
	}
	require.NotEmpty(t, columns)
}

func TestSubscribe_anyUserID(t *testing.T) {
	t.Parallel()
	store, _, source := openPostgres(t)
	series := "odd" + unique()
	s := listenTo(t, source.dsn)
	for _, odd := range []string{" ", "'; --", `\`, `"`, "é", "\U0001F600", "1 bob", "%s", strings.Repeat("x", 255-len(series))} {
		c := record(auth.KindToken, series+odd)
		require.NoError(t, store.Create(t.Context(), c, 0))
		require.NoError(t, store.Revoke(t.Context(), c.Ref()))
		require.Equal(t, "1 "+series+odd, s.next(t))
	}
}

// The triggers work for any role that may write, whatever functions its search_path has.
func TestSubscribe_anyWriter(t *testing.T) {
	t.Parallel()
	role := unique()
	admin := postgres(t).open(t)
	run(t, admin, "CREATE ROLE "+role)
	t.Cleanup(func() { run(t, admin, "DROP ROLE "+role) }) // after the database
	store, db, source := openPostgres(t)
	s := listenTo(t, source.dsn)
	run(t, db, "CREATE SCHEMA other")
	run(t, db, "CREATE FUNCTION other.pg_notify(text, text) RETURNS void LANGUAGE sql AS 'SELECT 1 / 0'")
	run(t, db, "CREATE FUNCTION other.octet_length(text) RETURNS integer LANGUAGE sql AS 'SELECT 9000'")
	run(t, db, "GRANT USAGE ON SCHEMA other TO "+role)
	run(t, db, "GRANT SELECT, UPDATE ON auth_credentials TO "+role)
	for _, path := range []string{"''", "other", "other, pg_catalog"} {
		u := newUser(t, store)
		require.Equal(t, "1 "+u.userID, s.next(t))
		run(t, db, "BEGIN; SET LOCAL search_path = "+path+"; SET LOCAL ROLE "+role+
			"; UPDATE public.auth_credentials SET revoked = 1 WHERE kind = 2 AND user_id = '"+u.userID+"'; COMMIT")
		require.Equal(t, "2 "+u.userID, s.next(t), path)
	}
}
