package auth

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"
)

// RequireFunc returns a wrapper for handlers that only requests which pass check may reach:
// for example, users of the tenant that r.PathValue("tenant") names, if the wrapper is inside
// of the http.ServeMux. The identity is check's own copy, and never nil.
//
// If check returns nil, the request passes. An error that wraps [ErrForbidden] is answered
// with 403, [ErrReauthenticationRequired] with 401, and [ErrNotFound] with 404, which hides
// what exists from users who may not know. An *[Error] is answered by its Err, as [WriteError]
// answers it, so check can return the errors of [CheckScope] and [CheckRecent]. Any other error,
// and any that wraps [ErrUnavailable], is an outage: it is answered with 503 and reported in
// Event.Err, so it must not contain a credential. A panic of check passes through, as a handler's does.
//
// As RequireScope, it must be inside of Require: outside it answers 500, and inside of Optional
// it answers 401 to anonymous requests, without calling check. If m has no Observe or OnError,
// those of the surrounding Require are used; its other fields are not. RequireFunc panics if
// check is nil. check must be safe for concurrent use. Its decision holds for one request:
// [Recheck] and [Watch] do not repeat it.
func (m *Middleware) RequireFunc(check func(r *http.Request, id *Identity) error) func(http.Handler) http.Handler {
	if check == nil {
		panic("auth: RequireFunc without a check")
	}
	return m.restrict("RequireFunc", func(r *http.Request) (Error, bool) {
		c, id := current(r.Context()), Identity{}
		if !c.describe(&id) {
			return c.unidentified(), false
		}
		given := id // check may modify its copy, and the event is about this one
		err := check(r, &given)
		if err == nil {
			return Error{}, true
		}
		rejection := *checkError(r.Context(), &id, err, ErrForbidden, ErrReauthenticationRequired, ErrNotFound)
		rejection.Scheme, rejection.responder = id.Scheme, c.responder()
		return rejection, false
	})
}

// RequireFunc calls [Middleware.RequireFunc] on a zero Middleware: the Observer and OnError
// of the surrounding Require are used.
func RequireFunc(check func(r *http.Request, id *Identity) error) func(http.Handler) http.Handler {
	return new(Middleware).RequireFunc(check)
}

// RequireRecent returns a wrapper for handlers that only users who have signed in within
// maxAge may reach, so that a stolen session cannot, for example, create a token or change a
// password. A session that is older is answered with 401, a challenge that names maxAge in
// seconds, and the code "insufficient_user_authentication" (RFC 9470 section 3).
// [RedirectToSignIn] redirects people to sign in again, with "prompt=login".
//
// The age is that of the session: SignIn creates a new one. A use of the session does not renew
// it. A session without a sign-in time is never recent, and neither is one from over a minute in
// the future. Only sessions are recent: other schemes are answered with 403, since the
// creation of a token or a secret is no sign-in. So are sessions with an Actor: its user has not
// signed in.
//
// As RequireScope, it must be inside of Require: outside it answers 500, and inside of Optional
// it answers 401 to anonymous requests. If m has no Observe or OnError, those of the surrounding
// Require are used; its other fields are not. RequireRecent panics if maxAge is not positive.
func (m *Middleware) RequireRecent(maxAge time.Duration) func(http.Handler) http.Handler {
	if maxAge <= 0 {
		panic("auth: RequireRecent: " + errMaxAge.Error())
	}
	return m.restrict("RequireRecent", func(r *http.Request) (Error, bool) {
		return checkRecent(r.Context(), maxAge)
	})
}

// RequireRecent calls [Middleware.RequireRecent] on a zero Middleware: the Observer and
// OnError of the surrounding Require are used.
func RequireRecent(maxAge time.Duration) func(http.Handler) http.Handler {
	return new(Middleware).RequireRecent(maxAge)
}

// CheckRecent reports whether the user has signed in within maxAge. It is
// [Middleware.RequireRecent] for use inside of a handler. It returns nil, or an *[Error] to
// pass to [WriteError]: with [ErrReauthenticationRequired] and MaxAge, with [ErrForbidden] if the
// credential is not a session or has an Actor, with [ErrNoCredential] if the request is anonymous, or with the
// status 500 outside of Require and if maxAge is not positive. The Observer is called when the
// error is passed to WriteError or [Report], not when it is returned. Outside of Require there is
// no Observer, and the mistake is logged to slog.Default(). CheckRecent is safe for concurrent use.
func CheckRecent(ctx context.Context, maxAge time.Duration) error {
	rejection, ok := checkRecent(ctx, maxAge)
	if ok {
		return nil
	}
	rejection.pendingEvent = true
	return &rejection
}

// maxAhead is how far the clock of the machine that signed the user in may be ahead. It is
// that of cookies: see ReasonClock.
const maxAhead = time.Minute

var errMaxAge = errors.New("auth: the maximum age of a sign-in is not positive")

func checkRecent(ctx context.Context, maxAge time.Duration) (Error, bool) {
	c, id := current(ctx), Identity{}
	if !c.describe(&id) {
		return c.unidentified(), false
	}
	rejection := Error{Scheme: id.Scheme, subject: id.subject(), responder: c.responder()}
	age := time.Since(id.AuthenticatedAt)
	switch {
	case maxAge <= 0:
		internal := asError(errInternal(errMaxAge))
		rejection.Reason, rejection.Err, rejection.cause = internal.Reason, internal.Err, internal.cause
	case id.Scheme != SchemeCookie: // the creation of a token is no sign-in
		rejection.Reason, rejection.Err = ReasonScheme, ErrForbidden
	case id.Actor != "": // it was the actor who signed in
		rejection.Reason, rejection.Err = ReasonActor, ErrForbidden
	case id.AuthenticatedAt.IsZero(), age > maxAge, age < -maxAhead:
		rejection.Reason, rejection.Err, rejection.MaxAge = ReasonAge, ErrReauthenticationRequired, maxAge
	default:
		return Error{}, true
	}
	return rejection, false
}

// checkError is the rejection for an error of Resolve or of a check: by the Err of an *Error,
// by one of the conditions that they may return without one, or as an outage. An outage and a
// mistake have no user in their event: they are not about this one.
func checkError(ctx context.Context, id *Identity, err error, conditions ...error) *Error {
	if isNilError(err) {
		return asError(errInternal(errNilError))
	}
	given, c := asError(err), conditionOf(err)
	if c == conditionUnavailable || given.Err == nil && !slices.Contains(conditions, c.err) {
		return &Error{Scheme: id.Scheme, Reason: outageReason(ctx), Err: asUnavailable(err), cause: err}
	}
	e := &Error{
		Scheme: id.Scheme, Scopes: slices.Clone(given.Scopes), MaxAge: given.MaxAge, Reason: given.Reason, Err: err,
		subject: id.subject(), cause: given.cause,
	}
	if error(given) == err { // and does not just wrap one
		e.Err = given.Err
	}
	if !e.Reason.known() {
		e.Reason = c.reason
	}
	return e
}

// restrict returns the wrapper of a check inside of Require. name is for the panic if the
// handler is nil.
func (m *Middleware) restrict(name string, check func(*http.Request) (Error, bool)) func(http.Handler) http.Handler {
	own := responder{onError: m.OnError, observe: m.Observe}
	return func(next http.Handler) http.Handler {
		if isNil(next) {
			panic("auth: " + name + " around a nil handler")
		}
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			rejection, ok := check(r)
			if ok {
				next.ServeHTTP(w, r)
				return
			}
			rs := own.withDefaults(rejection.responder)
			rs.notifyRefused(r, &rejection)
			rs.reject(w, r, rejection)
		})
	}
}

// withDefaults returns rs with what it lacks taken from the surrounding route.
func (rs responder) withDefaults(outer *responder) *responder {
	if outer != nil && rs.observe == nil {
		rs.observe = outer.observe
	}
	if outer != nil && rs.onError == nil {
		rs.onError = outer.onError
	}
	return &rs
}
