// Package origin tells requests of a service's own pages from those that another site
// makes a browser send (cross-site request forgery). If in doubt, a request is not
// allowed.
package origin

import (
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"
)

// A Checker is [http.CrossOriginProtection] without the gaps that it leaves for old
// browsers or by design. It is immutable and safe for concurrent use. It also rejects:
//
//   - An Origin of "null" with an empty Host (HTTP/1.0), and userinfo before the host:
//     CrossOriginProtection takes both for the same origin.
//   - An http origin on an https site: anyone who can forge plain HTTP pages of the host
//     could post to it.
//   - Two Origin or Sec-Fetch-Site headers, of which it reads only the first.
//   - A WebSocket upgrade, which is a GET and so a safe method, but can send anything.
type Checker struct {
	protection *http.CrossOriginProtection
	trusted    map[string]bool
	insecure   bool // http origins are allowed
}

// New returns a Checker that trusts some other origins, all of which [Validate] accepts.
// If insecure is set, http origins are allowed like https origins.
func New(trusted []string, insecure bool) *Checker {
	c := &Checker{http.NewCrossOriginProtection(), make(map[string]bool, len(trusted)), insecure}
	for _, origin := range trusted {
		if err := c.protection.AddTrustedOrigin(origin); err != nil {
			panic(err)
		}
		c.trusted[origin] = true
	}
	return c
}

// Allows reports whether r is a GET, HEAD or OPTIONS, which are safe methods (RFC 9110
// section 9.2.1), and is not an upgrade, or comes from the same or a trusted origin. A request without Origin and
// Sec-Fetch-Site is not from a browser, and allowed.
func (c *Checker) Allows(r *http.Request) bool {
	method := r.Method
	if isUpgrade(r.Header) {
		method = http.MethodPost // treat it as unsafe
	}
	if method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions {
		return true
	}
	origin := r.Header["Origin"]
	if len(origin) > 1 || len(r.Header["Sec-Fetch-Site"]) > 1 {
		return false
	}
	legacyBrowser := r.Header.Get("Sec-Fetch-Site") == ""
	if legacyBrowser && len(origin) == 1 && !c.trusted[origin[0]] && !c.sameOrigin(origin[0], r) {
		return false
	}
	return c.protection.Check(&http.Request{Method: method, Header: r.Header, Host: r.Host, URL: r.URL}) == nil
}

// sameOrigin is used when Sec-Fetch-Site is absent: in old browsers, and over plain http.
func (c *Checker) sameOrigin(origin string, r *http.Request) bool {
	host, secure := strings.CutPrefix(origin, "https://")
	if !secure {
		var plain bool
		host, plain = strings.CutPrefix(origin, "http://")
		if !plain || !c.insecure || r.TLS != nil {
			return false
		}
	}
	return host != "" && host == r.Host
}

// isUpgrade reports whether a request asks to leave HTTP/1.1. In HTTP/2 that is a CONNECT
// (RFC 8441), which is not a safe method.
func isUpgrade(h http.Header) bool {
	return len(h["Upgrade"]) > 0 || len(h["Sec-Websocket-Key"]) > 0
}

// Validate returns an error that says what is wrong with a trusted origin, to be put
// after its name. Only origins as browsers write them (RFC 6454 section 6.2) can match.
// http origins are allowed if insecure is set, or for loopback hosts.
func Validate(origin string, insecure bool) error {
	u, err := url.Parse(origin)
	switch {
	case strings.Contains(origin, "*"):
		return errors.New("has a wildcard: name each origin")
	case err != nil || u.Host == "" || u.User != nil || u.Scheme+"://"+u.Host != origin:
		return errors.New("must be scheme://host or scheme://host:port and nothing else")
	case u.Scheme != "https" && u.Scheme != "http":
		return errors.New("must be an https origin")
	case strings.ToLower(origin) != origin:
		return errors.New("must be in lower case, as browsers send it")
	case strings.ContainsFunc(origin, func(r rune) bool { return r <= ' ' || r > '~' }):
		return errors.New("must be ASCII: write the host in Punycode")
	case u.Port() == "443" && u.Scheme == "https", u.Port() == "80" && u.Scheme == "http", strings.HasSuffix(origin, ":"):
		return errors.New("must leave out the default port, as browsers do")
	case u.Scheme == "http" && !insecure && !loopback(u.Hostname()):
		return errors.New("must be an https origin: over http, anyone on the network path can forge its requests")
	}
	return nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || ip != nil && ip.IsLoopback()
}
