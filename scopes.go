package auth

import (
	"context"
	"errors"
	"net/http"
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

// CheckScope is RequireScope in the middle of a handler. It returns nil if the
// identity in ctx has all of the scopes, and an *[Error] for [WriteError]
// otherwise: [ErrInsufficientScope], [ErrNoCredential] after an Optional that
// found nobody, or one with the status 500 outside Require. Without scopes it
// wants an identity. The Observer is told once WriteError answers.
func CheckScope(ctx context.Context, scopes ...string) error {
	if refusal, ok := checkAll(ctx, scopes); !ok {
		refusal.untold = true
		return &refusal
	}
	return nil
}

type scopeCheck func(ctx context.Context, scopes []string) (refusal Error, ok bool)

func checkAll(ctx context.Context, scopes []string) (Error, bool) {
	return checkScopes(ctx, scopes, func(have Scopes) bool {
		return !slices.ContainsFunc(scopes, func(s string) bool { return !have.Has(s) })
	})
}

func checkAny(ctx context.Context, scopes []string) (Error, bool) {
	return checkScopes(ctx, scopes, func(have Scopes) bool { return slices.ContainsFunc(scopes, have.Has) })
}

var errNoRequire = errors.New("auth: a scope is checked outside of Require")

func checkScopes(ctx context.Context, scopes []string, enough func(Scopes) bool) (Error, bool) {
	c, id := current(ctx), Identity{}
	known := c.describe(&id)
	switch {
	case c == nil || !known && c.answers == nil:
		return Error{Status: http.StatusInternalServerError, Reason: ReasonInternal, Err: errNoRequire, detail: errNoRequire}, false
	case !known:
		return Error{Status: http.StatusUnauthorized, Reason: ReasonMissing, Err: ErrNoCredential, answers: c.answers}, false
	case enough(id.Scopes):
		return Error{}, true
	}
	return Error{
		Status: http.StatusForbidden, Scheme: id.Scheme,
		Scopes: slices.Clone(scopes), // the route goes by its own
		Reason: ReasonScope, Err: ErrInsufficientScope,
		userID: id.UserID, credentialID: id.CredentialID, answers: c.answers,
	}, false
}

func (m *Middleware) scoped(scopes []string, check scopeCheck) func(http.Handler) http.Handler {
	if len(scopes) == 0 {
		panic("auth: RequireScope without a scope")
	}
	for _, s := range scopes {
		if !validScope(s) {
			panic("auth: RequireScope: not a scope by RFC 6749 section 3.3: " + s)
		}
	}
	own := answers{onError: m.OnError, observe: m.Observe}
	scopes = slices.Clone(scopes)
	return func(next http.Handler) http.Handler {
		if isNil(next) {
			panic("auth: RequireScope around a nil handler")
		}
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if refusal, ok := check(r.Context(), scopes); !ok {
				own.over(refusal.answers).refuseScope(w, r, refusal)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

// over fills in what a has not from the route around it.
func (a answers) over(around *answers) *answers {
	if around != nil && a.observe == nil {
		a.observe = around.observe
	}
	if around != nil && a.onError == nil {
		a.onError = around.onError
	}
	return &a
}

func (a *answers) refuseScope(w http.ResponseWriter, r *http.Request, refusal Error) {
	a.tellRefused(r, &refusal)
	a.refuse(w, r, refusal)
}
