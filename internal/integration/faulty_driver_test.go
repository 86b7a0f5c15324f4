package integration

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// faults counts the calls of a driver and makes one of them fail.
type faults struct {
	mu    sync.Mutex
	calls int
	at    int   // the first call that fails; 0: none does
	times int   // so many do, one after the other
	err   error // how
	late  bool  // the database has done it, and the answer is lost
}

// arm makes the nth call from now fail, and those after it if times is over 1.
func (f *faults) arm(n, times int, err error, late bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls, f.at, f.times, f.err, f.late = 0, n, times, err, late
}

// errKilled is no error: the process ends, as by kill -9.
var errKilled = errors.New("killed")

// disarm reports whether the call came that was to fail.
func (f *faults) disarm() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	came := f.calls >= f.at
	f.at = 0
	return came
}

func (f *faults) next() (before, after error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls++
	switch {
	case f.at == 0, f.calls < f.at, f.calls >= f.at+f.times:
		return nil, nil
	case f.late:
		return nil, f.err
	}
	return f.err, nil
}

// through runs one call of the driver, unless it is to fail.
func through[T any](f *faults, call func() (T, error)) (T, error) {
	var none T
	before, after := f.next()
	if before != nil {
		return none, before
	}
	got, err := call()
	if after == errKilled {
		_ = syscall.Kill(syscall.Getpid(), syscall.SIGKILL)
		select {}
	}
	if err == nil && after != nil {
		if c, ok := any(got).(io.Closer); ok {
			c.Close()
		}
		return none, after
	}
	return got, err
}

// openFaulty opens a database through f.
func (s source) openFaulty(t *testing.T, f *faults) *sql.DB {
	t.Helper()
	db, err := s.faulty(f)
	require.NoError(t, err)
	t.Cleanup(func() { db.Close() })
	return db
}

func (s source) faulty(f *faults) (*sql.DB, error) {
	named, err := sql.Open(s.driver, s.dsn)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(&faultyConnector{named.Driver(), s.dsn, f}), named.Close()
}

type faultyConnector struct {
	driver driver.Driver
	dsn    string
	faults *faults
}

func (c *faultyConnector) Driver() driver.Driver { return c.driver }

func (c *faultyConnector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := func() (driver.Conn, error) {
		d, ok := c.driver.(driver.DriverContext)
		if !ok {
			return c.driver.Open(c.dsn)
		}
		connector, err := d.OpenConnector(c.dsn)
		if err != nil {
			return nil, err
		}
		return connector.Connect(ctx)
	}()
	if err != nil {
		return nil, err
	}
	return &faultyConn{conn, c.faults}, nil
}

// A faultyConn has the optional methods that each driver in these tests has.
type faultyConn struct {
	driver.Conn
	faults *faults
}

func (c *faultyConn) BeginTx(ctx context.Context, o driver.TxOptions) (driver.Tx, error) {
	tx, err := through(c.faults, func() (driver.Tx, error) { return c.Conn.(driver.ConnBeginTx).BeginTx(ctx, o) })
	if err != nil {
		return nil, err
	}
	return &faultyTx{tx, c.faults}, nil
}

func (c *faultyConn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	stmt, err := through(c.faults, func() (driver.Stmt, error) {
		return c.Conn.(driver.ConnPrepareContext).PrepareContext(ctx, query)
	})
	if err != nil {
		return nil, err
	}
	return &faultyStmt{stmt, c.faults}, nil
}

// Where a driver answers ErrSkip, database/sql goes on to prepare.

func (c *faultyConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	return through(c.faults, func() (driver.Result, error) {
		return c.Conn.(driver.ExecerContext).ExecContext(ctx, query, args)
	})
}

func (c *faultyConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	q, ok := c.Conn.(driver.QueryerContext)
	if !ok {
		return nil, driver.ErrSkip
	}
	rows, err := through(c.faults, func() (driver.Rows, error) { return q.QueryContext(ctx, query, args) })
	if err != nil {
		return nil, err
	}
	return &faultyRows{rows, c.faults}, nil
}

func (c *faultyConn) CheckNamedValue(v *driver.NamedValue) error {
	if checker, ok := c.Conn.(driver.NamedValueChecker); ok {
		return checker.CheckNamedValue(v)
	}
	return driver.ErrSkip
}

func (c *faultyConn) ResetSession(ctx context.Context) error {
	if resetter, ok := c.Conn.(driver.SessionResetter); ok {
		return resetter.ResetSession(ctx)
	}
	return nil
}

func (c *faultyConn) IsValid() bool {
	validator, ok := c.Conn.(driver.Validator)
	return !ok || validator.IsValid()
}

type faultyTx struct {
	driver.Tx
	faults *faults
}

func (tx *faultyTx) Commit() error {
	_, err := through(tx.faults, func() (any, error) { return nil, tx.Tx.Commit() })
	return err
}

func (tx *faultyTx) Rollback() error {
	_, err := through(tx.faults, func() (any, error) { return nil, tx.Tx.Rollback() })
	return err
}

type faultyStmt struct {
	driver.Stmt
	faults *faults
}

func (s *faultyStmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	return through(s.faults, func() (driver.Result, error) {
		return s.Stmt.(driver.StmtExecContext).ExecContext(ctx, args)
	})
}

func (s *faultyStmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	rows, err := through(s.faults, func() (driver.Rows, error) {
		return s.Stmt.(driver.StmtQueryContext).QueryContext(ctx, args)
	})
	if err != nil {
		return nil, err
	}
	return &faultyRows{rows, s.faults}, nil
}

func (s *faultyStmt) CheckNamedValue(v *driver.NamedValue) error {
	if checker, ok := s.Stmt.(driver.NamedValueChecker); ok {
		return checker.CheckNamedValue(v)
	}
	return driver.ErrSkip
}

type faultyRows struct {
	driver.Rows
	faults *faults
}

func (r *faultyRows) Next(to []driver.Value) error {
	_, err := through(r.faults, func() (any, error) { return nil, r.Rows.Next(to) })
	return err
}
