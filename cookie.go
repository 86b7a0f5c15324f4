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

const (
	defaultSessionLifetime = 7 * 24 * time.Hour

	// maxCookieLifetime is how long browsers keep a cookie at most, 34,560,000 seconds
	// (RFC 6265bis section 5.5).
	maxCookieLifetime = 400 * 24 * time.Hour

	// minIdle leaves room for last-use times that are written a minute late.
	minIdle = 2 * time.Minute

	// maxAttribute is the longest attribute that browsers accept (RFC 6265bis
	// section 5.6).
	maxAttribute = 1024
)

// A Cookie authenticates signed-in users by a cookie: browsers on the service's own
// pages, or a user interface on another origin that calls the API. It is made by
// [NewCookie] and safe for concurrent use.
//
// The cookie is encrypted and authenticated by gorilla/securecookie. It carries a
// random session token whose record is in the store, so signing out or revoking a
// session takes effect immediately, even for copies of the cookie. Forged cookies are
// rejected without a store lookup.
//
// Browsers also send cookies with requests that other sites cause. Requests with
// unsafe methods and WebSocket upgrades are therefore rejected unless they come from
// the same origin or a trusted one. GET, HEAD and OPTIONS are allowed, so handlers
// must not change anything on them (RFC 9110 section 9.2.1).
type Cookie struct {
	credentials
	cookie  http.Cookie // all attributes except the value and the expiry
	values  *seal.Cookies
	origins *origin.Checker
	binding Binding // nil if sessions are not bound

	lifetime    time.Duration
	idleTimeout time.Duration
	maxPerUser  int
}

var _ Authenticator = (*Cookie)(nil)

// CookieConfig configures a [Cookie]. Only Keys is required.
//
// If you change Domain, Path or Partitioned, change Name too: browsers keep the old
// cookie next to the new one, and requests with two cookies of one name are rejected
// until the old one expires.
type CookieConfig struct {
	// Keys encrypt and authenticate the cookie. The first key is used for new cookies;
	// all of them are tried when reading one.
	Keys Keys
	// Name is the cookie's name. If empty, it is "__Host-session", which browsers
	// accept only from this host over HTTPS, "__Secure-session" if there is a Domain
	// or a Path other than "/", or "session" if Insecure is set.
	Name string
	// Domain, if not empty, also sends the cookie to all subdomains of a domain, each
	// of which can then read it. If empty, only this host gets it.
	Domain string
	// Path is the cookie's Path attribute, "/" if empty. It is not a security
	// boundary.
	Path string
	// SameSite defaults to Lax: browsers send the cookie when a user follows a link to
	// the site, but not with other cross-site requests. None is for a user interface
	// on another site, and requires TrustedOrigins.
	SameSite http.SameSite
	// Partitioned keeps a separate cookie for each site that embeds the page (CHIPS).
	// It requires SameSite None.
	Partitioned bool
	// Insecure also sends the cookie over plain HTTP, where anyone on the network path
	// can read it. Use it only for development on your own machine.
	Insecure bool
	// Lifetime is the longest lifetime of a session, 1 second to 400 days, which is the
	// most that browsers allow. Zero means 7 days. It is rounded up to whole seconds. A
	// shorter Lifetime also applies to existing sessions, counted from their sign-in. A longer
	// one does not.
	Lifetime time.Duration
	// IdleTimeout ends a session that has not been used for that long. It is at least 2
	// minutes and less than Lifetime. Zero means that idle sessions do not end.
	IdleTimeout time.Duration
	// MaxPerUser is how many sessions a user may have: a new one ends the oldest, first of those
	// with an Actor. Zero means no limit.
	MaxPerUser int
	// TrustedOrigins are other origins whose pages may send any request with the
	// cookie, such as "https://app.example.com": scheme, host and port, without
	// wildcards, exactly as browsers write them in the Origin header. http origins are
	// allowed on loopback hosts, or if Insecure is set. The package does not answer CORS
	// preflights: see docs/guides/cors.md.
	TrustedOrigins []string
	// Binding, if not nil, binds sessions to the user's device: module dbsc does. It belongs to
	// this Cookie alone. Without one, sessions that are bound are rejected.
	Binding Binding
	// Observe, if not nil, is called when users sign in or out, when sessions are bound or revoked,
	// and when a call or the recording of last uses fails. If it is nil, outages and internal
	// errors are logged to slog.Default(): see Observer.
	Observe Observer
}

// A CookiePolicy is what a page that lists sessions needs to know of a Cookie's
// configuration.
type CookiePolicy struct {
	Name        string // of the cookie
	Lifetime    time.Duration
	IdleTimeout time.Duration // zero means that idle sessions do not end
	MaxPerUser  int           // zero means no limit
}

// A Binding makes copies of a session cookie worthless elsewhere: it binds sessions to a key that
// does not leave the user's device, and wants proof of that key. It is given to [NewCookie] in
// CookieConfig.Binding. Module dbsc has one for browsers with Device Bound Session Credentials.
//
// A session is bound after its sign-in, by [SessionBinder.Bind]: browsers that do not support it
// keep the session that they have. Requests with a bound session are rejected unless Check accepts
// them, by a Cookie without a Binding too.
//
// The methods except Init are called by concurrent requests.
type Binding interface {
	// Init is called once, by NewCookie, which returns its error. It keeps b.
	Init(b *SessionBinder) error
	// SignedIn is called by SignIn for a session that has just begun, before anything is written to
	// w. It may add to the header of the response. It must not modify session.
	SignedIn(w http.ResponseWriter, r *http.Request, session *Credential)
	// Check is called for each request with the cookie of a valid session, bound or not. If it
	// returns nil, the request is accepted. An error that wraps ErrInvalidCredential rejects it with
	// [ReasonNotBound], and any other one with 503. Recheck and Watch do not call it again, so
	// streams that are open stay open. It must not modify session.
	Check(r *http.Request, session *Credential) error
	// SignedOut is called by SignOut, to remove cookies of the Binding's own from the browser.
	SignedOut(w http.ResponseWriter)
}

// NewCookie returns a Cookie over store, or an error that lists everything wrong with cfg.
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
		binding:     cfg.Binding,
		lifetime:    cfg.Lifetime,
		idleTimeout: cfg.IdleTimeout,
		maxPerUser:  cfg.MaxPerUser,
	}
	if err := c.checkSize(); err != nil {
		return nil, err
	}
	c.init(store, KindSession, cfg.Observe)
	if c.binding != nil {
		if err := c.binding.Init(newSessionBinder(c, cfg.Keys)); err != nil {
			return nil, err
		}
	}
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
	// After the lookup: an invalid cookie is no reason to reject a request that
	// another authenticator would accept.
	if !c.origins.Allows(r) {
		return nil, errRejected(session, ReasonCrossOrigin, ErrCrossOrigin)
	}
	c.used(r.Context(), session, now, c.idleTimeout > 0)
	return session, nil
}

// session returns the valid session that the request's cookie carries, if the request comes from
// the device to which it is bound.
func (c *Cookie) session(r *http.Request, now time.Time) (*Credential, error) {
	session, err := c.presented(r, now)
	if err != nil {
		return nil, err
	}
	return session, c.checkBinding(r, session)
}

// presented returns the valid session that the request's cookie carries.
func (c *Cookie) presented(r *http.Request, now time.Time) (*Credential, error) {
	value, n := header.Cookie(r.Header, c.cookie.Name)
	switch {
	case n == 0:
		return nil, errNoCredential
	case n > 1:
		// One of them was planted from a sibling domain or another path, and they
		// cannot be told apart (RFC 6265bis section 8.6).
		return nil, errRepeated
	}
	digest, verdict := c.values.Open(value, now)
	if verdict == seal.Forged {
		return nil, errForged
	}
	session, err := c.lookup(r.Context(), digest, now)
	switch {
	case verdict != seal.Valid:
		return nil, errStale(verdict, session, err)
	case err != nil:
		return nil, err
	}
	return c.valid(session, now)
}

// valid returns the session as Lifetime bounds it, or why it is not valid anymore.
func (c *Cookie) valid(session *Credential, now time.Time) (*Credential, error) {
	session = c.bounded(session)
	switch {
	case session.Expired(now):
		return nil, errRejected(session, ReasonExpired, ErrInvalidCredential)
	case c.isIdle(session, now):
		return nil, errRejected(session, ReasonIdle, ErrInvalidCredential)
	}
	return session, nil
}

// checkBinding rejects a request that does not prove that it comes from the device to which the
// session is bound. A Cookie without a Binding cannot tell.
func (c *Cookie) checkBinding(r *http.Request, session *Credential) error {
	if c.binding == nil {
		if !session.Bound() {
			return nil
		}
		return errRejected(session, ReasonNotBound, ErrInvalidCredential)
	}
	err := c.binding.Check(r, session)
	switch {
	case err == nil:
		return nil
	case isNilError(err):
		return errInternal(errNilError)
	case conditionOf(err).err == ErrInvalidCredential:
		return errRejected(session, ReasonNotBound, ErrInvalidCredential)
	}
	return errUnavailable(err)
}

// errStale is the error for a cookie of ours that is too old or from the future. Its session
// was looked up only so that the event has the user: the cookie is invalid even if the store
// is unavailable.
func errStale(v seal.Verdict, session *Credential, err error) error {
	stale := errCookieExpired
	if v == seal.Ahead {
		stale = errClock
	}
	switch {
	case err == nil:
		return errRejected(session, stale.Reason, ErrInvalidCredential)
	case userKnown(err) || err == errRevoked:
		return err
	}
	return stale
}

// bounded returns a session that expires when Lifetime is over, even if it was created under
// a longer one. The record of the store is shared, so it is not modified.
func (c *Cookie) bounded(session *Credential) *Credential {
	end := session.CreatedAt.Add(c.lifetime)
	if session.CreatedAt.IsZero() || !session.ExpiresAt.IsZero() && !session.ExpiresAt.After(end) {
		return session
	}
	shorter := *session
	shorter.ExpiresAt = end
	return &shorter
}

// recheck is that of credentials, and rejects a session that has become idle. If the session was
// bound meanwhile, it returns the one that has replaced it, so that streams stay open.
func (c *Cookie) recheck(ctx context.Context, accepted *Credential) (*Credential, error) {
	session, err := c.credentials.recheck(ctx, accepted)
	if err == errNotAccepted {
		return nil, err
	}
	if c.binding != nil && !accepted.Bound() && (err == nil && session.Superseded || err != nil && !errors.Is(err, ErrUnavailable)) {
		switch bound, findErr := c.boundSince(ctx, accepted); {
		case findErr != nil:
			err = errUnavailable(findErr)
		case bound != nil && bound.Expired(time.Now()):
			err = errRejected(bound, ReasonExpired, ErrInvalidCredential)
		case bound != nil:
			session, err = bound, checkKept(accepted.Scopes, bound.Scopes)
		}
	}
	if err == nil && c.isIdle(session, time.Now()) {
		err = errRejected(session, ReasonIdle, ErrInvalidCredential)
	}
	return session, err
}

// isIdle reports whether a session has not been used for IdleTimeout, by the store and
// by the uses that are not written yet.
func (c *Cookie) isIdle(session *Credential, now time.Time) bool {
	if c.idleTimeout == 0 || now.Before(writtenUse(session).Add(c.idleTimeout)) {
		return false
	}
	return !now.Before(c.idleAt(session))
}

// idleAt returns when a session becomes idle unless it is used, or zero if it never does.
func (c *Cookie) idleAt(session *Credential) time.Time {
	if c.idleTimeout == 0 {
		return time.Time{}
	}
	last := writtenUse(session)
	if pending := c.recorder.Last(session.Digest).At; pending.After(last) {
		last = pending
	}
	return last.Add(c.idleTimeout)
}

// writtenUse is the last use by the store. The first one is the sign-in.
func writtenUse(session *Credential) time.Time {
	if session.LastUsedAt.IsZero() {
		return session.CreatedAt
	}
	return session.LastUsedAt
}

// CheckOrigin returns [ErrCrossOrigin] if the request could change something (any method
// except GET, HEAD and OPTIONS, or a WebSocket upgrade) and comes from another origin that
// is not trusted. A handler that
// signs users in must call it first, so that another site cannot make a browser try
// passwords or sign in to the attacker's account. SignIn and SignOut call it
// themselves. The Observer is called if the request is rejected.
func (c *Cookie) CheckOrigin(r *http.Request) error {
	return c.checkOrigin(r, c.beginRequest(r, "", ""))
}

// List returns a page of a user's sessions, newest first. Expired sessions are
// included until they are purged. ExpiresAt is at most Lifetime after CreatedAt, and
// LastUsedAt includes uses that this process has not written yet.
func (c *Cookie) List(ctx context.Context, userID string, page Page) ([]Credential, error) {
	list, err := c.list(ctx, userID, page)
	for i := range list {
		list[i] = c.present(list[i])
	}
	return list, err
}

// Get returns one of a user's sessions, even if it has expired, or [ErrNotFound]. ExpiresAt
// and LastUsedAt are as in List.
func (c *Cookie) Get(ctx context.Context, userID, id string) (Credential, error) {
	session, err := c.get(ctx, userID, id)
	if err != nil {
		return Credential{}, err
	}
	return c.present(session), nil
}

// present returns a session as it is judged now: bounded, and with its latest use.
func (c *Cookie) present(session Credential) Credential {
	session = *c.bounded(&session)
	if last := c.recorder.Last(session.Digest); last.At.After(session.LastUsedAt) {
		session.LastUsedAt, session.LastUsedFrom = last.At.UTC().Truncate(time.Microsecond), last.From
	}
	return session
}

// Revoke ends a session. It returns [ErrNotFound] if the user has no such session.
func (c *Cookie) Revoke(ctx context.Context, userID, id string) error {
	return c.revokeBy(ctx, userID, id, func(ref Ref) (string, error) {
		ended, err := c.revokeSession(ctx, &Credential{Kind: ref.Kind, UserID: ref.UserID, ID: ref.ID})
		return ended.ID, err
	})
}

// RevokeAll ends all of a user's sessions except those with the given IDs, at most 1,000,
// and returns their number.
func (c *Cookie) RevokeAll(ctx context.Context, userID string, except ...string) (int, error) {
	return c.revokeAllBut(ctx, userID, except, func(ids []string) ([]string, error) { return c.withBound(ctx, userID, ids) })
}

// Policy returns the configuration, with its defaults.
func (c *Cookie) Policy() CookiePolicy {
	return CookiePolicy{c.cookie.Name, c.lifetime, c.idleTimeout, c.maxPerUser}
}

// Close writes pending last-use times. It returns the error of the last write that failed,
// or ctx.Err() if ctx is done first; calling it again retries. The Observer is not called for
// these writes, and may call Close when it gets [EventUseLost]. c can still
// authenticate requests afterwards, but no longer records when sessions are used.
func (c *Cookie) Close(ctx context.Context) error { return c.recorder.Close(ctx) }

// Format implements [fmt.Formatter]. It prints the type's name whatever the verb, so
// that logging a Cookie neither exposes its contents nor races with requests.
func (c *Cookie) Format(f fmt.State, _ rune) { fmt.Fprint(f, "*auth.Cookie") }

func (cfg *CookieConfig) setDefaults() {
	if cfg.Path == "" {
		cfg.Path = "/"
	}
	if cfg.SameSite == 0 || cfg.SameSite == http.SameSiteDefaultMode {
		cfg.SameSite = http.SameSiteLaxMode
	}
	if cfg.Lifetime == 0 {
		cfg.Lifetime = defaultSessionLifetime
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

// check returns everything that is wrong with a configuration that has its defaults.
func (cfg *CookieConfig) check(store Store) error {
	var faults []error
	fault := func(field, format string, args ...any) {
		faults = append(faults, configError("CookieConfig", field, format, args...))
	}
	if len(cfg.Keys) == 0 {
		fault("Keys", "is empty: give it one of %d random bytes", minKey)
	}
	cfg.checkName(fault)
	cfg.checkSite(fault)
	cfg.checkTimes(fault, store)
	if cfg.Binding != nil && isNil(cfg.Binding) {
		fault("Binding", "is a nil %T", cfg.Binding)
	}
	if cfg.MaxPerUser < 0 {
		fault("MaxPerUser", "is %d: use 0 for no limit", cfg.MaxPerUser)
	}
	return errors.Join(append(faults, checkStore(store), cfg.Keys.check("CookieConfig", "Keys"))...)
}

func (cfg *CookieConfig) checkName(fault func(field, format string, args ...any)) {
	if hasPrefixFold(cfg.Name, "__Host-") && cfg.prefix() != "__Host-" {
		fault("Name", "%q requires no Domain, the Path / and no Insecure: leave Name empty, or change those", cfg.Name)
	}
	if hasPrefixFold(cfg.Name, "__Secure-") && cfg.Insecure {
		fault("Name", "%q requires https: leave Name empty, or Insecure unset", cfg.Name)
	}
	if !strings.HasPrefix(cfg.Path, "/") {
		fault("Path", "%q must start with /", cfg.Path)
	}
	if len(cfg.Path) > maxAttribute {
		fault("Path", "has %d bytes: browsers ignore one over %d", len(cfg.Path), maxAttribute)
	}
}

func (cfg *CookieConfig) checkSite(fault func(field, format string, args ...any)) {
	none := cfg.SameSite == http.SameSiteNoneMode
	if !none && cfg.SameSite != http.SameSiteLaxMode && cfg.SameSite != http.SameSiteStrictMode {
		fault("SameSite", "is %d: use one of the constants of net/http", cfg.SameSite)
	}
	if none && cfg.Insecure {
		fault("SameSite", "None requires https: leave Insecure unset, or use Lax")
	}
	if none && len(cfg.TrustedOrigins) == 0 {
		fault("TrustedOrigins", "is empty with SameSite None: name the origins of the user interface, or use Lax")
	}
	if cfg.Partitioned && !none {
		fault("Partitioned", "has no effect without SameSite None: leave it unset, or use None")
	}
	for _, trusted := range cfg.TrustedOrigins {
		if err := origin.Validate(trusted, cfg.Insecure); err != nil {
			fault("TrustedOrigins", "%q %w", trusted, err)
		}
	}
}

func (cfg *CookieConfig) checkTimes(fault func(field, format string, args ...any), store Store) {
	if cfg.Lifetime < 0 || cfg.Lifetime > maxCookieLifetime {
		fault("Lifetime", "is %v: use 1 second to %v", cfg.Lifetime, maxCookieLifetime)
	}
	switch {
	case cfg.IdleTimeout == 0:
	case cfg.IdleTimeout < minIdle:
		fault("IdleTimeout", "is %v: use %v or more, or 0 for none", cfg.IdleTimeout, minIdle)
	case cfg.IdleTimeout >= cfg.Lifetime:
		fault("IdleTimeout", "is %v, which has no effect with a Lifetime of %v: use less, or 0 for none", cfg.IdleTimeout, cfg.Lifetime)
	}
	if _, ok := store.(lookupStore); ok && cfg.IdleTimeout != 0 {
		fault("IdleTimeout", "requires a store that records uses, which a LookupStore does not: use 0")
	}
}

// checkSize makes a cookie as SignIn does, and rejects one that net/http or a browser
// would silently drop.
func (c *Cookie) checkSize() error {
	sample := c.cookie
	value, err := c.values.Seal(token.New(""))
	if err != nil {
		return configError("CookieConfig", "Name", "%q: %w", sample.Name, err)
	}
	sample.Value, sample.Expires, sample.MaxAge = value, time.Now(), int(maxCookieLifetime/time.Second)
	if err := sample.Valid(); err != nil {
		return configError("CookieConfig", "Name, Domain or Path", "makes a cookie that cannot be sent: %w", err)
	}
	if n := len(sample.String()); n > seal.MaxCookie {
		return configError("CookieConfig", "Name, Domain or Path", "makes a cookie of %d bytes: browsers drop one over %d", n, seal.MaxCookie)
	}
	return nil
}

// wholeSeconds rounds up: Max-Age has no fractions.
func wholeSeconds(d time.Duration) time.Duration {
	if whole := d.Truncate(time.Second); whole < d && d < NoExpiry-time.Second {
		return whole + time.Second
	}
	return d
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}
