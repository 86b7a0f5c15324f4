package auth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"github.com/seed-31c5bcb2/auth/internal/header"
	"github.com/seed-31c5bcb2/auth/internal/metadata"
	"github.com/seed-31c5bcb2/auth/internal/token"
)

// A Bearer authenticates personal access tokens: `Authorization: Bearer <token>`
// (RFC 6750 section 2.1). Tokens in a query or a body are ignored. A Bearer also
// issues, lists, rotates and revokes tokens. It is made by [NewBearer] and safe for
// concurrent use.
type Bearer struct {
	issuer
}

var _ Authenticator = (*Bearer)(nil)

// BearerConfig configures a [Bearer]. The zero value is usable.
type BearerConfig struct {
	// Prefix is prepended to every token, such as "acme_pat", so that people and
	// secret scanners can recognize one. It is at most 16 of [A-Za-z0-9_]. Tokens
	// with a prefix also carry a checksum, and anything else is rejected without a
	// store lookup, unless AcceptImported is set. If empty, tokens have neither.
	Prefix string
	// AcceptImported allows tokens that do not have the Prefix, such as those added
	// by Import. It has no effect without a Prefix: all tokens are allowed then.
	AcceptImported bool
	// Scopes lists the scopes that tokens may have, besides [FullAccess]. If nil,
	// any scope is allowed.
	Scopes []string
	// MaxLifetime is the longest lifetime of a token, at least a minute. Zero means
	// no maximum.
	MaxLifetime time.Duration
	// MaxOverlap is the longest grace period of a rotation, in which the old token
	// still works. Zero means 7 days. More than MaxLifetime is an error.
	MaxOverlap time.Duration
	// MaxPerUser is how many valid tokens a user may have, not counting those in a grace
	// period. Zero means no limit.
	MaxPerUser int
	// Observe, if not nil, is called when tokens are issued, imported, rotated or revoked,
	// and when a call or the recording of last uses fails. If it is nil, outages and internal
	// errors are logged to slog.Default(): see Observer.
	Observe Observer
}

// A BearerPolicy is what a page that manages tokens needs to know of a Bearer's
// configuration.
type BearerPolicy struct {
	Prefix         string
	AcceptImported bool
	Scopes         []string      // a copy; if nil, any scope is allowed
	MaxLifetime    time.Duration // zero means no maximum
	MaxOverlap     time.Duration // never zero
	MaxPerUser     int           // zero means no limit
}

// TokenOptions describes a token to create. Name, Scopes and Lifetime are required.
type TokenOptions struct {
	// Name is what its user calls the token: 1 to 255 bytes of UTF-8 with a visible
	// character, without control characters, line separators and marks of text direction.
	Name string
	// Scopes are what the token may be used for. Use []string{FullAccess} for
	// everything that the user may do.
	Scopes []string
	// Lifetime is at least a minute and at most MaxLifetime, or NoExpiry if there is
	// no MaxLifetime.
	Lifetime time.Duration
	// Networks are those from which the token may be used, at most 16, without bits after their
	// length. If nil, it may be used from anywhere. An empty slice that is not nil is an error. The
	// service must call [WithClientAddr]: otherwise the token is rejected everywhere.
	Networks []netip.Prefix
	// Metadata is the service's own data, such as a tenant or a role, which Rotate keeps. Requests
	// are not checked against it: see [RequireFunc]. It has at most 16 entries. Keys are 1 to 64 of
	// [a-z0-9_.-], and values at most 256 bytes of UTF-8 without control characters. It is copied.
	Metadata map[string]string
	// Idempotency, if not empty, is a value of [NewIdempotency] of at most 24 hours ago. Of
	// two calls with the same value for the same user, in any process, the second returns
	// ErrConflict, even if the token of the first has been revoked. This holds as long as
	// Purge is called with times at least two days ago.
	Idempotency string
}

// NewIdempotency returns a value for the Idempotency of TokenOptions and SecretOptions. Put it
// into a form that creates a token or a secret when the form is rendered, so that sending the
// form again creates no second one.
// It is 26 characters of [0-9A-Z], and no secret. The client may choose another: it can only
// prevent a token of its own.
func NewIdempotency() string { return token.ID(time.Now()) }

// id returns the ID that a token gets by its Idempotency. It sorts by the time at which
// the value was made.
func (o *TokenOptions) id(userID string, now time.Time) (string, error) {
	const maxAge, maxAhead = 24 * time.Hour, time.Hour // clocks differ
	made, ok := token.IDTime(o.Idempotency)
	if age := now.Sub(made); !ok || age > maxAge || age < -maxAhead {
		return "", argumentError("Idempotency", "must be a value of NewIdempotency that was made in the last %v", maxAge)
	}
	return token.DerivedID(o.Idempotency, userID), nil
}

// ImportOptions describes a token of another system.
type ImportOptions struct {
	TokenOptions
	// CreatedAt is when the other system created the token, after the start of 1970 and not
	// in the future. Zero means now. Lifetime and MaxLifetime are counted from it.
	CreatedAt time.Time
	// ExpiresAt, if not zero, is when the token expires, and is set instead of Lifetime. It
	// is in the future, and before the year 10000.
	ExpiresAt time.Time
}

// times returns when the token was created and when it expires.
func (o *ImportOptions) times(now time.Time, maxLifetime time.Duration) (created, expires time.Time, err error) {
	created = now
	if !o.CreatedAt.IsZero() {
		created = o.CreatedAt.UTC().Truncate(time.Microsecond)
	}
	if created.After(now) || !created.After(time.Unix(0, 0)) {
		return created, expires, argumentError("CreatedAt", "must be after the start of 1970, and not in the future")
	}
	if o.ExpiresAt.IsZero() {
		expires, err = expiryAfter(created, o.Lifetime), checkLifetime(o.Lifetime, maxLifetime)
		if err == nil && !expires.IsZero() && !expires.After(now) {
			err = argumentError("Lifetime", "has passed since CreatedAt")
		}
		return created, expires, err
	}
	expires = o.ExpiresAt.UTC().Truncate(time.Microsecond)
	switch {
	case o.Lifetime != 0:
		err = argumentError("ExpiresAt", "must not be set together with Lifetime")
	case !expires.After(now) || expires.Year() > maxYear:
		err = argumentError("ExpiresAt", "must be in the future, and before the year %d", maxYear+1)
	case maxLifetime > 0 && expires.Sub(created) > maxLifetime:
		err = argumentError("ExpiresAt", "must be at most %v after CreatedAt", maxLifetime)
	}
	return created, expires, err
}

// NewBearer returns a Bearer over store, or an error that lists everything wrong with cfg.
//
// All Bearers over one store share its tokens: a Bearer with another Prefix accepts
// them too if it has AcceptImported set or no Prefix. To keep tokens of different
// purposes apart, use scopes or separate stores.
func NewBearer(store Store, cfg BearerConfig) (*Bearer, error) {
	format, formatErr := newPlaintextFormat("BearerConfig", cfg.Prefix, cfg.AcceptImported)
	overlap, overlapErr := overlapOf("BearerConfig", cfg.MaxOverlap)
	if err := errors.Join(formatErr, overlapErr, checkStore(store), cfg.check()); err != nil {
		return nil, err
	}
	b := &Bearer{issuer{
		format:      format,
		scopes:      slices.Clone(cfg.Scopes),
		maxLifetime: cfg.MaxLifetime,
		maxOverlap:  overlap,
		maxPerUser:  cfg.MaxPerUser,
	}}
	b.init(store, KindToken, cfg.Observe)
	return b, nil
}

// check returns what is wrong with the fields that only tokens have.
func (cfg *BearerConfig) check() error {
	var faults []error
	fault := func(field, format string, args ...any) {
		faults = append(faults, configError("BearerConfig", field, format, args...))
	}
	if cfg.MaxLifetime != 0 && cfg.MaxLifetime < minLifetime {
		fault("MaxLifetime", "is %v: use %v or more, or 0 for no maximum", cfg.MaxLifetime, minLifetime)
	}
	if cfg.MaxLifetime > 0 && cfg.MaxOverlap > cfg.MaxLifetime {
		fault("MaxOverlap", "has no effect over MaxLifetime: use at most %v", cfg.MaxLifetime)
	}
	if cfg.MaxPerUser < 0 {
		fault("MaxPerUser", "is %d: use 0 for no limit", cfg.MaxPerUser)
	}
	if cfg.Scopes != nil && len(cfg.Scopes) == 0 {
		fault("Scopes", "is empty: name the scopes that exist, or leave it nil for any")
	}
	for _, s := range cfg.Scopes {
		if !validScope(s) || s == FullAccess {
			fault("Scopes", "%q is not the name of a scope: see RFC 6749 section 3.3", s)
		}
	}
	return errors.Join(faults...)
}

// Scheme returns [SchemeBearer].
func (b *Bearer) Scheme() Scheme { return SchemeBearer }

// Authenticate implements [Authenticator].
func (b *Bearer) Authenticate(r *http.Request) (*Identity, error) {
	return authenticateHeader(r, SchemeBearer, func(r *http.Request, presented header.Authorization) (*Credential, error) {
		return b.authenticate(r.Context(), presented)
	})
}

func (b *Bearer) authenticate(ctx context.Context, presented header.Authorization) (*Credential, error) {
	now := time.Now()
	c, err := b.authenticatePlaintext(ctx, presented, now)
	if err != nil {
		return nil, err
	}
	b.used(ctx, c, now, false)
	return c, nil
}

// InHeader returns an Authenticator for b's tokens in a header of their own, such as
// "X-API-Key", whose value is the token and nothing else. The name's case has no meaning. A
// route may accept both headers and other schemes as well:
//
//	m.Require(bearer.InHeader("X-API-Key"), bearer, cookie)
//
// Prefer Authorization where clients can choose: caches, proxies and logs treat it as a
// secret, and they do not know another header.
//
// The scheme is Bearer, and the header decides as an Authorization header that names it does:
// no other authenticator is tried, so that a valid cookie never makes up for an invalid token.
// A request is answered with 400 if the value is empty, has over 512 characters, or has others
// than visible ASCII without comma, quote and backslash, or if the request has the header twice or next to an
// Authorization header of any scheme, since a token must not be sent in two ways (RFC 6750
// section 2). Space around the value is ignored, as it is in Authorization.
//
// Responses have the header in Vary. They have "Cache-Control: private" unless the handler
// sets another, since RFC 9111 section 3.5 keeps shared caches from storing only responses to
// requests with Authorization. The challenge is
//
//	WWW-Authenticate: Header realm="api", name="X-Api-Key"
//
// after that of Bearer if the route accepts Authorization too. RFC 9110 section 15.5.2
// requires a challenge, and Bearer alone would ask for a header that the route may not read.
//
// There is no check of the origin: browsers do not add such a header by themselves, and a
// script of another origin can send it only after a CORS preflight that allows it.
//
// InHeader panics if b is nil or was not made by [NewBearer], if name is not a token of RFC
// 9110 section 5.6.2 of at most 63 bytes, or if something other than the client's own code
// sets the header: those of HTTP itself (Authorization, Host, Connection, Accept-*, Content-*),
// of browsers (Cookie, Origin, Sec-*), and of well-known proxies (Forwarded, X-Forwarded-*,
// X-Real-IP, X-Request-ID), also with "_" for "-". They would be taken for tokens of requests
// that have none, proxies remove, replace, join or log them, and browsers send some to other
// origins without a preflight.
//
// The Authenticator is safe for concurrent use. Last uses are b's, and written by b.Close.
func (b *Bearer) InHeader(name string) Authenticator {
	switch {
	case b == nil || b.store == nil:
		panic("auth: InHeader of a nil or zero *auth.Bearer: use NewBearer")
	case !header.IsToken(name):
		panic(fmt.Sprintf("auth: InHeader: %.80q is not the name of a header of at most 63 bytes", name))
	case header.IsReserved(name):
		panic(fmt.Sprintf("auth: InHeader: %q is set by HTTP, browsers or proxies: use a name of your own, such as X-API-Key", name))
	}
	return &headerBearer{bearer: b, name: http.CanonicalHeaderKey(name)}
}

// A headerBearer is a Bearer whose tokens are in a header of their own.
type headerBearer struct {
	bearer *Bearer
	name   string // in its canonical form
}

func (a *headerBearer) Scheme() Scheme { return SchemeBearer }

// Vary is what routes ask authenticators for: see Authenticator.
func (a *headerBearer) Vary() []string { return []string{a.name} }

// Authenticate is for callers outside of a route, which knows the other headers that count.
func (a *headerBearer) Authenticate(r *http.Request) (*Identity, error) {
	presented, found := header.ParseField(r.Header, a.name)
	switch {
	case !found:
		return nil, errNoCredential
	case presented.Unreadable || header.ParseAuthorization(r.Header) != header.Authorization{}:
		return nil, errMalformed
	}
	c, err := a.bearer.authenticate(r.Context(), presented)
	if err != nil {
		return nil, err
	}
	return c.identity(), nil
}

// Issue creates a token for a user and returns its plaintext, which cannot be
// retrieved later. It returns [ErrInvalidArgument] if userID is not 1 to 255 bytes of UTF-8
// without control characters or if o violates the configuration, [ErrConflict] if o's
// Idempotency was used before, [ErrLimit] if the user has MaxPerUser tokens, or
// [ErrUnavailable].
func (b *Bearer) Issue(ctx context.Context, userID string, o TokenOptions) (plaintext string, c Credential, err error) {
	return b.issue(ctx, userID, ImportOptions{TokenOptions: o})
}

// Import adds a token of another system, which then works unchanged: 24 to 512 visible
// ASCII characters without space, comma, quote and backslash that do not have the form of a
// Credential.ID. If b has a
// Prefix, AcceptImported must be set, unless the token has the form of b's own. Import returns
// the errors of Issue, and [ErrConflict] if the token exists already. A revoked token cannot be
// imported again until it is purged.
func (b *Bearer) Import(ctx context.Context, userID, plaintext string, o ImportOptions) (Credential, error) {
	return b.importPlaintext(ctx, userID, plaintext, o)
}

// ImportDigest is Import for a system that keeps the SHA-256 of its tokens: d is the
// digest of the characters that clients send. The caller must ensure that the tokens
// are unguessable, and that b accepts them: it has no Prefix, or AcceptImported is
// set.
func (b *Bearer) ImportDigest(ctx context.Context, userID string, d Digest, o ImportOptions) (c Credential, err error) {
	op := b.begin(ctx, opImport, userID, "")
	defer op.done(&err)
	c, err = b.newCredential(ctx, userID, o)
	if d == (Digest{}) {
		err = errors.Join(argumentError("digest", "must not be zero"), err)
	}
	if err != nil {
		return Credential{}, err
	}
	c.Digest = d
	if err := b.create(op, EventImported, c); err != nil {
		return Credential{}, err
	}
	return c, nil
}

// List returns a page of a user's tokens, newest first (see Credential.ID). Expired tokens are included
// until they are purged.
func (b *Bearer) List(ctx context.Context, userID string, page Page) ([]Credential, error) {
	return b.list(ctx, userID, page)
}

// Get returns one of a user's tokens, even if it has expired, or [ErrNotFound].
func (b *Bearer) Get(ctx context.Context, userID, id string) (Credential, error) {
	return b.get(ctx, userID, id)
}

// Rotate replaces a token with a new one that has the same name, scopes, networks, metadata and
// lifetime, up to MaxLifetime from now. The old one keeps working for overlap, 0 to MaxOverlap,
// but not beyond its own expiry; if overlap is 0, it is revoked. If the token itself replaced one that
// is still in its grace period, that one is revoked. MaxPerUser does not apply, and scopes are kept
// even if the configuration no longer lists them. Rotate returns [ErrNotFound] if the user
// has no such token or it has expired, and [ErrConflict] if it has been rotated already.
func (b *Bearer) Rotate(ctx context.Context, userID, id string, overlap time.Duration) (plaintext string, c Credential, err error) {
	return b.rotate(ctx, userID, id, overlap)
}

// A TokenUpdate says what Update changes. A field that is nil stays as it is, so a new name
// cannot remove the networks.
type TokenUpdate struct {
	// Old, if not nil, is the token as the caller has read it. Update changes nothing and returns
	// ErrConflict if its Name, Scopes, Networks or Metadata have changed since, so that a decision
	// that follows from Old holds for what is changed.
	Old *Credential

	Name     *string
	Scopes   *[]string          // as in TokenOptions
	Networks *[]netip.Prefix    // as in TokenOptions: a pointer to nil lets the token be used from anywhere
	Metadata map[string]*string // sets entries, and deletes those whose value is nil; others stay
}

// Update changes a token and returns it as it is then. Its plaintext and its times stay. A change
// takes effect in other processes as a revocation does. A request that is already accepted
// hears of removed scopes and networks by [Recheck], and not of metadata. Fields that other calls
// change at the same time are kept. Update returns [ErrInvalidArgument] if u violates the
// configuration, [ErrNotFound] if the user has no such token, [ErrConflict] if the token has been
// rotated or is no longer u.Old, or [ErrUnavailable]. An expired token can be updated. A token
// that this one has replaced, and that is in its grace period, stays as it is: if u takes
// something away, revoke that one too. Its ID is c.Previous.
func (b *Bearer) Update(ctx context.Context, userID, id string, u TokenUpdate) (c Credential, err error) {
	op := b.begin(ctx, opUpdate, userID, id)
	defer op.done(&err)
	const tries = 10 // each but the last is lost to another change of the same token
	for range tries {
		old, err := b.read(ctx, userID, id)
		if err != nil {
			return Credential{}, err
		}
		if u.Old != nil && (old.Ref() != u.Old.Ref() || !old.sameSettings(u.Old)) {
			return Credential{}, ErrConflict
		}
		if c, err = u.apply(old, b.scopes); err != nil {
			return Credential{}, err
		}
		switch err = storeError(b.store.Update(ctx, old, c), ErrNotFound, ErrConflict); {
		case err == nil:
			op.notify(Event{Type: EventUpdated, UserID: userID, CredentialID: id})
			return c, nil
		case old.Superseded || !errors.Is(err, ErrConflict) || errors.Is(err, ErrUnavailable):
			return Credential{}, err
		}
	}
	return Credential{}, ErrConflict
}

// apply returns c with the changes.
func (u *TokenUpdate) apply(c Credential, known []string) (Credential, error) {
	var nameErr, scopesErr, networksErr, metadataErr error
	if u.Name != nil {
		c.Name, nameErr = *u.Name, checkName(*u.Name)
	}
	if u.Scopes != nil {
		c.Scopes, scopesErr = parseScopes(*u.Scopes, known)
	}
	if u.Networks != nil {
		c.Networks, networksErr = newNetworks(*u.Networks)
	}
	if len(u.Metadata) > 0 { // otherwise it stays as it is, even if another program has written it
		text, fault := metadata.Change(string(c.Metadata), u.Metadata)
		if c.Metadata = Metadata(text); fault != "" {
			metadataErr = argumentError("Metadata", "%s", fault)
		}
	}
	return c, errors.Join(nameErr, scopesErr, networksErr, metadataErr)
}

// Revoke revokes a token, and with it the token that it replaced if that is in its
// grace period. It returns [ErrNotFound] if the user has no such token.
func (b *Bearer) Revoke(ctx context.Context, userID, id string) error {
	return b.revoke(ctx, userID, id)
}

// RevokeAll revokes all of a user's tokens, and returns their number.
func (b *Bearer) RevokeAll(ctx context.Context, userID string) (int, error) {
	return b.revokeAll(ctx, userID)
}

// RevokePlaintext revokes the token with the given plaintext, whichever user it belongs to
// and whatever its form, and with it the token that it replaced if that is in its grace
// period. Use it when a token has leaked. It returns the token, so that its user can be
// notified, or [ErrNotFound] if there is no such token or it is revoked. Expired tokens are
// revoked too. Space around the plaintext is ignored.
func (b *Bearer) RevokePlaintext(ctx context.Context, plaintext string) (Credential, error) {
	return b.revokePlaintext(ctx, plaintext)
}

// Policy returns the configuration, with its defaults.
func (b *Bearer) Policy() BearerPolicy {
	return BearerPolicy{
		Prefix:         b.format.prefix,
		AcceptImported: b.format.acceptImported,
		Scopes:         slices.Clone(b.scopes),
		MaxLifetime:    b.maxLifetime,
		MaxOverlap:     b.maxOverlap,
		MaxPerUser:     b.maxPerUser,
	}
}

// Close writes pending last-use times. It returns the error of the last write that failed,
// or ctx.Err() if ctx is done first; calling it again retries. The Observer is not called for
// these writes, and may call Close when it gets [EventUseLost]. b can still
// authenticate requests afterwards, but no longer records when tokens are used.
func (b *Bearer) Close(ctx context.Context) error { return b.recorder.Close(ctx) }

// Format implements [fmt.Formatter]. It prints the type's name whatever the verb, so
// that logging a Bearer neither exposes its contents nor races with requests.
func (b *Bearer) Format(f fmt.State, _ rune) { fmt.Fprint(f, "*auth.Bearer") }
