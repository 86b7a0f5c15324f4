package settings

import (
	"slices"
	"time"

	"github.com/seed-31c5bcb2/auth"
)

// What the page and the API have in common: which credentials there are, and what a
// session may do to them.

// issue makes a token with no more access than the session has.
func (c *call) issue(t auth.NewToken) (plaintext string, made auth.Credential, err error) {
	if err := c.within(t.Scopes); err != nil {
		return "", auth.Credential{}, err
	}
	return c.bearer.Issue(c.r.Context(), c.id.UserID, t)
}

func (c *call) rotateToken(id string, overlap time.Duration) (plaintext string, made auth.Credential, err error) {
	old, err := c.bearer.Get(c.r.Context(), c.id.UserID, id)
	if err != nil {
		return "", auth.Credential{}, err
	}
	if err := c.within(old.Scopes.List()); err != nil {
		return "", auth.Credential{}, err
	}
	return c.bearer.Rotate(c.r.Context(), c.id.UserID, id, overlap)
}

// checkDeveloper refuses accounts that have no client secret.
func (c *call) checkDeveloper() error {
	may, err := c.mayHaveSecret()
	if err == nil && !may {
		return errDeveloper
	}
	return err
}

// mayHaveSecret asks once for each request: it may be a query.
func (c *call) mayHaveSecret() (bool, error) {
	if c.secret == nil || c.developer == nil || c.asked {
		return c.secret != nil && (c.developer == nil || c.may), nil
	}
	may, err := c.developer(c.r.Context(), c.id)
	if err == nil {
		c.asked, c.may = true, may
	}
	return may, err
}

// checkSecret refuses to hand out a secret, which has the account's full access, to
// whom that does not belong.
func (c *call) checkSecret() error {
	if err := c.checkDeveloper(); err != nil {
		return err
	}
	return c.within([]string{"*"})
}

// secrets returns the current secret and the previous one of an overlap; nil: none.
func (c *call) secrets() (current, previous *auth.Credential, err error) {
	list, err := c.secret.List(c.r.Context(), c.id.UserID)
	for i := range list {
		if list[i].Superseded {
			previous = &list[i]
		} else {
			current = &list[i]
		}
	}
	return current, previous, err
}

// reveal returns the current secret, if it was sealed when it was made.
func (c *call) reveal() (string, error) {
	current, _, err := c.secrets()
	switch {
	case err != nil:
		return "", err
	case current == nil:
		return "", auth.ErrNotFound
	case !c.revealable(current):
		return "", errUnrevealable
	}
	return c.secret.Reveal(c.r.Context(), c.id.UserID)
}

func (c *call) revealable(s *auth.Credential) bool {
	return s != nil && len(s.Sealed) > 0 && c.secret.Policy().Revealable
}

// revokePrevious ends the secret that somebody saw as the previous one, and not one
// that has become that since.
func (c *call) revokePrevious(id string) error {
	_, previous, err := c.secrets()
	switch {
	case err != nil:
		return err
	case previous == nil:
		return auth.ErrNotFound
	case previous.ID != id:
		return errMoved
	}
	return c.secret.RevokePrevious(c.r.Context(), c.id.UserID)
}

// endSession ends a session, and with this one its cookie.
func (c *call) endSession(id string) error {
	if id == c.id.CredentialID {
		return c.cookie.SignOut(c.w, c.r)
	}
	return c.cookie.Revoke(c.r.Context(), c.id.UserID, id)
}

func (c *call) endOtherSessions() (int, error) {
	return c.cookie.RevokeAll(c.r.Context(), c.id.UserID, c.id.CredentialID)
}

// A state is what a token is good for.
type state string

const (
	stateActive     state = "active"
	stateSuperseded state = "superseded" // rotated: still good, until it expires
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

// usable leaves out the sessions that have expired, or were left alone for too long:
// nobody can come in by them.
func (c *call) usable(sessions []auth.Credential) []auth.Credential {
	idle := c.cookie.Policy().IdleTimeout
	return slices.DeleteFunc(sessions, func(s auth.Credential) bool {
		if s.ID == c.id.CredentialID {
			return false
		}
		return stateOf(s, c.now) == stateExpired || idle > 0 && c.now.Sub(seen(s)) > idle+useDelay
	})
}

// useDelay is by how much the record of a last use may be behind.
const useDelay = 2 * time.Minute

// seen is when a session was last used, as far as is known.
func seen(s auth.Credential) time.Time {
	if s.LastUsedAt.IsZero() {
		return s.CreatedAt
	}
	return s.LastUsedAt
}

// soonestFirst sorts tokens by what becomes of them: those that expire, the soonest
// first; those that never do, the newest first; those that have.
func soonestFirst(tokens []auth.Credential, now time.Time) {
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
		if by := rank(a) - rank(b); by != 0 {
			return by
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
