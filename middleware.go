package auth

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/seed-31c5bcb2/auth/internal/header"
)

// A Middleware wraps handlers in authentication. The zero value works. It is
// read when a route is built: copy it to vary it, and change nothing later.
//
// Refusals that no OnError answers share their header values, so that junk costs
// no allocation. A middleware outside that changes one sets another value, as
// Header.Set and Add do, and writes into none.
type Middleware struct {
	// Realm names the protected space in challenges; "" is "api", since RFC 6750
	// section 3 wants a parameter after Bearer. Quotes in it are escaped; it has
	// no control characters.
	Realm string
	// ResourceMetadata is the URL of this API's OAuth metadata (RFC 9728), named
	// in the Bearer challenge. "": none.
	ResourceMetadata string
	// Resolve turns an identity into the service's own user, for [User], and
	// decides whether that may still come in: [ErrInvalidCredential] refuses it
	// exactly as an unknown credential, any other error is answered with 503. It
	// is called for each request that is authenticated, with the request's
	// context, and only reads id. nil: there is no such user. A nil user is fine;
	// a nil pointer in it is taken for a mistake and refused with 500.
	Resolve func(ctx context.Context, id *Identity) (user any, err error)
	// Observe is told of every decision on a request. What happens to tokens,
	// sessions and secrets goes to the authenticators' own. nil: nobody is told.
	Observe Observer
	// OnError answers a refused request instead of [WriteError]. err is an
	// *[Error]. WWW-Authenticate, Vary and Cache-Control are set already. It has
	// to write the status: a handler that writes nothing is answered with 200.
	OnError func(w http.ResponseWriter, r *http.Request, err error)
}

// Require returns a wrapper for handlers that only authenticated requests reach:
// those that one of the authenticators accepts. The handler finds the identity
// by [FromContext].
//
// If the Authorization field names the scheme of one or more of them, they are
// asked in the order given until one does not answer [ErrInvalidCredential] (or
// that the credential is too long to be one of its own), and nobody else is: a
// cookie never rescues a bad token. Otherwise all are asked in that order, and a
// cookie that is stale does not stop the next. A scheme that none of them has
// counts as no credential.
//
// Within another Require or Optional, the inner one decides. Require panics for
// an authenticator that is nil or not made by its constructor, for a scheme that
// is no RFC 9110 token, for a Realm or ResourceMetadata that cannot be sent, and
// the wrapper for a nil handler: a route that is built wrong must not open.
func (m *Middleware) Require(first Authenticator, more ...Authenticator) func(http.Handler) http.Handler {
	return newRoute(*m, false, first, more).wrap
}

// Optional is Require for routes that anonymous requests may reach as well: those
// without a credential, or with one outside the Authorization field that is not good:
// a stale or forged cookie, one of an account that Resolve refuses, what an
// authenticator of one's own refuses with [ErrInvalidCredential]. The Observer is told
// what was wrong with it. A bad credential in the Authorization field, a cross-origin
// request with a good cookie and an outage are refused as by Require.
func (m *Middleware) Optional(first Authenticator, more ...Authenticator) func(http.Handler) http.Handler {
	return newRoute(*m, true, first, more).wrap
}

// Authenticate decides as Require does and writes nothing: for frameworks with
// handlers of their own, and for WebSocket upgrades. It returns the request with
// the identity in its context, or an *[Error], which [WriteError] answers with
// the same challenges as Require. Of what Require sets on good answers (Vary,
// Cache-Control) the caller takes care, and of the files of an upload that is read from
// the request returned: its MultipartForm.RemoveAll. Require is cheaper: it checks its
// authenticators once, and does not panic for each request as this does for what
// Require panics.
func (m *Middleware) Authenticate(r *http.Request, first Authenticator, more ...Authenticator) (*http.Request, error) {
	refusal := new(Error)
	if p := newRoute(*m, false, first, more).admit(r, refusal); p != nil {
		return &p.request, nil
	}
	return nil, refusal
}

// RequireScope returns a wrapper for handlers that only identities with all of
// the scopes reach. It stands inside Require: outside it answers 500, and after
// an Optional that found nobody 401. It panics if it names no scope, or one
// that RFC 6749 section 3.3 does not allow. Where m has no Observe or no OnError,
// those of the Require around it serve.
func (m *Middleware) RequireScope(scopes ...string) func(http.Handler) http.Handler {
	return m.scoped(scopes, checkAll)
}

// RequireAnyScope is RequireScope for identities with one or more of the scopes.
func (m *Middleware) RequireAnyScope(scopes ...string) func(http.Handler) http.Handler {
	return m.scoped(scopes, checkAny)
}

// Require is that of a zero [Middleware].
func Require(first Authenticator, more ...Authenticator) func(http.Handler) http.Handler {
	return new(Middleware).Require(first, more...)
}

// Optional is that of a zero [Middleware].
func Optional(first Authenticator, more ...Authenticator) func(http.Handler) http.Handler {
	return new(Middleware).Optional(first, more...)
}

// RequireScope is that of a zero [Middleware]: refusals are told to, and answered
// by, the Middleware of the Require around it.
func RequireScope(scopes ...string) func(http.Handler) http.Handler {
	return new(Middleware).RequireScope(scopes...)
}

// RequireAnyScope is that of a zero [Middleware], as RequireScope is.
func RequireAnyScope(scopes ...string) func(http.Handler) http.Handler {
	return new(Middleware).RequireAnyScope(scopes...)
}

// A route is what one Require or Optional knows: whom to ask, and what to answer.
type route struct {
	answers
	resolve        func(context.Context, *Identity) (any, error)
	authenticators []Authenticator
	schemes        []Scheme // what authenticators[i].Scheme() returns
}

func newRoute(m Middleware, optional bool, first Authenticator, more []Authenticator) *route {
	rt := &route{answers: answers{onError: m.OnError, observe: m.Observe, optional: optional}, resolve: m.Resolve}
	rt.authenticators = append(append(rt.authenticators, first), more...)
	for i, a := range rt.authenticators {
		if fault := unusable(a); fault != "" {
			panic(fmt.Sprintf("auth: authenticator %d %s", i, fault))
		}
		rt.schemes = append(rt.schemes, a.Scheme())
		rt.takesCookie = rt.takesCookie || a.Scheme() == SchemeCookie
	}
	rt.challenges = newChallenges(m.Realm, m.ResourceMetadata, rt.schemes)
	return rt
}

// unusable says why an authenticator must not guard a route.
func unusable(a Authenticator) string {
	if isNil(a) {
		return "is nil"
	}
	var made bool
	switch a := a.(type) {
	case *Bearer:
		made = a.store != nil
	case *Cookie:
		made = a.store != nil
	case *Secret:
		made = a.store != nil
	default:
		made = true
	}
	if !made {
		return fmt.Sprintf("is a zero %T: use its constructor", a)
	}
	if s := a.Scheme(); !header.IsToken(string(s)) {
		return fmt.Sprintf("has the scheme %q: RFC 9110 section 11.1 wants a token", s)
	}
	return ""
}

func (rt *route) wrap(next http.Handler) http.Handler {
	if isNil(next) {
		panic("auth: Require around a nil handler")
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var refusal Error
		p := rt.admit(r, &refusal)
		if p == nil {
			rt.refuse(w, r, refusal)
			return
		}
		rt.mark(w.Header(), p)
		defer handBack(r, &p.request) // also after a panic that somebody recovers
		next.ServeHTTP(w, &p.request)
	})
}

// handBack lets net/http, which does so for its own request, remove the temporary files
// of an upload that a handler has read from ours.
func handBack(r, ours *http.Request) {
	if ours.MultipartForm != nil && r.MultipartForm == nil {
		r.MultipartForm = ours.MultipartForm
	}
}

// admit decides on a request: the passage of one that may go on, or the refusal.
// The Observer is told.
func (rt *route) admit(r *http.Request, refusal *Error) *passage {
	p := rt.decide(r, refusal)
	switch {
	case rt.observe == nil:
	case p == nil:
		rt.tellRefused(r, refusal)
	default:
		e := Event{Kind: EventAnonymous}
		if id := new(Identity); p.describe(id) {
			e = Event{Kind: EventAccepted, Scheme: id.Scheme, UserID: id.UserID, CredentialID: id.CredentialID}
		} else if refusal.Reason != ReasonMissing {
			e.Scheme, e.Reason, e.UserID, e.CredentialID = refusal.Scheme, refusal.Reason, refusal.userID, refusal.credentialID
		}
		rt.tell(r, e)
	}
	return p
}

// decide recovers whatever an authenticator, a store, Resolve or one of their
// errors panics with, so that it is one request's answer and nothing more.
func (rt *route) decide(r *http.Request, refusal *Error) (p *passage) {
	var f found
	defer func() {
		if v := recover(); v != nil {
			p, *refusal = nil, rt.refusal(r, &f, fault(caught(f.scheme, v)))
		}
	}()
	err := rt.authenticate(r, &f)
	if err == nil {
		p, err = rt.identify(r, &f)
	}
	if err == nil {
		return p
	}
	*refusal = rt.refusal(r, &f, err)
	if rt.optional && refusal.Status == http.StatusUnauthorized && !f.explicit {
		p = newPassage(rt)
		p.enter(rt, r)
	}
	return p
}

// identify lets a request in that was authenticated, if Resolve agrees.
func (rt *route) identify(r *http.Request, f *found) (*passage, error) {
	p := newPassage(rt)
	p.credential = f.credential
	if f.credential == nil {
		p.subject = newSubject(*f.other)
		p.subject.identity.Scheme = f.scheme // what Require was given, and not what an identity claims
	}
	if rt.resolve != nil {
		if p.subject == nil {
			p.subject = newSubject(Identity{})
			f.credential.describe(p.subject.identity)
		}
		user, err := rt.askResolve(r, p.subject.identity)
		if err != nil {
			return nil, err
		}
		p.subject.user = user
	}
	p.enter(rt, r)
	return p, nil
}

var errNilUser = errors.New("auth: Resolve returned a nil pointer and no error")

// askResolve keeps the kinds of failure apart: a refusal, an outage, a mistake.
func (rt *route) askResolve(r *http.Request, id *Identity) (any, error) {
	user, err := rt.resolve(r.Context(), id)
	switch {
	case err != nil && isNil(err):
		return nil, fault(errNilError)
	case errors.Is(err, ErrInvalidCredential) && !errors.Is(err, ErrUnavailable):
		return nil, &Error{Reason: ReasonDisabled, Err: ErrInvalidCredential, userID: id.UserID, credentialID: id.CredentialID}
	case err != nil:
		return nil, outage(err)
	case isNilPointer(user):
		return nil, fault(errNilUser)
	}
	return user, nil
}

// mark sets what every answer behind this route carries.
func (rt *route) mark(h http.Header, p *passage) {
	m := p.marks
	if m == nil {
		return
	}
	m.vary[0], m.varyAuthorization[0] = "Cookie", "Authorization"
	rt.setVary(h, &m.vary, &m.varyAuthorization)
	if p.scheme() == SchemeCookie && len(h["Cache-Control"]) == 0 {
		m.cacheControl[0] = "private"
		h["Cache-Control"] = m.cacheControl[:]
	}
}
