package settings

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/internal/text"
)

func (r *request) newTokenPage() error {
	f := r.filledTokenForm(r.URL.Query())
	var err error
	if f.Count, f.Reached, err = r.countTokens(); err != nil {
		return err
	}
	return r.showTokenForm(http.StatusOK, f)
}

// maxCounted is how many records are read to count the tokens for the form.
const maxCounted = maxBatch

// countTokens says how many tokens of how many the user has, and that this is the maximum if it
// is. Both are empty if there is none, or if the user has too many records to read them all here.
func (r *request) countTokens() (count, reached string, err error) {
	limit, n, read := r.bearer.Policy().MaxPerUser, 0, 0
	if limit == 0 {
		return "", "", nil
	}
	_, err = r.read(r.bearer.List, auth.Page{Limit: maxBatch}, func(t *auth.Credential) bool {
		read++
		if !t.Superseded && !t.Expired(r.now) {
			n++
		}
		return n < limit && read < maxCounted
	})
	if err != nil || n < limit && read == maxCounted {
		return "", "", err
	}
	args := []string{"n", strconv.Itoa(n), "limit", strconv.Itoa(limit)}
	if n >= limit {
		reached = r.texts.get("new.reached", args...)
	}
	return r.texts.get("new.count", args...), reached, nil
}

// filledTokenForm returns a form that the query has filled in, after a sign-in (see comeBack)
// or from any link. Another site can only suggest: the user sees the values, and a note, and
// has to send the form. Even so, a link cannot choose full access, networks, metadata or a lifetime
// of more than a year. After a sign-in the user chooses them again: a link to the sign-in page can lead
// here too, and looks like one of ours then.
func (r *request) filledTokenForm(q url.Values) *tokenForm {
	f := r.tokenForm(slices.Concat(q["scope"], strings.FieldsFunc(q.Get("scopes"), isSeparator)))
	f.Filled = slices.ContainsFunc(f.Groups, func(g scopeGroup) bool {
		return slices.ContainsFunc(g.Scopes, func(s scopeChoice) bool { return s.Chosen })
	})
	if name := q.Get("name"); name != "" && text.CheckName(name, maxName) == "" {
		f.Name, f.Filled = name, true
	}
	f.fillLifetime(r, q)
	f.Retype = f.AskNetworks && slices.Contains(q["again"], "networks")
	for i := range f.Metadata {
		f.Metadata[i].Retype = slices.Contains(q["again"], f.Metadata[i].Name)
	}
	return f
}

// fillLifetime fills in the lifetime that the query of a link names: a number of days in
// expires_in, or what the form has.
func (f *tokenForm) fillLifetime(r *request, q url.Values) {
	if n, err := strconv.Atoi(q.Get("expires_in")); err == nil && n >= 1 && n <= int(maxSuggested/day) {
		lifetime := time.Duration(n) * day
		if limit := r.bearer.Policy().MaxLifetime; limit > 0 && lifetime > limit {
			return
		}
		f.Filled = true
		i := slices.IndexFunc(f.Choices, func(c lifetimeChoice) bool { return c.lifetime == lifetime })
		if i >= 0 {
			f.Expires = f.Choices[i].Value
			return
		}
		f.Expires, f.Until = "custom", r.now.UTC().Add(lifetime).Format(time.DateOnly)
		return
	}
	choice, until := q.Get("expires"), q.Get("until")
	if lifetime, offered := r.readLifetime(choice, until, ""); offered && lifetime <= maxSuggested {
		f.Expires, f.Filled = choice, true
		if choice == "custom" {
			f.Until = until
		}
	}
}

// maxSuggested is the longest lifetime that a link can choose.
const maxSuggested = 366 * day

func (r *request) showTokenForm(status int, f *tokenForm) error {
	return r.show(status, "new", view{Section: "tokens", Heading: f.Heading, Problem: f.Invalid(), Data: f})
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
	f := r.tokenForm(nil)
	f.refill(form)
	text := ""
	switch p.Code {
	case codeInvalidArgument:
		f.addFaults(r.texts, p, form)
	case codeConflict:
		// The new value of Idempotency in f is for another token. Reloading the page sends
		// the old one again.
		text = cmp.Or(p.text, "new.twice")
	case codeLimit, codeScope:
		text = cmp.Or(p.text, "problem."+string(p.Code))
	case codeUnavailable:
		// The store may have created the token. The same value creates no second one.
		f.Idempotency, text = form.Get("idempotency"), "new.unknown"
	default:
		return false
	}
	if text != "" {
		f.Problem = r.texts.get(text, "n", r.texts.number(r.bearer.Policy().MaxPerUser))
	}
	r.showTokenForm(p.Status, f)
	return true
}
