// Package consumer uses the modules as other repositories do. The step release of .ci/run tests it.
package consumer

import (
	"cmp"
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	_ "github.com/ncruces/go-sqlite3/driver"
	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/cachestore"
	"github.com/seed-31c5bcb2/auth/dbsc"
	"github.com/seed-31c5bcb2/auth/federate"
	"github.com/seed-31c5bcb2/auth/federate/client"
	"github.com/seed-31c5bcb2/auth/pgnotify"
	"github.com/seed-31c5bcb2/auth/redisstore"
	"github.com/seed-31c5bcb2/auth/settings"
	"github.com/seed-31c5bcb2/auth/sqlstore"
	"github.com/seed-31c5bcb2/auth/storetest"
)

func TestMemory(t *testing.T) {
	storetest.Run(t, func(*testing.T) auth.Store { return auth.NewMemoryStore() })
	requireRequests(t, auth.NewMemoryStore())
}

func TestSQLite(t *testing.T) {
	requireRequests(t, database(t, "sqlite3", "file:"+t.TempDir()+"/test.db", sqlstore.SQLite))
}

func TestPostgreSQL(t *testing.T) {
	url := cmp.Or(os.Getenv("AUTH_TEST_POSTGRES"), "postgres://root@127.0.0.1:5432/test?sslmode=disable")
	admin := must(sql.Open("pgx", url))
	schema := "consumer_" + strings.ToLower(rand.Text())
	_, err := admin.Exec("CREATE SCHEMA " + schema)
	require.NoError(t, err, "start PostgreSQL with .ci/run databases")
	t.Cleanup(func() { must(admin.Exec("DROP SCHEMA " + schema + " CASCADE")) })
	url += "&search_path=" + schema
	config := cachestore.Config{Invalidations: must(pgnotify.New(url, pgnotify.Config{}))}
	store := must(cachestore.New(database(t, "pgx", url, sqlstore.PostgreSQL), config))
	defer store.Close()
	requireRequests(t, store)
}

func TestRedis(t *testing.T) {
	client, err := rueidis.NewClient(must(rueidis.ParseURL(cmp.Or(os.Getenv("AUTH_TEST_REDIS"), "redis://127.0.0.1:6379"))))
	require.NoError(t, err, "start Redis with .ci/run databases")
	defer client.Close()
	store := must(redisstore.New(client, redisstore.Config{Prefix: "consumer:" + rand.Text() + ":"}))
	defer store.Close()
	requireRequests(t, store)
	must(store.Purge(t.Context(), time.Now().Add(time.Hour)))
}

func TestDeviceBoundSessions(t *testing.T) {
	binding := must(dbsc.New(dbsc.Config{}))
	cookie := must(auth.NewCookie(auth.NewMemoryStore(), auth.CookieConfig{Keys: auth.Keys{[]byte(rand.Text() + rand.Text())}, Binding: binding}))
	w := httptest.NewRecorder()
	must(cookie.SignIn(w, httptest.NewRequest("POST", "/sign-in", nil), "ada", auth.SessionOptions{}))
	require.Contains(t, w.Header().Get("Secure-Session-Registration"), "/dbsc/registration")
}

func TestFederation(t *testing.T) {
	store := auth.NewMemoryStore()
	rule := func(context.Context, string) (federate.Rule, error) { return federate.Rule{}, auth.ErrNotFound }
	bearer := must(auth.NewBearer(store, auth.BearerConfig{}))
	server := httptest.NewServer(must(federate.New(federate.Config{Bearer: bearer, Store: store, Rule: rule})))
	defer server.Close()
	_, err := client.New(client.Config{})
	require.Error(t, err, "without an endpoint")
	response, err := http.PostForm(server.URL, nil)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusBadRequest, response.StatusCode)
}

func database(t *testing.T, driver, name string, dialect sqlstore.Dialect) auth.Store {
	db := must(sql.Open(driver, name))
	t.Cleanup(func() { _ = db.Close() })
	store := must(sqlstore.New(db, dialect, sqlstore.Config{}))
	require.NoError(t, store.Migrate(t.Context()))
	return store
}

// requireRequests serves a route and Developer Settings over a store, and revokes a token.
func requireRequests(t *testing.T, store auth.Store) {
	bearer := must(auth.NewBearer(store, auth.BearerConfig{Prefix: "acme_pat"}))
	cookie := must(auth.NewCookie(store, auth.CookieConfig{Keys: auth.Keys{[]byte(rand.Text() + rand.Text())}}))
	mux := http.NewServeMux()
	page := must(settings.New(settings.Config{Bearer: bearer, Cookie: cookie, SignInPath: "/sign-in"}))
	mux.Handle("/settings/", http.StripPrefix("/settings", page))
	mux.Handle("/hello", auth.Require(bearer)(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))
	token, c, err := bearer.Issue(t.Context(), "ada", auth.TokenOptions{Name: "CI", Scopes: []string{auth.FullAccess}, Lifetime: time.Hour})
	require.NoError(t, err)
	requireStatus := func(status int, path string) {
		r := httptest.NewRequest("GET", path, nil)
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r)
		require.Equal(t, status, w.Code, path)
	}
	requireStatus(http.StatusOK, "/hello")
	requireStatus(http.StatusForbidden, "/settings/") // it is for sessions
	require.NoError(t, errors.Join(bearer.Revoke(t.Context(), "ada", c.ID), bearer.Close(t.Context())))
	requireStatus(http.StatusUnauthorized, "/hello")
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
