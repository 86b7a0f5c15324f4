package auth

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/seed-31c5bcb2/auth/internal/header"
	"github.com/seed-31c5bcb2/auth/internal/text"
	"github.com/seed-31c5bcb2/auth/internal/token"
)

// NewSession says what a new session shall be. The zero value is full access for
// the configured lifetime.
type NewSession struct {
	Scopes   []string      // nil: "*", the account's full access. Empty: an error
	Lifetime time.Duration // up to the configured one, which is what 0 means; rounded up to seconds
}

// SignIn starts a session for a user whom the caller has just authenticated (by
// a password, or an identity provider's word) and sets its cookie on w, before
// anything is written to it. It is always a new session, and the one that came
// with the request ends: an identifier that was planted or known before the
// sign-in is worth nothing after it.
//
// It fails with [ErrCrossOrigin] as CheckOrigin does, with [ErrMalformed] for
// arguments that are not what they should be, with [ErrInvalidCredential] for a
// request with dozens of session cookies, and with the store's errors; then no
// cookie is set, and the earlier session goes on.
func (c *Cookie) SignIn(w http.ResponseWriter, r *http.Request, userID string, s NewSession) (Credential, error) {
	if err := c.CheckOrigin(r); err != nil {
		return Credential{}, err
	}
	lifetime, scopes, err := c.checkSession(userID, s)
	if err != nil {
		return Credential{}, err
	}
	plaintext := token.New("")
	value, err := c.values.Seal(plaintext)
	if err != nil {
		return Credential{}, err
	}
	session := c.draft(userID, lifetime)
	session.Name, session.Scopes, session.Digest = text.Sanitize(r.UserAgent(), maxName), scopes, token.Digest(plaintext)
	if err := c.start(r, session); err != nil {
		return Credential{}, err
	}
	c.set(w, value, session.ExpiresAt, int(lifetime/time.Second))
	c.tell(r.Context(), Event{Kind: EventSignedIn, UserID: userID, CredentialID: session.ID, Remote: r.RemoteAddr})
	return session, nil
}

// SignOut clears the cookie, and ends the session that it names; if a second
// cookie of the name was planted, the sessions of both. Without a session it
// returns nil. If the store fails, the cookie is cleared all the same and the
// error returned: whoever has copied the cookie could still use it. It fails with
// [ErrCrossOrigin] as CheckOrigin does, and then does nothing.
func (c *Cookie) SignOut(w http.ResponseWriter, r *http.Request) error {
	if err := c.CheckOrigin(r); err != nil {
		return err
	}
	c.set(w, "", time.Unix(1, 0), -1)
	sessions, err := c.presented(r)
	for _, s := range sessions {
		switch revoked := c.store.Revoke(r.Context(), s.Ref()); {
		case revoked == nil:
			c.tell(r.Context(), Event{Kind: EventSignedOut, UserID: s.UserID, CredentialID: s.ID, Remote: r.RemoteAddr})
		case !gone(revoked):
			err = errors.Join(err, storeError(revoked))
		}
	}
	return err
}

// maxPresented bounds what a request full of real cookies makes us look up. Junk is
// told apart without a look-up, so that it cannot hide a real one.
const maxPresented = 64

// presented finds the sessions that came with a request and are to end: also one
// that seems idle here, as another process may hold its last use, and also beside
// a planted cookie, which must not save it.
func (c *Cookie) presented(r *http.Request) ([]*Credential, error) {
	var sessions []*Credential
	var outages error
	now := time.Now()
	asked := make(map[Digest]bool)
	for _, value := range header.Cookies(r.Header, c.cookie.Name) {
		opened, ok := c.values.Open(value, now)
		d := Digest(opened)
		if !ok || asked[d] {
			continue
		}
		if len(asked) == maxPresented {
			return sessions, errors.Join(outages, errRepeated)
		}
		asked[d] = true
		s, err := c.lookup(r.Context(), d, now)
		switch {
		case err == nil:
			sessions = append(sessions, s)
		case errors.Is(err, ErrUnavailable):
			outages = errors.Join(outages, err)
		}
	}
	return sessions, outages
}

func (c *Cookie) checkSession(userID string, s NewSession) (time.Duration, Scopes, error) {
	scopes, err := joinScopes(s.Scopes, nil)
	if s.Lifetime < 0 || s.Lifetime > c.lifetime {
		err = errors.Join(err, malformed("Lifetime", "must be up to %v, or 0 for that", c.lifetime))
	}
	lifetime := wholeSeconds(s.Lifetime)
	if lifetime == 0 {
		lifetime = c.lifetime
	}
	return lifetime, scopes, errors.Join(checkUserID(userID), err)
}

// start keeps a new session and ends those that came with the request.
func (c *Cookie) start(r *http.Request, session Credential) error {
	ctx := r.Context()
	olds, err := c.presented(r)
	if err != nil {
		return err
	}
	own := slices.IndexFunc(olds, func(old *Credential) bool { return old.UserID == session.UserID })
	if own >= 0 {
		// Last, as it cannot be taken back.
		mine := olds[own]
		if err := c.endAll(ctx, slices.Delete(olds, own, own+1)); err != nil {
			return err
		}
		return c.replace(ctx, mine, session)
	}
	if err := c.create(ctx, session); err != nil {
		return err
	}
	if err := c.endAll(ctx, olds); err != nil {
		// Nobody has the new session's token yet, so one that stays behind in the
		// store opens nothing. Still, leave as little as can be.
		return storeError(errors.Join(err, c.store.Revoke(context.WithoutCancel(ctx), session.Ref())))
	}
	return nil
}

// endAll ends sessions that came with a request and are not the user's own.
func (c *Cookie) endAll(ctx context.Context, olds []*Credential) error {
	for _, old := range olds {
		switch err := c.store.Revoke(ctx, old.Ref()); {
		case err == nil:
			c.ended(ctx, *old, ReasonReplaced)
		case !gone(err):
			return storeError(err)
		}
	}
	return nil
}

// replace ends the user's own old session and starts the new one in one step, so
// that no other session of theirs has to make room.
func (c *Cookie) replace(ctx context.Context, old *Credential, session Credential) error {
	err := c.store.Rotate(ctx, old.Ref(), session, time.Time{})
	switch {
	case err == nil:
		c.ended(ctx, *old, ReasonReplaced)
	case gone(err):
		return c.create(ctx, session) // it has ended meanwhile
	}
	return storeError(err)
}

// create keeps a session, and ends the oldest ones as long as they stand in its
// way. Each round that fails has seen another sign-in of the same user succeed,
// so that a hundred are more than people cause.
func (c *Cookie) create(ctx context.Context, session Credential) (err error) {
	for range 100 {
		err = c.store.Create(ctx, session, c.maxPerUser)
		if !errors.Is(err, ErrLimit) {
			return storeError(err)
		}
		if err := c.makeRoom(ctx, session); err != nil {
			return err
		}
	}
	return err
}

func (c *Cookie) makeRoom(ctx context.Context, session Credential) error {
	live, err := c.live(ctx, session.UserID, session.CreatedAt)
	if err != nil {
		return err
	}
	// One by one and not RevokeAll: a sign-in that goes on beside this one has
	// made a session since, which is not in the list and must not end.
	for _, old := range live[min(len(live), c.maxPerUser-1):] {
		switch err := c.store.Revoke(ctx, old.Ref()); {
		case err == nil:
			c.ended(ctx, old, ReasonLimit)
		case !gone(err):
			return storeError(err)
		}
	}
	return nil
}

// live returns all of a user's sessions that the store counts as live at a time,
// the newest first.
func (c *Cookie) live(ctx context.Context, userID string, at time.Time) ([]Credential, error) {
	var live []Credential
	for page := (Page{Limit: 1000}); ; {
		list, err := c.store.List(ctx, KindSession, userID, page)
		if err != nil {
			return nil, storeError(err)
		}
		for _, s := range list {
			if s.liveAt(at) {
				live = append(live, s)
			}
		}
		if len(list) < page.Max() {
			return live, nil
		}
		page.After = list[len(list)-1].ID
	}
}

func (c *Cookie) ended(ctx context.Context, old Credential, reason Reason) {
	c.tell(ctx, Event{Kind: EventRevoked, UserID: old.UserID, CredentialID: old.ID, Reason: reason})
}

// set puts our cookie on an answer in place of any earlier one (RFC 6265 section
// 4.1.1 wants one of a name), and keeps the answer out of every cache.
func (c *Cookie) set(w http.ResponseWriter, value string, expires time.Time, maxAge int) {
	h := w.Header()
	h["Set-Cookie"] = slices.DeleteFunc(h["Set-Cookie"], func(line string) bool {
		return strings.HasPrefix(line, c.cookie.Name+"=")
	})
	cookie := c.cookie
	cookie.Value, cookie.Expires, cookie.MaxAge = value, expires, maxAge
	http.SetCookie(w, &cookie)
	h.Set("Cache-Control", "no-store")
	addVary(h, &[1]string{"Cookie"})
}
