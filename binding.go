package auth

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/seed-31c5bcb2/auth/internal/token"
)

const (
	// bindOverlap is how long requests that are under way may still have the cookie of before.
	bindOverlap = 10 * time.Second

	// maxKey is what stores keep at most: an RSA key of 4096 bits takes 550 bytes.
	maxKey = 1024
)

// A Binding makes copies of a session cookie worthless elsewhere: it binds sessions to a key that
// does not leave the user's device, and wants proof of that key. It is given to [NewCookie] in
// CookieConfig.Binding. Module dbsc has one for browsers with Device Bound Session Credentials.
//
// A session is bound after its sign-in, by [SessionBinder.Bind]: browsers that do not support it
// keep the session that they have. Requests with a bound session are rejected unless Check accepts
// them, by a Cookie without a Binding too.
//
// The methods except Init are called by concurrent requests.
type Binding interface {
	// Init is called once, by NewCookie, which returns its error. It keeps b.
	Init(b *SessionBinder) error
	// SignedIn is called by SignIn for a session that has just begun, before anything is written to
	// w. It may add to the header of the response. It must not modify session.
	SignedIn(w http.ResponseWriter, r *http.Request, session *Credential)
	// Check is called for each request with the cookie of a valid session, bound or not. If it
	// returns nil, the request is accepted. An error that wraps ErrInvalidCredential rejects it with
	// [ReasonNotBound], and any other one with 503. Recheck and Watch do not call it again, so
	// streams that are open stay open. It must not modify session.
	Check(r *http.Request, session *Credential) error
	// SignedOut is called by SignOut, to remove cookies of the Binding's own from the browser.
	SignedOut(w http.ResponseWriter)
}

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
// succeeds. SignOut and SignIn with the old cookie, and Revoke and RevokeAll with the old ID, also
// mean the new session.
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

// checkBinding rejects a request that does not prove that it comes from the device to which the
// session is bound. A Cookie without a Binding cannot tell.
func (c *Cookie) checkBinding(r *http.Request, session *Credential) error {
	if c.binding == nil {
		if !session.Bound() {
			return nil
		}
		return errRejected(session, ReasonNotBound, ErrInvalidCredential)
	}
	err := c.binding.Check(r, session)
	switch {
	case err == nil:
		return nil
	case isNilError(err):
		return errInternal(errNilError)
	case conditionOf(err).err == ErrInvalidCredential:
		return errRejected(session, ReasonNotBound, ErrInvalidCredential)
	}
	return errUnavailable(err)
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
// that counts for events. The order matters: after the first step, Bind returns ErrNotFound.
func (c *Cookie) revokeSession(ctx context.Context, session *Credential) (ended *Credential, err error) {
	err = c.store.Revoke(ctx, session.Ref())
	if c.binding == nil || session.Bound() || err != nil && !isNotFound(err) {
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

// withBound adds the IDs of the sessions by which Bind has replaced those with the given IDs: a
// request whose cookie is that of before excepts its own session by the ID of before.
func (c *Cookie) withBound(ctx context.Context, userID string, ids []string) ([]string, error) {
	if c.binding == nil || len(ids) == 0 {
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
