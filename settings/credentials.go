package settings

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"time"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/internal/networks"
)

// This file has what the page and the API share: reading and changing credentials
// within the limits of the session.

// release returns the plaintext of a credential that was just created, or the error of
// creating it. If the session has ended meanwhile, or this cannot be determined, the
// credential is revoked and the plaintext does not leave the handler. So it is if the credential has
// more access than the session: another request may have given it to a token before its rotation.
func (r *request) release(plaintext string, c auth.Credential, err error) (string, auth.Credential, error) {
	if err != nil {
		return "", auth.Credential{}, err
	}
	err = r.checkScopes(c.Scopes.List())
	if err == nil {
		err = r.recheck()
	}
	if err != nil {
		return "", auth.Credential{}, errors.Join(err, r.takeBack(c))
	}
	return plaintext, c, nil
}

// recheck asks whether the session that this request came with is still valid.
func (r *request) recheck() error {
	if err := auth.Recheck(r.Context()); err != nil {
		return &ended{err}
	}
	return nil
}

// takeBack revokes a credential whose plaintext is not released, even if the client has
// disconnected. If it replaced one that is in its grace period, it stays: its plaintext is
// unknown to all, and revoking it would also revoke the other one, which is in use.
func (r *request) takeBack(c auth.Credential) error {
	if c.Previous != "" {
		return nil
	}
	revoke := r.bearer.Revoke
	if c.Kind == auth.KindSecret {
		revoke = r.secret.Revoke
	}
	err := revoke(context.WithoutCancel(r.Context()), r.id.UserID, c.ID)
	if err != nil && problemOf(err).Code == codeNotFound {
		return nil // revoked already, with all others
	}
	return err
}

// checked is an error of auth.CheckRecent, which knows the request's challenges and event.
type checked struct{ error }

func (e *checked) Unwrap() error { return e.error }

// ended is an error of auth.Recheck, which knows the request's challenges and event.
type ended struct{ error }

func (e *ended) Unwrap() error { return e.error }

// issue creates a token with no more access than the session has.
func (r *request) issue(o auth.TokenOptions) (plaintext string, c auth.Credential, err error) {
	if err := r.beforeIssue(&o); err != nil {
		return "", auth.Credential{}, err
	}
	if err := r.checkScopes(o.Scopes); err != nil {
		return "", auth.Credential{}, err
	}
	return r.release(r.bearer.Issue(r.Context(), r.id.UserID, o))
}

// rotateToken replaces a token that has no more access than the session.
func (r *request) rotateToken(id string, overlap time.Duration) (plaintext string, c auth.Credential, err error) {
	old, err := r.bearer.Get(r.Context(), r.id.UserID, id)
	if err != nil {
		return "", auth.Credential{}, err
	}
	if err := r.checkScopes(old.Scopes.List()); err != nil {
		return "", auth.Credential{}, err
	}
	return r.release(r.bearer.Rotate(r.Context(), r.id.UserID, id, overlap))
}

// updateToken changes a token that has no more access than the session, if u changes anything: a
// limited session must not, for example, swap the names of two others. A change that gives it more
// access needs a recent sign-in, and a session that has that access itself. All of this is decided
// by old, so a token that is no longer old is a conflict.
func (r *request) updateToken(old auth.Credential, u auth.TokenUpdate) (auth.Credential, error) {
	if u = changed(old, u); changesNothing(u) {
		return old, nil
	}
	if err := r.checkScopes(old.Scopes.List()); err != nil {
		return auth.Credential{}, err
	}
	entries := len(u.Metadata) > 0 // those that BeforeUpdate adds are the service's own decision
	if err := r.beforeUpdate(old, &u); err != nil {
		return auth.Credential{}, err
	}
	if granted := grantedBy(old, u, entries); granted != nil {
		if err := r.checkRecent(); err != nil {
			return auth.Credential{}, err
		}
		if err := r.checkScopes(granted); err != nil {
			return auth.Credential{}, err
		}
	}
	u.Old = &old
	return r.bearer.Update(r.Context(), r.id.UserID, old.ID, u)
}

// grantedBy returns the scopes that a token gets by an update, or with which it gets more access:
// from other networks, or by entries of the metadata that the user has changed, whose meaning only
// the service knows. It is nil if there is no more access.
func grantedBy(old auth.Credential, u auth.TokenUpdate, entries bool) []string {
	scopes := old.Scopes.List()
	if u.Scopes != nil {
		scopes = *u.Scopes
	}
	if entries || u.Networks != nil && !within(*u.Networks, old.Networks.Prefixes()) {
		return append([]string{}, scopes...)
	}
	var added []string
	for _, s := range scopes {
		if !old.Scopes.Has(s) {
			added = append(added, s)
		}
	}
	return added
}

// within reports whether each of some networks is a part of one of the others, none of which are
// anywhere. They are compared in the form that the token gets, in which IPv4-mapped networks are
// IPv4: no IPv6 network contains them.
func within(prefixes, others []netip.Prefix) bool {
	if others == nil {
		return true
	}
	list, fault := networks.Format(prefixes)
	return fault == "" && !slices.ContainsFunc(networks.All(list), func(n netip.Prefix) bool {
		return !slices.ContainsFunc(others, func(o netip.Prefix) bool { return o.Bits() <= n.Bits() && o.Contains(n.Addr()) })
	})
}

// parseNetwork parses a network, or a single address.
func parseNetwork(text string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(text); err == nil && addr.Zone() == "" {
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	return netip.ParsePrefix(text)
}

// networkTexts returns networks as texts that parseNetwork takes, nil for anywhere.
func networkTexts(n auth.Networks) (texts []string) {
	for _, p := range n.Prefixes() {
		texts = append(texts, p.String())
	}
	return texts
}

// knowsAddresses reports whether the service has called auth.WithClientAddr. Without it, a token
// with networks is rejected everywhere.
func (r *request) knowsAddresses() bool {
	_, known := auth.ClientAddr(r.Context())
	return known
}

// checkDeveloper rejects users who may not have a client secret.
func (r *request) checkDeveloper() error {
	may, err := r.mayHaveSecret()
	if err == nil && !may {
		return errDeveloper
	}
	return err
}

// mayHaveSecret calls Config.Developer at most once per request: it may be a query. A page that
// shows a plaintext has to call it before release: nothing may come after the last check of the
// session.
func (r *request) mayHaveSecret() (bool, error) {
	if r.secret == nil || r.isDeveloper == nil {
		return r.secret != nil, nil
	}
	if !r.developer.asked {
		r.developer.asked = true
		r.developer.yes, r.developer.err = r.askDeveloper()
	}
	return r.developer.yes, r.developer.err
}

// askDeveloper reports an error, as the authenticators report theirs, and a panic.
func (r *request) askDeveloper() (yes bool, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = recovered("Config.Developer", v)
		}
		if err != nil {
			r.notifyOutage(err)
			yes, err = false, unavailable() // whatever it wraps
		}
	}()
	return r.isDeveloper(r.Context(), r.identity())
}

// checkSecret rejects a request for the plaintext of a client secret, which has full
// access, unless the user may have one and the session has full access too.
func (r *request) checkSecret() error {
	if err := r.checkDeveloper(); err != nil {
		return err
	}
	return r.checkScopes([]string{auth.FullAccess})
}

// secrets returns the user's current secret and, in the grace period of a rotation,
// the previous one. They are nil if there are none. Expired ones do not count.
func (r *request) secrets() (current, previous *auth.Credential, err error) {
	live := func(s *auth.Credential) bool { return !s.Expired(r.now) }
	found, err := r.collect(r.secret.List, auth.Page{Limit: 2}, live)
	for _, s := range found.records {
		if s.Superseded {
			previous = s
		} else {
			current = s
		}
	}
	return current, previous, err
}

// checkSecretID checks that s, which secrets returned with err, has the ID that the
// request names: a form or a confirmation for an older secret must change nothing.
func checkSecretID(s *auth.Credential, id string, err error) error {
	switch {
	case err != nil:
		return err
	case id == "":
		return errNoSecretID
	case s == nil:
		return auth.ErrNotFound
	case s.ID != id:
		return auth.ErrConflict
	}
	return nil
}

// createSecret creates a secret with full access that does not expire. idempotency is empty,
// or that of the form.
func (r *request) createSecret(idempotency string) (plaintext string, c auth.Credential, err error) {
	return r.release(r.secret.Issue(r.Context(), r.id.UserID, auth.SecretOptions{
		Scopes: []string{auth.FullAccess}, Lifetime: auth.NoExpiry, Idempotency: idempotency,
	}))
}

// rotateSecret replaces the current secret.
func (r *request) rotateSecret(id string, overlap time.Duration) (plaintext string, c auth.Credential, err error) {
	current, _, err := r.secrets()
	if err := checkSecretID(current, id, err); err != nil {
		return "", auth.Credential{}, err
	}
	return r.release(r.secret.Rotate(r.Context(), r.id.UserID, id, overlap))
}

// revealSecret returns the plaintext of the current secret, if it was stored.
func (r *request) revealSecret(id string) (string, error) {
	current, _, err := r.secrets()
	if err := checkSecretID(current, id, err); err != nil {
		return "", err
	}
	if !r.revealable(current) {
		return "", errNotRevealable
	}
	plaintext, err := r.secret.Reveal(r.Context(), r.id.UserID, id)
	if err == nil {
		err = r.recheck() // checkDeveloper has asked before
	}
	if err != nil {
		return "", err
	}
	return plaintext, nil
}

func (r *request) revealable(s *auth.Credential) bool {
	return s != nil && len(s.Sealed) > 0 && r.secret.Policy().Revealable
}

// revokeSecret revokes the current secret, and the previous one with it.
func (r *request) revokeSecret(id string) error {
	current, _, err := r.secrets()
	if err := checkSecretID(current, id, err); err != nil {
		return err
	}
	return r.secret.Revoke(r.Context(), r.id.UserID, id)
}

// revokePrevious revokes the previous secret alone.
func (r *request) revokePrevious(id string) error {
	_, previous, err := r.secrets()
	if err := checkSecretID(previous, id, err); err != nil {
		return err
	}
	return r.secret.Revoke(r.Context(), r.id.UserID, id)
}

// revokeSession revokes a session. For the current one, it also clears the cookie.
func (r *request) revokeSession(id string) error {
	if r.isOwn(id) {
		return r.cookie.SignOut(r.w, r.Request)
	}
	if _, err := r.ownSession(); err != nil && !errors.Is(err, auth.ErrNotFound) {
		return err // Revoke reads too
	}
	return r.cookie.Revoke(r.Context(), r.id.UserID, id)
}

func (r *request) revokeOtherSessions() (int, error) {
	return r.cookie.RevokeAll(r.Context(), r.id.UserID, r.id.CredentialID)
}

// A state says whether a token can be used.
type state string

const (
	stateActive     state = "active"
	stateSuperseded state = "superseded" // rotated, and valid until it expires
	stateExpired    state = "expired"
)

func stateOf(t *auth.Credential, now time.Time) state {
	switch {
	case t.Expired(now):
		return stateExpired
	case t.Superseded:
		return stateSuperseded
	}
	return stateActive
}

// isLive reports whether a session has neither expired nor timed out, and was not replaced when
// it was bound to its device.
func (r *request) isLive(s *auth.Credential) bool {
	idle := r.cookie.Policy().IdleTimeout
	idled := idle > 0 && r.now.Sub(lastSeen(s)) > idle+useDelay
	return !s.Superseded && (r.isCurrent(s) || !s.Expired(r.now) && !idled)
}

// isCurrent reports whether s is the session of this request. For 10 seconds after a session was
// bound to its device, requests may still have the cookie of the session that it has replaced.
func (r *request) isCurrent(s *auth.Credential) bool {
	return s.ID == r.id.CredentialID || s.Bound() && s.Previous == r.id.CredentialID
}

// ownSession returns the record of the session of this request, or of the one that has replaced it.
// It returns auth.ErrNotFound if the session has ended just now.
func (r *request) ownSession() (*auth.Credential, error) {
	if r.own == nil && r.ownErr == nil {
		r.own, r.ownErr = r.readOwnSession()
	}
	return r.own, r.ownErr
}

func (r *request) readOwnSession() (*auth.Credential, error) {
	own, err := r.cookie.Get(r.Context(), r.id.UserID, r.id.CredentialID)
	if err != nil || !own.Superseded {
		return &own, err
	}
	bound, err := r.collect(r.cookie.List, auth.Page{Limit: 1}, func(s *auth.Credential) bool { return !s.Superseded && r.isCurrent(s) })
	if len(bound.records) > 0 {
		return bound.records[0], err
	}
	return &own, err
}

// isOwn reports whether an ID is that of the session of this request. A page that was loaded before
// the session was bound has the ID of before. If the store fails, an ID that is not the one of the
// request counts as that of another session.
func (r *request) isOwn(id string) bool {
	if id == r.id.CredentialID {
		return true
	}
	own, err := r.ownSession()
	return err == nil && own.Bound() && (id == own.ID || id == own.Previous)
}

// useDelay is how late a last use may be recorded.
const useDelay = 2 * time.Minute

// lastSeen returns the last recorded use of a session, or when it was created.
func lastSeen(s *auth.Credential) time.Time {
	if s.LastUsedAt.IsZero() {
		return s.CreatedAt
	}
	return s.LastUsedAt
}
