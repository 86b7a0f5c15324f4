package integration

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/sqlstore"
)

// If the server hangs at any point of a call, the call returns an outage after the timeout.
// When the server answers again, so does the store.
func TestSQLStore_hangingServer(t *testing.T) {
	t.Parallel()
	inCI(t)
	const timeout = 300 * time.Millisecond
	// Generous for a busy machine: the test is about calls that never return.
	const limit = timeout + 3*time.Second
	each(t, func(t *testing.T, d database) {
		if d.isSQLite() {
			t.Skip("has no server")
		}
		source := d.make(t)
		direct := d.over(t, source.open(t))
		const requests = 8
		var cases []func() error
		for _, m := range methods {
			for _, answers := range []bool{false, true} {
				for after := range requests {
					u := newUser(t, direct)
					db, p := source.openHanging(t)
					db.SetMaxOpenConns(2)
					store, err := sqlstore.New(db, d.dialect, sqlstore.Config{Timeout: timeout})
					require.NoError(t, err)
					cases = append(cases, func() error {
						defer db.Close()
						if err := hang(t.Context(), m, db, store, p, u, after, answers, limit); err != nil {
							return fmt.Errorf("%s, hangs after %d requests, answers %t: %w", m.name, after, answers, err)
						}
						return nil
					})
				}
			}
		}
		for _, err := range runSome(cases, 4) {
			require.NoError(t, err)
		}
	})
}

func hang(ctx context.Context, m method, db *sql.DB, store auth.Store, p *proxy, u *testUser, after int, answers bool, limit time.Duration) error {
	defer p.resume()
	// Connect first: the test is not about that.
	if err := recovers(ctx, db, store, u); err != nil {
		return err
	}
	p.hang(after, answers)
	start := time.Now()
	err := m.call(ctx, store, u)
	took := time.Since(start)
	for _, known := range []error{auth.ErrNotFound, auth.ErrConflict, auth.ErrLimit} {
		if errors.Is(err, known) {
			return fmt.Errorf("an outage is reported as: %w", err)
		}
	}
	if err == nil && after == 0 {
		return errors.New("a server that hangs has answered")
	}
	if took > limit {
		return fmt.Errorf("the call took %v", took)
	}
	p.resume()
	return recovers(ctx, db, store, u)
}

// recovers calls the store until it answers. The connections that hang fail first, one
// per call. Ping connects without a timeout in between: if connecting takes longer than
// the store's timeout, each call would leave one more process for the server to start,
// which makes the next one even slower.
func recovers(ctx context.Context, db *sql.DB, store auth.Store, u *testUser) error {
	var err error
	for range 20 {
		_ = db.PingContext(ctx)
		if err = store.Create(ctx, record(auth.KindToken, u.userID), 100); err == nil {
			return nil
		}
	}
	return fmt.Errorf("the store does not recover: %w", err)
}

// runSome calls the functions, at most n at a time, and returns their results.
func runSome(cases []func() error, n int) []error {
	errs, running := make(chan error, len(cases)), make(chan struct{}, n)
	for _, c := range cases {
		go func() {
			running <- struct{}{}
			defer func() { <-running }()
			errs <- c()
		}()
	}
	all := make([]error, len(cases))
	for i := range all {
		all[i] = <-errs
	}
	return all
}
