// Package settings is the Developer Settings of an account: a page on which people
// manage their access tokens, their client secret and their sessions, and the same
// as a JSON API for user interfaces of one's own. It is mounted under any path:
//
//	developer, err := settings.New(settings.Config{
//		Bearer: bearer, Cookie: cookie, Secret: secret, SignInPath: "/signin",
//	})
//	mux.Handle("/settings/", http.StripPrefix("/settings", developer))
//
// # Who gets in
//
// Only a signed-in session manages credentials: a token or a client secret is
// answered with 403, so that one that leaks cannot make others of itself. A session
// whose scopes are limited gives out no more than it has. What hands out a
// plaintext (creating, revealing, rotating) also wants a recent sign-in: see
// Config.MaxAge. Everything else is as in package auth: requests of other sites are
// refused, an outage is a 503, and what belongs to somebody else is not there.
//
// # The page
//
// It works without JavaScript, and better with it. It sends a strict Content
// Security Policy of its own, and nothing of it is inline. Its links are relative,
// so that it finds itself also behind a proxy that takes a part of the path away.
// A plaintext is in the answer to a form, and never in a URL or a cookie.
//
// Config has a title, a colour, links back to the service, and every text.
// A service with several languages makes a handler for each.
//
// # The API
//
// It is under api/, and described by the OpenAPI 3.1 document api/openapi.json.
// Errors are problem documents (RFC 9457) with a code, and the fields to blame. For
// a user interface on an origin of its own, see [auth.CookieConfig] and put a CORS
// handler in front; mount only the path of the API where nobody wants the page.
//
// # Who is told
//
// What happens to credentials goes to the Observe of the authenticator whose they
// are, with the request's context and address: a service mails its users from
// there. Decisions on requests, and outages, go to the one of Config.Middleware.
package settings

import (
	"context"
	"html/template"
	"net/http"
	"sync"
	"time"

	"github.com/seed-31c5bcb2/auth"
)

// A Config says whose credentials are managed, and what the page looks like. Bearer,
// Cookie and SignInPath have to be set. New copies what it needs.
type Config struct {
	Bearer *auth.Bearer
	Cookie *auth.Cookie
	// Secret adds the client secret of the account; nil: there are none.
	Secret *auth.Secret

	// Middleware is the service's own: its Realm, its Resolve, so that disabled
	// accounts stay out, and its Observe. OnError is not used.
	Middleware auth.Middleware

	// Developer says whether an account may have a client secret: those of
	// developers do. It gets the context of the request, so that [auth.User] works.
	// An error is answered with 503. nil: every account may.
	Developer func(ctx context.Context, id *auth.Identity) (bool, error)

	// SignInPath is where people sign in: a path on this site. It gets next, the
	// page to go back to, which is for [auth.LocalPath] to check. Where somebody is
	// signed in, but not lately, it gets prompt=login as well (as in OpenID
	// Connect): the sign-in page must then not send them back before they have
	// signed in anew.
	SignInPath string

	// MaxAge is how long ago somebody may have signed in to create, reveal or
	// rotate; 0 is 10 minutes.
	MaxAge time.Duration

	// Scopes describes the scopes that a token can have, in the order in which
	// they are shown. Those of the Bearer's policy that are missing here are
	// shown by their name alone. Where the policy allows any scope, these are
	// all that the page offers.
	Scopes []ScopeGroup

	// Title is the heading of the page, and part of its title; "" is the text
	// "title". It may be the name of the service.
	Title string
	// Links lead back to the service.
	Links []Link
	// Accent is the colour of what is to be clicked, as #rrggbb; "" is a blue.
	// The text on it is black or white, whichever is easier to read.
	Accent string
	// ExampleURL is what the curl line beside a new token asks for: a URL, or a
	// path on this site; "" is "/".
	ExampleURL string
	// Language is that of the texts, as in HTML's lang (BCP 47); "" is "en".
	Language string
	// Texts replace those of [DefaultTexts] that have the same key. What stands
	// in braces there may stand in them, and nothing else in braces.
	Texts map[string]string
}

// A ScopeGroup is a number of scopes under one heading.
type ScopeGroup struct {
	Title  string
	Scopes []Scope
}

// A Scope is one that tokens can have.
type Scope struct {
	Name        string // as in BearerConfig.Scopes
	Description string // what it allows, for people
}

// A Link leads somewhere else.
type Link struct {
	Text string
	URL  string // a path on this site, or of http or https
}

// New returns the handler of the page and the API. It reports every fault of cfg at
// once. The handler expects paths that begin where it is mounted: put it behind
// http.StripPrefix, under a path that ends in a slash. It is safe for concurrent use.
func New(cfg Config) (http.Handler, error) {
	cfg.setDefaults()
	if err := cfg.check(); err != nil {
		return nil, err
	}
	h := &handler{
		bearer: cfg.Bearer, cookie: cfg.Cookie, secret: cfg.Secret,
		observe: cfg.Middleware.Observe, developer: cfg.Developer,
		signInPath: cfg.SignInPath, maxAge: cfg.MaxAge, exampleURL: cfg.ExampleURL,
		scopes: cfg.scopeGroups(), texts: cfg.texts(),
	}
	h.look(cfg)
	h.describe()
	h.route(cfg.Middleware)
	return h, nil
}

// A handler answers for one configuration. Nothing in it changes, but for what is in
// progress.
type handler struct {
	bearer *auth.Bearer
	cookie *auth.Cookie
	secret *auth.Secret // nil: there are none

	observe   auth.Observer
	developer func(context.Context, *auth.Identity) (bool, error)

	signInPath string
	maxAge     time.Duration
	exampleURL string
	scopes     []ScopeGroup

	texts  texts
	brand  brand
	pages  map[string]*template.Template
	assets map[string]asset

	page, api http.Handler // behind the middleware

	sent sync.Map // the forms for new tokens that are being carried out
}
