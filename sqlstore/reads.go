package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"time"

	"github.com/seed-31c5bcb2/auth"
)

// Lookup implements auth.Store. With ErrRevoked it returns the owner of the record.
func (s *Store) Lookup(ctx context.Context, kind auth.Kind, d auth.Digest) (*auth.Credential, error) {
	ctx, cancel := s.withTimeout(ctx)
	defer cancel()
	r, err := s.lookupRow(ctx, d)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, auth.ErrNotFound
	case err != nil:
		return nil, s.explain(ctx, s.db, err)
	case r.Kind != kind:
		return nil, auth.ErrNotFound
	case r.revoked:
		return &auth.Credential{Kind: r.Kind, UserID: r.UserID, ID: r.ID, Digest: r.Digest}, auth.ErrRevoked
	}
	return &r.Credential, nil
}

func (s *Store) lookupRow(ctx context.Context, d auth.Digest) (*row, error) {
	return s.one(ctx, `digest = ?`, []any{d[:]}, func(extra ...any) (*row, error) {
		if s.dialect.driverPrepares {
			return s.dialect.scan(s.db.QueryRowContext(ctx, s.lookupQuery, d[:]), extra...)
		}
		stmt, err := s.lookupStatement(ctx)
		if err != nil {
			return nil, err
		}
		return s.dialect.scan(stmt.QueryRowContext(ctx, d[:]), extra...)
	})
}

// Get implements auth.Store.
func (s *Store) Get(ctx context.Context, ref auth.Ref) (auth.Credential, error) {
	ctx, cancel := s.withTimeout(ctx)
	defer cancel()
	where, args := byRef(ref)
	r, err := s.one(ctx, where, args, func(extra ...any) (*row, error) {
		return s.dialect.scan(s.db.QueryRowContext(ctx, s.dialect.selectOne(where), args...), extra...)
	})
	c, err := unrevoked(r, err)
	return c, s.explain(ctx, s.db, err)
}

func byRef(ref auth.Ref) (where string, args []any) {
	return `kind = ? AND user_id = ? AND id = ?`, []any{ref.Kind, ref.UserID, ref.ID}
}

// unrevoked returns ErrNotFound for a record that is revoked or does not exist.
func unrevoked(r *row, err error) (auth.Credential, error) {
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return auth.Credential{}, auth.ErrNotFound
	case err != nil:
		return auth.Credential{}, err
	case r.revoked:
		return auth.Credential{}, auth.ErrNotFound
	}
	return r.Credential, nil
}

// find returns the record in a transaction, or ErrNotFound if it is revoked.
func (s *Store) find(ctx context.Context, tx querier, ref auth.Ref) (auth.Credential, error) {
	where, args := byRef(ref)
	return unrevoked(s.dialect.scan(tx.QueryRowContext(ctx, s.dialect.selectRows(where), args...)))
}

// one returns the record that ask reads, which is called with a destination for
// @@autocommit if the database has that. If the answer may not be as of now, or the
// connection does not work, one asks others for the record where the condition holds: see
// errSnapshot.
func (s *Store) one(ctx context.Context, where string, args []any, ask func(extra ...any) (*row, error)) (r *row, err error) {
	first := func() error {
		r, err = ask()
		return err
	}
	if s.dialect.autocommit != "" {
		first = func() error {
			var on bool
			r, err = ask(&on)
			if err == nil && !on || errors.Is(err, sql.ErrNoRows) && s.mustCheckMiss(time.Now()) {
				return errSnapshot
			}
			return err
		}
	}
	err = s.readAfter(ctx, first, func(q querier) error {
		r, err = s.dialect.scan(q.QueryRowContext(ctx, s.dialect.selectRows(where), args...))
		return err
	})
	return r, err
}

// lookupStatement does not hold the mutex while it prepares the statement: callers
// that wait for a mutex cannot return when their context is done.
func (s *Store) lookupStatement(ctx context.Context) (*sql.Stmt, error) {
	s.mu.Lock()
	stmt := s.lookup
	s.mu.Unlock()
	if stmt != nil {
		return stmt, nil
	}
	stmt, err := s.db.PrepareContext(ctx, s.lookupQuery)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lookup != nil { // a concurrent call was first
		stmt.Close()
		return s.lookup, nil
	}
	s.lookup = stmt
	return stmt, nil
}

// List implements auth.Store.
func (s *Store) List(ctx context.Context, kind auth.Kind, userID string, page auth.Page) ([]auth.Credential, error) {
	ctx, cancel := s.withTimeout(ctx)
	defer cancel()
	where, args, limit := "", []any{kind, userID}, page.Max()
	if page.After != "" {
		where += ` AND id < ?`
		args = append(args, page.After)
	}
	query := s.dialect.selectUnrevoked(where + ` ORDER BY id DESC LIMIT ?`)
	scanner := s.dialect.newListScanner(kind, userID)
	var list []auth.Credential
	start := func() { list = []auth.Credential{} }
	err := s.each(ctx, query, append(args, limit), scanner, start, func() {
		if n := len(list); n == cap(list) { // most users have few, and records are large
			list = slices.Grow(list, min(limit-n, 50+20*n))
		}
		list = append(list, scanner.Credential)
	})
	if err != nil {
		return nil, s.explain(ctx, s.db, err)
	}
	return list, nil
}

// each calls use after the scanner has read each record that a query selects. It calls start before,
// and again if it starts over because the database or the connection did not work.
func (s *Store) each(ctx context.Context, query string, args []any, scanner *scanner, start, use func()) error {
	return s.read(ctx, func(q querier) error {
		rows, err := q.QueryContext(ctx, query, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		start()
		for rows.Next() {
			if err := scanner.scan(rows); err != nil {
				return err
			}
			use()
		}
		return rows.Err()
	})
}
