// Existing adds authentication to a service that already has users and tokens in its
// own tables.
package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log"
	"net/http"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
	_ "github.com/ncruces/go-sqlite3/driver"
	_ "github.com/ncruces/go-sqlite3/vfs/memdb"

	"github.com/seed-31c5bcb2/auth"
)

// schema is the existing schema of the service.
const schema = `
CREATE TABLE users (id TEXT PRIMARY KEY, email TEXT NOT NULL, disabled BOOLEAN NOT NULL);
CREATE TABLE api_tokens (
	id         TEXT PRIMARY KEY,
	user_id    TEXT NOT NULL REFERENCES users (id),
	sha256     BLOB NOT NULL UNIQUE,
	scopes     TEXT NOT NULL,   -- separated by spaces; '*' means full access
	created_at INTEGER NOT NULL,
	expires_at INTEGER,         -- NULL means never
	revoked    BOOLEAN NOT NULL
)`

// tokensIn looks tokens up in the existing table.
func tokensIn(db *sql.DB) auth.Store {
	return auth.LookupStore(func(ctx context.Context, kind auth.Kind, d auth.Digest) (*auth.Credential, error) {
		if kind != auth.KindToken {
			return nil, auth.ErrNotFound
		}
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		var c auth.Credential
		var created int64
		var expires sql.NullInt64
		err := db.QueryRowContext(ctx, `SELECT id, user_id, scopes, created_at, expires_at
			FROM api_tokens WHERE sha256 = ? AND NOT revoked`, d[:]).
			Scan(&c.ID, &c.UserID, &c.Scopes, &created, &expires)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			return nil, auth.ErrNotFound
		case err != nil:
			return nil, err // an outage: 503
		}
		c.CreatedAt = time.Unix(created, 0)
		if expires.Valid {
			c.ExpiresAt = time.Unix(expires.Int64, 0)
		}
		return &c, nil
	})
}

// moveTokens copies valid tokens to the library's store, where users can list, rotate
// and revoke them like all others. It can run repeatedly: it skips tokens that it has
// already moved.
func moveTokens(ctx context.Context, db *sql.DB, bearer *auth.Bearer) (moved int, err error) {
	rows, err := db.QueryContext(ctx, `SELECT id, user_id, sha256, scopes, created_at, expires_at
		FROM api_tokens WHERE NOT revoked AND (expires_at IS NULL OR expires_at > ?)`, time.Now().Unix()+1)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	for rows.Next() {
		switch err := moveToken(ctx, rows, bearer); {
		case err == nil:
			moved++
		case !errors.Is(err, auth.ErrConflict): // which means that it was moved already
			return moved, err
		}
	}
	return moved, rows.Err()
}

func moveToken(ctx context.Context, row *sql.Rows, bearer *auth.Bearer) error {
	var id, userID, scopes string
	var sum []byte
	var created int64
	var expires sql.NullInt64
	if err := row.Scan(&id, &userID, &sum, &scopes, &created, &expires); err != nil {
		return err
	}
	if len(sum) != len(auth.Digest{}) {
		return fmt.Errorf("token %s: its hash has %d bytes instead of 32", id, len(sum))
	}
	o := auth.ImportOptions{
		TokenOptions: auth.TokenOptions{Name: "moved: " + id, Scopes: strings.Fields(scopes)},
		CreatedAt:    time.Unix(created, 0),
	}
	if expires.Valid {
		o.ExpiresAt = time.Unix(expires.Int64, 0)
	} else {
		o.Lifetime = auth.NoExpiry
	}
	if _, err := bearer.ImportDigest(ctx, userID, auth.Digest(sum), o); err != nil {
		return fmt.Errorf("token %s: %w", id, err)
	}
	return nil
}

type user struct {
	ID, Email string
	disabled  bool
}

// usersIn returns a Middleware.Resolve, with which handlers get the service's own user.
func usersIn(db *sql.DB) func(context.Context, *auth.Identity) (any, error) {
	return func(ctx context.Context, id *auth.Identity) (any, error) {
		u := &user{ID: id.UserID}
		err := db.QueryRowContext(ctx, `SELECT email, disabled FROM users WHERE id = ?`, u.ID).Scan(&u.Email, &u.disabled)
		if errors.Is(err, sql.ErrNoRows) || u.disabled {
			return nil, auth.ErrInvalidCredential
		}
		return u, err
	}
}

// A legacy authenticator accepts JSON Web Tokens that were issued earlier.
type legacy struct{ key []byte }

func (legacy) Scheme() auth.Scheme { return auth.SchemeBearer }

func (l legacy) Authenticate(r *http.Request) (*auth.Identity, error) {
	token, err := auth.HeaderCredential(r, auth.SchemeBearer)
	if err != nil {
		return nil, err
	}
	var claims jwt.RegisteredClaims
	key := func(*jwt.Token) (any, error) { return l.key, nil }
	_, err = jwt.ParseWithClaims(token, &claims, key, jwt.WithValidMethods([]string{"HS256"}), jwt.WithExpirationRequired())
	if err != nil || claims.Subject == "" {
		return nil, auth.ErrInvalidCredential
	}
	return &auth.Identity{UserID: claims.Subject, Scopes: auth.FullAccess}, nil
}

func routes(db *sql.DB, bearer *auth.Bearer, old legacy) http.Handler {
	m := &auth.Middleware{Resolve: usersIn(db)}
	mux := http.NewServeMux()
	mux.Handle("GET /me", m.Require(bearer, old)(http.HandlerFunc(me)))
	return mux
}

func me(w http.ResponseWriter, r *http.Request) {
	u := auth.MustUser[*user](r.Context())
	fmt.Fprintln(w, u.Email)
}

func main() {
	db, err := sql.Open("sqlite3", "file:/existing.db?vfs=memdb")
	if err != nil {
		log.Fatal(err)
	}
	if _, err := db.Exec(schema); err != nil {
		log.Fatal(err)
	}
	bearer, err := auth.NewBearer(tokensIn(db), auth.BearerConfig{})
	if err != nil {
		log.Fatal(err)
	}
	old := legacy{key: []byte("the key of the service's old tokens")}
	log.Fatal(http.ListenAndServe("127.0.0.1:8080", routes(db, bearer, old)))
}
