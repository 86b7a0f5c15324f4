package auth

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/seed-31c5bcb2/auth/internal/token"
)

const (
	defaultLifetime = 7 * 24 * time.Hour

	// maxLifetime is how long browsers keep a cookie at the most (RFC 6265bis
	// section 5.5), in seconds 34,560,000.
	maxLifetime = 400 * 24 * time.Hour

	// minIdle leaves room for last uses being written a minute late.
	minIdle = 2 * time.Minute

	// maxCookie is what browsers take of name and value, and we keep the whole
	// field within; maxAttribute, of one attribute (RFC 6265bis section 5.6).
	maxCookie    = 4096
	maxAttribute = 1024
)

// CookieConfig configures a [Cookie]. Only Keys has to be set.
//
// A service that changes Domain, Path or Partitioned gives the cookie another
// Name with it: browsers keep the old one beside the new, and two of one name are
// refused until the old one expires.
type CookieConfig struct {
	// Keys seal the cookie's value: the first seals, all open.
	Keys Keys
	// Name is the cookie's name. "" is "__Host-session", which browsers take
	// only from this host over https; "__Secure-session" if a Domain or a Path
	// forbids that; "session" if Insecure.
	Name string
	// Domain lets the subdomains of a domain have the cookie too. "", this host
	// alone, is safer: with a Domain every subdomain can read the cookie.
	Domain string
	// Path limits the cookie to a path; "" is "/". It is no protection.
	Path string
	// SameSite is Lax unless set: the cookie comes along when somebody follows a
	// link to the site, not with requests of other sites. None is for a user
	// interface on another site, and needs TrustedOrigins.
	SameSite http.SameSite
	// Partitioned keeps a cookie of a page in a frame apart for each site that
	// frames it (CHIPS).
	Partitioned bool
	// Insecure makes a cookie that also goes over plain HTTP, where everybody on
	// the way can take it. It is for development on one's own machine.
	Insecure bool
	// Lifetime is how long a session lasts at the most; 0 is 7 days, and 400
	// days is the most that browsers allow. It is rounded up to whole seconds.
	Lifetime time.Duration
	// IdleTimeout ends a session that was not used for so long; 0 is never, and
	// 2 minutes the least.
	IdleTimeout time.Duration
	// MaxPerUser is how many live sessions an account may have: the oldest ends
	// to make room for a new one. 0 is no limit.
	MaxPerUser int
	// TrustedOrigins are other origins whose pages may send any request with the
	// cookie, such as "https://app.example.com". Each is exact: scheme, host and
	// port. CORS is not answered here: see docs/integration.md.
	TrustedOrigins []string
	// Observe is told of what happens to sessions; nil: nobody is.
	Observe Observer
}

func (cfg *CookieConfig) setDefaults() {
	if cfg.Path == "" {
		cfg.Path = "/"
	}
	if cfg.SameSite == 0 || cfg.SameSite == http.SameSiteDefaultMode {
		cfg.SameSite = http.SameSiteLaxMode
	}
	if cfg.Lifetime == 0 {
		cfg.Lifetime = defaultLifetime
	}
	cfg.Lifetime = wholeSeconds(cfg.Lifetime)
	if cfg.Name == "" {
		cfg.Name = cfg.prefix() + "session"
	}
}

// prefix is the strongest that the other fields allow (RFC 6265bis section 4.1.3).
func (cfg *CookieConfig) prefix() string {
	switch {
	case cfg.Insecure:
		return ""
	case cfg.Domain != "" || cfg.Path != "/":
		return "__Secure-"
	}
	return "__Host-"
}

// check returns every fault of a configuration that has its defaults.
func (cfg *CookieConfig) check(store Store) error {
	faults := []error{checkStore(store), cfg.Keys.check("CookieConfig", "Keys")}
	fault := func(field, format string, args ...any) {
		faults = append(faults, configFault("CookieConfig", field, format, args...))
	}
	if len(cfg.Keys) == 0 {
		fault("Keys", "is empty: give it one of %d random bytes", minKey)
	}
	if hasPrefixFold(cfg.Name, "__Host-") && cfg.prefix() != "__Host-" {
		fault("Name", "%q wants no Domain, the Path / and no Insecure: leave Name empty, or change those", cfg.Name)
	}
	if hasPrefixFold(cfg.Name, "__Secure-") && cfg.Insecure {
		fault("Name", "%q wants https: leave Name empty, or Insecure unset", cfg.Name)
	}
	if !strings.HasPrefix(cfg.Path, "/") {
		fault("Path", "%q must start with /", cfg.Path)
	}
	if len(cfg.Path) > maxAttribute {
		fault("Path", "has %d bytes: browsers ignore one over %d", len(cfg.Path), maxAttribute)
	}
	switch cfg.SameSite {
	case http.SameSiteLaxMode, http.SameSiteStrictMode:
	case http.SameSiteNoneMode:
		if cfg.Insecure {
			fault("SameSite", "None wants https: leave Insecure unset, or use Lax")
		}
		if len(cfg.TrustedOrigins) == 0 {
			fault("TrustedOrigins", "is empty with SameSite None: name the origins of the user interface, or use Lax")
		}
	default:
		fault("SameSite", "is %d: use one of the constants of net/http", cfg.SameSite)
	}
	if cfg.Partitioned && cfg.Insecure {
		fault("Partitioned", "wants https: leave Insecure unset")
	}
	if cfg.Lifetime < 0 || cfg.Lifetime > maxLifetime {
		fault("Lifetime", "is %v: use 1 second to %v", cfg.Lifetime, maxLifetime)
	}
	if cfg.IdleTimeout != 0 && cfg.IdleTimeout < minIdle {
		fault("IdleTimeout", "is %v: use %v or more, or 0 for never", cfg.IdleTimeout, minIdle)
	}
	if _, ok := store.(LookupFunc); ok && cfg.IdleTimeout != 0 {
		fault("IdleTimeout", "wants a store that records uses, and a LookupFunc does not: use 0")
	}
	if cfg.MaxPerUser < 0 {
		fault("MaxPerUser", "is %d: use 0 for no limit", cfg.MaxPerUser)
	}
	for _, origin := range cfg.TrustedOrigins {
		if err := checkOrigin(origin, cfg.Insecure); err != nil {
			fault("TrustedOrigins", "%q %w", origin, err)
		}
	}
	return errors.Join(faults...)
}

// checkSize makes a cookie as SignIn will, and refuses one that net/http or a
// browser would drop without a word.
func (c *Cookie) checkSize() error {
	sample := c.cookie
	value, err := c.codecs.seal(sample.Name, token.New(""))
	if err != nil {
		return configFault("CookieConfig", "Name", "%q: %w", sample.Name, err)
	}
	sample.Value, sample.Expires, sample.MaxAge = value, time.Now(), int(maxLifetime/time.Second)
	if err := sample.Valid(); err != nil {
		return configFault("CookieConfig", "Name, Domain or Path", "makes a cookie that cannot be sent: %w", err)
	}
	if n := len(sample.String()); n > maxCookie {
		return configFault("CookieConfig", "Name, Domain or Path", "makes a cookie of %d bytes: browsers drop one over %d", n, maxCookie)
	}
	return nil
}

// wholeSeconds rounds up: Max-Age has no fractions.
func wholeSeconds(d time.Duration) time.Duration {
	if whole := d.Truncate(time.Second); whole < d {
		return whole + time.Second
	}
	return d
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}
