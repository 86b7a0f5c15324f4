package auth

import (
	"slices"
	"strings"
)

// Scopes is what a credential may be used for: scope names separated by single
// spaces, as in RFC 6749 section 3.3. The string "*" is the account's full
// access; "" is none, which is also the zero value. It is immutable, so requests
// share it without a copy.
type Scopes string

const (
	allScopes Scopes = "*"

	// maxScopes bounds a credential's scopes, so that every store can hold them.
	maxScopes = 2048
)

// Has reports whether s grants scope. Names are compared byte by byte: "read"
// grants neither "READ" nor "read:user", and "read*" is a name like any other.
// Only "*" by itself is a wildcard, never one name among several, and no scopes
// grant the empty name.
func (s Scopes) Has(scope string) bool {
	if !validScope(scope) {
		return false
	}
	if s == allScopes {
		return true
	}
	if scope == string(allScopes) {
		return false
	}
	for rest, more := string(s), true; more; {
		var name string
		name, rest, more = strings.Cut(rest, " ")
		if name == scope {
			return true
		}
	}
	return false
}

// List returns the names in s, in their order. It is empty and not nil if there
// are none: a nil list asks for full access in [NewToken] and [NewSession]. The
// slice is the caller's.
func (s Scopes) List() []string {
	return append([]string{}, strings.Fields(string(s))...)
}

// valid reports whether s is what joinScopes makes. A record that holds anything
// else was not written by this package.
func (s Scopes) valid() bool {
	if s == "" || s == allScopes {
		return true
	}
	start := 0
	for i := 0; i <= len(s); i++ {
		if i < len(s) && s[i] != ' ' {
			continue
		}
		if name := string(s[start:i]); name == string(allScopes) || !validScope(name) {
			return false
		}
		start = i + 1
	}
	return true
}

// joinScopes turns the names that a caller asks for into Scopes: nil is "*".
// Names that are not in known are refused, unless known is nil.
func joinScopes(names, known []string) (Scopes, error) {
	if names == nil || len(names) == 1 && names[0] == string(allScopes) {
		return allScopes, nil
	}
	if len(names) == 0 {
		return "", malformed("Scopes", "an empty list grants nothing: name a scope, or leave it nil for full access")
	}
	var s Scopes
	for i, name := range names {
		switch {
		case name == string(allScopes):
			return "", malformed("Scopes", "%q stands alone or not at all", name)
		case !validScope(name):
			return "", malformed("Scopes", "%.40q is not a scope: RFC 6749 section 3.3 wants printable ASCII without space, quote and backslash", name)
		case known != nil && !slices.Contains(known, name):
			return "", malformed("Scopes", "%.40q does not exist", name)
		case i == 0:
			s = Scopes(name)
		case !slices.Contains(names[:i], name):
			s += Scopes(" " + name)
		}
		if len(s) > maxScopes {
			return "", malformed("Scopes", "over %d bytes together", maxScopes)
		}
	}
	return s, nil
}

// validScope reports whether name is a scope-token of RFC 6749 section 3.3.
func validScope(name string) bool {
	for i := range len(name) {
		if c := name[i]; c <= ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return name != ""
}
