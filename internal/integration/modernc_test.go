//go:build !race

package integration

import (
	"testing"

	_ "modernc.org/sqlite"

	"github.com/seed-31c5bcb2/auth/sqlstore"
)

// With the race detector, this driver takes minutes to compile and is slow, and it would find
// nothing that the other one does not find.
func init() {
	databases = append(databases, database{"SQLite by modernc", sqlstore.SQLite,
		func(t testing.TB) source { return sqlite(t, "sqlite") }})
}
