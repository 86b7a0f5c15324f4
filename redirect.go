package auth

import (
	"net/http"
	"net/url"
	"path"
	"strings"
)

// RedirectToSignIn returns a Middleware.OnError for pages that people look at:
// where a request for a page is refused because nobody is signed in, it redirects
// to the sign-in page at path with the page's own address as next, for
// [LocalPath] to check. That is a GET or HEAD answered with 401 that has no
// Authorization field; all else is answered by [WriteError]. It panics unless
// path is a path on this site: it starts with one slash.
func RedirectToSignIn(path string) func(w http.ResponseWriter, r *http.Request, err error) {
	if LocalPath(path, "") == "" || strings.Contains(path, "#") {
		panic("auth: RedirectToSignIn: not a path on this site: " + path)
	}
	separator := "?"
	if strings.Contains(path, "?") {
		separator = "&"
	}
	return func(w http.ResponseWriter, r *http.Request, err error) {
		e := within(err)
		reading := r.Method == http.MethodGet || r.Method == http.MethodHead
		if !reading || len(r.Header["Authorization"]) > 0 || e.Status != http.StatusUnauthorized {
			WriteError(w, r, err)
			return
		}
		delete(w.Header(), "Www-Authenticate")
		next := LocalPath(address(r), "/")
		w.Header().Set("Location", path+separator+"next="+url.QueryEscape(next))
		w.WriteHeader(http.StatusSeeOther)
	}
}

// address is what the browser asked for, also behind http.StripPrefix, which
// changes r.URL alone.
func address(r *http.Request) string {
	if u, err := url.ParseRequestURI(r.RequestURI); err == nil {
		return u.RequestURI()
	}
	return r.URL.RequestURI()
}

// LocalPath returns next if a browser that is sent there stays on this site, and
// fallback if it would not, or that is not certain: next is the part of a request
// by which a sign-in page is turned into a way to somebody else's. What stays is
// an absolute path, with a query and a fragment as it likes, whose path, decoded,
// has no empty or dot segment before its end, and that has neither a backslash nor
// a control character anywhere. The fallback is returned as it is.
func LocalPath(next, fallback string) string {
	u, err := url.Parse(next)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || u.Opaque != "" {
		return fallback
	}
	// Browsers read a backslash as a slash and take tabs and line breaks out
	// before they look at anything.
	if !strings.HasPrefix(next, "/") || strings.Contains(next, " ") || strings.ContainsFunc(next+u.Path, misread) {
		return fallback
	}
	clean := path.Clean(u.Path)
	if u.Path != clean && (clean == "/" || u.Path != clean+"/") {
		return fallback
	}
	return next
}

func misread(r rune) bool { return r < ' ' || r == 0x7F || r == '\\' }
