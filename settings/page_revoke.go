package settings

import (
	"time"

	"github.com/seed-31c5bcb2/auth"
)

// pathToken returns the token whose ID is in the path.
func (r *request) pathToken() (auth.Credential, error) {
	return r.bearer.Get(r.Context(), r.id.UserID, r.PathValue("id"))
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
	heading, text, button := "revoke.token.heading", "revoke.token.text", "revoke.token.button"
	if t.Expired(r.now) {
		heading, text, button = "remove.token.heading", "remove.token.text", "remove.token.button"
	}
	return r.confirm("tokens", r.texts.get(heading, "name", t.Name), confirmation{
		Text: r.texts.get(text), Button: r.texts.get(button),
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
	if _, err := r.form(); err != nil {
		return err
	}
	t, err := r.pathToken()
	if err != nil {
		return err
	}
	if err := r.bearer.Revoke(r.Context(), r.id.UserID, t.ID); err != nil {
		return err
	}
	if t.Expired(r.now) {
		return r.redirectDone("", "token_removed")
	}
	return r.redirectDone("", "token_revoked")
}
