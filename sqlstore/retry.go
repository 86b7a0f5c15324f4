package sqlstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"time"
)

// retry calls f until it gets a connection that works: at least once for each open
// connection of the pool, and once more. f must not change anything if it fails. If the
// database rolled back what f did, retry calls it again until ctx is done.
//
// Canceled requests, networks and administrators close connections, which must not cause an
// outage while others work. database/sql itself retries twice, only if the driver knows that it
// has sent nothing, and its last attempt does not use a new connection if the pool is full.
func (s *Store) retry(ctx context.Context, f func() error) error {
	for left := -1; ; {
		err := f()
		switch {
		case err == nil, errors.Is(err, sql.ErrNoRows):
			return err
		case rolledBack(err):
			if !pause(ctx) {
				return err
			}
		case !lostConnection(err) && !staleStatement(err):
			return err
		case left < 0:
			left = s.db.Stats().OpenConnections + 1
			fallthrough
		default:
			if left == 0 {
				return err
			}
			left--
		}
	}
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

// lostConnection reports whether a connection broke, possibly after the statement was sent, or
// the server ended it. If none can be established, that is an outage.
func lostConnection(err error) bool {
	var network *net.OpError
	switch {
	case errors.Is(err, driver.ErrBadConn), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		return true
	case errors.As(err, &network):
		return network.Op != "dial" && !network.Timeout()
	}
	switch sqlState(err) {
	case "57P01", "57P02": // admin_shutdown, which is also pg_terminate_backend; crash_shutdown
		return true
	case "":
		// 1053: the server shuts down; 1927: KILL. The others are mysql.ErrInvalidConn, and an error of pgx.
		return hasNumber(err, "1053", "1927") || err.Error() == "invalid connection" || err.Error() == "conn closed"
	}
	return false
}

// rolledBack reports whether the database rolled back a transaction for the sake of another
// one: a serialization failure, a deadlock, or, where the server does not detect deadlocks, the
// timeout that ends them. Nothing was done then, even if COMMIT returned the error.
//
// The drivers of PostgreSQL have a method SQLState. That of MySQL has a field, which cannot be
// read without importing the driver, but its text begins with the number.
func rolledBack(err error) bool {
	switch sqlState(err) {
	case "40001", "40P01":
		return true
	case "":
		return hasNumber(err, "1213", "1205", "3101") // 3101: a conflict found by Group Replication
	}
	return false
}

// staleStatement reports whether a connection does not have a statement anymore that the driver
// has prepared, after DEALLOCATE ALL or DISCARD ALL, or has one whose result has other
// types since a table was altered. pgx prepares it again when it is used next.
func staleStatement(err error) bool {
	switch sqlState(err) {
	case "26000": // invalid_sql_statement_name
		return true
	case "0A000": // feature_not_supported
		return strings.Contains(err.Error(), "cached plan")
	}
	return false
}

func sqlState(err error) string {
	var state interface{ SQLState() string }
	if errors.As(err, &state) {
		return state.SQLState()
	}
	return ""
}

func hasNumber(err error, numbers ...string) bool {
	if err == nil {
		return false
	}
	text, found := strings.CutPrefix(err.Error(), "Error ")
	if !found || len(text) < 5 || text[4] != ' ' && text[4] != ':' {
		return false
	}
	for _, n := range numbers {
		if text[:4] == n {
			return true
		}
	}
	return false
}
