package integration

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

// Each call of a driver can fail, before the database has done it or when its
// answer is on the way. Whichever it is: a fault is told as an outage, leaves all
// of the change or nothing of it, and is over with the next call.
func TestFaultsLeaveAllOrNothing(t *testing.T) {
	t.Parallel()
	triesEachInTurn(t)
	kinds := []struct {
		name  string
		times int // the next calls fail as well
		err   error
		late  bool
	}{
		// database/sql tries this one again, so that it is never late: drivers
		// only return it where nothing was done.
		{"a stale connection", 1, driver.ErrBadConn, false},
		{"a connection that is cut", 1, io.ErrUnexpectedEOF, false},
		{"an answer that is lost", 1, io.ErrUnexpectedEOF, true},
		{"two that are cut", 2, io.ErrUnexpectedEOF, false},
		{"two answers that are lost", 2, io.ErrUnexpectedEOF, true},
		{"three that are cut", 3, io.ErrUnexpectedEOF, false}, // whatever was to undo the first as well
		{"a full disk", 1, errors.New("disk full"), false},
	}
	each(t, func(t *testing.T, d database) {
		for _, m := range methods {
			t.Run(m.name, func(t *testing.T) {
				t.Parallel()
				ctx := t.Context()
				f, source := new(faults), d.make(t)
				direct := d.over(t, source.open(t))
				store := d.over(t, source.openFaulty(t, f))

				model := newAccount(t, direct)
				untouched := model.state(t, direct)
				require.NoError(t, m.call(ctx, store, model))
				done := model.state(t, direct)
				if m.reads {
					require.Equal(t, untouched, done)
				} else {
					require.NotEqual(t, untouched, done)
				}

				for _, kind := range kinds {
					for n := 1; ; n++ {
						require.Less(t, n, 100, "the calls have no end")
						a := newAccount(t, direct)
						// So that preparing is among what fails.
						require.NoError(t, store.Close())
						f.arm(n, kind.times, kind.err, kind.late)
						err := m.call(ctx, store, a)
						came := f.disarm()
						at := fmt.Sprintf("%s at call %d", kind.name, n)
						state := a.allOrNothing(t, direct, err, untouched, done, at)
						if state == untouched {
							require.NoError(t, m.call(ctx, store, a), at)
							require.Equal(t, done, a.state(t, direct))
						}
						// The account's lock is free again.
						require.NoError(t, store.Create(ctx, record(auth.KindToken, a.userID), 100))
						if !came {
							break
						}
					}
				}
			})
		}
	})
}
