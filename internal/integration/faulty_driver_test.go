package integration

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// faults counts the calls of a driver and makes some of them fail.
type faults struct {
	mu    sync.Mutex
	calls int
	at    int    // number of the first call that fails; zero means none
	times int    // how many calls in a row fail
	err   error  // that they return
	late  bool   // the call is made, and only its answer is lost
	query string // the last one with results, and its arguments
	args  []any

	statements []statement        // those that were executed, except prepared ones
	before     func(query string) // if not nil, called before each of them

	rolledBack func() // if not nil, called after the next ROLLBACK
}

// afterRollback calls rolledBack once.
func (f *faults) afterRollback() {
	f.mu.Lock()
	call := f.rolledBack
	f.rolledBack = nil
	f.mu.Unlock()
	if call != nil {
		call()
	}
}

// asked returns the last query.
func (f *faults) asked() (query string, args []any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.query, f.args
}

func (f *faults) ask(query string, args []driver.NamedValue) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.query, f.args = query, values(args)
}

// A statement has a query of the store and its arguments.
type statement struct {
	query string
	args  []any
}

func (f *faults) execute(query string, args []driver.NamedValue) {
	f.mu.Lock()
	f.statements = append(f.statements, statement{query, values(args)})
	call := f.before
	f.mu.Unlock()
	if call != nil {
		call(query)
	}
}

// beforeTransaction makes f call this before the nth transaction from now begins.
func (f *faults) beforeTransaction(n int, call func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.before = func(query string) {
		if !strings.HasPrefix(query, "BEGIN") && !strings.HasPrefix(query, "START") {
			return
		}
		if n--; n == 0 {
			call()
		}
	}
}

// executed returns the statements since the last call.
func (f *faults) executed() []statement {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := f.statements
	f.statements = nil
	return all
}

func values(args []driver.NamedValue) []any {
	all := make([]any, len(args))
	for i, arg := range args {
		all[i] = arg.Value
	}
	return all
}

// arm makes the nth call from now fail, and the times-1 calls after it.
func (f *faults) arm(n, times int, err error, late bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls, f.at, f.times, f.err, f.late = 0, n, times, err, late
}

// errKilled makes the process kill itself instead of returning an error.
var errKilled = errors.New("killed")

// disarm reports whether the call that should fail was made.
func (f *faults) disarm() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	made := f.calls >= f.at
	f.at = 0
	return made
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

// intercept makes one call of the driver, unless that call should fail.
func intercept[T any](f *faults, call func() (T, error)) (T, error) {
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

// openFaulty opens a database whose driver calls fail as f says.
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

// A faultyConn implements the optional interfaces that the drivers in these tests have.
type faultyConn struct {
	driver.Conn
	faults *faults
}

func (c *faultyConn) BeginTx(ctx context.Context, o driver.TxOptions) (driver.Tx, error) {
	tx, err := intercept(c.faults, func() (driver.Tx, error) { return c.Conn.(driver.ConnBeginTx).BeginTx(ctx, o) })
	if err != nil {
		return nil, err
	}
	return &faultyTx{tx, c.faults}, nil
}

func (c *faultyConn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	stmt, err := intercept(c.faults, func() (driver.Stmt, error) {
		return c.Conn.(driver.ConnPrepareContext).PrepareContext(ctx, query)
	})
	if err != nil {
		return nil, err
	}
	return &faultyStmt{stmt, c.faults}, nil
}

// If a driver returns ErrSkip, database/sql prepares a statement instead.

func (c *faultyConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	c.faults.execute(query, args)
	if query == "ROLLBACK" {
		defer c.faults.afterRollback()
	}
	return intercept(c.faults, func() (driver.Result, error) {
		return c.Conn.(driver.ExecerContext).ExecContext(ctx, query, args)
	})
}

func (c *faultyConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	c.faults.ask(query, args)
	c.faults.execute(query, args)
	q, ok := c.Conn.(driver.QueryerContext)
	if !ok {
		return nil, driver.ErrSkip
	}
	rows, err := intercept(c.faults, func() (driver.Rows, error) { return q.QueryContext(ctx, query, args) })
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
	_, err := intercept(tx.faults, func() (any, error) { return nil, tx.Tx.Commit() })
	return err
}

func (tx *faultyTx) Rollback() error {
	_, err := intercept(tx.faults, func() (any, error) { return nil, tx.Tx.Rollback() })
	return err
}

type faultyStmt struct {
	driver.Stmt
	faults *faults
}

func (s *faultyStmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	return intercept(s.faults, func() (driver.Result, error) {
		return s.Stmt.(driver.StmtExecContext).ExecContext(ctx, args)
	})
}

func (s *faultyStmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	rows, err := intercept(s.faults, func() (driver.Rows, error) {
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
	_, err := intercept(r.faults, func() (any, error) { return nil, r.Rows.Next(to) })
	return err
}
