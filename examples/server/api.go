package main

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"sync"

	"github.com/seed-31c5bcb2/auth"
)

// me tells a client who it is to us.
func me(w http.ResponseWriter, r *http.Request) {
	id, _ := auth.FromContext(r.Context())
	writeJSON(w, http.StatusOK, map[string]any{
		"user_id":       id.UserID,
		"name":          auth.MustUser[*account](r.Context()).Name,
		"scheme":        id.Scheme,
		"credential_id": id.CredentialID,
		"scopes":        append([]string{}, id.Scopes.List()...), // never null
	})
}

// usage counts each account's requests by scheme. It stays small: only requests
// of accounts that exist are accepted.
type usage struct {
	mu     sync.Mutex
	counts map[string]map[auth.Scheme]int
}

func newUsage() *usage { return &usage{counts: make(map[string]map[auth.Scheme]int)} }

// observe is an auth.Observer. It is told of a request before its handler runs,
// so that show counts the request that asks.
func (u *usage) observe(_ context.Context, e auth.Event) {
	if e.Kind != auth.EventAccepted {
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
	a := auth.MustUser[*account](r.Context())
	requests := map[auth.Scheme]int{auth.SchemeBearer: 0, auth.SchemeCookie: 0, auth.SchemeSecret: 0}
	u.mu.Lock()
	maps.Copy(requests, u.counts[a.ID])
	u.mu.Unlock()
	writeJSON(w, http.StatusOK, map[string]any{"user_id": a.ID, "requests": requests})
}

// writeJSON keeps answers out of caches: all of them are somebody's own.
func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v)
}

// writeProblem answers with a problem document (RFC 9457), as auth.WriteError
// does for the errors of that package.
func writeProblem(w http.ResponseWriter, status int, detail string) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(map[string]any{
		"type": "about:blank", "title": http.StatusText(status), "status": status, "detail": detail,
	})
}
