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
	"github.com/seed-31c5bcb2/auth/redisstore"
)

// The tables, the file and the log of a database contain no plaintext credential.
func TestSQLStore_storesNoPlaintext(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d database) {
		source := d.make(t)
		db := source.open(t)
		plaintexts := createCredentials(t, d.over(t, db))
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
		requireNoPlaintext(t, plaintexts, places, "the tables")
	})
}

func TestRedisStore_storesNoPlaintext(t *testing.T) {
	t.Parallel()
	// The files are not compressed, so that they can be searched.
	server := startRedis(t, "--appendonly", "yes", "--appendfsync", "always", "--aof-use-rdb-preamble", "no",
		"--rdbcompression", "no")
	store, client := server.store(t, redisstore.Config{})
	plaintexts := createCredentials(t, store)
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
	requireNoPlaintext(t, plaintexts, places, snapshot, log)
}

// createCredentials creates and uses credentials of all kinds. It returns everything that
// would allow access if it were found.
func createCredentials(t *testing.T, store auth.Store) (plaintexts map[string]string) {
	t.Helper()
	plaintexts = make(map[string]string)
	createTokens(t, store, plaintexts)
	createSecrets(t, store, plaintexts)
	createSession(t, store, plaintexts)
	return plaintexts
}

var fullAccess = []string{auth.FullAccess}

func createTokens(t *testing.T, store auth.Store, plaintexts map[string]string) {
	t.Helper()
	ctx := t.Context()
	bearer, err := auth.NewBearer(store, auth.BearerConfig{Prefix: "acme_pat", AcceptImported: true})
	require.NoError(t, err)
	token, c := issue(t, bearer, auth.FullAccess)
	plaintexts["a rotated token"] = token
	plaintexts["a token"], _, err = bearer.Rotate(ctx, "alice", c.ID, time.Hour)
	require.NoError(t, err)
	plaintexts["an imported token"] = rand.Text() + rand.Text()
	_, err = bearer.Import(ctx, "alice", plaintexts["an imported token"],
		auth.ImportOptions{TokenOptions: auth.TokenOptions{Name: "old", Scopes: fullAccess, Lifetime: auth.NoExpiry}})
	require.NoError(t, err)
	_, err = bearer.Authenticate(bearerRequest(plaintexts["a token"]))
	require.NoError(t, err)
	require.NoError(t, bearer.Close(ctx)) // writes the last use
}

func createSecrets(t *testing.T, store auth.Store, plaintexts map[string]string) {
	t.Helper()
	ctx, key := t.Context(), newKey(plaintexts, "the reveal key")
	revealable, err := auth.NewSecret(store, auth.SecretConfig{RevealKeys: auth.Keys{key}})
	require.NoError(t, err)
	secret, err := auth.NewSecret(store, auth.SecretConfig{Prefix: "acme_cs"})
	require.NoError(t, err)
	o := auth.SecretOptions{Scopes: fullAccess, Lifetime: auth.NoExpiry}
	plaintexts["a secret"], _, err = secret.Issue(ctx, "bob", o)
	require.NoError(t, err)
	first, c, err := revealable.Issue(ctx, "carol", o)
	require.NoError(t, err)
	plaintexts["a rotated secret"] = first
	next, c, err := revealable.Rotate(ctx, "carol", c.ID, time.Hour)
	require.NoError(t, err)
	plaintexts["a secret that can be revealed"] = next
	revealed, err := revealable.Reveal(ctx, "carol", c.ID)
	require.NoError(t, err)
	require.Equal(t, next, revealed)
}

func createSession(t *testing.T, store auth.Store, plaintexts map[string]string) {
	t.Helper()
	cookie, err := auth.NewCookie(store, auth.CookieConfig{Keys: auth.Keys{newKey(plaintexts, "the cookie key")}})
	require.NoError(t, err)
	w := httptest.NewRecorder()
	session, err := cookie.SignIn(w, httptest.NewRequest("POST", "https://example.com/", nil), "alice", auth.SessionOptions{})
	require.NoError(t, err)
	sealed := w.Result().Cookies()[0]
	plaintexts["a cookie"] = sealed.Value
	r := httptest.NewRequest("GET", "/", nil)
	r.AddCookie(&http.Cookie{Name: sealed.Name, Value: sealed.Value})
	id, err := cookie.Authenticate(r)
	require.NoError(t, err)
	require.Equal(t, session.ID, id.CredentialID)
	require.NoError(t, cookie.Close(t.Context()))
}

func newKey(plaintexts map[string]string, name string) []byte {
	key := make([]byte, 32)
	rand.Read(key)
	plaintexts[name] = string(key)
	return key
}

// requireNoPlaintext searches all places. Those that are named must contain the digest of a
// token, which shows that the search works.
func requireNoPlaintext(t *testing.T, plaintexts map[string]string, places map[string][]byte, named ...string) {
	t.Helper()
	digest := sha256.Sum256([]byte(plaintexts["a token"]))
	for _, name := range named {
		require.True(t, bytes.Contains(places[name], digest[:]), name)
	}
	for place, text := range places {
		for name, plaintext := range plaintexts {
			for _, encoded := range []string{
				plaintext,
				hex.EncodeToString([]byte(plaintext)),
				base64.RawStdEncoding.EncodeToString([]byte(plaintext)),
				plaintext[len(plaintext)/4 : 3*len(plaintext)/4],
			} {
				require.False(t, bytes.Contains(text, []byte(encoded)), "%s is in %s", name, place)
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
