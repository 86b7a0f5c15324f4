package settings

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/seed-31c5bcb2/auth"
)

// maxPage is how many records an answer lists at the most, and by default.
const maxPage = 100

func (h *handler) apiRoutes() []route {
	routes := []route{
		{method: "GET", path: "/api/policy", serve: (*call).getPolicy},
		{method: "GET", path: "/api/tokens", serve: (*call).getTokens},
		{method: "POST", path: "/api/tokens", recent: true, serve: (*call).postToken},
		{method: "DELETE", path: "/api/tokens", serve: (*call).deleteTokens},
		{method: "GET", path: "/api/tokens/{id}", serve: (*call).getToken},
		{method: "DELETE", path: "/api/tokens/{id}", serve: (*call).deleteToken},
		{method: "POST", path: "/api/tokens/{id}/rotate", recent: true, serve: (*call).postTokenRotation},
		{method: "GET", path: "/api/sessions", serve: (*call).getSessions},
		{method: "DELETE", path: "/api/sessions", serve: (*call).deleteSessions},
		{method: "DELETE", path: "/api/sessions/{id}", serve: (*call).deleteSession},
	}
	if h.secret != nil {
		routes = append(routes,
			route{method: "GET", path: "/api/secret", serve: (*call).getSecret},
			route{method: "POST", path: "/api/secret", recent: true, serve: (*call).postSecret},
			route{method: "DELETE", path: "/api/secret", serve: (*call).deleteSecret},
			route{method: "POST", path: "/api/secret/reveal", recent: true, serve: (*call).postSecretReveal},
			route{method: "POST", path: "/api/secret/rotate", recent: true, serve: (*call).postSecretRotation},
			route{method: "DELETE", path: "/api/secret/previous/{id}", serve: (*call).deletePrevious},
		)
	}
	return routes
}

// refuseAPI is the Middleware.OnError of the API.
func (h *handler) refuseAPI(w http.ResponseWriter, _ *http.Request, err error) {
	problemOf(err).write(w)
}

func writeAPI(c *call, p *problem) { p.write(c.w) }

func (c *call) answer(status int, v any) error {
	c.w.Header().Set("Content-Type", "application/json")
	c.w.WriteHeader(status)
	json.NewEncoder(c.w).Encode(v) // that fails only if the client has gone
	return nil
}

func (c *call) noContent(err error) error {
	if err == nil {
		c.w.WriteHeader(http.StatusNoContent)
	}
	return err
}

// A tokenAnswer is a token as the API shows it.
type tokenAnswer struct {
	ID         string     `json:"id"`
	Name       string     `json:"name"`
	Hint       string     `json:"hint"`
	Scopes     []string   `json:"scopes"` // ["*"]: full access
	State      state      `json:"state"`
	CreatedAt  time.Time  `json:"created_at"`
	ExpiresAt  *time.Time `json:"expires_at"`   // null: never
	LastUsedAt *time.Time `json:"last_used_at"` // null: not yet
	Plaintext  string     `json:"token,omitempty"`
}

func (c *call) token(t auth.Credential, plaintext string) tokenAnswer {
	return tokenAnswer{
		ID: t.ID, Name: t.Name, Hint: t.Hint, Scopes: t.Scopes.List(), State: stateOf(t, c.now),
		CreatedAt: t.CreatedAt, ExpiresAt: orNull(t.ExpiresAt), LastUsedAt: orNull(t.LastUsedAt), Plaintext: plaintext,
	}
}

func orNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// page reads what part of a list is asked for.
func (c *call) page() (auth.Page, error) {
	q := c.r.URL.Query()
	page := auth.Page{After: q.Get("after"), Limit: maxPage}
	if text := q.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > maxPage {
			return page, invalid(fieldError{"limit", "must be 1 to " + strconv.Itoa(maxPage)})
		}
		page.Limit = n
	}
	page.Limit++ // one more tells whether the list goes on
	return page, nil
}

// next cuts a list to its page, and returns what the next page comes after.
func next(list []auth.Credential, page auth.Page) ([]auth.Credential, *string) {
	if len(list) < page.Limit {
		return list, nil
	}
	list = list[:page.Limit-1]
	last := list[len(list)-1].ID
	return list, &last
}

func (c *call) getTokens() error {
	page, err := c.page()
	if err != nil {
		return err
	}
	list, err := c.bearer.List(c.r.Context(), c.id.UserID, page)
	if err != nil {
		return err
	}
	list, after := next(list, page)
	tokens := make([]tokenAnswer, len(list))
	for i, t := range list {
		tokens[i] = c.token(t, "")
	}
	return c.answer(http.StatusOK, map[string]any{"tokens": tokens, "next": after})
}

func (c *call) getToken() error {
	t, err := c.bearer.Get(c.r.Context(), c.id.UserID, c.r.PathValue("id"))
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, c.token(t, ""))
}

func (c *call) postToken() error {
	var t auth.NewToken
	var seconds *int64
	err := readJSON(c.w, c.r, field{"name", &t.Name, false}, field{"scopes", &t.Scopes, false}, field{"expires_in", &seconds, true})
	if err != nil {
		return err
	}
	if seconds != nil {
		var ok bool
		// 0 is for ever to Issue, and null is that here.
		if t.Lifetime, ok = inSeconds(*seconds); !ok || t.Lifetime == 0 {
			return invalid(fieldError{"expires_in", "must be a number of seconds, or null for never"})
		}
	}
	plaintext, made, err := c.issue(t)
	if err != nil {
		return err
	}
	c.w.Header().Set("Location", "tokens/"+made.ID)
	return c.answer(http.StatusCreated, c.token(made, plaintext))
}

// inSeconds reports whether n seconds are a duration: some are too long for one.
func inSeconds(n int64) (time.Duration, bool) {
	d := time.Duration(n) * time.Second
	return d, n >= 0 && d/time.Second == time.Duration(n)
}

func (c *call) readOverlap(more ...field) (time.Duration, error) {
	var seconds int64
	if err := readJSON(c.w, c.r, append(more, field{"overlap", &seconds, false})...); err != nil {
		return 0, err
	}
	overlap, ok := inSeconds(seconds)
	if !ok {
		return 0, invalid(fieldError{"overlap", "must be a number of seconds"})
	}
	return overlap, nil
}

func (c *call) postTokenRotation() error {
	overlap, err := c.readOverlap()
	if err != nil {
		return err
	}
	plaintext, made, err := c.rotateToken(c.r.PathValue("id"), overlap)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, c.token(made, plaintext))
}

func (c *call) deleteToken() error {
	return c.noContent(c.bearer.Revoke(c.r.Context(), c.id.UserID, c.r.PathValue("id")))
}

func (c *call) deleteTokens() error {
	n, err := c.bearer.RevokeAll(c.r.Context(), c.id.UserID)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, map[string]int{"revoked": n})
}

// A secretAnswer is a client secret as the API shows it.
type secretAnswer struct {
	ID         string     `json:"id"`
	Hint       string     `json:"hint"`
	CreatedAt  time.Time  `json:"created_at"`
	ExpiresAt  *time.Time `json:"expires_at"`
	LastUsedAt *time.Time `json:"last_used_at"`
	Plaintext  string     `json:"secret,omitempty"`
}

func secretOf(s *auth.Credential, plaintext string) *secretAnswer {
	if s == nil {
		return nil
	}
	return &secretAnswer{s.ID, s.Hint, s.CreatedAt, orNull(s.ExpiresAt), orNull(s.LastUsedAt), plaintext}
}

func (c *call) getSecret() error {
	if err := c.checkDeveloper(); err != nil {
		return err
	}
	current, previous, err := c.secrets()
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, map[string]any{"current": secretOf(current, ""), "previous": secretOf(previous, "")})
}

func (c *call) postSecret() error {
	if err := c.checkSecret(); err != nil {
		return err
	}
	if err := readNothing(c.w, c.r); err != nil {
		return err
	}
	plaintext, made, err := c.secret.Assign(c.r.Context(), c.id.UserID)
	if err != nil {
		return err
	}
	return c.answer(http.StatusCreated, secretOf(&made, plaintext))
}

func (c *call) postSecretReveal() error {
	if err := c.checkSecret(); err != nil {
		return err
	}
	if err := readNothing(c.w, c.r); err != nil {
		return err
	}
	plaintext, err := c.reveal()
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, map[string]string{"secret": plaintext})
}

func (c *call) postSecretRotation() error {
	if err := c.checkSecret(); err != nil {
		return err
	}
	var id string
	overlap, err := c.readOverlap(field{"id", &id, false})
	if err != nil {
		return err
	}
	plaintext, made, err := c.secret.RotateFrom(c.r.Context(), c.id.UserID, id, overlap)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, secretOf(&made, plaintext))
}

// deleteSecret and deletePrevious ask for no developer: an account that is one no
// more may still end what it has.
func (c *call) deleteSecret() error {
	return c.noContent(c.secret.Revoke(c.r.Context(), c.id.UserID))
}

func (c *call) deletePrevious() error {
	return c.noContent(c.revokePrevious(c.r.PathValue("id")))
}

// A sessionAnswer is a session as the API shows it.
type sessionAnswer struct {
	ID         string     `json:"id"`
	Current    bool       `json:"current"` // the one that asks
	UserAgent  string     `json:"user_agent"`
	Scopes     []string   `json:"scopes"`
	CreatedAt  time.Time  `json:"created_at"`
	ExpiresAt  *time.Time `json:"expires_at"`
	LastUsedAt *time.Time `json:"last_used_at"`
}

func (c *call) getSessions() error {
	page, err := c.page()
	if err != nil {
		return err
	}
	list, err := c.cookie.List(c.r.Context(), c.id.UserID, page)
	if err != nil {
		return err
	}
	list, after := next(list, page)
	sessions := []sessionAnswer{}
	for _, s := range c.usable(list) {
		sessions = append(sessions, sessionAnswer{
			s.ID, s.ID == c.id.CredentialID, s.Name, s.Scopes.List(), s.CreatedAt, orNull(s.ExpiresAt), orNull(s.LastUsedAt),
		})
	}
	return c.answer(http.StatusOK, map[string]any{"sessions": sessions, "next": after})
}

func (c *call) deleteSession() error { return c.noContent(c.endSession(c.r.PathValue("id"))) }

func (c *call) deleteSessions() error {
	n, err := c.endOtherSessions()
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, map[string]int{"ended": n})
}

// getPolicy tells a user interface what it may offer.
func (c *call) getPolicy() error {
	p := c.bearer.Policy()
	may, err := c.mayHaveSecret()
	if err != nil {
		return err
	}
	answer := map[string]any{
		"scopes": c.scopeAnswers(),
		"token":  map[string]any{"max_lifetime": seconds(p.MaxLifetime), "max_overlap": seconds(p.MaxOverlap), "max_per_user": p.MaxPerUser},
		"secret": nil,
		"authentication": map[string]any{
			"max_age": seconds(c.maxAge), "authenticated_at": c.id.AuthenticatedAt, "scopes": c.id.Scopes.List(),
		},
	}
	if may {
		s := c.secret.Policy()
		answer["secret"] = map[string]any{"max_overlap": seconds(s.MaxOverlap), "revealable": s.Revealable}
	}
	return c.answer(http.StatusOK, answer)
}

func seconds(d time.Duration) int64 { return int64(d / time.Second) }

// A scopeAnswer is a scope that a token can have.
type scopeAnswer struct {
	Name        string `json:"name"`
	Group       string `json:"group"`
	Description string `json:"description"`
}

func (c *call) scopeAnswers() []scopeAnswer {
	answers := []scopeAnswer{}
	for _, g := range c.scopes {
		for _, s := range g.Scopes {
			answers = append(answers, scopeAnswer{s.Name, g.Title, s.Description})
		}
	}
	return answers
}
