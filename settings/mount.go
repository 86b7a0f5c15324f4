package settings

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"

	"github.com/seed-31c5bcb2/auth"
)

// A mount finds out whether the handler was mounted as New requires: routers differ in
// what they strip from the path, and a wrong mount would half work.
type mount struct {
	paths  *http.ServeMux // the paths that the handler serves
	atRoot atomic.Bool    // requests arrive at these paths although no prefix was stripped
}

func newMount(assets map[string]asset, routes ...route) *mount {
	m := &mount{paths: http.NewServeMux()}
	for path := range methodsByPath(routes) {
		m.paths.Handle(path, http.NotFoundHandler())
	}
	for path := range assets {
		m.paths.Handle(path, http.NotFoundHandler())
	}
	return m
}

func (m *mount) serves(path string) bool {
	_, pattern := m.paths.Handler(&http.Request{Method: http.MethodGet, URL: &url.URL{Path: path}})
	return pattern != ""
}

// check returns an error that says how to mount the handler, if a request shows that it
// was mounted in another way.
func (m *mount) check(r *http.Request) error {
	path, external := r.URL.Path, externalPath(r)
	if path != "" && path[0] != '/' && path != "*" || path == "" && strings.HasSuffix(external, "/") {
		prefix := strings.TrimSuffix(external, r.URL.EscapedPath())
		return fmt.Errorf("settings: the prefix %q was stripped from the path, and a slash too many with it: use http.StripPrefix(%q, handler)",
			prefix, strings.TrimSuffix(prefix, "/"))
	}
	if prefix := m.remainder(r, external); prefix != "" {
		return fmt.Errorf("settings: the path %q still has the prefix %q of the mount: use http.StripPrefix(%q, handler)",
			path, prefix, strings.TrimSuffix(external, path)+prefix)
	}
	return nil
}

// remainder returns the part of the mount's prefix that is still in the path, if what
// follows it is a path that the handler serves.
func (m *mount) remainder(r *http.Request, external string) string {
	path := r.URL.Path
	if m.serves(path) {
		if external == path {
			m.atRoot.Store(true)
		}
		return ""
	}
	possible := m.possibleRemainder(r, external)
	for i := 1; i < len(path); i++ {
		if path[i] == '/' && possible(path[:i]) && m.serves(path[i:]) {
			return path[:i]
		}
	}
	return ""
}

// possibleRemainder reports what can be a part of the mount's prefix. If http.ServeMux
// routed the request, its pattern has the whole prefix. With other routers, it is
// anything if nothing was stripped and the handler is not at the root.
func (m *mount) possibleRemainder(r *http.Request, external string) func(string) bool {
	stripped := strings.TrimSuffix(external, r.URL.EscapedPath())
	_, pattern, found := strings.Cut(r.Pattern, "/")
	if found && (pattern == "" || strings.HasSuffix(pattern, "/")) && !strings.Contains(pattern, "{") {
		// The API can be mounted alone: then /api/ is a part of the pattern, and stays.
		prefix := strings.TrimSuffix("/"+pattern, "/")
		prefix = strings.TrimSuffix(prefix, "/api")
		done := prefix == "" || strings.HasSuffix(stripped, prefix)
		return func(part string) bool { return !done && strings.HasSuffix(prefix, part) }
	}
	return func(string) bool { return stripped == "" && !m.atRoot.Load() }
}

// rejectMount answers a request if the mount is wrong. The text is for the developer
// who sees it on the first request.
func (h *handler) rejectMount(w http.ResponseWriter, r *http.Request, err error) {
	h.observe(r.Context(), refused(r, auth.ReasonInternal, err))
	http.Error(w, err.Error(), http.StatusInternalServerError)
}
