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

// A server that hangs keeps nobody for longer than the timeout, wherever in a
// call it does; and once it answers again, so does the store.
func TestHangingServerIsAnOutage(t *testing.T) {
	t.Parallel()
	const timeout = 300 * time.Millisecond
	// The calls take turns on a busy machine. What is to be seen is the call that
	// never returns.
	const soon = timeout + 3*time.Second
	each(t, func(t *testing.T, d database) {
		if d.isSQLite() {
			t.Skip("there is no server")
		}
		source := d.make(t)
		direct := d.over(t, source.open(t))
		const requests = 8
		var cases []func() error
		for _, m := range methods {
			for _, answers := range []bool{false, true} {
				for after := range requests {
					a := newAccount(t, direct)
					db, p := source.openHanging(t)
					db.SetMaxOpenConns(2)
					store, err := sqlstore.New(db, d.dialect, sqlstore.Config{Timeout: timeout})
					require.NoError(t, err)
					cases = append(cases, func() error {
						defer db.Close()
						if err := hang(t.Context(), m, db, store, p, a, after, answers, soon); err != nil {
							return fmt.Errorf("%s, held after %d requests, answers %t: %w", m.name, after, answers, err)
						}
						return nil
					})
				}
			}
		}
		for _, err := range some(cases, 4) {
			require.NoError(t, err)
		}
	})
}

func hang(ctx context.Context, m method, db *sql.DB, store auth.Store, p *proxy, a *account, after int, answers bool, soon time.Duration) error {
	defer p.resume()
	// Connecting is no part of it.
	if err := recovers(ctx, db, store, a); err != nil {
		return err
	}
	p.hang(after, answers)
	start := time.Now()
	err := m.call(ctx, store, a)
	took := time.Since(start)
	for _, known := range []error{auth.ErrNotFound, auth.ErrConflict, auth.ErrLimit} {
		if errors.Is(err, known) {
			return fmt.Errorf("an outage is told as: %w", err)
		}
	}
	if err == nil && after == 0 {
		return errors.New("it was answered by a server that hangs")
	}
	if took > soon {
		return fmt.Errorf("it took %v", took)
	}
	p.resume()
	return recovers(ctx, db, store, a)
}

// recovers asks until the store answers, which it does once the connections are
// gone that were cut off: a few calls. Between them it connects as slowly as the server
// will: where connecting takes longer than the store's timeout, each call would leave
// the server one more process to start, and so make the next take longer still.
func recovers(ctx context.Context, db *sql.DB, store auth.Store, a *account) error {
	var err error
	for range 20 {
		_ = db.PingContext(ctx)
		if err = store.Create(ctx, record(auth.KindToken, a.userID), 100); err == nil {
			return nil
		}
	}
	return fmt.Errorf("it does not recover: %w", err)
}

// some runs functions, so many at a time, and returns what they do.
func some(cases []func() error, most int) []error {
	errs, turn := make(chan error, len(cases)), make(chan struct{}, most)
	for _, c := range cases {
		go func() {
			turn <- struct{}{}
			defer func() { <-turn }()
			errs <- c()
		}()
	}
	all := make([]error, len(cases))
	for i := range all {
		all[i] = <-errs
	}
	return all
}
