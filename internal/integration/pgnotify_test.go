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

// A subscription hears what a database tells.
type subscription struct {
	said chan string // "1 alice", or "lost"
	errs chan error
	name string // of its connection
}

func listenTo(t *testing.T, dsn string) *subscription {
	t.Helper()
	s := &subscription{said: make(chan string, 1000), errs: make(chan error, 1000), name: unique()}
	source, err := pgnotify.New(source{dsn: dsn}.with(t, "application_name", s.name), pgnotify.Config{ErrorLog: func(err error) { s.errs <- err }})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- source.Subscribe(ctx, func(kind auth.Kind, userID string) {
			s.said <- fmt.Sprint(int(kind), " ", userID)
		}, func() { s.said <- "lost" })
	}()
	t.Cleanup(func() {
		cancel()
		require.ErrorIs(t, <-ended, context.Canceled)
	})
	require.Equal(t, "lost", s.next(t), "it stands, and may have missed something")
	return s
}

func (s *subscription) next(t *testing.T) string {
	t.Helper()
	select {
	case said := <-s.said:
		return said
	case <-time.After(10 * time.Second):
		t.Fatal("nothing was told")
		return ""
	}
}

func (s *subscription) nextError(t *testing.T) error {
	t.Helper()
	select {
	case err := <-s.errs:
		return err
	case <-time.After(20 * time.Second): // more than a heartbeat and its patience
		t.Fatal("nothing has failed")
		return nil
	}
}

// openPostgres makes a database of its own: what is told in one schema is heard
// in all of a database.
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

// with changes a setting in a source's URL.
func (s source) with(t *testing.T, name, value string) string {
	t.Helper()
	u, err := url.Parse(s.dsn)
	require.NoError(t, err)
	query := u.Query()
	query.Set(name, value)
	u.RawQuery = query.Encode()
	return u.String()
}

// through returns a source's URL as if its server were where the proxy is.
func (s source) through(t *testing.T, p *proxy) source {
	t.Helper()
	u, err := url.Parse(s.dsn)
	require.NoError(t, err)
	query := u.Query()
	query.Del("host") // a socket's
	u.Host, u.RawQuery = p.address(), query.Encode()
	return source{s.driver, u.String()}
}

// Whatever ends or changes a credential is told, and nothing else is.
func TestPostgresTellsOfRevocations(t *testing.T) {
	t.Parallel()
	store, db, source := openPostgres(t)
	s := listenTo(t, source.dsn)
	exec := func(query string) func(context.Context, *account) error {
		return func(ctx context.Context, a *account) error {
			_, err := db.ExecContext(ctx, strings.ReplaceAll(query, "$user", a.userID))
			return err
		}
	}
	type test struct {
		name string
		call func(ctx context.Context, a *account) error
		told string // the kinds
	}
	var tests []test
	kinds := map[string]string{
		"Rotate with an overlap": "1", "Rotate a secret": "3", "Rotate a secret at once": "3",
		"Revoke": "1", "Revoke a session": "2", "RevokeAll": "1",
	}
	for _, m := range methods {
		if m.name == "Purge" { // of what has just expired, as nobody does
			continue
		}
		tests = append(tests, test{m.name, func(ctx context.Context, a *account) error { return m.call(ctx, store, a) }, kinds[m.name]})
	}
	tests = append(tests, []test{
		{"Purge", func(ctx context.Context, a *account) error {
			old := record(auth.KindSession, a.userID)
			old.ExpiresAt = old.CreatedAt.Add(-2 * time.Hour)
			if err := store.Create(ctx, old, 0); err != nil {
				return err
			}
			n, err := store.Purge(ctx, old.ExpiresAt.Add(time.Minute))
			require.Equal(t, 1, n)
			return err
		}, ""},
		{"all sessions", func(ctx context.Context, a *account) error {
			_, err := store.RevokeAll(ctx, auth.KindSession, a.userID)
			return err
		}, "2"},
		{"all secrets", func(ctx context.Context, a *account) error {
			_, err := store.RevokeAll(ctx, auth.KindSecret, a.userID)
			return err
		}, "3"},
		{"scopes changed by hand", exec("UPDATE auth_credentials SET scopes = '' WHERE kind = 1 AND user_id = '$user'"), "1"},
		{"ended by hand", exec("UPDATE auth_credentials SET expires_at = 1 WHERE kind = 2 AND user_id = '$user'"), "2"},
		{"deleted by hand", exec("DELETE FROM auth_credentials WHERE user_id = '$user'"), "123"},
		{"given to somebody else", exec("UPDATE auth_credentials SET user_id = user_id || '-' WHERE kind = 2 AND user_id = '$user'"), "2-2"},
		{"used by hand", exec("UPDATE auth_credentials SET last_used_at = last_used_at + 1 WHERE user_id = '$user'"), ""},
		{"written as it was", exec("UPDATE auth_credentials SET revoked = revoked, scopes = scopes, sealed = sealed, expires_at = expires_at WHERE user_id = '$user'"), ""},
		{"renamed by hand", exec("UPDATE auth_credentials SET name = 'x' WHERE user_id = '$user'"), ""},
	}...)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ctx := t.Context()
			a := newAccount(t, store) // by a rotation
			require.Equal(t, "1 "+a.userID, s.next(t))
			require.NoError(t, tt.call(ctx, a))
			// The next revocation is told after whatever this one was.
			last := newAccount(t, store)
			var told []string
			for said := s.next(t); said != "1 "+last.userID; said = s.next(t) {
				told = append(told, strings.Replace(said, " "+a.userID, "", 1))
			}
			slices.Sort(told)
			want := strings.Split(tt.told, "")
			if tt.told == "2-2" {
				want = []string{"2", "2-"}
			}
			require.Equal(t, strings.Join(want, " "), strings.Join(told, " "))
		})
	}
	t.Run("everything deleted", func(t *testing.T) {
		run(t, db, "TRUNCATE auth_credentials")
		require.Equal(t, "lost", s.next(t))
	})
	t.Run("a user ID that has no room", func(t *testing.T) {
		run(t, db, "INSERT INTO auth_credentials (kind, user_id, id, name, hint, scopes, digest, created_at, expires_at, last_used_at,"+
			" superseded, revoked, previous) VALUES (1, repeat('x', 9000), 'x', '', '', '', '', 0, 0, 0, 0, 0, '')")
		run(t, db, "UPDATE auth_credentials SET revoked = 1")
		require.Equal(t, "lost", s.next(t))
	})
	require.Empty(t, s.errs)
}

func TestPostgresTellsOfAnyUserID(t *testing.T) {
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

// Whoever may write tells, whatever else the path to its functions holds.
func TestPostgresTellsWhoeverWrites(t *testing.T) {
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
		a := newAccount(t, store)
		require.Equal(t, "1 "+a.userID, s.next(t))
		run(t, db, "BEGIN; SET LOCAL search_path = "+path+"; SET LOCAL ROLE "+role+
			"; UPDATE public.auth_credentials SET revoked = 1 WHERE kind = 2 AND user_id = '"+a.userID+"'; COMMIT")
		require.Equal(t, "2 "+a.userID, s.next(t), path)
	}
}
