package auth

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/seed-31c5bcb2/auth/internal/header"
	"github.com/seed-31c5bcb2/auth/internal/seal"
	"github.com/seed-31c5bcb2/auth/internal/text"
	"github.com/seed-31c5bcb2/auth/internal/token"
)

// SessionOptions describes a session to start. The zero value is a session with full
// access and the configured lifetime.
type SessionOptions struct {
	// Scopes are what the session may be used for. If nil, it has [FullAccess]. An
	// empty slice that is not nil is an error.
	Scopes []string
	// Lifetime is rounded up to whole seconds. Zero means the configured lifetime, which is
	// also the maximum.
	Lifetime time.Duration
	// NonPersistent makes a cookie without Max-Age and Expires, which the browser keeps until it is
	// closed: "remember me" was not ticked. The record still expires after Lifetime. A session that
	// replaces a valid one of the same browser and user is non-persistent too if that one was.
	NonPersistent bool
	// Actor, if not empty, is the user who acts as userID, for example a member of the support
	// staff: another user ID. It is in the [Identity] of each request. Use a [Cookie] with a Name
	// of its own for such sessions, so that the actor's own session stays. A session that replaces
	// one with an Actor does not keep it: a handler that calls SignIn again for the user of a
	// request must pass on the Actor of its Identity, or the actor becomes the user. Such a sign-in
	// ends no other session for the sake of MaxPerUser.
	Actor string
	// Metadata is the service's own data about the session: see TokenOptions.
	Metadata map[string]string
}

// SignIn starts a session for a user whom the caller has just authenticated, for
// example by password, and sets its cookie on w. It must be called before anything is
// written to w. SignIn always creates a new session and ends those presented with r, which
// prevents session fixation.
//
// It returns [ErrCrossOrigin] as CheckOrigin does, [ErrInvalidArgument] if userID is not 1
// to 255 bytes of UTF-8 without control characters or if o is not allowed,
// [ErrInvalidCredential] if r has more than 64 cookies that c encrypted or more than 512 that
// have the form of one, or [ErrUnavailable]. If it returns an error, no cookie is set. The
// user's own session that was presented with r, or one of them if there are several, then
// remains valid, unless the error is ErrUnavailable; those of other users, and the oldest one
// over MaxPerUser, may have ended.
func (c *Cookie) SignIn(w http.ResponseWriter, r *http.Request, userID string, o SessionOptions) (session Credential, err error) {
	op := c.beginRequest(r, opSignIn, userID)
	defer op.done(&err)
	if err := c.checkOrigin(r, op); err != nil {
		return Credential{}, err
	}
	if checkActor(o.Actor, userID) == nil {
		op.actor = o.Actor
	}
	session, lifetime, err := c.newSession(r.Context(), userID, o)
	if err != nil {
		return Credential{}, err
	}
	plaintext := token.New("")
	value, err := c.values.Seal(plaintext)
	if err != nil {
		return Credential{}, err
	}
	session.Name, session.Digest = text.Sanitize(r.UserAgent(), maxName), token.Digest(plaintext)
	if err := c.start(op, r, &session); err != nil {
		return Credential{}, err
	}
	c.setSession(w, value, session, lifetime)
	if c.binding != nil {
		c.binding.SignedIn(w, r, &session)
	}
	op.notify(Event{Type: EventSignedIn, UserID: userID, CredentialID: session.ID})
	return session, nil
}

// beginRequest is begin with the request, which need not be behind Require.
func (c *Cookie) beginRequest(r *http.Request, name, userID string) *operation {
	op := c.begin(r.Context(), name, userID, "")
	op.request = r
	return op
}

func (c *Cookie) checkOrigin(r *http.Request, op *operation) error {
	if c.origins.Allows(r) {
		return nil
	}
	op.notify(Event{Type: EventRefused, Reason: ReasonCrossOrigin})
	return errCrossOrigin
}

// SignOut clears the cookie and revokes its session. If the request has several session
// cookies, some of which may be planted, it revokes all of their sessions; if there are too
// many for SignIn, it revokes those that come first and returns [ErrInvalidCredential]. It
// returns nil if there is no session.
// If it returns [ErrUnavailable], the cookie is cleared but the session may still be valid
// for anyone who copied the cookie. If it returns [ErrCrossOrigin], as CheckOrigin does, it
// has done nothing.
func (c *Cookie) SignOut(w http.ResponseWriter, r *http.Request) (err error) {
	op := c.beginRequest(r, opSignOut, "")
	defer op.done(&err)
	if err := c.checkOrigin(r, op); err != nil {
		return err
	}
	c.setCookie(w, "", time.Unix(1, 0), -1)
	if c.binding != nil {
		c.binding.SignedOut(w)
	}
	sessions, err := c.requestSessions(r)
	for _, s := range sessions {
		switch ended, revokeErr := c.revokeRead(r.Context(), s); {
		case revokeErr == nil:
			op.notify(Event{Type: EventSignedOut, UserID: s.UserID, CredentialID: ended.ID, Actor: s.Actor})
		case !isNotFound(revokeErr):
			err = errors.Join(err, storeError(revokeErr))
		}
	}
	return err
}

const (
	// maxRequestSessions bounds the lookups that one request can cause. Only cookies that
	// we encrypted count, so that junk cannot hide a session.
	maxRequestSessions = 64

	// maxRequestValues bounds the decryptions, of which an accepted megabyte of cookies would
	// cause 6,000. Only values that have the form of ours count. Browsers keep fewer cookies
	// of one site, whatever page set them: 180 in Chromium, and as many again that are
	// partitioned. So a request with more has no user whose session they could hide.
	maxRequestValues = 512
)

// requestSessions returns the sessions presented with r, which SignIn and SignOut end. It
// includes sessions that seem idle, and those of cookies that seem too old or too new, since
// other processes have seen other uses and have other clocks. A planted second cookie must
// not protect a session, so all are read.
func (c *Cookie) requestSessions(r *http.Request) ([]*Credential, error) {
	var sessions []*Credential
	var outages error
	now := time.Now()
	values, seen := 0, make(map[Digest]bool)
	for value := range header.Cookies(r.Header, c.cookie.Name) {
		if !seal.Plausible(value) {
			continue
		}
		if values++; values > maxRequestValues {
			return sessions, errors.Join(outages, errRepeated)
		}
		d, verdict := c.values.Open(value, now)
		if verdict == seal.Forged || seen[d] {
			continue
		}
		if len(seen) == maxRequestSessions {
			return sessions, errors.Join(outages, errRepeated)
		}
		seen[d] = true
		s, err := c.sessionOf(r.Context(), d, now)
		switch {
		case err == nil && isAmong(sessions, s): // the cookies of before and after Bind
		case err == nil:
			sessions = append(sessions, s)
		case errors.Is(err, ErrUnavailable):
			outages = errors.Join(outages, err)
		}
	}
	return sessions, outages
}

// sessionOf is lookup, but if Bind has replaced the record, it returns the session that ends with it:
// even after the overlap, since a browser may have missed the new cookie, or another one have got it.
func (c *Cookie) sessionOf(ctx context.Context, d Digest, now time.Time) (*Credential, error) {
	s, err := c.find(ctx, c.store, d)
	if err != nil {
		return nil, lookupError(s, err)
	}
	if s.Superseded {
		if bound, err := c.boundSince(ctx, s); bound != nil || err != nil {
			return bound, err
		}
	}
	if s.Expired(now) {
		return nil, errRejected(s, ReasonExpired, ErrInvalidCredential)
	}
	return s, nil
}

func isAmong(sessions []*Credential, s *Credential) bool {
	return slices.ContainsFunc(sessions, func(other *Credential) bool { return other.Ref() == s.Ref() })
}

// newSession returns a record without name and digest, and its lifetime.
func (c *Cookie) newSession(ctx context.Context, userID string, o SessionOptions) (session Credential, lifetime time.Duration, err error) {
	scopes, scopesErr := fullAccess, error(nil)
	if o.Scopes != nil {
		scopes, scopesErr = ParseScopes(o.Scopes)
	}
	lifetime = wholeSeconds(o.Lifetime)
	if o.Lifetime == 0 {
		lifetime = c.lifetime
	}
	if o.Lifetime < 0 || o.Lifetime > c.lifetime {
		err = argumentError("Lifetime", "must be at most %v, or 0 for that", c.lifetime)
	}
	metadata, metadataErr := newMetadata(o.Metadata)
	if err := errors.Join(checkUserID(userID), scopesErr, err, checkActor(o.Actor, userID), metadataErr); err != nil {
		return Credential{}, 0, err
	}
	created := timestamp()
	session = c.newRecord(ctx, userID, "", scopes, created, expiryAfter(created, lifetime))
	session.Metadata, session.Actor, session.NonPersistent = metadata, o.Actor, o.NonPersistent
	return session, lifetime, nil
}

func checkActor(actor, userID string) error {
	switch {
	case actor == "":
		return nil
	case actor == userID:
		return argumentError("Actor", "must be another user than userID")
	case !text.IsKey(actor, maxUserID):
		return argumentError("Actor", "must be at most %d bytes of UTF-8 without control characters", maxUserID)
	}
	return nil
}

// start stores a new session and ends those that were presented with r.
func (c *Cookie) start(op *operation, r *http.Request, session *Credential) error {
	olds, err := c.requestSessions(r)
	if err != nil {
		return err
	}
	own := slices.IndexFunc(olds, func(old *Credential) bool { return old.UserID == session.UserID && !old.Superseded })
	if own >= 0 {
		// The user's own session is last, as replacing it cannot be undone.
		ownSession := olds[own]
		if err := c.endAll(op, slices.Delete(olds, own, own+1)); err != nil {
			return err
		}
		// A sign-in that confirms who it is does not ask again whether the browser is shared.
		if now := session.CreatedAt; ownSession.NonPersistent && !c.bounded(ownSession).Expired(now) && !c.isIdle(ownSession, now) {
			session.NonPersistent = true
		}
		return c.replace(op, ownSession, *session)
	}
	if err := c.create(op, *session); err != nil {
		return err
	}
	if err := c.endAll(op, olds); err != nil {
		// No client has the new session's token yet, so the session is harmless if it
		// cannot be revoked here.
		return storeError(errors.Join(err, c.store.Revoke(context.WithoutCancel(op.ctx), session.Ref())))
	}
	return nil
}

// endAll ends sessions that were presented with a request.
func (c *Cookie) endAll(op *operation, olds []*Credential) error {
	for _, old := range olds {
		if err := c.end(op, *old, ReasonReplaced); err != nil {
			return err
		}
	}
	return nil
}

// end revokes a session, unless it has ended already.
func (c *Cookie) end(op *operation, old Credential, reason Reason) error {
	switch ended, err := c.revokeRead(op.ctx, &old); {
	case err == nil:
		op.notifyRevoked(*ended, reason)
	case !isNotFound(err):
		return storeError(err)
	}
	return nil
}

func (op *operation) notifyRevoked(old Credential, reason Reason) {
	e := Event{Type: EventRevoked, UserID: old.UserID, CredentialID: old.ID, Reason: reason}
	if reason == ReasonReplaced { // it was presented, so its actor is the one who acts
		e.Actor = old.Actor
	}
	op.notify(e)
}

// replace ends the user's own old session and stores the new one in one step, so that
// MaxPerUser evicts no other session.
func (c *Cookie) replace(op *operation, old *Credential, session Credential) error {
	err := c.store.Rotate(op.ctx, *old, session, time.Time{})
	if isNotFound(err) || errors.Is(err, ErrConflict) {
		bound, findErr := c.boundSince(op.ctx, old)
		switch {
		case findErr != nil:
			return findErr
		case bound != nil: // meanwhile
			old, err = bound, c.store.Rotate(op.ctx, *bound, session, time.Time{})
		case errors.Is(err, ErrConflict): // the bound one has ended, or old is not as it was read
			if err := c.end(op, *old, ReasonReplaced); err != nil {
				return err
			}
			err = ErrNotFound
		}
	}
	switch {
	case err == nil:
		op.notifyRevoked(*old, ReasonReplaced)
	case isNotFound(err):
		return c.create(op, session) // old has ended in the meantime
	}
	return storeError(err, ErrConflict)
}

// create stores a session, and evicts the oldest ones while there are too many. Each
// failed attempt means that another sign-in of the same user succeeded, so a hundred
// are more than users cause. An actor's sign-in evicts none: support staff must not sign the
// user out.
func (c *Cookie) create(op *operation, session Credential) (err error) {
	limit := c.maxPerUser
	if session.Actor != "" {
		limit = 0
	}
	for range 100 {
		err = createError(c.store.Create(op.ctx, session, limit), limit)
		if !errors.Is(err, ErrLimit) || errors.Is(err, ErrUnavailable) {
			return err
		}
		if err := c.evictOldest(op, session); err != nil {
			return err
		}
	}
	return err
}

func (c *Cookie) evictOldest(op *operation, session Credential) error {
	live, err := c.liveSessions(op.ctx, session.UserID, session.CreatedAt)
	if err != nil {
		return err
	}
	// A session that was bound has a newer ID than its sign-in.
	slices.SortStableFunc(live, func(a, b Credential) int { return b.CreatedAt.Compare(a.CreatedAt) })
	// The store counts an actor's session as the user's, so it ends before the user's own.
	var own, acted []Credential
	for _, s := range live {
		if s.Actor == "" {
			own = append(own, s)
		} else {
			acted = append(acted, s)
		}
	}
	live = append(own, acted...)
	// Not RevokeAll: a concurrent sign-in may have created a session that is not in
	// the list and must not end.
	for _, old := range live[min(len(live), c.maxPerUser-1):] {
		if err := c.end(op, old, ReasonLimit); err != nil {
			return err
		}
	}
	return nil
}

// liveSessions returns all of a user's sessions that are neither superseded nor expired by their
// record, newest first: those that the store counts, even if Lifetime has become shorter.
func (c *Cookie) liveSessions(ctx context.Context, userID string, now time.Time) ([]Credential, error) {
	var live []Credential
	for page := (Page{Limit: 1000}); ; {
		list, err := c.readList(ctx, userID, page)
		if err != nil {
			return nil, err
		}
		for _, s := range list {
			if !s.Expired(now) && !s.Superseded {
				live = append(live, s)
			}
		}
		if len(list) < page.Max() {
			return live, nil
		}
		page.After = list[len(list)-1].ID
	}
}

// setSession sets the cookie of a session, which the browser keeps for lifetime.
func (c *Cookie) setSession(w http.ResponseWriter, value string, session Credential, lifetime time.Duration) {
	if session.NonPersistent {
		c.setCookie(w, value, time.Time{}, 0)
		return
	}
	c.setCookie(w, value, session.ExpiresAt, max(1, int(lifetime/time.Second)))
}

// setCookie sets the cookie, and keeps the response out of caches.
func (c *Cookie) setCookie(w http.ResponseWriter, value string, expires time.Time, maxAge int) {
	cookie := c.cookie
	cookie.Value, cookie.Expires, cookie.MaxAge = value, expires, maxAge
	header.SetCookie(w, &cookie)
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	addVary(h, &[1]string{"Cookie"})
}

const (
	// bindOverlap is how long requests that are under way may still have the cookie of before.
	bindOverlap = 10 * time.Second

	// maxKey is what stores keep at most: an RSA key of 4096 bits takes 550 bytes.
	maxKey = 1024
)

// A SessionBinder gives a [Binding] access to the sessions of its [Cookie]. It is safe for
// concurrent use.
type SessionBinder struct {
	cookie *Cookie
	keys   Keys
}

// Attributes returns the session cookie's name and attributes, without a value and an expiry.
func (b *SessionBinder) Attributes() http.Cookie { return b.cookie.cookie }

// Keys returns the keys of the Cookie, from which the Binding may derive its own, for example by
// crypto/hkdf. They must not be modified.
func (b *SessionBinder) Keys() Keys { return b.keys }

func newSessionBinder(c *Cookie, keys Keys) *SessionBinder {
	b := &SessionBinder{cookie: c, keys: slices.Clone(keys)}
	for i, key := range b.keys {
		b.keys[i] = slices.Clone(key) // the caller may clear its own
	}
	return b
}

// Presented returns the valid session whose cookie a request has. It does not call Check, and the
// request may come from another origin: it must not be served as one of the user's. Its use is
// not recorded. The slices of the session must not be modified.
//
// The error is an *[Error] that wraps [ErrNoCredential] if there is no session cookie,
// [ErrInvalidCredential] with a Reason, or [ErrUnavailable].
func (b *SessionBinder) Presented(r *http.Request) (Credential, error) {
	session, err := b.cookie.presented(r, time.Now())
	if err != nil {
		return Credential{}, err
	}
	return *session, nil
}

// Find returns the valid session with a Digest, and errors as Presented does. Browsers may send
// requests of a Binding without the session cookie, because of its SameSite attribute. The Binding
// must then know the session by something that only it can have made. The slices of the session
// must not be modified.
func (b *SessionBinder) Find(ctx context.Context, digest Digest) (Credential, error) {
	now := time.Now()
	session, err := b.cookie.lookup(ctx, digest, now)
	if err == nil {
		session, err = b.cookie.valid(session, now)
	}
	if err != nil {
		return Credential{}, err
	}
	return *session, nil
}

// Bind binds a session that Presented or Find has returned for r: it replaces it with one whose Sealed is
// key, 1 to 1,024 bytes, and sets the cookie of that one on w. The new session has another ID, and
// otherwise what the old one had: CreatedAt is still the sign-in. The old cookie remains valid for
// 10 seconds, for requests under way. A session can be bound once, and of several calls one
// succeeds. Revoke and RevokeAll with the old ID, and SignOut and SignIn with the old cookie until
// Purge removes its record, also mean the new session.
//
// It returns [ErrCrossOrigin] as CheckOrigin does, [ErrInvalidArgument] for a key of another size,
// [ErrConflict] if the session is bound already, [ErrNotFound] if it has ended, or
// [ErrUnavailable]. If it returns an error, no cookie is set. After ErrUnavailable the session may
// have been replaced even so: the user must then sign in again.
func (b *SessionBinder) Bind(w http.ResponseWriter, r *http.Request, session Credential, key []byte) (bound Credential, err error) {
	c := b.cookie
	op := c.beginRequest(r, opBind, session.UserID)
	op.id, op.actor = session.ID, session.Actor
	defer op.done(&err)
	if err := c.checkOrigin(r, op); err != nil {
		return Credential{}, err
	}
	switch {
	case len(key) == 0 || len(key) > maxKey:
		return Credential{}, argumentError("key", "must have 1 to %d bytes", maxKey)
	case session.Bound() || session.Superseded:
		return Credential{}, ErrConflict
	case session.Expired(time.Now()): // Rotate compares with the sign-in
		return Credential{}, ErrNotFound
	}
	plaintext := token.New("")
	value, err := c.values.Seal(plaintext)
	if err != nil {
		return Credential{}, err
	}
	now := timestamp()
	bound = c.present(session) // with its latest use, which is written to the record of before
	bound.ID, bound.Digest, bound.Previous = token.ID(now), token.Digest(plaintext), session.ID
	bound.Sealed = slices.Clone(key)
	oldUntil := now.Add(bindOverlap)
	if earliest := session.CreatedAt.Add(bindOverlap); oldUntil.Before(earliest) {
		oldUntil = earliest // this clock is behind that of the sign-in: see Store.Rotate
	}
	if err := c.store.Rotate(r.Context(), session, bound, oldUntil); err != nil {
		return Credential{}, storeError(err, ErrNotFound, ErrConflict)
	}
	c.setSession(w, value, bound, bound.ExpiresAt.Sub(now))
	op.notify(Event{Type: EventBound, UserID: bound.UserID, CredentialID: bound.ID})
	return bound, nil
}

// Refused reports to the Observer of the Cookie that the Binding has rejected a request of its
// own, for example one with a forged proof. The session is the zero Credential if it is unknown.
// Err is the cause of an outage, or nil. [ReasonUnavailable] becomes [ReasonCanceled] if the client has
// given up.
func (b *SessionBinder) Refused(r *http.Request, session Credential, reason Reason, err error) {
	e := newEvent(EventRefused, SchemeCookie, subjectOf(&session))
	if e.Reason, e.Err = reason, err; reason == ReasonUnavailable {
		e.Reason = outageReason(r.Context()) // a client can give up, and that is no outage
	}
	b.cookie.notify(r.Context(), r, e)
}

// boundSince returns the session by which Bind has replaced one, or nil if it has not, or if that
// one has ended.
func (c *Cookie) boundSince(ctx context.Context, session *Credential) (*Credential, error) {
	live, err := c.liveSessions(ctx, session.UserID, time.Now())
	if err != nil {
		return nil, err
	}
	for i := range live {
		if s := &live[i]; replacedByBind(s, session.ID) {
			return c.bounded(s), nil
		}
	}
	return nil, nil
}

func replacedByBind(s *Credential, id string) bool { return s.Previous == id && s.Bound() }

// revokeSession revokes a session, and the one by which Bind has replaced it meanwhile: otherwise
// a sign-out that arrives with the cookie of before would leave that one behind. It returns the one
// that counts for events. The order matters: after the first step, Bind returns ErrNotFound. A Cookie
// without a Binding looks too, since another program may have one.
func (c *Cookie) revokeSession(ctx context.Context, session *Credential) (ended *Credential, err error) {
	err = c.store.Revoke(ctx, session.Ref())
	if session.Bound() || err != nil && !isNotFound(err) {
		return session, err
	}
	bound, findErr := c.boundSince(ctx, session)
	if findErr != nil {
		return session, findErr
	}
	if bound == nil {
		return session, err
	}
	if boundErr := c.store.Revoke(ctx, bound.Ref()); !isNotFound(boundErr) {
		return bound, boundErr
	}
	return session, err
}

// revokeRead is revokeSession of a session that has just been read. Without a Binding, that is the one
// that counts, so that users can sign out even if the store cannot list sessions.
func (c *Cookie) revokeRead(ctx context.Context, session *Credential) (ended *Credential, err error) {
	if c.binding == nil {
		return session, c.store.Revoke(ctx, session.Ref())
	}
	return c.revokeSession(ctx, session)
}

// withBound adds the IDs of the sessions by which Bind has replaced those with the given IDs: a
// request whose cookie is that of before excepts its own session by the ID of before.
func (c *Cookie) withBound(ctx context.Context, userID string, ids []string) ([]string, error) {
	if c.binding == nil || len(ids) == 0 { // without one, at worst too many sessions end
		return ids, nil
	}
	live, err := c.liveSessions(ctx, userID, time.Now())
	if err != nil {
		return nil, err
	}
	all := slices.Clone(ids)
	for i := range live {
		if s := &live[i]; s.Bound() && slices.Contains(ids, s.Previous) {
			all = append(all, s.ID)
		}
	}
	return all, nil
}
