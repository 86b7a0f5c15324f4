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
// limited scopes cannot grant more than it has, nor change a token that has more. A session with
// an Actor, in which staff act as the user, creates, reveals, rotates and changes nothing: that
// would outlive it. Creating, revealing and rotating, which return a plaintext, also require a recent sign-in: see
// Config.MaxAge, and Config.RecentForRevoke for revoking. So does a change that lets a token do
// more or be used from more networks. A request
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
// only ever sent in the response to a form, never in a URL or a cookie. With JavaScript, Reload and
// Back lead from there to a page that explains why the plaintext is gone.
//
// A form that is sent again, by a reload or to another process, creates nothing. A form contains
// its user and its credential: it changes nothing if another user has signed in since, or if
// another secret has taken the place of that one. What was filled in survives a sign-in and an
// outage, except full access, networks, metadata and a lifetime of more than 366 days. For this it is
// in the query of the form's page, which any link can fill in as well, even as
// name=CI&scopes=notes:read,notes:write&expires_in=45, in days: no link can choose those four, so
// the user chooses them again. The form that changes a token is not filled in.
//
// After an outage of a change, it is not known whether the store has made it: the page and the
// API say so.
//
// Config sets the title, a color, links back to the service, the name of the account, and every
// text. [Handler.Summary] is for a page of the service, such as a profile.
// A service in several languages creates one handler per language.
//
// # The API
//
// The API is under api/ and is described by the OpenAPI 3.1 document
// api/openapi.json. Errors are problem documents (RFC 9457) with a code and every
// invalid field. Unknown parameters and members are errors. Lists have a search, filters, an order
// and a total, and read at most 10,000 records of a user for these. A change that gives a token more
// access, such as more scopes, other networks or any metadata, requires a recent sign-in and a session
// that has the access. With If-Match, PATCH does not undo what was changed since the token was read.
// Answers to GET have an ETag, and browsers may keep them; all others are not stored. For a user
// interface on another origin, see [auth.CookieConfig] and wrap the handler in CORS middleware. To
// offer the API without the page, mount only its path.
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
	"slices"
	"time"

	"github.com/seed-31c5bcb2/auth"
)

// A Config configures the handler. Bearer, SignInPath and one of Cookie and Session are required.
// New copies the slices and maps.
type Config struct {
	Bearer *auth.Bearer
	// Cookie has the sessions of the users. It is nil if there is a Session.
	Cookie *auth.Cookie
	// Session replaces Cookie in a service that has sessions of another package, or of an identity
	// provider. It returns the identity of the signed-in user: the UserID and the Scopes, which are
	// often auth.FullAccess; a CredentialID that names the session, and is not its key, since it is in
	// events; and AuthenticatedAt, which is when
	// the user has signed in, and not when the session was renewed. If that is zero, the sign-in is
	// never recent, and users can create nothing. It must return ErrNoCredential or
	// ErrInvalidCredential if there is no session. It is called again before a plaintext is sent, and
	// must be safe for concurrent use.
	//
	// Cross-origin requests are rejected as auth.Cookie rejects them, so Session need not check this,
	// and TrustedOrigins are required. In identities and events its scheme is SchemeCookie. The
	// sessions themselves remain the service's: there is no list of them, in the page or in the API,
	// and no sign-out.
	Session auth.Authenticator
	// TrustedOrigins are the origin of the service and those of other user interfaces, whose pages
	// may send any request with the session: "https://app.example.com". They are required with
	// Session, and an error without it. Plain http is allowed for loopback addresses only.
	TrustedOrigins []string
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
	// Only the page redirects to it: if the API alone is mounted, "/" will do.
	SignInPath string

	// MaxAge is how recently a user must have signed in to create, reveal or rotate
	// a credential. Zero means 10 minutes.
	MaxAge time.Duration
	// RecentForRevoke requires a sign-in within MaxAge to revoke tokens and client secrets
	// and to end sessions too, as OWASP ASVS 5.0 does for sessions (7.5.2): a stolen session
	// can then not end those of its user. A session with an Actor then revokes nothing. To
	// sign out of the session of the request never requires one. If false, every session of
	// the user can revoke.
	RecentForRevoke bool

	// Scopes describes the scopes that tokens can have, in the order in which they
	// are shown. Scopes of the Bearer's policy that are missing here are shown by
	// name only. If the policy allows any scope, the page offers only these.
	Scopes []ScopeGroup

	// MetadataKeys lists the entries of a token's metadata that users may see, set and delete. The
	// forms have an optional field for each, in this order. The
	// service must not trust their values. If nil, users see no metadata. All other entries stay
	// as they are.
	MetadataKeys []MetadataKey

	// BeforeIssue, if not nil, is called before a user creates a token, with what the user has
	// chosen. It may change o, for example add the tenant to the Metadata, which is not nil, or set
	// Networks, except the Idempotency; the scopes of the session limit what it leaves there. An
	// error refuses the token: one that wraps [auth.ErrForbidden] is answered with 403,
	// [auth.ErrLimit] with 409, and an [auth.ArgumentError] with 400 and its Fault, which the user
	// sees at the field that its Argument names, such as Name, or metadata. with a key. Any other
	// error and a panic are outages, answered with 503. It is called with the request's context, so that [auth.User]
	// works, is not called for a rotation, which keeps what the token has, and must be safe for
	// concurrent use.
	BeforeIssue func(ctx context.Context, id *auth.Identity, o *auth.TokenOptions) error

	// BeforeUpdate is BeforeIssue for changes: token is as it is now, and u has only what changes,
	// with a Metadata that is not nil. If BeforeUpdate is nil and BeforeIssue is not, users can change
	// only the name and the MetadataKeys of a token, so that they cannot undo what BeforeIssue has set.
	// What BeforeUpdate adds to the Metadata requires no recent sign-in, as what a user changes there does.
	BeforeUpdate func(ctx context.Context, id *auth.Identity, token auth.Credential, u *auth.TokenUpdate) error

	// PrivateDocument makes api/openapi.json a part of the API that only signed-in sessions can
	// read. Otherwise everyone can.
	PrivateDocument bool

	// Title is the heading of the page and part of its title, for example the name
	// of the service. If empty, it is the text "title" of Texts or DefaultTexts.
	Title string
	// Links lead back to the service.
	Links []Link
	// Account returns the name of an account, such as an e-mail address, for the bar of each
	// page, where a button to sign out stands next to it, except with Session, whose sign-out is
	// the service's own. It is called with the request's
	// context, so that [auth.User] works, once for each page; a panic is reported to the
	// Observer and answered with 500. If it is nil, or returns "", the bar has neither.
	Account func(ctx context.Context, id *auth.Identity) string
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
	// Presets are buttons that choose some of the scopes at once, for example "Read" and "Write",
	// next to one that chooses none. They need JavaScript. If nil, there is a button that
	// chooses all.
	Presets []ScopePreset
}

// A ScopePreset is a choice of scopes in a ScopeGroup.
type ScopePreset struct {
	Title  string
	Scopes []string // their names, which must be in the group
}

// A Scope describes a scope that tokens can have.
type Scope struct {
	Name        string // as in BearerConfig.Scopes
	Description string // what it allows, for users
}

// A MetadataKey is an entry of a token's metadata.
type MetadataKey struct {
	Key   string // as in TokenOptions.Metadata
	Label string // what it is, for users, in the language of the page
}

// A Link is a link in the page's header.
type Link struct {
	Text string
	URL  string // a path on this site, or an http or https URL
}

// A Handler serves the page and the API. It is safe for concurrent use.
type Handler struct{ handler *handler }

// ServeHTTP implements [http.Handler].
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.handler.ServeHTTP(w, r) }

// New returns the handler of the page and the API, or an error that lists every mistake
// in cfg. As [auth.Middleware.Require] does, it panics if an authenticator was not made by
// its constructor, or if the Middleware's Realm or ResourceMetadata cannot be sent. The
// handler expects the mount prefix to have been stripped from the path: mount it under a
// path that ends in a slash, with http.StripPrefix and the prefix without that slash.
// Requests that show another mount are answered with 500 and a text that names the
// mistake, which Config.Middleware's Observe receives too.
func New(cfg Config) (*Handler, error) {
	cfg.setDefaults()
	if err := cfg.check(); err != nil {
		return nil, err
	}
	h := &handler{
		bearer: cfg.Bearer, cookie: cfg.Cookie, secret: cfg.Secret,
		observe: observer(cfg.Middleware.Observe), isDeveloper: cfg.Developer, nameOf: cfg.Account,
		fillToken: cfg.BeforeIssue, fillUpdate: cfg.BeforeUpdate,
		signInPath: cfg.SignInPath, maxAge: cfg.MaxAge, recentForRevoke: cfg.RecentForRevoke,
		tokenExample: cfg.TokenExampleURL, secretExample: cfg.SecretExampleURL,
		scopes: cfg.scopeGroups(), metadataKeys: slices.Clone(cfg.MetadataKeys), texts: cfg.texts(),
	}
	if cfg.Session != nil {
		h.session = newHostSession(cfg)
	} else {
		h.session = cfg.Cookie
	}
	h.loadAssets(cfg)
	h.addDocument(cfg.PrivateDocument)
	h.mount = newMount(h.assets, append(h.pageRoutes(), h.apiRoutes()...)...)
	h.buildRoutes(cfg.Middleware)
	return &Handler{h}, nil
}

// A handler serves one configuration. It does not change, except for what mount learns
// from requests.
type handler struct {
	bearer  *auth.Bearer
	cookie  *auth.Cookie       // nil if the service has its own sessions
	session auth.Authenticator // cookie, or these
	secret  *auth.Secret       // nil if there are no client secrets

	observe     auth.Observer // not nil
	isDeveloper func(context.Context, *auth.Identity) (bool, error)
	fillToken   func(context.Context, *auth.Identity, *auth.TokenOptions) error                 // Config.BeforeIssue
	fillUpdate  func(context.Context, *auth.Identity, auth.Credential, *auth.TokenUpdate) error // Config.BeforeUpdate
	nameOf      func(context.Context, *auth.Identity) string                                    // Config.Account

	signInPath      string
	maxAge          time.Duration
	recentForRevoke bool
	scopes          []ScopeGroup

	metadataKeys    []MetadataKey
	privateDocument []byte // nil if the OpenAPI document is an asset

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
