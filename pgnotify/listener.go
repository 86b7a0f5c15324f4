package pgnotify

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/seed-31c5bcb2/auth"
)

// A listener is a connection that has executed LISTEN.
type listener struct {
	conn *pgx.Conn
	pid  string // of the server process behind the connection
}

func (l *listener) close() {
	ctx, cancel := context.WithTimeout(context.Background(), answerTimeout)
	defer cancel()
	l.conn.Close(ctx)
}

// wait returns when a notification has been received, or at the given time.
func (l *listener) wait(ctx context.Context, until time.Time) error {
	waiting, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	err := l.conn.PgConn().WaitForNotification(waiting)
	if ctx.Err() == nil && waiting.Err() != nil {
		return nil // a broken connection fails the next call
	}
	return err
}

const selectPID = "SELECT pg_catalog.pg_backend_pid()"

var errPooler = errors.New("a different server process answered: a pooler that is not in session mode drops notifications")

// check detects broken connections, and poolers that assign a server process to each
// transaction: with those, LISTEN succeeds but no notification ever arrives.
func (l *listener) check(ctx context.Context) error {
	pid, err := l.query(ctx, selectPID)
	if err == nil && pid != l.pid {
		return errPooler
	}
	return err
}

var errNoTriggers = errors.New("the database does not send notifications: sqlstore's migrations have not been applied, or its triggers are disabled")

// checkTriggers looks in all schemas, because it does not know which one has the
// tables.
func (l *listener) checkTriggers(ctx context.Context) error {
	exists, err := l.query(ctx, `SELECT EXISTS (SELECT FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid
		WHERE p.proname = 'auth_invalidate' AND t.tgenabled IN ('O', 'A'))`)
	if err == nil && exists != "t" {
		return errNoTriggers
	}
	return err
}

var errNoUsage = errors.New("the server does not say how full its queue of notifications is")

// queueUsage returns how full the queue is that all databases of the server share: 0 is
// empty and 1 full.
func (l *listener) queueUsage(ctx context.Context) (float64, error) {
	value, err := l.query(ctx, "SELECT pg_catalog.pg_notification_queue_usage()")
	if err != nil {
		return 0, err
	}
	return strconv.ParseFloat(value, 64)
}

func (l *listener) query(ctx context.Context, statements string) (string, error) {
	return l.queryWithin(ctx, answerTimeout, statements)
}

// queryWithin returns the single value of the last of the statements. It uses no prepared
// statements, which some poolers do not support.
func (l *listener) queryWithin(ctx context.Context, timeout time.Duration, statements string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	results, err := l.conn.PgConn().Exec(ctx, statements).ReadAll()
	if err != nil {
		return "", err
	}
	if n := len(results); n > 0 && len(results[n-1].Rows) == 1 && len(results[n-1].Rows[0]) == 1 {
		return string(results[n-1].Rows[0][0]), nil
	}
	return "", errors.New("the server returned no value")
}

// parse reads the payload of a notification: a kind, a space and a user ID.
func parse(payload string) (kind auth.Kind, userID string, ok bool) {
	digit, userID, ok := strings.Cut(payload, " ")
	if !ok || len(digit) != 1 || digit < "1" || digit > "3" || userID == "" {
		return 0, "", false
	}
	return auth.Kind(digit[0] - '0'), userID, true
}
