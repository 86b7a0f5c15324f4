package main

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/seed-31c5bcb2/auth"
)

type rulesCmd struct {
	Format string `required:"" enum:"gitleaks,betterleaks,trufflehog,github" help:"The scanner: ${enum}."`
	Prefix string `required:"" placeholder:"acme_pat" help:"Prefix of the tokens or client secrets."`
}

func (rulesCmd) Help() string {
	return `No rule can verify the checksum of a token, so a scanner also reports a token with a typing error.

Example:

    authctl rules --format gitleaks --prefix acme_pat > .gitleaks.toml`
}

// A token is its prefix, an underscore, 32 random characters and 6 of a checksum.
const tokenRest = "_[0-9A-Za-z]{38}"

// before is what may be in front of a token in a text: something that is no part of a word, or
// an escape of JSON or of a URL, whose last character looks like one.
const before = `\\[nrt]|%[0-9A-Fa-f]{2}`

// tokenExpression returns a regular expression in the syntax of RE2. Its first group is the
// token.
func tokenExpression(prefix string) (string, error) {
	if _, err := newBearer(auth.NewMemoryStore(), auth.BearerConfig{Prefix: prefix}); err != nil {
		return "", err
	}
	return `(?:\b|` + before + `)(` + regexp.QuoteMeta(prefix) + tokenRest + `)\b`, nil
}

var errPrefix = usageError(errors.New("--prefix must be at most 16 letters, digits and underscores"))

// newBearer returns errors without the prefix, which may be a whole token by mistake.
func newBearer(s auth.Store, config auth.BearerConfig) (*auth.Bearer, error) {
	config.Observe = quiet
	bearer, err := auth.NewBearer(s, config)
	if err != nil && config.Prefix != "" {
		return nil, errPrefix
	}
	return bearer, err
}

func (c *rulesCmd) Run(a *app) error {
	expression, err := tokenExpression(c.Prefix)
	if err != nil || c.Prefix == "" {
		return errPrefix
	}
	rule := c.rule(expression)
	if a.out.json {
		return a.out.document(map[string]string{"format": c.Format, "prefix": c.Prefix, "regex": expression, "rule": rule})
	}
	for _, line := range strings.Split(rule, "\n") {
		if err := a.out.line("%s", line); err != nil {
			return err
		}
	}
	return nil
}

func (c *rulesCmd) rule(expression string) string {
	switch c.Format {
	case "trufflehog":
		return fmt.Sprintf(`detectors:
  - name: %[1]s
    keywords:
      - %[1]s_
    regex:
      token: '%[2]s'`, c.Prefix, expression)
	case "github":
		return fmt.Sprintf(`Pattern name:  %[1]s
Secret format: %[1]s%[2]s
Before secret: \A|[^0-9A-Za-z_]|%[3]s
After secret:  \z|[^0-9A-Za-z_]`, c.Prefix, tokenRest, before)
	}
	// The entropy of 38 random characters is over 4 bits: less than 3 is a placeholder.
	return fmt.Sprintf(`[[rules]]
id = "%[1]s"
description = "A credential with the prefix %[1]s."
regex = '''%[2]s'''
secretGroup = 1
entropy = 3.0
keywords = ["%[3]s_"]`, c.Prefix, expression, strings.ToLower(c.Prefix))
}
