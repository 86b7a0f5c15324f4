package auth

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/seed-31c5bcb2/auth/internal/header"
)

// A result is what the authenticators found out about a request.
type result struct {
	scheme     Scheme
	tried      int         // the index of the authenticator
	explicit   bool        // a header decides alone: Authorization if it names a scheme of the route or is unreadable, or inHeader
	inHeader   string      // the header of Bearer.InHeader that the request has, or empty
	credential *Credential // from our own authenticators
	identity   *Identity   // from custom ones
}

// authenticate implements the order that Middleware.Require documents. Results are
// written to res along the way, so that a panic can be attributed to its scheme.
func (rt *route) authenticate(r *http.Request, res *result) error {
	presented := header.ParseAuthorization(r.Header)
	if rt.inHeaders {
		if token, found := rt.findInHeader(r.Header, presented, res); found {
			res.scheme, res.explicit = SchemeBearer, true
			if token.Unreadable {
				return errMalformed
			}
			return rt.tryEach(r, SchemeBearer, token, res)
		}
	}
	named := rt.schemeNamed(presented.Scheme)
	res.explicit = named != "" || presented.Unreadable
	switch {
	case presented.Unreadable:
		res.scheme = named
		return errMalformed
	case !res.explicit:
		presented = header.Authorization{} // of a scheme that the route does not accept
	}
	return rt.tryEach(r, named, presented, res)
}

// findInHeader finds the token in a header of Bearer.InHeader. With another one or an
// Authorization header next to it, the request is unreadable: a client must not send a token
// in two ways (RFC 6750 section 2), and a proxy in front may have checked the other one.
func (rt *route) findInHeader(h http.Header, authorization header.Authorization, res *result) (token header.Authorization, found bool) {
	for _, name := range rt.headers {
		if name == "" || name == res.inHeader {
			continue // not by InHeader, or a second authenticator that reads the same header
		}
		a, ok := header.ParseField(h, name)
		if !ok {
			continue
		}
		a.Unreadable = a.Unreadable || found
		token, found, res.inHeader = a, true, name
	}
	token.Unreadable = token.Unreadable || found && authorization != header.Authorization{}
	return token, found
}

// tryEach tries the authenticators of the named scheme, or all of them if named is empty,
// until one decides. Only those of the header that has the token are tried if there is one,
// and otherwise none of InHeader. If none decides, it returns the rejection that knows most.
func (rt *route) tryEach(r *http.Request, named Scheme, presented header.Authorization, res *result) error {
	var rejected error
	var rejectedScheme Scheme
	for i, a := range rt.authenticators {
		if named != "" && !named.is(rt.schemes[i]) || rt.headers[i] != res.inHeader {
			continue
		}
		res.scheme, res.tried = rt.schemes[i], i
		err := res.try(a, r, presented)
		switch {
		case err == nil || errors.Is(err, ErrUnavailable):
			return err
		case errors.Is(err, ErrNoCredential):
		case isTooLong(err):
			if rejected == nil {
				rejected, rejectedScheme = err, res.scheme
			}
		case !errors.Is(err, ErrInvalidCredential):
			return err
		case !userKnown(rejected):
			rejected, rejectedScheme = err, res.scheme
		}
	}
	switch {
	case rejected != nil:
		res.scheme = rejectedScheme
		return rejected
	case named != "":
		return errUnknown
	}
	res.scheme = ""
	return errNoCredential
}

// schemeNamed returns the scheme of this route that the Authorization header names, or
// "". The header never names Cookie, nor the Bearer of InHeader.
func (rt *route) schemeNamed(name string) Scheme {
	for i, s := range rt.schemes {
		if s != SchemeCookie && s.is(Scheme(name)) && rt.headers[i] == "" {
			return s
		}
	}
	return ""
}

// isTooLong reports whether a credential is too long for an authenticator. The next one may
// accept it: a JSON Web Token, for example, is longer than our tokens.
func isTooLong(err error) bool {
	e, ok := err.(*Error)
	return ok && e != nil && e.Reason == ReasonTooLong && errors.Is(e.Err, ErrMalformed)
}

// userKnown reports whether a rejection names the user of the credential. Such a
// rejection is kept: one that knows less must not hide a leak from the Observer.
func userKnown(rejected error) bool {
	if e, ok := rejected.(*Error); ok { // cheaper than errors.As
		return e.userID != ""
	}
	return rejected != nil && asError(rejected).userID != ""
}

var (
	errNoResult = errors.New("auth: an authenticator returned neither an identity nor an error")
	errNilError = errors.New("auth: an error is a nil *Error, which is neither success nor failure")
)

// try calls one authenticator. Our own get the parsed header and return the record, so
// that an accepted request costs one allocation. The switch is on types and not on an
// interface, as a custom type that embeds one of ours would have its methods, and its
// own Authenticate would be bypassed.
func (res *result) try(a Authenticator, r *http.Request, presented header.Authorization) (err error) {
	switch a := a.(type) {
	case *Bearer:
		if presented.Scheme == "" {
			return errNoCredential
		}
		res.credential, err = a.authenticate(r.Context(), presented)
	case *headerBearer: // tryEach has checked that presented is from its header
		res.credential, err = a.bearer.authenticate(r.Context(), presented)
	case *Secret:
		if presented.Scheme == "" {
			return errNoCredential
		}
		res.credential, err = a.authenticate(r, presented)
	case *Cookie:
		res.credential, err = a.authenticate(r)
	default:
		id, err := a.Authenticate(r)
		switch {
		case isNilError(err):
			return errInternal(errNilError)
		case err != nil:
			return err // ignore any identity that is returned with an error
		case id == nil || id.UserID == "":
			return errInternal(errNoResult)
		}
		res.identity = id
	}
	return err
}

// recoveredError is the error of a panic. http.ErrAbortHandler, by which a handler ends
// its connection, is not recovered.
func recoveredError(scheme Scheme, v any) error {
	if v == http.ErrAbortHandler {
		panic(v)
	}
	return errInternal(panicError("authentication by "+string(scheme), v))
}

// Recheck reports whether the credential of a request is still valid: that it has not been
// revoked, has not expired and has lost no scope since Require or Optional accepted it, and
// that [Middleware.Resolve] still accepts its user. Call it just before handing out
// something that outlives the request, such as a new token, since a request can be held
// open over a revocation; before something that cannot be undone, such as the deletion of an
// account, since a cache in front of the store may return a credential for some time after it
// was revoked; and now and then while a response is streamed. See
// docs/guides/handing-out-credentials.md for the order of steps.
//
// It asks the store itself, not a cache in front of it, and does not count as a use. A
// custom authenticator is called again with the request, whose header the handler must not
// have changed, and must return the same user and CredentialID. Recheck does not compare Metadata,
// and does not call the checks of [Middleware.RequireFunc] again.
//
// It returns nil, or an *[Error] to pass to [WriteError]: with [ErrInvalidCredential], with
// [ErrInsufficientScope], with what Resolve chooses, with [ErrUnavailable] if the store or Resolve
// cannot be asked, with [ErrNoCredential] if the request is anonymous, or with the status 500
// after a panic, outside of Require and for identities of [NewContext]. The Observer is called
// when the error is passed to WriteError or [Report], not when it is returned. Recheck is safe for concurrent use.
func Recheck(ctx context.Context) error {
	var until validity
	return recheck(ctx, &until)
}

var errNothingToAsk = errors.New("auth: an identity of NewContext has no store that Recheck or Watch could ask: use Require in this test")

// A validity is how long a credential remains valid if nothing but the time changes.
type validity struct {
	expires time.Time // zero means never
	idle    time.Time // when a session becomes idle unless it is used; zero means never
}

// recheck is Recheck. If it returns nil, it has set until.
func recheck(ctx context.Context, until *validity) error {
	c, id := current(ctx), Identity{}
	known := c.describe(&id)
	var rejection Error
	switch {
	case c.responder() == nil && known:
		rejection = *asError(errInternal(errNothingToAsk))
	case c.responder() == nil:
		rejection = *asError(errInternal(errOutsideRequire))
	case !known:
		rejection = c.route.rejection(ctx, "", errNoCredential)
	case c.recheck(ctx, &id, until, &rejection):
		return nil
	}
	rejection.pendingEvent = true
	return &rejection
}

// recheck reports whether the identity is still valid, and sets until or rejection.
func (c *identityContext) recheck(ctx context.Context, id *Identity, until *validity, rejection *Error) (valid bool) {
	defer func() {
		if v := recover(); v != nil {
			valid = false
			*rejection = c.rejection(ctx, id, recoveredError(id.Scheme, v))
		}
	}()
	err := c.recheckEach(ctx, id, until)
	if err == nil && c.route.resolve != nil {
		_, err = c.route.resolveUser(ctx, id)
	}
	if err != nil {
		*rejection = c.rejection(ctx, id, err)
	}
	return err == nil
}

// rejection is that of the route, for the identity that it had accepted.
func (c *identityContext) rejection(ctx context.Context, id *Identity, err error) Error {
	e := c.route.rejection(ctx, id.Scheme, err)
	e.subject = id.subject()
	return e
}

var errNotAccepted = errors.New("auth: Recheck of an identity that no authenticator of the route has accepted")

// recheckEach asks the authenticators of the identity's scheme until one accepts it. Of several
// Cookies it asks only the one that has accepted the request. An outage is more than a
// rejection: the one that is unavailable may know the credential.
func (c *identityContext) recheckEach(ctx context.Context, id *Identity, until *validity) error {
	rejected := errInternal(errNotAccepted)
	for i, a := range c.route.authenticators {
		if c.route.schemes[i] != id.Scheme {
			continue
		}
		var err error
		var record *Credential
		var idle time.Time
		switch a := a.(type) {
		case *Bearer:
			record, err = a.recheck(ctx, c.credential)
		case *headerBearer:
			record, err = a.bearer.recheck(ctx, c.credential)
		case *Secret:
			record, err = a.recheck(ctx, c.credential)
		case *Cookie:
			if p := c.principal; p != nil && p.cookie != nil && p.cookie != a {
				continue // it may have another idle timeout
			}
			if record, err = a.recheck(ctx, c.credential); err == nil {
				idle = a.idleAt(record)
			}
		default:
			err = c.recheckCustom(ctx, a, id, until)
		}
		switch {
		case err == nil && record != nil:
			*until = validity{earlier(record.ExpiresAt, c.credential.ExpiresAt), idle}
			if record.Previous == c.credential.ID { // it was bound, and the request's ends soon
				until.expires = record.ExpiresAt
			}
			return nil
		case err == nil:
			return nil
		case err != errNotAccepted && !errors.Is(rejected, ErrUnavailable):
			rejected = err
		}
	}
	return rejected
}

// earlier returns the earlier of two expiries. Zero means never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

func (c *identityContext) recheckCustom(ctx context.Context, a Authenticator, id *Identity, until *validity) error {
	if c.principal == nil || c.principal.request == nil {
		return errNotAccepted // one of ours has accepted the request, or NewContext made the identity
	}
	var res result
	if err := res.try(a, c.principal.request.WithContext(ctx), header.Authorization{}); err != nil {
		return err
	}
	if res.identity.UserID != id.UserID || res.identity.CredentialID != id.CredentialID {
		return errUnknown
	}
	until.expires = res.identity.ExpiresAt // which may be later than when the request was accepted
	return checkKept(id.Scopes, res.identity.Scopes)
}

// rejection completes what an authenticator or resolveUser returned. A condition that
// authenticators do not have, such as ErrNotFound, is an outage.
func (rt *route) rejection(ctx context.Context, scheme Scheme, err error) Error {
	given := asError(err)
	if given.decided && error(given) == err {
		e := *given
		e.Scheme, e.decided, e.responder = scheme, false, &rt.responder
		return e
	}
	e := Error{
		Scheme: scheme, Scopes: slices.Clone(given.Scopes), MaxAge: given.MaxAge, Reason: given.Reason, Err: err,
		subject: given.subject, cause: given.cause, responder: &rt.responder,
	}
	if error(given) == err && given.Err != nil { // err is an *Error, and does not just wrap one
		e.Err = given.Err
	}
	c := conditionOf(e.Err)
	if !c.reason.known() {
		c = conditionUnavailable
	}
	switch {
	case c == conditionUnavailable:
		e.Err, e.Reason = asUnavailable(e.Err), outageReason(ctx)
	case !e.Reason.known():
		e.Reason = c.reason
	}
	return e
}
