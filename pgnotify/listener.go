package pgnotify

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// A listener is a connection that listens.
type listener struct {
	conn *pgx.Conn
	pid  string // of the process that serves it
}

// connect asks for both in one message, which a pooler cannot part.
func (s *Source) connect(ctx context.Context) (*listener, error) {
	conn, err := pgx.ConnectConfig(ctx, s.cfg.Copy())
	if err != nil {
		return nil, err
	}
	l := &listener{conn: conn}
	if l.pid, err = l.ask(ctx, "LISTEN auth_invalidations; "+whoServes); err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

func (l *listener) close() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	l.conn.Close(ctx)
}

// next waits for a notification. It returns none where there was none for a while
// and the connection still listens.
func (l *listener) next(ctx context.Context) (*pgconn.Notification, error) {
	quiet, cancel := context.WithTimeout(ctx, heartbeat)
	defer cancel()
	n, err := l.conn.WaitForNotification(quiet)
	if err == nil || ctx.Err() != nil || quiet.Err() == nil {
		return n, err
	}
	return nil, l.check(ctx)
}

const whoServes = "SELECT pg_catalog.pg_backend_pid()"

var errPooler = errors.New("another process of the server has answered: a pooler that is not in session mode drops notifications")

// check is also for poolers that lend a connection for each transaction: they take
// LISTEN, and then nothing would ever come, nor fail.
func (l *listener) check(ctx context.Context) error {
	pid, err := l.ask(ctx, whoServes)
	if err == nil && pid != l.pid {
		return errPooler
	}
	return err
}

var errNoTriggers = errors.New("the database tells of no revocation: sqlstore's migrations have not been applied to it, or its triggers are disabled")

// checkTriggers looks in all schemas: it does not know in which the tables are.
func (l *listener) checkTriggers(ctx context.Context) error {
	there, err := l.ask(ctx, `SELECT EXISTS (SELECT FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid
		WHERE p.proname = 'auth_invalidate' AND t.tgenabled IN ('O', 'A'))`)
	if err == nil && there != "t" {
		return errNoTriggers
	}
	return err
}

// ask returns the value with which queries end. Prepared statements are left out,
// since a pooler may know none.
func (l *listener) ask(ctx context.Context, queries string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	results, err := l.conn.PgConn().Exec(ctx, queries).ReadAll()
	if err != nil {
		return "", err
	}
	if n := len(results); n > 0 && len(results[n-1].Rows) == 1 && len(results[n-1].Rows[0]) == 1 {
		return string(results[n-1].Rows[0][0]), nil
	}
	return "", errors.New("the server's answer has no value")
}
