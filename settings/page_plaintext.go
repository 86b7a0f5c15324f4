package settings

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/internal/origin"
)

// A plaintextView is the data of the only page that shows a plaintext. It is the
// response to a form: no link leads to it, and submitting the form again does not
// create another credential.
type plaintextView struct {
	Text, Label string
	Plaintext   string
	Curl        string // a command that tries it; empty without an example
	Facts       []fact
	Back        string // relative to Root

	// Later is the page, relative to Root, to which Back and Reload lead, as far as a script can
	// set that: it explains why the plaintext is gone.
	Later string
}

// shownTexts are the keys of the explanations, by the value of "shown" in the query of Later.
var shownTexts = map[string]string{
	"token": "shown.token", "secret": "shown.secret", "secret-once": "shown.secret_once",
}

func (r *request) showToken(heading string, t auth.Credential, plaintext string) error {
	facts := []fact{
		{Term: r.texts.get("field.name"), Text: t.Name},
		r.scopesFact(t.Scopes),
	}
	if t.Networks != "" {
		facts = append(facts, r.networksFact(t.Networks))
	}
	facts = append(facts, r.timeFact("field.expires", t.ExpiresAt, "time.never"))
	return r.show(http.StatusOK, "plaintext", view{
		Section: "tokens", Heading: r.texts.get(heading, "name", t.Name),
		Data: plaintextView{
			Text: r.texts.get("plaintext.token.text"), Label: r.texts.get("plaintext.token.label"),
			Plaintext: plaintext, Curl: r.curl(auth.SchemeBearer, plaintext, r.tokenExample), Facts: facts,
			Back: tokenAnchor(t.ID), Later: "tokens/" + t.ID + "?shown=token",
		},
	})
}

func (r *request) showSecret(heading, text, plaintext string) error {
	later := "secret?shown=secret-once"
	if r.secret.Policy().Revealable {
		later = "secret?shown=secret"
	}
	return r.show(http.StatusOK, "plaintext", view{
		Section: "secret", Heading: r.texts.get(heading),
		Data: plaintextView{
			Text: r.texts.get(text), Label: r.texts.get("plaintext.secret.label"),
			Plaintext: plaintext, Curl: r.curl(auth.SchemeSecret, plaintext, r.secretExample),
			Back: "secret", Later: later,
		},
	})
}

func (r *request) scopesFact(s auth.Scopes) fact {
	if s == auth.FullAccess {
		return fact{Term: r.texts.get("field.scopes"), Text: r.texts.get("scopes.full")}
	}
	return fact{Term: r.texts.get("field.scopes"), Codes: s.List()}
}

func (r *request) networksFact(n auth.Networks) fact {
	f := fact{Term: r.texts.get("field.networks"), Codes: networkTexts(n)}
	if f.Codes == nil {
		f.Text = r.texts.get("networks.any")
	}
	return f
}

// curl returns a command that sends a credential to the example, a URL or a path on
// this site. It is empty if there is no example.
func (r *request) curl(scheme auth.Scheme, plaintext, example string) string {
	if example == "" {
		return ""
	}
	if strings.HasPrefix(example, "/") {
		example = siteOrigin(r.Request) + example
	}
	return "curl -H " + shellQuote("Authorization: "+string(scheme)+" "+plaintext) + " " + shellQuote(example)
}

// siteOrigin returns the origin at which the browser that sent a form reaches this
// site. A proxy may have changed the Host and terminated TLS, so the Origin header
// decides, which scripts cannot set and which the Cookie authenticator has accepted.
// If Sec-Fetch-Site says that another, trusted origin sent the form, and without an Origin,
// it is https with the request's Host: only services on a loopback address are expected to
// do without TLS. An old browser does not say so, and the trusted origin is used.
func siteOrigin(r *http.Request) string {
	site := r.Header.Get("Sec-Fetch-Site") // old browsers send none
	if sent := r.Header.Get("Origin"); isOrigin(sent) && (site == "same-origin" || site == "") {
		return sent
	}
	if r.TLS == nil && origin.Loopback((&url.URL{Host: r.Host}).Hostname()) {
		return "http://" + r.Host
	}
	return "https://" + r.Host
}

func isOrigin(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && u.Scheme+"://"+u.Host == s
}

// shellQuote quotes s as one word of a POSIX shell.
func shellQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
