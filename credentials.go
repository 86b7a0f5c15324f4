package auth

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/seed-31c5bcb2/auth/internal/header"
	"github.com/seed-31c5bcb2/auth/internal/lastuse"
	"github.com/seed-31c5bcb2/auth/internal/text"
	"github.com/seed-31c5bcb2/auth/internal/token"
)

const (
	maxUserID = 255
	maxID     = 64
	maxName   = 255

	// maxPlaintext and minImported bound what is taken from elsewhere. A real
	// token has 190 bits; 24 characters of base64 have at most 144.
	maxPlaintext = 512
	minImported  = 24

	defaultOverlap = 7 * 24 * time.Hour
)

// records is what the three authenticators have in common: the one kind of
// record each of them keeps in the store.
type records struct {
	store   Store
	kind    Kind
	observe Observer
	uses    lastuse.Recorder
}

func (rs *records) init(store Store, kind Kind, observe Observer) {
	rs.store, rs.kind, rs.observe = store, kind, observe
	rs.uses.Write = rs.touch
}

// used records that c was used. If exact, every use counts.
func (rs *records) used(c *Credential, now time.Time, exact bool) {
	fresh := lastuse.Fresh(c.LastUsedAt, now)
	if fresh && !exact {
		return
	}
	rs.uses.Record(lastuse.Use{Kind: uint8(c.Kind), UserID: c.UserID, ID: c.ID, Digest: c.Digest, At: now}, fresh, exact)
}

// touch writes uses to the store. It recovers: nobody else could, and the process
// would end.
func (rs *records) touch(ctx context.Context, batch []lastuse.Use) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = panicError("Store.Touch", v)
		}
		if err != nil && err != errors.ErrUnsupported {
			rs.tellLost(ctx, err)
		}
	}()
	uses := make([]Use, len(batch))
	for i, u := range batch {
		uses[i] = Use{Ref{Kind(u.Kind), u.UserID, u.ID}, u.Digest, u.At}
	}
	err = rs.store.Touch(ctx, uses)
	if err != nil && isNil(err) {
		return errNilError
	}
	return err
}

// tellLost recovers for the same reason.
func (rs *records) tellLost(ctx context.Context, err error) {
	defer func() { _ = recover() }()
	rs.tell(ctx, Event{Kind: EventUseLost, Reason: ReasonUnavailable, Err: err})
}

// lookup finds the live record that a plaintext names.
func (rs *records) lookup(ctx context.Context, d Digest, now time.Time) (*Credential, error) {
	c, err := rs.find(ctx, d)
	if err != nil {
		return nil, lookupError(err)
	}
	if !c.liveAt(now) {
		return nil, refused(c, ReasonExpired, ErrInvalidCredential)
	}
	return c, nil
}

func lookupError(err error) error {
	switch {
	case errors.Is(err, ErrUnavailable):
		return outage(err)
	case errors.Is(err, ErrRevoked):
		return errRevoked
	case errors.Is(err, ErrNotFound):
		return errUnknown
	}
	return outage(err)
}

// find trusts no store blindly: a record of another kind, of another digest (a
// connection that answers the question before this one, as in CVE-2025-47907
// and CVE-2025-29923), without an owner or with scopes that we never wrote is
// nobody's.
func (rs *records) find(ctx context.Context, d Digest) (*Credential, error) {
	c, err := rs.store.Lookup(ctx, rs.kind, d)
	if err != nil {
		return nil, err
	}
	if c == nil {
		return nil, errors.New("auth: the store found neither a record nor an error")
	}
	if c.Kind != rs.kind || c.Digest != d || c.UserID == "" || !c.Scopes.valid() {
		return nil, errors.New("auth: the store's record is corrupt, or not the one that was asked for")
	}
	return c, nil
}

// draft is a record that lives for lifetime from now; 0 is for ever.
func (rs *records) draft(userID string, lifetime time.Duration) Credential {
	now := time.Now().UTC().Truncate(time.Microsecond)
	c := Credential{ID: newID(now), Kind: rs.kind, UserID: userID, CreatedAt: now, Scopes: allScopes}
	if lifetime > 0 {
		c.ExpiresAt = now.Add(lifetime).Truncate(time.Microsecond)
	}
	return c
}

func (rs *records) list(ctx context.Context, userID string, page Page) ([]Credential, error) {
	if err := checkUserID(userID); err != nil {
		return nil, err
	}
	if page.After != "" && !text.IsKey(page.After, maxID) {
		return nil, malformed("After", "is no ID")
	}
	list, err := rs.store.List(ctx, rs.kind, userID, page)
	return list, storeError(err)
}

func (rs *records) get(ctx context.Context, userID, id string) (Credential, error) {
	if err := checkUserID(userID); err != nil {
		return Credential{}, err
	}
	if !text.IsKey(id, maxID) {
		return Credential{}, ErrNotFound
	}
	c, err := rs.store.Get(ctx, Ref{Kind: rs.kind, UserID: userID, ID: id})
	if err != nil {
		return Credential{}, storeError(err)
	}
	return c, nil
}

func (rs *records) revoke(ctx context.Context, userID, id string, reason Reason) error {
	if err := checkUserID(userID); err != nil {
		return err
	}
	if !text.IsKey(id, maxID) {
		return ErrNotFound
	}
	if err := rs.store.Revoke(ctx, Ref{Kind: rs.kind, UserID: userID, ID: id}); err != nil {
		return storeError(err)
	}
	rs.tell(ctx, Event{Kind: EventRevoked, UserID: userID, CredentialID: id, Reason: reason})
	return nil
}

func (rs *records) revokeAll(ctx context.Context, userID string, except ...string) (int, error) {
	if err := checkUserID(userID); err != nil {
		return 0, err
	}
	n, err := rs.store.RevokeAll(ctx, rs.kind, userID, except...)
	if err == nil && n > 0 {
		rs.tell(ctx, Event{Kind: EventRevokedAll, UserID: userID, Reason: ReasonRevoked})
	}
	return n, storeError(err)
}

// revokePlaintext ends whatever the plaintext names, expired or not. It was
// pasted from somewhere, so space around it is no part of it.
func (rs *records) revokePlaintext(ctx context.Context, plaintext string) (Credential, error) {
	c, err := rs.find(ctx, token.Digest(strings.TrimSpace(plaintext)))
	if err != nil {
		return Credential{}, storeError(err)
	}
	if err := rs.store.Revoke(ctx, c.Ref()); err != nil {
		return Credential{}, storeError(err)
	}
	rs.tell(ctx, Event{Kind: EventRevoked, UserID: c.UserID, CredentialID: c.ID, Reason: ReasonLeaked})
	ended := *c
	ended.Sealed = nil // the store's own slice
	return ended, nil
}

// rotate puts next in the place of old. An overlap of 0 ends old at once.
func (rs *records) rotate(ctx context.Context, old Ref, next *Credential, overlap time.Duration) error {
	if overlap > 0 {
		next.Previous = old.ID
	}
	oldUntil := next.CreatedAt.Add(overlap).Truncate(time.Microsecond)
	if err := rs.store.Rotate(ctx, old, *next, oldUntil); err != nil {
		return storeError(err)
	}
	rs.tell(ctx, Event{Kind: EventRotated, UserID: next.UserID, CredentialID: next.ID})
	return nil
}

func (rs *records) tell(ctx context.Context, e Event) {
	e.Scheme = rs.kind.scheme()
	if rs.observe != nil && e.Remote == "" {
		e.Remote = remote(ctx)
	}
	rs.observe.tell(ctx, e)
}

// hintOf is the prefix and the last four characters of a plaintext.
func hintOf(prefix, plaintext string) string {
	if prefix != "" && strings.HasPrefix(plaintext, prefix+"_") {
		prefix += "_"
	} else {
		prefix = ""
	}
	return prefix + "…" + plaintext[len(plaintext)-4:]
}

var crockford = base32.NewEncoding("0123456789ABCDEFGHJKMNPQRSTVWXYZ").WithPadding(base32.NoPadding)

// newID returns a ULID: 48 bits of milliseconds and 80 random ones. The two
// leading zero bits that make 26 characters of them go in front, so that IDs
// sort as their times do.
func newID(now time.Time) string {
	var raw [20]byte // 32 bits of padding, 48 of time, 80 random
	binary.BigEndian.PutUint64(raw[2:], uint64(now.UnixMilli()))
	rand.Read(raw[10:])
	return crockford.EncodeToString(raw[:])[6:]
}

func checkUserID(id string) error {
	if !text.IsKey(id, maxUserID) {
		return malformed("userID", "must be 1 to %d bytes of UTF-8 without control characters", maxUserID)
	}
	return nil
}

func checkName(name string) error {
	if fault := text.CheckName(name, maxName); fault != "" {
		return malformed("Name", "%s", fault)
	}
	return nil
}

func checkOverlap(overlap, most time.Duration) error {
	if overlap < 0 || overlap > most {
		return malformed("overlap", "must be 0 to %v", most)
	}
	return nil
}

// A plaintextFormat says what the tokens or secrets of one authenticator look
// like. Authenticate and Import ask the same one, so that nothing can be
// imported that would not be let in.
type plaintextFormat struct {
	prefix         string
	acceptImported bool
}

func newPlaintextFormat(config, prefix string, acceptImported bool) (plaintextFormat, []error) {
	var faults []error
	if prefix != "" && !token.ValidPrefix(prefix) {
		faults = append(faults, configFault(config, "Prefix", "%.40q must be at most %d of [A-Za-z0-9_]", prefix, token.MaxPrefix))
	}
	return plaintextFormat{prefix, acceptImported}, faults
}

func (f *plaintextFormat) generate() string             { return token.New(f.prefix) }
func (f *plaintextFormat) hint(plaintext string) string { return hintOf(f.prefix, plaintext) }

// check decides what can be decided without the store.
func (f *plaintextFormat) check(plaintext string) error {
	switch {
	case len(plaintext) > maxPlaintext:
		return errTooLong // before anything looks at each byte of it
	case !header.IsToken68(plaintext):
		return errMalformed
	case f.prefix == "":
		return nil
	case token.Shaped(f.prefix, plaintext):
		if !token.Intact(plaintext) {
			return errChecksum
		}
	case !f.acceptImported:
		return errPrefix
	}
	return nil
}

func (f *plaintextFormat) checkImport(plaintext string) error {
	if len(plaintext) < minImported {
		return malformed("plaintext", "must be at least %d characters: a shorter one can be guessed", minImported)
	}
	switch f.check(plaintext) {
	case errTooLong, errMalformed:
		return malformed("plaintext", "must be at most %d characters of token68 (RFC 9110 section 11.2)", maxPlaintext)
	case errPrefix:
		return malformed("plaintext", "does not start with the Prefix: set AcceptImported to take it over")
	case errChecksum:
		return malformed("plaintext", "has the form of our own tokens, but not their checksum")
	}
	return nil
}

// byHeader is how a header scheme's authenticator answers by itself, outside of a
// chain, which reads the header once for all.
func byHeader(r *http.Request, s Scheme, ask func(*http.Request, header.Authorization) (*Credential, error)) (*Identity, error) {
	presented := header.ParseAuthorization(r.Header)
	if presented.Unreadable {
		return nil, errMalformed
	}
	if !header.IsScheme(presented.Scheme, string(s)) {
		return nil, errNoCredential
	}
	c, err := ask(r, presented)
	if err != nil {
		return nil, err
	}
	return c.identity(), nil
}

// present looks up the plaintext that a request presents.
func (rs *records) present(ctx context.Context, f *plaintextFormat, a header.Authorization, now time.Time) (*Credential, error) {
	if a.Malformed {
		return nil, errMalformed
	}
	if err := f.check(a.Credential); err != nil {
		return nil, err
	}
	return rs.lookup(ctx, token.Digest(a.Credential), now)
}

func overlapOf(config string, d time.Duration) (time.Duration, error) {
	if d < 0 {
		return 0, configFault(config, "MaxOverlap", "is %v: use 0 for the default of %v", d, defaultOverlap)
	}
	if d == 0 {
		return defaultOverlap, nil
	}
	return d, nil
}

func checkStore(store Store) error {
	if isNil(store) {
		return fmt.Errorf("auth: store is nil: use NewMemoryStore to begin with")
	}
	return nil
}
