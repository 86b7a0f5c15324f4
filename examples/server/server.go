package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/settings"
)

// The scopes of this service.
const (
	readNotes  = "notes:read"
	writeNotes = "notes:write"
)

type server struct {
	store  auth.Store
	state  state
	bearer *auth.Bearer
	cookie *auth.Cookie
	secret *auth.Secret

	accounts     *accounts
	notes        *notes
	usage        *usage
	fingerprints []string // of the keys
	log          *slog.Logger

	api       *auth.Middleware
	developer http.Handler // the settings, where people manage all of their credentials
}

func newServer(log *slog.Logger, storage *storage, keys auth.Keys) (*server, error) {
	store, observe := storage.credentials, auth.LogTo(log)
	bearer, errBearer := auth.NewBearer(store, auth.BearerConfig{
		Prefix: "demo_pat", Scopes: []string{readNotes, writeNotes}, MaxPerUser: 20, Observe: observe,
	})
	cookie, errCookie := auth.NewCookie(store, auth.CookieConfig{
		Keys: keys,
		// The demo speaks plain HTTP on the loopback address, which nobody else
		// can listen to. A service that others reach leaves this out and uses TLS.
		Insecure: true,
		Lifetime: 12 * time.Hour, IdleTimeout: time.Hour, MaxPerUser: 10, Observe: observe,
	})
	secret, errSecret := auth.NewSecret(store, auth.SecretConfig{
		Prefix: "demo_cs", RevealKeys: keys, Observe: observe,
	})
	s := &server{
		store: store, state: storage.state, bearer: bearer, cookie: cookie, secret: secret,
		accounts: newAccounts(storage.state), notes: &notes{storage.state, log}, usage: newUsage(),
		fingerprints: fingerprints(keys), log: log,
	}
	s.api = &auth.Middleware{Realm: "demo", Resolve: s.accounts.resolve, Observe: s.observe}
	if err := errors.Join(errBearer, errCookie, errSecret); err != nil {
		return nil, err
	}
	var err error
	s.developer, err = settings.New(s.settingsConfig())
	return s, err
}

// settingsConfig is for the part of My Profile where people manage their credentials.
func (s *server) settingsConfig() settings.Config {
	return settings.Config{
		Bearer: s.bearer, Cookie: s.cookie, Secret: s.secret, Middleware: *s.api,
		SignInPath: "/",
		Scopes: []settings.ScopeGroup{{Title: "Notes", Scopes: []settings.Scope{
			{Name: readNotes, Description: "read your notes"},
			{Name: writeNotes, Description: "create and remove notes"},
		}}},
		Links:      []settings.Link{{Text: "My Profile", URL: "/profile"}},
		ExampleURL: "/api/v1/me",
	}
}

// routes says of each path who may ask for it.
func (s *server) routes() http.Handler {
	api := s.api
	pages := *api
	pages.OnError = auth.RedirectToSignIn("/")

	tokenOrSession := api.Require(s.bearer, s.cookie)
	secretOnly := api.Require(s.secret)
	reading := func(h http.HandlerFunc) http.Handler { return tokenOrSession(api.RequireScope(readNotes)(h)) }
	writing := func(h http.HandlerFunc) http.Handler { return tokenOrSession(api.RequireScope(writeNotes)(h)) }

	mux := http.NewServeMux()
	mux.Handle("GET /{$}", pages.Optional(s.cookie)(http.HandlerFunc(s.signInPage)))
	mux.HandleFunc("POST /signin", s.signIn)
	mux.HandleFunc("POST /signout", s.signOut)
	mux.Handle("GET /profile", pages.Require(s.cookie)(http.HandlerFunc(s.profilePage)))
	mux.Handle("/profile/developer/", http.StripPrefix("/profile/developer", s.developer))
	mux.HandleFunc("GET /style.css", style)

	mux.Handle("GET /api/v1/me", tokenOrSession(http.HandlerFunc(me)))
	mux.Handle("GET /api/v1/notes", reading(s.notes.list))
	mux.Handle("POST /api/v1/notes", writing(s.notes.create))
	mux.Handle("DELETE /api/v1/notes/{id}", writing(s.notes.remove))
	mux.Handle("GET /api/v1/usage", secretOnly(http.HandlerFunc(s.usage.show)))
	mux.HandleFunc("GET /healthz", healthy)
	return withSecurityHeaders(withDeadline(mux))
}

// observe is told of every decision on a request.
func (s *server) observe(ctx context.Context, e auth.Event) {
	auth.LogTo(s.log)(ctx, e)
	s.usage.observe(ctx, e)
}

// purgeEvery takes out of the store, until ctx ends, what expired or was revoked
// a day ago: a store keeps both until it is told.
func (s *server) purgeEvery(ctx context.Context, interval time.Duration) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			if n, err := s.store.Purge(ctx, now.Add(-24*time.Hour)); err != nil {
				s.log.Error("purge failed", "error", err)
			} else {
				s.log.Info("purged", "records", n)
			}
		}
	}
}

// withDeadline bounds how long a request waits for what this service asks, as the
// stores of the library bound themselves.
func withDeadline(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), 5*time.Second)
		defer cancel()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// withSecurityHeaders sets what holds for every answer. The referrer policy is
// not no-referrer: browsers would send our own forms with "Origin: null", which
// tells an older one's apart from another site's no more.
func withSecurityHeaders(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy",
			"default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		next.ServeHTTP(w, r)
	})
}

func healthy(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	io.WriteString(w, "ok\n")
}
