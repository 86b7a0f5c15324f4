package sqlstore_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io/fs"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/sqlstore"
)

// unreachable is a database that nobody answers for.
type unreachable struct{}

var errUnreachable = errors.New("connection refused")

func (unreachable) Connect(context.Context) (driver.Conn, error) { return nil, errUnreachable }
func (unreachable) Driver() driver.Driver                        { return nil }

func TestNewReportsEveryFault(t *testing.T) {
	t.Parallel()
	db := sql.OpenDB(unreachable{})
	t.Cleanup(func() { db.Close() })
	tests := []struct {
		name    string
		db      *sql.DB
		dialect sqlstore.Dialect
		options []sqlstore.Option
		faults  []string // parts of the error
	}{
		{"SQLite", db, sqlstore.SQLite, nil, nil},
		{"PostgreSQL", db, sqlstore.PostgreSQL, nil, nil},
		{"MySQL", db, sqlstore.MySQL, []sqlstore.Option{sqlstore.WithTimeout(time.Second)}, nil},
		{"no database", nil, sqlstore.SQLite, nil, []string{"db is nil"}},
		{"no dialect", db, sqlstore.Dialect{}, nil, []string{"zero Dialect"}},
		{"no time", db, sqlstore.SQLite, []sqlstore.Option{sqlstore.WithTimeout(0)}, []string{"WithTimeout: 0s"}},
		{"less than no time", db, sqlstore.SQLite, []sqlstore.Option{sqlstore.WithTimeout(-time.Second)}, []string{"WithTimeout: -1s"}},
		{"a nil option", db, sqlstore.SQLite, []sqlstore.Option{nil}, []string{"an option is nil"}},
		{
			"all at once", nil, sqlstore.Dialect{}, []sqlstore.Option{sqlstore.WithTimeout(0)},
			[]string{"db is nil", "zero Dialect", "WithTimeout: 0s"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			store, err := sqlstore.New(tt.db, tt.dialect, tt.options...)
			if tt.faults == nil {
				require.NoError(t, err)
				require.NoError(t, store.Close())
				require.NoError(t, store.Close(), "twice is once")
				return
			}
			require.Nil(t, store)
			for _, fault := range tt.faults {
				require.ErrorContains(t, err, fault)
			}
		})
	}
}

// A database that is not there is an outage: never "not found", and never nothing
// to do.
func TestUnreachableDatabaseIsAnOutage(t *testing.T) {
	t.Parallel()
	now := time.Now()
	c := auth.Credential{ID: "1", Kind: auth.KindToken, UserID: "alice", CreatedAt: now}
	for name, dialect := range map[string]sqlstore.Dialect{
		"SQLite": sqlstore.SQLite, "PostgreSQL": sqlstore.PostgreSQL, "MySQL": sqlstore.MySQL,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := sql.OpenDB(unreachable{})
			t.Cleanup(func() { db.Close() })
			s, err := sqlstore.New(db, dialect)
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
				"Rotate":    func(ctx context.Context) error { return s.Rotate(ctx, c.Ref(), c, now) },
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
			require.NoError(t, s.Touch(t.Context(), nil), "there is nothing to write")
		})
	}
}

// Each dialect counts its own versions, and there is no gap.
func TestMigrationsAreNumbered(t *testing.T) {
	t.Parallel()
	for _, dialect := range []string{"sqlite", "postgres", "mysql"} {
		files, err := fs.Glob(sqlstore.Migrations, "migrations/"+dialect+"/*")
		require.NoError(t, err)
		require.NotEmpty(t, files)
		for i, file := range files {
			name := path.Base(file)
			require.Regexp(t, `^\d{4}_[a-z_]+\.sql$`, name)
			require.Equal(t, i+1, number(name), name)
			text, err := fs.ReadFile(sqlstore.Migrations, file)
			require.NoError(t, err)
			for statement := range strings.SplitSeq(string(text), "\n--;\n") {
				require.NotEmpty(t, strings.TrimSpace(statement), file)
				// A tool that runs the file as a whole needs them, too.
				require.True(t, strings.HasSuffix(strings.TrimSpace(statement), ";"), file)
			}
		}
	}
	folders, err := fs.ReadDir(sqlstore.Migrations, "migrations")
	require.NoError(t, err)
	require.Len(t, folders, 3)
}

func number(name string) int {
	n := 0
	for _, digit := range name[:4] {
		n = 10*n + int(digit-'0')
	}
	return n
}
