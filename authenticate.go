package auth

import (
	"errors"
	"net/http"

	"github.com/seed-31c5bcb2/auth/internal/header"
)

// found is what asking the authenticators came to.
type found struct {
	scheme     Scheme
	explicit   bool        // by the Authorization field, and not by the way
	credential *Credential // of our own authenticators
	other      *Identity   // of all others
}

// authenticate asks the authenticators in turn: see Middleware.Require for the
// rule. What is found is written to f as it goes, so that also a panic is known to
// be of that scheme.
func (rt *route) authenticate(r *http.Request, f *found) error {
	presented := header.ParseAuthorization(r.Header)
	scheme := rt.named(presented.Scheme)
	if presented.Unreadable {
		f.scheme, f.explicit = scheme, true
		return errMalformed
	}
	if scheme != "" {
		f.explicit = true
		return rt.askExplicit(r, scheme, presented, f)
	}
	return rt.askAmbient(r, f)
}

// named returns the scheme of this route that a field names, or "". There is no
// Authorization field for Cookie, whoever writes one.
func (rt *route) named(name string) Scheme {
	for _, s := range rt.schemes {
		if s != SchemeCookie && header.IsScheme(name, string(s)) {
			return s
		}
	}
	return ""
}

// askExplicit goes on after a refusal, so that a legacy authenticator can stand
// behind or before ours. That a credential is too long for ours says nothing of
// another's: a JSON Web Token is longer. A refusal that names an owner stands: one who
// knows less must not hide a leak.
func (rt *route) askExplicit(r *http.Request, scheme Scheme, presented header.Authorization, f *found) error {
	var refusal error
	for i, a := range rt.authenticators {
		if !header.IsScheme(string(rt.schemes[i]), string(scheme)) {
			continue
		}
		f.scheme = rt.schemes[i]
		err := f.ask(a, r, presented)
		switch {
		case err == nil || errors.Is(err, ErrUnavailable):
			return err
		case err == errTooLong:
			if refusal == nil {
				refusal = err // unless another one knows better
			}
		case errors.Is(err, ErrInvalidCredential):
			if !ownerKnown(refusal) {
				refusal = err
			}
		case !errors.Is(err, ErrNoCredential):
			return err
		}
	}
	if refusal == nil {
		return errUnknown // nobody's
	}
	return refusal
}

// askAmbient takes what comes with a request by itself, so that one that is stale
// does not stand in the way of the next. As above, a refusal that names an owner stands.
func (rt *route) askAmbient(r *http.Request, f *found) error {
	var refusal error = errNoCredential
	var refused Scheme
	for i, a := range rt.authenticators {
		f.scheme = rt.schemes[i]
		err := f.ask(a, r, header.Authorization{})
		switch {
		case err == nil || errors.Is(err, ErrUnavailable):
			return err
		case errors.Is(err, ErrInvalidCredential):
			if !ownerKnown(refusal) {
				refused, refusal = f.scheme, err
			}
		case !errors.Is(err, ErrNoCredential):
			return err
		}
	}
	f.scheme = refused
	return refusal
}

// ownerKnown reports whether a refusal says whose credential it was.
func ownerKnown(refusal error) bool {
	if e, ok := refusal.(*Error); ok { // ours, which costs nothing to look at
		return e.userID != ""
	}
	return refusal != nil && within(refusal).userID != ""
}

var errNobody = errors.New("auth: an authenticator returned neither an identity nor an error")

// ask puts the question to one authenticator. Our own are told what the header
// says, and answer with the record, so that a request that passes costs one
// allocation. The switch is on types and not on an interface: a type of
// somebody else that embeds one of ours would have its methods, and be passed
// over.
func (f *found) ask(a Authenticator, r *http.Request, presented header.Authorization) (err error) {
	switch a := a.(type) {
	case *Bearer:
		if presented.Scheme == "" {
			return errNoCredential
		}
		f.credential, err = a.authenticate(r, presented)
	case *Secret:
		if presented.Scheme == "" {
			return errNoCredential
		}
		f.credential, err = a.authenticate(r, presented)
	case *Cookie:
		f.credential, err = a.authenticate(r)
	default:
		var id *Identity
		id, err = a.Authenticate(r)
		switch {
		case err != nil && isNil(err):
			return fault(errNilError)
		case err != nil:
			return err // whoever it names beside that
		case id == nil || id.UserID == "":
			return fault(errNobody)
		}
		f.other = id
	}
	return err
}

// caught is the error of a panic, but for the one by which a handler ends its
// connection.
func caught(scheme Scheme, v any) error {
	if v == http.ErrAbortHandler {
		panic(v)
	}
	return panicError("authentication by "+string(scheme), v)
}

// refusal makes the whole answer out of what an authenticator said.
func (rt *route) refusal(r *http.Request, f *found, err error) Error {
	e, ok := err.(*Error)
	if !ok {
		e = within(err)
	}
	refusal := Error{
		Scheme: f.scheme, Reason: e.Reason, Err: err,
		userID: e.userID, credentialID: e.credentialID, detail: e.detail, answers: &rt.answers,
	}
	if ok {
		refusal.Err = e.Err
	}
	if e.detail != nil && e.Status == http.StatusInternalServerError {
		refusal.Status = e.Status
		return refusal
	}
	var reason Reason
	refusal.Status, reason = statusOf(refusal.Err)
	if !refusal.Reason.known() {
		refusal.Reason = reason
	}
	if refusal.Status == http.StatusServiceUnavailable {
		refusal.Err = unavailable(refusal.Err)
		if r.Context().Err() != nil {
			refusal.Reason = ReasonCanceled
		}
	}
	return refusal
}

// within returns the Error that err wraps, or an empty one.
func within(err error) *Error {
	var e *Error
	if errors.As(err, &e) && e != nil {
		return e
	}
	return new(Error)
}

// statusOf is the answer to an error of an authenticator, and the reason if it
// gave none.
func statusOf(err error) (int, Reason) {
	switch {
	case errors.Is(err, ErrUnavailable):
		return http.StatusServiceUnavailable, ReasonUnavailable // whatever it wraps
	case errors.Is(err, ErrNoCredential):
		return http.StatusUnauthorized, ReasonMissing
	case errors.Is(err, ErrMalformed):
		return http.StatusBadRequest, ReasonMalformed
	case errors.Is(err, ErrInvalidCredential):
		return http.StatusUnauthorized, ReasonRejected
	case errors.Is(err, ErrInsufficientScope):
		return http.StatusForbidden, ReasonScope
	case errors.Is(err, ErrCrossOrigin):
		return http.StatusForbidden, ReasonCrossOrigin
	}
	return http.StatusServiceUnavailable, ReasonUnavailable
}
