// Package origin tells requests of a service's own pages from those that another
// site makes a browser send.
package origin

import (
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"
)

// A Checker is [http.CrossOriginProtection] without the gaps that it leaves open
// for old browsers, or by design:
//
//   - An Origin of "null" with an empty Host (HTTP/1.0), or userinfo before the
//     host: CrossOriginProtection takes both for the same origin.
//   - An http origin on an https site: anyone who can forge plain HTTP pages of
//     the host could post to it.
//   - Two Origin or Sec-Fetch-Site fields, of which it reads only the first.
//   - A WebSocket upgrade: a GET, and so safe, yet able to send anything.
type Checker struct {
	protection *http.CrossOriginProtection
	trusted    map[string]bool
	insecure   bool // http origins are as good as https
}

// New returns a Checker that trusts origins that [Validate] has accepted.
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

// Allows reports whether r is safe or comes from the same or a trusted origin.
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
	oldBrowser := r.Header.Get("Sec-Fetch-Site") == ""
	if oldBrowser && len(origin) == 1 && !c.trusted[origin[0]] && !c.same(origin[0], r) {
		return false
	}
	return c.protection.Check(&http.Request{Method: method, Header: r.Header, Host: r.Host, URL: r.URL}) == nil
}

// same is for browsers without Sec-Fetch-Site, and for http, where none sends it.
func (c *Checker) same(origin string, r *http.Request) bool {
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

// isUpgrade reports whether a request asks to leave HTTP/1.1. In HTTP/2 that is
// a CONNECT (RFC 8441), which is unsafe by its method.
func isUpgrade(h http.Header) bool {
	return len(h["Upgrade"]) > 0 || len(h["Sec-Websocket-Key"]) > 0
}

// Validate says what is wrong with a trusted origin: anything but
// an origin as browsers write it (RFC 6454 section 6.2) would never match.
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
		return errors.New("must be an https origin: anybody on the way could speak for it")
	}
	return nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || ip != nil && ip.IsLoopback()
}
