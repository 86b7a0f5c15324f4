package main

import (
	"crypto/sha256"
	"database/sql"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/examples/internal/exampletest"
)

var oldKey = legacy{key: []byte("0123456789abcdef0123456789abcdef")}

// The plaintexts of tokens that the service issued earlier.
const (
	aliceToken   = "old-0123456789abcdefghijklmnop-alice"
	readerToken  = "old-0123456789abcdefghijklmnop-reader"
	expiredToken = "old-0123456789abcdefghijklmnop-expired"
	revokedToken = "old-0123456789abcdefghijklmnop-revoked"
	malloryToken = "old-0123456789abcdefghijklmnop-mallory"
	orphanToken  = "old-0123456789abcdefghijklmnop-orphan"
)

func openDB(t *testing.T) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite3", "file:"+filepath.Join(t.TempDir(), "test.db")+"?_pragma=foreign_keys(off)") // the user of one token does not exist
	require.NoError(t, err)
	t.Cleanup(func() { db.Close() })
	_, err = db.Exec(schema)
	require.NoError(t, err)
	_, err = db.Exec(`INSERT INTO users VALUES ('alice', 'alice@example.com', FALSE), ('mallory', 'mallory@example.com', TRUE)`)
	require.NoError(t, err)

	now := time.Now()
	for _, row := range []struct {
		plaintext, user, scopes string
		expires                 any
		revoked                 bool
	}{
		{aliceToken, "alice", "*", nil, false},
		{readerToken, "alice", "notes:read", now.Add(time.Hour).Unix(), false},
		{expiredToken, "alice", "*", now.Add(-time.Hour).Unix(), false},
		{revokedToken, "alice", "*", nil, true},
		{malloryToken, "mallory", "*", nil, false},
		{orphanToken, "deleted", "*", nil, false},
	} {
		sum := sha256.Sum256([]byte(row.plaintext))
		id := row.plaintext[len(row.plaintext)-6:]
		_, err := db.Exec(`INSERT INTO api_tokens VALUES (?, ?, ?, ?, ?, ?, ?)`,
			id, row.user, sum[:], row.scopes, now.Unix(), row.expires, row.revoked)
		require.NoError(t, err)
	}
	return db
}

// oldJWT returns a JSON Web Token that is longer than the 512 characters that tokens
// of the library can have.
func oldJWT(t *testing.T, key legacy, expires time.Time) string {
	t.Helper()
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.RegisteredClaims{
		Subject:   "alice",
		Audience:  jwt.ClaimStrings{strings.Repeat("long", 200)},
		ExpiresAt: jwt.NewNumericDate(expires),
	}).SignedString(key.key)
	require.NoError(t, err)
	require.Greater(t, len(token), 512)
	return token
}

func get(t *testing.T, srv *httptest.Server, token string) (status int, body string) {
	t.Helper()
	resp, body := exampletest.Send(t, http.DefaultClient, "GET", srv.URL+"/me", "Authorization", "Bearer "+token)
	return resp.StatusCode, body
}

func TestLookupStore_existingTable(t *testing.T) {
	t.Parallel()
	db := openDB(t)
	bearer, err := auth.NewBearer(tokensIn(db), auth.BearerConfig{})
	require.NoError(t, err)
	srv := httptest.NewServer(routes(db, bearer, oldKey))
	t.Cleanup(srv.Close)

	for _, tt := range []struct {
		name, token string
		status      int
	}{
		{"token", aliceToken, 200},
		{"token with scopes", readerToken, 200},
		{"expired", expiredToken, 401},
		{"revoked", revokedToken, 401},
		{"disabled user", malloryToken, 401},
		{"deleted user", orphanToken, 401},
		{"unknown", "old-0123456789abcdefghijklmnop-unknown", 401},
		{"JSON Web Token", oldJWT(t, oldKey, time.Now().Add(time.Hour)), 200},
		{"JSON Web Token, expired", oldJWT(t, oldKey, time.Now().Add(-time.Hour)), 401},
		{"JSON Web Token, forged", oldJWT(t, legacy{[]byte("another key of 32 bytes or more.")}, time.Now().Add(time.Hour)), 401},
	} {
		t.Run(tt.name, func(t *testing.T) {
			status, body := get(t, srv, tt.token)
			require.Equal(t, tt.status, status)
			if status == http.StatusOK {
				require.Equal(t, "alice@example.com\n", body)
			}
		})
	}

	t.Run("database unavailable", func(t *testing.T) {
		require.NoError(t, db.Close())
		status, _ := get(t, srv, aliceToken)
		require.Equal(t, http.StatusServiceUnavailable, status)
	})
}

func TestImportDigest_moveTokens(t *testing.T) {
	t.Parallel()
	db := openDB(t)
	bearer, err := auth.NewBearer(auth.NewMemoryStore(), auth.BearerConfig{Prefix: "acme_pat", AcceptImported: true})
	require.NoError(t, err)
	moved, err := moveTokens(t.Context(), db, bearer)
	require.NoError(t, err)
	require.Equal(t, 4, moved)
	moved, err = moveTokens(t.Context(), db, bearer)
	require.NoError(t, err)
	require.Zero(t, moved, "all tokens were moved already")

	srv := httptest.NewServer(routes(db, bearer, oldKey))
	t.Cleanup(srv.Close)
	for token, want := range map[string]int{aliceToken: 200, readerToken: 200, expiredToken: 401, revokedToken: 401, malloryToken: 401} {
		status, _ := get(t, srv, token)
		require.Equal(t, want, status, token)
	}

	list, err := bearer.List(t.Context(), "alice", auth.Page{})
	require.NoError(t, err)
	require.Len(t, list, 2)
	require.ElementsMatch(t, []auth.Scopes{"*", "notes:read"}, []auth.Scopes{list[0].Scopes, list[1].Scopes})
	for _, c := range list {
		require.NoError(t, bearer.Revoke(t.Context(), "alice", c.ID))
	}
	status, _ := get(t, srv, aliceToken)
	require.Equal(t, http.StatusUnauthorized, status)
	moved, err = moveTokens(t.Context(), db, bearer)
	require.NoError(t, err)
	require.Zero(t, moved, "revoked tokens are not imported again")
}
