// Package settings provides Developer Settings: a page where users manage their
// access tokens, client secret and sessions, and a JSON API with the same features
// for other user interfaces. It can be mounted under any path:
//
//	developer, err := settings.New(settings.Config{
//		Bearer: bearer, Cookie: cookie, Secret: secret, SignInPath: "/signin",
//	})
//	mux.Handle("/settings/", http.StripPrefix("/settings", developer))
//
// # Access
//
// Only signed-in sessions can manage credentials. Tokens and client secrets are
// answered with 403, so that a leaked one cannot create others. A session with
// limited scopes cannot grant more than it has. A session with an Actor, in which staff act as
// the user, creates, reveals and rotates nothing: that would outlive it. Creating, revealing and rotating,
// which return a plaintext, also require a recent sign-in: see Config.MaxAge. A request
// that is held open over the end of its session gets no plaintext: its body is read before
// it is authenticated, and the session is checked again before the plaintext is sent.
// Otherwise the rules of package auth apply: cross-origin requests are rejected,
// outages are answered with 503, and credentials of other users are not found.
//
// # The page
//
// The page works without JavaScript and is enhanced by it. Times are in the time zone
// of the browser, and without JavaScript in UTC and marked as such. The page sets a strict Content
// Security Policy and has no inline scripts or styles. Its links are relative, so
// that it also works behind a proxy that strips part of the path; only the page to
// return to after a sign-in is named by the path that this handler sees. A plaintext is
// only ever sent in the response to a form, never in a URL or a cookie.
//
// A form that is sent again, by a reload or to another process, creates nothing. A form contains
// its user and its credential: it changes nothing if another user has signed
// in since, or if another secret has taken the place of that one. What was filled in survives a
// sign-in and an outage, except full access and a lifetime of more than 366 days. For this it is
// in the query of the form's page, which any link can fill in as well: no link can choose those
// two, so the user chooses them again.
// After an outage of a change, it is not known whether the store has made it: the page and the
// API say so.
//
// Config sets the title, a color, links back to the service, and every text.
// A service in several languages creates one handler per language.
//
// # The API
//
// The API is under api/ and is described by the OpenAPI 3.1 document
// api/openapi.json. Errors are problem documents (RFC 9457) with a code and the
// invalid fields. For a user interface on another origin, see [auth.CookieConfig]
// and wrap the handler in CORS middleware. To offer the API without the page, mount
// only its path.
//
// # Events
//
// Changes to credentials are reported to the Observe of their authenticator, with
// the request's context and address, so that a service can notify its users; so are
// changes that fail. Rejected requests, and errors of Config.Developer, are reported to that
// of Config.Middleware. If one is nil, outages and internal errors are logged to
// slog.Default().
package settings

import (
	"context"
	"html/template"
	"net/http"
	"time"

	"github.com/seed-31c5bcb2/auth"
)

// A Config configures the handler. Bearer, Cookie and SignInPath are required. New
// copies the slices and maps.
type Config struct {
	Bearer *auth.Bearer
	Cookie *auth.Cookie
	// Secret adds client secrets. If nil, there are none.
	Secret *auth.Secret

	// Middleware is the service's own: its Realm, its Resolve, which keeps disabled
	// users out, and its Observe. OnError is not used.
	Middleware auth.Middleware

	// Developer reports whether a user may have a client secret. It is called with
	// the request's context, so that [auth.User] works. An error or a panic is reported
	// to the Observer and answered with 503, whatever it wraps. Pages that do not need
	// the answer only leave out the link to the secret: the event then does not mean that
	// the request was rejected. If nil, every user may have one.
	Developer func(ctx context.Context, id *auth.Identity) (bool, error)

	// SignInPath is the path of the sign-in page on this site. It receives the page
	// to return to in the parameter next, which it must check with [auth.LocalPath].
	// If a form was sent without a recent sign-in, next has what was filled in, unless
	// that is over 2,000 bytes: logs of URLs then have the name of a token, and nothing that is secret
	// unless the user has typed it there.
	// If a signed-in user has to sign in again, it also receives prompt=login (as in
	// OpenID Connect), and must not redirect the user back before a new sign-in.
	SignInPath string

	// MaxAge is how recently a user must have signed in to create, reveal or rotate
	// a credential. Zero means 10 minutes.
	MaxAge time.Duration

	// Scopes describes the scopes that tokens can have, in the order in which they
	// are shown. Scopes of the Bearer's policy that are missing here are shown by
	// name only. If the policy allows any scope, the page offers only these.
	Scopes []ScopeGroup

	// Title is the heading of the page and part of its title, for example the name
	// of the service. If empty, it is the text "title" of Texts or DefaultTexts.
	Title string
	// Links lead back to the service.
	Links []Link
	// Accent is the color of buttons, as #rrggbb. If empty, it is a blue. Text on it
	// is black or white, whichever is easier to read.
	Accent string
	// AccentDark is Accent for users who prefer dark colors, as #rrggbb. If empty, it is
	// derived from Accent: as light as it must be for a contrast of 3:1 on a dark card, which
	// WCAG 2.2 requires of controls (success criterion 1.4.11).
	AccentDark string
	// TokenExampleURL is requested by the curl command that is shown with a new token,
	// so it must accept tokens. It is a URL, or a path on this site. If empty, no
	// command is shown.
	TokenExampleURL string
	// SecretExampleURL is the same for client secrets.
	SecretExampleURL string
	// Language is the language of the texts, as in HTML's lang attribute (BCP 47),
	// "en" if empty. If it is written from right to left, the page is too.
	Language string
	// Texts replaces texts of [DefaultTexts] by key. A replacement may use only the
	// placeholders of its default.
	Texts map[string]string
	// Plural returns the plural category of a number that is not negative: "zero",
	// "one", "two", "few", "many" or "other", by the rules of the Unicode CLDR for
	// the language of Texts. Texts can then have keys for all of these, for example
	// time.in.day.few next to time.in.day.other. A category without a text gets that of
	// "other". If nil, 1 is "one" and all other numbers are "other", as in English.
	Plural func(n int) string
}

// A ScopeGroup is a list of scopes under one heading.
type ScopeGroup struct {
	Title  string
	Scopes []Scope
}

// A Scope describes a scope that tokens can have.
type Scope struct {
	Name        string // as in BearerConfig.Scopes
	Description string // what it allows, for users
}

// A Link is a link in the page's header.
type Link struct {
	Text string
	URL  string // a path on this site, or an http or https URL
}

// New returns the handler of the page and the API, or an error that lists every mistake
// in cfg. As [auth.Middleware.Require] does, it panics if an authenticator was not made by
// its constructor, or if the Middleware's Realm or ResourceMetadata cannot be sent. The
// handler expects the mount prefix to have been stripped from the path: mount it under a
// path that ends in a slash, with http.StripPrefix and the prefix without that slash.
// Requests that show another mount are answered with 500 and a text that names the
// mistake, which Config.Middleware's Observe receives too. The handler is safe for
// concurrent use.
func New(cfg Config) (http.Handler, error) {
	cfg.setDefaults()
	if err := cfg.check(); err != nil {
		return nil, err
	}
	h := &handler{
		bearer: cfg.Bearer, cookie: cfg.Cookie, secret: cfg.Secret,
		observe: observer(cfg.Middleware.Observe), isDeveloper: cfg.Developer,
		signInPath: cfg.SignInPath, maxAge: cfg.MaxAge,
		tokenExample: cfg.TokenExampleURL, secretExample: cfg.SecretExampleURL,
		scopes: cfg.scopeGroups(), texts: cfg.texts(),
	}
	h.loadAssets(cfg)
	h.assets["/api/openapi.json"] = h.openAPI()
	h.mount = newMount(h.assets, append(h.pageRoutes(), h.apiRoutes()...)...)
	h.buildRoutes(cfg.Middleware)
	return h, nil
}

// A handler serves one configuration. It does not change, except for what mount learns
// from requests.
type handler struct {
	bearer *auth.Bearer
	cookie *auth.Cookie
	secret *auth.Secret // nil if there are no client secrets

	observe     auth.Observer // not nil
	isDeveloper func(context.Context, *auth.Identity) (bool, error)

	signInPath string
	maxAge     time.Duration
	scopes     []ScopeGroup

	tokenExample, secretExample string // the URLs or paths of the curl commands

	texts  texts
	brand  brand
	pages  map[string]*template.Template
	assets map[string]asset // by path

	mount     *mount
	page, api http.Handler // with the middleware

	pageMux   *http.ServeMux   // page without it
	pageRoute map[string]route // by pattern
}
