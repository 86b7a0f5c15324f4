package sqlstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"time"
)

// transact runs f in a transaction, within the timeout.
//
// It says BEGIN and COMMIT itself, as statements. A driver's own Commit and
// Rollback have no context: over a server that hangs, some wait for ever.
func (s *Store) transact(ctx context.Context, f func(context.Context, *sql.Conn) error) error {
	ctx, cancel := s.within(ctx)
	defer cancel()
	conn, err := s.begun(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	return finish(ctx, conn, f(ctx, conn))
}

// begun returns a connection in a transaction. As database/sql does for what has
// no transaction, it passes over connections that the server has closed
// meanwhile: as many as there are, and then a new one is tried.
func (s *Store) begun(ctx context.Context) (*sql.Conn, error) {
	for stale := s.db.Stats().OpenConnections; ; stale-- {
		conn, err := s.db.Conn(ctx)
		if err != nil {
			return nil, err
		}
		err = begin(ctx, conn, s.dialect.begin...)
		if err == nil {
			return conn, nil
		}
		conn.Close()
		if stale <= 0 || !errors.Is(err, driver.ErrBadConn) {
			return nil, err
		}
	}
}

// begin starts a transaction. One that may have started is undone.
func begin(ctx context.Context, conn *sql.Conn, statements ...string) error {
	for _, statement := range statements {
		if _, err := conn.ExecContext(ctx, statement); err != nil {
			undo(ctx, conn)
			return err
		}
	}
	return nil
}

// finish commits, unless something failed.
func finish(ctx context.Context, conn *sql.Conn, failed error) error {
	if failed == nil {
		_, failed = conn.ExecContext(ctx, "COMMIT")
	}
	if failed != nil {
		undo(ctx, conn)
	}
	return failed
}

// undo rolls back, also when the context is over. The next user of a connection
// must not find itself in a transaction: what cannot be rolled back is closed,
// and the database then does it.
func undo(ctx context.Context, conn *sql.Conn) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 100*time.Millisecond)
	defer cancel()
	run := func(statement string) bool {
		_, err := conn.ExecContext(ctx, statement)
		return err == nil
	}
	// SQLite has no ROLLBACK where there is no transaction: then one can begin.
	if run("ROLLBACK") || run("BEGIN") && run("ROLLBACK") {
		return
	}
	// The error is how database/sql is told to close it.
	_ = conn.Raw(func(any) error { return driver.ErrBadConn })
}
