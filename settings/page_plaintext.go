package settings

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/seed-31c5bcb2/auth"
)

// A plaintextView is the one page that has a plaintext. It is the answer to a form:
// nothing leads to it, and to send the form again brings no second one.
type plaintextView struct {
	Text, Label string
	Plaintext   string
	Curl        string
	Facts       []fact
	Back        string // from Root
}

func (c *call) showToken(heading string, made auth.Credential, plaintext string) error {
	facts := []fact{
		{Term: c.texts.get("field.name"), Text: made.Name},
		{Term: c.texts.get("field.scopes"), Text: c.scopesInWords(made.Scopes)},
		c.timeFact("field.expires", made.ExpiresAt, "time.never"),
	}
	return c.show(http.StatusOK, "plaintext", view{
		Section: "tokens", Heading: c.texts.get(heading, "name", made.Name),
		Data: plaintextView{
			Text: c.texts.get("plaintext.token.text"), Label: c.texts.get("plaintext.token.label"),
			Plaintext: plaintext, Curl: c.curl(auth.SchemeBearer, plaintext), Facts: facts, Back: "",
		},
	})
}

func (c *call) showSecret(heading, text, plaintext string) error {
	return c.show(http.StatusOK, "plaintext", view{
		Section: "secret", Heading: c.texts.get(heading),
		Data: plaintextView{
			Text: c.texts.get(text), Label: c.texts.get("plaintext.secret.label"),
			Plaintext: plaintext, Curl: c.curl(auth.SchemeSecret, plaintext), Back: "secret",
		},
	})
}

func (c *call) scopesInWords(s auth.Scopes) string {
	if s == "*" {
		return c.texts.get("scopes.full")
	}
	return strings.Join(s.List(), ", ")
}

// curl is a command line that tries a credential.
func (c *call) curl(scheme auth.Scheme, plaintext string) string {
	return "curl -H " + shellQuoted("Authorization: "+string(scheme)+" "+plaintext) + " " + shellQuoted(c.example())
}

// example is the address that the command line asks for. The browser has said by
// Origin what it calls us: behind a proxy we could not know the scheme.
func (c *call) example() string {
	if !strings.HasPrefix(c.exampleURL, "/") {
		return c.exampleURL
	}
	if origin, err := url.Parse(c.r.Header.Get("Origin")); err == nil && origin.Host == c.r.Host && origin.Host != "" {
		return origin.Scheme + "://" + origin.Host + c.exampleURL
	}
	scheme := "http"
	if c.r.TLS != nil {
		scheme = "https"
	}
	return scheme + "://" + c.r.Host + c.exampleURL
}

// shellQuoted makes one word of s, whatever is in it.
func shellQuoted(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// A rotation is the form by which a token or a secret is replaced.
type rotation struct {
	Text    string
	ID      string // of the secret that is to be replaced; "" where the address says it
	Choices []overlapChoice
	Fault   string
	Back    string // from Root
}

// An overlapChoice is how long the old one goes on.
type overlapChoice struct {
	Value, Text string
	Until       *moment // nil: it ends now
}

// overlaps are those that people choose from, up to the policy. The old one never
// outlives its own expiry.
func (c *call) overlaps(most time.Duration, expires time.Time) []overlapChoice {
	var choices []overlapChoice
	for _, d := range []time.Duration{0, time.Hour, day, 7 * day} {
		until := c.now.Add(d)
		switch {
		case d == 0:
			choices = append(choices, overlapChoice{"0s", c.texts.get("overlap.none"), nil})
		case d <= most && (expires.IsZero() || until.Before(expires)):
			m := c.texts.moment(until, c.now)
			choices = append(choices, overlapChoice{d.String(), c.texts.exactly(d), &m})
		}
	}
	return choices
}

func readOverlap(choice string) (time.Duration, bool) {
	d, err := time.ParseDuration(choice)
	return d, err == nil && d >= 0
}
