package main

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"sync"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/examples/server/internal/demodata"
)

// me returns the identity of the request.
func me(w http.ResponseWriter, r *http.Request) {
	id, _ := auth.FromContext(r.Context())
	writeJSON(w, http.StatusOK, map[string]any{
		"user_id":       id.UserID,
		"name":          currentUser(r).Name,
		"scheme":        id.Scheme,
		"credential_id": id.CredentialID,
		"scopes":        append([]string{}, id.Scopes.List()...), // never null
	})
}

func currentUser(r *http.Request) *demodata.User { return auth.MustUser[*demodata.User](r.Context()) }

// usage counts the requests of each user by scheme. It has an entry for existing
// users only, because it counts accepted requests.
type usage struct {
	mu     sync.Mutex
	counts map[string]map[auth.Scheme]int
}

func newUsage() *usage { return &usage{counts: make(map[string]map[auth.Scheme]int)} }

// observe is an auth.Observer. It is called before the handler runs, so show counts
// its own request.
func (u *usage) observe(_ context.Context, e auth.Event) {
	if e.Type != auth.EventAccepted {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.counts[e.UserID] == nil {
		u.counts[e.UserID] = make(map[auth.Scheme]int)
	}
	u.counts[e.UserID][e.Scheme]++
}

func (u *usage) show(w http.ResponseWriter, r *http.Request) {
	userID := currentUser(r).ID
	requests := map[auth.Scheme]int{auth.SchemeBearer: 0, auth.SchemeCookie: 0, auth.SchemeSecret: 0}
	u.mu.Lock()
	maps.Copy(requests, u.counts[userID])
	u.mu.Unlock()
	writeJSON(w, http.StatusOK, map[string]any{"user_id": userID, "requests": requests})
}

// writeJSON forbids caching, because every response depends on the user.
func writeJSON(w http.ResponseWriter, status int, v any) {
	writeAs(w, "application/json", status, v)
}

// writeProblem writes a problem document (RFC 9457), as auth.WriteError does for the
// errors of that package.
func writeProblem(w http.ResponseWriter, status int, code, detail string) {
	writeAs(w, "application/problem+json", status, map[string]any{
		"type": "about:blank", "title": http.StatusText(status), "status": status, "code": code, "detail": detail,
	})
}

func writeAs(w http.ResponseWriter, contentType string, status int, v any) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v)
}
