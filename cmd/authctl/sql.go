package main

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	_ "github.com/ncruces/go-sqlite3/driver"

	"github.com/seed-31c5bcb2/auth/sqlstore"
)

// openSQLite creates the file only if create is set: a typing error would otherwise be an
// empty database.
func (s *store) openSQLite(ctx context.Context, file string, create bool) error {
	if file == "" {
		return usageError(errors.New("sqlite: needs a file, as in sqlite:/var/lib/service/auth.db"))
	}
	file, err := filepath.Abs(file)
	if err != nil {
		return err
	}
	s.name, s.serial = "sqlite:"+file, true
	_, err = os.Stat(file)
	missing := errors.Is(err, fs.ErrNotExist)
	switch {
	case missing && !create:
		return fault(exitUnavailable, "there is no such file; \"authctl migrate\" creates it")
	case missing:
		// Only its owner can read it. SQLite gives its log the same mode.
		f, err := os.OpenFile(file, os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			return unavailable(err)
		}
		f.Close()
	}
	db, err := sql.Open("sqlite3", sqliteURL(file, missing))
	if err != nil {
		return err
	}
	return s.useDatabase(ctx, db, sqlstore.SQLite)
}

// sqliteURL is for a driver that needs no C compiler. With FULL, each commit is on the disk
// before it returns: with NORMAL, a power failure could restore a revoked credential. The mode
// of the journal is recorded in the file: WAL for a new one, and otherwise what the service uses.
func sqliteURL(file string, created bool) string {
	path := filepath.ToSlash(file)
	if !strings.HasPrefix(path, "/") {
		path = "/" + path // C:/…
	}
	query := url.Values{"mode": {"rw"}, "modeof": {file}, "_pragma": {"busy_timeout(5000)", "synchronous(FULL)"}}
	if created {
		query.Add("_pragma", "journal_mode(WAL)")
	}
	u := url.URL{Scheme: "file", Path: path}
	u.RawQuery = strings.ReplaceAll(query.Encode(), "+", "%20") // SQLite does not read a plus as a space
	return u.String()
}

func (s *store) openPostgreSQL(ctx context.Context, value string) error {
	cfg, err := pgx.ParseConfig(value)
	if err != nil {
		return usageError(err) // pgx has removed the password from it
	}
	cfg.ConnectTimeout = cmp.Or(cfg.ConnectTimeout, 5*time.Second) // for each address; by default there is none
	return s.useDatabase(ctx, stdlib.OpenDB(*cfg), sqlstore.PostgreSQL)
}

func (s *store) openMySQL(ctx context.Context, u *url.URL) error {
	cfg, err := mysqlConfig(u)
	if err != nil {
		return usageError(err)
	}
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		return usageError(err)
	}
	return s.useDatabase(ctx, sql.OpenDB(connector), sqlstore.MySQL)
}

// mysqlConfig converts a URL to what go-sql-driver/mysql reads from a DSN. Its parameters are
// those of the driver, and socket, the path of a Unix socket. User and password are not part
// of the DSN, so that errors of the driver's parser do not contain them.
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
	cfg.Logger = &mysql.NopLogger{} // the error that is returned says the same
	// Without a ReadTimeout, the driver waits forever for the response to COMMIT.
	cfg.Timeout, cfg.ReadTimeout = cmp.Or(cfg.Timeout, 5*time.Second), cmp.Or(cfg.ReadTimeout, 10*time.Second)
	return cfg, nil
}

func (s *store) useDatabase(ctx context.Context, db *sql.DB, dialect sqlstore.Dialect) error {
	s.closers = append(s.closers, db.Close)
	db.SetMaxOpenConns(importWorkers)
	db.SetMaxIdleConns(importWorkers)
	if err := db.PingContext(ctx); err != nil {
		return unavailable(err)
	}
	opened, err := sqlstore.New(db, dialect, sqlstore.Config{})
	if err != nil {
		return err
	}
	s.closers = append(s.closers, opened.Close)
	s.Store, s.migrate = opened, opened.Migrate
	return nil
}
