package settings

import (
	"net/http"
	"time"

	"github.com/seed-31c5bcb2/auth"
)

// A rotation is the form for rotating a token or a client secret.
type rotation struct {
	Text    string
	ID      string // of the secret to rotate; empty if the path has it
	Choices []overlapChoice
	Error   string
	Back    string // relative to Root
}

// An overlapChoice is how long the old credential keeps working.
type overlapChoice struct {
	Value, Text string
	Until       *moment // nil if it stops working now
}

// showRotation shows the form, with an error unless the submitted choice was valid.
func (r *request) showRotation(section, heading string, form rotation, valid bool) error {
	status := http.StatusOK
	if !valid {
		status, form.Error = http.StatusBadRequest, r.texts.get("error.overlap")
	}
	return r.show(status, "rotate", view{Section: section, Heading: heading, Problem: !valid, Data: form})
}

// overlaps returns the grace periods to choose from, up to the limit of the policy.
// The old credential still expires when it would have.
func (r *request) overlaps(limit time.Duration, expires time.Time) []overlapChoice {
	choices := []overlapChoice{{"0s", r.texts.get("overlap.none"), nil}}
	for _, d := range []time.Duration{time.Hour, day, 7 * day} {
		until := r.now.Add(d)
		if d <= limit && (expires.IsZero() || until.Before(expires)) {
			m := r.texts.moment(until, r.now)
			choices = append(choices, overlapChoice{d.String(), r.texts.exactly(d), &m})
		}
	}
	return choices
}

func parseOverlap(choice string) (time.Duration, bool) {
	d, err := time.ParseDuration(choice)
	return d, err == nil && d >= 0
}

func (r *request) rotateTokenPage() error { return r.showTokenRotation(true) }

func (r *request) showTokenRotation(valid bool) error {
	t, err := r.pathToken()
	switch {
	case err != nil:
		return err
	case stateOf(&t, r.now) != stateActive:
		return auth.ErrConflict
	}
	replaced, err := r.replacedFacts(t)
	if err != nil {
		return err
	}
	text := r.texts.get("rotate.token.text")
	if replaced != nil {
		text = r.texts.get("rotate.token.previous", "hint", replaced[0].Codes[0])
	}
	return r.showRotation("tokens", r.texts.get("rotate.token.heading", "name", t.Name), rotation{
		Text: text, Choices: r.overlaps(r.bearer.Policy().MaxOverlap, t.ExpiresAt), Back: "",
	}, valid)
}

func (r *request) rotateTokenForm() error {
	form, err := r.form()
	if err != nil {
		return err
	}
	overlap, ok := parseOverlap(form.Get("overlap"))
	if !ok {
		return r.showTokenRotation(false)
	}
	r.mayHaveSecret() // for the navigation
	plaintext, made, err := r.rotateToken(r.PathValue("id"), overlap)
	switch {
	case err != nil && problemOf(err).Code == codeInvalidArgument:
		return r.showTokenRotation(false)
	case err != nil:
		return err
	}
	return r.showToken("plaintext.rotated.heading", made, plaintext)
}
