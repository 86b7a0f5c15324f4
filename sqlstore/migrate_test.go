package sqlstore_test

import (
	"io/fs"
	"path"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth/sqlstore"
)

// Each dialect has its own sequence of versions, without gaps.
func TestMigrations_numbered(t *testing.T) {
	t.Parallel()
	for _, dialect := range []sqlstore.Dialect{sqlstore.SQLite, sqlstore.PostgreSQL, sqlstore.MySQL} {
		files, err := fs.Glob(sqlstore.Migrations, "migrations/"+string(dialect)+"/*")
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
				// Tools that run the whole file at once need the semicolons.
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
