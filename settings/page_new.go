package settings

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/seed-31c5bcb2/auth"
)

// A tokenForm is the form for a new token, with its choices and what was filled in.
type tokenForm struct {
	After      string // the ID of the newest token when the form was rendered
	Name       string
	Expires    string // the value of the choice; "custom" means Days
	Days       string
	Access     string // "full" or "scopes"
	Choices    []lifetimeChoice
	Custom     bool
	CustomDays int // the maximum of Days, zero for no limit
	Never      bool
	Full       bool
	Groups     []scopeGroup
	Problem    string            // with the form as a whole
	Errors     map[string]string // by field
}

// Invalid reports whether the form has errors.
func (f *tokenForm) Invalid() bool { return f.Problem != "" || len(f.Errors) > 0 }

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

// tokenForm returns a form with the choices that the policy and the session allow.
func (r *request) tokenForm(chosen []string) (*tokenForm, error) {
	after, err := r.newestToken()
	if err != nil {
		return nil, err
	}
	limit := r.bearer.Policy().MaxLifetime
	return &tokenForm{
		After: after, Choices: r.lifetimes(limit), Custom: limit == 0 || limit >= day, CustomDays: int(limit / day),
		Never: limit == 0, Full: r.id.Scopes.Has(auth.FullAccess), Groups: r.scopeChoices(chosen), Errors: make(map[string]string),
	}, nil
}

// newestToken returns the ID of the user's newest token, "" if there is none.
func (r *request) newestToken() (string, error) {
	newest, err := r.bearer.List(r.Context(), r.id.UserID, auth.Page{Limit: 1})
	if err != nil || len(newest) == 0 {
		return "", err
	}
	return newest[0].ID, nil
}

// scopeChoices returns the scopes that the session may grant.
func (r *request) scopeChoices(chosen []string) []scopeGroup {
	var groups []scopeGroup
	for _, group := range r.scopes {
		g := scopeGroup{Title: group.Title}
		for _, s := range group.Scopes {
			if r.id.Scopes.Has(s.Name) {
				g.Scopes = append(g.Scopes, scopeChoice{s, slices.Contains(chosen, s.Name)})
			}
		}
		if g.Scopes != nil {
			groups = append(groups, g)
		}
	}
	return groups
}

// lifetimes returns the lifetimes to choose from, up to the limit. Zero means no
// limit.
func (r *request) lifetimes(limit time.Duration) []lifetimeChoice {
	var choices []lifetimeChoice
	for _, d := range []time.Duration{7 * day, 30 * day, 60 * day, 90 * day} {
		if limit == 0 || d < limit {
			choices = append(choices, r.lifetimeChoice(d))
		}
	}
	if limit > 0 {
		choices = append(choices, r.lifetimeChoice(limit))
	}
	return choices
}

func (r *request) lifetimeChoice(d time.Duration) lifetimeChoice {
	return lifetimeChoice{d.String(), r.texts.exactly(d), r.texts.moment(r.now.Add(d), r.now)}
}

func (r *request) newTokenPage() error {
	f, err := r.tokenForm(nil)
	if err != nil {
		return err
	}
	return r.showTokenForm(http.StatusOK, f)
}

func (r *request) showTokenForm(status int, f *tokenForm) error {
	return r.show(status, "new", view{
		Section: "tokens", Heading: r.texts.get("new.heading"), Problem: f.Invalid(), Data: f,
	})
}

func (r *request) createToken() error {
	form, err := readForm(r.w, r.Request, "scope")
	if err != nil {
		return err
	}
	o, invalid := readToken(form)
	if invalid != nil {
		return r.showInvalidToken(form, invalid)
	}
	// A double click submits the form again while the first request is in progress.
	key := r.id.UserID + "\x00" + form.Get("after")
	if _, busy := r.creating.LoadOrStore(key, true); busy {
		return r.showTokenConflict(form, "new.twice")
	}
	defer r.creating.Delete(key)
	newest, err := r.newestToken()
	switch {
	case err != nil:
		return err
	case newest > form.Get("after"):
		// The form may have created that token: reloading the page that shows a
		// token must not create a second one.
		return r.showTokenConflict(form, "new.twice")
	}
	return r.issueFromForm(form, o)
}

// issueFromForm issues a token, or shows the form again if it is not allowed.
func (r *request) issueFromForm(form url.Values, o auth.TokenOptions) error {
	plaintext, made, err := r.issue(o)
	switch invalid := fieldErrors(err); {
	case invalid != nil:
		return r.showInvalidToken(form, invalid)
	case errors.Is(err, auth.ErrLimit):
		return r.showTokenConflict(form, "problem."+string(codeLimit))
	case err != nil:
		return err
	}
	return r.showToken("plaintext.token.heading", made, plaintext)
}

// filledForm returns the form with what was filled in.
func (r *request) filledForm(form url.Values) (*tokenForm, error) {
	f, err := r.tokenForm(form["scope"])
	if err != nil {
		return nil, err
	}
	f.Name, f.Expires, f.Days, f.Access = form.Get("name"), form.Get("expires"), form.Get("days"), form.Get("access")
	return f, nil
}

func (r *request) showInvalidToken(form url.Values, invalid []fieldError) error {
	f, err := r.filledForm(form)
	if err != nil {
		return err
	}
	for _, e := range invalid {
		f.Errors[e.Field] = r.texts.fieldError(e.Field, form)
	}
	return r.showTokenForm(http.StatusBadRequest, f)
}

// fieldError says what to enter in an invalid field. The limit of a name is in bytes,
// which users cannot count.
func (ts texts) fieldError(field string, form url.Values) string {
	if name := strings.TrimSpace(form.Get("name")); field == "name" && len(name) > maxName {
		return ts.plural("error.name_long", charactersWithin(name, maxName))
	}
	return ts.get("error." + field)
}

// maxName is the maximum of a token's name in bytes: see auth.TokenOptions.
const maxName = 255

// charactersWithin returns how many characters of s are within its first bytes. It does
// not count combining marks and the parts of joined emoji.
func charactersWithin(s string, bytes int) (n int) {
	joined := false
	for i, c := range s {
		if i+utf8.RuneLen(c) > bytes {
			break
		}
		mark := unicode.In(c, unicode.M, unicode.Cf)
		if !mark && !joined {
			n++
		}
		joined = c == '\u200d'
	}
	return n
}

func (r *request) showTokenConflict(form url.Values, text string) error {
	f, err := r.filledForm(form)
	if err != nil {
		return err
	}
	f.Problem = r.texts.get(text)
	return r.showTokenForm(http.StatusConflict, f)
}

// readToken reads the fields of the form. None of them has a default.
func readToken(form url.Values) (o auth.TokenOptions, invalid []fieldError) {
	o.Name = strings.TrimSpace(form.Get("name"))
	if o.Name == "" {
		invalid = append(invalid, fieldError{Field: "name"})
	}
	var ok bool
	if o.Lifetime, ok = readLifetime(form.Get("expires"), form.Get("days")); !ok {
		invalid = append(invalid, fieldError{Field: "expires_in"})
	}
	switch chosen := form["scope"]; {
	case form.Get("access") == "full" && len(chosen) == 0:
		o.Scopes = []string{auth.FullAccess}
	case form.Get("access") == "scopes" && len(chosen) > 0:
		o.Scopes = chosen
	default:
		invalid = append(invalid, fieldError{Field: "scopes"})
	}
	return o, invalid
}

// readLifetime reads the choice of a lifetime. It uses days if that is "custom". Only
// the choice "never" gives NoExpiry, which is also a duration.
func readLifetime(choice, days string) (time.Duration, bool) {
	switch choice {
	case "never":
		return auth.NoExpiry, true
	case "custom":
		n, err := strconv.ParseInt(strings.TrimSpace(days), 10, 64)
		if err != nil || n < 1 || n > 100*365 {
			return 0, false
		}
		return time.Duration(n) * day, true
	}
	d, err := time.ParseDuration(choice)
	return d, err == nil && d > 0 && d != auth.NoExpiry
}
