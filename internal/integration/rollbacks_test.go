package integration

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/sqlstore"
	"github.com/seed-31c5bcb2/auth/storetest"
)

// rolledBack are the errors of a database that rolled back a transaction for the sake of
// another one.
func (d database) rolledBack() []error {
	switch {
	case d.isPostgres():
		return []error{&pgconn.PgError{Code: "40001", Message: "could not serialize access"}, &pgconn.PgError{Code: "40P01", Message: "deadlock detected"}}
	case d.isSQLite():
		return nil
	}
	return []error{
		&mysql.MySQLError{Number: 1213, SQLState: [5]byte([]byte("40001")), Message: "Deadlock found when trying to get lock"},
		&mysql.MySQLError{Number: 1205, SQLState: [5]byte([]byte("HY000")), Message: "Lock wait timeout exceeded"},
	}
}

// Each call of the driver may report that the database rolled the transaction back. The
// caller does not see it.
func TestSQLStore_retriesRolledBack(t *testing.T) {
	t.Parallel()
	inCI(t)
	each(t, func(t *testing.T, d database) {
		if d.isSQLite() {
			t.Skip("rolls no transaction back")
		}
		f, source := new(faults), d.make(t)
		direct, store := d.over(t, source.open(t)), d.over(t, source.openFaulty(t, f))
		for _, m := range methods {
			_, done := m.states(t, store, direct)
			for _, err := range d.rolledBack() {
				for n, made := 1, true; made; n++ {
					require.Less(t, n, 100, "the number of calls is unbounded")
					u := newUser(t, direct)
					f.arm(n, 2, err, false)
					got := m.call(t.Context(), store, u)
					made = f.disarm()
					require.NoError(t, got, "%s: %v at call %d", m.name, err, n)
					require.Equal(t, done, u.state(t, direct), "%s: %v at call %d", m.name, err, n)
				}
			}
		}
	})
}

// A transaction that is rolled back again and again is an outage when the time is over.
func TestSQLStore_retriesWithinTimeout(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d database) {
		if d.isSQLite() {
			t.Skip("rolls no transaction back")
		}
		f, source := new(faults), d.make(t)
		direct := d.over(t, source.open(t))
		store := d.overWithin(t, source.openFaulty(t, f), 300*time.Millisecond)
		for _, m := range methods {
			u := newUser(t, direct)
			before := u.state(t, direct)
			f.arm(1, 1<<30, d.rolledBack()[0], false)
			start := time.Now()
			requireOutage(t, m.call(t.Context(), store, u))
			require.Less(t, time.Since(start), 10*time.Second, m.name)
			f.disarm()
			require.Equal(t, before, u.state(t, direct), m.name)
		}
	})
}

// isolated returns a database whose transactions have another isolation level by default, as
// its administrator may have configured.
func (d database) isolated(level string) func(t testing.TB) source {
	return func(t testing.TB) source {
		s := d.make(t)
		if d.isPostgres() {
			s.dsn += "&default_transaction_isolation=" + strings.ReplaceAll(strings.ToLower(level), " ", "%20")
			return s
		}
		cfg, err := mysql.ParseDSN(s.dsn)
		require.NoError(t, err)
		cfg.Params = map[string]string{"tx_isolation": "'" + strings.ReplaceAll(level, " ", "-") + "'"}
		s.dsn = cfg.FormatDSN()
		return s
	}
}

// eachIsolation runs a test with databases whose default isolation is another one.
func eachIsolation(t *testing.T, test func(t *testing.T, d database)) {
	for _, level := range []string{"SERIALIZABLE", "REPEATABLE READ"} {
		for _, d := range databases {
			if d.isSQLite() {
				continue
			}
			t.Run(level+"/"+d.name, func(t *testing.T) {
				t.Parallel()
				isolated := d
				isolated.make = d.isolated(level)
				var got string
				query := "SHOW transaction_isolation"
				if !d.isPostgres() {
					query = "SELECT @@tx_isolation"
				}
				require.NoError(t, isolated.make(t).open(t).QueryRowContext(t.Context(), query).Scan(&got))
				require.Equal(t, level, strings.ToUpper(strings.ReplaceAll(got, "-", " ")))
				test(t, isolated)
			})
		}
	}
}

func TestSQLStore_isolation(t *testing.T) {
	t.Parallel()
	longSeries(t)
	eachIsolation(t, func(t *testing.T, d database) {
		storetest.RunShared(t, func(t *testing.T) (a, b auth.Store) {
			source := d.make(t)
			return d.over(t, source.open(t)), d.over(t, source.open(t))
		})
	})
}

// Uses are recorded while their credentials are revoked, rotated and purged. All methods
// lock records in one order, so there is no deadlock. The servers are the test's own, because
// only they count the deadlocks of this test alone.
func TestSQLStore_locksInOneOrder(t *testing.T) {
	t.Parallel()
	eachOwnServer(t, func(t *testing.T, s *ownServer) {
		store, _ := s.store(t)
		touching, _ := s.store(t)
		ctx, stop := context.WithCancel(t.Context())
		var mu sync.Mutex
		var uses []auth.Use
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				for ctx.Err() == nil {
					mu.Lock()
					some := slices.Clone(uses)
					mu.Unlock()
					for i := range some {
						some[i].At = time.Now()
					}
					if err := touching.Touch(ctx, some); err != nil && ctx.Err() == nil {
						t.Error(err)
					}
				}
			})
		}
		for n := range 30 {
			changeWhileTouched(t, store, n, func(next []auth.Use) {
				mu.Lock()
				defer mu.Unlock()
				uses = next
			})
		}
		stop()
		wg.Wait()
		require.Zero(t, s.deadlocks(t))
	})
}

// changeWhileTouched gives use the records of a user, and then changes them.
func changeWhileTouched(t *testing.T, store *sqlstore.Store, n int, use func([]auth.Use)) {
	t.Helper()
	ctx, userID := t.Context(), fmt.Sprint("user-", n)
	var uses []auth.Use
	var records []auth.Credential
	for i := range 40 {
		c := record(auth.KindToken, userID)
		// The order in the table differs from that of the IDs.
		c.ID = fmt.Sprintf("%02d-%s", i*7%40, c.ID)
		if i%8 == 7 {
			c.ExpiresAt = c.CreatedAt.Add(-time.Hour - time.Duration(i*7%40)*time.Minute)
		}
		require.NoError(t, store.Create(ctx, c, 0))
		records = append(records, c)
		uses = append(uses, auth.Use{Ref: c.Ref(), Digest: c.Digest})
	}
	use(uses)
	for i, c := range records[:6] {
		next := record(c.Kind, userID)
		next.ID = fmt.Sprintf("%s%s", map[bool]string{true: "zz-", false: "00-"}[i%2 == 0], next.ID)
		next.Previous = c.ID
		require.NoError(t, store.Rotate(ctx, c, next, next.CreatedAt.Add(time.Minute)))
		use(append(slices.Clone(uses), auth.Use{Ref: next.Ref(), Digest: next.Digest}))
		require.NoError(t, store.Revoke(ctx, next.Ref()))
	}
	_, err := store.Purge(ctx, time.Now().Add(-time.Minute))
	require.NoError(t, err)
	_, err = store.RevokeAll(ctx, auth.KindToken, userID)
	require.NoError(t, err)
}

// deadlocks returns how many the server has found.
func (s *ownServer) deadlocks(t *testing.T) (n int) {
	t.Helper()
	if s.isPostgres() {
		log, err := os.ReadFile(s.log())
		require.NoError(t, err)
		return strings.Count(string(log), "deadlock detected")
	}
	require.NoError(t, s.open(t).QueryRowContext(t.Context(),
		"SELECT VARIABLE_VALUE FROM information_schema.global_status WHERE VARIABLE_NAME = 'INNODB_DEADLOCKS'").Scan(&n))
	return n
}
