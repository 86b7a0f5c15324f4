package auth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/seed-31c5bcb2/auth/internal/header"
)

// A Middleware wraps handlers so that only authenticated requests reach them. The zero
// value is usable. Its methods read its fields when they are called; later changes do not
// affect routes that are built.
//
// Error responses share their header values, so that rejecting junk allocates nothing, unless
// an authenticator reads a header of its own: see [Bearer.InHeader] and [Authenticator].
// A handler around Require may replace a header, as Header.Set and Header.Add do, but must
// not write into its slice.
type Middleware struct {
	// Realm names the protected space in challenges: "api" if empty, since RFC 6750
	// section 3 requires a parameter after Bearer. Quotes are escaped. Control characters
	// are not allowed.
	Realm string
	// ResourceMetadata, if not empty, is the URL of this API's OAuth metadata (RFC 9728),
	// which the Bearer challenge names.
	ResourceMetadata string
	// Resolve, if not nil, maps an identity to the service's own user, which handlers get
	// from [User]. If it returns [ErrInvalidCredential], the request is rejected as if the
	// credential were unknown; [ErrForbidden] is answered with 403, [ErrReauthenticationRequired]
	// with 401 as in RFC 9470, and an *[Error] by its Err, as [WriteError] answers it. Any other
	// error, and any that wraps [ErrUnavailable], is answered with 503. It may return a nil
	// user, but a nil pointer is answered with 500, as it is probably a mistake. It is
	// called for each authenticated request with the request's context, and must not
	// modify id.
	Resolve func(ctx context.Context, id *Identity) (user any, err error)
	// Observe, if not nil, is called for each decision on a request. If it is nil, outages
	// and internal errors are logged to slog.Default(): see Observer. Changes to tokens,
	// sessions and secrets are reported to the Observe of their authenticator.
	Observe Observer
	// OnError, if not nil, answers rejected requests instead of [WriteError]. err is an
	// *[Error]. WWW-Authenticate, Vary and Cache-Control are set already. It must write
	// the status, for example [Error.StatusCode]: without one net/http answers 200.
	OnError func(w http.ResponseWriter, r *http.Request, err error)
}

// Require returns a wrapper for handlers that only authenticated requests reach: those
// that one of the authenticators accepts. Handlers get the identity from [FromContext].
//
// If the Authorization header names the scheme of one or more authenticators, only those
// are tried, in order. The next one is tried after [ErrInvalidCredential],
// [ErrNoCredential] and [ReasonTooLong]; any other result decides. A valid cookie never
// makes up for an invalid token. A header of [Bearer.InHeader] decides in the same way, and is
// answered with 400 next to an Authorization header.
//
// If there is no such header, or it names another scheme, all authenticators are tried in
// order, by the same rule: a stale cookie does not stop the next one. A valid credential that
// [Middleware.Resolve] rejects does: none is tried after it. Two headers, or one over 64 KiB, are
// answered with 400 on all routes.
//
// Responses have a Vary header with the headers other than Authorization that the
// authenticators read: see [Authenticator]. If the credential was not in an Authorization
// header that names its scheme, they also have "Cache-Control: private", unless something
// outside of Require or the handler sets another. Errors have no-store.
//
// Handlers get a copy of the request. Afterwards, the request that the wrapper was called with
// has the copy's forms, and if it has no Pattern the copy's Pattern and path values, so that
// middleware around Require knows the route that an http.ServeMux inside has matched.
//
// If Require and Optional are nested, the innermost decides. Require panics if an
// authenticator is nil or was not made by its constructor, if a scheme is not a token of
// RFC 9110, or if Realm or ResourceMetadata cannot be sent, and the wrapper panics if
// the handler is nil: a misconfigured route must not serve requests.
func (m *Middleware) Require(first Authenticator, more ...Authenticator) func(http.Handler) http.Handler {
	return newRoute(*m, false, first, more).wrap
}

// Optional is like Require, but also lets anonymous requests through: requests without a
// credential, and requests with an invalid credential outside of the Authorization header and
// those of [Bearer.InHeader], such as a stale or forged cookie, or one that Resolve rejects with
// ErrInvalidCredential or ErrReauthenticationRequired: a page on which users sign in stays open
// to them. The Observer receives the reason. All other requests are answered as by Require, for
// example a cross-origin request with a valid cookie.
func (m *Middleware) Optional(first Authenticator, more ...Authenticator) func(http.Handler) http.Handler {
	return newRoute(*m, true, first, more).wrap
}

// Authenticate decides as Require does and notifies the Observer, but writes nothing and
// does not call OnError. It is for frameworks with their own handlers, and for WebSocket
// upgrades. It returns a copy of the request with the identity in its context, or an
// *[Error] for [WriteError].
//
// The caller sets Vary and Cache-Control as Require does, calls MultipartForm.RemoveAll if it
// reads an upload from the returned request, and copies Pattern to r if a router inside sets
// it and a middleware outside reads it. Require is cheaper: it checks its arguments once,
// whereas Authenticate panics on each request for what Require panics for.
func (m *Middleware) Authenticate(r *http.Request, first Authenticator, more ...Authenticator) (*http.Request, error) {
	rejection := new(Error)
	if a := newRoute(*m, false, first, more).admit(r, rejection); a != nil {
		return &a.request, nil
	}
	return nil, rejection
}

// Require calls [Middleware.Require] on a zero Middleware.
func Require(first Authenticator, more ...Authenticator) func(http.Handler) http.Handler {
	return new(Middleware).Require(first, more...)
}

// Optional calls [Middleware.Optional] on a zero Middleware.
func Optional(first Authenticator, more ...Authenticator) func(http.Handler) http.Handler {
	return new(Middleware).Optional(first, more...)
}

// A route is what one Require or Optional is built into.
type route struct {
	responder
	resolve        func(context.Context, *Identity) (any, error)
	authenticators []Authenticator
	schemes        []Scheme // schemes[i] is authenticators[i].Scheme().canonical()
	headers        []string // headers[i] is the one that authenticators[i] reads by Bearer.InHeader; empty for all others
	inHeaders      bool     // headers are not all empty
	cookies        int      // how many of authenticators are a *Cookie
	unspecified    []bool   // unspecified[i] means that authenticators[i] may read anything
}

func newRoute(m Middleware, optional bool, first Authenticator, more []Authenticator) *route {
	rt := &route{responder: responder{onError: m.OnError, observe: m.Observe, optional: optional}, resolve: m.Resolve}
	rt.authenticators = append(append(rt.authenticators, first), more...)
	for i, a := range rt.authenticators {
		if fault := checkAuthenticator(a); fault != "" {
			panic(fmt.Sprintf("auth: authenticator %d %s", i, fault))
		}
		scheme := a.Scheme().canonical()
		rt.schemes = append(rt.schemes, scheme)
		rt.takesCookie = rt.takesCookie || scheme == SchemeCookie
		rt.unspecified = append(rt.unspecified, rt.addFields(a, scheme))
		if _, ok := a.(*Cookie); ok {
			rt.cookies++
		}
		var name string
		if own, ok := a.(*headerBearer); ok {
			name, rt.inHeaders = own.name, true
		}
		rt.headers = append(rt.headers, name)
	}
	rt.challenges = newChallenges(m.Realm, m.ResourceMetadata, rt.schemes, rt.headers)
	return rt
}

// addFields notes what an authenticator reads, and reports whether that is unspecified.
func (rt *route) addFields(a Authenticator, scheme Scheme) (unspecified bool) {
	switch a := a.(type) {
	case *Bearer, *Cookie, *Secret:
		return false
	case interface{ Vary() []string }:
		for _, name := range a.Vary() {
			if !header.IsToken(name) {
				panic(fmt.Sprintf("auth: Vary of a %T has %q, which is not the name of a header", a, name))
			}
			if strings.EqualFold(name, "Cookie") {
				rt.takesCookie = true
			} else {
				rt.fields = append(rt.fields, http.CanonicalHeaderKey(name))
			}
		}
		return false
	}
	return scheme != SchemeCookie
}

// checkAuthenticator returns why an authenticator must not guard a route, or "".
func checkAuthenticator(a Authenticator) (fault string) {
	if isNil(a) {
		return "is nil"
	}
	made := true
	switch a := a.(type) {
	case *Bearer:
		made = a.store != nil
	case *Cookie:
		made = a.store != nil
	case *Secret:
		made = a.store != nil
	}
	if !made {
		return fmt.Sprintf("is a zero %T: use its constructor", a)
	}
	if s := a.Scheme(); !header.IsToken(string(s)) {
		return fmt.Sprintf("has the scheme %q, which is not a token of RFC 9110 section 5.6.2", s)
	}
	return ""
}

// wrap returns the handler that serves requests: next behind this route.
func (rt *route) wrap(next http.Handler) http.Handler {
	if isNil(next) {
		panic("auth: Require around a nil handler")
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var rejection Error
		a := rt.admit(r, &rejection)
		if a == nil {
			rt.reject(w, r, rejection)
			return
		}
		rt.setHeaders(w.Header(), a)
		defer share(r, &a.request) // even after a panic that is recovered outside
		next.ServeHTTP(w, &a.request)
	})
}

// share gives a middleware around Require what net/http and routers have written to our copy
// of the request: the route, for metrics and traces, and forms, of whose uploads net/http
// removes the temporary files. It writes no field that another goroutine may read meanwhile.
func share(r, ours *http.Request) {
	if r.Pattern == "" && ours.Pattern != "" {
		r.Pattern = ours.Pattern
		sharePathValues(r, ours)
	}
	if r.Form == nil && ours.Form != nil {
		r.Form = ours.Form
	}
	if r.PostForm == nil && ours.PostForm != nil {
		r.PostForm = ours.PostForm
	}
	if r.MultipartForm == nil && ours.MultipartForm != nil {
		r.MultipartForm = ours.MultipartForm
	}
}

// sharePathValues reads the names of the wildcards from the pattern: {id} and {path...} of
// http.ServeMux, and {id:[0-9]+} of other routers.
func sharePathValues(r, ours *http.Request) {
	for rest := ours.Pattern; ; {
		var name string
		var found bool
		if _, rest, found = strings.Cut(rest, "{"); !found {
			return
		}
		name, rest, _ = strings.Cut(rest, "}")
		name, _, _ = strings.Cut(strings.TrimSuffix(name, "..."), ":")
		if value := ours.PathValue(name); value != "" {
			r.SetPathValue(name, value)
		}
	}
}

// admit decides on a request and notifies the Observer. It returns nil if the request must
// not pass. It sets rejection then, and if Optional lets an invalid credential pass.
func (rt *route) admit(r *http.Request, rejection *Error) *admitted {
	a := rt.decide(r, rejection)
	switch {
	case a == nil:
		rt.notifyRefused(r, rejection)
	case rt.observe != nil:
		e := newEvent(EventAnonymous, "", subject{})
		if id := new(Identity); a.describe(id) {
			e = newEvent(EventAccepted, id.Scheme, id.subject())
		} else if rejection.Reason != ReasonMissing {
			e = newEvent(EventAnonymous, rejection.Scheme, rejection.subject)
			e.Reason = rejection.Reason
		}
		rt.observe.notify(a, r, e) // in the handler's context
	}
	return a
}

// decide turns panics of authenticators, stores and Resolve into a rejection of that one
// request.
func (rt *route) decide(r *http.Request, rejection *Error) (a *admitted) {
	var res result
	defer func() {
		if v := recover(); v != nil {
			a, *rejection = nil, rt.rejection(r.Context(), res.scheme, recoveredError(res.scheme, v))
		}
	}()
	err := rt.authenticate(r, &res)
	if err == nil {
		a, err = rt.identify(r, &res)
	}
	if err == nil {
		return a
	}
	*rejection = rt.rejection(r.Context(), res.scheme, err)
	rejection.inHeader = res.inHeader != ""
	if rt.optional && !res.explicit && conditionOf(rejection.Err).status == http.StatusUnauthorized {
		a = newAdmitted(true)
		a.setRequest(rt, r)
	}
	return a
}

// identify admits an authenticated request, unless Resolve rejects it.
func (rt *route) identify(r *http.Request, res *result) (*admitted, error) {
	a := newAdmitted(rt.setsHeaders() || res.identity != nil)
	a.credential = res.credential
	if !res.explicit || res.inHeader != "" {
		// Shared caches keep a response to a request without Authorization (RFC 9111
		// section 3.5), and would serve it to other users.
		a.headers.cacheControl[0] = "private"
		if rt.unspecified[res.tried] {
			a.headers.vary[0] = "*"
		}
	}
	if res.credential == nil {
		a.principal = newPrincipal(*res.identity)
		a.principal.identity.Scheme = res.scheme         // the route's, whatever the identity claims
		a.principal.request = r.WithContext(r.Context()) // share writes to r
	} else if cookie, ok := rt.authenticators[res.tried].(*Cookie); ok && rt.cookies > 1 {
		a.principal = &principal{cookie: cookie}
	}
	if err := rt.setUser(r.Context(), &a.identityContext); err != nil {
		return nil, err
	}
	a.setRequest(rt, r)
	return a, nil
}

// setUser calls Resolve, if there is one, for the identity of c.
func (rt *route) setUser(ctx context.Context, c *identityContext) (err error) {
	if rt.resolve == nil {
		return nil
	}
	if c.principal == nil || c.principal.identity == nil {
		p := newPrincipal(Identity{})
		c.credential.describe(p.identity)
		if c.principal != nil {
			p.cookie = c.principal.cookie
		}
		c.principal = p
	}
	c.principal.user, err = rt.resolveUser(ctx, c.principal.identity)
	return err
}

var errNilUser = errors.New("auth: Resolve returned a nil pointer and no error")

// resolveUser tells a user whom Resolve rejects from an outage and from a mistake.
func (rt *route) resolveUser(ctx context.Context, id *Identity) (any, error) {
	user, err := rt.resolve(ctx, id)
	switch {
	case err == nil && isNilPointer(user):
		return nil, errInternal(errNilUser)
	case err == nil:
		return user, nil
	}
	rejected := checkError(ctx, id, err, ErrInvalidCredential, ErrForbidden, ErrReauthenticationRequired)
	rejected.decided = true
	if rejected.Reason == ReasonRejected {
		rejected.Reason = ReasonDisabled
	}
	return nil, rejected
}

// setsHeaders reports whether all responses to admitted requests have headers of the route.
func (rt *route) setsHeaders() bool { return rt.takesCookie || rt.optional || len(rt.fields) > 0 }

// setHeaders sets the headers of responses to admitted requests.
func (rt *route) setHeaders(h http.Header, a *admitted) {
	v := a.headers
	if v == nil {
		return
	}
	if v.vary[0] == "*" {
		addVary(h, &v.vary)
	} else {
		v.vary[0] = "Cookie"
	}
	v.varyAuthorization[0] = "Authorization"
	rt.setVary(h, &v.vary, &v.varyAuthorization)
	if v.cacheControl[0] != "" && len(h["Cache-Control"]) == 0 {
		h["Cache-Control"] = v.cacheControl[:]
	}
}
