package settings

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/internal/text"
)

// A tokenForm is the form for a new token, with its choices and what was filled in.
type tokenForm struct {
	// Idempotency is the auth.NewIdempotency of the form: sent again, it creates no second token.
	Idempotency string

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
	Filled     bool              // by the query
	Problem    string            // with the form as a whole
	Errors     map[string]string // by field
}

// Invalid reports whether the form has errors.
func (f *tokenForm) Invalid() bool { return f.Problem != "" || len(f.Errors) > 0 }

type lifetimeChoice struct {
	Value, Text string
	Until       moment
	lifetime    time.Duration
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
func (r *request) tokenForm(chosen []string) *tokenForm {
	limit := r.bearer.Policy().MaxLifetime
	return &tokenForm{
		Idempotency: auth.NewIdempotency(),
		Choices:     r.lifetimes(limit), Custom: limit == 0 || limit >= day, CustomDays: int(limit / day),
		Never: limit == 0, Full: r.id.Scopes.Has(auth.FullAccess), Groups: r.scopeChoices(chosen), Errors: make(map[string]string),
	}
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
	return lifetimeChoice{d.String(), r.texts.exactly(d), r.texts.moment(r.now.Add(d), r.now), d}
}

func (r *request) newTokenPage() error {
	return r.showTokenForm(http.StatusOK, r.filledTokenForm(r.URL.Query()))
}

// filledTokenForm returns a form that the query has filled in, after a sign-in (see comeBack)
// or from any link. Another site can only suggest: the user sees the values, and a note, and
// has to send the form. Even so, a link cannot choose full access or a lifetime of more than a
// year. After a sign-in the user chooses them again: a link to the sign-in page can lead here
// too, and looks like one of ours then.
func (r *request) filledTokenForm(q url.Values) *tokenForm {
	f := r.tokenForm(q["scope"])
	f.Filled = slices.ContainsFunc(f.Groups, func(g scopeGroup) bool {
		return slices.ContainsFunc(g.Scopes, func(s scopeChoice) bool { return s.Chosen })
	})
	fill := func(into *string, field string, valid bool) {
		if value := q.Get(field); value != "" && valid {
			*into, f.Filled = value, true
		}
	}
	lifetime, offered := r.readLifetime(q.Get("expires"), cmp.Or(q.Get("days"), "1"))
	offered = offered && lifetime <= maxSuggested
	days, err := strconv.Atoi(q.Get("days"))
	fill(&f.Name, "name", text.CheckName(q.Get("name"), maxName) == "")
	fill(&f.Expires, "expires", offered)
	fill(&f.Days, "days", err == nil && days >= 1 && time.Duration(days) <= maxSuggested/day)
	fill(&f.Access, "access", q.Get("access") == "scopes")
	return f
}

// maxSuggested is the longest lifetime that a link can choose.
const maxSuggested = 366 * day

func (r *request) showTokenForm(status int, f *tokenForm) error {
	return r.show(status, "new", view{
		Section: "tokens", Heading: r.texts.get("new.heading"), Problem: f.Invalid(), Data: f,
	})
}

func (r *request) createToken() error {
	form, err := r.form("scope")
	if err != nil {
		return err
	}
	o, invalid := r.readToken(form)
	if invalid != nil {
		return invalidArgument(invalid...)
	}
	r.mayHaveSecret() // for the navigation
	plaintext, made, err := r.issue(o)
	if err != nil {
		return err
	}
	return r.showToken("plaintext.token.heading", made, plaintext)
}

// showFailedToken shows the form again, with what was filled in, after a problem that can be
// corrected there. It reports false for any other problem.
func (r *request) showFailedToken(p *problem) bool {
	form := sentForm(r.Request, "scope")
	f := r.tokenForm(form["scope"])
	f.Name, f.Expires, f.Days, f.Access = form.Get("name"), form.Get("expires"), form.Get("days"), form.Get("access")
	text := ""
	switch p.Code {
	case codeInvalidArgument:
		for _, e := range p.Errors {
			if e.Field == "idempotency" {
				text = "new.old"
			} else if p.said == "" {
				f.Errors[e.Field] = r.texts.fieldError(e.Field, form)
			}
		}
	case codeConflict:
		// The new value of Idempotency in f is for another token. Reloading the page sends
		// the old one again.
		text = cmp.Or(p.text, "new.twice")
	case codeLimit, codeScope:
		text = "problem." + string(p.Code)
	case codeUnavailable:
		// The store may have created the token. The same value creates no second one.
		f.Idempotency, text = form.Get("idempotency"), "new.unknown"
	default:
		return false
	}
	if text != "" {
		f.Problem = r.texts.get(text)
	}
	if p.said != "" {
		f.Problem = p.said
	}
	r.showTokenForm(p.Status, f)
	return true
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

// readToken reads the fields of the form. None of them has a default.
func (r *request) readToken(form url.Values) (o auth.TokenOptions, invalid []fieldError) {
	if o.Idempotency = form.Get("idempotency"); o.Idempotency == "" {
		invalid = append(invalid, fieldError{Field: "idempotency"})
	}
	o.Name = strings.TrimSpace(form.Get("name"))
	if o.Name == "" {
		invalid = append(invalid, fieldError{Field: "name"})
	}
	var ok bool
	if o.Lifetime, ok = r.readLifetime(form.Get("expires"), form.Get("days")); !ok {
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

// readLifetime reads the choice of a lifetime, which must be one that the form offers, except
// that Issue checks the limit of "never" and of a number of days.
func (r *request) readLifetime(choice, days string) (time.Duration, bool) {
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
	for _, offered := range r.lifetimes(r.bearer.Policy().MaxLifetime) {
		if choice == offered.Value {
			return offered.lifetime, true
		}
	}
	return 0, false
}
