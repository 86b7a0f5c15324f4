package auth

import (
	"context"
	"errors"
	"time"
)

// A Store keeps credentials. [NewMemoryStore] is one; a service writes its own
// by implementing these methods and running the package storetest over it.
//
// Every method is safe for concurrent use, and all that it changes it changes
// in one step that is durable when it returns: whoever asks afterwards, in this
// process or another, sees it whole, and a fault half-way leaves nothing. Where
// a store is shared by several processes, what is said of one winner and of
// limits holds across all of them.
//
// An error for which errors.Is knows none of [ErrNotFound], [ErrConflict] and
// [ErrLimit] means that the store is out: whoever asked is kept out, with a 503.
// Methods return within a bounded time also when the server behind them hangs,
// and soon after ctx ends. Times are UTC in whole microseconds; the zero time
// means never. A record that was rotated away or has expired stays in Get, List
// and Lookup until Purge: expiry is for the caller to check.
type Store interface {
	// Create keeps c. With a limit above 0 it fails with ErrLimit if the user
	// has that many live records of this kind already: neither revoked, nor
	// superseded, nor expired at c.CreatedAt. It fails with ErrConflict if any
	// record of any kind has the same digest, revoked tokens and secrets included
	// until they are purged, or if c is a secret and the user has one that is
	// neither revoked nor superseded. The store keeps no slice of the caller's.
	Create(ctx context.Context, c Credential, limit int) error

	// Lookup finds a record of that kind by its digest, expired ones included.
	// It fails with ErrNotFound if there is none, or it was revoked, for which a
	// store that still knows may return [ErrRevoked]. It is called for each
	// request: it compares all of the digest, byte by byte. The result may be
	// shared: nobody writes to it.
	Lookup(ctx context.Context, kind Kind, d Digest) (*Credential, error)

	// Get returns the record, which is the caller's, or ErrNotFound if there is
	// none, it was revoked, or it is another user's.
	Get(ctx context.Context, ref Ref) (Credential, error)

	// List returns a page of a user's records of one kind, without the revoked
	// ones, the highest ID (so the newest) first. A record that is there from
	// the first page to the last is in exactly one page, whatever comes and goes
	// meanwhile. The result is the caller's.
	List(ctx context.Context, kind Kind, userID string, page Page) ([]Credential, error)

	// Rotate puts next in the place of old, in one step. If oldUntil is after
	// next.CreatedAt, old becomes superseded and expires at oldUntil or at its
	// own expiry, whichever is first; otherwise it is revoked. What old itself
	// had replaced is revoked in the same step, so that at most two records of
	// one line are ever live. No limit applies. It fails with ErrNotFound if old
	// is not there, revoked, another user's, or expired at next.CreatedAt, and
	// with ErrConflict if old is superseded or next's digest is taken. So of
	// several rotations of one record, one wins.
	Rotate(ctx context.Context, old Ref, next Credential, oldUntil time.Time) error

	// Revoke ends a record, and with it the one that it replaced and that is
	// still within its overlap. The digest of a token or a secret stays behind
	// until Purge, so that nothing brings it back. It fails with ErrNotFound as
	// Get does.
	Revoke(ctx context.Context, ref Ref) error

	// RevokeAll revokes all of a user's records of one kind but those whose IDs
	// are in except. It returns how many that were, superseded and expired ones
	// included. None is no error.
	RevokeAll(ctx context.Context, kind Kind, userID string, except ...string) (int, error)

	// Touch records last uses, of any number of records. It moves LastUsedAt
	// forward only, changes nothing else, and passes over records that are
	// revoked or gone.
	Touch(ctx context.Context, uses []Use) error

	// Purge removes what expired or was revoked before the given time, and
	// returns how many records that were. Nothing calls it by itself: the
	// application does now and then, once a day with a time a month ago, say.
	// Until then a revoked token's digest cannot be used again.
	Purge(ctx context.Context, before time.Time) (int, error)
}

// A Credential is the record of a token, a session or a secret. It holds no
// plaintext.
type Credential struct {
	// ID names the record in public. IDs sort by creation: 48 bits of
	// milliseconds and 80 random ones, as 26 characters of a ULID.
	ID     string
	Kind   Kind
	UserID string // the account that it was created for
	Name   string // what its owner calls a token; a session's user agent
	Hint   string // the prefix and the last four characters, to tell tokens apart by
	Scopes Scopes

	Digest Digest `json:"-"`
	Sealed []byte `json:"-"` // a secret under Secret's RevealKeys; nil without

	CreatedAt  time.Time
	ExpiresAt  time.Time // zero: never
	LastUsedAt time.Time // zero: not yet; at most a minute behind or so

	Superseded bool   // rotated: valid to ExpiresAt, and outside the limit
	Previous   string // the ID of the one that it replaced with an overlap; "" if none
}

// liveAt reports whether c, which is not revoked, has not expired.
func (c *Credential) liveAt(now time.Time) bool {
	return c.ExpiresAt.IsZero() || now.Before(c.ExpiresAt)
}

// Ref returns the name by which a Store finds c.
func (c *Credential) Ref() Ref { return Ref{Kind: c.Kind, UserID: c.UserID, ID: c.ID} }

// identity is what a handler sees of a record.
func (c *Credential) identity() *Identity {
	id := new(Identity)
	c.describe(id)
	return id
}

// describe sets all of an identity: field by field, as a whole one would be copied
// twice.
func (c *Credential) describe(id *Identity) {
	id.UserID = c.UserID
	id.Scheme = c.Kind.scheme()
	id.CredentialID = c.ID
	id.Scopes = c.Scopes
	id.AuthenticatedAt = c.CreatedAt
	id.ExpiresAt = c.ExpiresAt
}

// A Ref names a record: the ID alone is not enough, so that nobody reaches
// another user's by its ID.
type Ref struct {
	Kind   Kind
	UserID string
	ID     string
}

// A Use is a credential's last use, for Store.Touch.
type Use struct {
	Ref
	Digest Digest
	At     time.Time
}

// A Page is a part of a list. The zero value is the first 100.
type Page struct {
	After string // the last ID seen, whether it is still there or not; "" starts
	Limit int    // how many at the most; up to 1,000, and 0 is 100
}

// Max returns how many records the page holds at the most: Limit with its
// default and its bound applied. It is for implementations of Store.
func (p Page) Max() int {
	if p.Limit <= 0 {
		return 100
	}
	return min(p.Limit, 1000)
}

// A Kind is what a record is for. A credential of one kind is never taken for
// another. The zero Kind is none.
type Kind uint8

// The kinds.
const (
	KindToken   Kind = 1 // a personal access token: Bearer
	KindSession Kind = 2 // a signed-in session: Cookie
	KindSecret  Kind = 3 // a client secret: Secret
)

// String returns "token", "session" or "secret".
func (k Kind) String() string {
	switch k {
	case KindToken:
		return "token"
	case KindSession:
		return "session"
	case KindSecret:
		return "secret"
	}
	return "none"
}

// scheme is the one by which credentials of a kind are presented.
func (k Kind) scheme() Scheme {
	switch k {
	case KindToken:
		return SchemeBearer
	case KindSession:
		return SchemeCookie
	case KindSecret:
		return SchemeSecret
	}
	return ""
}

// A Digest is the SHA-256 of a plaintext. It needs no salt and no stretching:
// the plaintext has 190 random bits (as OWASP's advice for session identifiers
// and RFC 6749 section 10.10 ask for, and more).
type Digest [32]byte

// A LookupFunc is a Store over rows of one's own: an existing table of tokens,
// say, behind [Bearer]. It returns ErrNotFound for an unknown or revoked one;
// UserID and Scopes have to be set, the zero Kind and Digest are filled in. Nobody
// writes to what it returned. It bounds its own time. All other methods fail with errors.ErrUnsupported: the
// table's life stays with the code that has it, and last uses are not recorded.
type LookupFunc func(ctx context.Context, kind Kind, d Digest) (*Credential, error)

var _ Store = LookupFunc(nil)

// Lookup calls f.
func (f LookupFunc) Lookup(ctx context.Context, kind Kind, d Digest) (*Credential, error) {
	found, err := f(ctx, kind, d)
	if err != nil || found == nil || found.Kind != 0 && found.Digest != (Digest{}) {
		return found, err
	}
	c := *found
	if c.Kind == 0 {
		c.Kind = kind
	}
	if c.Digest == (Digest{}) {
		c.Digest = d
	}
	return &c, nil
}

// Create fails with errors.ErrUnsupported.
func (LookupFunc) Create(context.Context, Credential, int) error { return errors.ErrUnsupported }

// Get fails with errors.ErrUnsupported.
func (LookupFunc) Get(context.Context, Ref) (Credential, error) {
	return Credential{}, errors.ErrUnsupported
}

// List fails with errors.ErrUnsupported.
func (LookupFunc) List(context.Context, Kind, string, Page) ([]Credential, error) {
	return nil, errors.ErrUnsupported
}

// Rotate fails with errors.ErrUnsupported.
func (LookupFunc) Rotate(context.Context, Ref, Credential, time.Time) error {
	return errors.ErrUnsupported
}

// Revoke fails with errors.ErrUnsupported.
func (LookupFunc) Revoke(context.Context, Ref) error { return errors.ErrUnsupported }

// RevokeAll fails with errors.ErrUnsupported.
func (LookupFunc) RevokeAll(context.Context, Kind, string, ...string) (int, error) {
	return 0, errors.ErrUnsupported
}

// Touch fails with errors.ErrUnsupported.
func (LookupFunc) Touch(context.Context, []Use) error { return errors.ErrUnsupported }

// Purge fails with errors.ErrUnsupported.
func (LookupFunc) Purge(context.Context, time.Time) (int, error) { return 0, errors.ErrUnsupported }
