package settings

import (
	"net/http"
	"net/url"
	"time"

	"github.com/seed-31c5bcb2/auth"
)

// A tokenRow is a token in the list.
type tokenRow struct {
	ID, Name, Hint string
	Scopes         []string // nil for full access
	State          string
	Live           bool // not expired
	Current        bool // neither expired nor rotated
	Created        moment
	Expires        *moment // nil if never
	Used           *moment // nil if not yet used
}

func (r *request) tokenRow(t auth.Credential) tokenRow {
	row := tokenRow{
		ID: t.ID, Name: t.Name, Hint: t.Hint, Created: r.texts.moment(t.CreatedAt, r.now),
		Expires: r.optionalMoment(t.ExpiresAt), Used: r.optionalMoment(t.LastUsedAt),
	}
	if t.Scopes != auth.FullAccess {
		row.Scopes = t.Scopes.List()
	}
	s := stateOf(t, r.now)
	row.Live, row.Current = s != stateExpired, s == stateActive
	row.State = r.texts.get("state." + string(s))
	if row.Current && !t.ExpiresAt.IsZero() && t.ExpiresAt.Sub(r.now) < 7*day && t.ExpiresAt.Sub(t.CreatedAt) > 8*day {
		row.State = r.texts.get("state.expiring")
	}
	return row
}

// optionalMoment returns nil for the zero time.
func (r *request) optionalMoment(t time.Time) *moment {
	if t.IsZero() {
		return nil
	}
	m := r.texts.moment(t, r.now)
	return &m
}

// collectTokens returns a part of the user's tokens, sorted for the page, and whether expired
// ones were left out. They must not fill the part, and so hide tokens that can be used.
func (r *request) collectTokens() (tokens part, cut bool, err error) {
	expired := 0
	tokens, err = r.collectPage(r.bearer.List, func(t auth.Credential) bool {
		if !t.Expired(r.now) {
			return true
		}
		expired++
		return expired <= maxExpired
	})
	sortByExpiry(tokens.records, r.now)
	return tokens, expired > maxExpired, err
}

func (r *request) tokensPage() error {
	tokens, cut, err := r.collectTokens()
	if err != nil {
		return err
	}
	shown, pager := r.paginate(tokens)
	if cut {
		pager.Note = r.texts.get("pager.expired")
	}
	rows := make([]tokenRow, len(shown))
	for i, t := range shown {
		rows[i] = r.tokenRow(t)
	}
	return r.show(http.StatusOK, "tokens", view{
		Section: "tokens", Heading: r.texts.get("tokens.heading"), Notice: r.notice(),
		Data: map[string]any{"Tokens": rows, "Pager": pager},
	})
}

// pathToken returns the token whose ID is in the path.
func (r *request) pathToken() (auth.Credential, error) {
	return r.bearer.Get(r.Context(), r.id.UserID, r.PathValue("id"))
}

func (r *request) rotateTokenPage() error { return r.showTokenRotation(true) }

func (r *request) showTokenRotation(valid bool) error {
	t, err := r.pathToken()
	switch {
	case err != nil:
		return err
	case stateOf(t, r.now) != stateActive:
		return auth.ErrConflict
	}
	replaced, err := r.replacedFacts(t)
	if err != nil {
		return err
	}
	text := r.texts.get("rotate.token.text")
	if replaced != nil {
		text = r.texts.get("rotate.token.previous", "hint", replaced[0].Codes[0])
	}
	return r.showRotation("tokens", r.texts.get("rotate.token.heading", "name", t.Name), rotation{
		Text: text, Choices: r.overlaps(r.bearer.Policy().MaxOverlap, t.ExpiresAt), Back: "",
	}, valid)
}

func (r *request) rotateTokenForm() error {
	form, err := r.form()
	if err != nil {
		return err
	}
	overlap, ok := parseOverlap(form.Get("overlap"))
	if !ok {
		return r.showTokenRotation(false)
	}
	r.mayHaveSecret() // for the navigation
	plaintext, made, err := r.rotateToken(r.PathValue("id"), overlap)
	switch {
	case err != nil && problemOf(err).Code == codeInvalidArgument:
		return r.showTokenRotation(false)
	case err != nil:
		return err
	}
	return r.showToken("plaintext.rotated.heading", made, plaintext)
}

func (r *request) revokeTokenPage() error {
	t, err := r.pathToken()
	if err != nil {
		return err
	}
	replaced, err := r.replacedFacts(t)
	if err != nil {
		return err
	}
	return r.confirm("tokens", r.texts.get("revoke.token.heading", "name", t.Name), confirmation{
		Text: r.texts.get("revoke.token.text"), Button: r.texts.get("revoke.token.button"),
		Facts: append([]fact{
			{Term: r.texts.get("field.token"), Codes: []string{t.Hint}},
			r.timeFact("field.created", t.CreatedAt, ""),
			r.timeFact("field.used", t.LastUsedAt, "time.unused"),
		}, replaced...),
	})
}

// replacedFacts names the token that t has replaced, if that is in its grace period
// and will be revoked with t.
func (r *request) replacedFacts(t auth.Credential) ([]fact, error) {
	if t.Previous == "" {
		return nil, nil
	}
	old, err := r.bearer.Get(r.Context(), r.id.UserID, t.Previous)
	switch {
	case err != nil && problemOf(err).Code != codeNotFound:
		return nil, err
	case err != nil, old.Expired(r.now):
		return nil, nil
	}
	return []fact{{Term: r.texts.get("field.replaced"), Codes: []string{old.Hint}}}, nil
}

// timeFact is a fact with a time, or with the text none if the time is zero.
func (r *request) timeFact(term string, t time.Time, none string) fact {
	f := fact{Term: r.texts.get(term), Time: r.optionalMoment(t)}
	if f.Time == nil {
		f.Text = r.texts.get(none)
	}
	return f
}

func (r *request) revokeTokenForm() error {
	return r.submit(func(url.Values) error {
		return r.bearer.Revoke(r.Context(), r.id.UserID, r.PathValue("id"))
	}, "", "token_revoked")
}

func (r *request) revokeTokensPage() error {
	live := func(t auth.Credential) bool { return !t.Expired(r.now) }
	tokens, err := r.collect(r.bearer.List, auth.Page{Limit: maxShown}, live)
	if err != nil {
		return err
	}
	sortByExpiry(tokens.records, r.now)
	var names []string
	for _, t := range tokens.records {
		names = append(names, r.texts.get("revoke.tokens.item", "name", t.Name, "hint", t.Hint))
	}
	c := confirmation{Text: r.texts.get("revoke.tokens.text"), Button: r.texts.get("revoke.tokens.button")}
	c.Names, c.More = r.names(names, tokens.next != "")
	return r.confirm("tokens", r.texts.get("revoke.tokens.heading"), c)
}

func (r *request) revokeTokensForm() error {
	return r.submit(func(url.Values) error {
		_, err := r.bearer.RevokeAll(r.Context(), r.id.UserID)
		return err
	}, "", "tokens_revoked")
}
