package main

import (
	"context"
	"database/sql"
	"net/url"
	"path/filepath"
	"strings"

	_ "github.com/ncruces/go-sqlite3/driver"
)

// openSQLiteFile opens a file with a driver that needs no C compiler. Readers and
// one writer do not wait for each other (WAL), and several writers take turns. Each
// commit is on the disk before it is answered (FULL): with NORMAL a power cut could
// bring back what was revoked. The log beside the file gets the file's own mode
// (modeof): it has the same in it.
func openSQLiteFile(file string) (*sql.DB, error) {
	path := filepath.ToSlash(file)
	if !strings.HasPrefix(path, "/") {
		path = "/" + path // C:/…
	}
	query := url.Values{"modeof": {file}, "_pragma": {"busy_timeout(2000)", "journal_mode(WAL)", "synchronous(FULL)"}}
	u := url.URL{Scheme: "file", Path: path}
	u.RawQuery = strings.ReplaceAll(query.Encode(), "+", "%20") // to SQLite a plus is no space
	return sql.Open("sqlite3", u.String())
}

// makeSQLite makes an empty database. That it has WAL is written in it: when
// several processes start at once, none has to change that, which waits for nobody.
func makeSQLite(ctx context.Context, file string) error {
	db, err := openSQLiteFile(file)
	if err != nil {
		return err
	}
	defer db.Close()
	if err := db.PingContext(ctx); err != nil {
		return err
	}
	return db.Close()
}
