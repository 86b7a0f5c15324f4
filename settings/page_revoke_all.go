package settings

import (
	"net/http"
	"strconv"
	"strings"
	"unicode"

	"github.com/seed-31c5bcb2/auth"
)

// maxUnconfirmed is how many tokens can be revoked together without typing their number.
const maxUnconfirmed = 5

// liveTokens returns the tokens that can be used, the newest first. If there is a next part, there
// may be others.
func (r *request) liveTokens() (part, error) {
	return r.collect(r.bearer.List, auth.Page{Limit: maxRead}, func(t *auth.Credential) bool { return !t.Expired(r.now) })
}

func (r *request) revokeTokensPage() error { return r.showRevokeTokens("") }

// showRevokeTokens asks before all tokens are revoked. If that was sent with another number
// than theirs, it is asked again with an error.
func (r *request) showRevokeTokens(fault string) error {
	live, err := r.liveTokens()
	if err != nil {
		return err
	}
	tokens, more := live.records, live.next != ""
	names := make([]string, len(tokens))
	for i, t := range tokens[:min(maxNamed, len(tokens))] { // only these are shown
		names[i] = r.texts.get("revoke.tokens.item", "name", isolate(t.Name), "hint", isolate(t.Hint))
	}
	c := confirmation{
		Text: r.texts.get("revoke.tokens.text"), Button: r.texts.get("revoke.tokens.button"), Error: fault,
		Type: r.typedNumber(len(tokens)),
	}
	c.Names, c.More = r.names(names, more)
	heading := r.texts.get("revoke.tokens.heading")
	if n := len(tokens); n > 0 && !more {
		heading = r.texts.plural("revoke.tokens.heading_count", n)
	}
	status := http.StatusOK
	if fault != "" {
		status = http.StatusBadRequest
	}
	return r.show(status, "confirm", view{Section: "tokens", Heading: heading, Problem: fault != "", Data: c})
}

// A typed is a number that has to be typed to confirm something.
type typed struct{ Number, Label, Pattern string }

func (r *request) typedNumber(n int) *typed {
	if n <= maxUnconfirmed {
		return nil
	}
	shown := r.texts.number(n)
	return &typed{
		Number: shown, Label: r.texts.get("revoke.tokens.type", "number", shown),
		Pattern: `\s*` + strings.Join(strings.Split(strconv.Itoa(n), ""), `\D?`) + `\s*`,
	}
}

func (r *request) revokeTokensForm() error {
	form, err := r.form()
	if err != nil {
		return err
	}
	tokens, err := r.liveTokens()
	if err != nil {
		return err
	}
	if n := len(tokens.records); n > maxUnconfirmed && digits(form.Get("number")) != strconv.Itoa(n) {
		return r.showRevokeTokens(r.texts.get("error.number", "number", r.texts.number(n)))
	}
	if _, err := r.bearer.RevokeAll(r.Context(), r.id.UserID); err != nil {
		return err
	}
	return r.redirectDone("", "tokens_revoked")
}

// digits returns the digits of a number that was typed with separators or without.
func digits(s string) string {
	return strings.Map(func(c rune) rune {
		switch {
		case '0' <= c && c <= '9':
			return c
		case c == ',' || c == '.' || c == '\'' || c == '’' || unicode.IsSpace(c):
			return -1
		}
		return 'x' // no number
	}, s)
}
