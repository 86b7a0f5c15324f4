package auth

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"reflect"

	"github.com/seed-31c5bcb2/auth/internal/header"
)

// FromContext returns the identity that [Middleware.Require] or [Middleware.Optional]
// put into a request's context. It returns nil and false if the request is anonymous or
// passed through neither. Each call returns a new Identity, which is the caller's.
func FromContext(ctx context.Context) (*Identity, bool) {
	// Small enough to be inlined: the identity is then on the stack of a handler that
	// only reads it, and a request does not carry its 112 bytes (TestAllocations).
	id := new(Identity)
	if !describe(ctx, id) {
		return nil, false
	}
	return id, true
}

func describe(ctx context.Context, id *Identity) bool { return current(ctx).describe(id) }

// NewContext returns a copy of ctx that carries a copy of id. Use it to test handlers,
// and for background work on behalf of a user. [User] finds nothing in it, even if ctx has
// a user, who belongs to another identity. If id is nil, the context is anonymous: behind
// Require or Optional scope checks answer 401, elsewhere 500.
//
// Do not derive the context of long-running work from a request's context, which
// retains the request with its headers: use NewContext(context.Background(), id).
func NewContext(ctx context.Context, id *Identity) context.Context {
	c := &identityContext{Context: ctx}
	if id != nil {
		c.principal = newPrincipal(*id)
	}
	if outer := current(ctx); outer != nil {
		c.route = outer.route
	}
	return c
}

// User returns the value that [Middleware.Resolve] returned for the request's identity.
// It returns the zero T and false if there is none, or if it is not of type T.
func User[T any](ctx context.Context) (T, bool) {
	t, ok := current(ctx).user().(T)
	return t, ok
}

// MustUser is User for handlers behind a Require whose Middleware.Resolve returns a T.
// It panics if there is no user or it is not of type T, which is a mistake in the
// program and not in the request.
func MustUser[T any](ctx context.Context) T {
	t, ok := User[T](ctx)
	if !ok {
		panic(fmt.Sprintf("auth: MustUser wants a %v and the context has a %T", reflect.TypeFor[T](), current(ctx).user()))
	}
	return t
}

// NewUserContext returns a copy of ctx in which [User] finds user, and which keeps the
// identity of ctx. Use it to test handlers.
func NewUserContext(ctx context.Context, user any) context.Context {
	c := &identityContext{Context: ctx, principal: &principal{user: user}}
	if outer := current(ctx); outer != nil {
		c.credential, c.route = outer.credential, outer.route
		if outer.principal != nil {
			*c.principal = *outer.principal
			c.principal.user = user
		}
	}
	return c
}

// AuthenticateToken authenticates a token that no HTTP request carries: of a gRPC call, or of
// a message in a queue. It decides as a route that requires b does: it looks the token up,
// calls m.Resolve, records the use and notifies m.Observe, whose events have the address that
// [WithClientAddr] has set in ctx. m's other fields are for responses. In the context that it
// returns, which is derived from ctx, [FromContext], [User], [CheckScope] and [Recheck] work as in
// a handler.
//
// The plaintext is the token alone, byte for byte: remove the scheme from a value such as
// "Bearer <token>" first. Any Bearer can be passed, as to Require: a Middleware has none of
// its own. A token with Networks is rejected unless ctx has the client's address: see
// [WithClientAddr].
//
// If the token is rejected, the context is nil and the error an *[Error] that wraps
// [ErrNoCredential] if plaintext is empty, [ErrMalformed], [ErrInvalidCredential],
// [ErrUnavailable], or what Resolve chooses, or that has the StatusCode 500 after a panic. Code
// that returns an error of a gRPC call sends its text to the client. Therefore this one has no
// Reason and wraps nothing of a store, so that all of it may be sent: only the Observer learns
// more. Errors of CheckScope and Recheck have a Reason. Send their Code and Detail, and pass
// them to [Report].
//
// AuthenticateToken is safe for concurrent use. It panics if b is nil or was not made by
// [NewBearer], and for the fields of m for which Require panics.
func (m *Middleware) AuthenticateToken(ctx context.Context, plaintext string, b *Bearer) (context.Context, error) {
	rt := newRoute(*m, false, b, nil)
	var rejection Error
	c := rt.decideToken(ctx, plaintext, b, &rejection)
	if c == nil {
		rt.observe.notify(ctx, nil, rejection.event())
		return nil, &Error{
			Scheme: rejection.Scheme, Scopes: rejection.Scopes, MaxAge: rejection.MaxAge,
			Err: conditionOf(rejection.Err).err, responder: &rt.responder,
		}
	}
	rt.observe.notify(c, nil, newEvent(EventAccepted, SchemeBearer, subjectOf(c.credential)))
	return c, nil
}

// decideToken is decide without a request.
func (rt *route) decideToken(ctx context.Context, plaintext string, b *Bearer, rejection *Error) (c *identityContext) {
	defer func() {
		if v := recover(); v != nil {
			c, *rejection = nil, rt.rejection(ctx, SchemeBearer, recoveredError(SchemeBearer, v))
		}
	}()
	if plaintext == "" {
		*rejection = rt.rejection(ctx, "", errNoCredential)
		return nil
	}
	credential, err := b.authenticate(ctx, header.Authorization{Credential: plaintext})
	if err == nil {
		c = &identityContext{Context: ctx, credential: credential, route: rt}
		err = rt.setUser(ctx, c)
	}
	if err != nil {
		*rejection = rt.rejection(ctx, SchemeBearer, err)
		return nil
	}
	return c
}

// An identityContext holds everything that the authentication of a request results in.
// An inner one hides all of an outer one, so that the identity of one is never combined
// with the user of the other.
//
// The identity of one of our own credentials is read from its record when it is asked
// for. Records are immutable, and a request carries 352 bytes instead of 512, which
// saves a tenth of its time (BenchmarkChain/Bearer).
type identityContext struct {
	context.Context
	credential *Credential // of one of our own authenticators, or nil
	principal  *principal  // what credential does not say, or nil
	route      *route      // nil if not behind Require or Optional
}

// A principal is an identity that is not read from a record, and the user that Resolve
// returned.
type principal struct {
	identity *Identity // nil for that of the record, if there is one
	user     any
	// request, if not nil, is a copy of the one that a custom authenticator has accepted, for
	// Recheck. The handler has another one, which it may change meanwhile.
	request *http.Request
	// cookie, if not nil, is the one of the route's several Cookies that has accepted the
	// request. They can have other idle timeouts.
	cookie *Cookie
}

func newPrincipal(id Identity) *principal {
	p := new(struct {
		principal
		id Identity
	})
	p.id = id
	p.identity = &p.id
	return &p.principal
}

// describe sets id to the identity, and reports whether there is one.
func (c *identityContext) describe(id *Identity) bool {
	switch {
	case c == nil:
		return false
	case c.principal != nil && c.principal.identity != nil:
		*id = *c.principal.identity
	case c.credential != nil:
		c.credential.describe(id)
	default:
		return false
	}
	return true
}

// responder is that of the route, or nil.
func (c *identityContext) responder() *responder {
	if c == nil || c.route == nil {
		return nil
	}
	return &c.route.responder
}

// user is the user that Resolve returned, or nil.
func (c *identityContext) user() any {
	if c == nil || c.principal == nil {
		return nil
	}
	return c.principal.user
}

// Format implements [fmt.Formatter]. It prints the same whatever the verb, so that logging
// a context shows neither the request nor the service's user.
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

// An admitted is what a request that passes needs, in one allocation: its context, and
// the copy of the request that carries it. With two allocations a request takes 7 %
// longer (BenchmarkChain/Bearer).
type admitted struct {
	identityContext
	request http.Request
	headers *headerValues // nil if the route sets no response headers
}

// headerValues are the values of the headers that a route sets on responses. Each
// request has its own, since handlers may modify them.
type headerValues struct {
	vary, varyAuthorization, cacheControl [1]string // vary and cacheControl are empty unless this request needs them
}

func newAdmitted(headers bool) *admitted {
	if !headers {
		return new(admitted)
	}
	a := new(struct {
		admitted
		values headerValues
	})
	a.headers = &a.values
	return &a.admitted
}

// setRequest copies the request as Request.WithContext does. That is inlined, so the
// allocation that it would make is saved.
func (a *admitted) setRequest(rt *route, r *http.Request) {
	a.Context, a.route = r.Context(), rt
	a.request = *r.WithContext(a)
}

type requestKey struct{}

// Value also finds the request, for events of changes that its handler makes.
func (a *admitted) Value(key any) any {
	if _, ok := key.(requestKey); ok {
		return &a.request
	}
	return a.identityContext.Value(key)
}

type clientAddrKey struct{}

// WithClientAddr returns a copy of ctx with the address of the client that the service has
// determined, for [Credential].Networks, CreatedFrom and LastUsedFrom, and for [Event]. Call it in
// a middleware outside of Require. The zero Addr means that the address is unknown, as does an
// IPv4-mapped address with a zone.
//
// The package reads neither header fields nor http.Request.RemoteAddr by itself: a client can send
// any X-Forwarded-For, and behind a proxy RemoteAddr is the proxy's. A service without a proxy
// uses [RemoteAddr]; docs/guides/networks.md shows the middleware for one proxy and for several.
func WithClientAddr(ctx context.Context, addr netip.Addr) context.Context {
	addr = unmap(addr)
	return context.WithValue(ctx, clientAddrKey{}, &addr)
}

// ClientAddr returns the address that [WithClientAddr] has set, not IPv4-mapped, or false if the
// address is unknown.
func ClientAddr(ctx context.Context) (netip.Addr, bool) {
	if addr, ok := ctx.Value(clientAddrKey{}).(*netip.Addr); ok && addr.IsValid() {
		return *addr, true
	}
	return netip.Addr{}, false
}

// RemoteAddr returns the address at the other end of the connection, for [WithClientAddr] in a
// service with no proxy in front. It returns the zero Addr if r has none, for example over a Unix
// socket.
func RemoteAddr(r *http.Request) netip.Addr {
	addr, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return unmap(addr.Addr())
}

// unmap returns an IPv4-mapped address as IPv4. With a zone, which IPv4 does not have and
// Addr.Unmap would drop, it is no address of a client.
func unmap(addr netip.Addr) netip.Addr {
	if addr.Is4In6() && addr.Zone() != "" {
		return netip.Addr{}
	}
	return addr.Unmap()
}

// recordedAddr is the client's address as records and events have it: without a zone.
func recordedAddr(ctx context.Context) netip.Addr {
	addr, _ := ClientAddr(ctx)
	return addr.WithZone("")
}

// requestOf is the request that ctx belongs to, or nil.
func requestOf(ctx context.Context) *http.Request {
	r, _ := ctx.Value(requestKey{}).(*http.Request)
	return r
}
