package demodata

import (
	"cmp"
	"context"
	"database/sql"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/seed-31c5bcb2/auth/cachestore"
	"github.com/seed-31c5bcb2/auth/pgnotify"
	"github.com/seed-31c5bcb2/auth/sqlstore"
)

// openPostgreSQL also subscribes to the revocations of other processes.
func (s *Storage) openPostgreSQL(ctx context.Context, value string) error {
	cfg, err := pgx.ParseConfig(value)
	if err != nil {
		return err // pgx has removed the password from it
	}
	cfg.ConnectTimeout = cmp.Or(cfg.ConnectTimeout, 5*time.Second) // for each address; by default there is none
	revocations, err := pgnotify.New(value, pgnotify.Config{ErrorLog: func(err error) {
		s.log.Warn("revocations by other processes are delayed", "error", err)
	}})
	if err != nil {
		return err
	}
	return s.useDatabase(ctx, stdlib.OpenDB(*cfg), sqlstore.PostgreSQL, postgresSyntax, revocations)
}

func (s *Storage) openMySQL(ctx context.Context, u *url.URL) error {
	cfg, err := mysqlConfig(u)
	if err != nil {
		return err
	}
	cfg.Logger = slog.NewLogLogger(s.log.Handler(), slog.LevelWarn)
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		return err
	}
	return s.useDatabase(ctx, sql.OpenDB(connector), sqlstore.MySQL, mysqlSyntax, nil)
}

// mysqlConfig converts a URL to what go-sql-driver/mysql reads from a DSN. Its
// parameters are those of the driver, and socket, the path of a Unix socket. User
// and password are not part of the DSN, so that errors of the driver's parser do not
// contain them.
func mysqlConfig(u *url.URL) (*mysql.Config, error) {
	query := u.Query()
	address := "tcp(" + net.JoinHostPort(cmp.Or(u.Hostname(), "127.0.0.1"), cmp.Or(u.Port(), "3306")) + ")"
	if socket := query.Get("socket"); socket != "" {
		address = "unix(" + socket + ")"
		query.Del("socket")
	}
	cfg, err := mysql.ParseDSN(address + "/" + url.PathEscape(strings.TrimPrefix(u.Path, "/")) + "?" + query.Encode())
	if err != nil {
		return nil, err
	}
	cfg.User = u.User.Username()
	cfg.Passwd, _ = u.User.Password()
	// Without a ReadTimeout, the driver waits forever for the response to COMMIT.
	cfg.Timeout, cfg.ReadTimeout = cmp.Or(cfg.Timeout, 5*time.Second), cmp.Or(cfg.ReadTimeout, 10*time.Second)
	return cfg, nil
}

// useDatabase keeps credentials and state in db, with a cache for the credentials. A
// revocation by another process takes effect as soon as it is notified, or else
// within the bound of the cache.
func (s *Storage) useDatabase(ctx context.Context, db *sql.DB, dialect sqlstore.Dialect, syntax sqlSyntax, revocations cachestore.Invalidations) error {
	s.onClose(db.Close)
	db.SetMaxOpenConns(10)
	db.SetMaxIdleConns(10)
	store, err := sqlstore.New(db, dialect, sqlstore.Config{})
	if err != nil {
		return err
	}
	s.onClose(store.Close)
	state := &sqlState{db, syntax}
	if err := s.prepare(ctx, &database{db, store, state}); err != nil {
		return err
	}
	s.State = state
	cached, err := cachestore.New(store, cachestore.Config{Invalidations: revocations})
	if err != nil {
		return err
	}
	s.onClose(cached.Close)
	s.Credentials = cached
	return nil
}
