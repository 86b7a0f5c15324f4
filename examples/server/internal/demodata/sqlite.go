package demodata

import (
	"context"
	"database/sql"
	"net/url"
	"path/filepath"
	"strings"

	_ "github.com/ncruces/go-sqlite3/driver"

	"github.com/seed-31c5bcb2/auth/sqlstore"
)

const sqliteWAL = "journal_mode(WAL)"

// openSQLite creates the file if there is none, by default in the user's data
// directory.
func (s *Storage) openSQLite(ctx context.Context, file string) (err error) {
	if file == "" {
		file, err = inDataDir(s.env, "server.db")
	} else {
		file, err = filepath.Abs(file)
	}
	if err != nil {
		return err
	}
	s.Name = "sqlite:" + file
	s.keysFile = func() (string, error) { return file + ".keys", nil }
	if err := makeOnce(file, func(temp string) error { return makeSQLite(ctx, temp) }); err != nil {
		return err
	}
	if err := s.lookAtSQLite(ctx, file); err != nil {
		return err
	}
	// With WAL, readers and one writer do not wait for each other, and several writers take
	// turns. With FULL, each commit is on the disk before it returns: with NORMAL, a power
	// failure could restore a revoked credential.
	db, err := openSQLiteFile(file, sqliteWAL, "synchronous(FULL)")
	if err != nil {
		return err
	}
	return s.useDatabase(ctx, db, sqlstore.SQLite, sqliteSyntax, nil)
}

// openSQLiteFile opens a file with a driver that needs no C compiler. With modeof, the
// log gets the mode of the file, because it contains the same data.
func openSQLiteFile(file string, pragmas ...string) (*sql.DB, error) {
	path := filepath.ToSlash(file)
	if !strings.HasPrefix(path, "/") {
		path = "/" + path // C:/…
	}
	query := url.Values{"modeof": {file}, "_pragma": append([]string{"busy_timeout(2000)"}, pragmas...)}
	u := url.URL{Scheme: "file", Path: path}
	u.RawQuery = strings.ReplaceAll(query.Encode(), "+", "%20") // SQLite does not read a plus as a space
	return sql.Open("sqlite3", u.String())
}

// makeSQLite creates an empty database in WAL mode, which the file records. So
// processes that start at once need not switch modes, for which SQLite does not wait
// for locks.
func makeSQLite(ctx context.Context, file string) error {
	db, err := openSQLiteFile(file, sqliteWAL)
	if err != nil {
		return err
	}
	defer db.Close()
	if err := db.PingContext(ctx); err != nil {
		return err
	}
	return db.Close()
}
