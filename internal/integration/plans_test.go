package integration

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

// fillTable adds n tokens, every second of which never expires. It is faster than Create.
func fillTable(t *testing.T, d database, db *sql.DB, n int) {
	t.Helper()
	tx, err := db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	defer tx.Rollback()
	const digit = "(SELECT 0 AS n UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4" +
		" UNION ALL SELECT 5 UNION ALL SELECT 6 UNION ALL SELECT 7 UNION ALL SELECT 8 UNION ALL SELECT 9)"
	from := digit + " AS a"
	number := "a.n"
	for i, factor := 1, 10; factor < n; i, factor = i+1, factor*10 {
		from += fmt.Sprintf(" CROSS JOIN %s AS b%d", digit, i)
		number += fmt.Sprintf(" + %d * b%d.n", factor, i)
	}
	digest := map[bool]string{
		true:  "decode(md5(CAST(i AS TEXT)) || md5(CAST(-i AS TEXT)), 'hex')",
		false: "UNHEX(SHA2(i, 256))",
	}[d.isPostgres()]
	text := "CONCAT('id-', i)"
	if d.isSQLite() {
		digest, text = "CAST(printf('%032d', i) AS BLOB)", "printf('id-%d', i)"
	}
	_, err = tx.ExecContext(t.Context(), "INSERT INTO auth_credentials (kind, user_id, id, name, hint, scopes, networks, metadata, digest,"+
		" created_at, expires_at, last_used_at, created_from, last_used_from, actor, non_persistent, superseded, revoked, previous)"+
		" SELECT 1, 'alice', "+text+", '', '', '', '', '', "+digest+
		", 1, CASE WHEN i % 2 = 0 THEN 9223372036854775807 ELSE 1000000 + i END, 0, '', '', '', 0, 0, 0, '' FROM (SELECT "+number+
		" AS i FROM "+from+") AS numbers")
	require.NoError(t, err)
	require.NoError(t, tx.Commit())
	analyze := "ANALYZE"
	if d.isMySQL() {
		analyze = "ANALYZE TABLE auth_credentials"
	}
	run(t, db, analyze)
}

// A page of a scan, and a batch of a purge, cost the same wherever they begin: each database
// begins in its index, sorts nothing and reads no more than a page. Of the records, half
// expire at the same time, which is never.
func TestScan_readsIndex(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d database) {
		f, source := new(faults), d.make(t)
		db := source.open(t)
		d.over(t, db)
		fillTable(t, d, db, 10_000)
		store := d.over(t, source.openFaulty(t, f))
		queries := map[string]auth.ScanQuery{
			"all":     {Limit: 50},
			"kind":    {Kind: auth.KindToken, Limit: 50},
			"expired": {ExpiresFrom: time.UnixMicro(1_004_000), ExpiresBefore: time.UnixMicro(1_006_000), Limit: 50},
			"never":   {ExpiresFrom: time.Now(), Limit: 50},
		}
		for name, q := range queries {
			for n := range 20 {
				page, err := store.Scan(t.Context(), q)
				require.NoError(t, err)
				query, args := f.asked()
				require.Contains(t, query, "FROM auth_credentials")
				requireIndexed(t, d, db, fmt.Sprint(name, ", page ", n), query, args, q.Limit)
				require.Len(t, page.Credentials, q.Limit)
				q.Cursor = page.Next
			}
		}
	})
}

// requireIndexed fails unless a query reads at most n rows, in the order of the index.
func requireIndexed(t *testing.T, d database, db *sql.DB, at, query string, args []any, n int) {
	t.Helper()
	explain := map[bool]string{true: "EXPLAIN (ANALYZE, COSTS OFF) ", false: "EXPLAIN QUERY PLAN "}[d.isPostgres()]
	if d.isMySQL() {
		explain = "EXPLAIN "
	}
	conn, err := db.Conn(t.Context())
	require.NoError(t, err)
	defer conn.Close()
	plan := readAll(t, conn, explain+query, args)
	require.Contains(t, plan, "auth_credentials_expires_at", at)
	for _, bad := range []string{"Sort", "TEMP B-TREE", "filesort", "SCAN", "Rows Removed by Filter"} {
		require.NotContains(t, plan, bad, at)
	}
	if d.isMySQL() { // its plan does not say where it begins
		run := func(query string, args ...any) string { return readAll(t, conn, query, args) }
		run("FLUSH STATUS")
		run(query, args...)
		var read int
		for _, line := range strings.Split(run("SHOW SESSION STATUS LIKE 'Handler_read_%'"), "\n") {
			name, value, _ := strings.Cut(line, " ")
			var n int
			if _, err := fmt.Sscan(value, &n); err == nil && name != "" {
				read += n
			}
		}
		require.LessOrEqual(t, read, n+10, at)
	}
	if d.isSQLite() {
		require.Contains(t, plan, "expires_at", at)
	}
	if testing.Verbose() {
		t.Log(at, "\n", plan)
	}
}

// readAll returns the columns of all rows.
func readAll(t *testing.T, conn *sql.Conn, query string, args []any) string {
	t.Helper()
	rows, err := conn.QueryContext(context.Background(), query, args...)
	require.NoError(t, err)
	defer rows.Close()
	columns, err := rows.Columns()
	require.NoError(t, err)
	var b strings.Builder
	for rows.Next() {
		fields, to := make([]sql.NullString, len(columns)), make([]any, len(columns))
		for i := range fields {
			to[i] = &fields[i]
		}
		require.NoError(t, rows.Scan(to...))
		for i, field := range fields {
			if i > 0 {
				b.WriteByte(' ')
			}
			b.WriteString(field.String)
		}
		b.WriteByte('\n')
	}
	require.NoError(t, rows.Err())
	return b.String()
}
