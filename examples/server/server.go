package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/dbsc"
	"github.com/seed-31c5bcb2/auth/examples/server/internal/demodata"
	"github.com/seed-31c5bcb2/auth/examples/server/internal/front"
	"github.com/seed-31c5bcb2/auth/settings"
)

type server struct {
	bearer *auth.Bearer
	cookie *auth.Cookie
	secret *auth.Secret
	// binding binds sessions to the browser's device. It is nil over plain HTTP, where browsers
	// cannot.
	binding *dbsc.Binding

	users *users
	notes *notes
	usage *usage
	log   *slog.Logger

	proxied bool         // whether all requests come from one proxy
	verbose bool         // whether every request is logged
	seeding *atomic.Bool // while credentials are issued that are printed

	api       *auth.Middleware
	developer *settings.Handler // Developer Settings, where users manage their credentials
}

func newServer(log *slog.Logger, storage *demodata.Storage, keys auth.Keys, cfg front.Config) (*server, error) {
	s := &server{
		users: newUsers(storage), notes: &notes{storage, log}, usage: newUsage(), log: log,
		proxied: cfg.Proxy != nil, verbose: cfg.Verbose, seeding: new(atomic.Bool),
	}
	store, observe := storage.Credentials, s.observeChange
	bearer, errBearer := auth.NewBearer(store, auth.BearerConfig{
		Prefix: "demo_pat", Scopes: []string{readNotes, writeNotes}, MaxPerUser: 20, Observe: observe,
	})
	sessions, errBinding := s.bindSessions(cookieConfig(keys, cfg, observe))
	cookie, errCookie := auth.NewCookie(store, sessions)
	secret, errSecret := auth.NewSecret(store, auth.SecretConfig{
		Prefix: "demo_cs", RevealKeys: keys, Observe: observe,
	})
	if err := errors.Join(errBearer, errBinding, errCookie, errSecret); err != nil {
		return nil, err
	}
	s.bearer, s.cookie, s.secret = bearer, cookie, secret
	s.api = &auth.Middleware{Realm: "demo", Resolve: s.users.resolve, Observe: s.observe}
	var err error
	s.developer, err = settings.New(s.settingsConfig())
	return s, err
}

// insecureCookie is the name of the session cookie over plain HTTP. Cookies do not
// differ by port, so a program at another port of this machine could use the default
// name too, and sign our users out.
const insecureCookie = "notes-session"

func cookieConfig(keys auth.Keys, cfg front.Config, observe auth.Observer) auth.CookieConfig {
	c := auth.CookieConfig{
		Keys:     keys,
		Lifetime: 12 * time.Hour, IdleTimeout: time.Hour, MaxPerUser: 10, Observe: observe,
	}
	if !cfg.Secure() {
		// By default the demo serves plain HTTP on the loopback address, which other
		// machines cannot reach. A real service uses TLS, and does not set Insecure.
		c.Insecure, c.Name = true, insecureCookie
	}
	if cfg.Proxy != nil { // which may pass on another Host than browsers send
		c.TrustedOrigins = []string{cfg.Proxy.String()}
	}
	return c
}

// bindSessions makes cookies that are copied from a browser worthless within minutes.
func (s *server) bindSessions(c auth.CookieConfig) (auth.CookieConfig, error) {
	if c.Insecure {
		return c, nil
	}
	binding, err := dbsc.New(dbsc.Config{})
	if err != nil {
		return c, err
	}
	c.Binding, s.binding = binding, binding
	return c, nil
}

func (s *server) settingsConfig() settings.Config {
	return settings.Config{
		Bearer: s.bearer, Cookie: s.cookie, Secret: s.secret, Middleware: *s.api,
		SignInPath: "/",
		Scopes: []settings.ScopeGroup{{
			Title: "Notes",
			Scopes: []settings.Scope{
				{Name: readNotes, Description: "read your notes"},
				{Name: writeNotes, Description: "create and remove notes"},
			},
			Presets: []settings.ScopePreset{
				{Title: "Read", Scopes: []string{readNotes}},
				{Title: "Read and write", Scopes: []string{readNotes, writeNotes}},
			},
		}},
		// The bar is that of our own pages.
		Title:           "Notes demo",
		Links:           []settings.Link{{Text: "My Profile", URL: "/profile"}},
		Account:         func(ctx context.Context, _ *auth.Identity) string { return auth.MustUser[*demodata.User](ctx).Name },
		TokenExampleURL: "/api/v1/me", SecretExampleURL: "/api/v1/usage",
	}
}

// observe is called for each decision on a request. Without -v it logs no requests that
// have no credential: every visit of a signed-out user is one.
func (s *server) observe(ctx context.Context, e auth.Event) {
	if s.verbose || e.Reason != auth.ReasonMissing {
		auth.LogTo(s.log)(ctx, e)
	}
	s.usage.observe(ctx, e)
}

// observeChange is called for each change to a credential.
func (s *server) observeChange(ctx context.Context, e auth.Event) {
	if !s.seeding.Load() {
		auth.LogTo(s.log)(ctx, e)
	}
}

// close writes the last-used times that the authenticators still hold. Call it after
// the last request.
func (s *server) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	return errors.Join(s.bearer.Close(ctx), s.cookie.Close(ctx), s.secret.Close(ctx))
}

// withTimeout limits how long a handler waits for the State. The stores of the
// library have timeouts of their own.
func withTimeout(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), 5*time.Second)
		defer cancel()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// withClientAddr says where requests come from, in events and in the records of credentials.
func (s *server) withClientAddr(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(auth.WithClientAddr(r.Context(), front.ClientAddr(r, s.proxied))))
	})
}

// withSecurityHeaders sets headers on all responses. The referrer policy is not
// no-referrer, with which browsers send our own forms with "Origin: null": without
// Sec-Fetch-Site, they could then not be told apart from those of other sites.
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
