package auth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/seed-31c5bcb2/auth/internal/header"
	"github.com/seed-31c5bcb2/auth/internal/seal"
	"github.com/seed-31c5bcb2/auth/internal/token"
)

// A Secret authenticates confidential clients (RFC 6749 section 2.1) by the
// client secret that the system has assigned to their developer's account:
// `Authorization: Secret <secret>`. It is for the few endpoints that only
// servers call. A secret that comes from a browser is refused, and reported to
// the Observer with [ReasonBrowser]: nothing in a browser can keep one, so that
// one has leaked.
//
// It is also where secrets are assigned, shown, rotated and revoked. An account
// has one current secret and, during the overlap of a rotation, the previous one
// as well. It is made by [NewSecret] and safe for concurrent use.
type Secret struct {
	records
	format     plaintextFormat
	maxOverlap time.Duration
	sealed     seal.Secrets
}

var _ Authenticator = (*Secret)(nil)

// SecretConfig configures a [Secret]. The zero value works.
type SecretConfig struct {
	// Prefix, like "acme_cs", starts every secret; at most 16 of [A-Za-z0-9_].
	// With it a secret ends in a checksum, and whatever is not one of ours is
	// refused without asking the store. "" is no prefix and no checksum.
	Prefix string
	// AcceptImported also takes what Import brought in: secrets of any other
	// form are then looked up. Without a Prefix that is so anyway.
	AcceptImported bool
	// RevealKeys let the owner see a secret again: it is kept under AES-256-GCM
	// with a key derived from the first of them, which the database never holds.
	// Without them a secret is shown once.
	RevealKeys Keys
	// MaxOverlap is how long the old secret of a rotation may go on; 0 is 7 days.
	MaxOverlap time.Duration
	// Observe is told of what happens to secrets; nil: nobody is.
	Observe Observer
}

// NewSecret returns a Secret over store. It reports every fault of cfg at once.
func NewSecret(store Store, cfg SecretConfig) (*Secret, error) {
	format, faults := newPlaintextFormat("SecretConfig", cfg.Prefix, cfg.AcceptImported)
	overlap, err := overlapOf("SecretConfig", cfg.MaxOverlap)
	faults = append(faults, err, checkStore(store), cfg.RevealKeys.check("SecretConfig", "RevealKeys"))
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	s := &Secret{format: format, maxOverlap: overlap, sealed: seal.NewSecrets(cfg.RevealKeys)}
	s.init(store, KindSecret, cfg.Observe)
	return s, nil
}

// Scheme returns [SchemeSecret].
func (s *Secret) Scheme() Scheme { return SchemeSecret }

// Authenticate implements [Authenticator].
func (s *Secret) Authenticate(r *http.Request) (*Identity, error) {
	return byHeader(r, SchemeSecret, s.authenticate)
}

// authenticate is Authenticate once the header is read.
func (s *Secret) authenticate(r *http.Request, presented header.Authorization) (*Credential, error) {
	now := time.Now()
	c, err := s.present(r.Context(), &s.format, presented, now)
	if err != nil {
		return nil, err
	}
	// Scripts cannot set or remove Sec-Fetch-Site: whoever sends it is a browser.
	// It is looked at last, so that the event can name whose secret is out.
	if _, browser := r.Header["Sec-Fetch-Site"]; browser {
		return nil, refused(c, ReasonBrowser, ErrInvalidCredential)
	}
	s.used(c, now, false)
	return c, nil
}

// Assign makes the secret of an account. It fails with [ErrConflict] if the
// account has one.
func (s *Secret) Assign(ctx context.Context, userID string) (plaintext string, c Credential, err error) {
	plaintext = s.format.generate()
	c, err = s.create(ctx, EventIssued, userID, plaintext)
	if err != nil {
		return "", Credential{}, err
	}
	return plaintext, c, nil
}

// Import makes a secret of another system the account's current one: 24 to 512
// characters of token68 (RFC 9110 section 11.2), which then works as it is. With
// a Prefix it needs AcceptImported. It fails with [ErrConflict] if the account
// has one, and if the secret is known already, also as a revoked one.
func (s *Secret) Import(ctx context.Context, userID, plaintext string) (Credential, error) {
	if err := s.format.checkImport(plaintext); err != nil {
		return Credential{}, err
	}
	return s.create(ctx, EventImported, userID, plaintext)
}

// List returns the account's current secret and, in an overlap, the previous one
// behind it. None is no error.
func (s *Secret) List(ctx context.Context, userID string) ([]Credential, error) {
	all, err := s.list(ctx, userID, Page{})
	if err != nil {
		return nil, err
	}
	now := time.Now()
	live := make([]Credential, 0, 2)
	for _, c := range all {
		if c.liveAt(now) {
			live = append(live, c)
		}
	}
	if len(live) == 2 && live[0].Superseded {
		slices.Reverse(live) // the IDs of one millisecond are in no order
	}
	return live, nil
}

// Reveal returns the account's current secret, for its owner to see again. The
// caller has made sure that it is the owner who asks, and lately signed in. It
// fails with errors.ErrUnsupported without RevealKeys, with [ErrNotFound] if the
// account has no secret or it was made without RevealKeys, and with
// [ErrUnavailable] if no key opens it: the one that sealed it was removed, or
// the record was altered.
func (s *Secret) Reveal(ctx context.Context, userID string) (string, error) {
	if len(s.sealed) == 0 {
		return "", errors.ErrUnsupported
	}
	c, err := s.current(ctx, userID)
	if err != nil {
		return "", err
	}
	if len(c.Sealed) == 0 {
		return "", ErrNotFound
	}
	plaintext, ok := s.sealed.Open(c.Sealed, c.UserID, c.ID, c.Digest)
	if !ok {
		return "", unavailable(errors.New("no reveal key opens this secret"))
	}
	s.tell(ctx, Event{Kind: EventRevealed, UserID: userID, CredentialID: c.ID})
	return plaintext, nil
}

// Rotate replaces the account's secret. The old one works on for overlap, 0 to
// MaxOverlap; at once, for 0, it is revoked. A rotation within an overlap ends
// the previous one. It fails with [ErrNotFound] if the account has no secret,
// and with [ErrConflict] if another rotation was faster.
func (s *Secret) Rotate(ctx context.Context, userID string, overlap time.Duration) (plaintext string, c Credential, err error) {
	return s.replace(ctx, userID, "", overlap)
}

// RotateFrom is Rotate for somebody who has seen which secret is the current one:
// it fails with [ErrConflict] unless that is still the one with this ID. So a form
// that is sent twice rotates once, and does not end the secret that the first
// rotation left in its overlap.
func (s *Secret) RotateFrom(ctx context.Context, userID, id string, overlap time.Duration) (plaintext string, c Credential, err error) {
	if id == "" {
		return "", Credential{}, malformed("id", "must not be empty")
	}
	return s.replace(ctx, userID, id, overlap)
}

// replace rotates the current secret, if it is the one with the ID that is given.
func (s *Secret) replace(ctx context.Context, userID, id string, overlap time.Duration) (plaintext string, c Credential, err error) {
	if err := checkOverlap(overlap, s.maxOverlap); err != nil {
		return "", Credential{}, err
	}
	old, err := s.current(ctx, userID)
	switch {
	case err != nil:
		return "", Credential{}, err
	case id != "" && old.ID != id:
		return "", Credential{}, ErrConflict
	}
	plaintext = s.format.generate()
	c = s.fill(s.draft(userID, 0), plaintext)
	if err := s.rotate(ctx, old.Ref(), &c, overlap); err != nil {
		return "", Credential{}, err
	}
	return plaintext, c, nil
}

// Revoke ends the account's secret, the previous one of an overlap included. It
// fails with [ErrNotFound] if there is none.
func (s *Secret) Revoke(ctx context.Context, userID string) error {
	n, err := s.revokeAll(ctx, userID)
	if err == nil && n == 0 {
		return ErrNotFound
	}
	return err
}

// RevokePrevious ends the overlap of a rotation now. It fails with [ErrNotFound]
// if there is none.
func (s *Secret) RevokePrevious(ctx context.Context, userID string) error {
	live, err := s.List(ctx, userID)
	if err != nil {
		return err
	}
	for _, c := range live {
		if c.Superseded {
			return s.revoke(ctx, userID, c.ID, ReasonRevoked)
		}
	}
	return ErrNotFound
}

// RevokePlaintext ends the secret that a plaintext is, whoever's it is: the
// answer to a leak. If it is a current one, its previous one ends with it. It
// returns the record, so that its owner can be told, and [ErrNotFound] if there is no
// such secret, or it was revoked. One whose overlap is over is revoked as well.
func (s *Secret) RevokePlaintext(ctx context.Context, plaintext string) (Credential, error) {
	return s.revokePlaintext(ctx, plaintext)
}

// A SecretPolicy is what a page that manages secrets needs to know of a Secret's
// configuration.
type SecretPolicy struct {
	Prefix     string
	MaxOverlap time.Duration // never 0
	Revealable bool          // there are RevealKeys
}

// Policy returns the configuration, with its defaults.
func (s *Secret) Policy() SecretPolicy {
	return SecretPolicy{s.format.prefix, s.maxOverlap, len(s.sealed) > 0}
}

// Close writes the last uses that are still held, within ctx. The Secret goes on
// to answer requests, and records no further uses.
func (s *Secret) Close(ctx context.Context) error { return s.uses.Close(ctx) }

// Format implements fmt.Formatter with the type's name for every verb: what is
// inside is nobody's business, and changes while requests go on.
func (s *Secret) Format(f fmt.State, _ rune) { fmt.Fprint(f, "*auth.Secret") }

func (s *Secret) create(ctx context.Context, kind EventKind, userID, plaintext string) (Credential, error) {
	if err := checkUserID(userID); err != nil {
		return Credential{}, err
	}
	c := s.fill(s.draft(userID, 0), plaintext)
	if err := s.store.Create(ctx, c, 0); err != nil {
		return Credential{}, storeError(err)
	}
	s.tell(ctx, Event{Kind: kind, UserID: userID, CredentialID: c.ID})
	return c, nil
}

func (s *Secret) fill(c Credential, plaintext string) Credential {
	c.Digest, c.Hint = token.Digest(plaintext), s.format.hint(plaintext)
	c.Sealed = s.sealed.Seal(plaintext, c.UserID, c.ID)
	return c
}

// current returns the account's secret that no other has superseded.
func (s *Secret) current(ctx context.Context, userID string) (Credential, error) {
	live, err := s.List(ctx, userID)
	if err != nil {
		return Credential{}, err
	}
	for _, c := range live {
		if !c.Superseded {
			return c, nil
		}
	}
	return Credential{}, ErrNotFound
}
