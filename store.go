package auth

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"time"

	"github.com/seed-31c5bcb2/auth/internal/metadata"
	"github.com/seed-31c5bcb2/auth/internal/networks"
)

// A Store keeps the records of credentials. [NewMemoryStore] returns one. To write
// another, implement these methods and run the suite of package storetest.
//
// A store may also be a [Scanner] and a [Notifier].
//
// All methods are safe for concurrent use. Changes are durable when the method returns: later
// calls, in this process or another, see all of them. Create, Update, Rotate and Revoke are each
// one atomic step: after an error, all of it was done or nothing. RevokeAll, Touch and Purge may
// work in several steps, of which the earlier ones remain after an error: they can be called
// again. The rules about limits and concurrent calls hold across all processes that share a
// store.
//
// A method may return the errors that its description names, and [errors.ErrUnsupported], and may
// wrap them. Any other error is an outage, and is answered with 503. So is [ErrNotFound] from a
// method that does not name it, such as List, and any error that wraps [ErrUnavailable]. If Touch
// returns errors.ErrUnsupported itself, last uses are not recorded anymore.
//
// Methods return within a bounded time even if the server behind them hangs, and soon after ctx
// is done. Times are UTC in whole microseconds; the zero time means never. Get, List and Lookup
// return expired records: callers check the expiry. Purge removes them, and a store may do so
// earlier.
type Store interface {
	// Create stores c. It returns ErrConflict if any record of any kind has the same
	// digest; if the user has a record of this kind with the same ID; or if c is a secret
	// and the user has one that is neither revoked nor superseded nor expired. Revoked tokens
	// and secrets keep their digest and ID until Purge, and expired records until they are
	// removed. A secret that has expired is revoked in the same step, with the one that it
	// replaced. If limit is above 0, Create returns ErrLimit if the user has that many
	// records of this kind that are neither revoked nor superseded nor expired. The present
	// time counts, not c.CreatedAt. A conflict comes before the limit: a repeated call gets
	// ErrConflict, even if the first one used up the limit. The store does not keep the
	// caller's slices.
	Create(ctx context.Context, c Credential, limit int) error

	// Lookup returns the record of that kind with that digest, even if it has expired.
	// It returns ErrNotFound if there is none or it was revoked. A store that knows of
	// the revocation may return [ErrRevoked], and with it a Credential that has only the
	// Kind, UserID, ID and Digest of the record: they tell whose credential was presented.
	// Lookup is called for each request, and must match all 32 bytes exactly, whatever
	// the collation. The result may be shared and must not be modified. A store that caches its answers may have a method Uncached() Store, which
	// returns a store that does not, and never nil: Recheck and RevokePlaintext ask that one.
	Lookup(ctx context.Context, kind Kind, d Digest) (*Credential, error)

	// Get returns a record, which is the caller's. It returns ErrNotFound if there is
	// none, if it was revoked, or if it belongs to another user.
	Get(ctx context.Context, ref Ref) (Credential, error)

	// List returns a page of a user's records of one kind, highest ID first, which is
	// newest first (see Credential.ID). Revoked records are left out. A record that exists
	// from the first page to the last is in exactly one page, whatever is created or removed
	// in between. The result is the caller's.
	List(ctx context.Context, kind Kind, userID string, page Page) ([]Credential, error)

	// Update sets the Name, Scopes, Networks and Metadata of a record to those of next, and
	// changes nothing else: it never undoes a Touch, and ignores all other fields of next. It
	// returns ErrNotFound if Get would for old.Ref(), and ErrConflict if the record is
	// superseded or if any of the four fields differs from old. So if two calls of Update, or
	// an Update and a Rotate, read the same record, one of them gets ErrConflict. An expired
	// record can be updated. The caller validates the fields.
	Update(ctx context.Context, old, next Credential) error

	// Rotate replaces the record of old.Ref() with next. If oldUntil is after next.CreatedAt,
	// the record becomes superseded and expires at oldUntil or at its own expiry, whichever is
	// first. Otherwise it is revoked. If it had itself replaced one that is still in its grace
	// period, that one is revoked, so that at most two generations are valid at a time. Limits
	// do not apply. Of several concurrent rotations of one record, exactly one succeeds. Rotate
	// returns ErrNotFound if Get would, or if the record has expired at next.CreatedAt. It
	// returns ErrConflict
	//   - if the record is superseded;
	//   - if its Name, Scopes, Networks or Metadata differ from old;
	//   - if next's digest or ID is taken, as in Create, by the record itself too.
	Rotate(ctx context.Context, old, next Credential, oldUntil time.Time) error

	// Revoke revokes a record, and with it the record that it replaced if that is in
	// its grace period. The digest and the ID of a token or a secret stay until Purge, so
	// that it cannot be imported or created again; a store may keep more of the record, but
	// returns none of it. A session may be removed. Revoke returns ErrNotFound as Get does.
	Revoke(ctx context.Context, ref Ref) error

	// RevokeAll revokes all of a user's records of one kind except those with the given
	// IDs. It returns their number, which includes superseded and expired ones. It is
	// not an error if there are none. When it returns, all records that existed when it was
	// called are revoked, and those that a Rotate has replaced them with in the meantime.
	RevokeAll(ctx context.Context, kind Kind, userID string, except ...string) (int, error)

	// Touch records last uses of any number of records. It moves LastUsedAt forward only, and
	// sets LastUsedFrom with it, to the zero Addr too. It changes nothing else, and skips
	// records that do not exist or were revoked.
	Touch(ctx context.Context, uses []Use) error

	// Purge removes records that expired or were revoked before the given time, and
	// returns their number. The application calls it periodically, for example once a
	// day with a time a month ago. Until then the digest and the ID of a revoked token or
	// secret cannot be used again.
	Purge(ctx context.Context, before time.Time) (int, error)
}

// A Scanner returns the credentials of all users, for example to find those that expire soon.
// Stores may implement it. One that wraps another store may return an error that wraps
// [errors.ErrUnsupported].
type Scanner interface {
	// Scan returns a page of records that are not revoked, in no particular order.
	// Superseded and expired ones are among them. A record that matches q, and is neither
	// revoked nor rotated from the first page to the last, is in at least one page, even if it
	// is used or updated in the meantime. It may be in several. One that is created in the
	// meantime may be missing. A page before the last may have fewer records than the limit, or
	// none. If the Cursor is not from a page of the same Kind, ExpiresFrom and ExpiresBefore,
	// Scan returns an error that wraps ErrInvalidArgument. The result is the caller's.
	Scan(ctx context.Context, q ScanQuery) (ScanPage, error)
}

// A ScanQuery says which records [Scanner].Scan returns. The zero value begins with all of
// them.
type ScanQuery struct {
	Kind Kind // zero means all kinds

	// Only records with ExpiresFrom <= ExpiresAt < ExpiresBefore match. A zero ExpiresFrom
	// is no bound. Without ExpiresBefore, records that never expire match too.
	ExpiresFrom, ExpiresBefore time.Time

	Cursor string // ScanPage.Next of the page before; empty for the first page
	Limit  int    // at most 1,000; zero or less means 100
}

// Max returns the maximum number of records on a page, as Page.Max does. It is for
// implementations of Scanner.
func (q ScanQuery) Max() int { return Page{Limit: q.Limit}.Max() }

// Matches reports whether c is of the kind, and expires in the range, that q asks for. It is
// for implementations of Scanner.
func (q ScanQuery) Matches(c *Credential) bool {
	switch {
	case q.Kind != 0 && c.Kind != q.Kind:
		return false
	case c.ExpiresAt.IsZero():
		return q.ExpiresBefore.IsZero()
	}
	return !c.ExpiresAt.Before(q.ExpiresFrom) && (q.ExpiresBefore.IsZero() || c.ExpiresAt.Before(q.ExpiresBefore))
}

// A ScanPage is a part of the result of a scan.
type ScanPage struct {
	Credentials []Credential
	Next        string // the Cursor of the next page; empty after the last one
}

// A Notifier reports changes, including those by other processes. Stores may implement it. One
// that wraps another store may return an error that wraps [errors.ErrUnsupported].
type Notifier interface {
	// Notify makes the store call f after credentials of a user were revoked, rotated or
	// updated, by any process. At that time Lookup already sees the change. f may also be
	// called for other changes, or more than once. If kind is zero, changes may have been
	// missed, of any user. f must be safe for concurrent use, must not block, and must not
	// call the store or stop. After stop has returned, f is not called anymore; stop may be
	// called more than once. Notify returns an error that wraps [errors.ErrUnsupported] if
	// the store cannot hear of changes, for example because a cache has no Invalidations.
	Notify(f func(kind Kind, userID string)) (stop func(), err error)
}

// A Credential is the record of a token, a session or a secret. It has no plaintext. Its JSON is
// for its user, and leaves out the Metadata, the Digest and Sealed; fmt and slog.TextHandler
// print all fields.
type Credential struct {
	// ID names the record in public. This package makes ULIDs of 26 characters, which sort
	// by creation, or by when the TokenOptions.Idempotency was made.
	ID     string `json:"id"`
	Kind   Kind   `json:"kind"`
	UserID string `json:"user_id"`        // the user that it belongs to
	Name   string `json:"name,omitempty"` // of a token; a session's user agent
	Hint   string `json:"hint,omitempty"` // the prefix and the last four characters, by which users recognize a token
	Scopes Scopes `json:"scopes"`

	Networks Networks `json:"networks,omitempty"` // from where it may be used; empty means from anywhere
	Metadata Metadata `json:"-"`                  // the service's own data, kept by Rotate

	Digest Digest `json:"-"`
	Sealed []byte `json:"-"` // of a secret: it, encrypted under RevealKeys; of a session: the key of the device that it is bound to; otherwise nil

	CreatedAt  time.Time `json:"created_at,omitzero"`
	ExpiresAt  time.Time `json:"expires_at,omitzero"`   // zero means never
	LastUsedAt time.Time `json:"last_used_at,omitzero"` // zero means not yet; lags by up to about a minute

	// The addresses of the clients that created or imported it, and that used it at LastUsedAt, as
	// the service has set them by WithClientAddr. They have no zone and are not IPv4-mapped. The
	// zero Addr means unknown.
	CreatedFrom  netip.Addr `json:"created_from,omitzero"`
	LastUsedFrom netip.Addr `json:"last_used_from,omitzero"`

	Actor         string `json:"actor,omitempty"`          // of a session: the user who acts as UserID, for example support staff; empty if it is UserID
	NonPersistent bool   `json:"non_persistent,omitempty"` // of a session: its cookie ends with the browser's session

	Superseded bool   `json:"superseded,omitempty"` // rotated, and in its grace period until ExpiresAt; does not count against limits
	Previous   string `json:"previous,omitempty"`   // the ID of the credential that it replaced with a grace period
}

// Expired reports whether c has expired at the given time. It does not know whether c
// was revoked.
func (c Credential) Expired(now time.Time) bool {
	return !c.ExpiresAt.IsZero() && !now.Before(c.ExpiresAt)
}

// Bound reports whether c is a session that is bound to a device: see [Binding].
func (c *Credential) Bound() bool { return c.Kind == KindSession && len(c.Sealed) > 0 }

// Ref returns the name by which a Store finds c.
func (c *Credential) Ref() Ref { return Ref{Kind: c.Kind, UserID: c.UserID, ID: c.ID} }

// sameSettings reports whether c still has what Update changes.
func (c *Credential) sameSettings(old *Credential) bool {
	return c.Name == old.Name && c.Scopes == old.Scopes && c.Networks == old.Networks && c.Metadata == old.Metadata
}

// identity is what a handler sees of a record.
func (c *Credential) identity() *Identity {
	id := new(Identity)
	c.describe(id)
	return id
}

// describe sets all fields of an identity. It is inlined, and copies no struct.
func (c *Credential) describe(id *Identity) {
	id.UserID = c.UserID
	id.Scheme = c.Kind.scheme()
	id.CredentialID = c.ID
	id.Scopes = c.Scopes
	id.Metadata = c.Metadata
	id.Actor = c.Actor
	id.AuthenticatedAt = c.CreatedAt
	id.ExpiresAt = c.ExpiresAt
}

// A Ref names a record. It has the user, so that an ID alone never reaches another
// user's record.
type Ref struct {
	Kind   Kind
	UserID string
	ID     string
}

// A Use is a use of a credential, for Store.Touch.
type Use struct {
	Ref
	Digest Digest // for caches, which know records by it
	At     time.Time
	From   netip.Addr // the client's address, with no zone and not IPv4-mapped; zero means unknown
}

// A Page is a part of a list. The zero value is the first 100 records.
type Page struct {
	After string // the last ID of the previous page, which need not exist anymore; empty for the first page
	Limit int    // at most 1,000; zero or less means 100
}

// Max returns the maximum number of records on the page: Limit with its default and
// its maximum applied. It is for implementations of Store.
func (p Page) Max() int {
	if p.Limit <= 0 {
		return 100
	}
	return min(p.Limit, 1000)
}

// A Kind is what a credential is for. A credential of one kind is never accepted as
// another. The zero Kind is none of them.
type Kind uint8

// Kinds of credentials.
const (
	KindToken   Kind = 1 // a personal access token: Bearer
	KindSession Kind = 2 // a signed-in session: Cookie
	KindSecret  Kind = 3 // a client secret: Secret
)

// String returns "token", "session", "secret", or "none".
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

// MarshalText returns the same as String.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText accepts what MarshalText returns for a kind other than zero.
func (k *Kind) UnmarshalText(text []byte) error {
	for _, known := range [...]Kind{KindToken, KindSession, KindSecret} {
		if string(text) == known.String() {
			*k = known
			return nil
		}
	}
	return fmt.Errorf("auth: %.20q is not a kind of credential", text)
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

// Networks are the networks from which a credential may be used: masked prefixes in the form
// of [netip.Prefix.String], separated by single spaces. The zero value means anywhere. A
// Networks is immutable. Stores keep it as it is.
//
// A credential with Networks is rejected, as an unknown one is, if the request's [ClientAddr] is in
// none of them or is unknown.
type Networks string

// Prefixes returns the networks, or nil for anywhere. The slice is the caller's.
func (n Networks) Prefixes() []netip.Prefix { return networks.All(string(n)) }

// allow reports whether a credential may be used in ctx.
func (n Networks) allow(ctx context.Context) bool {
	if n == "" {
		return true
	}
	addr, ok := ClientAddr(ctx)
	return ok && networks.Contain(string(n), addr)
}

// Metadata is a service's own data about a credential: "key=value" lines, sorted by key and
// separated by newlines. The zero value has no keys. It is immutable, so requests share it
// without copying. Stores keep it as it is: up to 6 KB of UTF-8.
type Metadata string

// Get returns the value of a key, or "" if m does not have it.
func (m Metadata) Get(key string) string {
	for k, v := range m.All() {
		if k == key {
			return v
		}
	}
	return ""
}

// All iterates over the keys and values, in the order of the keys.
func (m Metadata) All() iter.Seq2[string, string] { return metadata.All(string(m)) }

// A Digest is the SHA-256 of a plaintext. It needs no salt and no stretching, since
// our plaintexts have 190 random bits (OWASP asks for 64 in session identifiers, RFC 6749
// section 10.10 for 128).
type Digest [32]byte

// LookupStore returns a read-only Store over f, for example for an existing table of
// tokens. f must return ErrNotFound for unknown and revoked credentials, set UserID and
// Scopes, be safe for concurrent use, and return within a bounded time. If Kind and
// Digest are zero, they are filled in. The result of f is not modified. If f is nil,
// LookupStore returns nil, which constructors reject.
//
// All other methods return [errors.ErrUnsupported], and so do the methods of authenticators
// that need them: credentials are managed elsewhere, and their last uses are not recorded.
func LookupStore(f func(ctx context.Context, kind Kind, d Digest) (*Credential, error)) Store {
	if f == nil {
		return nil // which constructors reject
	}
	return lookupStore{f: f}
}

type lookupStore struct {
	unsupportedStore
	f func(context.Context, Kind, Digest) (*Credential, error)
}

func (s lookupStore) Lookup(ctx context.Context, kind Kind, d Digest) (*Credential, error) {
	found, err := s.f(ctx, kind, d)
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

// unsupportedStore is a Store without Lookup whose methods all fail.
type unsupportedStore struct{}

func (unsupportedStore) Create(context.Context, Credential, int) error { return errors.ErrUnsupported }

func (unsupportedStore) Get(context.Context, Ref) (Credential, error) {
	return Credential{}, errors.ErrUnsupported
}

func (unsupportedStore) List(context.Context, Kind, string, Page) ([]Credential, error) {
	return nil, errors.ErrUnsupported
}

func (unsupportedStore) Update(context.Context, Credential, Credential) error {
	return errors.ErrUnsupported
}

func (unsupportedStore) Rotate(context.Context, Credential, Credential, time.Time) error {
	return errors.ErrUnsupported
}

func (unsupportedStore) Revoke(context.Context, Ref) error { return errors.ErrUnsupported }

func (unsupportedStore) RevokeAll(context.Context, Kind, string, ...string) (int, error) {
	return 0, errors.ErrUnsupported
}

func (unsupportedStore) Touch(context.Context, []Use) error { return errors.ErrUnsupported }

func (unsupportedStore) Purge(context.Context, time.Time) (int, error) {
	return 0, errors.ErrUnsupported
}
