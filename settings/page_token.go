package settings

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/internal/navigation"
)

// A tokenView is the data of the page about one token.
type tokenView struct {
	ID       string
	State    string // in words; empty if the token is active
	Facts    []fact
	History  []historyEntry // newest first
	Live     bool           // not expired
	Current  bool           // neither expired nor rotated
	Editable bool           // Current, and this session may change it
}

// A historyEntry is something that is known to have happened to a token.
type historyEntry struct {
	Text    string
	Time    moment
	Address string // of the client, if it is known
	ID      string // of the other token that it is about, if that still exists
	Hint    string // of that token
}

// tokenPage shows everything about one token.
func (r *request) tokenPage() error {
	t, err := r.pathToken()
	if err != nil {
		return err
	}
	history, err := r.history(t)
	if err != nil {
		return err
	}
	s := stateOf(&t, r.now)
	v := tokenView{
		ID: t.ID, Facts: r.tokenFacts(t), History: history, Live: s != stateExpired, Current: s == stateActive,
	}
	v.Editable = v.Current && r.id.Actor == "" && r.missing(t.Scopes.List()) == nil
	if !v.Current {
		v.State = r.texts.get("state." + string(s))
	}
	return r.show(http.StatusOK, "token", view{Section: "tokens", Heading: t.Name, Notice: r.notice(), Data: v})
}

// tokenFacts are what a token is and may do.
func (r *request) tokenFacts(t auth.Credential) []fact {
	facts := []fact{r.scopesFact(t.Scopes), r.networksFact(t.Networks), r.timeFact("field.expires", t.ExpiresAt, "time.never")}
	facts = append(facts, r.metadataFacts(t.Metadata)...)
	if t.Hint == "" {
		return facts
	}
	return append([]fact{{Term: r.texts.get("field.token"), Codes: []string{t.Hint}}}, facts...)
}

// history returns what is known of a token, the newest first.
func (r *request) history(t auth.Credential) ([]historyEntry, error) {
	created := historyEntry{
		Text: r.texts.get("history.created"), Time: r.texts.moment(t.CreatedAt, r.now), Address: address(t.CreatedFrom),
	}
	entries := []historyEntry{created}
	if t.Previous != "" {
		old, err := r.bearer.Get(r.Context(), r.id.UserID, t.Previous)
		switch {
		case err == nil:
			entries[0].Text, entries[0].ID, entries[0].Hint = r.texts.get("history.rotated"), old.ID, old.Hint
		case problemOf(err).Code != codeNotFound:
			return nil, err
		}
	}
	if t.Superseded {
		next, err := r.successor(t)
		if err != nil {
			return nil, err
		}
		if next != nil {
			entries = append(entries, historyEntry{
				Text: r.texts.get("history.replaced"), Time: r.texts.moment(next.CreatedAt, r.now), ID: next.ID, Hint: next.Hint,
			})
		}
	}
	if !t.LastUsedAt.IsZero() {
		entries = append(entries, historyEntry{
			Text: r.texts.get("history.used"), Time: r.texts.moment(t.LastUsedAt, r.now), Address: address(t.LastUsedFrom),
		})
	}
	slices.SortStableFunc(entries, func(a, b historyEntry) int { return b.Time.At.Compare(a.Time.At) })
	return entries, nil
}

// successor returns the token that has replaced t, or nil if it cannot be found. It is newer than
// t, except if the clocks of two processes differ, and lists have the newest first.
func (r *request) successor(t auth.Credential) (*auth.Credential, error) {
	var next *auth.Credential
	earliest := t.CreatedAt.Add(-time.Minute)
	_, err := r.read(r.bearer.List, auth.Page{Limit: maxBatch}, func(c *auth.Credential) bool {
		if c.Previous == t.ID {
			next = c
		}
		return next == nil && !c.CreatedAt.Before(earliest)
	})
	return next, err
}

// editableToken returns the token in the path, if it can be changed: it was not rotated, has not
// expired, and has no more access than the session.
func (r *request) editableToken() (auth.Credential, error) {
	t, err := r.pathToken()
	switch {
	case err != nil:
		return t, err
	case stateOf(&t, r.now) != stateActive:
		return t, auth.ErrConflict
	}
	return t, r.checkScopes(t.Scopes.List())
}

func (r *request) editTokenPage() error {
	t, err := r.editableToken()
	if err != nil {
		return err
	}
	f := r.editForm(t)
	f.fill(t)
	f.Metadata = r.metadataFields(t.Metadata.Get)
	if f.Note, err = r.previousNote(t); err != nil {
		return err
	}
	if auth.CheckRecent(r.Context(), r.maxAge) != nil {
		f.SignIn = navigation.SignIn(r.signInPath, absolutePath(r.Request, r.URL.EscapedPath()), true)
	}
	return r.showTokenForm(http.StatusOK, f)
}

// editForm returns an empty form that changes t.
func (r *request) editForm(t auth.Credential) *tokenForm {
	f := r.tokenForm(t.Scopes.List())
	f.Heading, f.Edits, f.Version = r.texts.get("edit.heading", "name", t.Name), t.ID, r.tokenVersion(t)
	// Scopes that are no longer offered are kept unless the user deselects them.
	var others []scopeChoice
	for _, s := range t.Scopes.List() {
		if s != auth.FullAccess && !f.offers(s) {
			others = append(others, scopeChoice{Scope{Name: s}, true})
		}
	}
	if others != nil {
		f.Groups = append(f.Groups, scopeGroup{Title: r.texts.get("edit.others"), Scopes: others})
	}
	f.AskNetworks = f.AskNetworks || t.Networks != ""
	return f
}

// fill fills in what a token has.
func (f *tokenForm) fill(t auth.Credential) {
	f.Name, f.Access = t.Name, "scopes"
	if t.Scopes == auth.FullAccess {
		f.Access = "full"
	}
	for _, n := range networkTexts(t.Networks) {
		f.Networks += n + "\n"
	}
}

func (f *tokenForm) offers(scope string) bool {
	return slices.ContainsFunc(f.Groups, func(g scopeGroup) bool {
		return slices.ContainsFunc(g.Scopes, func(s scopeChoice) bool { return s.Name == scope })
	})
}

// tokenVersion names what users can change of a token, so that neither a form nor If-Match undoes a
// change that was made after the token was read.
func (r *request) tokenVersion(t auth.Credential) string {
	parts := []string{t.Name, string(t.Scopes), string(t.Networks)}
	for key, value := range t.Metadata.All() {
		if r.metadataKey(key) {
			parts = append(parts, key, value)
		}
	}
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return base64.RawURLEncoding.EncodeToString(sum[:12])
}

// previousNote says that the token that t has replaced keeps its access, if it still works.
func (r *request) previousNote(t auth.Credential) (string, error) {
	replaced, err := r.replacedFacts(t)
	if replaced == nil {
		return "", err
	}
	return r.texts.get("edit.previous", "hint", replaced[0].Codes[0]), err
}

func (r *request) editTokenForm() error {
	form, err := r.form("scope")
	if err != nil {
		return err
	}
	t, err := r.editableToken()
	if err != nil {
		return err
	}
	o, invalid := r.readAccess(form, r.knowsAddresses() || t.Networks != "")
	entries, faults := r.readMetadata(form, t.Metadata)
	if invalid = append(invalid, faults...); invalid != nil {
		return invalidArgument(invalid...)
	}
	u := auth.TokenUpdate{Name: &o.Name, Scopes: &o.Scopes, Networks: &o.Networks, Metadata: entries}
	if form.Get("version") != r.tokenVersion(t) && !changesNothing(changed(t, u)) { // it may have been sent twice
		return auth.ErrConflict
	}
	if _, err := r.updateToken(t, u); err != nil {
		return err
	}
	return r.redirectDone("tokens/"+t.ID, "token_updated")
}

// showFailedEdit shows the form again with what was filled in, if that is invalid.
func (r *request) showFailedEdit(p *problem) bool {
	if p.Code != codeInvalidArgument {
		return false
	}
	t, err := r.editableToken()
	if err != nil {
		return false
	}
	form := sentForm(r.Request, "scope")
	f := r.editForm(t)
	f.refill(form)
	f.Version = form.Get("version") // the user has not seen a change that was made since
	f.addFaults(r.texts, p, form)
	r.showTokenForm(p.Status, f)
	return true
}
