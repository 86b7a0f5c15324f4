package auth_test

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/seed-31c5bcb2/auth"
)

// A service accepts tokens and session cookies on most routes, and client secrets on one.
func Example() {
	key := make([]byte, 32)
	rand.Read(key) // a real service loads it from its secret storage

	store := auth.NewMemoryStore()
	bearer, err := auth.NewBearer(store, auth.BearerConfig{Prefix: "acme_pat"})
	if err != nil {
		log.Fatal(err)
	}
	cookie, err := auth.NewCookie(store, auth.CookieConfig{Keys: auth.Keys{key}})
	if err != nil {
		log.Fatal(err)
	}
	secret, err := auth.NewSecret(store, auth.SecretConfig{Prefix: "acme_cs"})
	if err != nil {
		log.Fatal(err)
	}

	hello := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, _ := auth.FromContext(r.Context())
		fmt.Fprintf(w, "hello %s, by %s", id.UserID, id.Scheme)
	})
	mux := http.NewServeMux()
	mux.Handle("GET /notes", auth.Require(bearer, cookie)(hello))
	mux.Handle("GET /usage", auth.Require(secret)(hello))

	token, _, err := bearer.Issue(context.Background(), "ada", auth.TokenOptions{
		Name:     "laptop",
		Scopes:   []string{auth.FullAccess},
		Lifetime: 90 * 24 * time.Hour,
	})
	if err != nil {
		log.Fatal(err)
	}
	// The token is valid on the first route. The second one accepts only secrets.
	for _, path := range []string{"/notes", "/usage"} {
		r := httptest.NewRequest("GET", path, nil)
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r)
		fmt.Println(path, w.Code)
		fmt.Println(w.Header().Get("WWW-Authenticate"))
		fmt.Println(w.Body)
	}
	// Output:
	// /notes 200
	//
	// hello ada, by Bearer
	// /usage 401
	// Secret realm="api"
	// {"type":"about:blank","title":"Unauthorized","status":401,"code":"missing_credential","detail":"Authentication is required."}
}

// A token is issued, rotated with a grace period, listed and revoked. Its plaintext is
// returned once, by Issue and Rotate, and must be shown to the user then.
func ExampleBearer() {
	ctx := context.Background()
	bearer, err := auth.NewBearer(auth.NewMemoryStore(), auth.BearerConfig{
		Prefix:      "acme_pat",
		Scopes:      []string{"notes:read", "notes:write"},
		MaxLifetime: 90 * 24 * time.Hour,
		MaxPerUser:  50,
	})
	if err != nil {
		log.Fatal(err)
	}
	_, old, err := bearer.Issue(ctx, "ada", auth.TokenOptions{
		Name:     "nightly export",
		Scopes:   []string{"notes:read"},
		Lifetime: 30 * 24 * time.Hour,
	})
	if err != nil {
		log.Fatal(err)
	}
	// Both the old and the new token work for another day.
	if _, _, err := bearer.Rotate(ctx, "ada", old.ID, 24*time.Hour); err != nil {
		log.Fatal(err)
	}
	list, err := bearer.List(ctx, "ada", auth.Page{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(list), "tokens of ada")

	// A user cannot revoke the tokens of another user.
	fmt.Println(errors.Is(bearer.Revoke(ctx, "grace", old.ID), auth.ErrNotFound))
	n, err := bearer.RevokeAll(ctx, "ada")
	fmt.Println(n, "revoked", err)
	// Output:
	// 2 tokens of ada
	// true
	// 2 revoked <nil>
}

// A sign-in handler checks the origin first, then the password, and then starts the
// session.
func ExampleCookie_SignIn() {
	key := make([]byte, 32)
	rand.Read(key)
	cookie, err := auth.NewCookie(auth.NewMemoryStore(), auth.CookieConfig{
		Keys:        auth.Keys{key},
		IdleTimeout: time.Hour,
	})
	if err != nil {
		log.Fatal(err)
	}
	signIn := func(w http.ResponseWriter, r *http.Request) {
		if err := cookie.CheckOrigin(r); err != nil {
			auth.WriteError(w, r, err)
			return
		}
		userID := "ada" // after checking the password in the form
		if _, err := cookie.SignIn(w, r, userID, auth.SessionOptions{}); err != nil {
			auth.WriteError(w, r, err)
			return
		}
		http.Redirect(w, r, auth.LocalPath(r.FormValue("next"), "/"), http.StatusSeeOther)
	}

	// LocalPath does not redirect to another site.
	w := httptest.NewRecorder()
	signIn(w, httptest.NewRequest("POST", "/signin?next=//evil.example", nil))
	c := w.Result().Cookies()[0]
	fmt.Println(w.Code, w.Header().Get("Location"))
	fmt.Println(c.Name, c.Path, c.Secure, c.HttpOnly, c.SameSite == http.SameSiteLaxMode)

	// Another site makes the browser submit the form.
	forged := httptest.NewRequest("POST", "/signin", nil)
	forged.Header.Set("Sec-Fetch-Site", "cross-site")
	w = httptest.NewRecorder()
	signIn(w, forged)
	fmt.Println(w.Code)
	// Output:
	// 303 /
	// __Host-session / true true true
	// 403
}

// A user has one client secret. Here it is imported from another system, revealed and
// rotated.
func ExampleSecret() {
	ctx := context.Background()
	key := make([]byte, 32)
	rand.Read(key) // a real service keeps it apart from the database
	secret, err := auth.NewSecret(auth.NewMemoryStore(), auth.SecretConfig{RevealKeys: auth.Keys{key}})
	if err != nil {
		log.Fatal(err)
	}
	// The secret of the previous system keeps working.
	options := auth.SecretOptions{Scopes: []string{auth.FullAccess}, Lifetime: auth.NoExpiry}
	c, err := secret.Import(ctx, "ada", "wJalrXUtnFEMI0O6JX5MCkmbs6JqPcx3", options)
	if err != nil {
		log.Fatal(err)
	}
	plaintext, err := secret.Reveal(ctx, "ada", c.ID)
	fmt.Println(plaintext, err)

	// The user has a secret already: it can only be rotated. Both work for an hour.
	_, _, err = secret.Issue(ctx, "ada", options)
	fmt.Println(err)
	fresh, _, err := secret.Rotate(ctx, "ada", c.ID, time.Hour)
	fmt.Println(len(fresh), err)
	both, err := secret.List(ctx, "ada", auth.Page{})
	fmt.Println(len(both), err)
	// Output:
	// wJalrXUtnFEMI0O6JX5MCkmbs6JqPcx3 <nil>
	// auth: conflict
	// 32 <nil>
	// 2 <nil>
}

// Scripts send the token in a header of its own, as they did to the service's previous system.
// Authorization and session cookies work on the same route.
func ExampleBearer_InHeader() {
	store, key := auth.NewMemoryStore(), make([]byte, 32)
	rand.Read(key)
	bearer, err := auth.NewBearer(store, auth.BearerConfig{Prefix: "acme_pat"})
	if err != nil {
		log.Fatal(err)
	}
	cookie, err := auth.NewCookie(store, auth.CookieConfig{Keys: auth.Keys{key}})
	if err != nil {
		log.Fatal(err)
	}
	h := auth.Require(bearer.InHeader("X-API-Key"), bearer, cookie)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, _ := auth.FromContext(r.Context())
		fmt.Fprintf(w, "hello %s, by %s", id.UserID, id.Scheme)
	}))
	token, _, err := bearer.Issue(context.Background(), "ada", auth.TokenOptions{Name: "cron", Scopes: []string{auth.FullAccess}, Lifetime: auth.NoExpiry})
	if err != nil {
		log.Fatal(err)
	}
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("X-API-Key", token)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	fmt.Println(w.Code, w.Body)
	fmt.Println(w.Header().Get("Vary"), w.Header().Get("Cache-Control"))

	// Sent in two ways, the token is rejected.
	r.Header.Set("Authorization", "Bearer "+token)
	w = httptest.NewRecorder()
	h.ServeHTTP(w, r)
	fmt.Println(w.Code)
	// Output:
	// 200 hello ada, by Bearer
	// Cookie private
	// 400
}

// Resolve maps an identity to the service's own user, and rejects users that do not exist or
// are disabled.
func ExampleMiddleware() {
	type user struct{ Name string }
	users := map[string]*user{"7": {Name: "Ada"}}

	bearer, err := auth.NewBearer(auth.NewMemoryStore(), auth.BearerConfig{})
	if err != nil {
		log.Fatal(err)
	}
	api := auth.Middleware{
		Realm: "Acme API",
		Resolve: func(ctx context.Context, id *auth.Identity) (any, error) {
			u, ok := users[id.UserID]
			if !ok {
				return nil, auth.ErrInvalidCredential
			}
			return u, nil
		},
	}
	h := api.Require(bearer)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Println("hello", auth.MustUser[*user](r.Context()).Name)
	}))

	for _, id := range []string{"7", "8"} {
		token, _, err := bearer.Issue(context.Background(), id, auth.TokenOptions{Name: "test", Scopes: []string{auth.FullAccess}, Lifetime: auth.NoExpiry})
		if err != nil {
			log.Fatal(err)
		}
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		fmt.Println(w.Code, w.Header().Values("WWW-Authenticate"))
	}
	// Output:
	// hello Ada
	// 200 []
	// 401 [Bearer realm="Acme API", error="invalid_token"]
}

// An interceptor of gRPC authenticates the token in the metadata of a call. The handler reads
// the identity from the context as an HTTP handler does.
func ExampleMiddleware_AuthenticateToken() {
	bearer, err := auth.NewBearer(auth.NewMemoryStore(), auth.BearerConfig{Prefix: "acme_pat"})
	if err != nil {
		log.Fatal(err)
	}
	var api auth.Middleware
	handler := func(ctx context.Context) error {
		id, _ := auth.FromContext(ctx)
		fmt.Println("hello", id.UserID)
		return auth.CheckScope(ctx, "notes:write")
	}
	intercept := func(ctx context.Context, token string) error {
		ctx, err := api.AuthenticateToken(ctx, token, bearer)
		if err == nil {
			err = handler(ctx)
		}
		var rejected *auth.Error
		if errors.As(err, &rejected) {
			// 401 is codes.Unauthenticated, 403 PermissionDenied, 400 InvalidArgument, 503 Unavailable.
			return fmt.Errorf("%d: %s", rejected.StatusCode(), rejected.Detail())
		}
		return err
	}

	token, _, err := bearer.Issue(context.Background(), "ada", auth.TokenOptions{Name: "batch", Scopes: []string{"notes:read"}, Lifetime: auth.NoExpiry})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(intercept(context.Background(), token))
	fmt.Println(intercept(context.Background(), "expired-or-unknown"))
	// Output:
	// hello ada
	// 403: The credential lacks a required scope.
	// 401: The credential is not valid.
}

// RequireScope is inside of Require. The token may read notes but not write them.
func ExampleRequireScope() {
	bearer, err := auth.NewBearer(auth.NewMemoryStore(), auth.BearerConfig{})
	if err != nil {
		log.Fatal(err)
	}
	h := auth.Require(bearer)(auth.RequireScope("notes:write")(http.NotFoundHandler()))

	token, _, err := bearer.Issue(context.Background(), "ada", auth.TokenOptions{Name: "reader", Scopes: []string{"notes:read"}, Lifetime: auth.NoExpiry})
	if err != nil {
		log.Fatal(err)
	}
	r := httptest.NewRequest("POST", "/notes", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	fmt.Println(w.Code, w.Header().Get("WWW-Authenticate"))
	// Output: 403 Bearer realm="api", error="insufficient_scope", scope="notes:write"
}

// Outside of Require, RequireScope runs before the request is authenticated. This is a
// mistake in the program: every request is answered with 500.
func ExampleRequireScope_incorrect() {
	bearer, err := auth.NewBearer(auth.NewMemoryStore(), auth.BearerConfig{})
	if err != nil {
		log.Fatal(err)
	}
	h := auth.RequireScope("notes:write")(auth.Require(bearer)(http.NotFoundHandler())) // incorrect!
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("POST", "/notes", nil))
	fmt.Println(w.Code)
	// Output: 500
}

// A service keeps its existing table of tokens, and the code that issues and revokes them.
// Bearer looks tokens up in the table by their SHA-256.
func ExampleLookupStore() {
	type row struct{ id, user string }
	hashed := sha256.Sum256([]byte("legacy_Vq3TzK8mRw5nYb2xHc7d"))
	table := map[string]row{hex.EncodeToString(hashed[:]): {"17", "ada"}}

	rows := auth.LookupStore(func(ctx context.Context, kind auth.Kind, d auth.Digest) (*auth.Credential, error) {
		row, ok := table[hex.EncodeToString(d[:])] // SELECT ... WHERE sha256 = ?
		if !ok || kind != auth.KindToken {
			return nil, auth.ErrNotFound
		}
		return &auth.Credential{ID: row.id, UserID: row.user, Scopes: "*"}, nil
	})
	bearer, err := auth.NewBearer(rows, auth.BearerConfig{})
	if err != nil {
		log.Fatal(err)
	}
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Authorization", "Bearer legacy_Vq3TzK8mRw5nYb2xHc7d")
	id, err := bearer.Authenticate(r)
	fmt.Println(id.UserID, id.CredentialID, err)
	// Output: ada 17 <nil>
}

// NewContext replaces the authentication in a handler's test.
func ExampleNewContext() {
	handler := func(w http.ResponseWriter, r *http.Request) {
		id, ok := auth.FromContext(r.Context())
		fmt.Println(ok, id.UserID, id.Scopes.Has("notes:write"))
	}
	r := httptest.NewRequest("GET", "/", nil)
	r = r.WithContext(auth.NewContext(r.Context(), &auth.Identity{UserID: "ada", Scopes: "notes:read"}))
	handler(httptest.NewRecorder(), r)
	// Output: true ada false
}
