package main

import (
	"io"
	"net/http"

	"github.com/seed-31c5bcb2/auth"
)

// routes lists every route with the schemes that it accepts.
func (s *server) routes() http.Handler {
	mux := http.NewServeMux()

	// Public. Signing in and out checks the origin of the request itself.
	mux.HandleFunc("GET /healthz", healthy)
	mux.HandleFunc("GET /style.css", style)
	mux.HandleFunc("POST /signin", s.signIn)
	mux.HandleFunc("POST /signout", s.signOut)
	mux.HandleFunc("GET /signin", toSignInPage) // the address bar has it after a failed sign-in
	mux.HandleFunc("GET /signout", toSignInPage)
	if s.binding != nil {
		mux.Handle("/dbsc/", s.binding) // for requests that browsers send by themselves
	}

	// Pages: a session. Without one, browsers are redirected to the sign-in page.
	pages := *s.api
	pages.OnError = auth.RedirectToSignIn("/")
	session, maybeSession := pages.Require(s.cookie), pages.Optional(s.cookie)
	mux.Handle("GET /{$}", maybeSession(http.HandlerFunc(s.signInPage)))
	mux.Handle("GET /profile", session(http.HandlerFunc(s.profilePage)))
	mux.Handle("/profile/developer/", http.StripPrefix("/profile/developer", s.developer)) // requires one itself

	// API: a token or a session, for notes with a scope. Sessions have every scope.
	tokenOrSession := s.api.Require(s.bearer, s.cookie)
	withScope := func(scope string, h http.HandlerFunc) http.Handler {
		return tokenOrSession(s.api.RequireScope(scope)(h))
	}
	mux.Handle("GET /api/v1/me", tokenOrSession(http.HandlerFunc(me)))
	mux.Handle("GET /api/v1/notes", withScope(readNotes, s.notes.list))
	mux.Handle("POST /api/v1/notes", withScope(writeNotes, s.notes.create))
	mux.Handle("DELETE /api/v1/notes/{id}", withScope(writeNotes, s.notes.remove))

	// API for servers: a client secret.
	secret := s.api.Require(s.secret)
	mux.Handle("GET /api/v1/usage", secret(http.HandlerFunc(s.usage.show)))

	return withSecurityHeaders(s.withClientAddr(withTimeout(mux)))
}

// The scopes of this service.
const (
	readNotes  = "notes:read"
	writeNotes = "notes:write"
)

func healthy(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	io.WriteString(w, "ok\n")
}
