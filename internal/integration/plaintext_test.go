package integration

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
)

// Whoever reads the database, its file or its log finds nothing to sign in with.
func TestDatabaseHoldsNoPlaintext(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d database) {
		source := d.make(t)
		db := source.open(t)
		opens := credentialsOfAllSorts(t, d.over(t, db))
		places := map[string][]byte{"the tables": dump(t, db)}
		if d.isSQLite() {
			path, _, _ := strings.Cut(strings.TrimPrefix(source.dsn, "file:"), "?")
			for _, file := range []string{path, path + "-wal"} {
				text, err := os.ReadFile(file)
				require.NoError(t, err)
				places[file] = text
			}
			require.NotEmpty(t, places[path+"-wal"])
		}
		requireNoPlaintext(t, opens, places, "the tables")
	})
}

// Nor does whoever reads what Redis writes to a disk.
func TestRedisHoldsNoPlaintext(t *testing.T) {
	t.Parallel()
	// The snapshot as plain text, so that it can be searched.
	server := startRedis(t, "--appendonly", "yes", "--appendfsync", "always", "--aof-use-rdb-preamble", "no",
		"--rdbcompression", "no")
	store, client := server.store(t)
	opens := credentialsOfAllSorts(t, store)
	require.NoError(t, client.Do(t.Context(), client.B().Save().Build()).Error())
	places := map[string][]byte{}
	require.NoError(t, filepath.WalkDir(server.dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		places[path], err = os.ReadFile(path)
		return err
	}))
	snapshot, log := filepath.Join(server.dir, "dump.rdb"), filepath.Join(server.dir, "appendonlydir", "appendonly.aof.1.incr.aof")
	requireNoPlaintext(t, opens, places, snapshot, log)
}

// credentialsOfAllSorts makes some, uses them, and returns everything that would open an
// account, if it were found.
func credentialsOfAllSorts(t *testing.T, store auth.Store) (opens map[string]string) {
	t.Helper()
	ctx := t.Context()
	cookieKey, revealKey := make([]byte, 32), make([]byte, 32)
	rand.Read(cookieKey)
	rand.Read(revealKey)
	bearer, err := auth.NewBearer(store, auth.BearerConfig{Prefix: "acme_pat", AcceptImported: true})
	require.NoError(t, err)
	cookie, err := auth.NewCookie(store, auth.CookieConfig{Keys: auth.Keys{cookieKey}})
	require.NoError(t, err)
	kept, err := auth.NewSecret(store, auth.SecretConfig{RevealKeys: auth.Keys{revealKey}})
	require.NoError(t, err)
	secret, err := auth.NewSecret(store, auth.SecretConfig{Prefix: "acme_cs"})
	require.NoError(t, err)

	opens = map[string]string{"the cookie key": string(cookieKey), "the reveal key": string(revealKey)}
	token, c, err := bearer.Issue(ctx, "alice", auth.NewToken{Name: "script"})
	require.NoError(t, err)
	opens["a token that was rotated"] = token
	opens["a token"], _, err = bearer.Rotate(ctx, "alice", c.ID, time.Hour)
	require.NoError(t, err)
	opens["an imported token"] = rand.Text() + rand.Text()
	_, err = bearer.Import(ctx, "alice", opens["an imported token"], auth.NewToken{Name: "old"})
	require.NoError(t, err)
	opens["a secret"], _, err = secret.Assign(ctx, "bob")
	require.NoError(t, err)
	opens["a secret that was rotated"], _, err = kept.Assign(ctx, "carol")
	require.NoError(t, err)
	opens["a secret that can be revealed"], _, err = kept.Rotate(ctx, "carol", time.Hour)
	require.NoError(t, err)
	revealed, err := kept.Reveal(ctx, "carol")
	require.NoError(t, err)
	require.Equal(t, opens["a secret that can be revealed"], revealed)
	w := httptest.NewRecorder()
	session, err := cookie.SignIn(w, httptest.NewRequest("POST", "https://example.com/", nil), "alice", auth.NewSession{})
	require.NoError(t, err)
	sealed := w.Result().Cookies()[0]
	opens["a cookie"] = sealed.Value

	// Requests, so that last uses are written as well.
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Authorization", "Bearer "+opens["a token"])
	_, err = bearer.Authenticate(r)
	require.NoError(t, err)
	r = httptest.NewRequest("GET", "/", nil)
	r.AddCookie(&http.Cookie{Name: sealed.Name, Value: sealed.Value})
	id, err := cookie.Authenticate(r)
	require.NoError(t, err)
	require.Equal(t, session.ID, id.CredentialID)
	require.NoError(t, bearer.Close(ctx))
	require.NoError(t, cookie.Close(ctx))
	return opens
}

// requireNoPlaintext searches places. That it finds what is there it sees by a
// token's digest, which is in each of those named.
func requireNoPlaintext(t *testing.T, opens map[string]string, places map[string][]byte, named ...string) {
	t.Helper()
	digest := sha256.Sum256([]byte(opens["a token"]))
	for _, name := range named {
		require.True(t, bytes.Contains(places[name], digest[:]), name)
	}
	for where, text := range places {
		for what, plaintext := range opens {
			for _, spelling := range []string{
				plaintext,
				hex.EncodeToString([]byte(plaintext)),
				base64.RawStdEncoding.EncodeToString([]byte(plaintext)),
				plaintext[len(plaintext)/4 : 3*len(plaintext)/4],
			} {
				require.False(t, bytes.Contains(text, []byte(spelling)), "%s is in %s", what, where)
			}
		}
	}
}

// dump returns every column of every row as bytes.
func dump(t *testing.T, db *sql.DB) []byte {
	t.Helper()
	var b bytes.Buffer
	for _, table := range []string{"auth_credentials", "auth_user_locks", "auth_migrations"} {
		rows, err := db.QueryContext(t.Context(), "SELECT * FROM "+table)
		require.NoError(t, err)
		defer rows.Close()
		names, err := rows.Columns()
		require.NoError(t, err)
		values, to := make([]sql.RawBytes, len(names)), make([]any, len(names))
		for i := range values {
			to[i] = &values[i]
		}
		count := 0
		for ; rows.Next(); count++ {
			require.NoError(t, rows.Scan(to...))
			for _, v := range values {
				b.Write(v)
				b.WriteByte('\n')
			}
		}
		require.NoError(t, rows.Err())
		require.NotZero(t, count, table)
	}
	return b.Bytes()
}
