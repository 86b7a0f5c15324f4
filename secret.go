package auth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"time"

	"github.com/seed-31c5bcb2/auth/internal/header"
	"github.com/seed-31c5bcb2/auth/internal/seal"
)

// A Secret authenticates confidential clients (RFC 6749 section 2.1) by the client
// secret that the system issues to a developer: `Authorization: Secret <secret>`. It
// is for the few endpoints that only servers call. A secret sent by a browser is
// rejected and reported to the Observer with [ReasonBrowser]: browsers cannot keep
// secrets, so it has leaked.
//
// A Secret also issues, reveals, rotates and revokes secrets. A user has one current
// secret and, during the grace period of a rotation, the previous one too. It is made
// by [NewSecret] and safe for concurrent use.
type Secret struct {
	issuer
}

var _ Authenticator = (*Secret)(nil)

// SecretConfig configures a [Secret]. The zero value is usable.
type SecretConfig struct {
	// Prefix is prepended to every secret, such as "acme_cs", so that people and
	// secret scanners can recognize one. It is at most 16 of [A-Za-z0-9_]. Secrets
	// with a prefix also carry a checksum, and anything else is rejected without a
	// store lookup, unless AcceptImported is set. If empty, secrets have neither.
	Prefix string
	// AcceptImported allows secrets that do not have the Prefix, such as those added
	// by Import. It has no effect without a Prefix: all secrets are allowed then.
	AcceptImported bool
	// RevealKeys allow users to see their secret again: the store keeps it encrypted with
	// AES-256-GCM, under a key that is derived from the first of them and never stored. If
	// empty, a secret is shown once.
	RevealKeys Keys
	// MaxOverlap is the longest grace period of a rotation, in which the previous
	// secret still works. Zero means 7 days.
	MaxOverlap time.Duration
	// Observe, if not nil, is called when secrets are issued, imported, revealed, rotated or
	// revoked, and when a call or the recording of last uses fails. If it is nil, outages and
	// internal errors are logged to slog.Default(): see Observer.
	Observe Observer
}

// A SecretPolicy is what a page that manages secrets needs to know of a Secret's
// configuration.
type SecretPolicy struct {
	Prefix         string
	AcceptImported bool
	MaxOverlap     time.Duration // never zero
	Revealable     bool          // there are RevealKeys
}

// SecretOptions describes a client secret to create. Scopes and Lifetime are required.
type SecretOptions struct {
	// Scopes are what the secret may be used for. Use []string{FullAccess} for
	// everything that the user may do.
	Scopes []string
	// Lifetime is at least a minute, or NoExpiry.
	Lifetime time.Duration
	// Networks are those from which the secret may be used. If nil, it may be used from anywhere:
	// see TokenOptions.
	Networks []netip.Prefix
	// Metadata is the service's own data, which Rotate keeps: see TokenOptions.
	Metadata map[string]string
	// Idempotency, if not empty, is a value of [NewIdempotency], so that a form that is sent
	// again creates no second secret: see TokenOptions.
	Idempotency string
}

func (o SecretOptions) importOptions() ImportOptions {
	return ImportOptions{TokenOptions: TokenOptions{
		Scopes: o.Scopes, Lifetime: o.Lifetime, Networks: o.Networks, Metadata: o.Metadata, Idempotency: o.Idempotency,
	}}
}

// NewSecret returns a Secret over store, or an error that lists everything wrong with cfg.
func NewSecret(store Store, cfg SecretConfig) (*Secret, error) {
	format, formatErr := newPlaintextFormat("SecretConfig", cfg.Prefix, cfg.AcceptImported)
	overlap, overlapErr := overlapOf("SecretConfig", cfg.MaxOverlap)
	keysErr := cfg.RevealKeys.check("SecretConfig", "RevealKeys")
	if err := errors.Join(formatErr, overlapErr, checkStore(store), keysErr); err != nil {
		return nil, err
	}
	s := &Secret{issuer{format: format, maxOverlap: overlap, sealer: seal.NewSecrets(cfg.RevealKeys)}}
	s.init(store, KindSecret, cfg.Observe)
	return s, nil
}

// Scheme returns [SchemeSecret].
func (s *Secret) Scheme() Scheme { return SchemeSecret }

// Authenticate implements [Authenticator].
func (s *Secret) Authenticate(r *http.Request) (*Identity, error) {
	return authenticateHeader(r, SchemeSecret, s.authenticate)
}

func (s *Secret) authenticate(r *http.Request, presented header.Authorization) (*Credential, error) {
	now := time.Now()
	c, err := s.authenticatePlaintext(r.Context(), presented, now)
	// Only browsers send Sec-Fetch-Site: scripts can neither set nor remove it. It is
	// checked last, so that the event names the user whose secret has leaked.
	_, browser := r.Header["Sec-Fetch-Site"]
	e, rejected := err.(*Error)
	switch {
	case browser && err == nil:
		return nil, errRejected(c, ReasonBrowser, ErrInvalidCredential)
	case browser && rejected && e.Reason == ReasonNetwork:
		// Browsers are in other networks than servers, and the secret has leaked.
		return nil, &Error{Reason: ReasonBrowser, Err: e.Err, subject: e.subject}
	case err != nil:
		return nil, err
	}
	s.used(r.Context(), c, now, false)
	return c, nil
}

// Issue creates the secret of a user and returns its plaintext. A secret that has expired
// is replaced in the same step. Issue returns [ErrConflict] if the user has a current
// secret that has not expired or if o.Idempotency has been used, [ErrInvalidArgument] if o is
// not allowed, or [ErrUnavailable].
func (s *Secret) Issue(ctx context.Context, userID string, o SecretOptions) (plaintext string, c Credential, err error) {
	return s.issue(ctx, userID, o.importOptions())
}

// Import adds a secret of another system as the current one of a user, who must not have
// one: 24 to 512 visible ASCII characters without space, comma, quote and backslash that do not
// have the form of a Credential.ID. It then works unchanged.
// If s has a Prefix, AcceptImported must be set, unless the secret has the form of s's own.
// Import returns the errors of Issue, and
// [ErrConflict] if the secret exists already. A revoked secret cannot be imported
// again until it is purged.
func (s *Secret) Import(ctx context.Context, userID, plaintext string, o SecretOptions) (Credential, error) {
	return s.importPlaintext(ctx, userID, plaintext, o.importOptions())
}

// List returns a page of a user's secrets, newest first: the current one and,
// during a grace period, the previous one, which is Superseded. Expired secrets are
// included until they are purged.
func (s *Secret) List(ctx context.Context, userID string, page Page) ([]Credential, error) {
	return s.list(ctx, userID, page)
}

// Get returns one of a user's secrets, even if it has expired, or [ErrNotFound].
func (s *Secret) Get(ctx context.Context, userID, id string) (Credential, error) {
	return s.get(ctx, userID, id)
}

// Reveal returns the plaintext of a user's current secret. The caller must have
// verified that it is the user who asks, and that the user signed in recently. Reveal returns
// [ErrNotFound] if the user has no such secret, if it has expired, or if it was
// created without RevealKeys; [ErrConflict] if it has been rotated;
// [errors.ErrUnsupported] if there are no RevealKeys; and [ErrUnavailable] if none of
// them decrypts it, because a key was removed or the record was altered.
func (s *Secret) Reveal(ctx context.Context, userID, id string) (plaintext string, err error) {
	op := s.begin(ctx, opReveal, userID, id)
	defer op.done(&err)
	if len(s.sealer) == 0 {
		return "", errors.ErrUnsupported
	}
	c, err := s.read(ctx, userID, id)
	switch {
	case err != nil:
		return "", err
	case c.Superseded:
		return "", ErrConflict
	case len(c.Sealed) == 0 || c.Expired(time.Now()):
		return "", ErrNotFound
	}
	plaintext, ok := s.sealer.Open(c.Sealed, c.UserID, c.ID, c.Digest)
	if !ok {
		return "", asUnavailable(errors.New("no reveal key decrypts this secret"))
	}
	op.notify(Event{Type: EventRevealed, UserID: userID, CredentialID: c.ID})
	return plaintext, nil
}

// Rotate replaces a user's current secret with a new one that has the same scopes, networks,
// metadata and lifetime. The old one keeps working for overlap, 0 to MaxOverlap, but not beyond its own
// expiry; if overlap is 0, it is revoked. If the secret itself replaced one that is still in
// its grace period, that one is revoked. Rotate returns [ErrNotFound] if the user
// has no such secret or it has expired, and [ErrConflict] if it has been rotated
// already: a form that is submitted twice rotates once.
func (s *Secret) Rotate(ctx context.Context, userID, id string, overlap time.Duration) (plaintext string, c Credential, err error) {
	return s.rotate(ctx, userID, id, overlap)
}

// Revoke revokes a secret, and with it the secret that it replaced if that is in its
// grace period. It returns [ErrNotFound] if the user has no such secret.
func (s *Secret) Revoke(ctx context.Context, userID, id string) error {
	return s.revoke(ctx, userID, id)
}

// RevokeAll revokes all of a user's secrets, and returns their number.
func (s *Secret) RevokeAll(ctx context.Context, userID string) (int, error) {
	return s.revokeAll(ctx, userID)
}

// RevokePlaintext revokes the secret with the given plaintext, whichever user it
// belongs to, and with it the secret that it replaced if that is in its grace period.
// Use it when a secret has leaked. It returns the secret, so that its user can be
// notified, or [ErrNotFound] if there is no such secret or it is revoked. Expired
// secrets are revoked too. Space around the plaintext is ignored.
func (s *Secret) RevokePlaintext(ctx context.Context, plaintext string) (Credential, error) {
	return s.revokePlaintext(ctx, plaintext)
}

// Policy returns the configuration, with its defaults.
func (s *Secret) Policy() SecretPolicy {
	return SecretPolicy{s.format.prefix, s.format.acceptImported, s.maxOverlap, len(s.sealer) > 0}
}

// Close writes pending last-use times. It returns the error of the last write that failed,
// or ctx.Err() if ctx is done first; calling it again retries. The Observer is not called for
// these writes, and may call Close when it gets [EventUseLost]. s can still
// authenticate requests afterwards, but no longer records when secrets are used.
func (s *Secret) Close(ctx context.Context) error { return s.recorder.Close(ctx) }

// Format implements [fmt.Formatter]. It prints the type's name whatever the verb, so
// that logging a Secret neither exposes its contents nor races with requests.
func (s *Secret) Format(f fmt.State, _ rune) { fmt.Fprint(f, "*auth.Secret") }
