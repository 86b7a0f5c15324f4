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
	done, err := s.turn(ctx)
	if err != nil {
		return err
	}
	defer done()
	conn, err := s.begun(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	return finish(ctx, conn, f(ctx, conn))
}

// turn waits until this store may write. It comes before the connection: those who
// wait must not keep it from lookups, which SQLite lets go on.
func (s *Store) turn(ctx context.Context) (done func(), err error) {
	if s.writer == nil {
		return func() {}, nil
	}
	select {
	case s.writer <- struct{}{}:
		return func() { <-s.writer }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// begun returns a connection in a transaction.
func (s *Store) begun(ctx context.Context) (conn *sql.Conn, err error) {
	err = s.again(func() error {
		if conn, err = s.db.Conn(ctx); err != nil {
			return err
		}
		if err = begin(ctx, conn, s.dialect.begin...); err != nil {
			conn.Close()
		}
		return err
	})
	return conn, err
}

// again calls f, which has changed nothing where it fails, until it meets a
// connection that works: past as many closed ones as the pool has, and once more.
// database/sql does so twice, and its third time is no new connection where the
// pool is full. Requests that clients give up close connections, and must not cost
// others an outage.
func (s *Store) again(f func() error) error {
	for closed := s.db.Stats().OpenConnections; ; closed-- {
		err := f()
		if closed <= 0 || !errors.Is(err, driver.ErrBadConn) {
			return err
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
	// SQLite has no ROLLBACK where there is no transaction: then a savepoint begins
	// one. BEGIN is not for this: MySQL commits what is open before it.
	if run("ROLLBACK") || run("SAVEPOINT undone") && run("ROLLBACK") {
		return
	}
	// The error is how database/sql is told to close it.
	_ = conn.Raw(func(any) error { return driver.ErrBadConn })
}
