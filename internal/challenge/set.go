package challenge

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/seed-31c5bcb2/auth/internal/header"
)

// A Set is the challenges of one route, one line for each scheme, formatted once. It is
// immutable: callers must not modify its lines.
type Set struct {
	Plain, InvalidToken, InvalidRequest []string

	realm, metadata string
	schemes         []string
	headers         []string
}

// NewSet returns the challenges for the schemes, each once, and after them for the headers
// that carry a credential without a scheme. It panics if realm or metadata, the URL of OAuth
// metadata (RFC 9728), cannot be sent.
//
// The challenge for a header is `Header realm="api", name="X-Api-Key"`. Clients ignore
// challenges of schemes that they do not know (RFC 9110 section 11.6.1), and none takes Header
// for a scheme that it should use in Authorization, as it could ApiKey or Bearer.
func NewSet(realm, metadata string, schemes []string, headers ...string) *Set {
	if err := Check(realm); err != nil {
		panic(fmt.Sprintf("auth: Middleware.Realm: %v", err))
	}
	if u, err := url.Parse(metadata); metadata != "" && (err != nil || u.Host == "") {
		panic(fmt.Sprintf("auth: Middleware.ResourceMetadata: %q is not an absolute URL", metadata))
	}
	s := &Set{realm: realm, metadata: metadata}
	for _, scheme := range schemes {
		same := func(other string) bool { return header.SameScheme(scheme, other) }
		if !slices.ContainsFunc(s.schemes, same) {
			s.schemes = append(s.schemes, scheme)
		}
	}
	for _, name := range headers {
		if !slices.Contains(s.headers, name) {
			s.headers = append(s.headers, name)
		}
	}
	s.Plain = s.format("", nil)
	s.InvalidToken = s.format("invalid_token", nil)
	s.InvalidRequest = s.format("invalid_request", nil)
	return s
}

// InsufficientScope returns the challenges that name the required scopes, which must be
// scope-tokens of RFC 6749 section 3.3.
func (s *Set) InsufficientScope(scopes []string) []string {
	return s.format("insufficient_scope", scopes)
}

// InsufficientAuthentication returns the challenges for a sign-in that is too old (RFC 9470
// section 3). maxAge is the allowed age in seconds, and is left out if it is zero. The error is
// in the line of the presented scheme, or in all lines if presented is empty. A presented
// scheme that has no line gets one: on a route with Bearer and Cookie, only a new cookie helps.
func (s *Set) InsufficientAuthentication(presented string, maxAge int64) []string {
	params := []Param{{"error", "insufficient_user_authentication"}}
	if maxAge > 0 {
		params = append(params, Param{"max_age", strconv.FormatInt(maxAge, 10)})
	}
	missing := header.IsToken(presented)
	lines := make([]string, 0, len(s.schemes)+len(s.headers)+1)
	for _, scheme := range s.schemes {
		switch {
		case header.SameScheme(scheme, presented):
			missing = false
			fallthrough
		case presented == "":
			lines = append(lines, s.line(scheme, params...))
		default:
			lines = append(lines, s.line(scheme))
		}
	}
	lines = append(lines, s.headerLines()...)
	if missing {
		lines = append(lines, s.line(presented, params...))
	}
	return lines
}

// format returns the lines. Bearer has the parameters of RFC 6750 section 3; no other
// scheme has its error codes.
func (s *Set) format(code string, scopes []string) []string {
	lines := make([]string, 0, len(s.schemes)+len(s.headers))
	for _, scheme := range s.schemes {
		if header.SameScheme(scheme, "Bearer") {
			lines = append(lines, s.line(scheme, Param{"error", code}, Param{"scope", strings.Join(scopes, " ")}))
		} else {
			lines = append(lines, s.line(scheme))
		}
	}
	return append(lines, s.headerLines()...)
}

// headerLines returns the challenges for headers, which have no error codes.
func (s *Set) headerLines() []string {
	lines := make([]string, len(s.headers))
	for i, name := range s.headers {
		lines[i] = Format("Header", Param{"realm", s.realm}, Param{"name", name})
	}
	return lines
}

// line returns one challenge, with what all challenges of its scheme have.
func (s *Set) line(scheme string, params ...Param) string {
	params = append([]Param{{"realm", s.realm}}, params...)
	if header.SameScheme(scheme, "Bearer") {
		params = append(params, Param{"resource_metadata", s.metadata})
	}
	return Format(scheme, params...)
}
