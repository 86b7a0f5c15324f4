package settings

import (
	"encoding/json"
	"net/http"
	"net/netip"
	"time"

	"github.com/seed-31c5bcb2/auth"
)

// A tokenJSON is a token in the API.
type tokenJSON struct {
	ID           string            `json:"id"`
	Name         string            `json:"name"`
	Hint         string            `json:"hint"`
	Scopes       []string          `json:"scopes"`   // ["*"] for full access
	Networks     []string          `json:"networks"` // null for anywhere
	Metadata     map[string]string `json:"metadata"` // of Config.MetadataKeys
	State        state             `json:"state"`
	CreatedAt    time.Time         `json:"created_at"`
	CreatedFrom  *string           `json:"created_from"`
	ExpiresAt    *time.Time        `json:"expires_at"`   // null if never
	LastUsedAt   *time.Time        `json:"last_used_at"` // null if not yet used
	LastUsedFrom *string           `json:"last_used_from"`
	PreviousID   *string           `json:"previous_id"`
	Plaintext    string            `json:"token,omitempty"`
}

func (r *request) tokenJSON(t auth.Credential, plaintext string) tokenJSON {
	metadata := make(map[string]string)
	for key, value := range t.Metadata.All() {
		if r.metadataKey(key) {
			metadata[key] = value
		}
	}
	return tokenJSON{
		ID: t.ID, Name: t.Name, Hint: t.Hint, Scopes: t.Scopes.List(), Networks: networkTexts(t.Networks), Metadata: metadata, State: stateOf(&t, r.now),
		CreatedAt: t.CreatedAt, ExpiresAt: timeOrNull(t.ExpiresAt), LastUsedAt: timeOrNull(t.LastUsedAt),
		CreatedFrom: addrOrNull(t.CreatedFrom), LastUsedFrom: addrOrNull(t.LastUsedFrom),
		PreviousID: stringOrNull(t.Previous), Plaintext: plaintext,
	}
}

func timeOrNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func stringOrNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func addrOrNull(a netip.Addr) *string { return stringOrNull(address(a)) }

func (r *request) getTokens() error {
	found, err := r.listPage(r.bearer.List, tokenSorts, func(*auth.Credential) bool { return true })
	if err != nil {
		return err
	}
	tokens := make([]tokenJSON, len(found.records))
	for i, t := range found.records {
		tokens[i] = r.tokenJSON(*t, "")
	}
	return r.writeRead(map[string]any{"tokens": tokens, "next": found.next, "total": found.total})
}

func (r *request) getToken() error {
	t, err := r.pathToken()
	if err != nil {
		return err
	}
	return r.writeVersion(r.tokenVersion(t), r.tokenJSON(t, ""))
}

func (r *request) postToken() error {
	key, err := idempotencyKey(r.Request)
	if err != nil {
		return err
	}
	o, err := r.readTokenJSON()
	if err != nil {
		return err
	}
	o.Idempotency = key
	plaintext, made, err := r.issue(o)
	if err != nil {
		return r.explainKey(key, err)
	}
	r.w.Header().Set("Location", "tokens/"+made.ID)
	return r.writeJSON(http.StatusCreated, r.tokenJSON(made, plaintext))
}

func (r *request) patchToken() error {
	u, err := r.readUpdateJSON()
	if err != nil {
		return err
	}
	old, err := r.pathToken()
	if err != nil {
		return err
	}
	if err := r.checkVersion(old); err != nil {
		return err
	}
	t, err := r.updateToken(old, u)
	if err != nil {
		return err
	}
	return r.writeToken(t)
}

// writeToken answers a change with the token as it is then, and with the tag for the next one.
func (r *request) writeToken(t auth.Credential) error {
	text, err := json.Marshal(r.tokenJSON(t, ""))
	if err != nil {
		return err
	}
	text = append(text, '\n')
	r.w.Header().Set("ETag", `"`+tagOf(r.tokenVersion(t), text)+`"`)
	r.w.Header().Set("Content-Type", "application/json")
	r.w.Write(text)
	return nil
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
	if r.Header["If-Match"] != nil {
		t, err := r.pathToken()
		if err != nil {
			return err
		}
		if err := r.checkVersion(t); err != nil {
			return err
		}
	}
	return r.writeNoContent(r.bearer.Revoke(r.Context(), r.id.UserID, r.PathValue("id")))
}

func (r *request) deleteTokens() error {
	return r.writeCount(r.bearer.RevokeAll(r.Context(), r.id.UserID))
}

// tokenPolicy returns the limits of tokens. Those that do not exist are null.
func (r *request) tokenPolicy() map[string]any {
	p := r.bearer.Policy()
	policy := map[string]any{
		"max_lifetime": nil, "max_overlap": seconds(p.MaxOverlap), "max_per_user": nil,
		"networks": r.knowsAddresses(), "metadata": r.metadataJSON(), "updatable": r.updatable(),
	}
	if p.MaxLifetime > 0 {
		policy["max_lifetime"] = seconds(p.MaxLifetime)
	}
	if p.MaxPerUser > 0 {
		policy["max_per_user"] = p.MaxPerUser
	}
	return policy
}

// updatable returns the members of a token that can be changed.
func (r *request) updatable() []string {
	members := []string{"name"}
	if r.fillToken == nil || r.fillUpdate != nil {
		members = append(members, "scopes")
		if r.knowsAddresses() {
			members = append(members, "networks")
		}
	}
	if len(r.metadataKeys) > 0 {
		members = append(members, "metadata")
	}
	return members
}

// A metadataKeyJSON is an entry of the metadata that users may set.
type metadataKeyJSON struct {
	Key   string `json:"key"`
	Label string `json:"label"`
}

func (r *request) metadataJSON() []metadataKeyJSON {
	keys := make([]metadataKeyJSON, len(r.metadataKeys))
	for i, k := range r.metadataKeys {
		keys[i] = metadataKeyJSON(k)
	}
	return keys
}
