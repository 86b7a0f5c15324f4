// Package dbsc makes session cookies that are stolen from a browser worthless within minutes, by
// Device Bound Session Credentials (https://www.w3.org/TR/dbsc/). It is experimental: the
// specification is a draft, and this module changes with it.
//
//	binding, err := dbsc.New(dbsc.Config{})
//	cookie, err := auth.NewCookie(store, auth.CookieConfig{Keys: keys, Binding: binding})
//
//	mux.Handle("/dbsc/", binding)
//
// # What happens to a stolen cookie
//
// A thief who copies all cookies of a browser can use them until the bound cookie expires, at most
// [Config].Lifetime and a minute later, and never after: only the browser can renew it
// (TestTheft shows it, and so do the tests of examples/server with Chromium).
//
// After a sign-in, a browser that supports DBSC makes a key pair whose private key does not leave
// the device, and registers the public key. From then on, requests with the session also need the
// bound cookie, which lives for minutes. The browser renews it by signing a challenge, and holds
// its requests meanwhile. Browsers without DBSC ignore the offer, and their sessions are as before.
//
// It protects neither from malware that uses the browser's key on the device while it runs, nor
// from one that is there at the sign-in and keeps the browser from registering.
//
// # State
//
// The session's record has the public key. Challenges, the bound cookie and the identifier by which
// the browser knows the session are encrypted and authenticated under the keys of the Cookie, and
// name the session and the time. So there is no table, and any process that shares the store and
// the keys can answer, even a request without the session cookie: after a link from another site,
// Chromium sends registrations and renewals without cookies that are SameSite=Lax. A challenge is
// not used up: a thief who has a proof and the session cookie can use the proof again until its
// challenge is too old, after a minute, or after as long as the bound cookie if it came with that.
//
// # Events
//
// All are reported to the Observe of the Cookie: [auth.EventBound] for each session that is bound,
// and [auth.EventRefused] for each registration and renewal that is rejected, with one of the
// Reasons of this package. Requests without a valid bound cookie are reported to the Observe of
// the Middleware, as all rejected requests are, with [auth.ReasonNotBound].
package dbsc

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/internal/header"
	"github.com/seed-31c5bcb2/auth/internal/seal"
)

const (
	defaultPath     = "/dbsc/"
	defaultLifetime = 5 * time.Minute

	// Chromium signs 6 times in 9 minutes for a site at most, and renews 2 minutes before the cookie
	// expires if the user is active. With a shorter Lifetime it would soon send requests without
	// the cookie.
	minLifetime = 5 * time.Minute
	maxLifetime = time.Hour

	// acceptLonger is how long values are accepted after they have expired in the browser, for
	// requests under way and machines with other clocks.
	acceptLonger = time.Minute

	// bindWithin is how long after the sign-in a session can be bound. Later, a thief could bind it
	// to a key of his own, which would sign the user out.
	bindWithin = time.Minute

	// answerWithin is how long a challenge is valid that the browser has asked for.
	answerWithin = time.Minute

	// maxID is how long the identifier of a session in a request may be: those of instructions are
	// shorter.
	maxID = 256

	// maxPlanted is how many cookies of one name are opened in a request. Browsers send one, and
	// those that another host of the domain has planted.
	maxPlanted = 4
)

// A Config configures a [Binding]. The zero value is usable.
type Config struct {
	// Path is where the service mounts the Binding as a handler, as the browser sees it: an
	// absolute path that ends in a slash, within the Path of the session cookie. If empty, it is
	// "/dbsc/".
	Path string
	// Lifetime is how long the bound cookie lives in the browser, 5 minutes to an hour. Zero means 5
	// minutes. A copy of it is accepted for a minute longer, since the clocks of machines differ.
	// Browsers limit how often they renew: if several services of one site bind sessions, give each
	// 10 minutes or more.
	Lifetime time.Duration
	// Algorithms are those that browsers may choose from, the preferred one first. If nil, they are
	// ES256 and RS256.
	Algorithms []Algorithm
	// Require, if not 0, rejects sessions that have not been bound so long after the sign-in, with
	// [auth.ReasonNotBound]: in browsers without DBSC, and those that began before. It is at least
	// a minute.
	Require time.Duration
	// Offer, if not nil, says whether the browser that has sent the sign-in r is asked to bind the
	// session. If it is nil, each is. It allows to begin with some users, and, where several
	// processes serve one site, to begin when all of them have a Binding: those without one reject
	// sessions that are bound. It must be safe for concurrent use.
	Offer func(r *http.Request) bool
}

// A Binding binds the sessions of one [auth.Cookie] to browsers with DBSC. It is given to
// [auth.NewCookie], and mounted as a handler at Config.Path, where browsers register their key and
// renew the bound cookie. It is made by [New] and safe for concurrent use.
//
// The bound cookie has the name of the session cookie with "-bound", and its attributes. If the
// session cookie has a Domain, the browser renews it for requests to all hosts of that domain; it
// must be the registrable one, such as example.com, and a host below it that users sign in to must be
// listed in https://example.com/.well-known/device-bound-sessions: see
// docs/guides/device-bound-sessions.md.
type Binding struct {
	path       string
	lifetime   time.Duration
	algorithms []Algorithm
	require    time.Duration
	offer      func(r *http.Request) bool

	sessions *auth.SessionBinder
	cookie   http.Cookie // the bound one, without its value and age
	// What is sealed is the session's Digest, as text.
	bound        *seal.Cookies // values of the bound cookie
	handles      *seal.Cookies // session identifiers, which do not expire
	registration *seal.Cookies // challenges of SignIn
	asked        *seal.Cookies // challenges that the browser has asked for
	ahead        *seal.Cookies // challenges for the next renewal, sent with the bound cookie
	offered      *seal.Cookies // values of the offer cookie
	offerCookie  http.Cookie   // names the session at its registration; without its value and age
}

var (
	_ auth.Binding = (*Binding)(nil)
	_ http.Handler = (*Binding)(nil)
)

// New returns a Binding, or an error that lists everything wrong with cfg.
func New(cfg Config) (*Binding, error) {
	if cfg.Path == "" {
		cfg.Path = defaultPath
	}
	if cfg.Lifetime == 0 {
		cfg.Lifetime = defaultLifetime
	}
	if cfg.Algorithms == nil {
		cfg.Algorithms = []Algorithm{ES256, RS256}
	}
	if err := cfg.check(); err != nil {
		return nil, err
	}
	return &Binding{
		path: cfg.Path, lifetime: cfg.Lifetime, algorithms: slices.Clone(cfg.Algorithms), require: cfg.Require, offer: cfg.Offer,
	}, nil
}

func (cfg *Config) check() error {
	var faults []error
	fault := func(field, format string, args ...any) {
		faults = append(faults, fmt.Errorf("dbsc: Config."+field+": "+format, args...))
	}
	// Chromium decodes refresh_url before it resolves it.
	if auth.LocalPath(cfg.Path, "") == "" || !strings.HasSuffix(cfg.Path, "/") || strings.ContainsAny(cfg.Path, "\"%?#") || !isPrintable(cfg.Path) {
		fault("Path", "%q must be an absolute path that ends in a slash, without escapes, empty segments and dot segments", cfg.Path)
	}
	if cfg.Lifetime < minLifetime || cfg.Lifetime > maxLifetime {
		fault("Lifetime", "is %v: use %v to %v, or 0 for %v", cfg.Lifetime, minLifetime, maxLifetime, defaultLifetime)
	}
	if len(cfg.Algorithms) == 0 {
		fault("Algorithms", "is empty: leave it nil for ES256 and RS256")
	}
	for i, a := range cfg.Algorithms {
		if !a.known() || slices.Contains(cfg.Algorithms[:i], a) {
			fault("Algorithms", "%q is not ES256 or RS256, or is there twice", a)
		}
	}
	if cfg.Require != 0 && cfg.Require < bindWithin {
		fault("Require", "is %v: use %v or more, or 0 to accept sessions that are not bound", cfg.Require, bindWithin)
	}
	return errors.Join(faults...)
}

func isPrintable(s string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c > '~' })
}

// Init implements [auth.Binding]. It returns an error if b belongs to another Cookie, or if
// browsers cannot bind this one: it must be Secure and not Partitioned, and its Path must contain
// Config.Path.
func (b *Binding) Init(sessions *auth.SessionBinder) error {
	cookie, keys := sessions.Attributes(), sessions.Keys()
	var faults []error
	if b.sessions != nil {
		faults = append(faults, errors.New("dbsc: the Binding belongs to another Cookie: make one for each"))
	}
	if !cookie.Secure {
		faults = append(faults, errors.New("dbsc: the cookie is Insecure, and browsers bind only secure ones: leave Binding nil in development"))
	}
	if cookie.Partitioned {
		faults = append(faults, errors.New("dbsc: browsers do not bind Partitioned cookies"))
	}
	if !strings.HasPrefix(b.path, strings.TrimSuffix(cookie.Path, "/")+"/") {
		faults = append(faults, fmt.Errorf("dbsc: Config.Path: %q is outside of the cookie's Path, %q", b.path, cookie.Path))
	}
	if err := errors.Join(faults...); err != nil {
		return err
	}
	b.sessions, b.cookie = sessions, cookie
	b.cookie.Name += "-bound"
	// No cookie can have these names, as they have spaces.
	b.bound = seal.NewCookies("dbsc bound "+cookie.Name, keys, b.lifetime+acceptLonger)
	b.handles = seal.NewCookies("dbsc session "+cookie.Name, keys, 0)
	b.registration = seal.NewCookies("dbsc registration "+cookie.Name, keys, bindWithin)
	b.asked = seal.NewCookies("dbsc asked "+cookie.Name, keys, answerWithin)
	b.ahead = seal.NewCookies("dbsc ahead "+cookie.Name, keys, b.lifetime+acceptLonger)
	b.offered = seal.NewCookies("dbsc offer "+cookie.Name, keys, bindWithin)
	b.offerCookie = offerCookie(cookie, b.path)
	return nil
}

// offerCookie returns the cookie by which a registration finds the session if the browser leaves out
// the session cookie, after the redirect of an identity provider. The challenge alone must not do:
// scripts and service workers of the page can read it, and a log of headers may keep it, and who
// registers gets the session cookie. This one is HttpOnly.
func offerCookie(session http.Cookie, path string) http.Cookie {
	const host = "__Host-" // requires the Path /
	if name := session.Name; len(name) >= len(host) && strings.EqualFold(name[:len(host)], host) {
		session.Name = "__Secure-" + name[len(host):]
	}
	session.Name += "-offer"
	session.Path, session.SameSite = path, http.SameSiteNoneMode
	return session
}

// SignedIn implements [auth.Binding]. It asks the browser to register a key.
func (b *Binding) SignedIn(w http.ResponseWriter, r *http.Request, session *auth.Credential) {
	if b.offer != nil && !b.offer(r) {
		return
	}
	challenge := sealed(b.registration, session)
	cookie := b.offerCookie
	cookie.Value, cookie.MaxAge = sealed(b.offered, session), int(bindWithin/time.Second)
	header.SetCookie(w, &cookie)
	names := make([]string, len(b.algorithms))
	for i, a := range b.algorithms {
		names[i] = string(a)
	}
	// The service may start sessions of several Cookies in one response.
	h, path := w.Header(), fmt.Sprintf(";path=%q;", b.path+"registration")
	h[headerRegistration] = append(
		slices.DeleteFunc(h[headerRegistration], func(offer string) bool { return strings.Contains(offer, path) }),
		fmt.Sprintf("(%s)%schallenge=%q", strings.Join(names, " "), path, challenge))
}

var errNotBound = fmt.Errorf("dbsc: the session is not bound: %w", auth.ErrInvalidCredential)

// Check implements [auth.Binding].
func (b *Binding) Check(r *http.Request, session *auth.Credential) error {
	now := time.Now()
	if !session.Bound() {
		if b.require == 0 || now.Before(session.CreatedAt.Add(b.require)) {
			return nil
		}
		return errNotBound
	}
	n := 0
	for value := range header.Cookies(r.Header, b.cookie.Name) {
		if isOf(b.bound, value, session, now) == seal.Valid {
			return nil
		}
		if n++; n == maxPlanted {
			break
		}
	}
	return errNotBound
}

// sealed returns a value that is of a session. The Digest is no secret that anyone could use, but
// only a Binding can have made the value.
func sealed(values *seal.Cookies, session *auth.Credential) string {
	value, err := values.Seal(textOf(session.Digest))
	if err != nil {
		panic(err) // impossible: digests are short
	}
	return value
}

// textSize is the length of textOf in bytes.
const textSize = (len(auth.Digest{})*8 + 5) / 6

func textOf(d auth.Digest) string { return base64.RawURLEncoding.EncodeToString(d[:]) }

// isOf judges a value that must be of a session: that of another one is forged.
func isOf(values *seal.Cookies, value string, session *auth.Credential, now time.Time) seal.Verdict {
	digest, verdict := values.Open(value, now)
	if verdict == seal.Forged {
		return seal.Forged
	}
	var text [textSize]byte // textOf, without an allocation for each request
	base64.RawURLEncoding.Encode(text[:], session.Digest[:])
	if digest != sha256.Sum256(text[:]) {
		return seal.Forged
	}
	return verdict
}

// digestIn returns the Digest of the session that a value is of.
func digestIn(values *seal.Cookies, value string, now time.Time) (d auth.Digest, v seal.Verdict) {
	text, v := values.OpenText(value, now)
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || copy(d[:], b) != len(d) {
		return auth.Digest{}, seal.Forged
	}
	return d, v
}

// SignedOut implements [auth.Binding]. It removes the cookies of the Binding.
func (b *Binding) SignedOut(w http.ResponseWriter) {
	removeCookie(w, b.cookie)
	removeCookie(w, b.offerCookie)
}

func removeCookie(w http.ResponseWriter, cookie http.Cookie) {
	cookie.Expires, cookie.MaxAge = time.Unix(1, 0), -1
	header.SetCookie(w, &cookie)
}

// ServeHTTP answers the requests that browsers send to Config.Path by themselves: a POST to
// "registration" after the sign-in, and to "refresh" when the bound cookie has expired. Their last
// segment decides, so a http.StripPrefix around b does not matter.
func (b *Binding) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if b.sessions == nil {
		panic("dbsc: the Binding was not given to auth.NewCookie")
	}
	serve := b.register
	switch path.Base(r.URL.Path) {
	case "registration":
	case "refresh":
		serve = b.refresh
	default:
		auth.WriteError(w, r, auth.ErrNotFound)
		return
	}
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "Use POST.", http.StatusMethodNotAllowed)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	serve(w, r)
}
