package integration

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/sqlstore"
)

var driverFaults = []struct {
	name  string
	times int // how many calls in a row fail
	err   error
	late  bool
}{
	// database/sql retries this one. It is never late, because drivers return it only if
	// the database has done nothing.
	{"a stale connection", 1, driver.ErrBadConn, false},
	{"a lost call", 1, io.ErrUnexpectedEOF, false},
	{"a lost answer", 1, io.ErrUnexpectedEOF, true},
	{"two lost calls", 2, io.ErrUnexpectedEOF, false},
	{"two lost answers", 2, io.ErrUnexpectedEOF, true},
	{"three lost calls", 3, io.ErrUnexpectedEOF, false}, // including the rollback of the first
	{"a full disk", 1, errors.New("disk full"), false},
}

// Each call of a driver can fail, before or after the database has executed it. The store
// then returns an outage, the change is complete or has no effect, and the next call
// succeeds.
func TestSQLStore_driverFaults(t *testing.T) {
	t.Parallel()
	longSeries(t)
	each(t, func(t *testing.T, d database) {
		for _, m := range methods {
			t.Run(m.name, func(t *testing.T) {
				t.Parallel()
				f, source := new(faults), d.make(t)
				tt := &faultTest{method: m, remote: !d.isSQLite(), direct: d.over(t, source.open(t)), store: d.over(t, source.openFaulty(t, f)), faults: f}
				tt.untouched, tt.done = m.states(t, tt.store, tt.direct)
				for _, fault := range driverFaults {
					for n, made := 1, true; made; n++ {
						require.Less(t, n, 100, "the number of calls is unbounded")
						require.NoError(t, tt.store.Close()) // so that statements are prepared again, which can fail
						f.arm(n, fault.times, fault.err, fault.late)
						made = tt.run(t, tt.survives(fault.times, fault.err), fmt.Sprintf("%s at call %d", fault.name, n))
					}
				}
			})
		}
	})
}

type faultTest struct {
	method          method
	remote          bool            // there is a server
	direct, store   *sqlstore.Store // store has the faults
	faults          *faults
	untouched, done string // states of the user
}

// survives reports whether the method succeeds in spite of the fault. What reads is read again
// if the network may be to blame.
func (tt *faultTest) survives(times int, err error) bool {
	return tt.method.reads && times == 1 && (errors.Is(err, driver.ErrBadConn) || tt.remote && errors.Is(err, io.ErrUnexpectedEOF))
}

// run calls the method, and reports whether it made the call that should fail.
func (tt *faultTest) run(t *testing.T, survives bool, at string) (made bool) {
	t.Helper()
	ctx, u := t.Context(), newUser(t, tt.direct)
	err := tt.method.call(ctx, tt.store, u)
	made = tt.faults.disarm()
	if survives {
		require.NoError(t, err, at)
	}
	state := u.allOrNothing(t, tt.direct, err, tt.untouched, tt.done, at)
	if state == tt.untouched {
		require.NoError(t, tt.method.call(ctx, tt.store, u), at)
		require.Equal(t, tt.done, u.state(t, tt.direct))
	}
	// The user's lock has been released.
	require.NoError(t, tt.store.Create(ctx, record(auth.KindToken, u.userID), 100))
	return made
}
