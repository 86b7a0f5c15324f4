package auth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/seed-31c5bcb2/auth/internal/header"
	"github.com/seed-31c5bcb2/auth/internal/token"
)

// A Bearer authenticates personal access tokens: `Authorization: Bearer <token>`
// (RFC 6750 section 2.1). Tokens in a query or a body are not read. It is also
// where tokens are issued, listed, rotated and revoked. It is made by
// [NewBearer] and safe for concurrent use.
type Bearer struct {
	records
	format plaintextFormat
	policy Policy
}

var _ Authenticator = (*Bearer)(nil)

// BearerConfig configures a [Bearer]. The zero value works.
type BearerConfig struct {
	// Prefix, like "acme_pat", starts every token, so that people and scanners
	// recognise one; at most 16 of [A-Za-z0-9_]. With it a token ends in a
	// checksum, and whatever is not one of ours is refused without asking the
	// store. "" is no prefix and no checksum.
	Prefix string
	// AcceptImported also takes what Import brought in: tokens of any other form
	// are then looked up. Without a Prefix that is so anyway.
	AcceptImported bool
	// Scopes are those that exist. nil: any may be given.
	Scopes []string
	// MaxLifetime is how long a token may live; 0 is for ever.
	MaxLifetime time.Duration
	// MaxOverlap is how long the old token of a rotation may go on; 0 is 7 days.
	MaxOverlap time.Duration
	// MaxPerUser is how many live tokens an account may have; 0 is no limit.
	MaxPerUser int
	// Observe is told of what happens to tokens; nil: nobody is.
	Observe Observer
}

// A Policy is what a page that manages tokens needs to know of a Bearer's
// configuration. Its slice is the caller's.
type Policy struct {
	Prefix         string
	AcceptImported bool
	Scopes         []string      // nil: any
	MaxLifetime    time.Duration // 0: for ever
	MaxOverlap     time.Duration // never 0
	MaxPerUser     int           // 0: no limit
}

// NewToken says what a new token shall be.
type NewToken struct {
	Name     string        // what its owner calls it: 1 to 255 bytes of UTF-8, without controls
	Scopes   []string      // nil: "*", the account's full access. Empty: an error. A form in which nothing is ticked is nil!
	Lifetime time.Duration // 0: for ever, refused under a MaxLifetime
}

// NewBearer returns a Bearer over store. It reports every fault of cfg at once.
//
// All tokens of a store are of one sort: a second Bearer over it with another
// Prefix still accepts them if it has AcceptImported or no Prefix, and shares
// lists and limits. Tell purposes apart by scopes, or by a store for each.
func NewBearer(store Store, cfg BearerConfig) (*Bearer, error) {
	format, faults := newPlaintextFormat("BearerConfig", cfg.Prefix, cfg.AcceptImported)
	overlap, err := overlapOf("BearerConfig", cfg.MaxOverlap)
	faults = append(faults, err, checkStore(store))
	if cfg.MaxLifetime < 0 {
		faults = append(faults, configFault("BearerConfig", "MaxLifetime", "is %v: use 0 for no bound", cfg.MaxLifetime))
	}
	if cfg.MaxPerUser < 0 {
		faults = append(faults, configFault("BearerConfig", "MaxPerUser", "is %d: use 0 for no limit", cfg.MaxPerUser))
	}
	if cfg.Scopes != nil && len(cfg.Scopes) == 0 {
		faults = append(faults, configFault("BearerConfig", "Scopes", "is empty: name those that exist, or leave it nil for any"))
	}
	for _, s := range cfg.Scopes {
		if !validScope(s) || s == string(allScopes) {
			faults = append(faults, configFault("BearerConfig", "Scopes", "%q is not a scope's name: RFC 6749 section 3.3", s))
		}
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	b := &Bearer{format: format, policy: Policy{
		Prefix:         cfg.Prefix,
		AcceptImported: cfg.AcceptImported,
		Scopes:         slices.Clone(cfg.Scopes),
		MaxLifetime:    cfg.MaxLifetime,
		MaxOverlap:     overlap,
		MaxPerUser:     cfg.MaxPerUser,
	}}
	b.init(store, KindToken, cfg.Observe)
	return b, nil
}

// Scheme returns [SchemeBearer].
func (b *Bearer) Scheme() Scheme { return SchemeBearer }

// Authenticate implements [Authenticator].
func (b *Bearer) Authenticate(r *http.Request) (*Identity, error) {
	return byHeader(r, SchemeBearer, b.authenticate)
}

// authenticate is Authenticate once the header is read.
func (b *Bearer) authenticate(r *http.Request, presented header.Authorization) (*Credential, error) {
	now := time.Now()
	c, err := b.present(r.Context(), &b.format, presented, now)
	if err != nil {
		return nil, err
	}
	b.used(c, now, false)
	return c, nil
}

// Issue makes a new token for an account and returns its plaintext, which is
// nowhere to be had again. It fails with [ErrMalformed] for what the policy does
// not allow, with [ErrLimit] at MaxPerUser, and with the store's errors.
func (b *Bearer) Issue(ctx context.Context, userID string, t NewToken) (plaintext string, c Credential, err error) {
	plaintext = b.format.generate()
	c, err = b.create(ctx, EventIssued, userID, token.Digest(plaintext), b.format.hint(plaintext), t)
	if err != nil {
		return "", Credential{}, err
	}
	return plaintext, c, nil
}

// Import takes over a token of another system: 24 to 512 characters of token68
// (RFC 9110 section 11.2), which then works as it is. With a Prefix it needs
// AcceptImported. It fails with [ErrConflict] if the token is known already, and
// also if it was revoked: no call brings that back.
func (b *Bearer) Import(ctx context.Context, userID, plaintext string, t NewToken) (Credential, error) {
	if err := b.format.checkImport(plaintext); err != nil {
		return Credential{}, err
	}
	return b.create(ctx, EventImported, userID, token.Digest(plaintext), b.format.hint(plaintext), t)
}

// ImportDigest is Import for a system that keeps the SHA-256 of its tokens: d is
// the digest of the characters that clients send. Whoever calls it answers for
// the tokens being unguessable, and for a Bearer that takes their form: no
// Prefix, or AcceptImported.
func (b *Bearer) ImportDigest(ctx context.Context, userID string, d Digest, t NewToken) (Credential, error) {
	if d == (Digest{}) {
		return Credential{}, malformed("digest", "must not be zero")
	}
	return b.create(ctx, EventImported, userID, d, "", t)
}

// List returns a page of a user's tokens, the newest first, expired ones
// included until they are purged.
func (b *Bearer) List(ctx context.Context, userID string, page Page) ([]Credential, error) {
	return b.list(ctx, userID, page)
}

// Get returns one of a user's tokens, expired or not. It fails with [ErrNotFound] if
// the user has no such token.
func (b *Bearer) Get(ctx context.Context, userID, id string) (Credential, error) {
	return b.get(ctx, userID, id)
}

// Rotate replaces a token by a new one with the same name, scopes and lifetime,
// counted from now and cut to MaxLifetime. The old one works on for overlap, 0
// to MaxOverlap, though never past its own expiry; at once, for 0, it is
// revoked. It fails with [ErrNotFound] for a token that is not the user's or no
// longer live, and with [ErrConflict] for one that was rotated already.
func (b *Bearer) Rotate(ctx context.Context, userID, id string, overlap time.Duration) (plaintext string, c Credential, err error) {
	if err := errors.Join(checkUserID(userID), checkOverlap(overlap, b.policy.MaxOverlap)); err != nil {
		return "", Credential{}, err
	}
	old, err := b.get(ctx, userID, id)
	if err != nil {
		return "", Credential{}, err
	}
	plaintext = b.format.generate()
	c = b.draft(userID, b.policy.lifetimeAfter(old))
	c.Name, c.Scopes, c.Digest, c.Hint = old.Name, old.Scopes, token.Digest(plaintext), b.format.hint(plaintext)
	if err := b.rotate(ctx, old.Ref(), &c, overlap); err != nil {
		return "", Credential{}, err
	}
	return plaintext, c, nil
}

// Revoke ends a token at once, and the one that it replaced if that is still in
// its overlap. It fails with [ErrNotFound] if the user has no such token.
func (b *Bearer) Revoke(ctx context.Context, userID, id string) error {
	return b.revoke(ctx, userID, id, ReasonRevoked)
}

// RevokeAll ends all of a user's tokens and returns how many that were.
func (b *Bearer) RevokeAll(ctx context.Context, userID string) (int, error) {
	return b.revokeAll(ctx, userID)
}

// RevokePlaintext ends the token that a plaintext is, whoever's it is: the
// answer to a leak. It returns the record, so that its owner can be told, and
// [ErrNotFound] if there is no such token, or it was revoked. One that has expired is
// revoked as well: its owner is to hear of the leak.
func (b *Bearer) RevokePlaintext(ctx context.Context, plaintext string) (Credential, error) {
	return b.revokePlaintext(ctx, plaintext)
}

// Policy returns the configuration, with its defaults.
func (b *Bearer) Policy() Policy {
	p := b.policy
	p.Scopes = slices.Clone(p.Scopes)
	return p
}

// Close writes the last uses that are still held, within ctx. The Bearer goes on
// to answer requests, and records no further uses.
func (b *Bearer) Close(ctx context.Context) error { return b.uses.Close(ctx) }

// Format implements fmt.Formatter with the type's name for every verb: what is
// inside is nobody's business, and changes while requests go on.
func (b *Bearer) Format(f fmt.State, _ rune) { fmt.Fprint(f, "*auth.Bearer") }

func (b *Bearer) create(ctx context.Context, kind EventKind, userID string, d Digest, hint string, t NewToken) (Credential, error) {
	scopes, err := joinScopes(t.Scopes, b.policy.Scopes)
	if err := errors.Join(checkUserID(userID), checkName(t.Name), b.policy.checkLifetime(t.Lifetime), err); err != nil {
		return Credential{}, err
	}
	c := b.draft(userID, t.Lifetime)
	c.Name, c.Scopes, c.Digest, c.Hint = t.Name, scopes, d, hint
	if err := b.store.Create(ctx, c, b.policy.MaxPerUser); err != nil {
		return Credential{}, storeError(err)
	}
	b.tell(ctx, Event{Kind: kind, UserID: userID, CredentialID: c.ID})
	return c, nil
}

func (p *Policy) checkLifetime(d time.Duration) error {
	switch {
	case d < 0:
		return malformed("Lifetime", "must not be negative")
	case p.MaxLifetime > 0 && d == 0:
		return malformed("Lifetime", "must be set, to %v at the most", p.MaxLifetime)
	case p.MaxLifetime > 0 && d > p.MaxLifetime:
		return malformed("Lifetime", "must be %v at the most", p.MaxLifetime)
	}
	return nil
}

// lifetimeAfter is the lifetime of what replaces old. The policy may have become
// stricter since old was made.
func (p *Policy) lifetimeAfter(old Credential) time.Duration {
	if old.ExpiresAt.IsZero() {
		return p.MaxLifetime
	}
	lifetime := old.ExpiresAt.Sub(old.CreatedAt)
	if p.MaxLifetime > 0 {
		lifetime = min(lifetime, p.MaxLifetime)
	}
	return lifetime
}
