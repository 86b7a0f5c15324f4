package settings

import (
	"errors"
	"net/http"
	"time"

	"github.com/seed-31c5bcb2/auth"
)

// A tokenRow is a token in the list.
type tokenRow struct {
	ID, Name, Hint string
	Scopes         []string // nil: full access
	State          string
	Live, Current  bool // not expired; nor rotated away
	Created        moment
	Expires        *moment // nil: never
	Used           *moment // nil: not yet
}

func (c *call) tokenRow(t auth.Credential) tokenRow {
	row := tokenRow{
		ID: t.ID, Name: t.Name, Hint: t.Hint, Created: c.texts.moment(t.CreatedAt, c.now),
		Expires: c.optional(t.ExpiresAt), Used: c.optional(t.LastUsedAt),
	}
	if t.Scopes != "*" {
		row.Scopes = t.Scopes.List()
	}
	s := stateOf(t, c.now)
	row.Live, row.Current = s != stateExpired, s == stateActive
	row.State = c.texts.get("state." + string(s))
	if row.Current && !t.ExpiresAt.IsZero() && t.ExpiresAt.Sub(c.now) < 7*day && t.ExpiresAt.Sub(t.CreatedAt) > 8*day {
		row.State = c.texts.get("state.expiring")
	}
	return row
}

// optional is nil for the time that stands for never.
func (c *call) optional(t time.Time) *moment {
	if t.IsZero() {
		return nil
	}
	m := c.texts.moment(t, c.now)
	return &m
}

func (c *call) tokensPage() error {
	tokens, err := c.bearer.List(c.r.Context(), c.id.UserID, auth.Page{Limit: mostShown})
	if err != nil {
		return err
	}
	soonestFirst(tokens, c.now)
	shown, pager := c.slice(tokens)
	rows := make([]tokenRow, len(shown))
	for i, t := range shown {
		rows[i] = c.tokenRow(t)
	}
	return c.show(http.StatusOK, "tokens", view{
		Section: "tokens", Heading: c.texts.get("tokens.heading"), Notice: c.notice(),
		Data: map[string]any{"Tokens": rows, "Pager": pager},
	})
}

// pathToken finds the token that the address names.
func (c *call) pathToken() (auth.Credential, error) {
	return c.bearer.Get(c.r.Context(), c.id.UserID, c.r.PathValue("id"))
}

func (c *call) rotateTokenPage() error { return c.rotateTokenAgain(http.StatusOK, "") }

func (c *call) rotateTokenAgain(status int, fault string) error {
	t, err := c.pathToken()
	switch {
	case err != nil:
		return err
	case stateOf(t, c.now) != stateActive:
		return errMoved
	}
	return c.show(status, "rotate", view{
		Section: "tokens", Heading: c.texts.get("rotate.token.heading", "name", t.Name), Problem: fault != "",
		Data: rotation{
			Text: c.texts.get("rotate.token.text"), Choices: c.overlaps(c.bearer.Policy().MaxOverlap, t.ExpiresAt),
			Fault: fault, Back: "",
		},
	})
}

func (c *call) rotateTokenForm() error {
	form, err := readForm(c.w, c.r)
	if err != nil {
		return err
	}
	overlap, ok := readOverlap(form.Get("overlap"))
	if !ok {
		return c.rotateTokenAgain(http.StatusBadRequest, c.texts.get("error.overlap"))
	}
	plaintext, made, err := c.rotateToken(c.r.PathValue("id"), overlap)
	switch {
	case blamed(err) != nil:
		return c.rotateTokenAgain(http.StatusBadRequest, c.texts.get("error.overlap"))
	case err != nil:
		return err
	}
	return c.showToken("plaintext.rotated.heading", made, plaintext)
}

func (c *call) revokeTokenPage() error {
	t, err := c.pathToken()
	if err != nil {
		return err
	}
	ask := confirmation{
		Text: c.texts.get("revoke.token.text"), Button: c.texts.get("revoke.token.button"),
		Facts: []fact{
			{Term: c.texts.get("field.token"), Text: t.Hint, Code: true},
			c.timeFact("field.created", t.CreatedAt, ""),
			c.timeFact("field.used", t.LastUsedAt, "time.unused"),
		},
	}
	if t.Previous != "" {
		switch old, err := c.bearer.Get(c.r.Context(), c.id.UserID, t.Previous); {
		case err == nil && stateOf(old, c.now) != stateExpired:
			ask.Facts = append(ask.Facts, fact{Term: c.texts.get("field.replaced"), Text: old.Hint, Code: true})
		case err != nil && !errors.Is(err, auth.ErrNotFound):
			return err
		}
	}
	return c.confirm("tokens", c.texts.get("revoke.token.heading", "name", t.Name), ask)
}

// timeFact has a time, or the text that stands for none.
func (c *call) timeFact(term string, t time.Time, none string) fact {
	f := fact{Term: c.texts.get(term), Time: c.optional(t)}
	if f.Time == nil {
		f.Text = c.texts.get(none)
	}
	return f
}

func (c *call) revokeToken() error {
	if err := c.readEmptyForm(); err != nil {
		return err
	}
	if err := c.bearer.Revoke(c.r.Context(), c.id.UserID, c.r.PathValue("id")); err != nil {
		return err
	}
	return c.done("", "token_revoked")
}

func (c *call) revokeTokensPage() error {
	tokens, err := c.bearer.List(c.r.Context(), c.id.UserID, auth.Page{Limit: mostShown})
	if err != nil {
		return err
	}
	soonestFirst(tokens, c.now)
	var names []string
	for _, t := range tokens {
		if stateOf(t, c.now) != stateExpired {
			names = append(names, t.Name+" ("+t.Hint+")")
		}
	}
	ask := confirmation{Text: c.texts.get("revoke.tokens.text"), Button: c.texts.get("revoke.tokens.button")}
	ask.Names, ask.More = c.some(names)
	return c.confirm("tokens", c.texts.get("revoke.tokens.heading"), ask)
}

// some names the first of many.
func (c *call) some(names []string) (first []string, more string) {
	const most = 20
	if len(names) <= most {
		return names, ""
	}
	return names[:most], c.texts.plural("more", len(names)-most)
}

func (c *call) revokeTokens() error {
	if err := c.readEmptyForm(); err != nil {
		return err
	}
	if _, err := c.bearer.RevokeAll(c.r.Context(), c.id.UserID); err != nil {
		return err
	}
	return c.done("", "tokens_revoked")
}
