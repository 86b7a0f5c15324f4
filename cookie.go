package auth

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/seed-31c5bcb2/auth/internal/header"
)

// A Cookie authenticates signed-in people by a cookie: a browser on the
// service's own pages, or a user interface on an origin of its own that calls
// the API. It is made by [NewCookie] and safe for concurrent use.
//
// The cookie is signed and encrypted by gorilla/securecookie and carries a
// random session token, whose record is in the store: signing out or revoking
// ends a session at once, whoever has copied the cookie, and a forged one is
// refused before the store is asked.
//
// A browser adds a cookie to requests that other sites make it send. Requests
// with unsafe methods and WebSocket upgrades are therefore refused unless they
// come from the same origin or a trusted one. GET, HEAD and OPTIONS are safe
// only as long as handlers change nothing on them (RFC 9110 section 9.2.1).
type Cookie struct {
	records
	cookie  http.Cookie // every attribute but the value and the expiry
	codecs  codecs
	opened  opened
	origins origins

	lifetime    time.Duration
	idleTimeout time.Duration
	maxPerUser  int
}

var _ Authenticator = (*Cookie)(nil)

// NewCookie returns a Cookie over store. It reports every fault of cfg at once.
func NewCookie(store Store, cfg CookieConfig) (*Cookie, error) {
	cfg.setDefaults()
	if err := cfg.check(store); err != nil {
		return nil, err
	}
	c := &Cookie{
		cookie: http.Cookie{
			Name:        cfg.Name,
			Domain:      cfg.Domain,
			Path:        cfg.Path,
			Secure:      !cfg.Insecure,
			HttpOnly:    true,
			SameSite:    cfg.SameSite,
			Partitioned: cfg.Partitioned,
		},
		codecs:      newCodecs(cfg.Keys, cfg.Lifetime),
		origins:     newOrigins(cfg.TrustedOrigins, cfg.Insecure),
		lifetime:    cfg.Lifetime,
		idleTimeout: cfg.IdleTimeout,
		maxPerUser:  cfg.MaxPerUser,
	}
	if err := c.checkSize(); err != nil {
		return nil, err
	}
	c.init(store, KindSession, cfg.Observe)
	return c, nil
}

// Scheme returns [SchemeCookie].
func (c *Cookie) Scheme() Scheme { return SchemeCookie }

// Authenticate implements [Authenticator].
func (c *Cookie) Authenticate(r *http.Request) (*Identity, error) {
	session, err := c.authenticate(r)
	if err != nil {
		return nil, err
	}
	return session.identity(), nil
}

func (c *Cookie) authenticate(r *http.Request) (*Credential, error) {
	now := time.Now()
	session, err := c.session(r, now)
	if err != nil {
		return nil, err
	}
	// After the lookup: a cookie that is worth nothing is no reason to refuse a
	// request that another authenticator would accept.
	if c.origins.check(r) != nil {
		return nil, refused(session, ReasonCrossOrigin, ErrCrossOrigin)
	}
	c.uses.record(session, now, c.idleTimeout > 0)
	return session, nil
}

// session finds the live session that a request's cookie names.
func (c *Cookie) session(r *http.Request, now time.Time) (*Credential, error) {
	value, n := header.Cookie(r.Header, c.cookie.Name)
	switch {
	case n == 0:
		return nil, errNoCredential
	case n > 1:
		// One of them was planted from a sibling domain or another path, and
		// nothing tells which (RFC 6265bis section 8.6).
		return nil, errRepeated
	}
	token, ok := c.openValue(value, now)
	if !ok {
		return nil, errForged
	}
	session, err := c.lookup(r.Context(), token, now)
	if err != nil {
		return nil, err
	}
	if c.idle(session, now) {
		return nil, refused(session, ReasonIdle, ErrInvalidCredential)
	}
	return session, nil
}

// idle reports whether a session was left alone for IdleTimeout, by what the
// store knows and by the uses that are not yet written to it.
func (c *Cookie) idle(session *Credential, now time.Time) bool {
	if c.idleTimeout == 0 {
		return false
	}
	last := session.LastUsedAt
	if last.IsZero() {
		last = session.CreatedAt
	}
	if now.Before(last.Add(c.idleTimeout)) {
		return false
	}
	return !now.Before(c.uses.last(session.Digest).Add(c.idleTimeout))
}

// CheckOrigin fails with [ErrCrossOrigin] for a request with an unsafe method,
// or a WebSocket upgrade, that comes from another origin which is not trusted. A
// handler that signs people in calls it before it does anything else, so that
// another site cannot make a browser try passwords, or sign in to an account of
// the attacker's. SignIn and SignOut call it themselves. The Observer is told of
// a refusal.
func (c *Cookie) CheckOrigin(r *http.Request) error {
	err := c.origins.check(r)
	if err != nil {
		c.tell(r.Context(), Event{Kind: EventRefused, Reason: ReasonCrossOrigin, Remote: r.RemoteAddr})
	}
	return err
}

// List returns a page of a user's sessions, the newest first, expired ones
// included until they are purged.
func (c *Cookie) List(ctx context.Context, userID string, page Page) ([]Credential, error) {
	return c.list(ctx, userID, page)
}

// Get returns one of a user's sessions, expired or not. It fails with [ErrNotFound] if
// the user has no such one.
func (c *Cookie) Get(ctx context.Context, userID, id string) (Credential, error) {
	return c.get(ctx, userID, id)
}

// Revoke ends a session. It fails with [ErrNotFound] if the user has no such one.
func (c *Cookie) Revoke(ctx context.Context, userID, id string) error {
	return c.revoke(ctx, userID, id, ReasonRevoked)
}

// RevokeAll ends all of a user's sessions but those whose IDs are in except, and
// returns how many that were: on a change of password, all but the one in which
// it was changed.
func (c *Cookie) RevokeAll(ctx context.Context, userID string, except ...string) (int, error) {
	return c.revokeAll(ctx, userID, except...)
}

// A CookiePolicy is what a page that lists sessions needs to know of a Cookie's
// configuration.
type CookiePolicy struct {
	Name        string // of the cookie
	Lifetime    time.Duration
	IdleTimeout time.Duration // 0: never
	MaxPerUser  int           // 0: no limit
}

// Policy returns the configuration, with its defaults.
func (c *Cookie) Policy() CookiePolicy {
	return CookiePolicy{c.cookie.Name, c.lifetime, c.idleTimeout, c.maxPerUser}
}

// Close writes the last uses that are still held, within ctx. The Cookie goes on
// to answer requests, and records no further uses.
func (c *Cookie) Close(ctx context.Context) error { return c.uses.close(ctx) }

// Format implements fmt.Formatter with the type's name for every verb: what is
// inside is nobody's business, and changes while requests go on.
func (c *Cookie) Format(f fmt.State, _ rune) { fmt.Fprint(f, "*auth.Cookie") }
