package main

import (
	"crypto/subtle"
	_ "embed"
	"encoding/json"
	"mime"
	"net/http"
	"time"

	"github.com/seed-31c5bcb2/auth"
)

// document describes this API; that of Developer Settings has one of its own. The types of the
// user interface are generated from both.
//
//go:embed openapi.json
var document []byte

func serveDocument(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Write(document)
}

// A user is the answer to who is signed in.
type user struct {
	Name            string     `json:"name"`
	Scheme          string     `json:"scheme"` // "Cookie", or "Bearer" for a token
	AuthenticatedAt *time.Time `json:"authenticated_at"`
}

func newUser(id *auth.Identity) *user {
	u := &user{Name: id.UserID, Scheme: string(id.Scheme)}
	if !id.AuthenticatedAt.IsZero() {
		u.AuthenticatedAt = &id.AuthenticatedAt
	}
	return u
}

func (s *service) signIn(w http.ResponseWriter, r *http.Request) {
	if err := s.cookie.CheckOrigin(r); err != nil { // first, so that other sites cannot try passwords
		auth.WriteError(w, r, err)
		return
	}
	var form struct{ Name, Password string }
	if !readJSON(w, r, &form) {
		return
	}
	// A real service stores a slow hash of each password, and limits failed attempts: see
	// examples/server.
	want, known := s.passwords[form.Name]
	if subtle.ConstantTimeCompare([]byte(form.Password), []byte(want)) != 1 || !known {
		// Not 401, which always means that there is no session.
		writeProblem(w, http.StatusForbidden, "wrong_password", "Wrong name or password.")
		return
	}
	session, err := s.cookie.SignIn(w, r, form.Name, auth.SessionOptions{})
	if err != nil {
		auth.WriteError(w, r, err)
		return
	}
	writeJSON(w, http.StatusOK, user{form.Name, string(auth.SchemeCookie), &session.CreatedAt})
}

func (s *service) signOut(w http.ResponseWriter, r *http.Request) {
	if err := s.cookie.SignOut(w, r); err != nil {
		auth.WriteError(w, r, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// session is behind Optional: it answers everyone, so that a page can ask whether there still is a
// session.
func (s *service) session(w http.ResponseWriter, r *http.Request) {
	answer := map[string]*user{"user": nil}
	if id, ok := auth.FromContext(r.Context()); ok {
		answer["user"] = newUser(id)
	}
	writeJSON(w, http.StatusOK, answer)
}

func (s *service) me(w http.ResponseWriter, r *http.Request) {
	id, _ := auth.FromContext(r.Context())
	writeJSON(w, http.StatusOK, newUser(id))
}

// readJSON reads a body of at most 16 KiB, or writes a problem.
func readJSON(w http.ResponseWriter, r *http.Request, into any) bool {
	if mediaType, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); mediaType != "application/json" {
		writeProblem(w, http.StatusUnsupportedMediaType, "unsupported_media_type", "The body must be application/json.")
		return false
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 16<<10)).Decode(into); err != nil {
		writeProblem(w, http.StatusBadRequest, "malformed_request", "The body is not the expected JSON.")
		return false
	}
	return true
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v) // fails only if the client has disconnected
}

// writeProblem writes a problem document (RFC 9457), as the library does.
func writeProblem(w http.ResponseWriter, status int, code, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(map[string]any{
		"type": "about:blank", "title": http.StatusText(status), "status": status, "code": code, "detail": detail,
	})
}
