package auth

import (
	"context"
	"fmt"
	"net/http"
	"reflect"
)

// FromContext returns the identity that [Middleware.Require] or
// [Middleware.Optional] put into a request's context. It returns nil and false
// if the request is anonymous or passed through neither. The identity is the
// caller's own: each call makes a new one.
func FromContext(ctx context.Context) (*Identity, bool) {
	// Small enough to be inlined: the identity is then on the stack of a handler that
	// only reads it, and no request has to carry 112 bytes (TestAllocations).
	id := new(Identity)
	if !describe(ctx, id) {
		return nil, false
	}
	return id, true
}

func describe(ctx context.Context, id *Identity) bool { return current(ctx).describe(id) }

// NewContext returns a context with a copy of id, as Require would put it
// there: for tests of handlers, and for work that goes on in the name of a user
// after the request. A user that ctx carries belongs to another identity and is
// hidden. A nil id makes the context anonymous.
//
// The context of a request keeps all of the request, its header included. What goes on
// for long afterwards starts from another one: NewContext(context.Background(), id).
func NewContext(ctx context.Context, id *Identity) context.Context {
	c := &identityContext{Context: ctx}
	if id != nil {
		c.subject = newSubject(*id)
	}
	if outer := current(ctx); outer != nil {
		c.answers = outer.answers
	}
	return c
}

// User returns what Middleware.Resolve made of the identity, if that is a T.
// It returns the zero T and false if there is none, or it has another type.
func User[T any](ctx context.Context) (T, bool) {
	t, ok := current(ctx).user().(T)
	return t, ok
}

// MustUser is User for handlers behind a Require whose Middleware.Resolve
// returns a T. It panics if there is none or it has another type, and names
// both: that is a mistake in the program, not in the request.
func MustUser[T any](ctx context.Context) T {
	t, ok := User[T](ctx)
	if !ok {
		panic(fmt.Sprintf("auth: MustUser wants a %v and the context has a %T", reflect.TypeFor[T](), current(ctx).user()))
	}
	return t
}

// NewUserContext returns a context in which User finds user, beside the
// identity that ctx has. It is for tests of handlers.
func NewUserContext(ctx context.Context, user any) context.Context {
	c := &identityContext{Context: ctx, subject: &subject{user: user}}
	if outer := current(ctx); outer != nil {
		c.credential, c.answers = outer.credential, outer.answers
		if outer.subject != nil {
			c.subject.identity = outer.subject.identity
		}
	}
	return c
}

// An identityContext holds all that a request's authentication leaves behind,
// so that an inner one hides the whole outer one: never an identity of the one
// beside a user of the other.
//
// The identity of one of our own credentials is read off its record when somebody
// asks for it. Nobody writes to a record, and a request carries 352 bytes instead of
// 512, which saves a tenth of its time (BenchmarkChain/Bearer).
type identityContext struct {
	context.Context
	credential *Credential // of one of our own authenticators, or nil
	subject    *subject    // what credential does not say, or nil
	answers    *answers    // nil: not behind a Require or Optional
}

// A subject is an identity that is not read off a record, and what Resolve made
// of one.
type subject struct {
	identity *Identity // nil: that of the record, if there is one
	user     any
}

func newSubject(id Identity) *subject {
	s := new(struct {
		subject
		id Identity
	})
	s.id = id
	s.identity = &s.id
	return &s.subject
}

// describe fills in the identity, and reports whether there is one.
func (c *identityContext) describe(id *Identity) bool {
	switch {
	case c == nil:
		return false
	case c.subject != nil && c.subject.identity != nil:
		*id = *c.subject.identity
	case c.credential != nil:
		c.credential.describe(id)
	default:
		return false
	}
	return true
}

// scheme is that of the identity; "" if there is none.
func (c *identityContext) scheme() Scheme {
	switch {
	case c.subject != nil && c.subject.identity != nil:
		return c.subject.identity.Scheme
	case c.credential != nil:
		return c.credential.Kind.scheme()
	}
	return ""
}

// user returns what Resolve made of the identity, or nil.
func (c *identityContext) user() any {
	if c == nil || c.subject == nil {
		return nil
	}
	return c.subject.user
}

// Format implements fmt.Formatter with the type's name for every verb: a log of a
// context must not show the request in it, or the service's user.
func (c *identityContext) Format(f fmt.State, _ rune) { fmt.Fprint(f, "auth.Context") }

type contextKey struct{}

func (c *identityContext) Value(key any) any {
	if _, ok := key.(contextKey); ok {
		return c
	}
	return c.Context.Value(key)
}

func current(ctx context.Context) *identityContext {
	c, _ := ctx.Value(contextKey{}).(*identityContext)
	return c
}

// A passage is what a request that passes needs, in one allocation: the copy of
// the request and its context.
type passage struct {
	identityContext
	request http.Request
	marks   *marks // nil where the route sets no header fields
}

// marks are the values of the header fields that a route sets on good answers:
// each request has its own, since a handler may write to them.
type marks struct {
	vary, varyAuthorization, cacheControl [1]string
}

// newPassage makes room for a request and, where the route sets some, for header
// fields.
func newPassage(rt *route) *passage {
	if !rt.takesCookie && !rt.optional {
		return new(passage)
	}
	p := new(struct {
		passage
		values marks
	})
	p.marks = &p.values
	return &p.passage
}

// enter fills in the request, which carries the rest in its context. The request
// is copied as Request.WithContext copies it; that is inlined, and its own
// allocation goes away. With two allocations a request takes 7 % longer
// (BenchmarkChain/Bearer).
func (p *passage) enter(rt *route, r *http.Request) {
	p.Context, p.answers = r.Context(), &rt.answers
	p.request = *r.WithContext(p)
}

type requestKey struct{}

// Value also finds the request, for the events of what is done in its name.
func (p *passage) Value(key any) any {
	if _, ok := key.(requestKey); ok {
		return &p.request
	}
	return p.identityContext.Value(key)
}

// remote is the address of the request that ctx belongs to; "" if there is none.
func remote(ctx context.Context) string {
	if r, ok := ctx.Value(requestKey{}).(*http.Request); ok {
		return r.RemoteAddr
	}
	return ""
}
