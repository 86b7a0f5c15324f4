package sqlstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// retry calls first, and then f until it gets a connection that works, or until the
// database answers with an error. Neither may change anything if it fails. If the database
// rolled back what they did, retry calls f again until ctx is done.
//
// A server or a network that restarts cuts all idle connections, and a canceled request
// closes the one that it uses. Neither may cause an outage for requests that another
// connection can serve. database/sql itself retries twice, only after driver.ErrBadConn,
// and its last attempt does not use a new connection if the pool is full.
func (s *Store) retry(ctx context.Context, first, f func() error) error {
	r := retrier{store: s, left: -1}
	err := first()
	for r.again(ctx, err) {
		err = f()
	}
	return err
}

// A retrier counts the attempts of one call.
type retrier struct {
	store *Store
	left  int // how many more connections may be broken; negative before the first failure
}

// again reports whether to make another attempt after err. There is at most one for each
// open connection of the pool and one more. During an outage there is only one, so that it
// does not multiply the load: if connecting fails again, so would the next attempt.
func (r *retrier) again(ctx context.Context, err error) bool {
	switch {
	case err == nil, errors.Is(err, sql.ErrNoRows), ctx.Err() != nil:
		return false
	case errors.Is(err, errSnapshot):
		return true
	case rolledBack(err):
		return pause(ctx)
	case !errors.Is(err, driver.ErrBadConn) && !staleStatement(err) && (!r.store.dialect.remote || answered(err)):
		return false
	}
	if none := new(connectError); errors.As(err, &none) {
		first := r.left < 0
		r.left = 0
		return first && pause(ctx)
	}
	if r.left < 0 {
		r.left = r.store.db.Stats().OpenConnections + 1
	}
	r.left--
	return r.left >= 0
}

// A connectError tells that there is no connection, so that others are not broken.
type connectError struct{ error }

func (e *connectError) Unwrap() error { return e.error }

// connect returns a connection of the pool.
func (s *Store) connect(ctx context.Context) (*sql.Conn, error) {
	conn, err := s.db.Conn(ctx)
	if err != nil && !errors.Is(err, driver.ErrBadConn) {
		return nil, &connectError{err}
	}
	return conn, err
}

// pause waits for a moment, so that the transaction that won can end, and reports whether
// there is time for another attempt. The moment is random: otherwise transactions that
// failed together would meet again.
func pause(ctx context.Context) bool {
	timer := time.NewTimer(time.Millisecond + rand.N(10*time.Millisecond))
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// rolledBack reports whether the database rolled back a transaction to let another one
// proceed: a serialization failure, a deadlock, or, where the server does not detect deadlocks, the
// timeout that ends them. Nothing was done then, even if COMMIT returned the error.
func rolledBack(err error) bool {
	// 1205: a lock was not released in time. 3101: a conflict that Group Replication found.
	return hasState(err, "40001", "40P01") || hasNumber(err, "1213", "1205", "3101")
}

// staleStatement reports whether a connection does not have a statement anymore that the driver
// has prepared, after DEALLOCATE ALL or DISCARD ALL, or has one whose result has other
// types since a table was altered. pgx prepares it again when it is used next.
func staleStatement(err error) bool {
	// invalid_sql_statement_name, and feature_not_supported: "cached plan must not change
	// result type", in the language of the server.
	return hasState(err, "26000", "0A000") || hasNumber(err, "1243", "1615")
}

// answered reports whether err is an answer of the database, or is about its answer. Another
// connection gets the same. If the server says that it closes the connection, that is
// none: 08 is the class of connection exceptions, in which PgBouncer reports a lost server.
func answered(err error) bool {
	if state := sqlState(err); state != "" {
		return !strings.HasPrefix(state, "08") && !slices.Contains([]string{
			"57P01", // admin_shutdown, also of one session
			"57P02", // crash_shutdown
			"57P05", // idle_session_timeout
		}, state)
	}
	if number := mysqlNumber(err); number != "" {
		return !slices.Contains([]string{
			"1053",                                 // the server shuts down
			"1152", "1158", "1159", "1160", "1161", // the connection is aborted
			"1927", "3169", // it was killed
			"4031", // it was idle for too long
		}, number)
	}
	// database/sql and this package report values that they cannot read.
	return strings.HasPrefix(err.Error(), "sql: ") || strings.HasPrefix(err.Error(), "sqlstore: ")
}

func hasState(err error, states ...string) bool { return slices.Contains(states, sqlState(err)) }

func hasNumber(err error, numbers ...string) bool {
	return slices.Contains(numbers, mysqlNumber(err))
}

// sqlState returns the SQLSTATE of an error of the drivers of PostgreSQL, which have a
// method for it, or "".
func sqlState(err error) string {
	var state interface{ SQLState() string }
	if errors.As(err, &state) {
		return state.SQLState()
	}
	return ""
}

// mysqlNumber returns the number of an error of go-sql-driver/mysql, or "". It has a field
// that cannot be read without importing the driver, but its text is
// "Error 1213 (40001): ...".
func mysqlNumber(err error) string {
	if err == nil {
		return ""
	}
	text, found := strings.CutPrefix(err.Error(), "Error ")
	if !found || len(text) < 5 || text[4] != ' ' && text[4] != ':' {
		return ""
	}
	return text[:4]
}
