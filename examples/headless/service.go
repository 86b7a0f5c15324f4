package main

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/rs/cors"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/settings"
)

// A deployment says where the user interface is, as browsers see it.
type deployment struct {
	apiOrigin     string   // for programs on other origins, such as the user interface
	uiOrigins     []string // other than the API's; none if it is on the same origin
	crossSite     bool     // on another site than the API
	unpartitioned bool
}

type service struct {
	deployment
	bearer    *auth.Bearer
	cookie    *auth.Cookie
	developer http.Handler
	passwords map[string]string // by user
	notes     notes
}

// The scopes of this service.
const (
	readNotes  = "notes:read"
	writeNotes = "notes:write"
)

func newService(store auth.Store, keys auth.Keys, passwords map[string]string, d deployment, maxAge time.Duration) (*service, error) {
	s := &service{deployment: d, passwords: passwords, notes: notes{byUser: make(map[string][]note)}}
	var errBearer, errCookie error
	s.bearer, errBearer = auth.NewBearer(store, auth.BearerConfig{
		Prefix: "notes_pat", Scopes: []string{readNotes, writeNotes}, MaxPerUser: 50,
	})
	s.cookie, errCookie = auth.NewCookie(store, cookieConfig(keys, d))
	if err := errors.Join(errBearer, errCookie); err != nil {
		return nil, err
	}
	developer, err := settings.New(settings.Config{
		Bearer: s.bearer, Cookie: s.cookie, MaxAge: maxAge,
		SignInPath: "/", // only the page of the settings, which is not mounted, redirects to it
		Scopes: []settings.ScopeGroup{{Title: "Notes", Scopes: []settings.Scope{
			{Name: readNotes, Description: "read your notes"},
			{Name: writeNotes, Description: "create and delete notes"},
		}}},
	})
	s.developer = developer
	return s, err
}

// cookieConfig has the two modes of the cookie. Within one site the default, Lax, is enough, even
// if the user interface is on another origin.
func cookieConfig(keys auth.Keys, d deployment) auth.CookieConfig {
	cfg := auth.CookieConfig{Keys: keys, TrustedOrigins: d.uiOrigins, MaxPerUser: 20}
	if d.crossSite {
		cfg.SameSite = http.SameSiteNoneMode
		cfg.Partitioned = !d.unpartitioned // without it, browsers that block third-party cookies drop the cookie
	}
	return cfg
}

// routes serves the API, and ui on all other paths.
func (s *service) routes(ui http.Handler) http.Handler {
	api := http.NewServeMux()
	api.HandleFunc("GET /api/openapi.json", serveDocument)

	// Signing in and out checks the origin of the request itself.
	api.HandleFunc("POST /api/session", s.signIn)
	api.HandleFunc("DELETE /api/session", s.signOut)
	api.Handle("GET /api/session", auth.Optional(s.cookie)(http.HandlerFunc(s.session)))

	// Who am I, and notes: for the user interface, and for the tokens that it creates.
	credential := auth.Require(s.bearer, s.cookie)
	withScope := func(scope string, h http.HandlerFunc) http.Handler {
		return credential(auth.RequireScope(scope)(h))
	}
	api.Handle("GET /api/me", credential(http.HandlerFunc(s.me)))
	api.Handle("GET /api/notes", withScope(readNotes, s.notes.list))
	api.Handle("POST /api/notes", withScope(writeNotes, s.notes.create))
	api.Handle("DELETE /api/notes/{id}", withScope(writeNotes, s.notes.remove))

	// The API of Developer Settings, without its page.
	api.Handle("/settings/api/", http.StripPrefix("/settings", s.developer))

	mux := http.NewServeMux()
	mux.Handle("/api/", s.withCORS(api))
	mux.Handle("/settings/api/", s.withCORS(api))
	mux.Handle("/", ui)
	return mux
}

// withCORS is outside of Require: preflight requests have no cookie, and the user interface can
// read why a request was rejected.
func (s *service) withCORS(api http.Handler) http.Handler {
	if len(s.uiOrigins) == 0 {
		return api // rs/cors would take an empty list for "*"
	}
	return cors.New(cors.Options{
		AllowedOrigins:   s.uiOrigins, // the same list as TrustedOrigins
		AllowedMethods:   []string{"GET", "POST", "PATCH", "DELETE"},
		AllowedHeaders:   []string{"Content-Type", "If-Match", "Idempotency-Key"},
		ExposedHeaders:   []string{"ETag"}, // for If-Match, when a token is changed
		AllowCredentials: true,             // the browser sends the cookie, and lets scripts read the response
		MaxAge:           600,
	}).Handler(api)
}

// close writes the last-used times that the authenticators still hold.
func (s *service) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	return errors.Join(s.bearer.Close(ctx), s.cookie.Close(ctx))
}
