package settings

import (
	"net/http"
	"net/url"

	"github.com/seed-31c5bcb2/auth"
)

// A secretCard is a client secret on its page.
type secretCard struct {
	ID    string
	Facts []fact
}

func (r *request) secretCard(s *auth.Credential) *secretCard {
	if s == nil {
		return nil
	}
	return &secretCard{s.ID, r.secretFacts(s)}
}

// secretFacts describes a client secret. What most have, full access from all networks without
// an end, is not mentioned.
func (r *request) secretFacts(s *auth.Credential) []fact {
	facts := []fact{{Term: r.texts.get("field.secret"), Codes: []string{s.Hint}}}
	if s.Scopes != auth.FullAccess {
		facts = append(facts, r.scopesFact(s.Scopes))
	}
	if s.Networks != "" {
		facts = append(facts, r.networksFact(s.Networks))
	}
	created, used := r.timeFact("field.created", s.CreatedAt, ""), r.timeFact("field.used", s.LastUsedAt, "time.unused")
	created.From, used.From = r.texts.from(s.CreatedFrom), r.texts.from(s.LastUsedFrom)
	facts = append(facts, created, used)
	if !s.ExpiresAt.IsZero() {
		facts = append(facts, r.timeFact("field.expires", s.ExpiresAt, ""))
	}
	return facts
}

func (r *request) secretPage() error {
	if err := r.checkDeveloper(); err != nil {
		return err
	}
	current, previous, err := r.secrets()
	if err != nil {
		return err
	}
	return r.show(http.StatusOK, "secret", view{
		Section: "secret", Heading: r.texts.get("secret.heading"), Notice: r.notice(),
		Data: map[string]any{
			"Current": r.secretCard(current), "Previous": r.secretCard(previous),
			"Revealable": r.revealable(current), "Full": r.id.Scopes.Has(auth.FullAccess),
			"Idempotency": auth.NewIdempotency(),
		},
	})
}

// secretForm checks that the request may receive the plaintext of a client secret,
// and reads its form.
func (r *request) secretForm() (url.Values, error) {
	if err := r.checkSecret(); err != nil {
		return nil, err
	}
	return r.form()
}

func (r *request) createSecretForm() error {
	form, err := r.secretForm()
	if err != nil {
		return err
	}
	idempotency := form.Get("idempotency")
	if idempotency == "" {
		return errOldForm
	}
	plaintext, _, err := r.createSecret(idempotency)
	if err != nil {
		switch problemOf(err).Code {
		case codeConflict:
			return errSecretExists
		case codeInvalidArgument:
			return errOldForm
		}
		return err
	}
	return r.showSecret("plaintext.secret.heading", r.secretText(), plaintext)
}

// secretText returns the key of the text for a new secret.
func (r *request) secretText() string {
	if r.secret.Policy().Revealable {
		return "plaintext.secret.again"
	}
	return "plaintext.secret.once"
}

func (r *request) revealSecretForm() error {
	form, err := r.secretForm()
	if err != nil {
		return err
	}
	plaintext, err := r.revealSecret(form.Get("id"))
	if err != nil {
		return err
	}
	return r.showSecret("plaintext.revealed.heading", "plaintext.secret.again", plaintext)
}

func (r *request) rotateSecretPage() error {
	if err := r.checkSecret(); err != nil {
		return err
	}
	current, previous, err := r.secrets()
	switch {
	case err != nil:
		return err
	case current == nil:
		return auth.ErrNotFound
	}
	return r.showSecretRotation(current, previous, true)
}

func (r *request) showSecretRotation(current, previous *auth.Credential, valid bool) error {
	text := "rotate.secret.text"
	if previous != nil {
		text = "rotate.secret.previous"
	}
	return r.showRotation("secret", r.texts.get("rotate.secret.heading"), rotation{
		Text: r.texts.get(text), ID: current.ID,
		Choices: r.overlaps(r.secret.Policy().MaxOverlap, current.ExpiresAt), Back: "secret",
	}, valid)
}

func (r *request) rotateSecretForm() error {
	form, err := r.secretForm()
	if err != nil {
		return err
	}
	id := form.Get("id")
	overlap, ok := parseOverlap(form.Get("overlap"))
	if !ok || overlap > r.secret.Policy().MaxOverlap {
		current, previous, err := r.secrets()
		if err := checkSecretID(current, id, err); err != nil {
			return err
		}
		return r.showSecretRotation(current, previous, false)
	}
	plaintext, _, err := r.rotateSecret(id, overlap)
	if err != nil {
		return err
	}
	return r.showSecret("plaintext.rotated.secret", r.secretText(), plaintext)
}

func (r *request) revokeSecretPage() error {
	current, previous, err := r.secrets()
	switch {
	case err != nil:
		return err
	case current == nil:
		return auth.ErrNotFound
	}
	facts := r.secretFacts(current)
	if previous != nil { // it is revoked too
		facts = append(facts, fact{Term: r.texts.get("field.replaced"), Codes: []string{previous.Hint}})
	}
	return r.confirm("secret", r.texts.get("revoke.secret.heading"), confirmation{
		Text: r.texts.get("revoke.secret.text"), ID: current.ID, Facts: facts,
		Button: r.texts.get("revoke.secret.button"), Back: "secret",
	})
}

func (r *request) revokeSecretForm() error {
	return r.submit(func(form url.Values) error {
		return r.revokeSecret(form.Get("id"))
	}, "secret", "secret_revoked")
}

func (r *request) revokePreviousPage() error {
	_, previous, err := r.secrets()
	switch {
	case err != nil:
		return err
	case previous == nil || previous.ID != r.PathValue("id"):
		return auth.ErrNotFound
	}
	return r.confirm("secret", r.texts.get("revoke.previous.heading"), confirmation{
		Text: r.texts.get("revoke.previous.text"), Button: r.texts.get("revoke.previous.button"), Back: "secret",
		Facts: r.secretFacts(previous),
	})
}

func (r *request) revokePreviousForm() error {
	return r.submit(func(url.Values) error { return r.revokePrevious(r.PathValue("id")) }, "secret", "previous_revoked")
}
