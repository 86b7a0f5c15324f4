package sqlstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"strings"
	"time"
)

func (s *Store) withTimeout(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, s.timeout)
}

// transact calls f in a transaction, within the timeout. If the database rolls the
// transaction back to let another one proceed, f is called again.
//
// It executes BEGIN and COMMIT as statements. The Commit and Rollback methods of
// drivers have no context, and some block forever if the server hangs.
func (s *Store) transact(ctx context.Context, f func(context.Context, *sql.Conn) error) error {
	ctx, cancel := s.withTimeout(ctx)
	defer cancel()
	release, err := s.acquireWriter(ctx)
	if err != nil {
		return err
	}
	defer release()
	for {
		again, err := s.transactOnce(ctx, f)
		if err == nil || !again || !pause(ctx) {
			return err
		}
	}
}

// transactOnce also reports whether f can be called again after an error.
func (s *Store) transactOnce(ctx context.Context, f func(context.Context, *sql.Conn) error) (again bool, err error) {
	conn, err := s.begin(ctx)
	if err != nil {
		return false, err
	}
	defer conn.Close()
	err = finish(ctx, conn, f(ctx, conn))
	return rolledBack(err) || staleStatement(err), s.explain(ctx, conn, err)
}

// acquireWriter waits until this store may write. It is called before a connection
// is taken from the pool, so that waiting writers leave the connections to lookups,
// which SQLite runs in parallel with a writer.
func (s *Store) acquireWriter(ctx context.Context) (release func(), err error) {
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

// begin returns a connection in a new transaction.
func (s *Store) begin(ctx context.Context) (conn *sql.Conn, err error) {
	try := func() error {
		if conn, err = s.connect(ctx); err != nil {
			return err
		}
		err = beginWith(ctx, conn, s.dialect.begin)
		if err != nil && s.dialect.autocommit != "" && s.enableAutocommit(ctx, conn) == nil {
			// SET TRANSACTION is an error in a transaction, which any earlier statement has
			// begun if autocommit is off.
			err = beginWith(ctx, conn, s.dialect.begin)
		}
		if err != nil {
			conn.Close()
		}
		return err
	}
	err = s.retry(ctx, try, try)
	return conn, err
}

// read calls f, which reads, with the database, or with a connection whose statements see
// what was committed before them. It calls f again if the connection did not work, or if the
// database rolled it back.
func (s *Store) read(ctx context.Context, f func(q querier) error) error {
	return s.readAfter(ctx, func() error {
		if s.dialect.autocommit == "" {
			return f(s.db)
		}
		return s.readFresh(ctx, f)
	}, f)
}

// readAfter calls first, and f as read does if first did not work.
func (s *Store) readAfter(ctx context.Context, first func() error, f func(q querier) error) error {
	return s.retry(ctx, first, func() error { return s.readFresh(ctx, f) })
}

func (s *Store) readFresh(ctx context.Context, f func(q querier) error) error {
	conn, err := s.connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if s.dialect.autocommit != "" {
		if err := s.enableAutocommit(ctx, conn); err != nil {
			return err
		}
	}
	return f(conn)
}

// beginWith starts a transaction. If that fails, it rolls back, because the
// transaction may have started.
func beginWith(ctx context.Context, conn *sql.Conn, statements []string) error {
	for _, statement := range statements {
		if _, err := conn.ExecContext(ctx, statement); err != nil {
			rollback(ctx, conn)
			return err
		}
	}
	return nil
}

// joinOther joins an error and one that followed from it, unless that one says the same:
// the statements after a broken connection fail like the first.
func joinOther(err, then error) error {
	if err != nil && then != nil && strings.Contains(err.Error(), then.Error()) {
		return err
	}
	return errors.Join(err, then)
}

// finish commits if err is nil, and rolls back otherwise.
func finish(ctx context.Context, conn *sql.Conn, err error) error {
	if err == nil {
		_, err = conn.ExecContext(ctx, "COMMIT")
	}
	if err != nil {
		rollback(ctx, conn)
	}
	return err
}

// rollback rolls back even if ctx is done. If that fails, it closes the connection,
// so that the database rolls back and no other caller gets a connection with an open
// transaction.
func rollback(ctx context.Context, conn *sql.Conn) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 100*time.Millisecond)
	defer cancel()
	run := func(statement string) bool {
		_, err := conn.ExecContext(ctx, statement)
		return err == nil
	}
	// SQLite rejects ROLLBACK outside of a transaction, and a savepoint starts one.
	// BEGIN would not do: MySQL first commits the open transaction.
	if run("ROLLBACK") || run("SAVEPOINT undone") && run("ROLLBACK") {
		return
	}
	// This error makes database/sql close the connection.
	_ = conn.Raw(func(any) error { return driver.ErrBadConn })
}
