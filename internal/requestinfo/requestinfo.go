// Package requestinfo reads from a request what an event says about it. Events are logged, and a
// client chooses its request, so nothing here is long, unprintable, or can be a credential. An
// observer may keep an event, so nothing shares memory with the request, which other servers than
// net/http reuse.
package requestinfo

import (
	"net/http"
	"net/netip"
	"strconv"
	"strings"

	"github.com/seed-31c5bcb2/auth/internal/header"
)

const (
	maxMethod = 20 // longer than all registered methods, and shorter than any credential that package auth issues or imports
	maxOrigin = 256
)

var methods = [...]string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodPatch,
	http.MethodHead, http.MethodOptions, http.MethodConnect, http.MethodTrace}

// Method returns the request's method, or "" if it is not a token of at most 20 bytes.
func Method(r *http.Request) string {
	if len(r.Method) > maxMethod || !header.IsToken(r.Method) {
		return ""
	}
	for _, known := range methods {
		if r.Method == known {
			return known
		}
	}
	return strings.Clone(r.Method)
}

// Pattern returns the pattern of the route. For a CONNECT that it redirects, http.ServeMux puts
// the path there, which begins with a slash and may contain a credential.
func Pattern(r *http.Request) string {
	if r.Method == http.MethodConnect && strings.HasPrefix(r.Pattern, "/") {
		return ""
	}
	return r.Pattern
}

// Origin returns the Origin header, or "" if there is none or several, or if a browser would not
// send it.
func Origin(r *http.Request) string {
	lines := r.Header["Origin"]
	if len(lines) != 1 || !isOrigin(lines[0]) {
		return ""
	}
	return strings.Clone(lines[0])
}

// isOrigin reports whether s is "null", or scheme://host or scheme://host:port as browsers
// serialize an origin: in lower case, without a default port, and with a host in Punycode. The
// scheme may be of a browser extension or an app.
func isOrigin(s string) bool {
	if s == "null" {
		return true
	}
	scheme, rest, found := strings.Cut(s, "://")
	if len(s) > maxOrigin || !found || !isScheme(scheme) {
		return false
	}
	host, port := cutPort(rest)
	if scheme == "https" && port == ":443" || scheme == "http" && port == ":80" {
		return false
	}
	return isHost(host) && (port == "" || isPort(port[1:]))
}

// cutPort returns the port with its colon.
func cutPort(s string) (host, port string) {
	if i := strings.LastIndexByte(s, ':'); i >= 0 && !strings.HasSuffix(s, "]") {
		return s[:i], s[i:]
	}
	return s, ""
}

func isScheme(s string) bool {
	for i := range len(s) {
		if c := s[i]; !isLower(c) && (i == 0 || !isDigit(c) && c != '+' && c != '-' && c != '.') {
			return false
		}
	}
	return s != ""
}

func isHost(s string) bool {
	if inside, found := strings.CutPrefix(s, "["); found {
		inside, found = strings.CutSuffix(inside, "]")
		addr, err := netip.ParseAddr(inside)
		return found && err == nil && addr.Is6() && addr.Zone() == "" && inside == strings.ToLower(inside)
	}
	for i := range len(s) {
		if c := s[i]; !isLower(c) && !isDigit(c) && c != '-' && c != '.' && c != '_' {
			return false
		}
	}
	return s != ""
}

func isPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n > 0 && s[0] != '0'
}

func isLower(c byte) bool { return 'a' <= c && c <= 'z' }
func isDigit(c byte) bool { return '0' <= c && c <= '9' }
