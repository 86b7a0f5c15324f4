package sqlstore_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/sqlstore"
)

// unreachable is a database that refuses connections, and counts them.
type unreachable struct {
	err      error
	attempts atomic.Int32

	together int32 // how many attempts fail at the same time
	all      chan struct{}
}

var errUnreachable = errors.New("connection refused")

func (u *unreachable) Connect(context.Context) (driver.Conn, error) {
	n := u.attempts.Add(1)
	if n == u.together {
		close(u.all)
	}
	if n <= u.together {
		<-u.all
	}
	return nil, u.err
}

func (u *unreachable) Driver() driver.Driver { return nil }

func openUnreachable(t *testing.T) (*sql.DB, *unreachable) {
	t.Helper()
	u := &unreachable{err: errUnreachable}
	db := sql.OpenDB(u)
	t.Cleanup(func() { db.Close() })
	return db, u
}

func TestNew(t *testing.T) {
	t.Parallel()
	for _, dialect := range []sqlstore.Dialect{sqlstore.SQLite, sqlstore.PostgreSQL, sqlstore.MySQL} {
		for _, cfg := range []sqlstore.Config{{}, {Timeout: time.Nanosecond}} {
			db, _ := openUnreachable(t)
			store, err := sqlstore.New(db, dialect, cfg)
			require.NoError(t, err)
			require.NoError(t, store.Close())
			require.NoError(t, store.Close(), "Close is idempotent")
		}
	}
}

func TestNew_reportsEveryFault(t *testing.T) {
	t.Parallel()
	db, _ := openUnreachable(t)
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
			db, _ := openUnreachable(t)
			s, err := sqlstore.New(db, dialect, sqlstore.Config{})
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

// Retries do not multiply the load on a database that is down, however many requests wait
// for it. A proxy in front of it may accept connections, and then close them.
func TestStore_outageIsRetriedOnce(t *testing.T) {
	t.Parallel()
	for _, dialect := range []sqlstore.Dialect{sqlstore.PostgreSQL, sqlstore.MySQL} {
		for _, outage := range []error{errUnreachable, io.ErrUnexpectedEOF} {
			const calls = 200
			db, u := openUnreachable(t)
			u.err, u.together, u.all = outage, calls, make(chan struct{})
			s, err := sqlstore.New(db, dialect, sqlstore.Config{Timeout: time.Minute})
			require.NoError(t, err)
			var wg sync.WaitGroup
			for n := range calls {
				wg.Go(func() {
					var err error
					if n%2 == 0 {
						_, err = s.Lookup(t.Context(), auth.KindToken, auth.Digest{})
					} else {
						err = s.Revoke(t.Context(), auth.Ref{Kind: auth.KindToken, UserID: "alice", ID: "1"})
					}
					if !errors.Is(err, outage) {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			require.LessOrEqual(t, u.attempts.Load(), int32(2*calls), "%s: %v", dialect, outage)
		}
	}
}
