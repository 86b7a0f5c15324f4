package sqlstore_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/sqlstore"
)

// unreachable is a database that refuses connections.
type unreachable struct{}

var errUnreachable = errors.New("connection refused")

func (unreachable) Connect(context.Context) (driver.Conn, error) { return nil, errUnreachable }
func (unreachable) Driver() driver.Driver                        { return nil }

func openUnreachable(t *testing.T) *sql.DB {
	t.Helper()
	db := sql.OpenDB(unreachable{})
	t.Cleanup(func() { db.Close() })
	return db
}

func TestNew(t *testing.T) {
	t.Parallel()
	for _, dialect := range []sqlstore.Dialect{sqlstore.SQLite, sqlstore.PostgreSQL, sqlstore.MySQL} {
		for _, cfg := range []sqlstore.Config{{}, {Timeout: time.Nanosecond}} {
			store, err := sqlstore.New(openUnreachable(t), dialect, cfg)
			require.NoError(t, err)
			require.NoError(t, store.Close())
			require.NoError(t, store.Close(), "Close is idempotent")
		}
	}
}

func TestNew_reportsEveryFault(t *testing.T) {
	t.Parallel()
	db := openUnreachable(t)
	tests := []struct {
		name    string
		db      *sql.DB
		dialect sqlstore.Dialect
		cfg     sqlstore.Config
		faults  []string // parts of the error
	}{
		{"no database", nil, sqlstore.SQLite, sqlstore.Config{}, []string{"db is nil"}},
		{"no dialect", db, "", sqlstore.Config{}, []string{`unknown dialect ""`}},
		{"an unknown dialect", db, "oracle", sqlstore.Config{}, []string{`unknown dialect "oracle"`}},
		{"a negative timeout", db, sqlstore.SQLite, sqlstore.Config{Timeout: -time.Second}, []string{"Timeout: -1s"}},
		{
			"all at once", nil, "", sqlstore.Config{Timeout: -1},
			[]string{"db is nil", `unknown dialect ""`, "Timeout: -1ns"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			store, err := sqlstore.New(tt.db, tt.dialect, tt.cfg)
			require.Nil(t, store)
			for _, fault := range tt.faults {
				require.ErrorContains(t, err, fault)
			}
		})
	}
}

// An unreachable database is an outage: no method returns ErrNotFound or nil.
func TestStore_unreachableDatabase(t *testing.T) {
	t.Parallel()
	now := time.Now()
	c := auth.Credential{ID: "1", Kind: auth.KindToken, UserID: "alice", CreatedAt: now}
	for _, dialect := range []sqlstore.Dialect{sqlstore.SQLite, sqlstore.PostgreSQL, sqlstore.MySQL} {
		t.Run(string(dialect), func(t *testing.T) {
			t.Parallel()
			s, err := sqlstore.New(openUnreachable(t), dialect, sqlstore.Config{})
			require.NoError(t, err)
			calls := map[string]func(ctx context.Context) error{
				"Migrate": s.Migrate,
				"Create":  func(ctx context.Context) error { return s.Create(ctx, c, 1) },
				"Lookup":  func(ctx context.Context) error { _, err := s.Lookup(ctx, c.Kind, c.Digest); return err },
				"Get":     func(ctx context.Context) error { _, err := s.Get(ctx, c.Ref()); return err },
				"List": func(ctx context.Context) error {
					_, err := s.List(ctx, c.Kind, c.UserID, auth.Page{})
					return err
				},
				"Rotate":    func(ctx context.Context) error { return s.Rotate(ctx, c, c, now) },
				"Update":    func(ctx context.Context) error { return s.Update(ctx, c, c) },
				"Scan":      func(ctx context.Context) error { _, err := s.Scan(ctx, auth.ScanQuery{}); return err },
				"Revoke":    func(ctx context.Context) error { return s.Revoke(ctx, c.Ref()) },
				"RevokeAll": func(ctx context.Context) error { _, err := s.RevokeAll(ctx, c.Kind, c.UserID); return err },
				"Touch":     func(ctx context.Context) error { return s.Touch(ctx, []auth.Use{{Ref: c.Ref(), At: now}}) },
				"Purge":     func(ctx context.Context) error { _, err := s.Purge(ctx, now); return err },
			}
			canceled, cancel := context.WithCancel(t.Context())
			cancel()
			for name, call := range calls {
				require.ErrorIs(t, call(t.Context()), errUnreachable, name)
				require.ErrorIs(t, call(canceled), context.Canceled, name)
			}
			require.NoError(t, s.Touch(t.Context(), nil), "no use to write")
		})
	}
}
