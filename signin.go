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
		switch ended, revokeErr := c.revokeSession(r.Context(), s); {
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
		s, err := c.lookup(r.Context(), d, now)
		if err == nil && s.Superseded { // a request that was under way when the session was bound
			var bound *Credential
			if bound, err = c.boundSince(r.Context(), s); bound != nil {
				s = bound // ends with it
			}
		}
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
	switch ended, err := c.revokeSession(op.ctx, &old); {
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
	if c.binding != nil && (isNotFound(err) || errors.Is(err, ErrConflict)) { // it was bound meanwhile
		bound, findErr := c.boundSince(op.ctx, old)
		if findErr != nil {
			return findErr
		}
		if bound != nil {
			old, err = bound, c.store.Rotate(op.ctx, *bound, session, time.Time{})
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
