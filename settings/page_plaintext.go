package settings

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/seed-31c5bcb2/auth"
)

// A plaintextView is the data of the only page that shows a plaintext. It is the
// response to a form: no link leads to it, and submitting the form again does not
// create another credential.
type plaintextView struct {
	Text, Label string
	Plaintext   string
	Curl        string
	Facts       []fact
	Back        string // relative to Root
}

func (r *request) showToken(heading string, t auth.Credential, plaintext string) error {
	facts := []fact{
		{Term: r.texts.get("field.name"), Text: t.Name},
		{Term: r.texts.get("field.scopes"), Text: r.scopesText(t.Scopes)},
		r.timeFact("field.expires", t.ExpiresAt, "time.never"),
	}
	return r.show(http.StatusOK, "plaintext", view{
		Section: "tokens", Heading: r.texts.get(heading, "name", t.Name),
		Data: plaintextView{
			Text: r.texts.get("plaintext.token.text"), Label: r.texts.get("plaintext.token.label"),
			Plaintext: plaintext, Curl: r.curl(auth.SchemeBearer, plaintext), Facts: facts, Back: "",
		},
	})
}

func (r *request) showSecret(heading, text, plaintext string) error {
	return r.show(http.StatusOK, "plaintext", view{
		Section: "secret", Heading: r.texts.get(heading),
		Data: plaintextView{
			Text: r.texts.get(text), Label: r.texts.get("plaintext.secret.label"),
			Plaintext: plaintext, Curl: r.curl(auth.SchemeSecret, plaintext), Back: "secret",
		},
	})
}

func (r *request) scopesText(s auth.Scopes) string {
	if s == auth.FullAccess {
		return r.texts.get("scopes.full")
	}
	return strings.Join(s.List(), ", ")
}

// curl returns a command that tries a credential.
func (r *request) curl(scheme auth.Scheme, plaintext string) string {
	return "curl -H " + shellQuote("Authorization: "+string(scheme)+" "+plaintext) + " " + shellQuote(r.example())
}

// example returns the URL for the curl command. It uses the Origin that the browser
// sent, because the request does not tell the scheme if there is a proxy.
func (r *request) example() string {
	if !strings.HasPrefix(r.exampleURL, "/") {
		return r.exampleURL
	}
	if origin, err := url.Parse(r.Header.Get("Origin")); err == nil && origin.Host == r.Host && origin.Host != "" {
		return origin.Scheme + "://" + origin.Host + r.exampleURL
	}
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	return scheme + "://" + r.Host + r.exampleURL
}

// shellQuote quotes s as one word of a POSIX shell.
func shellQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
