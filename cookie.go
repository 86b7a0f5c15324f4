package auth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/seed-31c5bcb2/auth/internal/header"
	"github.com/seed-31c5bcb2/auth/internal/origin"
	"github.com/seed-31c5bcb2/auth/internal/seal"
	"github.com/seed-31c5bcb2/auth/internal/token"
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
	values  *seal.Cookies
	origins *origin.Checker

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
		values:      seal.NewCookies(cfg.Name, cfg.Keys, cfg.Lifetime),
		origins:     origin.New(cfg.TrustedOrigins, cfg.Insecure),
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
	if !c.origins.Allows(r) {
		return nil, refused(session, ReasonCrossOrigin, ErrCrossOrigin)
	}
	c.used(session, now, c.idleTimeout > 0)
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
	token, ok := c.values.Open(value, now)
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
	return !now.Before(c.uses.Last(session.Digest).Add(c.idleTimeout))
}

// CheckOrigin fails with [ErrCrossOrigin] for a request with an unsafe method,
// or a WebSocket upgrade, that comes from another origin which is not trusted. A
// handler that signs people in calls it before it does anything else, so that
// another site cannot make a browser try passwords, or sign in to an account of
// the attacker's. SignIn and SignOut call it themselves. The Observer is told of
// a refusal.
func (c *Cookie) CheckOrigin(r *http.Request) error {
	if c.origins.Allows(r) {
		return nil
	}
	c.tell(r.Context(), Event{Kind: EventRefused, Reason: ReasonCrossOrigin, Remote: r.RemoteAddr})
	return errCrossOrigin
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
func (c *Cookie) Close(ctx context.Context) error { return c.uses.Close(ctx) }

// Format implements fmt.Formatter with the type's name for every verb: what is
// inside is nobody's business, and changes while requests go on.
func (c *Cookie) Format(f fmt.State, _ rune) { fmt.Fprint(f, "*auth.Cookie") }

const (
	defaultLifetime = 7 * 24 * time.Hour

	// maxLifetime is how long browsers keep a cookie at the most (RFC 6265bis
	// section 5.5), in seconds 34,560,000.
	maxLifetime = 400 * 24 * time.Hour

	// minIdle leaves room for last uses being written a minute late.
	minIdle = 2 * time.Minute

	// maxAttribute is what browsers accept of one attribute (RFC 6265bis section 5.6).
	maxAttribute = 1024
)

// CookieConfig configures a [Cookie]. Only Keys has to be set.
//
// A service that changes Domain, Path or Partitioned gives the cookie another
// Name with it: browsers keep the old one beside the new, and two of one name are
// refused until the old one expires.
type CookieConfig struct {
	// Keys seal the cookie's value: the first seals, all open.
	Keys Keys
	// Name is the cookie's name. "" is "__Host-session", which browsers take
	// only from this host over https; "__Secure-session" if a Domain or a Path
	// forbids that; "session" if Insecure.
	Name string
	// Domain lets the subdomains of a domain have the cookie too. "", this host
	// alone, is safer: with a Domain every subdomain can read the cookie.
	Domain string
	// Path limits the cookie to a path; "" is "/". It is no protection.
	Path string
	// SameSite is Lax unless set: the cookie comes along when somebody follows a
	// link to the site, not with requests of other sites. None is for a user
	// interface on another site, and needs TrustedOrigins.
	SameSite http.SameSite
	// Partitioned keeps a cookie of a page in a frame apart for each site that
	// frames it (CHIPS).
	Partitioned bool
	// Insecure makes a cookie that also goes over plain HTTP, where everybody on
	// the way can take it. It is for development on one's own machine.
	Insecure bool
	// Lifetime is how long a session lasts at the most; 0 is 7 days, and 400
	// days is the most that browsers allow. It is rounded up to whole seconds.
	Lifetime time.Duration
	// IdleTimeout ends a session that was not used for so long; 0 is never, and
	// 2 minutes the least.
	IdleTimeout time.Duration
	// MaxPerUser is how many live sessions an account may have: the oldest ends
	// to make room for a new one. 0 is no limit.
	MaxPerUser int
	// TrustedOrigins are other origins whose pages may send any request with the
	// cookie, such as "https://app.example.com". Each is exact: scheme, host and
	// port. CORS is not answered here: see docs/integration.md.
	TrustedOrigins []string
	// Observe is told of what happens to sessions; nil: nobody is.
	Observe Observer
}

func (cfg *CookieConfig) setDefaults() {
	if cfg.Path == "" {
		cfg.Path = "/"
	}
	if cfg.SameSite == 0 || cfg.SameSite == http.SameSiteDefaultMode {
		cfg.SameSite = http.SameSiteLaxMode
	}
	if cfg.Lifetime == 0 {
		cfg.Lifetime = defaultLifetime
	}
	cfg.Lifetime = wholeSeconds(cfg.Lifetime)
	if cfg.Name == "" {
		cfg.Name = cfg.prefix() + "session"
	}
}

// prefix is the strongest that the other fields allow (RFC 6265bis section 4.1.3).
func (cfg *CookieConfig) prefix() string {
	switch {
	case cfg.Insecure:
		return ""
	case cfg.Domain != "" || cfg.Path != "/":
		return "__Secure-"
	}
	return "__Host-"
}

// check returns every fault of a configuration that has its defaults.
func (cfg *CookieConfig) check(store Store) error {
	faults := []error{checkStore(store), cfg.Keys.check("CookieConfig", "Keys")}
	fault := func(field, format string, args ...any) {
		faults = append(faults, configFault("CookieConfig", field, format, args...))
	}
	if len(cfg.Keys) == 0 {
		fault("Keys", "is empty: give it one of %d random bytes", minKey)
	}
	if hasPrefixFold(cfg.Name, "__Host-") && cfg.prefix() != "__Host-" {
		fault("Name", "%q wants no Domain, the Path / and no Insecure: leave Name empty, or change those", cfg.Name)
	}
	if hasPrefixFold(cfg.Name, "__Secure-") && cfg.Insecure {
		fault("Name", "%q wants https: leave Name empty, or Insecure unset", cfg.Name)
	}
	if !strings.HasPrefix(cfg.Path, "/") {
		fault("Path", "%q must start with /", cfg.Path)
	}
	if len(cfg.Path) > maxAttribute {
		fault("Path", "has %d bytes: browsers ignore one over %d", len(cfg.Path), maxAttribute)
	}
	switch cfg.SameSite {
	case http.SameSiteLaxMode, http.SameSiteStrictMode:
	case http.SameSiteNoneMode:
		if cfg.Insecure {
			fault("SameSite", "None wants https: leave Insecure unset, or use Lax")
		}
		if len(cfg.TrustedOrigins) == 0 {
			fault("TrustedOrigins", "is empty with SameSite None: name the origins of the user interface, or use Lax")
		}
	default:
		fault("SameSite", "is %d: use one of the constants of net/http", cfg.SameSite)
	}
	if cfg.Partitioned && cfg.Insecure {
		fault("Partitioned", "wants https: leave Insecure unset")
	}
	if cfg.Lifetime < 0 || cfg.Lifetime > maxLifetime {
		fault("Lifetime", "is %v: use 1 second to %v", cfg.Lifetime, maxLifetime)
	}
	if cfg.IdleTimeout != 0 && cfg.IdleTimeout < minIdle {
		fault("IdleTimeout", "is %v: use %v or more, or 0 for never", cfg.IdleTimeout, minIdle)
	}
	if _, ok := store.(LookupFunc); ok && cfg.IdleTimeout != 0 {
		fault("IdleTimeout", "wants a store that records uses, and a LookupFunc does not: use 0")
	}
	if cfg.MaxPerUser < 0 {
		fault("MaxPerUser", "is %d: use 0 for no limit", cfg.MaxPerUser)
	}
	for _, trusted := range cfg.TrustedOrigins {
		if err := origin.Validate(trusted, cfg.Insecure); err != nil {
			fault("TrustedOrigins", "%q %w", trusted, err)
		}
	}
	return errors.Join(faults...)
}

// checkSize makes a cookie as SignIn will, and refuses one that net/http or a
// browser would drop without a word.
func (c *Cookie) checkSize() error {
	sample := c.cookie
	value, err := c.values.Seal(token.New(""))
	if err != nil {
		return configFault("CookieConfig", "Name", "%q: %w", sample.Name, err)
	}
	sample.Value, sample.Expires, sample.MaxAge = value, time.Now(), int(maxLifetime/time.Second)
	if err := sample.Valid(); err != nil {
		return configFault("CookieConfig", "Name, Domain or Path", "makes a cookie that cannot be sent: %w", err)
	}
	if n := len(sample.String()); n > seal.MaxCookie {
		return configFault("CookieConfig", "Name, Domain or Path", "makes a cookie of %d bytes: browsers drop one over %d", n, seal.MaxCookie)
	}
	return nil
}

// wholeSeconds rounds up: Max-Age has no fractions.
func wholeSeconds(d time.Duration) time.Duration {
	if whole := d.Truncate(time.Second); whole < d {
		return whole + time.Second
	}
	return d
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}
