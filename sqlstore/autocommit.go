package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"time"
)

// errSnapshot tells that an answer of MySQL or MariaDB may not be as of now. If autocommit is
// off, the first read of a connection begins a transaction that no statement ends, and all
// later reads see the database as it was then.
//
// So each lookup also reads @@autocommit, which costs nothing in a row. Without a row there is
// none, and a query that always returned one would make each lookup a fifth slower. But all
// connections of a pool are configured alike. So of the answers without a row, one in a second
// is checked, and all once a connection was found to have autocommit off.
var errSnapshot = errors.New("sqlstore: autocommit is off, so the connection may see an old state of the database")

// mustCheckMiss reports whether an answer without a row is to be checked.
func (s *Store) mustCheckMiss(now time.Time) bool {
	last := s.missChecked.Load()
	return s.autocommitOff.Load() ||
		now.UnixNano()-last >= int64(time.Second) && s.missChecked.CompareAndSwap(last, now.UnixNano())
}

// enableAutocommit leaves the connection with autocommit on. If it was off, this ends the
// transaction that the first read has begun.
func (s *Store) enableAutocommit(ctx context.Context, conn *sql.Conn) error {
	var on bool
	err := conn.QueryRowContext(ctx, "SELECT "+s.dialect.autocommit).Scan(&on)
	if err != nil || on {
		return err
	}
	s.autocommitOff.Store(true)
	_, err = conn.ExecContext(ctx, "SET autocommit = 1")
	return err
}
