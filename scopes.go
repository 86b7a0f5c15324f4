package auth

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
)

// FullAccess is the scope that grants everything the user may do. It stands alone
// in a list of scopes.
const FullAccess = "*"

// Scopes are the scopes of a credential: names separated by single spaces, as in
// RFC 6749 section 3.3. [FullAccess] grants every scope, and the zero value none.
// A Scopes is immutable, so requests share it without copying.
type Scopes string

const (
	fullAccess Scopes = FullAccess

	// maxScopes is the maximum length in bytes, so that every store can hold it.
	maxScopes = 2048
)

// ParseScopes returns the Scopes with the given names, each once, in their order.
// It returns an error that wraps [ErrInvalidArgument] if names is empty, if a name
// is not a scope-token of RFC 6749 section 3.3, if [FullAccess] does not stand
// alone, or if the names are longer than 2,048 bytes together.
func ParseScopes(names []string) (Scopes, error) { return parseScopes(names, nil) }

// parseScopes also rejects names that are not in known, unless known is nil.
func parseScopes(names, known []string) (Scopes, error) {
	if len(names) == 0 {
		return "", argumentError("Scopes", "is required: name the scopes, or %q for full access", FullAccess)
	}
	if len(names) == 1 && names[0] == FullAccess {
		return fullAccess, nil
	}
	var s Scopes
	for i, name := range names {
		switch {
		case name == FullAccess:
			return "", argumentError("Scopes", "%q must be the only scope", name)
		case !validScope(name):
			return "", argumentError("Scopes", "%.40q is not a scope: use printable ASCII without spaces, quotes and backslashes", name)
		case known != nil && !slices.Contains(known, name):
			return "", argumentError("Scopes", "%.40q does not exist", name)
		case i == 0:
			s = Scopes(name)
		case !slices.Contains(names[:i], name):
			s += Scopes(" " + name)
		}
		if len(s) > maxScopes {
			return "", argumentError("Scopes", "must be at most %d bytes together", maxScopes)
		}
	}
	return s, nil
}

// Has reports whether s grants scope. Names are compared byte by byte: "read"
// grants neither "READ" nor "read:user", and "read*" is a name like any other. Only
// [FullAccess] grants other names. The empty name is never granted.
func (s Scopes) Has(scope string) bool {
	if !validScope(scope) {
		return false
	}
	if s == fullAccess {
		return true
	}
	if scope == FullAccess {
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

// List returns the names in s, in their order. If there are none, the slice is
// empty but not nil. The slice is the caller's.
func (s Scopes) List() []string {
	return append([]string{}, strings.Fields(string(s))...)
}

// valid reports whether s is empty or what ParseScopes returns. This package writes
// no record with other scopes.
func (s Scopes) valid() bool {
	if s == "" || s == fullAccess {
		return true
	}
	start := 0
	for i := 0; i <= len(s); i++ {
		if i < len(s) && s[i] != ' ' {
			continue
		}
		if name := string(s[start:i]); name == FullAccess || !validScope(name) {
			return false
		}
		start = i + 1
	}
	return true
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

// RequireScope returns a wrapper for handlers that only identities with all of the
// scopes may reach. It must be inside of Require: outside it answers 500, and inside
// of Optional it answers 401 to anonymous requests. It panics if scopes is empty or
// has a name that RFC 6749 section 3.3 does not allow. If m has no Observe or OnError, those
// of the surrounding Require are used; its other fields are not.
func (m *Middleware) RequireScope(scopes ...string) func(http.Handler) http.Handler {
	return m.requireScopes(scopes, hasAll)
}

// RequireAnyScope is like RequireScope, for identities that have at least one of
// the scopes.
func (m *Middleware) RequireAnyScope(scopes ...string) func(http.Handler) http.Handler {
	return m.requireScopes(scopes, hasAny)
}

// RequireScope calls [Middleware.RequireScope] on a zero Middleware: the Observer
// and OnError of the surrounding Require are used.
func RequireScope(scopes ...string) func(http.Handler) http.Handler {
	return new(Middleware).RequireScope(scopes...)
}

// RequireAnyScope calls [Middleware.RequireAnyScope] on a zero Middleware.
func RequireAnyScope(scopes ...string) func(http.Handler) http.Handler {
	return new(Middleware).RequireAnyScope(scopes...)
}

// CheckScope reports whether the identity in ctx has all of the scopes. It is
// RequireScope for use inside of a handler. It returns nil, or an *[Error] to pass
// to [WriteError]: with [ErrInsufficientScope], with [ErrNoCredential] if the
// request is anonymous, or with the status 500 outside of Require. Without scopes it
// checks that there is an identity. The Observer is called when the error is
// passed to WriteError or [Report], not when it is returned. Outside of Require there is no
// Observer, and the mistake is logged to slog.Default().
func CheckScope(ctx context.Context, scopes ...string) error {
	rejection, ok := checkScopes(ctx, scopes, hasAll)
	if ok {
		return nil
	}
	rejection.pendingEvent = true
	return &rejection
}

func hasAll(have Scopes, want []string) bool {
	return !slices.ContainsFunc(want, func(s string) bool { return !have.Has(s) })
}

func hasAny(have Scopes, want []string) bool { return slices.ContainsFunc(want, have.Has) }

var errScopeLost = &Error{Reason: ReasonScope, Err: ErrInsufficientScope}

// checkKept rejects a credential that has fewer scopes now than when it was accepted.
func checkKept(accepted, now Scopes) error {
	if accepted == now || hasAll(now, accepted.List()) {
		return nil
	}
	return errScopeLost
}

var errOutsideRequire = errors.New("auth: a check is outside of Require")

// unidentified is the rejection of a request without an identity. If it did not pass through
// Require or Optional, that is a mistake in the program.
func (c *identityContext) unidentified() Error {
	if c.responder() == nil {
		return *asError(errInternal(errOutsideRequire))
	}
	return Error{Reason: ReasonMissing, Err: ErrNoCredential, responder: c.responder()}
}

func checkScopes(ctx context.Context, scopes []string, enough func(have Scopes, want []string) bool) (Error, bool) {
	c, id := current(ctx), Identity{}
	switch {
	case !c.describe(&id):
		return c.unidentified(), false
	case enough(id.Scopes, scopes):
		return Error{}, true
	}
	return Error{
		Scheme: id.Scheme,
		Scopes: slices.Clone(scopes), // the route keeps using its own slice
		Reason: ReasonScope, Err: ErrInsufficientScope,
		subject: id.subject(), responder: c.responder(),
	}, false
}

func (m *Middleware) requireScopes(scopes []string, enough func(have Scopes, want []string) bool) func(http.Handler) http.Handler {
	if len(scopes) == 0 {
		panic("auth: RequireScope or RequireAnyScope without a scope")
	}
	for _, s := range scopes {
		if !validScope(s) {
			panic("auth: RequireScope: not a scope by RFC 6749 section 3.3: " + s)
		}
	}
	scopes = slices.Clone(scopes)
	return m.restrict("RequireScope", func(r *http.Request) (Error, bool) {
		return checkScopes(r.Context(), scopes, enough)
	})
}
