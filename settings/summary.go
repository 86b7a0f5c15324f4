package settings

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"time"

	"github.com/seed-31c5bcb2/auth"
)

// A Summary describes what an account has in the settings, for a page of the service, such as
// a profile. It has no plaintext.
type Summary struct {
	// Account is the value of the field "account" of every form of the settings: they change
	// nothing if another user has signed in since a page was opened.
	Account string

	// Tokens is the number of tokens that can be used. A token that was rotated and its
	// successor count as one. Of an account with more than 1,000 tokens, only the newest are
	// counted, and MoreTokens is set.
	Tokens     int
	MoreTokens bool
	// NextExpiry is when the first of these tokens expires; zero if none does.
	NextExpiry time.Time

	// MayHaveSecret reports whether the user may have a client secret: see Config.Developer.
	MayHaveSecret bool
	// Secret is the current client secret, nil if there is none.
	Secret *SecretSummary

	// Sessions is the number of sessions that can be used, with that of the request. It is
	// limited as Tokens is, and zero with Config.Session.
	Sessions     int
	MoreSessions bool
}

// A SecretSummary describes a client secret.
type SecretSummary struct {
	ID           string
	Hint         string // the prefix and the last characters, to recognize the secret by
	CreatedAt    time.Time
	ExpiresAt    time.Time  // zero if never
	LastUsedAt   time.Time  // zero if not yet used
	LastUsedFrom netip.Addr // the zero Addr if not known

	// Revealable reports whether the session of the request may see the secret. To show it, a
	// form sends the fields account, which is Summary.Account, and id, which is ID, by POST to
	// secret/reveal below the mount. The response is a page of the settings, which
	// asks for a sign-in if the last one is too old.
	Revealable bool
}

// Summary returns a summary of the account of a request. Call it in a handler within
// [auth.Require] that accepts the Cookie or the Session of the Config. It returns auth.ErrForbidden if the
// request has no session, and auth.ErrUnavailable if the store or Config.Developer fails.
func (h *Handler) Summary(r *http.Request) (*Summary, error) {
	id, ok := auth.FromContext(r.Context())
	if !ok || id.Scheme != h.handler.sessionScheme() {
		return nil, fmt.Errorf("settings: Summary requires a session: %w", auth.ErrForbidden)
	}
	req := &request{handler: h.handler, Request: r, id: id, now: time.Now()}
	s := &Summary{Account: req.account()}
	for _, add := range []func(*Summary) error{req.addTokens, req.addSecret, req.addSessions} {
		if err := add(s); err != nil {
			var p *problem
			if errors.As(err, &p) { // of Config.Developer, whose error the Observer has received
				err = auth.ErrUnavailable
			}
			return nil, fmt.Errorf("settings: Summary: %w", err)
		}
	}
	return s, nil
}

// sessionScheme is the scheme of a session on pages of the service.
func (h *handler) sessionScheme() auth.Scheme {
	if host, ok := h.session.(*hostSession); ok {
		return host.session.Scheme()
	}
	return auth.SchemeCookie
}

func (r *request) addTokens(s *Summary) error {
	current := func(t *auth.Credential) bool { return stateOf(t, r.now) == stateActive }
	tokens, err := r.collect(r.bearer.List, auth.Page{Limit: maxShown}, current)
	s.Tokens, s.MoreTokens = len(tokens.records), tokens.next != ""
	for _, t := range tokens.records {
		if !t.ExpiresAt.IsZero() && (s.NextExpiry.IsZero() || t.ExpiresAt.Before(s.NextExpiry)) {
			s.NextExpiry = t.ExpiresAt
		}
	}
	return err
}

func (r *request) addSecret(s *Summary) (err error) {
	if s.MayHaveSecret, err = r.mayHaveSecret(); err != nil || !s.MayHaveSecret {
		return err
	}
	current, _, err := r.secrets()
	if current != nil {
		s.Secret = &SecretSummary{
			ID: current.ID, Hint: current.Hint, CreatedAt: current.CreatedAt, ExpiresAt: current.ExpiresAt,
			LastUsedAt: current.LastUsedAt, LastUsedFrom: current.LastUsedFrom,
			Revealable: r.revealable(current) && r.id.Scopes == auth.FullAccess && r.id.Actor == "",
		}
	}
	return err
}

func (r *request) addSessions(s *Summary) error {
	if r.cookie == nil {
		return nil
	}
	sessions, err := r.collect(r.cookie.List, auth.Page{Limit: maxShown}, r.isLive)
	s.Sessions, s.MoreSessions = len(sessions.records), sessions.next != ""
	return err
}
