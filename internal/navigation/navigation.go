// Package navigation recognizes requests by which a person opens a page, and makes the
// address of the sign-in page to which they are redirected. Scripts, images and streams get
// an error instead, since they would take a sign-in page for their answer. All functions are
// safe for concurrent use.
package navigation

import (
	"net/http"
	"net/url"
	"strings"
)

// Is reports whether r opens a page in a tab or window of a browser.
//
// Browsers say so in Sec-Fetch-Mode and Sec-Fetch-Dest (W3C Fetch Metadata), but not over
// plain http, and not old ones. Without these headers, the Accept header of a GET or HEAD
// decides: browsers that open a page name text/html in it. Clients such as curl, which
// send */* or nothing, get an error.
//
// Frames do not count, as a sign-in form does not belong into one. Neither does a prefetch:
// browsers drop one that fails, and keep a redirect to a sign-in page until the person
// follows the link, perhaps signed in by then.
func Is(r *http.Request) bool {
	h := r.Header
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return false
	}
	for _, name := range [...]string{"Authorization", "X-Requested-With", "Upgrade", "Sec-Websocket-Key"} {
		if len(h[name]) > 0 {
			return false
		}
	}
	if prefetches(h) {
		return false
	}
	mode, dest := h["Sec-Fetch-Mode"], h["Sec-Fetch-Dest"]
	if len(mode) == 0 && len(dest) == 0 {
		return acceptsHTML(h)
	}
	// Chromium 76 to 79 sent only the mode. A proxy may drop either.
	return isOrMissing(mode, "navigate") && isOrMissing(dest, "document")
}

func isOrMissing(values []string, want string) bool {
	return len(values) == 0 || len(values) == 1 && values[0] == want
}

// prefetches reports whether a browser asks in advance: with Sec-Purpose (Chromium and the
// Fetch standard), Purpose (Safari) or X-Moz (Firefox).
func prefetches(h http.Header) bool {
	for _, name := range [...]string{"Sec-Purpose", "Purpose", "X-Purpose", "X-Moz"} {
		for _, value := range h[name] {
			if strings.Contains(strings.ToLower(value), "prefetch") {
				return true
			}
		}
	}
	return false
}

// acceptsHTML reports whether the Accept header names text/html, and not the type of event
// streams. A weight of 0 means "not acceptable" (RFC 9110 section 12.4.2).
func acceptsHTML(h http.Header) bool {
	html := false
	for _, line := range h["Accept"] {
		for item := range strings.SplitSeq(line, ",") {
			media, parameters, _ := strings.Cut(item, ";")
			switch strings.ToLower(strings.TrimSpace(media)) {
			case "text/event-stream":
				return false
			case "text/html":
				html = html || !weighsNothing(parameters)
			}
		}
	}
	return html
}

func weighsNothing(parameters string) bool {
	for p := range strings.SplitSeq(parameters, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(p), "=")
		if strings.EqualFold(name, "q") && value != "" && strings.Trim(value, "0.") == "" {
			return true
		}
	}
	return false
}

// Requested returns the URL that a browser requested, even behind http.StripPrefix, which
// changes only r.URL.
func Requested(r *http.Request) *url.URL {
	if u, err := url.ParseRequestURI(r.RequestURI); err == nil {
		return u
	}
	return r.URL
}

// SignIn returns the address of a sign-in page that returns to next. If again is set, it asks
// for a new sign-in of a user who is signed in. path may have a query.
func SignIn(path, next string, again bool) string {
	separator := "?"
	if strings.Contains(path, "?") {
		separator = "&"
	}
	address := path + separator + "next=" + url.QueryEscape(next)
	if again {
		address += "&prompt=login"
	}
	return address
}
