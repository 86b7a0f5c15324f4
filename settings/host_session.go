package settings

import (
	"net/http"
	"reflect"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/internal/origin"
)

// A hostSession is Config.Session with the origin check that auth.Cookie has. Its scheme is that of
// sessions, whatever the service calls it, so that a sign-in can be recent.
type hostSession struct {
	session auth.Authenticator
	origins *origin.Checker
}

func newHostSession(cfg Config) *hostSession {
	return &hostSession{cfg.Session, origin.New(cfg.TrustedOrigins, false)}
}

func (s *hostSession) Scheme() auth.Scheme { return auth.SchemeCookie }

// Vary returns the headers that the service reads: Cookie, unless it says otherwise.
func (s *hostSession) Vary() []string {
	if a, ok := s.session.(interface{ Vary() []string }); ok {
		return a.Vary()
	}
	return []string{"Cookie"}
}

func (s *hostSession) Authenticate(r *http.Request) (*auth.Identity, error) {
	id, err := s.session.Authenticate(r)
	if err == nil && !s.origins.Allows(r) {
		return nil, auth.ErrCrossOrigin
	}
	return id, err
}

// checkSession checks that there is one source of sessions.
func (cfg *Config) checkSession(e *configErrors) {
	switch {
	case cfg.Session == nil && cfg.Cookie == nil:
		e.add("Cookie", "is nil: use auth.NewCookie, since only signed-in sessions can manage credentials, or set Session")
	case cfg.Session == nil && cfg.TrustedOrigins != nil:
		e.add("TrustedOrigins", "has no effect without Session: use that of auth.CookieConfig")
	case cfg.Session == nil:
	case cfg.Cookie != nil:
		e.add("Session", "has no effect next to Cookie: leave one of them nil")
	case isOurs(cfg.Session):
		e.add("Session", "is a %T: it is for sessions of another package", cfg.Session)
	case reflect.ValueOf(cfg.Session).Kind() == reflect.Pointer && reflect.ValueOf(cfg.Session).IsNil():
		e.add("Session", "is a nil pointer")
	case len(cfg.TrustedOrigins) == 0:
		e.add("TrustedOrigins", "is empty: name the origin of the service, such as https://app.example.com")
	}
	if cfg.Session == nil {
		return
	}
	for _, trusted := range cfg.TrustedOrigins {
		if err := origin.Validate(trusted, false); err != nil {
			e.add("TrustedOrigins", "%q %w", trusted, err)
		}
	}
}

func isOurs(a auth.Authenticator) bool {
	switch a.(type) {
	case *auth.Bearer, *auth.Cookie, *auth.Secret:
		return true
	}
	return false
}
