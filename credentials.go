package auth

import (
	"context"
	"errors"
	"math"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/seed-31c5bcb2/auth/internal/header"
	"github.com/seed-31c5bcb2/auth/internal/lastuse"
	"github.com/seed-31c5bcb2/auth/internal/metadata"
	"github.com/seed-31c5bcb2/auth/internal/networks"
	"github.com/seed-31c5bcb2/auth/internal/seal"
	"github.com/seed-31c5bcb2/auth/internal/text"
	"github.com/seed-31c5bcb2/auth/internal/token"
)

const (
	maxUserID = 255
	maxID     = 64
	maxName   = 255

	maxExceptions = 1000 // which are parameters of an SQL statement

	// maxPlaintext and minImported bound imported plaintexts. Our own have 190
	// random bits; 24 characters of base64 have at most 144.
	maxPlaintext = 512
	minImported  = 24

	maxYear        = 9999 // the last in RFC 3339, and so in JSON
	minLifetime    = time.Minute
	defaultOverlap = 7 * 24 * time.Hour
)

// NoExpiry is the Lifetime of a credential that never expires.
const NoExpiry time.Duration = math.MaxInt64

// credentials is what Bearer, Cookie and Secret share: the records of one kind in
// a store.
type credentials struct {
	store    Store
	kind     Kind
	observe  Observer
	recorder lastuse.Recorder
}

func (cs *credentials) init(store Store, kind Kind, observe Observer) {
	cs.store, cs.kind, cs.observe = store, kind, observe
	cs.recorder.Write, cs.recorder.Lost = cs.touch, cs.notifyUseLost
}

// used records that c was used. Unless exact is set, nothing is recorded within a minute of
// the use that the record has. Package endpoint asks about credentials without using them.
func (cs *credentials) used(ctx context.Context, c *Credential, now time.Time, exact bool) {
	fresh := lastuse.Fresh(c.LastUsedAt, now)
	if fresh && !exact || lastuse.Ignored(ctx) {
		return
	}
	cs.recorder.Record(lastuse.Use{
		Kind: uint8(c.Kind), UserID: c.UserID, ID: c.ID, Digest: c.Digest, At: now, From: recordedAddr(ctx),
	}, fresh, exact)
}

// touch writes uses to the store. It runs on the recorder's goroutine, where a
// panic would end the process, and recovers.
func (cs *credentials) touch(ctx context.Context, batch []lastuse.Use) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = panicError("Store.Touch", v)
		}
	}()
	uses := make([]Use, len(batch))
	for i, u := range batch {
		uses[i] = Use{Ref: Ref{Kind(u.Kind), u.UserID, u.ID}, Digest: u.Digest, At: u.At, From: u.From}
	}
	return cs.store.Touch(ctx, uses)
}

// notifyUseLost recovers too: a panic of the Observer would also end the process.
func (cs *credentials) notifyUseLost(err error) {
	defer func() { _ = recover() }()
	cs.notify(context.Background(), nil, Event{Type: EventUseLost, Reason: ReasonUnavailable, Err: err})
}

// lookup returns the record with the digest, unless it has expired or may not be used from the
// client's address.
func (cs *credentials) lookup(ctx context.Context, d Digest, now time.Time) (*Credential, error) {
	c, err := cs.find(ctx, cs.store, d)
	if err != nil {
		return nil, lookupError(c, err)
	}
	if c.Expired(now) {
		return nil, errRejected(c, ReasonExpired, ErrInvalidCredential)
	}
	if !c.Networks.allow(ctx) {
		return nil, errRejected(c, ReasonNetwork, ErrInvalidCredential)
	}
	return c, nil
}

// lookupError says why find found nothing valid. If c is not nil, it is what is left of a
// revoked record.
func lookupError(c *Credential, err error) error {
	switch {
	case errors.Is(err, ErrUnavailable):
		return errUnavailable(err)
	case c != nil:
		return errRejected(c, ReasonRevoked, ErrInvalidCredential)
	case errors.Is(err, ErrRevoked):
		return errRevoked
	case errors.Is(err, ErrNotFound):
		return errUnknown
	}
	return errUnavailable(err)
}

var (
	errNoRecord  = errors.New("auth: the store returned neither a record nor an error")
	errBadRecord = errors.New("auth: the store returned a corrupt record, or another one than was asked for")
)

// find returns the record with the digest. Beside an error it returns what is left of a
// revoked record, or nil.
//
// It does not trust the store, nor do get and list. A record of another kind or digest,
// without a user, or with scopes that this package never wrote is treated as an outage: a
// connection may answer the previous question (CVE-2025-47907, CVE-2025-29923).
func (cs *credentials) find(ctx context.Context, store Store, d Digest) (*Credential, error) {
	c, err := store.Lookup(ctx, cs.kind, d)
	if err != nil {
		if errors.Is(err, ErrRevoked) && c != nil && c.Kind == cs.kind && c.Digest == d && c.UserID != "" {
			return c, err
		}
		return nil, err
	}
	if c == nil {
		return nil, errNoRecord
	}
	if c.Kind != cs.kind || c.Digest != d || c.UserID == "" || !c.Scopes.valid() {
		return nil, errBadRecord
	}
	return c, nil
}

// recheck returns the current record of the credential that a request was accepted by, if it
// is still valid. It reads it by its ID, which stores answer without a cache.
func (cs *credentials) recheck(ctx context.Context, accepted *Credential) (*Credential, error) {
	if accepted == nil || accepted.Kind != cs.kind {
		return nil, errNotAccepted
	}
	c, err := cs.readAgain(ctx, accepted)
	now := time.Now()
	switch {
	case accepted.Expired(now), err == nil && c.Expired(now):
		return nil, errRejected(accepted, ReasonExpired, ErrInvalidCredential)
	case isNotFound(err), err == nil && c.Digest != accepted.Digest:
		return nil, errRejected(accepted, ReasonRevoked, ErrInvalidCredential)
	case err != nil:
		return nil, errUnavailable(err)
	case !c.Networks.allow(ctx):
		return nil, errRejected(accepted, ReasonNetwork, ErrInvalidCredential)
	}
	return c, checkKept(accepted.Scopes, c.Scopes)
}

func (cs *credentials) readAgain(ctx context.Context, accepted *Credential) (*Credential, error) {
	c, err := cs.store.Get(ctx, accepted.Ref())
	if isUnsupported(err) && !errors.Is(err, ErrUnavailable) { // of a LookupStore
		found, err := cs.find(ctx, uncached(cs.store), accepted.Digest)
		if err == nil && found.Ref() != accepted.Ref() {
			err = ErrNotFound // the digest is another user's now
		}
		return found, err
	}
	if err == nil && (c.Ref() != accepted.Ref() || !c.Scopes.valid()) {
		err = errBadRecord
	}
	return &c, err
}

// uncached returns the store behind a cache of Lookup.
func uncached(s Store) Store {
	if cache, ok := s.(interface{ Uncached() Store }); ok {
		return cache.Uncached()
	}
	return s
}

// newRecord returns a record with a new ID, and without a digest.
func (cs *credentials) newRecord(ctx context.Context, userID, name string, scopes Scopes, created, expires time.Time) Credential {
	return Credential{
		ID: token.ID(created), Kind: cs.kind, UserID: userID, Name: name, Scopes: scopes,
		CreatedAt: created, ExpiresAt: expires, CreatedFrom: recordedAddr(ctx),
	}
}

func (cs *credentials) list(ctx context.Context, userID string, page Page) (list []Credential, err error) {
	defer cs.begin(ctx, opList, userID, "").done(&err)
	return cs.readList(ctx, userID, page)
}

func (cs *credentials) readList(ctx context.Context, userID string, page Page) ([]Credential, error) {
	if err := checkUserID(userID); err != nil {
		return nil, err
	}
	if page.After != "" && !text.IsKey(page.After, maxID) {
		return nil, argumentError("After", "is not an ID")
	}
	list, err := cs.store.List(ctx, cs.kind, userID, page)
	if err != nil {
		return nil, storeError(err)
	}
	for i := range list {
		if !cs.isOf(&list[i], userID) {
			return nil, asUnavailable(errBadRecord)
		}
	}
	return list, nil
}

// isOf reports whether a record that the store returned for a user is theirs, and one that
// this package wrote.
func (cs *credentials) isOf(c *Credential, userID string) bool {
	return c.Kind == cs.kind && c.UserID == userID && c.Scopes.valid()
}

func (cs *credentials) get(ctx context.Context, userID, id string) (c Credential, err error) {
	defer cs.begin(ctx, opGet, userID, id).done(&err)
	return cs.read(ctx, userID, id)
}

func (cs *credentials) read(ctx context.Context, userID, id string) (Credential, error) {
	if err := checkUserID(userID); err != nil {
		return Credential{}, err
	}
	if !text.IsKey(id, maxID) {
		return Credential{}, ErrNotFound
	}
	c, err := cs.store.Get(ctx, Ref{Kind: cs.kind, UserID: userID, ID: id})
	switch {
	case err != nil:
		return Credential{}, storeError(err, ErrNotFound)
	case c.ID != id || !cs.isOf(&c, userID):
		return Credential{}, asUnavailable(errBadRecord)
	}
	return c, nil
}

func (cs *credentials) revoke(ctx context.Context, userID, id string) error {
	return cs.revokeBy(ctx, userID, id, func(ref Ref) (string, error) { return ref.ID, cs.store.Revoke(ctx, ref) })
}

// revokeBy is revoke by a function that returns the ID of the record whose end is reported.
func (cs *credentials) revokeBy(ctx context.Context, userID, id string, revoke func(Ref) (ended string, err error)) (err error) {
	op := cs.begin(ctx, opRevoke, userID, id)
	defer op.done(&err)
	if err := checkUserID(userID); err != nil {
		return err
	}
	if !text.IsKey(id, maxID) {
		return ErrNotFound
	}
	ended, err := revoke(Ref{Kind: cs.kind, UserID: userID, ID: id})
	if err != nil {
		return storeError(err, ErrNotFound)
	}
	op.notify(Event{Type: EventRevoked, UserID: userID, CredentialID: ended, Reason: ReasonRevoked})
	return nil
}

func (cs *credentials) revokeAll(ctx context.Context, userID string, except ...string) (n int, err error) {
	return cs.revokeAllBut(ctx, userID, except, func(ids []string) ([]string, error) { return ids, nil })
}

// revokeAllBut is revokeAll with a function that completes the exceptions.
func (cs *credentials) revokeAllBut(ctx context.Context, userID string, except []string, complete func(ids []string) ([]string, error)) (n int, err error) {
	op := cs.begin(ctx, opRevokeAll, userID, "")
	defer op.done(&err)
	// What is no ID names no record, and a database may not accept it.
	except = slices.DeleteFunc(slices.Clone(except), func(id string) bool { return !text.IsKey(id, maxID) })
	if len(except) > maxExceptions {
		err = argumentError("except", "must be at most %d IDs", maxExceptions)
	}
	if err := errors.Join(checkUserID(userID), err); err != nil {
		return 0, err
	}
	if except, err = complete(except); err != nil {
		return 0, err
	}
	n, err = cs.store.RevokeAll(ctx, cs.kind, userID, except...)
	if err == nil && n > 0 {
		op.notify(Event{Type: EventRevokedAll, UserID: userID, Reason: ReasonRevoked})
	}
	return n, storeError(err)
}

// notify reports an event of the authenticator. r is the request of a SignIn or SignOut, and
// otherwise nil.
func (cs *credentials) notify(ctx context.Context, r *http.Request, e Event) {
	e.Scheme = cs.kind.scheme()
	if id := (Identity{}); e.Actor == "" && current(ctx).describe(&id) {
		e.Actor = id.Actor
	}
	if e.Actor == e.UserID {
		e.Actor = "" // for example a session of the actor's own, which SignIn replaces
	}
	cs.observe.notify(ctx, r, e)
}

// An issuer is what Bearer and Secret share: credentials whose plaintext clients
// send in the Authorization header.
type issuer struct {
	credentials
	format      plaintextFormat
	scopes      []string // that exist; nil for any
	maxLifetime time.Duration
	maxOverlap  time.Duration
	maxPerUser  int
	sealer      seal.Secrets // empty unless plaintexts can be revealed
}

// authenticateHeader is Authenticate of a header scheme. Require reads the header
// once for all authenticators, and calls authenticate.
func authenticateHeader(r *http.Request, s Scheme, authenticate func(*http.Request, header.Authorization) (*Credential, error)) (*Identity, error) {
	presented := header.ParseAuthorization(r.Header)
	if presented.Unreadable {
		return nil, errMalformed
	}
	if !s.is(Scheme(presented.Scheme)) {
		return nil, errNoCredential
	}
	c, err := authenticate(r, presented)
	if err != nil {
		return nil, err
	}
	return c.identity(), nil
}

// authenticatePlaintext looks up the plaintext that a request presents.
func (is *issuer) authenticatePlaintext(ctx context.Context, presented header.Authorization, now time.Time) (*Credential, error) {
	if presented.Malformed {
		return nil, errMalformed
	}
	if err := is.format.check(presented.Credential); err != nil {
		return nil, err
	}
	return is.lookup(ctx, token.Digest(presented.Credential), now)
}

// issue creates a credential with a new plaintext.
func (is *issuer) issue(ctx context.Context, userID string, o ImportOptions) (plaintext string, c Credential, err error) {
	op := is.begin(ctx, opIssue, userID, "")
	defer op.done(&err)
	c, err = is.newCredential(ctx, userID, o)
	if err != nil {
		return "", Credential{}, err
	}
	plaintext = token.New(is.format.prefix)
	is.setPlaintext(&c, plaintext)
	if err := is.create(op, EventIssued, c); err != nil {
		return "", Credential{}, err
	}
	return plaintext, c, nil
}

// importPlaintext creates a credential with a plaintext of another system.
func (is *issuer) importPlaintext(ctx context.Context, userID, plaintext string, o ImportOptions) (c Credential, err error) {
	op := is.begin(ctx, opImport, userID, "")
	defer op.done(&err)
	c, err = is.newCredential(ctx, userID, o)
	if err := errors.Join(is.format.checkImport(plaintext), err); err != nil {
		return Credential{}, err
	}
	is.setPlaintext(&c, plaintext)
	if err := is.create(op, EventImported, c); err != nil {
		return Credential{}, err
	}
	return c, nil
}

// newCredential returns a record without a plaintext.
func (is *issuer) newCredential(ctx context.Context, userID string, o ImportOptions) (Credential, error) {
	var nameErr, networksErr, metadataErr, idErr error
	if is.kind == KindToken { // secrets have no name
		nameErr = checkName(o.Name)
	}
	scopes, scopesErr := parseScopes(o.Scopes, is.scopes)
	now := timestamp()
	created, expires, timesErr := o.times(now, is.maxLifetime)
	c := is.newRecord(ctx, userID, o.Name, scopes, created, expires)
	c.Networks, networksErr = newNetworks(o.Networks)
	c.Metadata, metadataErr = newMetadata(o.Metadata)
	if o.Idempotency != "" {
		c.ID, idErr = o.id(userID, now)
	}
	if err := errors.Join(checkUserID(userID), nameErr, scopesErr, timesErr, networksErr, metadataErr, idErr); err != nil {
		return Credential{}, err
	}
	return c, nil
}

func (is *issuer) setPlaintext(c *Credential, plaintext string) {
	c.Digest, c.Hint = token.Digest(plaintext), token.Hint(is.format.prefix, plaintext)
	c.Sealed = is.sealer.Seal(plaintext, c.UserID, c.ID)
}

func (is *issuer) create(op *operation, event EventType, c Credential) error {
	if err := is.store.Create(op.ctx, c, is.maxPerUser); err != nil {
		return createError(err, is.maxPerUser)
	}
	op.notify(Event{Type: event, UserID: c.UserID, CredentialID: c.ID})
	return nil
}

// rotate replaces a credential with one that has the same name, scopes, networks, metadata
// and lifetime. If overlap is 0, the old one is revoked.
func (is *issuer) rotate(ctx context.Context, userID, id string, overlap time.Duration) (plaintext string, c Credential, err error) {
	op := is.begin(ctx, opRotate, userID, id)
	defer op.done(&err)
	if overlap < 0 || overlap > is.maxOverlap {
		err = argumentError("overlap", "must be 0 to %v", is.maxOverlap)
	}
	if err := errors.Join(checkUserID(userID), err); err != nil {
		return "", Credential{}, err
	}
	old, err := is.read(ctx, userID, id)
	if err != nil {
		return "", Credential{}, err
	}
	created := timestamp()
	c = is.newRecord(ctx, userID, old.Name, old.Scopes, created, expiryAfter(created, is.lifetimeAfter(old)))
	c.Networks, c.Metadata = old.Networks, old.Metadata
	plaintext = token.New(is.format.prefix)
	is.setPlaintext(&c, plaintext)
	if overlap > 0 {
		c.Previous = old.ID
	}
	if err := is.store.Rotate(ctx, old, c, created.Add(overlap).Truncate(time.Microsecond)); err != nil {
		return "", Credential{}, storeError(err, ErrNotFound, ErrConflict)
	}
	op.notify(Event{Type: EventRotated, UserID: userID, CredentialID: c.ID})
	return plaintext, c, nil
}

// lifetimeAfter is the lifetime of the credential that replaces old. The
// configuration may have become stricter since old was created.
func (is *issuer) lifetimeAfter(old Credential) time.Duration {
	lifetime := NoExpiry
	if !old.ExpiresAt.IsZero() {
		lifetime = min(old.ExpiresAt.Sub(old.CreatedAt), NoExpiry-1) // Sub has a maximum, which is NoExpiry
	}
	if is.maxLifetime > 0 {
		lifetime = min(lifetime, is.maxLifetime)
	}
	return lifetime
}

// revokePlaintext revokes the credential with that plaintext, even if it has
// expired. Plaintexts are pasted, so surrounding space is ignored.
func (is *issuer) revokePlaintext(ctx context.Context, plaintext string) (revoked Credential, err error) {
	op := is.begin(ctx, opRevokePlaintext, "", "")
	defer op.done(&err)
	c, err := is.find(ctx, uncached(is.store), token.Digest(strings.TrimSpace(plaintext)))
	if err != nil {
		return Credential{}, storeError(err, ErrNotFound)
	}
	op.userID, op.id = c.UserID, c.ID // those of a leaked credential that could not be revoked
	if err := is.store.Revoke(ctx, c.Ref()); err != nil {
		return Credential{}, storeError(err, ErrNotFound)
	}
	op.notify(Event{Type: EventRevoked, UserID: c.UserID, CredentialID: c.ID, Reason: ReasonLeaked})
	revoked = *c
	revoked.Sealed = nil // the store's own slice
	return revoked, nil
}

// A plaintextFormat is what the tokens or secrets of one authenticator look like.
// Authenticate and Import share it, so that every imported plaintext is accepted.
type plaintextFormat struct {
	prefix         string
	acceptImported bool
}

func newPlaintextFormat(config, prefix string, acceptImported bool) (plaintextFormat, error) {
	if prefix != "" && !token.ValidPrefix(prefix) {
		return plaintextFormat{}, configError(config, "Prefix", "%.40q must be at most %d of [A-Za-z0-9_]", prefix, token.MaxPrefix)
	}
	return plaintextFormat{prefix, acceptImported}, nil
}

// check rejects what cannot be valid, without asking the store.
func (f *plaintextFormat) check(plaintext string) error {
	switch {
	case len(plaintext) > maxPlaintext:
		return errTooLong // before anything reads each byte of it
	case !header.IsCredential(plaintext):
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
		return argumentError("plaintext", "must be at least %d characters: a shorter one can be guessed", minImported)
	}
	switch f.check(plaintext) {
	case errTooLong, errMalformed:
		return argumentError("plaintext", "must be at most %d visible ASCII characters without space, comma, quote and backslash", maxPlaintext)
	case errPrefix:
		return argumentError("plaintext", "does not have the form of plaintexts with this Prefix: set AcceptImported to allow it")
	case nil:
		// Events may contain an ID, and its form distinguishes it from a credential.
		if _, ok := token.IDTime(plaintext); ok {
			return argumentError("plaintext", "has the form of a record's ID, and can be guessed")
		}
	case errChecksum:
		return argumentError("plaintext", "has the form of tokens with this Prefix, but not their checksum")
	}
	return nil
}

func newNetworks(prefixes []netip.Prefix) (Networks, error) {
	if prefixes == nil {
		return "", nil
	}
	list, fault := networks.Format(prefixes)
	if fault != "" {
		return "", argumentError("Networks", "%s", fault)
	}
	return Networks(list), nil
}

func newMetadata(entries map[string]string) (Metadata, error) {
	text, fault := metadata.Format(entries)
	if fault != "" {
		return "", argumentError("Metadata", "%s", fault)
	}
	return Metadata(text), nil
}

// timestamp is the current time as stores keep it.
func timestamp() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }

// expiryAfter is the time at which a credential expires; zero for NoExpiry.
func expiryAfter(created time.Time, lifetime time.Duration) time.Time {
	if lifetime == NoExpiry {
		return time.Time{}
	}
	return created.Add(lifetime).Truncate(time.Microsecond)
}

// checkLifetime checks a required lifetime. If max is 0, there is no maximum.
func checkLifetime(lifetime, max time.Duration) error {
	switch {
	case max > 0 && (lifetime < minLifetime || lifetime > max):
		return argumentError("Lifetime", "must be %v to %v", minLifetime, max)
	case lifetime < minLifetime:
		return argumentError("Lifetime", "must be at least %v, or NoExpiry", minLifetime)
	}
	return nil
}

func checkUserID(id string) error {
	if !text.IsKey(id, maxUserID) {
		return argumentError("userID", "must be 1 to %d bytes of UTF-8 without control characters", maxUserID)
	}
	return nil
}

func checkName(name string) error {
	if fault := text.CheckName(name, maxName); fault != "" {
		return argumentError("Name", "%s", fault)
	}
	return nil
}

// overlapOf returns the MaxOverlap of a configuration, or its default.
func overlapOf(config string, d time.Duration) (time.Duration, error) {
	if d < 0 {
		return 0, configError(config, "MaxOverlap", "is %v: use 0 for the default of %v", d, defaultOverlap)
	}
	if d == 0 {
		return defaultOverlap, nil
	}
	return d, nil
}

func checkStore(store Store) error {
	if isNil(store) {
		return errors.New("auth: store is nil: use NewMemoryStore to begin with")
	}
	return nil
}
