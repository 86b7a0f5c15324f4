package auth

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/seed-31c5bcb2/auth/internal/challenge"
	"github.com/seed-31c5bcb2/auth/internal/header"
)

// challenges are the WWW-Authenticate lines of a route, made once.
type challenges struct {
	realm, metadata string
	schemes         []Scheme

	plain, invalidToken, invalidRequest []string
}

// defaultChallenges is for errors that are answered outside of every route.
var defaultChallenges = newChallenges("", "", []Scheme{SchemeBearer})

func newChallenges(realm, metadata string, accepted []Scheme) challenges {
	if realm == "" {
		realm = "api"
	}
	if err := challenge.Check(realm); err != nil {
		panic(fmt.Sprintf("auth: Middleware.Realm: %v", err))
	}
	if u, err := url.Parse(metadata); metadata != "" && (err != nil || u.Host == "") {
		panic(fmt.Sprintf("auth: Middleware.ResourceMetadata: %q is no absolute URL", metadata))
	}
	cs := challenges{realm: realm, metadata: metadata}
	for _, s := range accepted {
		same := func(other Scheme) bool { return header.IsScheme(string(s), string(other)) }
		if s != SchemeCookie && !slices.ContainsFunc(cs.schemes, same) {
			cs.schemes = append(cs.schemes, s)
		}
	}
	if len(cs.schemes) == 0 {
		cs.schemes = []Scheme{SchemeCookie} // a 401 has to have one: RFC 9110 section 15.5.2
	}
	cs.plain = cs.format("", nil)
	cs.invalidToken = cs.format("invalid_token", nil)
	cs.invalidRequest = cs.format("invalid_request", nil)
	return cs
}

// format writes the lines, with what RFC 6750 section 3 says about Bearer. No
// other scheme here has error codes. A scope that is none, from a check that
// somebody made of a request's own words, is left out.
func (cs *challenges) format(code string, scopes []string) []string {
	scopes = slices.DeleteFunc(slices.Clone(scopes), func(s string) bool { return !validScope(s) })
	lines := make([]string, len(cs.schemes))
	for i, s := range cs.schemes {
		params := []challenge.Param{{Name: "realm", Value: cs.realm}}
		if header.IsScheme(string(s), string(SchemeBearer)) {
			params = append(params,
				challenge.Param{Name: "error", Value: code},
				challenge.Param{Name: "scope", Value: strings.Join(scopes, " ")},
				challenge.Param{Name: "resource_metadata", Value: cs.metadata})
		}
		lines[i] = challenge.Format(string(s), params...)
	}
	return lines
}

// challengeLines returns one challenge per header scheme of the route (RFC 9110
// section 11.6.1), on 401 and on what RFC 6750 section 3.1 gives a code for. An
// outage and a cross-origin request have none: another credential would not help.
func (e *Error) challengeLines() []string {
	cs := &defaultChallenges
	if e.answers != nil {
		cs = &e.answers.challenges
	}
	bearer := header.IsScheme(string(e.Scheme), string(SchemeBearer))
	switch {
	case e.Status == http.StatusUnauthorized && bearer && !errors.Is(e.Err, ErrNoCredential):
		return cs.invalidToken
	case e.Status == http.StatusUnauthorized:
		return cs.plain
	case e.Status == http.StatusBadRequest && (bearer || e.Scheme == "" && e.Reason != ""):
		return cs.invalidRequest
	case e.Status == http.StatusBadRequest && e.Scheme != "":
		return cs.plain
	case e.Status == http.StatusForbidden && errors.Is(e.Err, ErrInsufficientScope) && bearer:
		return cs.format("insufficient_scope", e.Scopes)
	case e.Status == http.StatusForbidden && errors.Is(e.Err, ErrInsufficientScope):
		return cs.plain
	}
	return nil
}
