package settings

import (
	"net/http"
	"time"
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
