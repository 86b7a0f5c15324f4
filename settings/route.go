package settings

import (
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/seed-31c5bcb2/auth"
)

// A call is a request of somebody who is signed in.
type call struct {
	*handler
	w   http.ResponseWriter
	r   *http.Request
	id  *auth.Identity
	now time.Time
	rt  route

	asked, may bool // whether, and what, Config.Developer was asked
}

// A route is one method of one path. A recent one hands out a plaintext, or shows
// the form for it.
type route struct {
	method, path string
	recent       bool
	serve        func(*call) error
	back         string // of a page: where to begin again after a sign-in; "": here
}

// route puts the pages and the API behind the middleware. Both take every scheme,
// so that a token gets the answer to a token, and not one to nobody.
func (h *handler) route(m auth.Middleware) {
	var others []auth.Authenticator
	others = append(others, h.cookie)
	if h.secret != nil {
		others = append(others, h.secret)
	}
	m.OnError = h.refusePage
	h.page = m.Require(h.bearer, others...)(h.mux(h.pageRoutes(), h.writePage))
	m.OnError = h.refuseAPI
	h.api = m.Require(h.bearer, others...)(h.mux(h.apiRoutes(), writeAPI))
}

// mux answers each path with its methods' routes, and the rest with problems of the
// same form.
func (h *handler) mux(routes []route, refuse func(*call, *problem)) http.Handler {
	mux := http.NewServeMux()
	methods := make(map[string][]string)
	for _, rt := range routes {
		mux.Handle(rt.method+" "+rt.path, h.serve(rt, refuse))
		methods[rt.path] = append(methods[rt.path], rt.method)
		if rt.method == http.MethodGet {
			methods[rt.path] = append(methods[rt.path], http.MethodHead)
		}
	}
	for path, allowed := range methods {
		slices.Sort(allowed)
		mux.Handle(path, h.serve(route{serve: func(c *call) error {
			c.w.Header().Set("Allow", strings.Join(allowed, ", "))
			return errMethod
		}}, refuse))
	}
	mux.Handle("/", h.serve(route{serve: func(*call) error { return errNotFound }}, refuse))
	return mux
}

func (h *handler) serve(rt route, refuse func(*call, *problem)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, _ := auth.FromContext(r.Context())
		c := &call{handler: h, w: w, r: r, id: id, now: time.Now(), rt: rt}
		err := c.admit(rt)
		if err == nil {
			err = rt.serve(c)
		}
		if err != nil {
			p := problemOf(err)
			if p.Status == http.StatusServiceUnavailable {
				c.tellOutage(err)
			}
			refuse(c, p)
		}
	})
}

// admit refuses what is no session, and one that is too old for this route.
func (c *call) admit(rt route) error {
	if c.id.Scheme != auth.SchemeCookie {
		c.tell(auth.ReasonScheme, nil)
		return errSession
	}
	if rt.recent && c.now.Sub(c.id.AuthenticatedAt) > c.maxAge {
		c.tell(auth.ReasonAge, nil)
		return tooOld(c.maxAge)
	}
	return nil
}

// within refuses to hand out more access than the session itself has.
func (c *call) within(scopes []string) error {
	if c.id.Scopes == "*" {
		return nil
	}
	var missing []string
	for _, s := range scopes {
		if !c.id.Scopes.Has(s) {
			missing = append(missing, s)
		}
	}
	if missing == nil {
		return nil
	}
	c.tell(auth.ReasonScope, nil)
	return lacking(missing)
}

// tellOutage reports what nobody else hears of.
func (c *call) tellOutage(err error) {
	reason := auth.ReasonUnavailable
	if c.r.Context().Err() != nil {
		reason = auth.ReasonCanceled // the client went away
	}
	c.tell(reason, err)
}

// tell reports a refusal that the middleware knows nothing of, and what went wrong
// with a store or with Config.Developer.
func (c *call) tell(reason auth.Reason, err error) {
	if c.observe != nil {
		c.observe(c.r.Context(), auth.Event{
			Kind: auth.EventRefused, Scheme: c.id.Scheme, UserID: c.id.UserID,
			CredentialID: c.id.CredentialID, Reason: reason, Remote: c.r.RemoteAddr, Err: err,
		})
	}
}

// ServeHTTP answers what is the same for everybody itself.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	protect(w.Header())
	switch p, escaped := r.URL.Path, r.URL.EscapedPath(); {
	case p == "":
		h.addSlash(w, r)
	case p != clean(p) || escaped != clean(escaped):
		// Not a redirect, as http.ServeMux would make it: that would leave out
		// where we are mounted.
		http.NotFound(w, r)
	case h.assets[p].body != nil:
		h.assets[p].serve(w, r)
	case strings.HasPrefix(p, "/api/"):
		h.api.ServeHTTP(w, r)
	default:
		h.page.ServeHTTP(w, r)
	}
}

// clean is what http.ServeMux makes of a path.
func clean(p string) string {
	cleaned := path.Clean("/" + p)
	if strings.HasSuffix(p, "/") && cleaned != "/" {
		cleaned += "/"
	}
	return cleaned
}

// addSlash leads to the address by which relative links find the rest.
func (h *handler) addSlash(w http.ResponseWriter, r *http.Request) {
	mount := externalPath(r)
	w.Header().Set("Location", "./"+mount[strings.LastIndex(mount, "/")+1:]+"/")
	w.WriteHeader(http.StatusSeeOther)
}

// externalPath is the path that the browser asked for, in front of http.StripPrefix.
func externalPath(r *http.Request) string {
	if u, err := url.ParseRequestURI(r.RequestURI); err == nil {
		return u.EscapedPath()
	}
	return r.URL.EscapedPath()
}

// root leads from a page to where we are mounted, relatively.
func root(r *http.Request) string {
	depth := strings.Count(r.URL.EscapedPath(), "/") - 1
	if depth <= 0 {
		return "./"
	}
	return strings.Repeat("../", depth)
}

// address is one of our pages as an absolute path, for the sign-in page to lead
// back to.
func address(r *http.Request, page string) string {
	mount, found := strings.CutSuffix(externalPath(r), r.URL.EscapedPath())
	if !found {
		return "/"
	}
	return auth.LocalPath(mount+page, "/")
}

// signIn is the address of the sign-in page, to come back from it.
func (h *handler) signIn(next string, again bool) string {
	separator := "?"
	if strings.Contains(h.signInPath, "?") {
		separator = "&"
	}
	location := h.signInPath + separator + "next=" + url.QueryEscape(next)
	if again {
		location += "&prompt=login"
	}
	return location
}

// contentPolicy allows what we serve ourselves and nothing inline. It is as strict
// on the API, where nothing is to be loaded at all.
const contentPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; " +
	"form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

// protect sets what holds for every answer. The referrer policy is not no-referrer:
// browsers would send our own forms with "Origin: null", which tells an older one's
// apart from another site's no more.
func protect(h http.Header) {
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", contentPolicy)
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY") // for browsers that do not know frame-ancestors
}
