package auth

import (
	"context"
	"errors"
	"net/http"
	"slices"
)

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
