package settings

import (
	"errors"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/seed-31c5bcb2/auth"
	"github.com/seed-31c5bcb2/auth/internal/navigation"
)

// A route is one method of one path. Its recent field is set for routes that return
// a plaintext, or show the form for one.
type route struct {
	method, path string
	recent       bool
	serve        func(*request) error
	failed       func(*request, *problem) bool // may answer a problem with the form that was sent; reports whether it did
	back         string                        // the page that has the form; if empty, the path is that of both
	keeps        []string                      // the fields that were typed or chosen there
	leaves       []string                      // those that no link may fill in, or what their names begin with: only the names are kept
	reads        bool                          // the route changes nothing, although its method is not GET
	noActor      bool                          // sessions with an Actor are rejected, as they are if recent is set
	versioned    bool                          // If-Match can name the version of the token in the path
	api          bool                          // the query may have nothing but the parameters in query
	query        parameters
	revokes      bool // the route revokes something, or asks before it does
	session      bool // the path names a session
}

// An errorWriter answers a request that was not fulfilled.
type errorWriter func(*request, *problem)

// buildRoutes puts the pages and the API behind the middleware. Both accept every
// scheme, so that a token is answered with 403 and not as if there were none.
func (h *handler) buildRoutes(m auth.Middleware) {
	var others []auth.Authenticator
	others = append(others, h.session)
	if h.secret != nil {
		others = append(others, h.secret)
	}
	pages := h.pageRoutes()
	h.pageMux, h.pageRoute = h.mux(pages, writePage), make(map[string]route)
	for _, rt := range pages {
		h.pageRoute[rt.pattern()] = rt
	}
	m.OnError = h.rejectPage
	h.page = m.Require(h.bearer, others...)(h.pageMux)
	m.OnError = h.rejectAPI
	h.api = m.Require(h.bearer, others...)(h.mux(h.apiRoutes(), writeAPI))
}

func (rt route) pattern() string { return rt.method + " " + rt.path }

// isRead reports whether a request has a method that changes nothing.
func isRead(r *http.Request) bool { return r.Method == http.MethodGet || r.Method == http.MethodHead }

// mux serves the routes, and answers other methods and paths in the same form.
func (h *handler) mux(routes []route, fail errorWriter) *http.ServeMux {
	mux := http.NewServeMux()
	for _, rt := range routes {
		mux.Handle(rt.pattern(), h.serve(rt, fail))
	}
	byPath := methodsByPath(routes)
	for p, methods := range byPath {
		if byPath[path.Dir(p)+"/{id}"] != nil && !strings.HasSuffix(p, "{id}") {
			continue // the pattern for any method would conflict with that one, which answers for both
		}
		mux.Handle(p, h.serve(route{serve: func(r *request) error {
			allow := methods
			if literal := byPath[r.URL.Path]; literal != nil {
				allow = literal
			}
			r.w.Header().Set("Allow", strings.Join(allow, ", "))
			return errMethod
		}}, fail))
	}
	mux.Handle("/", h.serve(route{serve: func(*request) error { return auth.ErrNotFound }}, fail))
	return mux
}

// methodsByPath returns the sorted methods of each path. GET includes HEAD.
func methodsByPath(routes []route) map[string][]string {
	methods := make(map[string][]string)
	for _, rt := range routes {
		methods[rt.path] = append(methods[rt.path], rt.method)
		if rt.method == http.MethodGet {
			methods[rt.path] = append(methods[rt.path], http.MethodHead)
		}
	}
	for _, allowed := range methods {
		slices.Sort(allowed)
	}
	return methods
}

func (h *handler) serve(rt route, fail errorWriter) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, _ := auth.FromContext(r.Context())
		req := &request{handler: h, Request: r, w: w, id: id, now: time.Now(), route: rt}
		err := req.run()
		if err == nil {
			return
		}
		p := problemOf(err)
		var e *ended
		var c *checked
		if errors.As(err, &e) || errors.As(err, &c) {
			auth.WriteError(headersOnly{w}, r, err)
		}
		if !rt.reads && !isRead(r) {
			p = p.afterChange(e != nil)
		}
		fail(req, p)
	})
}

// headersOnly lets auth.WriteError notify the Observer and set the challenges, but not write
// the body, which is ours.
type headersOnly struct{ http.ResponseWriter }

func (headersOnly) WriteHeader(int) {}

func (headersOnly) Write(b []byte) (int, error) { return len(b), nil }

// maxPath is more than any path of ours has, even with a prefix that was not stripped. A longer
// one would make the answers long, in which each relative link goes back to the mount.
const maxPath = 512

// ServeHTTP serves the assets without authentication, and everything else with it.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	setSecurityHeaders(w.Header())
	if len(r.URL.Path) > maxPath {
		http.NotFound(w, r)
		return
	}
	if err := h.mount.check(r); err != nil {
		h.rejectMount(w, r, err)
		return
	}
	r = withBody(w, r)
	switch p, escaped := r.URL.Path, r.URL.EscapedPath(); {
	case p == "":
		redirectToSlash(w, r)
	case p != cleanPath(p) || escaped != cleanPath(escaped):
		// http.ServeMux would redirect here, to a path without the mount prefix.
		http.NotFound(w, r)
	case h.assets[p].body != nil:
		h.assets[p].serve(w, r)
	case strings.HasPrefix(p, "/api/"):
		h.api.ServeHTTP(w, r)
	default:
		h.page.ServeHTTP(w, r)
	}
}

// cleanPath cleans a path as http.ServeMux does.
func cleanPath(p string) string {
	cleaned := path.Clean("/" + p)
	if strings.HasSuffix(p, "/") && cleaned != "/" {
		cleaned += "/"
	}
	return cleaned
}

// redirectToSlash adds the slash at the end of the mount, which relative links need.
func redirectToSlash(w http.ResponseWriter, r *http.Request) {
	mount := externalPath(r)
	w.Header().Set("Location", "./"+mount[strings.LastIndex(mount, "/")+1:]+"/")
	w.WriteHeader(http.StatusSeeOther)
}

// externalPath returns the path before http.StripPrefix.
func externalPath(r *http.Request) string { return navigation.Requested(r).EscapedPath() }

// relativeRoot returns the relative path from the requested page to the mount.
func relativeRoot(r *http.Request) string {
	depth := strings.Count(r.URL.EscapedPath(), "/") - 1
	if depth <= 0 {
		return "./"
	}
	return strings.Repeat("../", depth)
}

// absolutePath returns the path of one of our pages with the mount prefix, for the
// sign-in page to return to.
func absolutePath(r *http.Request, page string) string {
	mount, found := strings.CutSuffix(externalPath(r), r.URL.EscapedPath())
	if !found {
		return "/"
	}
	return auth.LocalPath(mount+page, "/")
}

// contentPolicy allows our own files and nothing inline. The API has it too.
const contentPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; " +
	"form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

// setSecurityHeaders sets the headers of every response. The referrer policy is not
// no-referrer: browsers would send our own forms with "Origin: null", and without
// Sec-Fetch-Site those of older browsers would look like cross-origin ones.
func setSecurityHeaders(h http.Header) {
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", contentPolicy)
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY") // for browsers without frame-ancestors
}
