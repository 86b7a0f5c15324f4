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
	// A second click comes while the first one is still at work.
	sent := c.id.UserID + "\x00" + form.Get("after")
	if _, working := c.sent.LoadOrStore(sent, true); working {
		return c.createAgain(http.StatusConflict, form, c.texts.get("new.twice"), nil)
	}
	defer c.sent.Delete(sent)
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
