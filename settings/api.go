package settings

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/seed-31c5bcb2/auth"
)

func (h *handler) apiRoutes() []route {
	routes := []route{
		{method: "GET", path: "/api/policy", serve: (*request).getPolicy},
		{method: "GET", path: "/api/tokens", serve: (*request).getTokens, query: tokenParameters},
		{method: "POST", path: "/api/tokens", recent: true, serve: (*request).postToken},
		{method: "DELETE", path: "/api/tokens", revokes: true, serve: (*request).deleteTokens},
		{method: "GET", path: "/api/tokens/{id}", serve: (*request).getToken},
		{method: "PATCH", path: "/api/tokens/{id}", noActor: true, versioned: true, serve: (*request).patchToken},
		{method: "DELETE", path: "/api/tokens/{id}", revokes: true, versioned: true, serve: (*request).deleteToken},
		{method: "POST", path: "/api/tokens/{id}/rotate", recent: true, serve: (*request).postTokenRotation},
	}
	if h.secret != nil {
		routes = append(routes,
			route{method: "GET", path: "/api/secret", serve: (*request).getSecret},
			route{method: "POST", path: "/api/secret", recent: true, serve: (*request).postSecret},
			route{method: "DELETE", path: "/api/secret", revokes: true, serve: (*request).deleteSecret, query: parameters{"id": nil}},
			route{method: "POST", path: "/api/secret/reveal", recent: true, serve: (*request).postSecretReveal, reads: true},
			route{method: "POST", path: "/api/secret/rotate", recent: true, serve: (*request).postSecretRotation},
			route{method: "DELETE", path: "/api/secret/previous/{id}", revokes: true, serve: (*request).deletePreviousSecret},
		)
	}
	if h.cookie != nil {
		routes = append(routes,
			route{method: "GET", path: "/api/sessions", serve: (*request).getSessions, query: sessionParameters},
			route{method: "DELETE", path: "/api/sessions", revokes: true, serve: (*request).deleteSessions},
			route{method: "GET", path: "/api/sessions/{id}", serve: (*request).getSession},
			route{method: "DELETE", path: "/api/sessions/{id}", revokes: true, session: true, serve: (*request).deleteSession},
		)
	}
	if h.privateDocument != nil {
		routes = append(routes, route{method: "GET", path: "/api/openapi.json", serve: (*request).getDocument})
	}
	for i := range routes {
		routes[i].api = true
	}
	return routes
}

// rejectAPI is the Middleware.OnError of the API.
func (h *handler) rejectAPI(w http.ResponseWriter, _ *http.Request, err error) {
	problemOf(err).write(w)
}

func writeAPI(r *request, p *problem) { p.write(r.w) }

// writeJSON answers with something that must not be kept.
func (r *request) writeJSON(status int, v any) error {
	r.w.Header().Set("Content-Type", "application/json")
	r.w.WriteHeader(status)
	json.NewEncoder(r.w).Encode(v) // fails only if the client has disconnected
	return nil
}

// writeNoContent answers with 204, or returns err.
func (r *request) writeNoContent(err error) error {
	if err == nil {
		r.w.WriteHeader(http.StatusNoContent)
	}
	return err
}

// writeCount answers how many credentials were revoked, or returns err.
func (r *request) writeCount(revoked int, err error) error {
	if err != nil {
		return err
	}
	return r.writeJSON(http.StatusOK, map[string]int{"revoked": revoked})
}

// A secretJSON is a client secret in the API.
type secretJSON struct {
	ID         string     `json:"id"`
	Hint       string     `json:"hint"`
	CreatedAt  time.Time  `json:"created_at"`
	ExpiresAt  *time.Time `json:"expires_at"`
	LastUsedAt *time.Time `json:"last_used_at"`
	Plaintext  string     `json:"secret,omitempty"`
}

func newSecretJSON(s *auth.Credential, plaintext string) *secretJSON {
	if s == nil {
		return nil
	}
	return &secretJSON{s.ID, s.Hint, s.CreatedAt, timeOrNull(s.ExpiresAt), timeOrNull(s.LastUsedAt), plaintext}
}

func (r *request) getSecret() error {
	if err := r.checkDeveloper(); err != nil {
		return err
	}
	current, previous, err := r.secrets()
	if err != nil {
		return err
	}
	return r.writeRead(map[string]any{"current": newSecretJSON(current, ""), "previous": newSecretJSON(previous, "")})
}

func (r *request) postSecret() error {
	if err := r.checkSecret(); err != nil {
		return err
	}
	if err := readEmptyJSON(r.Request); err != nil {
		return err
	}
	plaintext, made, err := r.createSecret("")
	if err != nil {
		return err
	}
	return r.writeJSON(http.StatusCreated, newSecretJSON(&made, plaintext))
}

func (r *request) postSecretReveal() error {
	if err := r.checkSecret(); err != nil {
		return err
	}
	var id string
	if err := readJSON(r.Request, field{name: "id", into: &id}); err != nil {
		return err
	}
	plaintext, err := r.revealSecret(id)
	if err != nil {
		return err
	}
	return r.writeJSON(http.StatusOK, map[string]string{"secret": plaintext})
}

func (r *request) postSecretRotation() error {
	if err := r.checkSecret(); err != nil {
		return err
	}
	var id string
	overlap, err := r.readOverlap(field{name: "id", into: &id})
	if err != nil {
		return err
	}
	plaintext, made, err := r.rotateSecret(id, overlap)
	if err != nil {
		return err
	}
	return r.writeJSON(http.StatusOK, newSecretJSON(&made, plaintext))
}

// deleteSecret and deletePreviousSecret do not call checkDeveloper: a user who may
// no longer have a secret can still revoke it.
func (r *request) deleteSecret() error {
	return r.writeNoContent(r.revokeSecret(r.URL.Query().Get("id")))
}

func (r *request) deletePreviousSecret() error {
	return r.writeNoContent(r.revokePrevious(r.PathValue("id")))
}

// A sessionJSON is a session in the API.
type sessionJSON struct {
	ID           string     `json:"id"`
	Current      bool       `json:"current"` // the session of this request
	Bound        bool       `json:"bound"`
	UserAgent    string     `json:"user_agent"`
	Scopes       []string   `json:"scopes"`
	Actor        *string    `json:"actor"` // null if it is the user
	CreatedAt    time.Time  `json:"created_at"`
	CreatedFrom  *string    `json:"created_from"`
	ExpiresAt    *time.Time `json:"expires_at"`
	LastUsedAt   *time.Time `json:"last_used_at"`
	LastUsedFrom *string    `json:"last_used_from"`
}

func (r *request) sessionJSON(s *auth.Credential) sessionJSON {
	return sessionJSON{
		ID: s.ID, Current: r.isCurrent(s), Bound: s.Bound(), UserAgent: s.Name, Scopes: s.Scopes.List(), Actor: stringOrNull(s.Actor),
		CreatedAt: s.CreatedAt, ExpiresAt: timeOrNull(s.ExpiresAt), LastUsedAt: timeOrNull(s.LastUsedAt),
		CreatedFrom: addrOrNull(s.CreatedFrom), LastUsedFrom: addrOrNull(s.LastUsedFrom),
	}
}

func (r *request) getSessions() error {
	found, err := r.listPage(r.cookie.List, sessionSorts, r.isLive)
	if err != nil {
		return err
	}
	sessions := make([]sessionJSON, len(found.records))
	for i, s := range found.records {
		sessions[i] = r.sessionJSON(s)
	}
	return r.writeRead(map[string]any{"sessions": sessions, "next": found.next, "total": found.total})
}

// getSession answers 404 for a session that the list leaves out.
func (r *request) getSession() error {
	s, err := r.cookie.Get(r.Context(), r.id.UserID, r.PathValue("id"))
	switch {
	case err != nil:
		return err
	case !r.isLive(&s):
		return auth.ErrNotFound
	}
	return r.writeRead(r.sessionJSON(&s))
}

func (r *request) deleteSession() error { return r.writeNoContent(r.revokeSession(r.PathValue("id"))) }

func (r *request) deleteSessions() error { return r.writeCount(r.revokeOtherSessions()) }

// getPolicy returns what a user interface needs to offer only valid choices.
func (r *request) getPolicy() error {
	may, err := r.mayHaveSecret()
	if err != nil {
		return err
	}
	answer := map[string]any{
		"scopes": r.scopesJSON(),
		"token":  r.tokenPolicy(),
		"secret": nil,
		"authentication": map[string]any{
			"max_age": seconds(r.maxAge), "authenticated_at": timeOrNull(r.id.AuthenticatedAt), "scopes": r.id.Scopes.List(),
			"actor": stringOrNull(r.id.Actor),
		},
	}
	if may {
		s := r.secret.Policy()
		answer["secret"] = map[string]any{"max_overlap": seconds(s.MaxOverlap), "revealable": s.Revealable}
	}
	return r.writeRead(answer)
}

func (r *request) getDocument() error { return r.writeText("", r.privateDocument) }

func seconds(d time.Duration) int64 { return int64(d / time.Second) }

// A scopeJSON is a scope that tokens can have.
type scopeJSON struct {
	Name        string `json:"name"`
	Group       string `json:"group"`
	Description string `json:"description"`
}

func (r *request) scopesJSON() []scopeJSON {
	scopes := []scopeJSON{}
	for _, g := range r.scopes {
		for _, s := range g.Scopes {
			scopes = append(scopes, scopeJSON{s.Name, g.Title, s.Description})
		}
	}
	return scopes
}
