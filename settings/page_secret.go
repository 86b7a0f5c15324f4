package settings

import (
	"errors"
	"net/http"

	"github.com/seed-31c5bcb2/auth"
)

// A secretRow is a client secret on its page.
type secretRow struct {
	ID, Hint string
	Created  moment
	Expires  *moment // of the previous one: the end of the overlap
	Used     *moment
}

func (c *call) secretRow(s *auth.Credential) *secretRow {
	if s == nil {
		return nil
	}
	return &secretRow{s.ID, s.Hint, c.texts.moment(s.CreatedAt, c.now), c.optional(s.ExpiresAt), c.optional(s.LastUsedAt)}
}

func (c *call) secretPage() error {
	if err := c.checkDeveloper(); err != nil {
		return err
	}
	current, previous, err := c.secrets()
	if err != nil {
		return err
	}
	return c.show(http.StatusOK, "secret", view{
		Section: "secret", Heading: c.texts.get("secret.heading"), Notice: c.notice(),
		Data: map[string]any{
			"Current": c.secretRow(current), "Previous": c.secretRow(previous),
			"Revealable": c.revealable(current), "Full": c.id.Scopes.Has("*"),
		},
	})
}

func (c *call) assignSecret() error {
	if err := errors.Join(c.checkSecret(), c.readEmptyForm()); err != nil {
		return err
	}
	plaintext, _, err := c.secret.Assign(c.r.Context(), c.id.UserID)
	if err != nil {
		return err
	}
	return c.showSecret("plaintext.secret.heading", c.secretText(), plaintext)
}

// secretText says whether a new secret can be seen again.
func (c *call) secretText() string {
	if c.secret.Policy().Revealable {
		return "plaintext.secret.again"
	}
	return "plaintext.secret.once"
}

func (c *call) revealSecret() error {
	if err := errors.Join(c.checkSecret(), c.readEmptyForm()); err != nil {
		return err
	}
	plaintext, err := c.reveal()
	if err != nil {
		return err
	}
	return c.showSecret("plaintext.revealed.heading", "plaintext.secret.again", plaintext)
}

func (c *call) rotateSecretPage() error { return c.rotateSecretAgain(http.StatusOK, "") }

func (c *call) rotateSecretAgain(status int, fault string) error {
	if err := c.checkSecret(); err != nil {
		return err
	}
	current, previous, err := c.secrets()
	switch {
	case err != nil:
		return err
	case current == nil:
		return auth.ErrNotFound
	}
	text := "rotate.secret.text"
	if previous != nil {
		text = "rotate.secret.previous"
	}
	return c.show(status, "rotate", view{
		Section: "secret", Heading: c.texts.get("rotate.secret.heading"), Problem: fault != "",
		Data: rotation{
			Text: c.texts.get(text), ID: current.ID, Choices: c.overlaps(c.secret.Policy().MaxOverlap, current.ExpiresAt),
			Fault: fault, Back: "secret",
		},
	})
}

func (c *call) rotateSecret() error {
	if err := c.checkSecret(); err != nil {
		return err
	}
	form, err := readForm(c.w, c.r)
	if err != nil {
		return err
	}
	overlap, ok := readOverlap(form.Get("overlap"))
	if !ok || overlap > c.secret.Policy().MaxOverlap {
		return c.rotateSecretAgain(http.StatusBadRequest, c.texts.get("error.overlap"))
	}
	plaintext, _, err := c.secret.RotateFrom(c.r.Context(), c.id.UserID, form.Get("id"), overlap)
	if err != nil {
		return err
	}
	return c.showSecret("plaintext.rotated.secret", c.secretText(), plaintext)
}

func (c *call) revokeSecretPage() error {
	current, previous, err := c.secrets()
	switch {
	case err != nil:
		return err
	case current == nil && previous == nil:
		return auth.ErrNotFound
	}
	ask := confirmation{Text: c.texts.get("revoke.secret.text"), Button: c.texts.get("revoke.secret.button"), Back: "secret"}
	for _, s := range []*auth.Credential{current, previous} {
		if s != nil {
			ask.Names = append(ask.Names, s.Hint)
		}
	}
	return c.confirm("secret", c.texts.get("revoke.secret.heading"), ask)
}

func (c *call) revokeSecret() error {
	if err := c.readEmptyForm(); err != nil {
		return err
	}
	if err := c.secret.Revoke(c.r.Context(), c.id.UserID); err != nil {
		return err
	}
	return c.done("secret", "secret_revoked")
}

func (c *call) revokePreviousPage() error {
	_, previous, err := c.secrets()
	switch {
	case err != nil:
		return err
	case previous == nil || previous.ID != c.r.PathValue("id"):
		return auth.ErrNotFound
	}
	return c.confirm("secret", c.texts.get("revoke.previous.heading"), confirmation{
		Text: c.texts.get("revoke.previous.text"), Button: c.texts.get("revoke.previous.button"), Back: "secret",
		Facts: []fact{
			{Term: c.texts.get("field.secret"), Text: previous.Hint, Code: true},
			c.timeFact("field.used", previous.LastUsedAt, "time.unused"),
			c.timeFact("field.ends", previous.ExpiresAt, "time.never"),
		},
	})
}

func (c *call) revokePreviousForm() error {
	if err := c.readEmptyForm(); err != nil {
		return err
	}
	if err := c.revokePrevious(c.r.PathValue("id")); err != nil {
		return err
	}
	return c.done("secret", "previous_revoked")
}
