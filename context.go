package auth

import (
	"context"
	"fmt"
	"net/http"
	"reflect"
)

// FromContext returns the identity that [Middleware.Require] or
// [Middleware.Optional] put into a request's context. It returns nil and false
// if the request is anonymous or passed through neither.
func FromContext(ctx context.Context) (*Identity, bool) {
	if c := current(ctx); c != nil && c.identity != nil {
		return c.identity, true
	}
	return nil, false
}

// NewContext returns a context with a copy of id, as Require would put it
// there: for tests of handlers, and for work that goes on in the name of a user
// after the request. A user that ctx carries belongs to another identity and is
// hidden. A nil id makes the context anonymous.
func NewContext(ctx context.Context, id *Identity) context.Context {
	c := &identityContext{Context: ctx}
	if id != nil {
		clone := *id
		c.identity = &clone
	}
	if outer := current(ctx); outer != nil {
		c.answers = outer.answers
	}
	return c
}

// User returns what Middleware.Resolve made of the identity, if that is a T.
// It returns the zero T and false if there is none, or it has another type.
func User[T any](ctx context.Context) (T, bool) {
	var user any
	if c := current(ctx); c != nil {
		user = c.user
	}
	t, ok := user.(T)
	return t, ok
}

// MustUser is User for handlers behind a Require whose Middleware.Resolve
// returns a T. It panics if there is none or it has another type, and names
// both: that is a mistake in the program, not in the request.
func MustUser[T any](ctx context.Context) T {
	t, ok := User[T](ctx)
	if !ok {
		var have any
		if c := current(ctx); c != nil {
			have = c.user
		}
		panic(fmt.Sprintf("auth: MustUser wants a %v and the context has a %T", reflect.TypeFor[T](), have))
	}
	return t
}

// NewUserContext returns a context in which User finds user, beside the
// identity that ctx has. It is for tests of handlers.
func NewUserContext(ctx context.Context, user any) context.Context {
	c := &identityContext{Context: ctx, user: user}
	if outer := current(ctx); outer != nil {
		c.identity, c.answers = outer.identity, outer.answers
	}
	return c
}

// An identityContext holds all that a request's authentication leaves behind,
// so that an inner one hides the whole outer one: never an identity of the one
// beside a user of the other.
type identityContext struct {
	context.Context
	identity *Identity // nil: anonymous
	user     any
	answers  *answers // nil: not behind a Require or Optional
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
// the request, its context, the identity and the header values that we add.
type passage struct {
	identityContext
	identity Identity
	request  http.Request

	vary, varyAuthorization, cacheControl [1]string
}

// enter fills in the request, which carries the rest in its context. The request
// is copied as Request.WithContext copies it; that is inlined, and its own
// allocation goes away.
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
