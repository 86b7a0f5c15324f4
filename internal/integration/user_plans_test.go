package integration

import (
	"context"
	"database/sql"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

// fillUser adds n records of a user. Their IDs are numbers.
func fillUser(t *testing.T, d database, db *sql.DB, kind auth.Kind, userID string, n int, revoked bool) {
	t.Helper()
	id, digest, from := "lpad(n, 26, '0')", "unhex(sha2(concat('%[2]s', n), 256))", "(SELECT seq AS n FROM seq_1_to_%[3]d) AS numbers"
	switch {
	case d.isPostgres():
		id, digest, from = "lpad(n::text, 26, '0')", "sha256(('%[2]s' || n)::bytea)", "generate_series(1, %[3]d) AS n"
	case d.isSQLite():
		id, digest = "printf('%%026d', n)", "randomblob(32)"
		from = "(WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < %[3]d) SELECT n FROM numbers)"
	}
	expires, flag := time.Now().Add(time.Hour).UnixMicro(), 0
	if revoked {
		flag = 1
	}
	run(t, db, fmt.Sprintf("INSERT INTO auth_credentials (kind, user_id, id, name, hint, scopes, networks, metadata, digest, created_at,"+
		" expires_at, last_used_at, created_from, last_used_from, actor, non_persistent, superseded, revoked, previous)"+
		" SELECT %[1]d, '%[2]s', "+id+", 'Firefox', '', '*', '', '', "+digest+", 1, %[4]d, 0, '', '', '', 0, 0, %[5]d, '' FROM "+from,
		kind, userID, n, expires, flag))
}

// No statement about one user reads the records of other users, or those that the user has
// revoked, whether the database has statistics or not.
func TestSQLStore_statementsReadOneUser(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d database) {
		f, source := new(faults), d.make(t)
		db := source.open(t)
		store := d.over(t, source.openFaulty(t, f))
		fillUser(t, d, db, auth.KindToken, "robot", 10_000, false)
		fillUser(t, d, db, auth.KindToken, "alice", 5_000, true)
		requirePlans(t, d, db, store, f)
		analyze := "ANALYZE"
		if d.isMySQL() {
			analyze = "ANALYZE TABLE auth_credentials"
		}
		run(t, db, analyze)
		requirePlans(t, d, db, store, f)
	})
}

func requirePlans(t *testing.T, d database, db *sql.DB, store auth.Store, f *faults) {
	t.Helper()
	ctx := t.Context()
	c := record(auth.KindToken, "alice")
	require.NoError(t, store.Create(ctx, c, 1))
	secret := record(auth.KindSecret, "alice-"+c.ID)
	require.NoError(t, store.Create(ctx, secret, 0))
	f.executed()
	require.ErrorIs(t, store.Create(ctx, record(auth.KindToken, "alice"), 1), auth.ErrLimit)
	require.ErrorIs(t, store.Create(ctx, c, 0), auth.ErrConflict)
	require.ErrorIs(t, store.Create(ctx, secret, 0), auth.ErrConflict)
	_, err := store.List(ctx, c.Kind, c.UserID, auth.Page{})
	require.NoError(t, err)
	_, err = store.List(ctx, c.Kind, c.UserID, auth.Page{After: c.ID, Limit: 1})
	require.NoError(t, err)
	next := c
	next.Name = "new"
	require.NoError(t, store.Update(ctx, c, next))
	require.NoError(t, store.Touch(ctx, []auth.Use{{Ref: c.Ref(), At: time.Now()}, {Ref: secret.Ref(), At: time.Now()}}))
	n, err := store.RevokeAll(ctx, c.Kind, c.UserID, "other")
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.NoError(t, store.Revoke(ctx, secret.Ref()))
	for _, s := range f.executed() {
		if strings.Contains(s.query, "auth_credentials") && !strings.HasPrefix(s.query, "INSERT") {
			requirePlan(t, d, db, s)
		}
	}
}

var placeholder = regexp.MustCompile(`\$\d+`)

// requirePlan fails if a statement reads more than the records that it names, and those of a user
// that are not revoked.
func requirePlan(t *testing.T, d database, db *sql.DB, s statement) {
	t.Helper()
	explain := "EXPLAIN "
	if d.isSQLite() {
		explain = "EXPLAIN QUERY PLAN "
	}
	conn, err := db.Conn(context.Background())
	require.NoError(t, err)
	defer conn.Close()
	plan := readAll(t, conn, explain+s.query, s.args)
	at := s.query + "\n" + plan
	if d.isMySQL() {
		plan = keysOf(t, plan)
	}
	for _, bad := range []string{"SCAN auth_credentials", "SCAN c", "Seq Scan on auth_credentials", "auth_credentials_expires_at", "auth_credentials by none"} {
		require.NotContains(t, plan, bad, at)
	}
	query := placeholder.ReplaceAllString(s.query, "?")
	if strings.Contains(query, "user_id = ? AND revoked = 0") {
		require.Contains(t, plan, "auth_credentials_unrevoked", at)
	}
	if testing.Verbose() {
		t.Log(at)
	}
}

// keysOf returns the tables of a plan of MariaDB with the keys by which they are read.
func keysOf(t *testing.T, plan string) string {
	t.Helper()
	var b strings.Builder
	for line := range strings.Lines(plan) {
		columns := strings.Split(line, " ") // id, select_type, table, type, possible_keys, key
		require.Greater(t, len(columns), 5, plan)
		if columns[3] == "ALL" || columns[3] == "index" {
			columns[5] = "none"
		}
		fmt.Fprintf(&b, "%s by %s\n", columns[2], columns[5])
	}
	return b.String()
}
