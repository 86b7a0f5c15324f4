package auth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"

	"github.com/seed-31c5bcb2/auth/internal/header"
)

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

func isNil(v any) bool {
	if v == nil {
		return true
	}
	switch r := reflect.ValueOf(v); r.Kind() {
	case reflect.Pointer, reflect.Func, reflect.Map, reflect.Slice, reflect.Chan:
		return r.IsNil()
	}
	return false
}

// isNilPointer leaves out maps and slices, of which nil is an empty one.
func isNilPointer(v any) bool {
	r := reflect.ValueOf(v)
	return r.Kind() == reflect.Pointer && r.IsNil()
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
