package settings

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
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

// A tokenForm is the form for a new token: what can be chosen, and what was.
type tokenForm struct {
	After      string // the newest token when the form was made
	Name       string
	Expires    string // the value of the choice; "custom" is with Days
	Days       string
	Access     string // "full" or "scopes"
	Choices    []lifetimeChoice
	Custom     bool
	CustomDays int // at the most; 0: any
	Never      bool
	Full       bool
	Groups     []scopeGroup
	Problem    string // of the form as a whole
	Errors     map[string]string
}

// Wrong says whether something has to be put right.
func (f *tokenForm) Wrong() bool { return f.Problem != "" || len(f.Errors) > 0 }

type lifetimeChoice struct {
	Value, Text string
	Until       moment
}

type scopeGroup struct {
	Title  string
	Scopes []scopeChoice
}

type scopeChoice struct {
	Scope
	Chosen bool
}

// tokenForm offers what the policy allows, and what the session itself may do.
func (c *call) tokenForm(chosen map[string]bool) (*tokenForm, error) {
	newest, err := c.bearer.List(c.r.Context(), c.id.UserID, auth.Page{Limit: 1})
	if err != nil {
		return nil, err
	}
	most := c.bearer.Policy().MaxLifetime
	f := &tokenForm{
		Choices: c.lifetimes(most), Custom: most == 0 || most >= day, CustomDays: int(most / day),
		Never: most == 0, Full: c.id.Scopes.Has("*"), Errors: make(map[string]string),
	}
	if len(newest) > 0 {
		f.After = newest[0].ID
	}
	for _, group := range c.scopes {
		g := scopeGroup{Title: group.Title}
		for _, s := range group.Scopes {
			if c.id.Scopes.Has(s.Name) {
				g.Scopes = append(g.Scopes, scopeChoice{s, chosen[s.Name]})
			}
		}
		if g.Scopes != nil {
			f.Groups = append(f.Groups, g)
		}
	}
	return f, nil
}

// lifetimes are those that people choose from, and the longest that is allowed.
func (c *call) lifetimes(most time.Duration) []lifetimeChoice {
	lifetimes := []time.Duration{7 * day, 30 * day, 60 * day, 90 * day}
	var choices []lifetimeChoice
	for _, d := range lifetimes {
		if most == 0 || d < most {
			choices = append(choices, c.lifetimeChoice(d))
		}
	}
	if most > 0 {
		choices = append(choices, c.lifetimeChoice(most))
	}
	return choices
}

func (c *call) lifetimeChoice(d time.Duration) lifetimeChoice {
	return lifetimeChoice{d.String(), c.texts.exactly(d), c.texts.moment(c.now.Add(d), c.now)}
}

func (c *call) newTokenPage() error {
	f, err := c.tokenForm(nil)
	if err != nil {
		return err
	}
	return c.showTokenForm(http.StatusOK, f)
}

func (c *call) showTokenForm(status int, f *tokenForm) error {
	return c.show(status, "new", view{
		Section: "tokens", Heading: c.texts.get("new.heading"), Problem: f.Wrong(), Data: f,
	})
}

func (c *call) createToken() error {
	form, err := readForm(c.w, c.r, "scope")
	if err != nil {
		return err
	}
	t, faults := c.readToken(form)
	if faults != nil {
		return c.createAgain(http.StatusBadRequest, form, "", faults)
	}
	newest, err := c.bearer.List(c.r.Context(), c.id.UserID, auth.Page{Limit: 1})
	if err != nil {
		return err
	}
	// The form was sent already, if it is not older than the newest token: to load
	// the page with that token again must make no second one.
	if len(newest) > 0 && newest[0].ID > form.Get("after") {
		return c.createAgain(http.StatusConflict, form, c.texts.get("new.twice"), nil)
	}
	plaintext, made, err := c.issue(t)
	switch faults := blamed(err); {
	case faults != nil:
		return c.createAgain(http.StatusBadRequest, form, "", faults)
	case errors.Is(err, auth.ErrLimit):
		return c.createAgain(http.StatusConflict, form, c.texts.get("problem."+string(codeLimit)), nil)
	case err != nil:
		return err
	}
	return c.showToken("plaintext.token.heading", made, plaintext)
}

// createAgain shows the form as it was filled in, and what is wrong with it.
func (c *call) createAgain(status int, form url.Values, problem string, faults []fieldError) error {
	chosen := make(map[string]bool)
	for _, s := range form["scope"] {
		chosen[s] = true
	}
	f, err := c.tokenForm(chosen)
	if err != nil {
		return err
	}
	f.Name, f.Expires, f.Days, f.Access = form.Get("name"), form.Get("expires"), form.Get("days"), form.Get("access")
	f.Problem = problem
	for _, fault := range faults {
		f.Errors[fault.Field] = c.texts.get("error."+fault.Field, "time", c.texts.exactly(c.bearer.Policy().MaxLifetime))
	}
	return c.showTokenForm(status, f)
}

// readToken makes a token's data of the form's fields. Nothing is a default.
func (c *call) readToken(form url.Values) (t auth.NewToken, faults []fieldError) {
	t.Name = strings.TrimSpace(form.Get("name"))
	if t.Name == "" {
		faults = append(faults, fieldError{Field: "name"})
	}
	var ok bool
	if t.Lifetime, ok = readLifetime(form.Get("expires"), form.Get("days")); !ok {
		faults = append(faults, fieldError{Field: "expires_in"})
	}
	switch chosen := form["scope"]; {
	case form.Get("access") == "full" && len(chosen) == 0:
		t.Scopes = []string{"*"}
	case form.Get("access") == "scopes" && len(chosen) > 0:
		t.Scopes = chosen
	default:
		faults = append(faults, fieldError{Field: "scopes"})
	}
	return t, faults
}

// readLifetime reads the choice of an expiry; days are for "custom".
func readLifetime(choice, days string) (time.Duration, bool) {
	switch choice {
	case "never":
		return 0, true
	case "custom":
		n, err := strconv.ParseInt(strings.TrimSpace(days), 10, 64)
		if err != nil || n < 1 || n > 100*365 {
			return 0, false
		}
		return time.Duration(n) * day, true
	}
	d, err := time.ParseDuration(choice)
	return d, err == nil && d > 0
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
