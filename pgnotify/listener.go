package pgnotify

import (
	"context"
	"errors"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/seed-31c5bcb2/auth"
)

// A listener is a connection that has executed LISTEN.
type listener struct {
	conn *pgx.Conn
	pid  string // of the server process behind the connection
}

// connect sends both statements in one message, so that a pooler cannot give them to
// different server processes.
func (s *Source) connect(ctx context.Context) (*listener, error) {
	conn, err := pgx.ConnectConfig(ctx, s.conn.Copy())
	if err != nil {
		return nil, err
	}
	l := &listener{conn: conn}
	if l.pid, err = l.query(ctx, "LISTEN auth_invalidations; "+selectPID); err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

func (l *listener) close() {
	ctx, cancel := context.WithTimeout(context.Background(), answerTimeout)
	defer cancel()
	l.conn.Close(ctx)
}

// next waits for a notification. It returns nil if none has arrived for the time of a
// heartbeat and the connection is still listening.
func (l *listener) next(ctx context.Context) (*pgconn.Notification, error) {
	quiet, cancel := context.WithTimeout(ctx, heartbeat)
	defer cancel()
	n, err := l.conn.WaitForNotification(quiet)
	if err == nil || ctx.Err() != nil || quiet.Err() == nil {
		return n, err
	}
	return nil, l.check(ctx)
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

// query returns the single value of the last of the statements. It uses no prepared
// statements, which some poolers do not support.
func (l *listener) query(ctx context.Context, statements string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
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
