package auth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
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
	uses    uses
}

func (rs *records) init(store Store, kind Kind, observe Observer) {
	rs.store, rs.kind, rs.observe = store, kind, observe
	rs.uses.store = store
	rs.uses.lost = func(ctx context.Context, err error) {
		rs.tell(ctx, Event{Kind: EventUseLost, Reason: ReasonUnavailable, Err: err})
	}
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
	if page.After != "" && !plainText(page.After, maxID) {
		return nil, malformed("After", "is no ID")
	}
	list, err := rs.store.List(ctx, rs.kind, userID, page)
	return list, storeError(err)
}

func (rs *records) get(ctx context.Context, userID, id string) (Credential, error) {
	if err := checkUserID(userID); err != nil {
		return Credential{}, err
	}
	if !plainText(id, maxID) {
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
	if !plainText(id, maxID) {
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
	c, err := rs.find(ctx, digestOf(strings.TrimSpace(plaintext)))
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

// digestOf hashes from the stack: a conversion to []byte would allocate for
// anything over 32 bytes, on each request, and cost a quarter more than the hash
// (BenchmarkDigestOf).
func digestOf(plaintext string) Digest {
	var buf [64]byte
	if len(plaintext) > len(buf) {
		return sha256.Sum256([]byte(plaintext))
	}
	n := copy(buf[:], plaintext)
	return sha256.Sum256(buf[:n])
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
	if !plainText(id, maxUserID) {
		return malformed("userID", "must be 1 to %d bytes of UTF-8 without control characters", maxUserID)
	}
	return nil
}

// plainText reports whether s is what any store can take for a key. An ID out of
// somebody's URL that is not would be an error of a database, and look like an
// outage.
func plainText(s string, most int) bool {
	return s != "" && len(s) <= most && utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

// checkName takes what people call things in any script, emoji and their zero
// width joiners included, and refuses what would break a line, hide, or turn
// the text around it (as in CVE-2021-42574).
func checkName(name string) error {
	switch {
	case strings.TrimSpace(name) == "":
		return malformed("Name", "must not be empty")
	case len(name) > maxName:
		return malformed("Name", "must be at most %d bytes", maxName)
	case !utf8.ValidString(name):
		return malformed("Name", "must be UTF-8")
	case strings.ContainsFunc(name, disruptive):
		return malformed("Name", "must not have control characters, line separators or marks of text direction")
	case !strings.ContainsFunc(name, visible):
		return malformed("Name", "must have a visible character")
	}
	return nil
}

func disruptive(r rune) bool {
	return unicode.In(r, unicode.Cc, unicode.Zl, unicode.Zp, unicode.Bidi_Control)
}

// visible leaves out the fillers among letters and the blank among symbols.
func visible(r rune) bool {
	const brailleBlank = '\u2800'
	return unicode.In(r, unicode.L, unicode.N, unicode.P, unicode.S) &&
		!unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r) && r != brailleBlank
}

// tameName makes a name out of what a client says of itself.
func tameName(s string) string {
	s = s[:min(len(s), 4*maxName)]
	s = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || disruptive(r) {
			return -1
		}
		return r
	}, s)
	for len(s) > maxName {
		_, size := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-size]
	}
	return s
}

func checkOverlap(overlap, most time.Duration) error {
	if overlap < 0 || overlap > most {
		return malformed("overlap", "must be 0 to %v", most)
	}
	return nil
}

// configFault names the field that is wrong and what would be right.
func configFault(of, field, format string, args ...any) error {
	return fmt.Errorf("auth: %s.%s: "+format, append([]any{of, field}, args...)...)
}
