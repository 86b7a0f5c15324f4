package settings

import (
	"slices"
	"time"

	"github.com/seed-31c5bcb2/auth"
)

// This file has what the page and the API share: reading and changing credentials
// within the limits of the session.

// issue creates a token with no more access than the session has.
func (r *request) issue(t auth.NewToken) (plaintext string, c auth.Credential, err error) {
	if err := r.checkScopes(t.Scopes); err != nil {
		return "", auth.Credential{}, err
	}
	return r.bearer.Issue(r.Context(), r.id.UserID, t)
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
	return r.bearer.Rotate(r.Context(), r.id.UserID, id, overlap)
}

// checkDeveloper rejects users who may not have a client secret.
func (r *request) checkDeveloper() error {
	may, err := r.mayHaveSecret()
	if err == nil && !may {
		return errDeveloper
	}
	return err
}

// mayHaveSecret calls Config.Developer at most once per request: it may be a query.
func (r *request) mayHaveSecret() (bool, error) {
	if r.secret == nil || r.developer == nil || r.developerAsked {
		return r.secret != nil && (r.developer == nil || r.isDeveloper), nil
	}
	may, err := r.developer(r.Context(), r.id)
	if err == nil {
		r.developerAsked, r.isDeveloper = true, may
	}
	return may, err
}

// checkSecret rejects a request for the plaintext of a client secret, which has full
// access, unless the user may have one and the session has full access too.
func (r *request) checkSecret() error {
	if err := r.checkDeveloper(); err != nil {
		return err
	}
	return r.checkScopes([]string{"*"})
}

// secrets returns the user's current secret and, in the grace period of a rotation,
// the previous one. They are nil if there are none.
func (r *request) secrets() (current, previous *auth.Credential, err error) {
	list, err := r.secret.List(r.Context(), r.id.UserID)
	for i := range list {
		if list[i].Superseded {
			previous = &list[i]
		} else {
			current = &list[i]
		}
	}
	return current, previous, err
}

// reveal returns the plaintext of the current secret, if it was stored.
func (r *request) reveal() (string, error) {
	current, _, err := r.secrets()
	switch {
	case err != nil:
		return "", err
	case current == nil:
		return "", auth.ErrNotFound
	case !r.revealable(current):
		return "", errNotRevealable
	}
	return r.secret.Reveal(r.Context(), r.id.UserID)
}

func (r *request) revealable(s *auth.Credential) bool {
	return s != nil && len(s.Sealed) > 0 && r.secret.Policy().Revealable
}

// revokePrevious revokes the previous secret, if it is still the one with this ID.
func (r *request) revokePrevious(id string) error {
	_, previous, err := r.secrets()
	switch {
	case err != nil:
		return err
	case previous == nil:
		return auth.ErrNotFound
	case previous.ID != id:
		return errConflict
	}
	return r.secret.RevokePrevious(r.Context(), r.id.UserID)
}

// revokeSession revokes a session. For the current one, it also clears the cookie.
func (r *request) revokeSession(id string) error {
	if id == r.id.CredentialID {
		return r.cookie.SignOut(r.w, r.Request)
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

func stateOf(t auth.Credential, now time.Time) state {
	switch {
	case !t.ExpiresAt.IsZero() && !now.Before(t.ExpiresAt):
		return stateExpired
	case t.Superseded:
		return stateSuperseded
	}
	return stateActive
}

// liveSessions removes the sessions that have expired or timed out.
func (r *request) liveSessions(sessions []auth.Credential) []auth.Credential {
	idle := r.cookie.Policy().IdleTimeout
	return slices.DeleteFunc(sessions, func(s auth.Credential) bool {
		if s.ID == r.id.CredentialID {
			return false
		}
		return stateOf(s, r.now) == stateExpired || idle > 0 && r.now.Sub(lastSeen(s)) > idle+useDelay
	})
}

// useDelay is how late a last use may be recorded.
const useDelay = 2 * time.Minute

// lastSeen returns the last recorded use of a session, or when it was created.
func lastSeen(s auth.Credential) time.Time {
	if s.LastUsedAt.IsZero() {
		return s.CreatedAt
	}
	return s.LastUsedAt
}

// sortByExpiry sorts tokens: first those that expire, the soonest first; then those
// that never do, the newest first; then the expired ones.
func sortByExpiry(tokens []auth.Credential, now time.Time) {
	rank := func(t auth.Credential) int {
		switch {
		case stateOf(t, now) == stateExpired:
			return 2
		case t.ExpiresAt.IsZero():
			return 1
		}
		return 0
	}
	slices.SortStableFunc(tokens, func(a, b auth.Credential) int {
		if order := rank(a) - rank(b); order != 0 {
			return order
		}
		switch rank(a) {
		case 0:
			return a.ExpiresAt.Compare(b.ExpiresAt)
		case 1:
			return b.CreatedAt.Compare(a.CreatedAt)
		}
		return b.ExpiresAt.Compare(a.ExpiresAt)
	})
}
