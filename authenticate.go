package auth

import (
	"errors"
	"net/http"

	"github.com/seed-31c5bcb2/auth/internal/header"
)

// A result is what the authenticators found out about a request.
type result struct {
	scheme     Scheme
	fromHeader bool        // the Authorization header decides: it names a scheme of the route, or is unreadable
	credential *Credential // from our own authenticators
	identity   *Identity   // from custom ones
}

// authenticate implements the order that Middleware.Require documents. Results are
// written to res along the way, so that a panic can be attributed to its scheme.
func (rt *route) authenticate(r *http.Request, res *result) error {
	presented := header.ParseAuthorization(r.Header)
	named := rt.schemeNamed(presented.Scheme)
	res.fromHeader = named != "" || presented.Unreadable
	switch {
	case presented.Unreadable:
		res.scheme = named
		return errMalformed
	case !res.fromHeader:
		presented = header.Authorization{} // of a scheme that the route does not accept
	}
	return rt.tryEach(r, named, presented, res)
}

// tryEach tries the authenticators of the named scheme, or all of them if named is empty,
// until one decides. Otherwise it returns the rejection that knows most.
func (rt *route) tryEach(r *http.Request, named Scheme, presented header.Authorization, res *result) error {
	var rejected error
	var rejectedScheme Scheme
	for i, a := range rt.authenticators {
		if named != "" && !header.SameScheme(string(rt.schemes[i]), string(named)) {
			continue
		}
		res.scheme = rt.schemes[i]
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
// "". The header never names Cookie.
func (rt *route) schemeNamed(name string) Scheme {
	for _, s := range rt.schemes {
		if s != SchemeCookie && header.SameScheme(name, string(s)) {
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
		res.credential, err = a.authenticate(r, presented)
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

// rejection completes what an authenticator or Resolve returned. A condition that they do
// not have, such as ErrNotFound, is an outage.
func (rt *route) rejection(r *http.Request, res *result, err error) Error {
	given := asError(err)
	e := Error{
		Scheme: res.scheme, Reason: given.Reason, Err: err,
		userID: given.userID, credentialID: given.credentialID, cause: given.cause, responder: &rt.responder,
	}
	if error(given) == err && given.Err != nil { // err is an *Error, and does not just wrap one
		e.Err = given.Err
	}
	c := conditionOf(e.Err)
	if c.reason == "" {
		c = conditionUnavailable
	}
	if !e.Reason.known() || c == conditionUnavailable {
		e.Reason = c.reason
	}
	if c == conditionUnavailable {
		e.Err = asUnavailable(e.Err)
		if r.Context().Err() != nil {
			e.Reason = ReasonCanceled
		}
	}
	return e
}
