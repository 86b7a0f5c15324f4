package settings

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/seed-31c5bcb2/auth"
)

// maxPage is the maximum and the default number of records in a page of a list.
const maxPage = 100

func (h *handler) apiRoutes() []route {
	routes := []route{
		{method: "GET", path: "/api/policy", serve: (*request).getPolicy},
		{method: "GET", path: "/api/tokens", serve: (*request).getTokens},
		{method: "POST", path: "/api/tokens", recent: true, serve: (*request).postToken},
		{method: "DELETE", path: "/api/tokens", revokes: true, serve: (*request).deleteTokens},
		{method: "GET", path: "/api/tokens/{id}", serve: (*request).getToken},
		{method: "DELETE", path: "/api/tokens/{id}", revokes: true, serve: (*request).deleteToken},
		{method: "POST", path: "/api/tokens/{id}/rotate", recent: true, serve: (*request).postTokenRotation},
		{method: "GET", path: "/api/sessions", serve: (*request).getSessions},
		{method: "DELETE", path: "/api/sessions", revokes: true, serve: (*request).deleteSessions},
		{method: "DELETE", path: "/api/sessions/{id}", revokes: true, session: true, serve: (*request).deleteSession},
	}
	if h.secret != nil {
		routes = append(routes,
			route{method: "GET", path: "/api/secret", serve: (*request).getSecret},
			route{method: "POST", path: "/api/secret", recent: true, serve: (*request).postSecret},
			route{method: "DELETE", path: "/api/secret", revokes: true, serve: (*request).deleteSecret},
			route{method: "POST", path: "/api/secret/reveal", recent: true, serve: (*request).postSecretReveal, reads: true},
			route{method: "POST", path: "/api/secret/rotate", recent: true, serve: (*request).postSecretRotation},
			route{method: "DELETE", path: "/api/secret/previous/{id}", revokes: true, serve: (*request).deletePreviousSecret},
		)
	}
	return routes
}

// rejectAPI is the Middleware.OnError of the API.
func (h *handler) rejectAPI(w http.ResponseWriter, _ *http.Request, err error) {
	problemOf(err).write(w)
}

func writeAPI(r *request, p *problem) { p.write(r.w) }

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

// A tokenJSON is a token in the API.
type tokenJSON struct {
	ID         string     `json:"id"`
	Name       string     `json:"name"`
	Hint       string     `json:"hint"`
	Scopes     []string   `json:"scopes"` // ["*"] for full access
	State      state      `json:"state"`
	CreatedAt  time.Time  `json:"created_at"`
	ExpiresAt  *time.Time `json:"expires_at"`   // null if never
	LastUsedAt *time.Time `json:"last_used_at"` // null if not yet used
	Plaintext  string     `json:"token,omitempty"`
}

func (r *request) tokenJSON(t auth.Credential, plaintext string) tokenJSON {
	return tokenJSON{
		ID: t.ID, Name: t.Name, Hint: t.Hint, Scopes: t.Scopes.List(), State: stateOf(t, r.now),
		CreatedAt: t.CreatedAt, ExpiresAt: timeOrNull(t.ExpiresAt), LastUsedAt: timeOrNull(t.LastUsedAt), Plaintext: plaintext,
	}
}

func timeOrNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// listPage lists the page that the query asks for, without the records that keep rejects.
// next is the ID after which the following page begins, nil for the last page.
func (r *request) listPage(list lister, keep func(auth.Credential) bool) (records []auth.Credential, next *string, err error) {
	page := auth.Page{After: r.after(), Limit: maxPage}
	if text := r.URL.Query().Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > maxPage {
			return nil, nil, invalidArgument(fieldError{"limit", "must be 1 to " + strconv.Itoa(maxPage)})
		}
		page.Limit = n
	}
	p, err := r.collect(list, page, keep)
	if err == nil && p.next != "" {
		next = &p.next
	}
	return p.records, next, err
}

func (r *request) getTokens() error {
	list, next, err := r.listPage(r.bearer.List, func(auth.Credential) bool { return true })
	if err != nil {
		return err
	}
	tokens := make([]tokenJSON, len(list))
	for i, t := range list {
		tokens[i] = r.tokenJSON(t, "")
	}
	return r.writeJSON(http.StatusOK, map[string]any{"tokens": tokens, "next": next})
}

func (r *request) getToken() error {
	t, err := r.pathToken()
	if err != nil {
		return err
	}
	return r.writeJSON(http.StatusOK, r.tokenJSON(t, ""))
}

func (r *request) postToken() error {
	o, err := r.readTokenJSON()
	if err != nil {
		return err
	}
	plaintext, made, err := r.issue(o)
	if err != nil {
		return err
	}
	r.w.Header().Set("Location", "tokens/"+made.ID)
	return r.writeJSON(http.StatusCreated, r.tokenJSON(made, plaintext))
}

// readTokenJSON reads a request for a token. All fields are required, so that the
// most access and the longest lifetime have to be asked for.
func (r *request) readTokenJSON() (auth.TokenOptions, error) {
	o := auth.TokenOptions{Lifetime: auth.NoExpiry}
	var seconds *int64
	err := readJSON(r.Request, field{"name", &o.Name, false}, field{"scopes", &o.Scopes, false}, field{"expires_in", &seconds, true})
	if err != nil || seconds == nil {
		return o, err
	}
	var ok bool
	if o.Lifetime, ok = inSeconds(*seconds); !ok {
		return o, invalidArgument(fieldError{"expires_in", lifetimeDetail})
	}
	return o, nil
}

// inSeconds returns a duration of n seconds. It reports false if n is negative or
// the duration would overflow.
func inSeconds(n int64) (time.Duration, bool) {
	d := time.Duration(n) * time.Second
	return d, n >= 0 && d/time.Second == time.Duration(n)
}

// readOverlap reads a body with the field overlap, and the other fields given.
func (r *request) readOverlap(others ...field) (time.Duration, error) {
	var seconds int64
	if err := readJSON(r.Request, append(others, field{"overlap", &seconds, false})...); err != nil {
		return 0, err
	}
	overlap, ok := inSeconds(seconds)
	if !ok {
		return 0, invalidArgument(fieldError{"overlap", overlapDetail})
	}
	return overlap, nil
}

func (r *request) postTokenRotation() error {
	overlap, err := r.readOverlap()
	if err != nil {
		return err
	}
	plaintext, made, err := r.rotateToken(r.PathValue("id"), overlap)
	if err != nil {
		return err
	}
	return r.writeJSON(http.StatusOK, r.tokenJSON(made, plaintext))
}

func (r *request) deleteToken() error {
	return r.writeNoContent(r.bearer.Revoke(r.Context(), r.id.UserID, r.PathValue("id")))
}

func (r *request) deleteTokens() error {
	return r.writeCount(r.bearer.RevokeAll(r.Context(), r.id.UserID))
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
	return r.writeJSON(http.StatusOK, map[string]any{"current": newSecretJSON(current, ""), "previous": newSecretJSON(previous, "")})
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
	if err := readJSON(r.Request, field{"id", &id, false}); err != nil {
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
	overlap, err := r.readOverlap(field{"id", &id, false})
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
	q := r.URL.Query()
	if len(q["id"]) > 1 {
		return invalidArgument(fieldError{"id", "is repeated"})
	}
	return r.writeNoContent(r.revokeSecret(q.Get("id")))
}

func (r *request) deletePreviousSecret() error {
	return r.writeNoContent(r.revokePrevious(r.PathValue("id")))
}

// A sessionJSON is a session in the API.
type sessionJSON struct {
	ID         string     `json:"id"`
	Current    bool       `json:"current"` // the session of this request
	UserAgent  string     `json:"user_agent"`
	Scopes     []string   `json:"scopes"`
	CreatedAt  time.Time  `json:"created_at"`
	ExpiresAt  *time.Time `json:"expires_at"`
	LastUsedAt *time.Time `json:"last_used_at"`
}

func (r *request) getSessions() error {
	list, next, err := r.listPage(r.cookie.List, r.isLive)
	if err != nil {
		return err
	}
	sessions := []sessionJSON{}
	for _, s := range list {
		sessions = append(sessions, sessionJSON{
			s.ID, s.ID == r.id.CredentialID, s.Name, s.Scopes.List(), s.CreatedAt, timeOrNull(s.ExpiresAt), timeOrNull(s.LastUsedAt),
		})
	}
	return r.writeJSON(http.StatusOK, map[string]any{"sessions": sessions, "next": next})
}

func (r *request) deleteSession() error { return r.writeNoContent(r.revokeSession(r.PathValue("id"))) }

func (r *request) deleteSessions() error { return r.writeCount(r.revokeOtherSessions()) }

// getPolicy returns what a user interface needs to offer only valid choices.
func (r *request) getPolicy() error {
	p := r.bearer.Policy()
	may, err := r.mayHaveSecret()
	if err != nil {
		return err
	}
	answer := map[string]any{
		"scopes": r.scopesJSON(),
		"token":  map[string]any{"max_lifetime": seconds(p.MaxLifetime), "max_overlap": seconds(p.MaxOverlap), "max_per_user": p.MaxPerUser},
		"secret": nil,
		"authentication": map[string]any{
			"max_age": seconds(r.maxAge), "authenticated_at": r.id.AuthenticatedAt, "scopes": r.id.Scopes.List(),
		},
	}
	if may {
		s := r.secret.Policy()
		answer["secret"] = map[string]any{"max_overlap": seconds(s.MaxOverlap), "revealable": s.Revealable}
	}
	return r.writeJSON(http.StatusOK, answer)
}

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
