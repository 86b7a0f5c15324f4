package main

import (
	"cmp"
	"context"
	"database/sql"
	"log/slog"
	"net"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/seed-31c5bcb2/auth/cachestore"
	"github.com/seed-31c5bcb2/auth/pgnotify"
	"github.com/seed-31c5bcb2/auth/sqlstore"
)

// openSQLite makes the file where there is none, by default in the user's data
// directory.
func (s *storage) openSQLite(ctx context.Context, file string, env environment) (err error) {
	if file == "" {
		file, err = inDataDir(env, "server.db")
	} else {
		file, err = filepath.Abs(file)
	}
	if err != nil {
		return err
	}
	s.name = "sqlite:" + file
	s.keysFile = func() (string, error) { return file + ".keys", nil }
	if err := makeOnce(file, func(temp string) error { return makeSQLite(ctx, temp) }); err != nil {
		return err
	}
	db, err := openSQLiteFile(file)
	if err != nil {
		return err
	}
	return s.useDatabase(ctx, db, sqlstore.SQLite, sqliteSyntax, nil)
}

// openPostgreSQL has each process told by the database what others revoke.
func (s *storage) openPostgreSQL(ctx context.Context, value string) error {
	cfg, err := pgx.ParseConfig(value)
	if err != nil {
		return err // in which pgx has blotted out the password
	}
	cfg.ConnectTimeout = cmp.Or(cfg.ConnectTimeout, 5*time.Second) // for each address; without it: none
	news, err := pgnotify.New(value, pgnotify.WithErrorLog(func(err error) {
		s.log.Warn("revocations of other processes come late", "error", err)
	}))
	if err != nil {
		return err
	}
	return s.useDatabase(ctx, stdlib.OpenDB(*cfg), sqlstore.PostgreSQL, postgresSyntax, news)
}

func (s *storage) openMySQL(ctx context.Context, u *url.URL) error {
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

// mysqlConfig reads a URL as go-sql-driver/mysql reads its DSN: the parameters are
// that driver's, and one more, socket, is the path of a Unix socket. User and
// password are set apart, so that no error of the driver's parser has them.
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
	// The driver waits for an answer to COMMIT for ever otherwise.
	cfg.Timeout, cfg.ReadTimeout = cmp.Or(cfg.Timeout, 5*time.Second), cmp.Or(cfg.ReadTimeout, 10*time.Second)
	return cfg, nil
}

// useDatabase puts a cache in front of the credentials. What another process
// revokes holds here as soon as news tells of it, and without news within the
// cache's bound.
func (s *storage) useDatabase(ctx context.Context, db *sql.DB, dialect sqlstore.Dialect, syntax sqlSyntax, news cachestore.Invalidations) error {
	s.onClose(db.Close)
	db.SetMaxOpenConns(10)
	db.SetMaxIdleConns(10)
	store, err := sqlstore.New(db, dialect)
	if err != nil {
		return err
	}
	s.onClose(store.Close)
	if err := store.Migrate(ctx); err != nil {
		return err
	}
	if s.state, err = newSQLState(ctx, db, syntax); err != nil {
		return err
	}
	cached, err := cachestore.New(store, cachestore.Config{Invalidations: news})
	if err != nil {
		return err
	}
	s.onClose(cached.Close)
	s.credentials = cached
	return nil
}
